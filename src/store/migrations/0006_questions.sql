-- Functions, views and indexes for what is asked most often. docs/queries.md shows each with its output.
--
-- Functions in language sql that return rows have no SET clause and are not STRICT, so that the planner takes them
-- into the query that calls them and sees the values asked for.

-- Snowflakes and times.

create function discord.snowflake_time(id bigint) returns timestamptz
language sql immutable parallel safe as $$
    select to_timestamp(((id >> 22) + 1420070400000) / 1000.0)
$$;
comment on function discord.snowflake_time(bigint) is 'When a snowflake was made, to the millisecond.';

create function discord.snowflake_at(at timestamptz) returns bigint
language sql stable parallel safe as $$
    select (floor(extract(epoch from at) * 1000)::bigint - 1420070400000) << 22
$$;
comment on function discord.snowflake_at(timestamptz) is 'The lowest snowflake of a time: ids of what was made from then on are not below it.';

create function discord.json_bigint(value jsonb) returns bigint
language sql immutable parallel safe as $$
    select case when value #>> '{}' ~ '^\d{1,18}$' then (value #>> '{}')::bigint
                when value #>> '{}' ~ '^\d{19}$' and value #>> '{}' <= '9223372036854775807' collate "C" then (value #>> '{}')::bigint end
$$;
comment on function discord.json_bigint(jsonb) is 'A snowflake or another number of at least 0, written as JSON string or number; null for anything else.';

create function discord.json_time(milliseconds jsonb) returns timestamptz
language sql immutable parallel safe as $$
    select case when discord.json_bigint(milliseconds) <= 253402300799999 then to_timestamp(discord.json_bigint(milliseconds) / 1000.0) end
$$;
comment on function discord.json_time(jsonb) is 'A time told as milliseconds since 1970, up to the year 9999; null for anything else.';

-- Members.

-- Role ids are unique over all guilds, so the index needs no guild_id, and no extension for it. What it costs on a merge
-- of 200,000 members: see docs/queries.md.
create index members_roles on discord.members using gin (roles);
comment on index discord.members_roles is 'For roles @> array[role]. The form role = any (roles) cannot use it.';

create function discord.role_members(guild bigint, role bigint) returns setof bigint
language sql stable parallel safe rows 1000 as $$
    select m.user_id from discord.members m
     where m.guild_id = guild and m.roles @> array[role] and m.left_at is null
$$;
comment on function discord.role_members(bigint, bigint) is 'User ids of the members that have a role; none for @everyone, which everyone has without its being listed.';

create function discord.shared_guilds("user" bigint, other bigint) returns setof bigint
language sql stable parallel safe rows 10 as $$
    select a.guild_id
      from discord.members a
      join discord.members b on b.user_id = other and b.guild_id = a.guild_id and b.left_at is null
      join discord.guilds g on g.id = a.guild_id and g.left_at is null
     where a.user_id = "user" and a.left_at is null
$$;
comment on function discord.shared_guilds(bigint, bigint) is 'Guilds that two users are both in, of those that a bot is in.';

create function discord.like_pattern(part text) returns text
language sql immutable parallel safe as $$
    select '%' || replace(replace(replace(part, '\', '\\'), '%', '\%'), '_', '\_') || '%'
$$;
comment on function discord.like_pattern(text) is 'A pattern for LIKE that matches texts with this part, whatever characters it has.';

create function discord.member_search_is_indexed() returns boolean
language sql immutable parallel safe as $$
    select false
$$;
comment on function discord.member_search_is_indexed() is 'Whether search_members may look for names in all users first; create_member_search_index and drop_member_search_index replace it.';

create function discord.search_members(guild bigint, name text, "limit" integer default 25)
returns table (user_id bigint, username text, global_name text, nick text)
language sql stable parallel safe rows 25 as $$
    select f.user_id, f.username, f.global_name, f.nick
      from (select m.user_id, u.username, u.global_name, m.nick
              from discord.members m
              left join discord.users u on u.id = m.user_id
             where m.guild_id = guild and m.left_at is null and m.nick ilike discord.like_pattern(name)
             union
            select m.user_id, u.username, u.global_name, m.nick
              from discord.members m
              join discord.users u on u.id = m.user_id
             where m.guild_id = guild and m.left_at is null and discord.member_search_is_indexed() and length(name) >= 3
               and (u.username ilike discord.like_pattern(name) or u.global_name ilike discord.like_pattern(name))
             union
            -- Without an index, or with a text too short for one, reading a guild beats reading all users; the planner
            -- does not know what ILIKE costs.
            select m.user_id, u.username, u.global_name, m.nick
              from discord.members m
             cross join lateral (select u.username, u.global_name from discord.users u where u.id = m.user_id offset 0) u
             where m.guild_id = guild and m.left_at is null and not (discord.member_search_is_indexed() and length(name) >= 3)
               and (u.username ilike discord.like_pattern(name) or u.global_name ilike discord.like_pattern(name))) f
     order by coalesce(lower(name) in (lower(f.nick), lower(f.global_name), lower(f.username)), false) desc,
              lower(coalesce(f.nick, f.global_name, f.username)), f.user_id
     limit "limit"
$$;
comment on function discord.search_members(bigint, text, integer) is 'Members of a guild with this text in their nickname, display name or username, whole matches first. Reads the whole guild unless create_member_search_index() was called.';

create function discord.create_member_search_index() returns void
language plpgsql as $$
declare
    place text;
begin
    begin
        if not exists (select from pg_extension where extname = 'pg_trgm') then
            create extension pg_trgm;
        end if;
    exception when insufficient_privilege or undefined_file or feature_not_supported then
        raise exception 'extension pg_trgm is needed and cannot be created: %', sqlerrm using
            errcode = sqlstate,
            hint = 'Install PostgreSQL''s contrib modules, or ask an owner of the database for: create extension pg_trgm. search_members works without, more slowly.';
    end;
    select n.nspname into strict place
      from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm';
    execute format('create index if not exists users_names_search on discord.users using gin (username %1$I.gin_trgm_ops, global_name %1$I.gin_trgm_ops)', place);
    execute format('create index if not exists members_nick_search on discord.members using gin (nick %I.gin_trgm_ops) where nick is not null', place);
    comment on index discord.users_names_search is 'For search_members; made by create_member_search_index.';
    comment on index discord.members_nick_search is 'For search_members; made by create_member_search_index.';
    create or replace function discord.member_search_is_indexed() returns boolean
    language sql immutable parallel safe as 'select true';
end
$$;
comment on function discord.create_member_search_index() is 'Makes the trigram indexes that let search_members find names without reading the guild. Writers wait meanwhile.';

create function discord.drop_member_search_index() returns void
language plpgsql as $$
begin
    drop index if exists discord.users_names_search, discord.members_nick_search;
    create or replace function discord.member_search_is_indexed() returns boolean
    language sql immutable parallel safe as 'select false';
end
$$;
comment on function discord.drop_member_search_index() is 'Drops what create_member_search_index made; the extension stays.';

-- Permissions: https://discord.com/developers/docs/topics/permissions.

create function discord.permission_names(permissions bigint) returns text[]
language sql immutable parallel safe as $$
    select coalesce(array_agg(p.name order by p.place), '{}')
      from unnest(array[
               'CREATE_INSTANT_INVITE', 'KICK_MEMBERS', 'BAN_MEMBERS', 'ADMINISTRATOR', 'MANAGE_CHANNELS', 'MANAGE_GUILD',
               'ADD_REACTIONS', 'VIEW_AUDIT_LOG', 'PRIORITY_SPEAKER', 'STREAM', 'VIEW_CHANNEL', 'SEND_MESSAGES',
               'SEND_TTS_MESSAGES', 'MANAGE_MESSAGES', 'EMBED_LINKS', 'ATTACH_FILES', 'READ_MESSAGE_HISTORY', 'MENTION_EVERYONE',
               'USE_EXTERNAL_EMOJIS', 'VIEW_GUILD_INSIGHTS', 'CONNECT', 'SPEAK', 'MUTE_MEMBERS', 'DEAFEN_MEMBERS',
               'MOVE_MEMBERS', 'USE_VAD', 'CHANGE_NICKNAME', 'MANAGE_NICKNAMES', 'MANAGE_ROLES', 'MANAGE_WEBHOOKS',
               'MANAGE_GUILD_EXPRESSIONS', 'USE_APPLICATION_COMMANDS', 'REQUEST_TO_SPEAK', 'MANAGE_EVENTS', 'MANAGE_THREADS',
               'CREATE_PUBLIC_THREADS', 'CREATE_PRIVATE_THREADS', 'USE_EXTERNAL_STICKERS', 'SEND_MESSAGES_IN_THREADS',
               'USE_EMBEDDED_ACTIVITIES', 'MODERATE_MEMBERS', 'VIEW_CREATOR_MONETIZATION_ANALYTICS', 'USE_SOUNDBOARD',
               'CREATE_GUILD_EXPRESSIONS', 'CREATE_EVENTS', 'USE_EXTERNAL_SOUNDS', 'SEND_VOICE_MESSAGES', null,
               'SET_VOICE_CHANNEL_STATUS', 'SEND_POLLS', 'USE_EXTERNAL_APPS', 'PIN_MESSAGES', 'BYPASS_SLOWMODE'
           ]) with ordinality p (name, place)
     where permissions is null or (permissions >> (p.place - 1)::integer) & 1 = 1 and p.name is not null
    having permissions is not null
$$;
comment on function discord.permission_names(bigint) is 'Discord''s names of permission bits, lowest bit first; bits without a documented name are left out.';

create function discord.all_permissions() returns bigint
language sql immutable parallel safe as $$
    -- Bits 0 to 52 but 47, which is not documented.
    select ((1::bigint << 53) - 1) & ~(1::bigint << 47)
$$;
comment on function discord.all_permissions() is 'Every documented permission: what owners and administrators have.';

create function discord.overwritten_permissions(
    permissions bigint, everyone_deny bigint, everyone_allow bigint, roles_deny bigint, roles_allow bigint,
    member_deny bigint, member_allow bigint) returns bigint
language sql immutable parallel safe as $$
    -- All these operators bind alike, from left to right.
    select permissions & ~coalesce(everyone_deny, 0) | coalesce(everyone_allow, 0)
           & ~coalesce(roles_deny, 0) | coalesce(roles_allow, 0)
           & ~coalesce(member_deny, 0) | coalesce(member_allow, 0)
$$;
comment on function discord.overwritten_permissions(bigint, bigint, bigint, bigint, bigint, bigint, bigint) is 'Permissions after overwrites, in Discord''s order: @everyone, then what any role denies, then what any role allows, then the member. Null stands for no overwrite.';

create function discord.usable_permissions(permissions bigint, channel_type integer, timed_out boolean) returns bigint
language sql immutable parallel safe as $$
    select case
               -- VIEW_CHANNEL
               when permissions & 1024 = 0 then 0
               -- VIEW_CHANNEL and READ_MESSAGE_HISTORY
               when timed_out then permissions & 66560
               -- Bit 11 is SEND_MESSAGES, bit 38 is SEND_MESSAGES_IN_THREADS; 184320 is SEND_TTS_MESSAGES, EMBED_LINKS,
               -- ATTACH_FILES and MENTION_EVERYONE.
               when channel_type in (10, 11, 12) then
                   (permissions & ~2048::bigint & case when permissions & 274877906944 = 0 then ~184320::bigint else -1 end)
                   | ((permissions >> 27) & 2048)
               -- Without CONNECT (bit 20): MANAGE_CHANNELS, PRIORITY_SPEAKER, STREAM, SPEAK, MUTE_MEMBERS, DEAFEN_MEMBERS, MOVE_MEMBERS, USE_VAD,
               -- REQUEST_TO_SPEAK, USE_EMBEDDED_ACTIVITIES, USE_SOUNDBOARD, USE_EXTERNAL_SOUNDS and SET_VOICE_CHANNEL_STATUS.
               else permissions & case when permissions & 2048 = 0 then ~184320::bigint else -1 end
                    & case when channel_type in (2, 13) and permissions & 1048576 = 0 then ~321611511104272 else -1 end
           end
$$;
comment on function discord.usable_permissions(bigint, integer, boolean) is 'What of a member''s permissions in a channel of this type counts: nothing without VIEW_CHANNEL, little during a timeout or without SEND_MESSAGES, no voice without CONNECT. In a thread SEND_MESSAGES is what SEND_MESSAGES_IN_THREADS is.';

create function discord.permissions(guild bigint, channel bigint, "user" bigint) returns bigint
language sql stable parallel safe as $$
    select case
               when channel is not null and p.id is null then null
               when m.user_id is null then 0
               when g.owner_id = m.user_id or r.permissions & 8 <> 0 then discord.all_permissions()
               when p.id is null then case when t.timed_out then r.permissions & 66560 else r.permissions end
               else discord.usable_permissions(
                        discord.overwritten_permissions(r.permissions, o.everyone_deny, o.everyone_allow, o.roles_deny, o.roles_allow, o.member_deny, o.member_allow),
                        p.type, t.timed_out)
           end
      from discord.guilds g
      left join discord.members m on m.guild_id = g.id and m.user_id = "user" and m.left_at is null
      left join lateral (
          select c.id, c.type, case when c.type in (10, 11, 12) then c.parent_id else c.id end as overwrites_of
            from discord.channels c
           where c.guild_id = g.id and c.id = channel and c.deleted_at is null
             and ((c.type in (10, 11, 12)) is not true
                  or exists (select from discord.channels parent
                              where parent.guild_id = c.guild_id and parent.id = c.parent_id and parent.deleted_at is null))) p on true
     cross join lateral (select coalesce(m.communication_disabled_until > now(), false) as timed_out) t
     cross join lateral (
          select coalesce(bit_or(r.permissions), 0) as permissions, array_agg(r.id) as ids
            from discord.roles r
           where r.guild_id = g.id and r.id = any (m.roles || g.id) and r.deleted_at is null) r
     cross join lateral (
          select bit_or(o.deny) filter (where o.type = 0 and o.id = g.id) as everyone_deny,
                 bit_or(o.allow) filter (where o.type = 0 and o.id = g.id) as everyone_allow,
                 bit_or(o.deny) filter (where o.type = 0 and o.id <> g.id) as roles_deny,
                 bit_or(o.allow) filter (where o.type = 0 and o.id <> g.id) as roles_allow,
                 bit_or(o.deny) filter (where o.type = 1) as member_deny,
                 bit_or(o.allow) filter (where o.type = 1) as member_allow
            from discord.permission_overwrites o
           where o.guild_id = g.id and o.channel_id = p.overwrites_of and o.deleted_at is null
             and (o.type = 0 and o.id = any (r.ids) or o.type = 1 and o.id = m.user_id)) o
     where g.id = guild and g.left_at is null
$$;
comment on function discord.permissions(bigint, bigint, bigint) is 'Permissions of a user in a channel, or in the guild when channel is null. 0: not a known member; null: guild or channel is not known, deleted or left. Does not ask whether the user is in a private thread: can_see does.';

create function discord.permissions_in_channel(guild bigint, channel bigint) returns table (user_id bigint, permissions bigint)
language sql stable parallel safe rows 1000 as $$
    with place as materialized (
        select g.id as guild_id, g.owner_id, c.type, case when c.type in (10, 11, 12) then c.parent_id else c.id end as overwrites_of
          from discord.guilds g
          join discord.channels c on c.guild_id = g.id and c.id = channel and c.deleted_at is null
         where g.id = guild and g.left_at is null
           and ((c.type in (10, 11, 12)) is not true
                or exists (select from discord.channels parent
                            where parent.guild_id = c.guild_id and parent.id = c.parent_id and parent.deleted_at is null))
    ), overwrites as materialized (
        select o.id, o.type, o.deny, o.allow
          from place p
          join discord.permission_overwrites o on o.guild_id = p.guild_id and o.channel_id = p.overwrites_of and o.deleted_at is null
    ), rights as materialized (
        select r.id, r.permissions, o.deny, o.allow
          from discord.roles r
          left join overwrites o on o.id = r.id and o.type = 0
         where r.guild_id = guild and r.deleted_at is null
    )
    select f.user_id,
           case when f.is_owner or f.role_permissions & 8 <> 0 then discord.all_permissions()
                else discord.usable_permissions(f.permissions, f.type, f.timed_out) end
      from (select m.user_id, p.type, m.user_id is not distinct from p.owner_id as is_owner, m.timed_out,
                   b.permissions | coalesce(m.permissions, 0) as role_permissions,
                   discord.overwritten_permissions(b.permissions | coalesce(m.permissions, 0), b.deny, b.allow, m.deny, m.allow, o.deny, o.allow) as permissions
              from place p
             cross join (select coalesce(bit_or(r.permissions), 0) as permissions, bit_or(r.deny) as deny, bit_or(r.allow) as allow
                           from rights r where r.id = guild) b
             cross join (select held.user_id, held.timed_out, bit_or(r.permissions) as permissions, bit_or(r.deny) as deny, bit_or(r.allow) as allow
                           -- 0 keeps members without a role. A set in the select list is joined by hash, one in FROM row by row.
                           from (select m.user_id, coalesce(m.communication_disabled_until > now(), false) as timed_out,
                                        unnest(coalesce(m.roles, '{}') || 0::bigint) as role_id
                                   from discord.members m
                                  where m.guild_id = guild and m.left_at is null) held
                           left join rights r on r.id = held.role_id and r.id <> guild
                          group by held.user_id, held.timed_out) m
              left join overwrites o on o.id = m.user_id and o.type = 1
            -- Keeps the sum of the overwrites from being written out, and computed, once for each use.
            offset 0) f
$$;
comment on function discord.permissions_in_channel(bigint, bigint) is 'permissions() of every member of a guild in one channel, in one pass.';

create function discord.permissions_of_user(guild bigint, "user" bigint) returns table (channel_id bigint, permissions bigint)
language sql stable parallel safe rows 100 as $$
    with holder as materialized (
        select g.id as guild_id, m.user_id, coalesce(m.communication_disabled_until > now(), false) as timed_out,
               r.permissions, r.ids, g.owner_id is not distinct from m.user_id or r.permissions & 8 <> 0 as is_exempt
          from discord.guilds g
          join discord.members m on m.guild_id = g.id and m.user_id = "user" and m.left_at is null
         cross join lateral (
              select coalesce(bit_or(r.permissions), 0) as permissions, array_agg(r.id) as ids
                from discord.roles r
               where r.guild_id = g.id and r.id = any (m.roles || g.id) and r.deleted_at is null) r
         where g.id = guild and g.left_at is null
    ), overwrites as materialized (
        select o.channel_id,
               bit_or(o.deny) filter (where o.type = 0 and o.id = guild) as everyone_deny,
               bit_or(o.allow) filter (where o.type = 0 and o.id = guild) as everyone_allow,
               bit_or(o.deny) filter (where o.type = 0 and o.id <> guild) as roles_deny,
               bit_or(o.allow) filter (where o.type = 0 and o.id <> guild) as roles_allow,
               bit_or(o.deny) filter (where o.type = 1) as member_deny,
               bit_or(o.allow) filter (where o.type = 1) as member_allow
          from holder h
          join discord.permission_overwrites o
            on o.guild_id = h.guild_id and o.deleted_at is null
           and (o.type = 0 and o.id = any (h.ids) or o.type = 1 and o.id = h.user_id)
         where not h.is_exempt
         group by o.channel_id
    )
    select f.channel_id,
           case when f.is_exempt then discord.all_permissions() else discord.usable_permissions(f.permissions, f.type, f.timed_out) end
      from (select c.id as channel_id, c.type, h.is_exempt, h.timed_out,
                   discord.overwritten_permissions(h.permissions, o.everyone_deny, o.everyone_allow, o.roles_deny, o.roles_allow, o.member_deny, o.member_allow) as permissions
              from holder h
              join discord.channels c on c.guild_id = h.guild_id and c.deleted_at is null
              left join discord.channels parent on parent.guild_id = c.guild_id and parent.id = c.parent_id and parent.deleted_at is null
              left join overwrites o on o.channel_id = case when c.type in (10, 11, 12) then c.parent_id else c.id end
             where (c.type in (10, 11, 12)) is not true or parent.id is not null
            offset 0) f
$$;
comment on function discord.permissions_of_user(bigint, bigint) is 'permissions() of one member in every channel and thread of a guild, in one pass; nothing for who is not a member.';

create function discord.can_see(guild bigint, channel bigint, "user" bigint) returns boolean
language sql stable parallel safe as $$
    select case when p.permissions is not null then
               p.permissions & 1024 <> 0
               and (p.permissions & 17179869184 <> 0
                    or not exists (select from discord.channels c where c.guild_id = guild and c.id = channel and c.type = 12)
                    or exists (select from discord.thread_members t
                                where t.guild_id = guild and t.thread_id = channel and t.user_id = "user" and t.left_at is null))
           end
      from (select discord.permissions(guild, channel, "user") as permissions offset 0) p
$$;
comment on function discord.can_see(bigint, bigint, bigint) is 'Whether a user can see a channel: VIEW_CHANNEL, and in a private thread also being in it or MANAGE_THREADS. Null like permissions().';

create function discord.channel_viewers(guild bigint, channel bigint) returns setof bigint
language sql stable parallel safe rows 1000 as $$
    select p.user_id
      from discord.permissions_in_channel(guild, channel) p
     where p.permissions & 1024 <> 0
       and (p.permissions & 17179869184 <> 0
            or not exists (select from discord.channels c where c.guild_id = guild and c.id = channel and c.type = 12)
            or p.user_id in (select t.user_id from discord.thread_members t
                              where t.guild_id = guild and t.thread_id = channel and t.left_at is null))
$$;
comment on function discord.channel_viewers(bigint, bigint) is 'User ids of the members for whom can_see() is true, in one pass.';

create function discord.visible_channels(guild bigint, "user" bigint) returns setof bigint
language sql stable parallel safe rows 100 as $$
    select p.channel_id
      from discord.permissions_of_user(guild, "user") p
      join discord.channels c on c.guild_id = guild and c.id = p.channel_id
     where p.permissions & 1024 <> 0
       and (p.permissions & 17179869184 <> 0 or c.type is distinct from 12
            or exists (select from discord.thread_members t
                        where t.guild_id = guild and t.thread_id = c.id and t.user_id = "user" and t.left_at is null))
$$;
comment on function discord.visible_channels(bigint, bigint) is 'Ids of the channels, categories and threads of a guild for which can_see() is true, in one pass.';

-- Messages.

create or replace view discord.message_history as
select r.guild_id, r.id, r.revision, r.channel_id, r.content, r.embeds, r.attachments, r.edited_timestamp, r.seen_at, r.superseded_at, r.cause,
       false as is_current, null::timestamptz as deleted_at, null::text as delete_cause
  from discord.message_revisions r
union all
select m.guild_id, m.id, m.revision, m.channel_id, m.content, m.embeds, m.attachments, m.edited_timestamp, m.seen_at, null, null,
       true, coalesce(m.deleted_at, c.deleted_at), case when m.deleted_at is null and c.deleted_at is not null then 'channel' else m.delete_cause end
  from discord.messages m
  left join discord.channels c on c.guild_id = m.guild_id and c.id = m.channel_id;
comment on view discord.message_history is 'Every version of every message, superseded and current; order by id, revision. The messages of a deleted channel are deleted with cause channel.';

create view discord.current_messages as
select m.* from discord.messages m
 where m.deleted_at is null
   and not exists (select from discord.channels c
                    where c.guild_id = m.guild_id and c.id = m.channel_id and c.deleted_at is not null);
comment on view discord.current_messages is 'Messages that still exist: neither they nor their channel were deleted.';

create index messages_pins on discord.messages (channel_id, id) where pinned and deleted_at is null;
comment on index discord.messages_pins is 'For the pins of a channel.';
create view discord.pins as
select m.* from discord.current_messages m where m.pinned and m.deleted_at is null;
comment on view discord.pins is 'Pinned messages that still exist, as far as they have been seen.';

create function discord.message_search_configuration() returns regconfig
language sql immutable parallel safe as $$
    select 'simple'::regconfig
$$;
comment on function discord.message_search_configuration() is 'Text search configuration of search_messages; create_message_search_index replaces it.';

create function discord.drop_message_search_index() returns void
language plpgsql as $$
begin
    drop index if exists discord.messages_content_search;
end
$$;
comment on function discord.drop_message_search_index() is 'Drops what create_message_search_index made; search_messages keeps its configuration.';

create function discord.create_message_search_index(configuration regconfig default 'simple') returns void
language plpgsql as $$
begin
    -- One that was made by hand, partition by partition, is kept if it is of this configuration.
    if position(format('to_tsvector(%L::regconfig,', configuration)
                in pg_get_indexdef(to_regclass('discord.messages_content_search'))) = 0 then
        perform discord.drop_message_search_index();
    end if;
    execute format('create or replace function discord.message_search_configuration() returns regconfig language sql immutable parallel safe as %L',
                   format('select %L::regconfig', configuration));
    execute format('create index if not exists messages_content_search on discord.messages using gin (to_tsvector(%L::regconfig, content)) where deleted_at is null',
                   configuration);
    comment on index discord.messages_content_search is 'For search_messages; made by create_message_search_index.';
end
$$;
comment on function discord.create_message_search_index(regconfig) is 'Makes the index that search_messages needs to be fast, on present and future partitions, and sets its configuration: simple takes words as they are, english and others know stems and stop words. Writers wait meanwhile.';

create function discord.search_messages(
    query text, guild bigint default null, channel bigint default null, author bigint default null, "limit" integer default 25)
returns table (guild_id bigint, channel_id bigint, id bigint, author_id bigint, "timestamp" timestamptz, content text)
language sql stable parallel safe rows 25 as $$
    select m.guild_id, m.channel_id, m.id, m.author_id, m."timestamp", m.content
      from discord.messages m
     where to_tsvector(discord.message_search_configuration(), m.content) @@ websearch_to_tsquery(discord.message_search_configuration(), query)
       and m.deleted_at is null
       and (guild is null or m.guild_id = guild)
       and (channel is null or m.channel_id = channel)
       and (search_messages.author is null or m.author_id = search_messages.author)
       -- As a value, not as a join: looked up for the few messages that match, however the planner misjudges their number.
       and (select c.deleted_at from discord.channels c where c.guild_id = m.guild_id and c.id = m.channel_id) is null
     order by m.id desc
     limit "limit"
$$;
comment on function discord.search_messages(text, bigint, bigint, bigint, integer) is 'Newest messages that still exist and match a search as of a search engine: words, "phrases", or, -without. Reads every message unless create_message_search_index() was called.';

create view discord.message_reactions as
select r.guild_id, r.message_id, min(r.channel_id) as channel_id, r.emoji_key, max(r.emoji_id) as emoji_id, max(r.emoji_name) as emoji_name,
       count(*) as count, count(*) filter (where r.type = 1) as burst_count
  from discord.reactions r
 where r.removed_at is null
 group by r.guild_id, r.message_id, r.emoji_key;
comment on view discord.message_reactions is 'How often each emoji stands under a message, as far as it was told; burst_count is the part of count that are super reactions.';

create index messages_polls on discord.messages (guild_id, id) where poll is not null;
comment on index discord.messages_polls is 'For poll_answers.';
create view discord.poll_answers as
select m.guild_id, m.id as message_id, m.channel_id, m.poll #>> '{question,text}' as question,
       discord.json_bigint(a.answer -> 'answer_id') as answer_id, a.answer #>> '{poll_media,text}' as text,
       coalesce(a.answer #>> '{poll_media,emoji,name}', a.answer #>> '{poll_media,emoji,id}') as emoji,
       (select discord.json_bigint(n.told -> 'count')
          from jsonb_array_elements(case when jsonb_typeof(m.poll #> '{results,answer_counts}') = 'array' then m.poll #> '{results,answer_counts}' end) n (told)
         where n.told -> 'id' = a.answer -> 'answer_id' limit 1) as told_votes,
       (select count(*) from discord.poll_votes v
         where v.guild_id = m.guild_id and v.message_id = m.id and v.answer_id = discord.json_bigint(a.answer -> 'answer_id')
           and v.removed_at is null) as seen_votes,
       coalesce(m.poll #> '{results,is_finalized}' = 'true', false) as is_finalized
  from discord.current_messages m
 cross join lateral jsonb_array_elements(case when jsonb_typeof(m.poll -> 'answers') = 'array' then m.poll -> 'answers' end) a (answer)
 where m.poll is not null;
comment on view discord.poll_answers is 'One row per answer of a poll: told_votes is what the message said when it was last told (null: nothing), seen_votes are the rows of poll_votes.';

-- Presences and voice.

create view discord.activities as
select p.guild_id, p.user_id, p.status, a.place::integer as "position", discord.json_bigint(a.activity -> 'type')::integer as type,
       a.activity ->> 'name' as name, a.activity ->> 'details' as details, a.activity ->> 'state' as state, a.activity ->> 'url' as url,
       discord.json_bigint(a.activity -> 'application_id') as application_id,
       discord.json_time(a.activity #> '{timestamps,start}') as started_at, discord.json_time(a.activity #> '{timestamps,end}') as ends_at
  from discord.presences p
 cross join lateral jsonb_array_elements(case when jsonb_typeof(p.activities) = 'array' then p.activities end) with ordinality a (activity, place);
comment on view discord.activities is 'One row per activity of a presence. Type 0: playing, 1: streaming, 2: listening, 3: watching, 4: custom status, 5: competing. Discord does not check these values; what is not of its documented type is null.';

create view discord.online_counts as
select g.id as guild_id, m.members, p.online, p.idle, p.dnd, m.members - p.online - p.idle - p.dnd as offline, p.on_mobile, v.in_voice
  from discord.guilds g
 cross join lateral (select count(*) as members from discord.members m where m.guild_id = g.id and m.left_at is null) m
 cross join lateral (
       select count(*) filter (where p.status = 'online') as online, count(*) filter (where p.status = 'idle') as idle,
              count(*) filter (where p.status = 'dnd') as dnd, count(*) filter (where p.client_status ? 'mobile') as on_mobile
         from discord.presences p
         join discord.members m on m.guild_id = p.guild_id and m.user_id = p.user_id and m.left_at is null
        where p.guild_id = g.id) p
 cross join lateral (select count(*) as in_voice from discord.voice_states v
                      where v.guild_id = g.id and v.channel_id is not null and v.left_at is null) v
 where g.left_at is null;
comment on view discord.online_counts is 'Known members of each guild by status. Who has no presence counts as offline.';

create view discord.voice_counts as
select v.guild_id, v.channel_id, c.name, c.type, count(*) as users, count(*) filter (where v.self_stream) as streaming,
       count(*) filter (where v.self_video) as with_video, count(*) filter (where v.suppress) as audience
  from discord.voice_states v
  left join discord.channels c on c.guild_id = v.guild_id and c.id = v.channel_id
 where v.left_at is null and v.channel_id is not null
 group by v.guild_id, v.channel_id, c.guild_id, c.id;
comment on view discord.voice_counts is 'How many users are in each voice channel (type 2) and stage (type 13; audience: who may not speak).';

-- Invites.

create view discord.invites_in_force as
select i.* from discord.invites i
 where i.deleted_at is null
   and coalesce(i.expires_at, i.created_at + nullif(i.max_age, 0) * interval '1 second', 'infinity') > now()
   and (coalesce(i.max_uses, 0) = 0 or coalesce(i.uses, 0) < i.max_uses)
   and not exists (select from discord.channels c
                    where c.guild_id = i.guild_id and c.id = i.channel_id and c.deleted_at is not null);
comment on view discord.invites_in_force is 'Invites that are neither deleted nor expired nor, as far as Discord told, used up.';

-- The past.

create function discord.row_as_of(entity text, guild bigint, entity_id bigint, at timestamptz, channel bigint default null) returns jsonb
language plpgsql stable parallel safe as $$
#variable_conflict use_column
declare
    id_column text;
    tombstone text;
    state jsonb;
    change record;
begin
    select e.id_column, e.tombstone into id_column, tombstone
      from (values ('guilds', 'id', 'left_at'), ('users', 'id', null), ('members', 'user_id', 'left_at'), ('roles', 'id', 'deleted_at'),
                   ('channels', 'id', 'deleted_at'), ('permission_overwrites', 'id', 'deleted_at'), ('presences', 'user_id', null),
                   ('voice_states', 'user_id', 'left_at'), ('bans', 'user_id', 'deleted_at'), ('emojis', 'id', 'deleted_at'),
                   ('stickers', 'id', 'deleted_at'), ('soundboard_sounds', 'id', 'deleted_at'), ('scheduled_events', 'id', 'deleted_at'),
                   ('stage_instances', 'id', 'deleted_at'), ('integrations', 'id', 'deleted_at'), ('auto_moderation_rules', 'id', 'deleted_at'))
           e (entity, id_column, tombstone)
     where e.entity = row_as_of.entity;
    if id_column is null then
        raise exception 'the past of % is not kept by a number', entity using errcode = 'invalid_parameter_value';
    end if;
    if (entity = 'permission_overwrites') <> (channel is not null) then
        raise exception 'a channel is named for permission_overwrites, and for nothing else' using errcode = 'invalid_parameter_value';
    end if;
    -- A snowflake is not older than its thing. Bans and the like have the id of a user.
    if id_column = 'id' and entity <> 'permission_overwrites' and discord.snowflake_time(entity_id) > at then
        return null;
    end if;

    execute format('select to_jsonb(t) from discord.%I t where %s t.%I = $2 %s', entity,
                   case when entity not in ('guilds', 'users') then 't.guild_id = $1 and' end, id_column,
                   case when entity = 'permission_overwrites' then 'and t.channel_id = $3' end)
       into state using guild, entity_id, channel;
    if (state ->> tombstone)::timestamptz <= at then
        state := null;
    end if;
    for change in
        select c.action, c.old from discord.changes c
         where c.guild_id = guild and c.entity = row_as_of.entity and c.entity_id = row_as_of.entity_id and c.at > row_as_of.at
           and c.channel_id is not distinct from coalesce(channel, c.channel_id)
         order by c.at desc, c.transaction_id desc, c.id desc
    loop
        state := case change.action when 'create' then null else coalesce(state, '{}') || coalesce(change.old, '{}') end;
    end loop;
    if entity = 'members' and (state ->> 'joined_at')::timestamptz > at then
        return null;
    end if;
    return state - array['left_at', 'deleted_at', 'updated_at', 'told_session', 'told_sequence'];
end
$$;
comment on function discord.row_as_of(text, bigint, bigint, timestamptz, bigint) is 'A row as it was at a time: the row of now with every later change undone; null when it was not there. Fields that [history] does not track have the value of now. entity is the table; guild is 0 for users; channel is for permission_overwrites.';

create function discord.guild_as_of(guild bigint, at timestamptz) returns jsonb
language sql stable parallel safe as $$ select discord.row_as_of('guilds', guild, guild, at) $$;
comment on function discord.guild_as_of(bigint, timestamptz) is 'A guild as it was at a time; null when no bot was in it. See row_as_of.';

create function discord.channel_as_of(guild bigint, channel bigint, at timestamptz) returns jsonb
language sql stable parallel safe as $$ select discord.row_as_of('channels', guild, channel, at) $$;
comment on function discord.channel_as_of(bigint, bigint, timestamptz) is 'A channel as it was at a time; null when it did not exist. See row_as_of.';

create function discord.role_as_of(guild bigint, role bigint, at timestamptz) returns jsonb
language sql stable parallel safe as $$ select discord.row_as_of('roles', guild, role, at) $$;
comment on function discord.role_as_of(bigint, bigint, timestamptz) is 'A role as it was at a time; null when it did not exist. See row_as_of.';

create function discord.member_as_of(guild bigint, "user" bigint, at timestamptz) returns jsonb
language sql stable parallel safe as $$ select discord.row_as_of('members', guild, "user", at) $$;
comment on function discord.member_as_of(bigint, bigint, timestamptz) is 'A member as it was at a time; null when the user was not in the guild. See row_as_of.';

create function discord.user_as_of("user" bigint, at timestamptz) returns jsonb
language sql stable parallel safe as $$ select discord.row_as_of('users', 0, "user", at) $$;
comment on function discord.user_as_of(bigint, timestamptz) is 'A user as it was at a time. See row_as_of.';

-- Who did it: https://discord.com/developers/docs/resources/audit-log.

create table discord.audit_log_actions (
    entity      text    not null,
    action      text    not null check (action in ('create', 'update', 'delete')),
    action_type integer not null,
    name        text    not null,
    target      text    not null check (target in ('entity', 'channel', 'none')),
    primary key (entity, action, action_type)
);
comment on table discord.audit_log_actions is 'Which audit log entries can stand behind which changes. Filled by the schema.';
comment on column discord.audit_log_actions.entity is 'changes.entity.';
comment on column discord.audit_log_actions.action is 'changes.action.';
comment on column discord.audit_log_actions.action_type is 'audit_log_entries.action_type.';
comment on column discord.audit_log_actions.name is 'Discord''s name of the type.';
comment on column discord.audit_log_actions.target is 'What audit_log_entries.target_id is: entity: changes.entity_id; channel: changes.channel_id, and options.id is changes.entity_id; none: null, so that such an entry is at most likely.';

insert into discord.audit_log_actions (entity, action, action_type, name, target) values
    ('guilds', 'update', 1, 'GUILD_UPDATE', 'entity'),
    ('channels', 'create', 10, 'CHANNEL_CREATE', 'entity'),
    ('channels', 'update', 11, 'CHANNEL_UPDATE', 'entity'),
    ('channels', 'delete', 12, 'CHANNEL_DELETE', 'entity'),
    ('channels', 'create', 110, 'THREAD_CREATE', 'entity'),
    ('channels', 'update', 111, 'THREAD_UPDATE', 'entity'),
    ('channels', 'delete', 112, 'THREAD_DELETE', 'entity'),
    ('permission_overwrites', 'create', 13, 'CHANNEL_OVERWRITE_CREATE', 'channel'),
    ('permission_overwrites', 'update', 14, 'CHANNEL_OVERWRITE_UPDATE', 'channel'),
    ('permission_overwrites', 'delete', 15, 'CHANNEL_OVERWRITE_DELETE', 'channel'),
    ('members', 'create', 28, 'BOT_ADD', 'entity'),
    ('members', 'update', 24, 'MEMBER_UPDATE', 'entity'),
    ('members', 'update', 25, 'MEMBER_ROLE_UPDATE', 'entity'),
    ('members', 'delete', 20, 'MEMBER_KICK', 'entity'),
    ('members', 'delete', 21, 'MEMBER_PRUNE', 'none'),
    ('members', 'delete', 22, 'MEMBER_BAN_ADD', 'entity'),
    ('bans', 'create', 22, 'MEMBER_BAN_ADD', 'entity'),
    ('bans', 'delete', 23, 'MEMBER_BAN_REMOVE', 'entity'),
    ('roles', 'create', 30, 'ROLE_CREATE', 'entity'),
    ('roles', 'update', 31, 'ROLE_UPDATE', 'entity'),
    ('roles', 'delete', 32, 'ROLE_DELETE', 'entity'),
    ('emojis', 'create', 60, 'EMOJI_CREATE', 'entity'),
    ('emojis', 'update', 61, 'EMOJI_UPDATE', 'entity'),
    ('emojis', 'delete', 62, 'EMOJI_DELETE', 'entity'),
    ('integrations', 'create', 80, 'INTEGRATION_CREATE', 'entity'),
    ('integrations', 'update', 81, 'INTEGRATION_UPDATE', 'entity'),
    ('integrations', 'delete', 82, 'INTEGRATION_DELETE', 'entity'),
    ('stage_instances', 'create', 83, 'STAGE_INSTANCE_CREATE', 'entity'),
    ('stage_instances', 'update', 84, 'STAGE_INSTANCE_UPDATE', 'entity'),
    ('stage_instances', 'delete', 85, 'STAGE_INSTANCE_DELETE', 'entity'),
    ('stickers', 'create', 90, 'STICKER_CREATE', 'entity'),
    ('stickers', 'update', 91, 'STICKER_UPDATE', 'entity'),
    ('stickers', 'delete', 92, 'STICKER_DELETE', 'entity'),
    ('scheduled_events', 'create', 100, 'GUILD_SCHEDULED_EVENT_CREATE', 'entity'),
    ('scheduled_events', 'update', 101, 'GUILD_SCHEDULED_EVENT_UPDATE', 'entity'),
    ('scheduled_events', 'delete', 102, 'GUILD_SCHEDULED_EVENT_DELETE', 'entity'),
    ('soundboard_sounds', 'create', 130, 'SOUNDBOARD_SOUND_CREATE', 'entity'),
    ('soundboard_sounds', 'update', 131, 'SOUNDBOARD_SOUND_UPDATE', 'entity'),
    ('soundboard_sounds', 'delete', 132, 'SOUNDBOARD_SOUND_DELETE', 'entity'),
    ('auto_moderation_rules', 'create', 140, 'AUTO_MODERATION_RULE_CREATE', 'entity'),
    ('auto_moderation_rules', 'update', 141, 'AUTO_MODERATION_RULE_UPDATE', 'entity'),
    ('auto_moderation_rules', 'delete', 142, 'AUTO_MODERATION_RULE_DELETE', 'entity');

create function discord.audit_entry_names(told jsonb, old jsonb, new jsonb) returns boolean
language sql immutable parallel safe as $$
    select exists (
        select from jsonb_array_elements(case when jsonb_typeof(told) = 'array' then told end) e (change)
         where case e.change ->> 'key'
                   when '$add' then (
                       select bool_and(coalesce(new -> 'roles' @> r.id and not old -> 'roles' @> r.id, false))
                         from jsonb_array_elements(case when jsonb_typeof(e.change -> 'new_value') = 'array' then e.change -> 'new_value' end) a (role)
                        cross join lateral (select to_jsonb(discord.json_bigint(a.role -> 'id')) as id) r)
                   when '$remove' then (
                       select bool_and(coalesce(old -> 'roles' @> r.id and not new -> 'roles' @> r.id, false))
                         from jsonb_array_elements(case when jsonb_typeof(e.change -> 'new_value') = 'array' then e.change -> 'new_value' end) a (role)
                        cross join lateral (select to_jsonb(discord.json_bigint(a.role -> 'id')) as id) r)
                   -- Discord and PostgreSQL write fractions and zones of a time differently.
                   when 'communication_disabled_until' then
                       new ? 'communication_disabled_until'
                       and left(new ->> 'communication_disabled_until', 19) is not distinct from left(e.change ->> 'new_value', 19)
                   -- Images are icon_hash, avatar_hash and so on in the audit log.
                   else new ? regexp_replace(e.change ->> 'key', '_hash$', '')
                        and new ->> regexp_replace(e.change ->> 'key', '_hash$', '') is not distinct from e.change ->> 'new_value'
               end)
$$;
comment on function discord.audit_entry_names(jsonb, jsonb, jsonb) is 'Whether an audit log entry''s changes name a field of an update with its new value.';

create view discord.change_log as
select c.*, e.actor_id, e.reason, e.audit_log_entry_id, e.certainty
  from discord.changes c
  left join lateral (
      select f.user_id as actor_id, f.reason, f.id as audit_log_entry_id,
             case when c.source = 'event' and f.is_named and f.named = 1 then 'certain' else 'likely' end as certainty
        from (select l.id, l.user_id, l.reason, n.is_named, count(*) filter (where n.is_named) over () as named
                from (select a.action_type, case a.target when 'entity' then c.entity_id when 'channel' then c.channel_id end as target_id, a.target
                        from discord.audit_log_actions a
                       where a.entity = c.entity and a.action = c.action and a.target <> 'none') a
                join discord.audit_log_entries l
                  on l.guild_id = c.guild_id and l.target_id = a.target_id and l.action_type = a.action_type
                 -- Told after a resume, an event is minutes late; our clock may be seconds behind Discord's.
                 and l.id between discord.snowflake_at(c.at - case c.source when 'event' then interval '5 minutes' else interval '1 day' end)
                              and discord.snowflake_at(c.at + interval '10 seconds')
               cross join lateral (
                     select c.action <> 'update' or discord.audit_entry_names(l.changes, c.old, c.new) as is_named) n
               where (a.target = 'entity' or discord.json_bigint(l.options -> 'id') = c.entity_id)
                 and (n.is_named or c.source = 'event')
               union all
              select l.id, l.user_id, l.reason, false, 0
                from discord.audit_log_actions a
                join discord.audit_log_entries l
                  on l.guild_id = c.guild_id and l.target_id is null and l.action_type = a.action_type
                 and l.id between discord.snowflake_at(c.at - case c.source when 'event' then interval '5 minutes' else interval '1 day' end)
                              and discord.snowflake_at(c.at + interval '10 seconds')
               where a.entity = c.entity and a.action = c.action and a.target = 'none') f
       order by f.is_named desc, f.id desc
       limit 1) e on true;
comment on view discord.change_log is 'Changes with who made them and why, from the audit log, as far as it was told. certain: exactly one entry fits, and it is the deed itself or names the new value; likely: several fit, or one that does not name the value, or the change was found afterwards (source sync). Null: none fits, as when a member leaves by itself.';
