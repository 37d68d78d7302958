-- The history of changes, and how readers follow it.

create table discord.change_feed (
    only_row   boolean not null default true primary key check (only_row),
    xid_offset bigint  not null default 0
);
insert into discord.change_feed default values;
comment on table discord.change_feed is 'One row: what to add to PostgreSQL''s transaction ids so that they never go back, not even when a dump is restored into another cluster.';
comment on column discord.change_feed.only_row is 'True: there is one row.';
comment on column discord.change_feed.xid_offset is 'Added to the transaction id. Raised by continue_changes() when that is needed; never lowered.';

-- Volatile: with a snapshot of its own it sees an offset that was raised while it waited for the lock.
create function discord.change_transaction() returns bigint language sql volatile as
    'select pg_current_xact_id()::text::bigint + xid_offset from discord.change_feed';
comment on function discord.change_transaction() is 'What a writer puts into changes.transaction_id. Once per statement is enough: (select discord.change_transaction()).';

-- Stable: offset, oldest transaction and the rows of the statement that calls it are of one snapshot.
create function discord.change_horizon() returns bigint language sql stable as
    'select pg_snapshot_xmin(pg_current_snapshot())::text::bigint + xid_offset from discord.change_feed';
comment on function discord.change_horizon() is 'Every row of changes with a lower transaction_id is committed and visible to this statement, or never will be.';

create sequence discord.changes_id_seq;

create table discord.changes (
    transaction_id bigint      not null default discord.change_transaction(),
    id             bigint      not null default nextval('discord.changes_id_seq'),
    at             timestamptz not null,
    bot_id         bigint      not null,
    guild_id       bigint      not null,
    entity         text        not null,
    entity_id      bigint      not null,
    channel_id     bigint,
    user_id        bigint,
    action         text        not null check (action in ('create', 'update', 'delete')),
    source         text        not null check (source in ('event', 'sync')),
    old            jsonb,
    new            jsonb,
    primary key (transaction_id, id, at)
) partition by range (at);
create table discord.changes_default partition of discord.changes default;
alter sequence discord.changes_id_seq owned by discord.changes.id;
create index on discord.changes (guild_id, entity, entity_id, at);
create index on discord.changes (guild_id, at);
create index on discord.changes (user_id, at) where user_id is not null;
comment on table discord.changes is 'What changed, from what to what: one row per row that an event changed, for the fields that [history] track names. Partitioned by month of at; view change_log adds who did it.';
comment on column discord.changes.transaction_id is 'Transaction that wrote the row. Readers follow (transaction_id, id) and stay below change_horizon(), the oldest transaction under way, so that no late commit is skipped.';
comment on column discord.changes.id is 'Row number: the order within a transaction.';
comment on column discord.changes.at is 'When the event was received that told of it.';
comment on column discord.changes.bot_id is 'Bot that was told first.';
comment on column discord.changes.guild_id is 'Guild, or 0.';
comment on column discord.changes.entity is 'Table that the changed row is in.';
comment on column discord.changes.entity_id is 'Which row of the guild: the last column of its key, such as members.user_id, roles.id or permission_overwrites.id.';
comment on column discord.changes.channel_id is 'Channel that the row belongs to (permission_overwrites).';
comment on column discord.changes.user_id is 'User that the row is about: members, users, bans, presences, voice states.';
comment on column discord.changes.action is 'create: it is there now (again); update: its fields changed; delete: it is gone. For members these are joining and leaving.';
comment on column discord.changes.source is 'event: Discord told of this change; sync: found by comparing with what Discord tells of the present, such as after having been offline.';
comment on column discord.changes.old is 'Tracked fields that changed, before; all of them for delete.';
comment on column discord.changes.new is 'Tracked fields that changed, after; all of them for create.';

create table discord.change_cursors (
    name           text        not null primary key,
    transaction_id bigint      not null,
    id             bigint      not null,
    updated_at     timestamptz not null
);
comment on table discord.change_cursors is 'How far named readers of changes have come. One row each: a reader that is gone costs nothing.';
comment on column discord.change_cursors.name is 'Name that the reader chose.';
comment on column discord.change_cursors.transaction_id is 'Last row that was acknowledged: its transaction_id.';
comment on column discord.change_cursors.id is 'Last row that was acknowledged: its id.';
comment on column discord.change_cursors.updated_at is 'When that was.';

create table discord.bot_echoes (
    guild_id   bigint      not null,
    entity     text        not null,
    entity_key text        not null,
    bot_id     bigint      not null,
    id         bigint      not null generated always as identity,
    state      jsonb       not null,
    at         timestamptz not null,
    primary key (guild_id, entity, entity_key, bot_id, id)
);
comment on table discord.bot_echoes is 'Where several bots see a guild: what one bot told and another is still to tell. The other''s news is compared with it, so that what arrives a second time, and late, is not taken for a change. Rows live for minutes.';
comment on column discord.bot_echoes.guild_id is 'Guild.';
comment on column discord.bot_echoes.entity is 'Table that the row is in.';
comment on column discord.bot_echoes.entity_key is 'Key of the row without the guild.';
comment on column discord.bot_echoes.bot_id is 'Bot that is still to tell it.';
comment on column discord.bot_echoes.id is 'Order in which the states were told.';
comment on column discord.bot_echoes.state is 'Fields with history as they were then.';
comment on column discord.bot_echoes.at is 'When it was told first.';
-- Whoever has called change_transaction() holds a lock on change_feed until it ends, so no row with the
-- old offset is still to come once the new one can be seen.
create function discord.continue_changes() returns boolean language plpgsql volatile as $$
declare
    is_behind boolean;
begin
    -- Before change_feed is touched: two that wait for each other's lock on it would be a deadlock.
    perform pg_advisory_xact_lock(7238253736502846820);
    select last.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + f.xid_offset into is_behind
      from discord.change_feed f,
           (select greatest((select max(transaction_id) from discord.changes),
                            (select max(transaction_id) from discord.change_cursors)) as transaction_id) last;
    if not coalesce(is_behind, false) then
        return false;
    end if;
    lock table discord.change_feed in access exclusive mode;
    update discord.change_feed f
       set xid_offset = last.transaction_id + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint
      from (select greatest((select max(transaction_id) from discord.changes),
                            (select max(transaction_id) from discord.change_cursors)) as transaction_id) last
     where last.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + f.xid_offset;
    return found;
end $$;
comment on function discord.continue_changes() is 'Raises change_feed.xid_offset when the rows are ahead of this cluster''s transaction ids, as after restoring a dump; says whether it did. Costs little, does nothing otherwise.';
