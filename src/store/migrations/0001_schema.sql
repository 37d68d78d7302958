-- The state that Discord's gateway tells a bot. Table and column names are public interface.
-- Every guild-owned table has guild_id first in its primary key; guild_id 0 means "no guild" (direct messages).
-- updated_at is when the frame that last changed the row was received.

create schema if not exists discord;
comment on schema discord is 'Discord state as told by the gateway; written by dsqlstate, open to readers.';

create table discord.shards (
    bot_id        bigint      not null,
    shard_id      integer     not null,
    shard_count   integer     not null,
    session_id    text        not null,
    resume_url    text        not null,
    sequence      bigint      not null,
    intents       bigint      not null,
    generation    bigint      not null,
    partitions    integer     not null,
    started_at    timestamptz not null,
    updated_at    timestamptz not null,
    primary key (bot_id, shard_id)
);
comment on table discord.shards is 'One row per shard of a bot: its Discord session and the sequence up to which everything is durable.';
comment on column discord.shards.bot_id is 'User id of the bot.';
comment on column discord.shards.shard_id is 'Shard number, 0 to shard_count - 1.';
comment on column discord.shards.shard_count is 'num_shards sent in IDENTIFY.';
comment on column discord.shards.session_id is 'Discord''s session id.';
comment on column discord.shards.resume_url is 'Gateway URL to resume on.';
comment on column discord.shards.sequence is 'Committed sequence: every event up to it is in the tables.';
comment on column discord.shards.intents is 'Intents sent in IDENTIFY.';
comment on column discord.shards.generation is 'Counts the sessions of this shard. Guilds of the shard with an older guild_bots.generation are not confirmed since.';
comment on column discord.shards.partitions is 'Number of writer partitions of the process that holds the session.';
comment on column discord.shards.started_at is 'When the session began (READY).';
comment on column discord.shards.updated_at is 'When this row was last written.';

create table discord.partition_progress (
    bot_id       bigint      not null,
    shard_id     integer     not null,
    "partition"  integer     not null,
    partitions   integer     not null,
    session_id   text        not null,
    sequence     bigint      not null,
    generation   bigint      not null,
    updated_at   timestamptz not null,
    primary key (bot_id, shard_id, "partition")
);
comment on table discord.partition_progress is 'Last sequence that a writer partition applied, written in the transaction that applied it.';
comment on column discord.partition_progress.bot_id is 'User id of the bot.';
comment on column discord.partition_progress.shard_id is 'Shard number.';
comment on column discord.partition_progress."partition" is 'Partition number, 0 to partitions - 1.';
comment on column discord.partition_progress.partitions is 'Number of partitions when the row was written.';
comment on column discord.partition_progress.session_id is 'Discord session that the sequence belongs to.';
comment on column discord.partition_progress.sequence is 'Last sequence of that session that this partition applied.';
comment on column discord.partition_progress.generation is 'Generation of that session.';
comment on column discord.partition_progress.updated_at is 'When the row was last written.';

create table discord.rejected_events (
    id           bigint generated always as identity primary key,
    at           timestamptz not null,
    bot_id       bigint      not null,
    shard_id     integer     not null,
    session_id   text        not null,
    sequence     bigint      not null,
    guild_id     bigint,
    event        text,
    kind         text        not null check (kind in ('unknown', 'undecodable', 'refused')),
    error        text        not null,
    payload      text        not null,
    unique (bot_id, shard_id, session_id, sequence, kind, error)
);
create index on discord.rejected_events (event, id);
comment on table discord.rejected_events is 'Events that have no table yet, could not be decoded, or that PostgreSQL refused: kept, never dropped.';
comment on column discord.rejected_events.id is 'Row number.';
comment on column discord.rejected_events.at is 'When the event was received.';
comment on column discord.rejected_events.bot_id is 'User id of the bot that received it.';
comment on column discord.rejected_events.shard_id is 'Shard that received it.';
comment on column discord.rejected_events.session_id is 'Discord session it came through.';
comment on column discord.rejected_events.sequence is 'Its sequence in that session.';
comment on column discord.rejected_events.guild_id is 'Guild that it names, if any.';
comment on column discord.rejected_events.event is 'Event name (t), if it could be read.';
comment on column discord.rejected_events.kind is 'unknown: no table for it; undecodable: not the documented shape; refused: PostgreSQL would not store a row of it.';
comment on column discord.rejected_events.error is 'Why it is here.';
comment on column discord.rejected_events.payload is 'The payload as received (or the row, for refused), with U+0000 shown as \u0000.';

create table discord.guild_bots (
    guild_id          bigint      not null,
    bot_id            bigint      not null,
    shard_id          integer     not null,
    state             text        not null default 'unavailable' check (state in ('available', 'unavailable', 'left')),
    intents           bigint,
    generation        bigint,
    confirmed_at      timestamptz,
    members_generation bigint,
    members_synced_at timestamptz,
    since             timestamptz,
    left_at           timestamptz,
    updated_at        timestamptz not null,
    primary key (guild_id, bot_id)
);
create index on discord.guild_bots (bot_id, shard_id);
comment on table discord.guild_bots is 'Which bot sees which guild, through which shard, and how fresh its data is.';
comment on column discord.guild_bots.guild_id is 'Guild.';
comment on column discord.guild_bots.bot_id is 'User id of the bot.';
comment on column discord.guild_bots.shard_id is 'Shard that the guild''s events come through.';
comment on column discord.guild_bots.state is 'available; unavailable: Discord reports an outage (nothing was lost); left: the bot is no longer in the guild.';
comment on column discord.guild_bots.intents is 'Intents that were active when the guild was last confirmed.';
comment on column discord.guild_bots.generation is 'Shard generation in which the guild was last confirmed by GUILD_CREATE.';
comment on column discord.guild_bots.confirmed_at is 'When GUILD_CREATE last confirmed the guild.';
comment on column discord.guild_bots.members_generation is 'Shard generation in which a complete member list was last received.';
comment on column discord.guild_bots.members_synced_at is 'When a complete member list was last received.';
comment on column discord.guild_bots.since is 'When this bot was first seen in the guild (again).';
comment on column discord.guild_bots.left_at is 'When the bot was found to have left; null while it is in the guild.';
comment on column discord.guild_bots.updated_at is 'When the row last changed.';

create table discord.guilds (
    id                            bigint      not null primary key,
    name                          text,
    icon                          text,
    splash                        text,
    discovery_splash              text,
    owner_id                      bigint,
    afk_channel_id                bigint,
    afk_timeout                   integer,
    widget_enabled                boolean,
    widget_channel_id             bigint,
    verification_level            integer,
    default_message_notifications integer,
    explicit_content_filter       integer,
    features                      jsonb,
    mfa_level                     integer,
    application_id                bigint,
    system_channel_id             bigint,
    system_channel_flags          bigint,
    rules_channel_id              bigint,
    max_presences                 integer,
    max_members                   integer,
    vanity_url_code               text,
    description                   text,
    banner                        text,
    premium_tier                  integer,
    premium_subscription_count    integer,
    preferred_locale              text,
    public_updates_channel_id     bigint,
    max_video_channel_users       integer,
    max_stage_video_channel_users integer,
    nsfw_level                    integer,
    premium_progress_bar_enabled  boolean,
    safety_alerts_channel_id      bigint,
    incidents_data                jsonb,
    large                         boolean,
    member_count                  integer,
    joined_at                     timestamptz,
    unavailable                   boolean     not null default false,
    left_at                       timestamptz,
    extra                         jsonb,
    updated_at                    timestamptz not null
);
comment on table discord.guilds is 'Guilds. left_at is set only when no bot remains in the guild; an outage sets unavailable and nothing else.';
comment on column discord.guilds.id is 'Guild id.';
comment on column discord.guilds.name is 'Name.';
comment on column discord.guilds.icon is 'Icon hash.';
comment on column discord.guilds.splash is 'Splash hash.';
comment on column discord.guilds.discovery_splash is 'Discovery splash hash.';
comment on column discord.guilds.owner_id is 'User id of the owner.';
comment on column discord.guilds.afk_channel_id is 'AFK voice channel.';
comment on column discord.guilds.afk_timeout is 'AFK timeout in seconds.';
comment on column discord.guilds.widget_enabled is 'Whether the widget is enabled.';
comment on column discord.guilds.widget_channel_id is 'Channel that the widget invites to.';
comment on column discord.guilds.verification_level is 'Verification level, 0 to 4.';
comment on column discord.guilds.default_message_notifications is '0: all messages, 1: only mentions.';
comment on column discord.guilds.explicit_content_filter is '0: disabled, 1: members without roles, 2: all members.';
comment on column discord.guilds.features is 'Array of feature names.';
comment on column discord.guilds.mfa_level is '1: moderators need two-factor authentication.';
comment on column discord.guilds.application_id is 'Application that created the guild, if a bot did.';
comment on column discord.guilds.system_channel_id is 'Channel of welcome and boost messages.';
comment on column discord.guilds.system_channel_flags is 'Flags of the system channel.';
comment on column discord.guilds.rules_channel_id is 'Rules channel of a community guild.';
comment on column discord.guilds.max_presences is 'Maximum of presences; null for all but the largest guilds.';
comment on column discord.guilds.max_members is 'Maximum of members.';
comment on column discord.guilds.vanity_url_code is 'Vanity URL code.';
comment on column discord.guilds.description is 'Description.';
comment on column discord.guilds.banner is 'Banner hash.';
comment on column discord.guilds.premium_tier is 'Boost level, 0 to 3.';
comment on column discord.guilds.premium_subscription_count is 'Number of boosts.';
comment on column discord.guilds.preferred_locale is 'Preferred locale.';
comment on column discord.guilds.public_updates_channel_id is 'Channel of notices from Discord.';
comment on column discord.guilds.max_video_channel_users is 'Maximum of users in a video channel.';
comment on column discord.guilds.max_stage_video_channel_users is 'Maximum of users in a stage video channel.';
comment on column discord.guilds.nsfw_level is 'Age restriction level, 0 to 3.';
comment on column discord.guilds.premium_progress_bar_enabled is 'Whether the boost progress bar shows.';
comment on column discord.guilds.safety_alerts_channel_id is 'Channel of safety alerts.';
comment on column discord.guilds.incidents_data is 'Incidents data: raid and spam protection in force.';
comment on column discord.guilds.large is 'Whether Discord calls the guild large.';
comment on column discord.guilds.member_count is 'Member count as Discord last said; members that are known are the rows of members.';
comment on column discord.guilds.joined_at is 'When the bot joined, as Discord says.';
comment on column discord.guilds.unavailable is 'True while Discord reports an outage of the guild to every bot that is in it.';
comment on column discord.guilds.left_at is 'When the last bot was found to have left; null while one is in the guild.';
comment on column discord.guilds.extra is 'Fields that have no column yet; null when there are none.';
comment on column discord.guilds.updated_at is 'When the row last changed.';

create table discord.roles (
    guild_id      bigint      not null,
    id            bigint      not null,
    name          text,
    color         integer,
    colors        jsonb,
    hoist         boolean,
    icon          text,
    unicode_emoji text,
    "position"    integer,
    permissions   bigint,
    managed       boolean,
    mentionable   boolean,
    tags          jsonb,
    flags         bigint,
    deleted_at    timestamptz,
    extra         jsonb,
    updated_at    timestamptz not null,
    primary key (guild_id, id)
);
comment on table discord.roles is 'Roles; deleted_at is set when a role is gone. The role with the guild''s own id is @everyone.';
comment on column discord.roles.guild_id is 'Guild.';
comment on column discord.roles.id is 'Role id.';
comment on column discord.roles.name is 'Name.';
comment on column discord.roles.color is 'Colour as 0xRRGGBB (deprecated by Discord in favour of colors).';
comment on column discord.roles.colors is 'Primary, secondary and tertiary colour.';
comment on column discord.roles.hoist is 'Whether members are listed apart.';
comment on column discord.roles.icon is 'Icon hash.';
comment on column discord.roles.unicode_emoji is 'Unicode emoji shown as icon.';
comment on column discord.roles."position" is 'Position; roles at equal position sort by id.';
comment on column discord.roles.permissions is 'Permission bits.';
comment on column discord.roles.managed is 'Whether an integration manages the role.';
comment on column discord.roles.mentionable is 'Whether everyone may mention it.';
comment on column discord.roles.tags is 'Tags; Discord writes null for true.';
comment on column discord.roles.flags is 'Role flags.';
comment on column discord.roles.deleted_at is 'When the role was deleted or found missing.';
comment on column discord.roles.extra is 'Fields that have no column yet.';
comment on column discord.roles.updated_at is 'When the row last changed.';

create table discord.channels (
    guild_id                           bigint      not null,
    id                                 bigint      not null,
    type                               integer,
    name                               text,
    "position"                         integer,
    parent_id                          bigint,
    topic                              text,
    nsfw                               boolean,
    last_message_id                    bigint,
    last_pin_timestamp                 timestamptz,
    rate_limit_per_user                integer,
    bitrate                            integer,
    user_limit                         integer,
    rtc_region                         text,
    video_quality_mode                 integer,
    default_auto_archive_duration      integer,
    default_thread_rate_limit_per_user integer,
    default_reaction_emoji             jsonb,
    default_sort_order                 integer,
    default_forum_layout               integer,
    available_tags                     jsonb,
    applied_tags                       bigint[],
    flags                              bigint,
    owner_id                           bigint,
    message_count                      integer,
    member_count                       integer,
    total_message_sent                 integer,
    thread_metadata                    jsonb,
    icon                               text,
    icon_emoji                         jsonb,
    theme_color                        integer,
    recipients                         bigint[],
    application_id                     bigint,
    managed                            boolean,
    deleted_at                         timestamptz,
    extra                              jsonb,
    updated_at                         timestamptz not null,
    primary key (guild_id, id)
);
create index on discord.channels (id);
create index on discord.channels (guild_id, parent_id) where parent_id is not null;
comment on table discord.channels is 'Channels of every type, threads and direct messages (guild_id 0) too; deleted_at is set when one is gone.';
comment on column discord.channels.guild_id is 'Guild, or 0 for a direct message channel.';
comment on column discord.channels.id is 'Channel id.';
comment on column discord.channels.type is 'Channel type: 0 text, 1 DM, 2 voice, 3 group DM, 4 category, 5 announcement, 10 to 12 threads, 13 stage, 14 directory, 15 forum, 16 media.';
comment on column discord.channels.name is 'Name.';
comment on column discord.channels."position" is 'Position; equal positions sort by id.';
comment on column discord.channels.parent_id is 'Category, or the channel of a thread.';
comment on column discord.channels.topic is 'Topic.';
comment on column discord.channels.nsfw is 'Whether the channel is age-restricted.';
comment on column discord.channels.last_message_id is 'Last message as Discord last said; Discord sends no update for it, so new messages move it here.';
comment on column discord.channels.last_pin_timestamp is 'When the newest pinned message was pinned.';
comment on column discord.channels.rate_limit_per_user is 'Slow mode in seconds.';
comment on column discord.channels.bitrate is 'Bits per second of a voice channel.';
comment on column discord.channels.user_limit is 'User limit of a voice channel; 0 is none.';
comment on column discord.channels.rtc_region is 'Voice region; null is automatic.';
comment on column discord.channels.video_quality_mode is '1: auto, 2: 720p.';
comment on column discord.channels.default_auto_archive_duration is 'Minutes until a new thread archives.';
comment on column discord.channels.default_thread_rate_limit_per_user is 'Slow mode of new threads in seconds.';
comment on column discord.channels.default_reaction_emoji is 'Emoji of the forum''s reaction button.';
comment on column discord.channels.default_sort_order is 'Sort order of a forum.';
comment on column discord.channels.default_forum_layout is 'Layout of a forum.';
comment on column discord.channels.available_tags is 'Tags that a forum offers.';
comment on column discord.channels.applied_tags is 'Tag ids of a forum thread.';
comment on column discord.channels.flags is 'Channel flags.';
comment on column discord.channels.owner_id is 'Creator of a thread or group DM.';
comment on column discord.channels.message_count is 'Messages in a thread, without the first one and deleted ones.';
comment on column discord.channels.member_count is 'Members of a thread; Discord stops at 50.';
comment on column discord.channels.total_message_sent is 'Messages ever sent in a thread.';
comment on column discord.channels.thread_metadata is 'Archive and lock state of a thread.';
comment on column discord.channels.icon is 'Icon hash of a group DM.';
comment on column discord.channels.icon_emoji is 'Emoji shown beside the name.';
comment on column discord.channels.theme_color is 'Theme colour.';
comment on column discord.channels.recipients is 'User ids of a DM''s recipients.';
comment on column discord.channels.application_id is 'Application that created a group DM.';
comment on column discord.channels.managed is 'Whether an application manages a group DM.';
comment on column discord.channels.deleted_at is 'When the channel was deleted or found missing.';
comment on column discord.channels.extra is 'Fields that have no column yet.';
comment on column discord.channels.updated_at is 'When the row last changed.';

create table discord.permission_overwrites (
    guild_id   bigint      not null,
    channel_id bigint      not null,
    id         bigint      not null,
    type       integer,
    allow      bigint,
    deny       bigint,
    deleted_at timestamptz,
    extra      jsonb,
    updated_at timestamptz not null,
    primary key (guild_id, channel_id, id)
);
comment on table discord.permission_overwrites is 'Permission overwrites of channels. The role or member may no longer exist.';
comment on column discord.permission_overwrites.guild_id is 'Guild.';
comment on column discord.permission_overwrites.channel_id is 'Channel.';
comment on column discord.permission_overwrites.id is 'Role id or user id.';
comment on column discord.permission_overwrites.type is '0: role, 1: member.';
comment on column discord.permission_overwrites.allow is 'Permission bits allowed.';
comment on column discord.permission_overwrites.deny is 'Permission bits denied.';
comment on column discord.permission_overwrites.deleted_at is 'When the overwrite was removed.';
comment on column discord.permission_overwrites.extra is 'Fields that have no column yet.';
comment on column discord.permission_overwrites.updated_at is 'When the row last changed.';

create table discord.users (
    id                     bigint      not null primary key,
    username               text,
    discriminator          text,
    global_name            text,
    avatar                 text,
    bot                    boolean,
    system                 boolean,
    banner                 text,
    accent_color           integer,
    flags                  bigint,
    public_flags           bigint,
    premium_type           integer,
    locale                 text,
    verified               boolean,
    email                  text,
    mfa_enabled            boolean,
    avatar_decoration_data jsonb,
    collectibles           jsonb,
    primary_guild          jsonb,
    told_session           bigint,
    told_sequence          bigint,
    extra                  jsonb,
    updated_at             timestamptz not null
);
comment on table discord.users is 'Users, written only from full user objects: never from webhook authors or partial presences.';
comment on column discord.users.id is 'User id.';
comment on column discord.users.username is 'Username.';
comment on column discord.users.discriminator is 'Discriminator; 0 for migrated users.';
comment on column discord.users.global_name is 'Display name.';
comment on column discord.users.avatar is 'Avatar hash.';
comment on column discord.users.bot is 'Whether the user is a bot.';
comment on column discord.users.system is 'Whether the user is Discord itself.';
comment on column discord.users.banner is 'Banner hash.';
comment on column discord.users.accent_color is 'Banner colour as 0xRRGGBB.';
comment on column discord.users.flags is 'Flags; Discord sends all of them only for the bot itself.';
comment on column discord.users.public_flags is 'Public flags.';
comment on column discord.users.premium_type is 'Nitro type.';
comment on column discord.users.locale is 'Locale; the bot itself only.';
comment on column discord.users.verified is 'Whether the e-mail is verified; the bot itself only.';
comment on column discord.users.email is 'E-mail; Discord sends null to bots.';
comment on column discord.users.mfa_enabled is 'Two-factor authentication; the bot itself only.';
comment on column discord.users.avatar_decoration_data is 'Avatar decoration.';
comment on column discord.users.collectibles is 'Collectibles such as name plates.';
comment on column discord.users.primary_guild is 'Guild whose tag the user wears.';
comment on column discord.users.told_session is 'Which Discord session last changed the row: a hash of its id.';
comment on column discord.users.told_sequence is 'Sequence of the event that last changed the row, within that session.';
comment on column discord.users.extra is 'Fields that have no column yet.';
comment on column discord.users.updated_at is 'When the row last changed; an older frame never overwrites a newer one.';

create table discord.members (
    guild_id                     bigint      not null,
    user_id                      bigint      not null,
    nick                         text,
    avatar                       text,
    banner                       text,
    avatar_decoration_data       jsonb,
    collectibles                 jsonb,
    roles                        bigint[],
    joined_at                    timestamptz,
    premium_since                timestamptz,
    deaf                         boolean,
    mute                         boolean,
    flags                        bigint,
    pending                      boolean,
    communication_disabled_until timestamptz,
    left_at                      timestamptz,
    extra                        jsonb,
    updated_at                   timestamptz not null,
    primary key (guild_id, user_id)
);
create index on discord.members (user_id);
comment on table discord.members is 'Members of guilds; left_at is set when a member left or a complete member list proved it gone.';
comment on column discord.members.guild_id is 'Guild.';
comment on column discord.members.user_id is 'User.';
comment on column discord.members.nick is 'Nickname in the guild.';
comment on column discord.members.avatar is 'Avatar hash in the guild.';
comment on column discord.members.banner is 'Banner hash in the guild.';
comment on column discord.members.avatar_decoration_data is 'Avatar decoration in the guild.';
comment on column discord.members.collectibles is 'Collectibles in the guild.';
comment on column discord.members.roles is 'Role ids; @everyone is not listed.';
comment on column discord.members.joined_at is 'When the user joined; null for guests.';
comment on column discord.members.premium_since is 'When the user began to boost the guild.';
comment on column discord.members.deaf is 'Server-deafened in voice channels.';
comment on column discord.members.mute is 'Server-muted in voice channels.';
comment on column discord.members.flags is 'Member flags.';
comment on column discord.members.pending is 'Whether membership screening is still to be passed.';
comment on column discord.members.communication_disabled_until is 'End of a time-out; null or past when none is in force.';
comment on column discord.members.left_at is 'When the member left or was found missing; null for present members.';
comment on column discord.members.extra is 'Fields that have no column yet.';
comment on column discord.members.updated_at is 'When the row last changed.';

create table discord.presences (
    guild_id      bigint      not null,
    user_id       bigint      not null,
    status        text,
    client_status jsonb,
    activities    jsonb,
    extra         jsonb,
    updated_at    timestamptz not null,
    primary key (guild_id, user_id)
) with (fillfactor = 70);
comment on table discord.presences is 'Last known presence of members. Users that Discord does not list are offline.';
comment on column discord.presences.guild_id is 'Guild.';
comment on column discord.presences.user_id is 'User.';
comment on column discord.presences.status is 'online, idle, dnd or offline.';
comment on column discord.presences.client_status is 'Status per platform: desktop, mobile, web.';
comment on column discord.presences.activities is 'Current activities.';
comment on column discord.presences.extra is 'Fields that have no column yet.';
comment on column discord.presences.updated_at is 'When the row last changed.';

create table discord.voice_states (
    guild_id                   bigint      not null,
    user_id                    bigint      not null,
    channel_id                 bigint,
    session_id                 text,
    deaf                       boolean,
    mute                       boolean,
    self_deaf                  boolean,
    self_mute                  boolean,
    self_stream                boolean,
    self_video                 boolean,
    suppress                   boolean,
    request_to_speak_timestamp timestamptz,
    left_at                    timestamptz,
    extra                      jsonb,
    updated_at                 timestamptz not null,
    primary key (guild_id, user_id)
);
create index on discord.voice_states (guild_id, channel_id) where left_at is null;
comment on table discord.voice_states is 'Voice connections; left_at is set when the user is in no voice channel of the guild any more.';
comment on column discord.voice_states.guild_id is 'Guild.';
comment on column discord.voice_states.user_id is 'User.';
comment on column discord.voice_states.channel_id is 'Voice channel; null after leaving.';
comment on column discord.voice_states.session_id is 'Voice session id.';
comment on column discord.voice_states.deaf is 'Deafened by the guild.';
comment on column discord.voice_states.mute is 'Muted by the guild.';
comment on column discord.voice_states.self_deaf is 'Deafened by itself.';
comment on column discord.voice_states.self_mute is 'Muted by itself.';
comment on column discord.voice_states.self_stream is 'Streaming.';
comment on column discord.voice_states.self_video is 'Camera on.';
comment on column discord.voice_states.suppress is 'Not allowed to speak.';
comment on column discord.voice_states.request_to_speak_timestamp is 'When the user asked to speak on a stage.';
comment on column discord.voice_states.left_at is 'When the user left voice, or was found missing; null while connected.';
comment on column discord.voice_states.extra is 'Fields that have no column yet.';
comment on column discord.voice_states.updated_at is 'When the row last changed.';

create table discord.messages (
    guild_id             bigint      not null,
    id                   bigint      not null,
    channel_id           bigint,
    author_id            bigint,
    webhook_id           bigint,
    application_id       bigint,
    type                 integer,
    content              text,
    embeds               jsonb,
    attachments          jsonb,
    components           jsonb,
    sticker_items        jsonb,
    poll                 jsonb,
    mentions             bigint[],
    mention_roles        bigint[],
    mention_everyone     boolean,
    mention_channels     jsonb,
    pinned               boolean,
    tts                  boolean,
    flags                bigint,
    nonce                text,
    "timestamp"          timestamptz,
    edited_timestamp     timestamptz,
    message_reference    jsonb,
    message_snapshots    jsonb,
    referenced_message_id bigint,
    interaction_metadata jsonb,
    thread_id            bigint,
    author               jsonb,
    activity             jsonb,
    application          jsonb,
    call                 jsonb,
    role_subscription_data jsonb,
    "position"           integer,
    revision             integer     not null default 0,
    seen_at              timestamptz,
    deleted_at           timestamptz,
    delete_cause         text check (delete_cause in ('single', 'bulk', 'channel')),
    extra                jsonb,
    updated_at           timestamptz not null,
    primary key (guild_id, id)
) partition by range (id);
create table discord.messages_default partition of discord.messages default;
create index on discord.messages (channel_id, id);
create index on discord.messages (author_id, id);
comment on table discord.messages is 'Current version of every message seen, deleted ones too. Partitioned by month of the id.';
comment on column discord.messages.guild_id is 'Guild, or 0 for direct messages.';
comment on column discord.messages.id is 'Message id.';
comment on column discord.messages.channel_id is 'Channel or thread.';
comment on column discord.messages.author_id is 'User id of the author; null for webhooks.';
comment on column discord.messages.webhook_id is 'Webhook that posted it.';
comment on column discord.messages.application_id is 'Application that posted it through an interaction or webhook.';
comment on column discord.messages.type is 'Message type; 0 is a plain message, 19 a reply.';
comment on column discord.messages.content is 'Text. Null when it was never told (no MESSAGE_CONTENT intent).';
comment on column discord.messages.embeds is 'Embeds; view message_embeds has them as columns.';
comment on column discord.messages.attachments is 'Attachments without their expiring URL signatures.';
comment on column discord.messages.components is 'Message components.';
comment on column discord.messages.sticker_items is 'Stickers.';
comment on column discord.messages.poll is 'Poll with answers and results.';
comment on column discord.messages.mentions is 'User ids mentioned.';
comment on column discord.messages.mention_roles is 'Role ids mentioned.';
comment on column discord.messages.mention_everyone is 'Whether it mentions everyone.';
comment on column discord.messages.mention_channels is 'Channels mentioned, in crossposted messages.';
comment on column discord.messages.pinned is 'Whether it is pinned.';
comment on column discord.messages.tts is 'Text to speech.';
comment on column discord.messages.flags is 'Message flags.';
comment on column discord.messages.nonce is 'Nonce that the sender gave.';
comment on column discord.messages."timestamp" is 'When it was sent.';
comment on column discord.messages.edited_timestamp is 'When it was last edited.';
comment on column discord.messages.message_reference is 'What it replies to, forwards or crossposts.';
comment on column discord.messages.message_snapshots is 'Forwarded messages.';
comment on column discord.messages.referenced_message_id is 'Message that it replies to.';
comment on column discord.messages.interaction_metadata is 'Interaction that caused it.';
comment on column discord.messages.thread_id is 'Thread that was started from it.';
comment on column discord.messages.author is 'Author as sent, kept only for webhooks (which are no users).';
comment on column discord.messages.activity is 'Rich presence invite.';
comment on column discord.messages.application is 'Application of a rich presence invite.';
comment on column discord.messages.call is 'Call in a private channel.';
comment on column discord.messages.role_subscription_data is 'Role subscription behind a system message.';
comment on column discord.messages."position" is 'Approximate position in a thread.';
comment on column discord.messages.revision is 'Number of superseded versions in message_revisions.';
comment on column discord.messages.seen_at is 'When this version was received; null when only the deletion was seen.';
comment on column discord.messages.deleted_at is 'When the message was deleted.';
comment on column discord.messages.delete_cause is 'single, bulk, or channel: the event that told of the deletion.';
comment on column discord.messages.extra is 'Fields that have no column yet.';
comment on column discord.messages.updated_at is 'When the row last changed.';

create table discord.message_revisions (
    guild_id         bigint      not null,
    id               bigint      not null,
    revision         integer     not null,
    channel_id       bigint,
    content          text,
    embeds           jsonb,
    attachments      jsonb,
    components       jsonb,
    sticker_items    jsonb,
    poll             jsonb,
    mentions         bigint[],
    mention_roles    bigint[],
    mention_everyone boolean,
    pinned           boolean,
    flags            bigint,
    edited_timestamp timestamptz,
    cause            text        not null check (cause in ('edit', 'embeds', 'pin', 'flags', 'poll', 'other')),
    seen_at          timestamptz not null,
    superseded_at    timestamptz not null,
    primary key (guild_id, id, revision)
) partition by range (id);
create table discord.message_revisions_default partition of discord.message_revisions default;
comment on table discord.message_revisions is 'Superseded versions of messages. Partitioned like messages.';
comment on column discord.message_revisions.guild_id is 'Guild, or 0 for direct messages.';
comment on column discord.message_revisions.id is 'Message id.';
comment on column discord.message_revisions.revision is 'Version, from 0.';
comment on column discord.message_revisions.channel_id is 'Channel or thread.';
comment on column discord.message_revisions.content is 'Text of this version.';
comment on column discord.message_revisions.embeds is 'Embeds of this version.';
comment on column discord.message_revisions.attachments is 'Attachments of this version.';
comment on column discord.message_revisions.components is 'Components of this version.';
comment on column discord.message_revisions.sticker_items is 'Stickers of this version.';
comment on column discord.message_revisions.poll is 'Poll of this version.';
comment on column discord.message_revisions.mentions is 'User ids mentioned in this version.';
comment on column discord.message_revisions.mention_roles is 'Role ids mentioned in this version.';
comment on column discord.message_revisions.mention_everyone is 'Whether this version mentions everyone.';
comment on column discord.message_revisions.pinned is 'Whether it was pinned.';
comment on column discord.message_revisions.flags is 'Flags of this version.';
comment on column discord.message_revisions.edited_timestamp is 'Edit time of this version; null for the first.';
comment on column discord.message_revisions.cause is 'What superseded it: edit, embeds (a link was resolved), pin, flags, poll or other.';
comment on column discord.message_revisions.seen_at is 'When this version was received.';
comment on column discord.message_revisions.superseded_at is 'When the next version was received.';

create view discord.message_history as
select guild_id, id, revision, channel_id, content, embeds, attachments, edited_timestamp, seen_at, superseded_at, cause,
       false as is_current, null::timestamptz as deleted_at
  from discord.message_revisions
union all
select guild_id, id, revision, channel_id, content, embeds, attachments, edited_timestamp, seen_at, null, null,
       true, deleted_at
  from discord.messages;
comment on view discord.message_history is 'Every version of every message, superseded and current; order by id, revision.';

create view discord.message_embeds as
select m.guild_id, m.id as message_id, m.channel_id, e.ordinality::integer as "position",
       e.embed ->> 'type' as type, e.embed ->> 'title' as title, e.embed ->> 'description' as description, e.embed ->> 'url' as url,
       (e.embed ->> 'timestamp')::timestamptz as "timestamp", (e.embed ->> 'color')::integer as color,
       e.embed #>> '{author,name}' as author_name, e.embed #>> '{author,url}' as author_url,
       e.embed #>> '{footer,text}' as footer_text, e.embed #>> '{image,url}' as image_url,
       e.embed #>> '{thumbnail,url}' as thumbnail_url, e.embed #>> '{video,url}' as video_url,
       e.embed #>> '{provider,name}' as provider_name, e.embed -> 'fields' as fields
  from discord.messages m
 cross join lateral jsonb_array_elements(case when jsonb_typeof(m.embeds) = 'array' then m.embeds end)
       with ordinality as e (embed, ordinality);
comment on view discord.message_embeds is 'One row per embed of a current message, with its documented fields as columns.';
