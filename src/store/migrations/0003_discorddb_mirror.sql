-- DiscordDB as SQL: categories are databases, text channels are tables, messages are records.
-- What is here reads the tables of schema discord; only discorddb.apply_page writes to them.

create schema if not exists discorddb;
comment on schema discorddb is 'Discord guilds used as databases: a view for each table, and what is asked for through the views.';

-- The definitions of tables are found by their pins.
create index messages_pinned on discord.messages (guild_id, channel_id) where pinned and deleted_at is null;

-- The wire format. PostgreSQL's text cannot hold U+0000: it is written U+0001 U+0002, and U+0001 itself
-- U+0001 U+0003. U+0001 U+0004 stands between values for as long as they are one text.

create function discorddb.unescape(content text, separator text) returns text
language plpgsql immutable strict parallel safe as $$
declare
    rest text := content;
    decoded text := '';
    at integer;
    hex text;
    code integer;
    meant text;
    width integer;
begin
    loop
        at := strpos(rest, '\');
        decoded := decoded || replace(replace(
            case when at = 0 then rest else left(rest, at - 1) end, E'\x01', E'\x01\x03'), ':', separator);
        exit when at = 0;
        rest := substr(rest, at + 1);
        width := 1;
        meant := case left(rest, 1)
                   when ':' then ':'
                   when '\' then '\'
                   when 'n' then E'\n'
                   when 'r' then E'\r'
                   when '0' then E'\x01\x02'
                   when 's' then ' '
                   when 'e' then ''
                 end;
        if left(rest, 1) = 'u' then
            hex := substring(rest from '^u\{([0-9A-Fa-f]{1,6})\}');
            code := ('x' || lpad(hex, 8, '0'))::bit(32)::integer;
            width := length(hex) + 3;
            meant := case
                       when code = 0 then E'\x01\x02'
                       when code = 1 then E'\x01\x03'
                       when code between 1 and 55295 or code between 57344 and 1114111 then chr(code)
                     end;
        end if;
        if meant is null then
            -- Nothing that we write: it stays as it is.
            decoded := decoded || '\';
        else
            decoded := decoded || meant;
            rest := substr(rest, width + 1);
        end if;
    end loop;
    return decoded;
end
$$;
comment on function discorddb.unescape(text, text) is 'A text without its escapes, and with separator for its colons.';

-- Not strict, so that it is inlined.
create function discorddb.decode_record(content text) returns text[]
language sql immutable parallel safe as $$
    select case
             when content = '\-' then '{}'
             when content = '' then array['']
             when strpos(content, '\') = 0 then string_to_array(replace(content, E'\x01', E'\x01\x03'), ':')
             -- Of an empty text string_to_array makes no value, and it is one.
             else coalesce(nullif(string_to_array(discorddb.unescape(content, E'\x01\x04'), E'\x01\x04'), '{}'), array[''])
           end
$$;
comment on function discorddb.decode_record(text) is 'The values of a record, given the text of its message. U+0000 is shown as U+0001 U+0002, U+0001 as U+0001 U+0003.';

create function discorddb.is_definition(content text) returns boolean
language sql immutable parallel safe as $$
    select coalesce(content like E'0\n%' or content like E'0\r\n%', false)
$$;
comment on function discorddb.is_definition(text) is 'Whether the text of a pinned message defines a table.';

create function discorddb.decode_definition(content text, out fields text[], out name text)
language sql immutable strict parallel safe as $$
    select discorddb.decode_record(lines[2]),
           (select discorddb.unescape(substr(line, 6), ':')
              from unnest(lines[3:]) with ordinality l (line, place)
             where line like 'name:%' order by place limit 1)
      from (select array_agg(case when line like E'%\r' then left(line, -1) else line end order by place)
              from unnest(string_to_array(content, E'\n')) with ordinality l (line, place)) d (lines)
     where discorddb.is_definition(content)
$$;
comment on function discorddb.decode_definition(text) is 'The fields that the pinned message of a channel defines, and the table''s name when it is not the channel''s.';

create function discorddb.number(value text) returns numeric
language sql immutable strict parallel safe as $$
    select case when length(value) <= 2000 and value ~ '^-?[0-9]+(\.[0-9]+)?$' then value::numeric end
$$;
comment on function discorddb.number(text) is 'The number that a value is, or null. Numbers sort and compare by it.';

-- Records and tables.

create view discorddb.records as
select m.guild_id, m.channel_id, m.id, m.author_id, m.content, m.pinned, m."timestamp" as created_at,
       coalesce(m.edited_timestamp, m."timestamp") as updated_at, m.edited_timestamp, r."values"
  from discord.messages m
 cross join lateral (select discorddb.decode_record(coalesce(m.content, '')) as "values" offset 0) r
 where m.deleted_at is null
   and m.type in (0, 19)
   and not (coalesce(m.pinned, false) and discorddb.is_definition(m.content));
comment on view discorddb.records is 'Every message as a record: what somebody wrote (types 0 and 19), except pinned definitions. Ask for a channel_id.';

create function discorddb.find_tables(guild bigint)
returns table (channel_id bigint, database_id bigint, database text, channel_name text, name text, fields text[], definition_id bigint)
language sql stable parallel safe as $$
    select distinct on (c.id) c.id, p.id, p.name, c.name, coalesce(d.name, c.name), d.fields, m.id
      from discord.channels c
      join discord.channels p on p.guild_id = c.guild_id and p.id = c.parent_id and p.type = 4 and p.deleted_at is null
      join discord.messages m on m.guild_id = c.guild_id and m.channel_id = c.id and m.pinned and m.deleted_at is null
     cross join lateral discorddb.decode_definition(m.content) d
     where c.guild_id = guild and c.type = 0 and c.deleted_at is null
       and p.name is not null and coalesce(d.name, c.name) is not null and d.fields is not null
     order by c.id, m.id
$$;
comment on function discorddb.find_tables(bigint) is 'The tables of a guild: text channels in a category with a pinned definition, of which the oldest counts.';

create table discorddb.tables (
    channel_id    bigint   not null primary key,
    guild_id      bigint   not null,
    database_id   bigint   not null,
    database      text     not null,
    name          text     not null,
    fields        text[]   not null,
    definition_id bigint   not null,
    gone          boolean  not null default false,
    view_name     text,
    view_fields   text[],
    view_columns  text[],
    error         text,
    updated_at    timestamptz not null default now()
);
create index on discorddb.tables (guild_id);
comment on table discorddb.tables is 'Tables that have, or should have, a view in this schema. Written by discorddb.refresh.';
comment on column discorddb.tables.channel_id is 'Channel that is the table.';
comment on column discorddb.tables.guild_id is 'Guild.';
comment on column discorddb.tables.database_id is 'Category that is the database.';
comment on column discorddb.tables.database is 'Name of the database.';
comment on column discorddb.tables.name is 'Name of the table.';
comment on column discorddb.tables.fields is 'Names of the fields, as defined.';
comment on column discorddb.tables.definition_id is 'Pinned message that defines the table.';
comment on column discorddb.tables.gone is 'True when the table is no more and its view could not be dropped.';
comment on column discorddb.tables.view_name is 'Name of its view in this schema; null while there is none.';
comment on column discorddb.tables.view_fields is 'Fields that the view shows.';
comment on column discorddb.tables.view_columns is 'Columns that show them.';
comment on column discorddb.tables.error is 'Why the view could not be made, changed or dropped; null when it is as it should be.';
comment on column discorddb.tables.updated_at is 'When the row last changed.';

-- Names. A name of PostgreSQL has at most 63 bytes.

create function discorddb.fit(name text, bytes integer) returns text
language plpgsql immutable strict parallel safe as $$
begin
    name := left(name, bytes);
    while octet_length(name) > bytes loop
        name := left(name, -1);
    end loop;
    return name;
end
$$;
comment on function discorddb.fit(text, integer) is 'As many characters of a name as fit into so many bytes.';

create function discorddb.free_name(wanted text, suffix text, taken text[]) returns text
language plpgsql immutable strict parallel safe as $$
declare
    name text;
begin
    loop
        name := discorddb.fit(wanted, 63 - octet_length(suffix)) || suffix;
        exit when name <> all (taken);
        suffix := '_' || suffix;
    end loop;
    return name;
end
$$;
comment on function discorddb.free_name(text, text, text[]) is 'A name that ends with the suffix and is none of those that are taken.';

create function discorddb.column_names(fields text[]) returns text[]
language plpgsql immutable strict parallel safe as $$
declare
    own constant text[] := array['_id', '_created_at', '_updated_at'];
    -- Who keeps the own name: the first field of each name that fits.
    plain constant text[] := array(
        select case when field <> '' and octet_length(field) <= 63 and field <> all (own)
                     and place = min(place) over (partition by field) then field end
          from unnest(fields) with ordinality f (field, place) order by place);
    names text[] := plain;
    taken text[] := own || array_remove(plain, null);
begin
    for place in 1 .. cardinality(fields) loop
        if names[place] is null then
            names[place] := discorddb.free_name(coalesce(nullif(fields[place], ''), 'field'), '_' || place, taken);
            taken := taken || names[place];
        end if;
    end loop;
    return names;
end
$$;
comment on function discorddb.column_names(text[]) is 'The columns for the fields of a table: the field''s name, and where that is empty, too long or taken, with _ and its position appended.';

create function discorddb.view_names() returns table (channel_id bigint, view_name text)
language plpgsql stable as $$
declare
    taken text[];
    t record;
begin
    select coalesce(array_agg(n.view_name), '{}') into taken from discorddb.plain_view_names() n;
    return query select n.channel_id, n.view_name from discorddb.plain_view_names() n;
    for t in
        select o.channel_id, o.database || '.' || o.name as wanted from discorddb.tables o
         where not o.gone and not exists (select from discorddb.plain_view_names() n where n.channel_id = o.channel_id)
         order by o.channel_id
    loop
        channel_id := t.channel_id;
        view_name := discorddb.free_name(t.wanted, '_' || t.channel_id, taken);
        taken := taken || view_name;
        return next;
    end loop;
end
$$;

create function discorddb.plain_view_names() returns table (channel_id bigint, view_name text)
language sql stable as $$
    select min(t.channel_id), t.database || '.' || t.name from discorddb.tables t
     where not t.gone and octet_length(t.database || '.' || t.name) <= 63
     group by t.database || '.' || t.name
$$;
comment on function discorddb.view_names() is 'The names that the views are to have: database.table, and where that is too long or an older channel has it, with _ and the channel''s id appended.';
comment on function discorddb.plain_view_names() is 'The tables whose view is called database.table: of several with that name the oldest.';

-- Keeping the views.

create function discorddb.make_view(t discorddb.tables, view_name text, view_columns text[]) returns void
language plpgsql as $$
declare
    is_new boolean := t.view_name is null;
    columns text := (
        select coalesce(string_agg(format(', "values"[%s] as %I', place, name), '' order by place), '')
          from unnest(view_columns) with ordinality c (name, place));
begin
    -- Columns can only be added at the end of a view.
    if not is_new and t.view_columns <> view_columns[:cardinality(t.view_columns)] then
        execute format('drop view discorddb.%I', view_name);
        is_new := true;
    end if;
    execute format(
        'create %s view discorddb.%I as select id as _id, created_at as _created_at, updated_at as _updated_at%s '
        'from discorddb.records where guild_id = %s and channel_id = %s',
        case when is_new then '' else 'or replace' end, view_name, columns, t.guild_id, t.channel_id);
    execute format('comment on view discorddb.%I is %L', view_name,
        format('Table %s of database %s of guild %s: channel %s.', t.name, t.database, t.guild_id, t.channel_id));
    if is_new then
        execute format(
            'create trigger request instead of insert or update or delete on discorddb.%I '
            'for each row execute function discorddb.request(%s)', view_name, t.channel_id);
    end if;
end
$$;
comment on function discorddb.make_view(discorddb.tables, text, text[]) is 'Makes or changes the view of a table.';

create function discorddb.keep_view(t discorddb.tables, wanted text) returns boolean
language plpgsql as $$
declare
    columns constant text[] := discorddb.column_names(t.fields);
begin
    -- Somebody may have dropped it.
    if t.view_name is not null and to_regclass(format('discorddb.%I', t.view_name)) is null then
        t.view_name := null;
    end if;
    if t.gone then
        if t.view_name is not null then
            execute format('drop view discorddb.%I', t.view_name);
        end if;
        delete from discorddb.tables o where o.channel_id = t.channel_id;
        return true;
    end if;
    if t.view_name = wanted and t.view_fields = t.fields then
        update discorddb.tables o set error = null where o.channel_id = t.channel_id and o.error is not null;
        return false;
    end if;
    if t.view_name <> wanted then
        execute format('alter view discorddb.%I rename to %I', t.view_name, wanted);
    end if;
    perform discorddb.make_view(t, wanted, columns);
    update discorddb.tables o
       set view_name = wanted, view_fields = t.fields, view_columns = columns, error = null, updated_at = now()
     where o.channel_id = t.channel_id;
    return true;
exception when others then
    update discorddb.tables o set error = sqlerrm, updated_at = now()
     where o.channel_id = t.channel_id and o.error is distinct from sqlerrm;
    return false;
end
$$;
comment on function discorddb.keep_view(discorddb.tables, text) is 'Makes the view of a table what it should be and returns whether that changed anything. A failure is noted in discorddb.tables.';

create function discorddb.refresh(guild bigint) returns integer
language plpgsql set lock_timeout = '2s' as $$
declare
    t discorddb.tables;
    kept record;
    changed integer := 0;
begin
    -- One at a time; nobody else takes this lock.
    perform pg_advisory_xact_lock(7237128889236977010);
    with found as materialized (
        select * from discorddb.find_tables(guild)
    ), known as (
        insert into discorddb.tables as o (channel_id, guild_id, database_id, database, name, fields, definition_id)
        select f.channel_id, guild, f.database_id, f.database, f.name, f.fields, f.definition_id from found f
        on conflict (channel_id) do update
           set guild_id = excluded.guild_id, database_id = excluded.database_id, database = excluded.database, name = excluded.name,
               fields = excluded.fields, definition_id = excluded.definition_id, gone = false, updated_at = now()
         where (o.guild_id, o.database_id, o.database, o.name, o.fields, o.definition_id, o.gone)
               is distinct from (excluded.guild_id, excluded.database_id, excluded.database, excluded.name, excluded.fields, excluded.definition_id, false)
    )
    update discorddb.tables o set gone = true, updated_at = now()
     where o.guild_id = guild and not o.gone and o.channel_id not in (select f.channel_id from found f);

    for t in select * from discorddb.tables o where o.gone order by o.channel_id loop
        changed := changed + discorddb.keep_view(t, null)::integer;
    end loop;
    -- Two views may swap their names: those that change theirs leave the old ones first.
    for t in
        select o.* from discorddb.tables o join discorddb.view_names() n using (channel_id)
         where o.view_name <> n.view_name order by o.channel_id
    loop
        perform discorddb.release_name(t);
    end loop;
    for kept in
        select o as t, n.view_name from discorddb.tables o join discorddb.view_names() n using (channel_id) order by o.channel_id
    loop
        changed := changed + discorddb.keep_view(kept.t, kept.view_name)::integer;
    end loop;
    return changed;
end
$$;
comment on function discorddb.refresh(bigint) is 'Makes the views of a guild''s tables what its channels and pinned definitions say, and returns how many changed. A view that cannot be changed says why in discorddb.tables.';

create function discorddb.release_name(t discorddb.tables) returns void
language plpgsql as $$
declare
    interim constant text := '_' || t.channel_id;
begin
    execute format('alter view discorddb.%I rename to %I', t.view_name, interim);
    update discorddb.tables o set view_name = interim where o.channel_id = t.channel_id;
exception when others then
    update discorddb.tables o set error = sqlerrm, updated_at = now()
     where o.channel_id = t.channel_id and o.error is distinct from sqlerrm;
end
$$;
comment on function discorddb.release_name(discorddb.tables) is 'Gives a view a name that nobody else wants.';

-- Writes through the views.

create table discorddb.requests (
    id           bigint generated always as identity primary key,
    guild_id     bigint      not null,
    channel_id   bigint      not null,
    action       text        not null check (action in ('insert', 'update', 'delete')),
    record_id    bigint      check ((record_id is null) = (action = 'insert')),
    fields       text[]      not null default '{}',
    "values"     text[]      not null default '{}',
    requested_by text        not null default session_user,
    requested_at timestamptz not null default now(),
    state        text        not null default 'pending' check (state in ('pending', 'taken', 'done', 'failed')),
    taken_at     timestamptz,
    finished_at  timestamptz,
    message_id   bigint,
    error        text,
    check (cardinality(fields) = cardinality("values"))
);
create index on discorddb.requests (guild_id, id) where state in ('pending', 'taken');
comment on table discorddb.requests is 'What was inserted, updated and deleted through the views, and what became of it.';
comment on column discorddb.requests.id is 'Row number; requests of one guild are done in its order.';
comment on column discorddb.requests.guild_id is 'Guild.';
comment on column discorddb.requests.channel_id is 'Table.';
comment on column discorddb.requests.action is 'insert, update or delete.';
comment on column discorddb.requests.record_id is 'Message that is the record; null for an insert.';
comment on column discorddb.requests.fields is 'Fields that get values: all for an insert, the changed ones for an update.';
comment on column discorddb.requests."values" is 'Their values; null counts as the empty text.';
comment on column discorddb.requests.requested_by is 'Role that asked.';
comment on column discorddb.requests.requested_at is 'When the transaction that asked began.';
comment on column discorddb.requests.state is 'pending; taken by the commit queue; done: Discord has confirmed it; failed.';
comment on column discorddb.requests.taken_at is 'When the commit queue took it.';
comment on column discorddb.requests.finished_at is 'When it was done or failed.';
comment on column discorddb.requests.message_id is 'Message of the record that was written or deleted.';
comment on column discorddb.requests.error is 'Why it failed.';

create function discorddb.request() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    t discorddb.tables;
    was jsonb;
    becomes jsonb;
    fields text[];
    contents text[];
begin
    select * into strict t from discorddb.tables o where o.channel_id = tg_argv[0]::bigint;
    if tg_op <> 'INSERT' then
        was := to_jsonb(old);
    end if;
    if tg_op = 'DELETE' then
        insert into discorddb.requests (guild_id, channel_id, action, record_id)
        values (t.guild_id, t.channel_id, 'delete', (was ->> '_id')::bigint);
        return old;
    end if;
    becomes := to_jsonb(new);
    if exists (select from unnest(array['_id', '_created_at', '_updated_at']) own (name)
                where becomes ->> name is distinct from was ->> name) then
        raise exception 'Discord gives _id, _created_at and _updated_at' using
            errcode = 'generated_always', hint = 'Leave these columns out.';
    end if;
    select coalesce(array_agg(field order by place), '{}'), coalesce(array_agg(coalesce(becomes ->> name, '') order by place), '{}')
      into fields, contents
      from unnest(t.view_fields, t.view_columns) with ordinality f (field, name, place)
     where tg_op = 'INSERT' or becomes ->> name is distinct from was ->> name;
    if tg_op = 'INSERT' or cardinality(fields) > 0 then
        insert into discorddb.requests (guild_id, channel_id, action, record_id, fields, "values")
        values (t.guild_id, t.channel_id, lower(tg_op), (was ->> '_id')::bigint, fields, contents);
    end if;
    return new;
end
$$;
comment on function discorddb.request() is 'Notes what is asked for through a view; the commit queue does it.';

-- What was written before tracking began, or while it was interrupted.

create table discorddb.backfill (
    channel_id   bigint      not null primary key,
    guild_id     bigint      not null,
    session_id   text        not null,
    oldest_id    bigint,
    complete     boolean     not null default false,
    pages        integer     not null default 0,
    messages     bigint      not null default 0,
    started_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now()
);
comment on table discorddb.backfill is 'How far the messages of a channel have been read over REST, newest first, in one gateway session.';
comment on column discorddb.backfill.channel_id is 'Channel.';
comment on column discorddb.backfill.guild_id is 'Guild.';
comment on column discorddb.backfill.session_id is 'Gateway session that tells what happens meanwhile and afterwards; in another session reading begins anew.';
comment on column discorddb.backfill.oldest_id is 'Oldest message read; older ones are still to be read unless complete.';
comment on column discorddb.backfill.complete is 'Whether the first message of the channel was reached.';
comment on column discorddb.backfill.pages is 'Pages read.';
comment on column discorddb.backfill.messages is 'Messages read.';
comment on column discorddb.backfill.started_at is 'When reading began.';
comment on column discorddb.backfill.updated_at is 'When the last page was read.';

create function discorddb.session_of(guild bigint, out session_id text, out started_at timestamptz)
language sql stable as $$
    select s.session_id, s.started_at
      from discord.guild_bots b
      join discord.shards s on s.bot_id = b.bot_id and s.shard_id = b.shard_id
     where b.guild_id = guild and b.state = 'available' and s.intents & 512 <> 0
       and not exists (select from discord.partition_progress p
                        where p.bot_id = s.bot_id and p.shard_id = s.shard_id and p.generation > s.generation)
     order by b.bot_id limit 1
$$;
comment on function discorddb.session_of(bigint) is 'The gateway session that tells the messages of a guild; null when none does.';

create function discorddb.is_served(guild bigint) returns boolean
language sql volatile as $$
    select exists (
        select from pg_locks l
         where l.locktype = 'advisory' and l.granted and l.objsubid = 1
           and l.database = (select d.oid from pg_database d where d.datname = current_database())
           and ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended('dsqlstate journal service', guild))
$$;
comment on function discorddb.is_served(bigint) is 'Whether a process is running that keeps the views of a guild and does what is asked for through them.';

create view discorddb.tables_state as
select b.guild_id, b.channel_id, b.complete and b.session_id is not distinct from s.session_id as complete,
       b.oldest_id, b.pages, b.messages, b.updated_at
  from discorddb.backfill b
 cross join lateral discorddb.session_of(b.guild_id) s;
comment on view discorddb.tables_state is 'Which channels are held completely: read to their first message in the gateway session that is still going on.';

create function discorddb.message_of(guild bigint, told jsonb, at timestamptz) returns discord.messages
language sql stable as $$
    select r
      from jsonb_populate_record(null::discord.messages, jsonb_build_object(
               'guild_id', guild, 'revision', 0, 'seen_at', at, 'updated_at', at,
               'id', told -> 'id', 'channel_id', told -> 'channel_id',
               'webhook_id', told -> 'webhook_id', 'application_id', told -> 'application_id',
               'author_id', case when told ->> 'webhook_id' is null then told #> '{author,id}' end,
               'author', case when told ->> 'webhook_id' is not null then told -> 'author' end,
               'type', told -> 'type', 'content', told -> 'content', 'embeds', told -> 'embeds',
               'attachments', (
                   select coalesce(jsonb_agg(a || jsonb_strip_nulls(jsonb_build_object(
                              'url', split_part(a ->> 'url', '?', 1), 'proxy_url', split_part(a ->> 'proxy_url', '?', 1))) order by place), '[]')
                     from jsonb_array_elements(told -> 'attachments') with ordinality e (a, place)),
               'mentions', (select coalesce(jsonb_agg(u -> 'id' order by place), '[]') from jsonb_array_elements(told -> 'mentions') with ordinality e (u, place)),
               'mention_roles', told -> 'mention_roles',
               'referenced_message_id', told #> '{referenced_message,id}', 'thread_id', told #> '{thread,id}'
           ) || jsonb_build_object(
               'components', told -> 'components', 'sticker_items', told -> 'sticker_items', 'poll', told -> 'poll',
               'mention_everyone', told -> 'mention_everyone', 'mention_channels', told -> 'mention_channels', 'pinned', told -> 'pinned',
               'tts', told -> 'tts', 'flags', told -> 'flags', 'nonce', told -> 'nonce', 'timestamp', told -> 'timestamp',
               'edited_timestamp', told -> 'edited_timestamp', 'message_reference', told -> 'message_reference',
               'message_snapshots', told -> 'message_snapshots', 'interaction_metadata', told -> 'interaction_metadata',
               'activity', told -> 'activity', 'application', told -> 'application', 'call', told -> 'call',
               'role_subscription_data', told -> 'role_subscription_data', 'position', told -> 'position',
               'extra', nullif(told - array['id', 'channel_id', 'guild_id', 'webhook_id', 'application_id', 'author', 'member', 'type', 'content', 'embeds',
                   'attachments', 'mentions', 'mention_roles', 'referenced_message', 'thread', 'components', 'sticker_items', 'stickers', 'poll',
                   'mention_everyone', 'mention_channels', 'pinned', 'tts', 'flags', 'nonce', 'timestamp', 'edited_timestamp', 'message_reference',
                   'message_snapshots', 'interaction_metadata', 'interaction', 'activity', 'application', 'call', 'role_subscription_data', 'position',
                   'reactions', 'resolved', 'channel_type'], '{}'))) r
$$;
comment on function discorddb.message_of(bigint, jsonb, timestamptz) is 'A message as Discord''s REST API tells it, as a row.';

create function discorddb.apply_page(guild bigint, channel bigint, session text, lowest bigint, highest bigint, is_last boolean, told jsonb)
returns boolean
language plpgsql as $$
declare
    at constant timestamptz := clock_timestamp();
    since timestamptz;
begin
    select s.started_at into since from discorddb.session_of(guild) s where s.session_id = session;
    if since is null then
        return false;
    end if;

    -- Rows that this session has touched are what the gateway says. Of others REST knows the newer version.
    with page as materialized (
        select m.* from jsonb_array_elements(told) t (message), discorddb.message_of(guild, t.message, at) m
    ), stale as materialized (
        select o.*, p.edited_timestamp as newer_edit, p.pinned as newer_pinned
          from page p join discord.messages o on o.guild_id = p.guild_id and o.id = p.id
         where o.deleted_at is null
           and (o.updated_at < since
                or coalesce(date_trunc('milliseconds', p.edited_timestamp), '-infinity')
                   > coalesce(date_trunc('milliseconds', o.edited_timestamp), '-infinity'))
           and (o.content, o.embeds, o.attachments, o.components, o.pinned, o.flags)
               is distinct from (p.content, p.embeds, p.attachments, p.components, p.pinned, p.flags)
           for update of o
    ), kept as (
        insert into discord.message_revisions (guild_id, id, revision, channel_id, content, embeds, attachments, components, sticker_items, poll, mentions,
               mention_roles, mention_everyone, pinned, flags, edited_timestamp, cause, seen_at, superseded_at)
        select guild_id, id, revision, channel_id, content, embeds, attachments, components, sticker_items, poll, mentions,
               mention_roles, mention_everyone, pinned, flags, edited_timestamp,
               case when newer_edit is distinct from edited_timestamp then 'edit' when newer_pinned is distinct from pinned then 'pin' else 'other' end,
               seen_at, at
          from stale where seen_at is not null
        on conflict do nothing
    ), changed as (
        update discord.messages o
           set content = p.content, embeds = p.embeds, attachments = p.attachments, components = p.components, sticker_items = p.sticker_items,
               poll = p.poll, mentions = p.mentions, mention_roles = p.mention_roles, mention_everyone = p.mention_everyone, pinned = p.pinned,
               flags = p.flags, edited_timestamp = p.edited_timestamp, revision = o.revision + (s.seen_at is not null)::integer,
               seen_at = at, updated_at = at
          from stale s join page p using (guild_id, id)
         where o.guild_id = s.guild_id and o.id = s.id
    )
    insert into discord.messages select * from page order by id on conflict do nothing;

    -- What is not there was deleted meanwhile; if this session had touched it, the gateway would say so.
    update discord.messages o set deleted_at = at, updated_at = at
     where o.guild_id = guild and o.channel_id = channel and o.id between lowest and highest
       and o.deleted_at is null and o.updated_at < since
       and o.id not in (select (t.message ->> 'id')::bigint from jsonb_array_elements(told) t (message));

    insert into discorddb.backfill as b (channel_id, guild_id, session_id, oldest_id, complete, pages, messages)
    values (channel, guild, session, (select min((t.message ->> 'id')::bigint) from jsonb_array_elements(told) t (message)),
            is_last, 1, jsonb_array_length(told))
    on conflict (channel_id) do update
       set guild_id = excluded.guild_id, session_id = excluded.session_id, oldest_id = coalesce(excluded.oldest_id, b.oldest_id), complete = excluded.complete,
           pages = case when b.session_id = excluded.session_id then b.pages else 0 end + 1,
           messages = case when b.session_id = excluded.session_id then b.messages else 0 end + excluded.messages,
           started_at = case when b.session_id = excluded.session_id then b.started_at else now() end, updated_at = now();
    return true;
end
$$;
comment on function discorddb.apply_page(bigint, bigint, text, bigint, bigint, boolean, jsonb) is 'Takes a page of a channel''s history: all messages from the lowest to the highest id. False when the gateway session is another one by now; then nothing is done.';
