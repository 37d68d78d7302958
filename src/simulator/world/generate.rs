//! Makes a guild with its roles, channels and members.
//!
//! **Invariant:** a guild follows from the seed and its index alone, so guilds may be made in any order
//! and only when they are needed.

use std::sync::Arc;

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    GuildState, Plan, names,
    people::{self, maybe_hash},
    things,
};
use crate::simulator::{
    model::{
        Channel, ChannelBody, DefaultReaction, ForumTag, Guild, IncidentsData, Overwrite, Role,
        RoleColors, RoleTags, ThreadMetadata,
    },
    wire::{Bits, Snowflake, Time},
};

/// Permission bits that exist: 0 to 52.
const ALL_PERMISSIONS: u64 = (1 << 53) - 1;

/// First stream of the generators for what hangs on guilds.
const ENTITIES_STREAM: u64 = 1 << 40;

/// The permission that stands for all others.
pub(crate) const ADMINISTRATOR: u64 = 1 << 3;

/// Gives ids that are unique within a guild, from a moment on.
pub(super) struct Ids {
    time: Time,
    low: u64,
}

impl Ids {
    pub(super) fn next(&mut self) -> Snowflake {
        self.low += 1;
        self.time = Time(self.time.0 + 1000);
        Snowflake::at(self.time, self.low)
    }
}

/// Makes the guild of a plan's index.
pub(super) fn guild(plan: &Plan, index: usize) -> GuildState {
    let id = plan.guild_ids[index];
    let size = plan.sizes[index];
    let mut rng = people::rng_of(plan.seed, 1_000 + index as u64);
    let rng = &mut rng;
    let created = Time((((id >> 22) as i64) + crate::simulator::wire::DISCORD_EPOCH_MS) * 1000);
    let mut ids = Ids { time: created, low: index as u64 * 7 };
    let scale = f64::from(size).ln().max(1.0);
    let roles = roles(rng, &mut ids, id, plan.bot_ids[0], (scale * 2.4) as usize);
    let assignable: Vec<_> = roles.iter().skip(2).map(|role| role.id).collect();
    let user_ids = member_ids(plan, rng, index);
    let channels = channels(rng, &mut ids, id, &roles, &user_ids, (scale * 3.6) as usize);
    let mut members = Vec::with_capacity(user_ids.len());
    let mut presences = std::collections::BTreeMap::new();
    let mut voice_states = std::collections::BTreeMap::new();
    let voice: Vec<_> =
        channels.iter().filter(|channel| channel.is_voice()).map(|channel| channel.id).collect();
    for user_id in user_ids {
        let age_s = rng.random_range(3_600..100_000_000);
        let joined_at = Time(plan.start.0 - age_s * 1_000_000 + rng.random_range(0..1_000_000));
        let mut member = people::member(rng, user_id, &assignable, joined_at);
        if plan.bot_ids.contains(&user_id) {
            member.roles = Box::new([roles[1].id]);
        }
        members.push(Arc::new(member));
        if rng.random_bool(0.25) {
            presences.insert(user_id, Arc::new(people::online_presence(rng, user_id, plan.start)));
            if let Some(&channel) = voice.choose(rng).filter(|_| rng.random_bool(0.06)) {
                voice_states.insert(user_id, Arc::new(people::voice_state(rng, user_id, channel)));
            }
        }
    }
    let guild =
        guild_object(rng, &mut ids, id, &members[rng_index(size)].as_ref().user_id, &channels);
    let mut state = GuildState {
        guild: Arc::new(guild),
        joined_at: Time(plan.start.0 - rng.random_range(86_400..90_000_000) * 1_000_000),
        roles: roles.into_iter().map(|role| (role.id.0, Arc::new(role))).collect(),
        channels: channels.into_iter().map(|channel| (channel.id.0, Arc::new(channel))).collect(),
        members,
        presences,
        voice_states,
        recent: std::collections::VecDeque::new(),
        history: super::History::default(),
        entities: super::Entities::default(),
        is_quiet: false,
        in_outage: false,
        removed: false,
    };
    // From a generator of its own, so that what was there before it is as it always was.
    let mut rng = people::rng_of(plan.seed, ENTITIES_STREAM + index as u64);
    things::furnish(&mut rng, &mut ids, &mut state, plan);
    state
}

/// The owner's place in the member list.
fn rng_index(size: u32) -> usize {
    size as usize / 2
}

/// Who is in the guild, in rising order: mostly people of its own, some that other guilds share, and the bot.
fn member_ids(plan: &Plan, rng: &mut ChaCha8Rng, index: usize) -> Vec<u64> {
    let size = plan.sizes[index] as usize;
    let mut ids = plan.bot_ids.iter().copied().collect::<std::collections::BTreeSet<_>>();
    let own_from = plan.first_own_user[index];
    let mut own = 0;
    while ids.len() < size {
        if rng.random_bool(0.2) {
            ids.insert(people::user_id(rng.random_range(0..plan.shared_users)));
        } else {
            ids.insert(people::user_id(own_from + own));
            own += 1;
        }
    }
    ids.into_iter().collect()
}

fn roles(
    rng: &mut ChaCha8Rng,
    ids: &mut Ids,
    guild_id: u64,
    bot_id: u64,
    count: usize,
) -> Vec<Role> {
    let count = count.clamp(2, 50);
    let mut roles: Vec<Role> = (0..count).map(|number| role(rng, ids.next(), number)).collect();
    roles[0].id = Snowflake(guild_id);
    roles[0].name = "@everyone".into();
    roles[0].tags = None;
    roles[1].managed = true;
    // The bot may do everything until it is told otherwise.
    roles[1].permissions.0 |= ADMINISTRATOR;
    roles[1].tags = Some(RoleTags { bot_id: Some(Snowflake(bot_id)), premium_subscriber: None });
    roles
}

/// A role at a position.
pub(crate) fn role(rng: &mut ChaCha8Rng, id: Snowflake, number: usize) -> Role {
    let color = if rng.random_bool(0.6) { rng.random_range(0..0x100_0000) } else { 0 };
    let booster = number > 1 && rng.random_bool(0.03);
    Role {
        id,
        name: names::role_name(rng, number),
        color,
        colors: RoleColors {
            primary_color: color,
            secondary_color: rng.random_bool(0.05).then_some(0xFF_00FF),
            tertiary_color: None,
        },
        hoist: rng.random_bool(0.3),
        icon: maybe_hash(rng, 0.03),
        unicode_emoji: rng.random_bool(0.05).then(|| names::emoji(rng)),
        position: number as u32,
        permissions: Bits(rng.random::<u64>() & rng.random::<u64>() & ALL_PERMISSIONS),
        managed: booster,
        mentionable: rng.random_bool(0.2),
        flags: u32::from(rng.random_bool(0.05)),
        tags: booster.then_some(RoleTags { bot_id: None, premium_subscriber: Some(()) }),
    }
}

fn channels(
    rng: &mut ChaCha8Rng,
    ids: &mut Ids,
    guild_id: u64,
    roles: &[Role],
    user_ids: &[u64],
    count: usize,
) -> Vec<Channel> {
    let count = count.clamp(5, 100);
    let mut channels = Vec::with_capacity(count + 8);
    let mut category = None;
    for number in 0..count {
        let kind = match number {
            0 => 4,
            1 | 2 => 0,
            3 => 2,
            _ => *[0, 0, 0, 0, 2, 2, 4, 5, 13, 15].choose(rng).expect("the list is not empty"),
        };
        let overwrites = overwrites(rng, guild_id, roles, user_ids);
        let id = ids.next();
        let parent = if kind == 4 { None } else { category };
        channels.push(channel(rng, ids, id, guild_id, kind, parent, number, overwrites));
        if kind == 4 {
            category = Some(id);
        } else if matches!(kind, 0 | 5 | 15) && rng.random_bool(0.25) {
            let owner = *user_ids.choose(rng).expect("the bot is always a member");
            let thread_kind = if kind == 5 { 10 } else { 11 };
            let thread_id = ids.next();
            channels.push(thread(rng, thread_id, guild_id, id, thread_kind, owner, ids.time));
        }
    }
    channels
}

fn overwrites(
    rng: &mut ChaCha8Rng,
    guild_id: u64,
    roles: &[Role],
    user_ids: &[u64],
) -> Box<[Overwrite]> {
    let mut overwrites = Vec::new();
    if rng.random_bool(0.4) {
        overwrites.push(overwrite(rng, Snowflake(guild_id), 0));
    }
    if rng.random_bool(0.4) {
        let role = roles.choose(rng).expect("@everyone always exists");
        overwrites.push(overwrite(rng, role.id, 0));
    }
    if rng.random_bool(0.1) {
        let user_id = *user_ids.choose(rng).expect("the bot is always a member");
        overwrites.push(overwrite(rng, Snowflake(user_id), 1));
    }
    // Discord keeps overwrites of roles and members that are gone.
    if rng.random_bool(0.05) {
        let missing = Snowflake(guild_id - rng.random_range(1..1 << 30));
        overwrites.push(overwrite(rng, missing, rng_bit(missing)));
    }
    overwrites.dedup_by_key(|overwrite| overwrite.id);
    overwrites.into()
}

fn rng_bit(id: Snowflake) -> u8 {
    u8::from(id.0 & 1 == 1)
}

/// A random overwrite for a role (0) or a member (1).
pub(crate) fn overwrite(rng: &mut ChaCha8Rng, id: Snowflake, kind: u8) -> Overwrite {
    let allow = rng.random::<u64>() & rng.random::<u64>() & ALL_PERMISSIONS;
    let deny = rng.random::<u64>() & rng.random::<u64>() & ALL_PERMISSIONS & !allow;
    Overwrite { id, kind, allow: Bits(allow), deny: Bits(deny) }
}

#[expect(clippy::too_many_arguments, reason = "each is one independent property of a channel")]
fn channel(
    rng: &mut ChaCha8Rng,
    ids: &mut Ids,
    id: Snowflake,
    guild_id: u64,
    kind: u8,
    parent_id: Option<Snowflake>,
    number: usize,
    permission_overwrites: Box<[Overwrite]>,
) -> Channel {
    let position = number as u32;
    let nsfw = rng.random_bool(0.04);
    let topic = rng.random_bool(0.4).then(|| names::text(rng, 12).into());
    let rate_limit_per_user = if rng.random_bool(0.1) { 5 } else { 0 };
    let last_message_id = rng.random_bool(0.9).then(|| ids.next());
    let body = match kind {
        4 => ChannelBody::Category { position, permission_overwrites },
        2 | 13 => ChannelBody::Voice {
            position,
            permission_overwrites,
            nsfw,
            last_message_id,
            rate_limit_per_user,
            bitrate: 64_000,
            user_limit: rng.random_range(0..=20),
            rtc_region: rng.random_bool(0.1).then_some("rotterdam"),
            video_quality_mode: 1,
        },
        15 => ChannelBody::Forum {
            position,
            permission_overwrites,
            topic,
            nsfw,
            last_message_id,
            rate_limit_per_user,
            default_auto_archive_duration: 4320,
            default_thread_rate_limit_per_user: 0,
            available_tags: (0..rng.random_range(0..5)).map(|_| forum_tag(rng, ids)).collect(),
            default_reaction_emoji: rng
                .random_bool(0.5)
                .then(|| DefaultReaction { emoji_id: None, emoji_name: Some(names::emoji(rng)) }),
            default_sort_order: rng.random_bool(0.5).then_some(0),
            default_forum_layout: rng.random_range(0..3),
        },
        _ => ChannelBody::Text {
            position,
            permission_overwrites,
            topic,
            nsfw,
            last_message_id,
            last_pin_timestamp: rng.random_bool(0.3).then_some(ids.time.plus_seconds(3600)),
            rate_limit_per_user,
            default_auto_archive_duration: rng.random_bool(0.2).then_some(1440),
        },
    };
    Channel {
        id,
        kind,
        guild_id: Snowflake(guild_id),
        name: names::channel_name(rng, number),
        parent_id,
        flags: 0,
        body,
    }
}

fn forum_tag(rng: &mut ChaCha8Rng, ids: &mut Ids) -> ForumTag {
    ForumTag {
        id: ids.next(),
        name: names::role_name(rng, 0),
        moderated: rng.random_bool(0.2),
        emoji_id: None,
        emoji_name: rng.random_bool(0.5).then(|| names::emoji(rng)),
    }
}

/// A new channel of a type.
pub(crate) fn new_channel(
    rng: &mut ChaCha8Rng,
    id: Snowflake,
    guild_id: u64,
    kind: u8,
    parent_id: Option<Snowflake>,
    number: usize,
) -> Channel {
    let overwrites = Box::new([overwrite(rng, Snowflake(guild_id), 0)]);
    let mut ids = Ids { time: id.time(), low: id.0 & 0xFFFF };
    let mut channel = channel(rng, &mut ids, id, guild_id, kind, parent_id, number, overwrites);
    if let Some(place) = channel.last_message_id_mut() {
        *place = None;
    }
    channel
}

/// A new thread in a channel.
pub(crate) fn thread(
    rng: &mut ChaCha8Rng,
    id: Snowflake,
    guild_id: u64,
    parent_id: Snowflake,
    kind: u8,
    owner_id: u64,
    now: Time,
) -> Channel {
    let messages = rng.random_range(0..200);
    Channel {
        id,
        kind,
        guild_id: Snowflake(guild_id),
        name: names::text(rng, 6).replace('\n', " ").into(),
        parent_id: Some(parent_id),
        flags: 0,
        body: ChannelBody::Thread {
            owner_id: Snowflake(owner_id),
            last_message_id: Some(id),
            last_pin_timestamp: None,
            rate_limit_per_user: 0,
            message_count: messages,
            member_count: rng.random_range(1..=50),
            total_message_sent: messages + 3,
            thread_metadata: ThreadMetadata {
                archived: false,
                auto_archive_duration: 4320,
                archive_timestamp: now,
                locked: false,
                create_timestamp: now,
            },
            applied_tags: None,
        },
    }
}

fn guild_object(
    rng: &mut ChaCha8Rng,
    ids: &mut Ids,
    id: u64,
    owner_id: &u64,
    channels: &[Channel],
) -> Guild {
    let text = channels.iter().find(|channel| channel.kind == 0).map(|channel| channel.id);
    let voice = channels.iter().find(|channel| channel.kind == 2).map(|channel| channel.id);
    let community = rng.random_bool(0.3);
    let emojis = rng.random_range(0..30);
    Guild {
        id: Snowflake(id),
        name: names::guild_name(rng),
        icon: maybe_hash(rng, 0.8),
        splash: maybe_hash(rng, 0.1),
        discovery_splash: maybe_hash(rng, 0.05),
        owner_id: Snowflake(*owner_id),
        afk_channel_id: voice.filter(|_| rng.random_bool(0.3)),
        afk_timeout: 300,
        widget_enabled: rng.random_bool(0.1),
        widget_channel_id: None,
        verification_level: rng.random_range(0..=4),
        default_message_notifications: rng.random_range(0..=1),
        explicit_content_filter: rng.random_range(0..=2),
        emojis: (0..emojis)
            .map(|number| Arc::new(things::emoji(rng, ids.next(), number)))
            .collect(),
        features: if community {
            Box::new(["COMMUNITY", "NEWS", "INVITE_SPLASH", "SOUNDBOARD"])
        } else {
            Box::new(["SOUNDBOARD"])
        },
        mfa_level: rng.random_range(0..=1),
        application_id: None,
        system_channel_id: text,
        system_channel_flags: rng.random_range(0..16),
        rules_channel_id: text.filter(|_| community),
        max_presences: None,
        max_members: 500_000,
        vanity_url_code: rng.random_bool(0.03).then(|| format!("vanity-{id}").into()),
        description: rng.random_bool(0.2).then(|| names::text(rng, 20).into()),
        banner: maybe_hash(rng, 0.1),
        premium_tier: rng.random_range(0..=3),
        premium_subscription_count: rng.random_range(0..40),
        preferred_locale: "en-US",
        public_updates_channel_id: text.filter(|_| community),
        max_video_channel_users: 25,
        max_stage_video_channel_users: 50,
        nsfw_level: 0,
        stickers: Arc::default(),
        premium_progress_bar_enabled: rng.random_bool(0.2),
        safety_alerts_channel_id: text.filter(|_| community),
        incidents_data: rng.random_bool(0.02).then(|| IncidentsData {
            invites_disabled_until: Some(ids.time.plus_seconds(7200)),
            dms_disabled_until: None,
            dm_spam_detected_at: None,
            raid_detected_at: Some(ids.time),
        }),
    }
}
