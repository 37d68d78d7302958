create schema if not exists discorddb;
comment on schema discorddb is 'Discord guilds used as databases.';

create table discorddb.journals (
    guild_id bigint not null,
    name text not null,
    identity bigint not null,
    next_id bigint not null,
    primary key (guild_id, name)
);
comment on table discorddb.journals is 'One row per commit queue: what writes to a guild that is used as a database.';
comment on column discorddb.journals.guild_id is 'The guild.';
comment on column discorddb.journals.name is 'Whose queue it is: each process that writes to the guild at one time has another.';
comment on column discorddb.journals.identity is 'Chosen at random; with the id of an action it makes the nonce of its message.';
comment on column discorddb.journals.next_id is 'Actions before this one have ended and were removed from the journal.';

create table discorddb.journal (
    guild_id bigint not null,
    name text not null,
    id bigint not null,
    request_id bigint,
    type_index smallint not null,
    action json not null,
    state text not null default 'pending' check (state in ('pending', 'sent', 'done', 'failed')),
    sent json,
    channel_id bigint,
    definition_id bigint,
    made_id bigint,
    error text,
    queued_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    primary key (guild_id, name, id),
    foreign key (guild_id, name) references discorddb.journals
);
comment on table discorddb.journal is 'Writes to Discord that were queued. Those that have ended are removed now and then.';
comment on column discorddb.journal.guild_id is 'The guild.';
comment on column discorddb.journal.name is 'Whose queue it is.';
comment on column discorddb.journal.request_id is 'Row of discorddb.requests that asked for it; null when the process itself did.';
comment on column discorddb.journal.id is 'The place of the action in its queue, counted from 1.';
comment on column discorddb.journal.type_index is '0 create database, 1 create table, 2 create record, 3 update record, 4 delete record, 5 delete table, 6 delete database.';
comment on column discorddb.journal.action is 'What to do. Not jsonb, which cannot hold U+0000.';
comment on column discorddb.journal.state is 'pending; sent: a creation that Discord may have made; done; failed.';
comment on column discorddb.journal.sent is 'How a creation was sent: when (at_ms), after which snowflake to look for it, and with which updates.';
comment on column discorddb.journal.channel_id is 'The channel of a table that is being made.';
comment on column discorddb.journal.definition_id is 'The message that defines a table that is being made.';
comment on column discorddb.journal.made_id is 'What was made: the snowflake of a category, channel or message.';
comment on column discorddb.journal.error is 'Why it failed.';
comment on column discorddb.journal.queued_at is 'When it was queued.';
comment on column discorddb.journal.changed_at is 'When its state last changed.';
