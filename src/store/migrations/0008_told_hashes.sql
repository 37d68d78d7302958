-- Hashes of what rows were told.

-- A guild that is told again as a whole is told as it was, mostly. What tells a row the very same again needs not be compared
-- with it, column by column.
alter table discord.roles add column told_hash bigint;
alter table discord.channels add column told_hash bigint;
alter table discord.permission_overwrites add column told_hash bigint;
alter table discord.thread_members add column told_hash bigint;
alter table discord.emojis add column told_hash bigint;
alter table discord.stickers add column told_hash bigint;
alter table discord.soundboard_sounds add column told_hash bigint;
alter table discord.members add column told_hash bigint;
alter table discord.presences add column told_hash bigint;
alter table discord.voice_states add column told_hash bigint;
alter table discord.users add column told_hash bigint;
comment on column discord.roles.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.channels.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.permission_overwrites.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.thread_members.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.emojis.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.stickers.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.soundboard_sounds.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.members.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.presences.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.voice_states.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
comment on column discord.users.told_hash is 'Hash of what the row was told when it last changed; null: it is not to be taken for told.';
