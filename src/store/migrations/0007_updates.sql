-- Room for updates.

-- A load fills pages to the brim. Where rows change often, some room lets PostgreSQL put the next version beside the last
-- one and leave the indexes alone.
alter table discord.members set (fillfactor = 90);
alter table discord.users set (fillfactor = 95);
alter table discord.channels set (fillfactor = 80);
alter table discord.guilds set (fillfactor = 80);
alter table discord.guild_bots set (fillfactor = 80);
alter table discord.voice_states set (fillfactor = 80);

-- Who looks up a role reads the whole pending list: of 4 MB, the default, in 1 to 10 ms, of so many kilobytes in a tenth of
-- that. Rows are inserted as fast.
alter index discord.members_roles set (gin_pending_list_limit = 256);
