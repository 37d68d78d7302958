-- The little world that the queries of docs/queries.md are asked of.

insert into discord.guilds (id, name, owner_id, updated_at) values
    (41771983423143937, 'Chess Club', 80351110224678912, '2026-11-01Z'),
    (81384788765712384, 'Art Central', 86387420299267830, '2026-11-01Z'),
    (90000000000000000, 'Old Friends', 86387420299267830, '2026-11-01Z');
update discord.guilds set left_at = '2026-11-10Z' where name = 'Old Friends';

insert into discord.users (id, username, global_name, updated_at) values
    (80351110224678912, 'nelly', 'Nelly', '2026-11-01Z'),
    (86387420299267830, 'bob_k', 'Bob', '2026-11-01Z'),
    (86853608800258738, 'annika', 'Ann', '2026-11-01Z'),
    (91127349281734521, 'joanna.b', null, '2026-11-01Z'),
    (93312873409812373, 'trent', 'Trent 100%', '2026-11-01Z'),
    (94412873409812371, 'newcomer', null, '2026-11-21Z'),
    (95512873409812370, 'wanderer', null, '2026-11-01Z');

-- Roles: everyone may read and write; 5001 keeps order, 5002 plays in tournaments.
insert into discord.roles (guild_id, id, name, permissions, "position", updated_at) values
    (41771983423143937, 41771983423143937, '@everyone', 1024 | 2048 | 65536 | 1048576 | 2097152, 0, '2026-11-01Z'),
    (41771983423143937, 5001, 'Moderator', 2 | 4 | 8192 | 17179869184 | 1099511627776, 2, '2026-11-01Z'),
    (41771983423143937, 5002, 'Tournament', 0, 1, '2026-11-01Z');

insert into discord.members (guild_id, user_id, nick, roles, joined_at, left_at, updated_at) values
    (41771983423143937, 80351110224678912, null, '{}', '2024-01-01Z', null, '2026-11-01Z'),
    (41771983423143937, 86387420299267830, 'Bob the Rook', '{5002}', '2024-02-01Z', null, '2026-11-20Z'),
    (41771983423143937, 86853608800258738, null, '{5001,5002}', '2024-03-01Z', null, '2026-11-01Z'),
    (41771983423143937, 91127349281734521, 'Jo', '{}', '2025-03-01Z', null, '2026-11-01Z'),
    (41771983423143937, 93312873409812373, null, '{5002}', '2025-04-01Z', '2026-11-20 09:15:00Z', '2026-11-20Z'),
    (41771983423143937, 94412873409812371, null, '{}', '2026-11-21 03:12:00Z', null, '2026-11-21Z'),
    (41771983423143937, 95512873409812370, null, '{}', '2025-05-01Z', '2026-11-21 06:00:00Z', '2026-11-21Z'),
    (81384788765712384, 86387420299267830, null, '{}', '2023-01-01Z', null, '2026-11-01Z'),
    (81384788765712384, 86853608800258738, null, '{}', '2023-06-01Z', null, '2026-11-01Z'),
    (90000000000000000, 86387420299267830, null, '{}', '2023-01-01Z', null, '2026-11-01Z'),
    (90000000000000000, 86853608800258738, null, '{}', '2023-01-01Z', null, '2026-11-01Z');

insert into discord.channels (guild_id, id, type, name, parent_id, "position", deleted_at, updated_at) values
    (41771983423143937, 6001, 0, 'general', null, 0, null, '2026-11-01Z'),
    (41771983423143937, 6002, 0, 'tournament', null, 1, null, '2026-11-01Z'),
    (41771983423143937, 6003, 0, 'old-games', null, 2, '2026-11-19 12:00:00Z', '2026-11-19Z'),
    (41771983423143937, 6004, 2, 'Blitz', null, 3, null, '2026-11-01Z'),
    (41771983423143937, 6005, 12, 'pairings', 6002, null, null, '2026-11-01Z');

-- tournament is for those with the role; everyone else does not see it.
insert into discord.permission_overwrites (guild_id, channel_id, id, type, allow, deny, updated_at) values
    (41771983423143937, 6002, 41771983423143937, 0, 0, 1024, '2026-11-01Z'),
    (41771983423143937, 6002, 5002, 0, 1024, 0, '2026-11-01Z');
insert into discord.thread_members (guild_id, thread_id, user_id, updated_at)
values (41771983423143937, 6005, 86387420299267830, '2026-11-01Z');

insert into discord.presences (guild_id, user_id, status, client_status, activities, updated_at) values
    (41771983423143937, 80351110224678912, 'online', '{"mobile": "online"}', '[{"name": "Custom Status", "type": 4, "state": "e4"}]', '2026-11-21Z'),
    (41771983423143937, 86387420299267830, 'idle', '{"desktop": "idle"}',
     '[{"name": "Lichess", "type": 0, "details": "Blitz", "timestamps": {"start": 1795252200000}}]', '2026-11-21Z');
insert into discord.voice_states (guild_id, user_id, channel_id, self_stream, self_video, suppress, updated_at) values
    (41771983423143937, 80351110224678912, 6004, true, false, false, '2026-11-21Z'),
    (41771983423143937, 86387420299267830, 6004, false, false, false, '2026-11-21Z');
insert into discord.invites (guild_id, code, channel_id, inviter_id, created_at, expires_at, max_age, max_uses, uses, updated_at) values
    (41771983423143937, 'castle', 6001, 80351110224678912, '2026-11-01Z', null, 0, 0, 12, '2026-11-01Z'),
    (41771983423143937, 'enpassant', 6001, 86853608800258738, '2026-11-02Z', '2026-11-03Z', 86400, 0, 1, '2026-11-01Z'),
    (41771983423143937, 'fork', 6002, 86853608800258738, '2026-11-03Z', null, 0, 5, 5, '2026-11-03Z');

insert into discord.messages (guild_id, id, channel_id, author_id, content, pinned, revision, "timestamp", seen_at, poll, updated_at) values
    (41771983423143937, 1440000000000000001, 6001, 80351110224678912, 'Welcome! Please read the rules.', true, 0, '2026-11-18 10:00Z', '2026-11-18 10:00Z', null, '2026-11-18Z'),
    (41771983423143937, 1440000000000000002, 6001, 86387420299267830, 'Who wants to play blitz?', false, 1, '2026-11-18 11:00Z', '2026-11-18 11:01Z', null, '2026-11-18Z'),
    (41771983423143937, 1440000000000000003, 6003, 86853608800258738, 'My best game of blitz', false, 0, '2026-11-18 12:00Z', '2026-11-18 12:00Z', null, '2026-11-18Z'),
    (41771983423143937, 1440000000000000004, 6002, 86853608800258738, 'No blitz after midnight, please', false, 0, '2026-11-18 13:00Z', '2026-11-18 13:00Z', null, '2026-11-18Z'),
    (41771983423143937, 1440000000000000005, 6001, 86853608800258738, null, false, 0, '2026-11-18 14:00Z', '2026-11-18 14:00Z',
     '{"question": {"text": "Next opening?"}, "answers": [{"answer_id": 1, "poll_media": {"text": "Sicilian"}}, {"answer_id": 2, "poll_media": {"text": "French"}}],
       "results": {"is_finalized": false, "answer_counts": [{"id": 1, "count": 2, "me_voted": false}]}}', '2026-11-18Z');
insert into discord.message_revisions (guild_id, id, revision, channel_id, content, cause, seen_at, superseded_at)
values (41771983423143937, 1440000000000000002, 0, 6001, 'Who wants to play?', 'edit', '2026-11-18 11:00Z', '2026-11-18 11:01Z');
insert into discord.poll_votes (guild_id, message_id, answer_id, user_id, updated_at) values
    (41771983423143937, 1440000000000000005, 1, 80351110224678912, '2026-11-18Z'),
    (41771983423143937, 1440000000000000005, 1, 86387420299267830, '2026-11-18Z'),
    (41771983423143937, 1440000000000000005, 2, 86853608800258738, '2026-11-18Z');
insert into discord.reactions (guild_id, message_id, emoji_key, user_id, type, channel_id, emoji_name, updated_at) values
    (41771983423143937, 1440000000000000001, -7, 86387420299267830, 0, 6001, '♟', '2026-11-18Z'),
    (41771983423143937, 1440000000000000001, -7, 86853608800258738, 1, 6001, '♟', '2026-11-18Z'),
    (41771983423143937, 1440000000000000001, -8, 86853608800258738, 0, 6001, '👍', '2026-11-18Z');

-- Bob was renamed by Ann and Trent banned by Nelly; then the connection was lost from 2026-11-20 22:00 to 2026-11-21 06:00.
insert into discord.changes (transaction_id, at, bot_id, guild_id, entity, entity_id, user_id, action, source, old, new) values
    (100, '2026-11-20 09:00:00Z', 9, 41771983423143937, 'members', 86387420299267830, 86387420299267830, 'update', 'event', '{"nick": null}', '{"nick": "Bob the Rook"}'),
    (101, '2026-11-20 09:15:00Z', 9, 41771983423143937, 'members', 93312873409812373, 93312873409812373, 'delete', 'event', '{"nick": null, "roles": [5002]}', null),
    (101, '2026-11-20 09:15:00Z', 9, 41771983423143937, 'bans', 93312873409812373, 93312873409812373, 'create', 'event', null, '{}'),
    (200, '2026-11-21 06:00:00Z', 9, 41771983423143937, 'members', 94412873409812371, 94412873409812371, 'create', 'sync', null, '{"nick": null, "roles": []}'),
    (200, '2026-11-21 06:00:00Z', 9, 41771983423143937, 'members', 95512873409812370, 95512873409812370, 'delete', 'sync', '{"nick": null, "roles": []}', null),
    (200, '2026-11-21 06:00:00Z', 9, 41771983423143937, 'members', 91127349281734521, 91127349281734521, 'update', 'sync', '{"nick": "Joanna"}', '{"nick": "Jo"}'),
    (200, '2026-11-21 06:00:00Z', 9, 0, 'users', 80351110224678912, 80351110224678912, 'update', 'sync', '{"global_name": "Nelly"}', '{"global_name": "Nelly B"}');
-- A second bot was thrown out in September and came back.
insert into discord.guild_bots (guild_id, bot_id, shard_id, state, confirmed_at, since, updated_at) values
    (41771983423143937, 9, 0, 'available', '2026-01-01Z', '2026-01-01Z', '2026-01-01Z'),
    (41771983423143937, 10, 0, 'available', '2026-09-04Z', '2026-09-04Z', '2026-09-04Z');
insert into discord.changes (transaction_id, at, bot_id, guild_id, entity, entity_id, action, source, old, new) values
    (50, '2026-09-01 12:00:00Z', 10, 41771983423143937, 'guild_bots', 10, 'delete', 'event', '{"state": "available"}', null),
    (51, '2026-09-04 12:00:00Z', 10, 41771983423143937, 'guild_bots', 10, 'create', 'event', null, '{"state": "available"}');
insert into discord.audit_log_entries (guild_id, id, user_id, target_id, action_type, changes, reason, updated_at) values
    (41771983423143937, discord.snowflake_at('2026-11-20 08:59:59.8Z'), 86853608800258738, 86387420299267830, 24, '[{"key": "nick", "new_value": "Bob the Rook"}]', null, '2026-11-20Z'),
    (41771983423143937, discord.snowflake_at('2026-11-20 09:14:59.7Z'), 80351110224678912, 93312873409812373, 22, null, 'engine use', '2026-11-20Z');
