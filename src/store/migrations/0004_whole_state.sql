-- Every further entity of the gateway. See 0001 for the rules that hold for all tables.

create table discord.emojis (
    guild_id       bigint not null,
    id             bigint not null,
    name           text,
    roles          bigint[],
    user_id        bigint,
    require_colons boolean,
    managed        boolean,
    animated       boolean,
    available      boolean,
    deleted_at     timestamptz,
    extra          jsonb,
    updated_at     timestamptz not null,
    primary key (guild_id, id)
);
comment on table discord.emojis is 'Custom emojis of guilds; deleted_at is set when one is gone.';
comment on column discord.emojis.guild_id is 'Guild.';
comment on column discord.emojis.id is 'Emoji id.';
comment on column discord.emojis.name is 'Name.';
comment on column discord.emojis.roles is 'Roles that may use it; empty: everyone.';
comment on column discord.emojis.user_id is 'User who made it, where Discord tells.';
comment on column discord.emojis.require_colons is 'Whether it is written between colons.';
comment on column discord.emojis.managed is 'Whether an integration manages it.';
comment on column discord.emojis.animated is 'Whether it is animated.';
comment on column discord.emojis.available is 'Whether it can be used; false after a loss of boosts.';
comment on column discord.emojis.deleted_at is 'When it was deleted or found missing.';
comment on column discord.emojis.extra is 'Fields that have no column yet.';
comment on column discord.emojis.updated_at is 'When the row last changed.';

create table discord.stickers (
    guild_id    bigint not null,
    id          bigint not null,
    pack_id     bigint,
    name        text,
    description text,
    tags        text,
    type        integer,
    format_type integer,
    available   boolean,
    user_id     bigint,
    sort_value  integer,
    deleted_at  timestamptz,
    extra       jsonb,
    updated_at  timestamptz not null,
    primary key (guild_id, id)
);
comment on table discord.stickers is 'Stickers of guilds; deleted_at is set when one is gone.';
comment on column discord.stickers.guild_id is 'Guild.';
comment on column discord.stickers.id is 'Sticker id.';
comment on column discord.stickers.pack_id is 'Pack of a standard sticker.';
comment on column discord.stickers.name is 'Name.';
comment on column discord.stickers.description is 'Description.';
comment on column discord.stickers.tags is 'Autocomplete tags.';
comment on column discord.stickers.type is '1: standard, 2: of a guild.';
comment on column discord.stickers.format_type is '1: PNG, 2: APNG, 3: Lottie, 4: GIF.';
comment on column discord.stickers.available is 'Whether it can be used.';
comment on column discord.stickers.user_id is 'User who uploaded it, where Discord tells.';
comment on column discord.stickers.sort_value is 'Order in its pack.';
comment on column discord.stickers.deleted_at is 'When it was deleted or found missing.';
comment on column discord.stickers.extra is 'Fields that have no column yet.';
comment on column discord.stickers.updated_at is 'When the row last changed.';

create table discord.soundboard_sounds (
    guild_id   bigint not null,
    id         bigint not null,
    name       text,
    volume     double precision,
    emoji_id   bigint,
    emoji_name text,
    available  boolean,
    user_id    bigint,
    deleted_at timestamptz,
    extra      jsonb,
    updated_at timestamptz not null,
    primary key (guild_id, id)
);
comment on table discord.soundboard_sounds is 'Soundboard sounds of guilds; deleted_at is set when one is gone.';
comment on column discord.soundboard_sounds.guild_id is 'Guild.';
comment on column discord.soundboard_sounds.id is 'Sound id (sound_id).';
comment on column discord.soundboard_sounds.name is 'Name.';
comment on column discord.soundboard_sounds.volume is 'Volume, 0 to 1.';
comment on column discord.soundboard_sounds.emoji_id is 'Custom emoji.';
comment on column discord.soundboard_sounds.emoji_name is 'Unicode emoji.';
comment on column discord.soundboard_sounds.available is 'Whether it can be used.';
comment on column discord.soundboard_sounds.user_id is 'User who uploaded it, where Discord tells.';
comment on column discord.soundboard_sounds.deleted_at is 'When it was deleted or found missing.';
comment on column discord.soundboard_sounds.extra is 'Fields that have no column yet.';
comment on column discord.soundboard_sounds.updated_at is 'When the row last changed.';

create table discord.thread_members (
    guild_id       bigint not null,
    thread_id      bigint not null,
    user_id        bigint not null,
    join_timestamp timestamptz,
    flags          bigint,
    left_at        timestamptz,
    extra          jsonb,
    updated_at     timestamptz not null,
    primary key (guild_id, thread_id, user_id)
);
create index on discord.thread_members (user_id) where left_at is null;
comment on table discord.thread_members is 'Who joined which thread, as far as Discord tells; left_at is set when someone left.';
comment on column discord.thread_members.guild_id is 'Guild.';
comment on column discord.thread_members.thread_id is 'Thread.';
comment on column discord.thread_members.user_id is 'User.';
comment on column discord.thread_members.join_timestamp is 'When the user joined the thread.';
comment on column discord.thread_members.flags is 'Flags of the membership.';
comment on column discord.thread_members.left_at is 'When the user left the thread, or the thread ended.';
comment on column discord.thread_members.extra is 'Fields that have no column yet.';
comment on column discord.thread_members.updated_at is 'When the row last changed.';

create table discord.reactions (
    guild_id          bigint not null,
    message_id        bigint not null,
    emoji_key         bigint not null,
    user_id           bigint not null,
    type              integer not null,
    channel_id        bigint,
    emoji_id          bigint,
    emoji_name        text,
    emoji_animated    boolean,
    message_author_id bigint,
    burst_colors      jsonb,
    reacted_at        timestamptz,
    removed_at        timestamptz,
    extra             jsonb,
    updated_at        timestamptz not null,
    primary key (guild_id, message_id, emoji_key, user_id, type)
);
create index on discord.reactions (user_id, message_id) where removed_at is null;
comment on table discord.reactions is 'Who reacted to which message with what; removed_at is set when a reaction was taken back or its message deleted.';
comment on column discord.reactions.guild_id is 'Guild.';
comment on column discord.reactions.message_id is 'Message.';
comment on column discord.reactions.emoji_key is 'Which emoji: its id, or a negative number made from the text of a Unicode emoji.';
comment on column discord.reactions.user_id is 'Who reacted.';
comment on column discord.reactions.type is '0: normal, 1: burst (super reaction).';
comment on column discord.reactions.channel_id is 'Channel of the message.';
comment on column discord.reactions.emoji_id is 'Custom emoji; null for a Unicode emoji.';
comment on column discord.reactions.emoji_name is 'Unicode emoji, or the name of the custom one; null when it was deleted.';
comment on column discord.reactions.emoji_animated is 'Whether the custom emoji is animated.';
comment on column discord.reactions.message_author_id is 'Author of the message, where Discord tells.';
comment on column discord.reactions.burst_colors is 'Colours of a burst.';
comment on column discord.reactions.reacted_at is 'When the reaction was told.';
comment on column discord.reactions.removed_at is 'When it was taken back, cleared, or the message deleted.';
comment on column discord.reactions.extra is 'Fields that have no column yet.';
comment on column discord.reactions.updated_at is 'When the row last changed.';

create table discord.poll_votes (
    guild_id   bigint not null,
    message_id bigint not null,
    answer_id  bigint not null,
    user_id    bigint not null,
    channel_id bigint,
    voted_at   timestamptz,
    removed_at timestamptz,
    extra      jsonb,
    updated_at timestamptz not null,
    primary key (guild_id, message_id, answer_id, user_id)
);
comment on table discord.poll_votes is 'Who voted for which answer of which poll; removed_at is set when a vote was taken back or the message deleted.';
comment on column discord.poll_votes.guild_id is 'Guild.';
comment on column discord.poll_votes.message_id is 'Message with the poll.';
comment on column discord.poll_votes.answer_id is 'Answer of the poll.';
comment on column discord.poll_votes.user_id is 'Who voted.';
comment on column discord.poll_votes.channel_id is 'Channel of the message.';
comment on column discord.poll_votes.voted_at is 'When the vote was told.';
comment on column discord.poll_votes.removed_at is 'When it was taken back, or the message deleted.';
comment on column discord.poll_votes.extra is 'Fields that have no column yet.';
comment on column discord.poll_votes.updated_at is 'When the row last changed.';

create table discord.scheduled_events (
    guild_id             bigint not null,
    id                   bigint not null,
    channel_id           bigint,
    creator_id           bigint,
    name                 text,
    description          text,
    scheduled_start_time timestamptz,
    scheduled_end_time   timestamptz,
    privacy_level        integer,
    status               integer,
    entity_type          integer,
    entity_id            bigint,
    entity_metadata      jsonb,
    user_count           integer,
    image                text,
    recurrence_rule      jsonb,
    deleted_at           timestamptz,
    extra                jsonb,
    updated_at           timestamptz not null,
    primary key (guild_id, id)
);
comment on table discord.scheduled_events is 'Scheduled events; deleted_at is set when one is gone.';
comment on column discord.scheduled_events.guild_id is 'Guild.';
comment on column discord.scheduled_events.id is 'Event id.';
comment on column discord.scheduled_events.channel_id is 'Stage or voice channel; null for an external event.';
comment on column discord.scheduled_events.creator_id is 'User who made it.';
comment on column discord.scheduled_events.name is 'Name.';
comment on column discord.scheduled_events.description is 'Description.';
comment on column discord.scheduled_events.scheduled_start_time is 'Start.';
comment on column discord.scheduled_events.scheduled_end_time is 'End.';
comment on column discord.scheduled_events.privacy_level is '2: guild only.';
comment on column discord.scheduled_events.status is '1: scheduled, 2: active, 3: completed, 4: cancelled.';
comment on column discord.scheduled_events.entity_type is '1: stage, 2: voice, 3: external.';
comment on column discord.scheduled_events.entity_id is 'Entity behind the event.';
comment on column discord.scheduled_events.entity_metadata is 'Location of an external event.';
comment on column discord.scheduled_events.user_count is 'Subscribers as Discord last said.';
comment on column discord.scheduled_events.image is 'Cover image hash.';
comment on column discord.scheduled_events.recurrence_rule is 'How often it recurs.';
comment on column discord.scheduled_events.deleted_at is 'When it was deleted or found missing.';
comment on column discord.scheduled_events.extra is 'Fields that have no column yet.';
comment on column discord.scheduled_events.updated_at is 'When the row last changed.';

create table discord.scheduled_event_users (
    guild_id           bigint not null,
    scheduled_event_id bigint not null,
    user_id            bigint not null,
    subscribed_at      timestamptz,
    removed_at         timestamptz,
    extra              jsonb,
    updated_at         timestamptz not null,
    primary key (guild_id, scheduled_event_id, user_id)
);
comment on table discord.scheduled_event_users is 'Subscribers of scheduled events, from the moment on that dsqlstate listens; removed_at is set when one unsubscribed.';
comment on column discord.scheduled_event_users.guild_id is 'Guild.';
comment on column discord.scheduled_event_users.scheduled_event_id is 'Event.';
comment on column discord.scheduled_event_users.user_id is 'Subscriber.';
comment on column discord.scheduled_event_users.subscribed_at is 'When the subscription was told.';
comment on column discord.scheduled_event_users.removed_at is 'When the user unsubscribed, or the event ended.';
comment on column discord.scheduled_event_users.extra is 'Fields that have no column yet.';
comment on column discord.scheduled_event_users.updated_at is 'When the row last changed.';

create table discord.stage_instances (
    guild_id                 bigint not null,
    id                       bigint not null,
    channel_id               bigint,
    topic                    text,
    privacy_level            integer,
    discoverable_disabled    boolean,
    guild_scheduled_event_id bigint,
    deleted_at               timestamptz,
    extra                    jsonb,
    updated_at               timestamptz not null,
    primary key (guild_id, id)
);
comment on table discord.stage_instances is 'Live stages; deleted_at is set when one has ended.';
comment on column discord.stage_instances.guild_id is 'Guild.';
comment on column discord.stage_instances.id is 'Stage instance id.';
comment on column discord.stage_instances.channel_id is 'Stage channel.';
comment on column discord.stage_instances.topic is 'Topic.';
comment on column discord.stage_instances.privacy_level is '1: public, 2: guild only.';
comment on column discord.stage_instances.discoverable_disabled is 'Whether stage discovery is off (deprecated).';
comment on column discord.stage_instances.guild_scheduled_event_id is 'Scheduled event behind it.';
comment on column discord.stage_instances.deleted_at is 'When the stage ended or was found missing.';
comment on column discord.stage_instances.extra is 'Fields that have no column yet.';
comment on column discord.stage_instances.updated_at is 'When the row last changed.';

create table discord.invites (
    guild_id           bigint not null,
    code               text not null,
    channel_id         bigint,
    inviter_id         bigint,
    created_at         timestamptz,
    expires_at         timestamptz,
    max_age            integer,
    max_uses           integer,
    uses               integer,
    temporary          boolean,
    target_type        integer,
    target_user_id     bigint,
    target_application jsonb,
    role_ids           bigint[],
    deleted_at         timestamptz,
    extra              jsonb,
    updated_at         timestamptz not null,
    primary key (guild_id, code)
);
create index on discord.invites (code);
comment on table discord.invites is 'Invites made while dsqlstate listens; deleted_at is set when one was deleted. View invites_in_force leaves out expired and used-up ones.';
comment on column discord.invites.guild_id is 'Guild.';
comment on column discord.invites.code is 'Code.';
comment on column discord.invites.channel_id is 'Channel that it leads to.';
comment on column discord.invites.inviter_id is 'User who made it.';
comment on column discord.invites.created_at is 'When it was made.';
comment on column discord.invites.expires_at is 'When it expires; null: never.';
comment on column discord.invites.max_age is 'Seconds that it is good for; 0: for ever.';
comment on column discord.invites.max_uses is 'How often it may be used; 0: without limit.';
comment on column discord.invites.uses is 'Uses when it was told.';
comment on column discord.invites.temporary is 'Whether members who do not get a role are removed when they disconnect.';
comment on column discord.invites.target_type is '1: stream, 2: embedded application.';
comment on column discord.invites.target_user_id is 'Whose stream.';
comment on column discord.invites.target_application is 'Which application.';
comment on column discord.invites.role_ids is 'Roles that it grants.';
comment on column discord.invites.deleted_at is 'When it was deleted, or its channel.';
comment on column discord.invites.extra is 'Fields that have no column yet.';
comment on column discord.invites.updated_at is 'When the row last changed.';

create table discord.bans (
    guild_id   bigint not null,
    user_id    bigint not null,
    banned_at  timestamptz,
    deleted_at timestamptz,
    extra      jsonb,
    updated_at timestamptz not null,
    primary key (guild_id, user_id)
);
create index on discord.bans (user_id) where deleted_at is null;
comment on table discord.bans is 'Bans told while dsqlstate listens; deleted_at is set when one was lifted. Discord tells them to bots with BAN_MEMBERS or VIEW_AUDIT_LOG.';
comment on column discord.bans.guild_id is 'Guild.';
comment on column discord.bans.user_id is 'Who is banned.';
comment on column discord.bans.banned_at is 'When the ban was told.';
comment on column discord.bans.deleted_at is 'When the ban was lifted.';
comment on column discord.bans.extra is 'Fields that have no column yet.';
comment on column discord.bans.updated_at is 'When the row last changed.';

create table discord.integrations (
    guild_id            bigint not null,
    id                  bigint not null,
    name                text,
    type                text,
    enabled             boolean,
    syncing             boolean,
    role_id             bigint,
    enable_emoticons    boolean,
    expire_behavior     integer,
    expire_grace_period integer,
    user_id             bigint,
    account             jsonb,
    synced_at           timestamptz,
    subscriber_count    integer,
    revoked             boolean,
    application_id      bigint,
    application         jsonb,
    scopes              jsonb,
    deleted_at          timestamptz,
    extra               jsonb,
    updated_at          timestamptz not null,
    primary key (guild_id, id)
);
comment on table discord.integrations is 'Integrations of guilds; deleted_at is set when one is gone.';
comment on column discord.integrations.guild_id is 'Guild.';
comment on column discord.integrations.id is 'Integration id.';
comment on column discord.integrations.name is 'Name.';
comment on column discord.integrations.type is 'twitch, youtube, discord or guild_subscription.';
comment on column discord.integrations.enabled is 'Whether it is enabled.';
comment on column discord.integrations.syncing is 'Whether it is syncing.';
comment on column discord.integrations.role_id is 'Role of its subscribers.';
comment on column discord.integrations.enable_emoticons is 'Whether emoticons are synced.';
comment on column discord.integrations.expire_behavior is '0: remove the role, 1: kick.';
comment on column discord.integrations.expire_grace_period is 'Grace period in days.';
comment on column discord.integrations.user_id is 'User behind it.';
comment on column discord.integrations.account is 'Account.';
comment on column discord.integrations.synced_at is 'When it last synced.';
comment on column discord.integrations.subscriber_count is 'Subscribers.';
comment on column discord.integrations.revoked is 'Whether it was revoked.';
comment on column discord.integrations.application_id is 'Application of a bot integration.';
comment on column discord.integrations.application is 'The same, as sent.';
comment on column discord.integrations.scopes is 'OAuth2 scopes.';
comment on column discord.integrations.deleted_at is 'When it was deleted.';
comment on column discord.integrations.extra is 'Fields that have no column yet.';
comment on column discord.integrations.updated_at is 'When the row last changed.';

create table discord.auto_moderation_rules (
    guild_id         bigint not null,
    id               bigint not null,
    name             text,
    creator_id       bigint,
    event_type       integer,
    trigger_type     integer,
    trigger_metadata jsonb,
    actions          jsonb,
    enabled          boolean,
    exempt_roles     bigint[],
    exempt_channels  bigint[],
    deleted_at       timestamptz,
    extra            jsonb,
    updated_at       timestamptz not null,
    primary key (guild_id, id)
);
comment on table discord.auto_moderation_rules is 'Auto moderation rules; deleted_at is set when one is gone. Told to bots with MANAGE_GUILD.';
comment on column discord.auto_moderation_rules.guild_id is 'Guild.';
comment on column discord.auto_moderation_rules.id is 'Rule id.';
comment on column discord.auto_moderation_rules.name is 'Name.';
comment on column discord.auto_moderation_rules.creator_id is 'User who made it.';
comment on column discord.auto_moderation_rules.event_type is '1: message sent, 2: member update.';
comment on column discord.auto_moderation_rules.trigger_type is '1: keyword, 3: spam, 4: keyword preset, 5: mention spam, 6: member profile.';
comment on column discord.auto_moderation_rules.trigger_metadata is 'What triggers it.';
comment on column discord.auto_moderation_rules.actions is 'What it does.';
comment on column discord.auto_moderation_rules.enabled is 'Whether it is enabled.';
comment on column discord.auto_moderation_rules.exempt_roles is 'Roles that it does not apply to.';
comment on column discord.auto_moderation_rules.exempt_channels is 'Channels that it does not apply to.';
comment on column discord.auto_moderation_rules.deleted_at is 'When it was deleted.';
comment on column discord.auto_moderation_rules.extra is 'Fields that have no column yet.';
comment on column discord.auto_moderation_rules.updated_at is 'When the row last changed.';

create table discord.auto_moderation_executions (
    guild_id                bigint not null,
    id                      bigint not null,
    rule_id                 bigint,
    rule_trigger_type       integer,
    action                  jsonb,
    user_id                 bigint,
    channel_id              bigint,
    message_id              bigint,
    alert_system_message_id bigint,
    content                 text,
    matched_keyword         text,
    matched_content         text,
    executed_at             timestamptz,
    extra                   jsonb,
    updated_at              timestamptz not null,
    primary key (guild_id, id)
);
create index on discord.auto_moderation_executions (guild_id, user_id, executed_at);
comment on table discord.auto_moderation_executions is 'Actions that auto moderation took. Told to bots with MANAGE_GUILD.';
comment on column discord.auto_moderation_executions.guild_id is 'Guild.';
comment on column discord.auto_moderation_executions.id is 'Number made from the message or alert and the action; without either, from the frame.';
comment on column discord.auto_moderation_executions.rule_id is 'Rule.';
comment on column discord.auto_moderation_executions.rule_trigger_type is 'Trigger type of the rule.';
comment on column discord.auto_moderation_executions.action is 'The action.';
comment on column discord.auto_moderation_executions.user_id is 'Who caused it.';
comment on column discord.auto_moderation_executions.channel_id is 'Where.';
comment on column discord.auto_moderation_executions.message_id is 'Message, unless it was blocked.';
comment on column discord.auto_moderation_executions.alert_system_message_id is 'Alert that was posted.';
comment on column discord.auto_moderation_executions.content is 'Text of the message (MESSAGE_CONTENT).';
comment on column discord.auto_moderation_executions.matched_keyword is 'Keyword that matched.';
comment on column discord.auto_moderation_executions.matched_content is 'What of the text matched (MESSAGE_CONTENT).';
comment on column discord.auto_moderation_executions.executed_at is 'When it was told.';
comment on column discord.auto_moderation_executions.extra is 'Fields that have no column yet.';
comment on column discord.auto_moderation_executions.updated_at is 'When the row last changed.';

create table discord.audit_log_entries (
    guild_id    bigint not null,
    id          bigint not null,
    user_id     bigint,
    target_id   bigint,
    action_type integer,
    changes     jsonb,
    options     jsonb,
    reason      text,
    extra       jsonb,
    updated_at  timestamptz not null,
    primary key (guild_id, id)
);
create index on discord.audit_log_entries (guild_id, target_id, id);
create index on discord.audit_log_entries (guild_id, user_id, id);
comment on table discord.audit_log_entries is 'Audit log entries told while dsqlstate listens. Told to bots with VIEW_AUDIT_LOG; of aggregated entries Discord tells only the first.';
comment on column discord.audit_log_entries.guild_id is 'Guild.';
comment on column discord.audit_log_entries.id is 'Entry id; its time is the time of the action.';
comment on column discord.audit_log_entries.user_id is 'Who did it.';
comment on column discord.audit_log_entries.target_id is 'What it was done to.';
comment on column discord.audit_log_entries.action_type is 'What was done: https://discord.com/developers/docs/resources/audit-log.';
comment on column discord.audit_log_entries.changes is 'Old and new values.';
comment on column discord.audit_log_entries.options is 'Further facts of some types.';
comment on column discord.audit_log_entries.reason is 'Reason that was given.';
comment on column discord.audit_log_entries.extra is 'Fields that have no column yet.';
comment on column discord.audit_log_entries.updated_at is 'When the row last changed.';

create table discord.entitlements (
    guild_id       bigint not null,
    id             bigint not null,
    sku_id         bigint,
    application_id bigint,
    user_id        bigint,
    type           integer,
    deleted        boolean,
    starts_at      timestamptz,
    ends_at        timestamptz,
    consumed       boolean,
    deleted_at     timestamptz,
    extra          jsonb,
    updated_at     timestamptz not null,
    primary key (guild_id, id)
);
create index on discord.entitlements (user_id);
comment on table discord.entitlements is 'Entitlements of users and guilds (guild_id 0: of a user); deleted_at is set when one was deleted. They come through shard 0.';
comment on column discord.entitlements.guild_id is 'Guild, or 0.';
comment on column discord.entitlements.id is 'Entitlement id.';
comment on column discord.entitlements.sku_id is 'SKU.';
comment on column discord.entitlements.application_id is 'Application.';
comment on column discord.entitlements.user_id is 'User.';
comment on column discord.entitlements.type is 'Kind of entitlement.';
comment on column discord.entitlements.deleted is 'Whether Discord says that it is deleted.';
comment on column discord.entitlements.starts_at is 'Start; null: always.';
comment on column discord.entitlements.ends_at is 'End; null: not ended.';
comment on column discord.entitlements.consumed is 'Whether a consumable was consumed.';
comment on column discord.entitlements.deleted_at is 'When ENTITLEMENT_DELETE came.';
comment on column discord.entitlements.extra is 'Fields that have no column yet.';
comment on column discord.entitlements.updated_at is 'When the row last changed.';

create table discord.subscriptions (
    id                   bigint not null,
    user_id              bigint,
    sku_ids              bigint[],
    renewal_sku_ids      bigint[],
    entitlement_ids      bigint[],
    current_period_start timestamptz,
    current_period_end   timestamptz,
    status               integer,
    canceled_at          timestamptz,
    country              text,
    deleted_at           timestamptz,
    extra                jsonb,
    updated_at           timestamptz not null,
    primary key (id)
);
create index on discord.subscriptions (user_id);
comment on table discord.subscriptions is 'Subscriptions of users; deleted_at is set when one was deleted. They come through shard 0.';
comment on column discord.subscriptions.id is 'Subscription id.';
comment on column discord.subscriptions.user_id is 'Subscriber.';
comment on column discord.subscriptions.sku_ids is 'SKUs.';
comment on column discord.subscriptions.renewal_sku_ids is 'SKUs after the renewal.';
comment on column discord.subscriptions.entitlement_ids is 'Entitlements.';
comment on column discord.subscriptions.current_period_start is 'Start of the period.';
comment on column discord.subscriptions.current_period_end is 'End of the period.';
comment on column discord.subscriptions.status is '0: active, 1: ending, 2: inactive.';
comment on column discord.subscriptions.canceled_at is 'When it was cancelled.';
comment on column discord.subscriptions.country is 'Country of the payment.';
comment on column discord.subscriptions.deleted_at is 'When SUBSCRIPTION_DELETE came.';
comment on column discord.subscriptions.extra is 'Fields that have no column yet.';
comment on column discord.subscriptions.updated_at is 'When the row last changed.';

create table discord.voice_channel_effects (
    guild_id       bigint not null,
    id             bigint not null,
    channel_id     bigint,
    user_id        bigint,
    emoji_id       bigint,
    emoji_name     text,
    animation_type integer,
    animation_id   bigint,
    sound_id       bigint,
    sound_volume   double precision,
    sent_at        timestamptz,
    extra          jsonb,
    updated_at     timestamptz not null,
    primary key (guild_id, id)
);
create index on discord.voice_channel_effects (guild_id, channel_id, sent_at);
comment on table discord.voice_channel_effects is 'Emoji reactions and soundboard sounds in voice channels.';
comment on column discord.voice_channel_effects.guild_id is 'Guild.';
comment on column discord.voice_channel_effects.id is 'Number made from the frame: effects have no id.';
comment on column discord.voice_channel_effects.channel_id is 'Voice channel.';
comment on column discord.voice_channel_effects.user_id is 'Who sent it.';
comment on column discord.voice_channel_effects.emoji_id is 'Custom emoji.';
comment on column discord.voice_channel_effects.emoji_name is 'Unicode emoji, or the name of the custom one.';
comment on column discord.voice_channel_effects.animation_type is '0: premium, 1: basic.';
comment on column discord.voice_channel_effects.animation_id is 'Which animation.';
comment on column discord.voice_channel_effects.sound_id is 'Which sound.';
comment on column discord.voice_channel_effects.sound_volume is 'Volume, 0 to 1.';
comment on column discord.voice_channel_effects.sent_at is 'When it was told.';
comment on column discord.voice_channel_effects.extra is 'Fields that have no column yet.';
comment on column discord.voice_channel_effects.updated_at is 'When the row last changed.';

create table discord.application_command_permissions (
    guild_id       bigint not null,
    application_id bigint not null,
    id             bigint not null,
    permissions    jsonb,
    extra          jsonb,
    updated_at     timestamptz not null,
    primary key (guild_id, application_id, id)
);
comment on table discord.application_command_permissions is 'Permissions of application commands, as last told.';
comment on column discord.application_command_permissions.guild_id is 'Guild.';
comment on column discord.application_command_permissions.application_id is 'Application.';
comment on column discord.application_command_permissions.id is 'Command, or the application for all its commands.';
comment on column discord.application_command_permissions.permissions is 'Array of role, user and channel permissions.';
comment on column discord.application_command_permissions.extra is 'Fields that have no column yet.';
comment on column discord.application_command_permissions.updated_at is 'When the row last changed.';

alter table discord.guilds add column integrations_updated_at timestamptz;
comment on column discord.guilds.integrations_updated_at is 'When Discord last said that integrations changed, without saying how (GUILD_INTEGRATIONS_UPDATE).';

alter table discord.channels
    add column status              text,
    add column voice_start_time    timestamptz,
    add column webhooks_updated_at timestamptz,
    add column unlisted_at         timestamptz;
comment on column discord.channels.status is 'Status of a voice channel; told by events of its own.';
comment on column discord.channels.voice_start_time is 'When the current voice session of the channel began; null when nobody is in it.';
comment on column discord.channels.webhooks_updated_at is 'When Discord last said that webhooks of the channel changed, without saying how (WEBHOOKS_UPDATE).';
comment on column discord.channels.unlisted_at is 'Of a thread: when a list of the active threads that the bot may see lacked it. It was archived, deleted or hidden since; Discord does not say which.';

alter table discord.message_revisions drop constraint message_revisions_cause_check;
alter table discord.message_revisions add constraint message_revisions_cause_check
    check (cause in ('edit', 'embeds', 'pin', 'flags', 'poll', 'thread', 'other'));
comment on column discord.message_revisions.cause is 'What superseded it: edit, embeds (a link was resolved), pin, flags, poll, thread (one was started from it) or other.';
