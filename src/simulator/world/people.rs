//! Makes users, members, presences and voice states.
//!
//! **Invariant:** a user follows from the seed and its number alone, whichever guild asks first.

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::names;
use crate::simulator::{
    model::{
        Activity, ActivityEmoji, ActivityTimestamps, AvatarDecoration, ClientStatus, Member,
        PartyInfo, Presence, PrimaryGuild, User, UserId, VoiceState,
    },
    wire::{DISCORD_EPOCH_MS, Hash, Snowflake, Time},
};

/// A generator of its own for one thing of the world.
pub(crate) fn rng_of(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// A random image hash.
pub(crate) fn hash(rng: &mut ChaCha8Rng) -> Hash {
    Hash(std::num::NonZeroU64::MIN.saturating_add(rng.random_range(0..u64::MAX - 1)))
}

pub(super) fn maybe_hash(rng: &mut ChaCha8Rng, probability: f64) -> Option<Hash> {
    rng.random_bool(probability).then(|| hash(rng))
}

/// The id of the user with a number: rising with the number, so member lists stay sorted.
pub(crate) fn user_id(number: u64) -> u64 {
    let created = Time((DISCORD_EPOCH_MS + 20_000_000_000) * 1000 + (number as i64) * 37_000_000);
    Snowflake::at(created, number & 0xFFF).0
}

/// The user with a number.
pub(crate) fn user(seed: u64, number: u64) -> User {
    let mut rng = rng_of(seed ^ 0x5555_7365_7273, number);
    let rng = &mut rng;
    let bot = rng.random_bool(0.03);
    User {
        id: Snowflake(user_id(number)),
        username: names::username(rng, number),
        discriminator: if bot { "4711" } else { "0" },
        global_name: (!bot && rng.random_bool(0.8)).then(|| names::display_name(rng)),
        avatar: maybe_hash(rng, 0.85),
        avatar_decoration_data: rng.random_bool(0.06).then(|| {
            Box::new(AvatarDecoration {
                asset: hash(rng),
                sku_id: Snowflake(1_144_000_000_000_000_000 + rng.random_range(0..1 << 40)),
                expires_at: None,
            })
        }),
        collectibles: None,
        primary_guild: rng.random_bool(0.04).then(|| {
            Box::new(PrimaryGuild {
                identity_guild_id: Snowflake(
                    300_000_000_000_000_000 + rng.random_range(0..1 << 40),
                ),
                identity_enabled: true,
                tag: "TAG✦".into(),
                badge: hash(rng),
            })
        }),
        public_flags: if rng.random_bool(0.3) { 1 << rng.random_range(6..23) } else { 0 },
        bot,
    }
}

/// A new member with some of the guild's roles.
pub(crate) fn member(
    rng: &mut ChaCha8Rng,
    user_id: u64,
    role_ids: &[Snowflake],
    joined_at: Time,
) -> Member {
    let count = if role_ids.is_empty() { 0 } else { rng.random_range(0..=role_ids.len().min(5)) };
    let mut roles: Vec<_> = role_ids.choose_multiple(rng, count).copied().collect();
    roles.sort_unstable();
    Member {
        user_id,
        nick: rng.random_bool(0.15).then(|| names::display_name(rng)),
        avatar: maybe_hash(rng, 0.01),
        banner: maybe_hash(rng, 0.01),
        avatar_decoration_data: None,
        roles: roles.into(),
        joined_at,
        premium_since: rng.random_bool(0.01).then(|| joined_at.plus_seconds(86_400)),
        deaf: false,
        mute: rng.random_bool(0.002),
        flags: if rng.random_bool(0.1) { 2 } else { 0 },
        pending: rng.random_bool(0.02),
        communication_disabled_until: rng
            .random_bool(0.003)
            .then(|| joined_at.plus_seconds(604_800).truncated_to_ms()),
    }
}

/// A presence of someone who is online.
pub(crate) fn online_presence(rng: &mut ChaCha8Rng, user_id: u64, now: Time) -> Presence {
    let status = *["online", "online", "idle", "dnd"].choose(rng).expect("the list is not empty");
    let mut client_status = ClientStatus::default();
    match rng.random_range(0..4) {
        0 => client_status.mobile = Some(status),
        1 => client_status.web = Some(status),
        _ => client_status.desktop = Some(status),
    }
    let mut activities = Vec::new();
    if rng.random_bool(0.35) {
        activities.push(custom_status(rng, now));
    }
    if rng.random_bool(0.3) {
        activities.push(game(rng, now));
    }
    Presence {
        user: UserId { id: Snowflake(user_id) },
        status,
        client_status,
        activities: activities.into(),
    }
}

/// The presence of someone who went offline.
pub(crate) fn offline_presence(user_id: u64) -> Presence {
    Presence {
        user: UserId { id: Snowflake(user_id) },
        status: "offline",
        client_status: ClientStatus::default(),
        activities: Box::default(),
    }
}

fn custom_status(rng: &mut ChaCha8Rng, now: Time) -> Activity {
    Activity {
        id: "custom".into(),
        name: "Custom Status".into(),
        kind: 4,
        created_at: now.as_ms(),
        application_id: None,
        details: None,
        state: Some(names::text(rng, 6).into()),
        emoji: rng.random_bool(0.4).then(|| ActivityEmoji { name: names::emoji(rng) }),
        timestamps: None,
        party: None,
    }
}

fn game(rng: &mut ChaCha8Rng, now: Time) -> Activity {
    Activity {
        id: format!("{:x}", rng.random::<u64>()).into(),
        name: names::game(rng),
        kind: 0,
        created_at: now.as_ms(),
        application_id: Some(Snowflake(356_000_000_000_000_000 + rng.random_range(0..1 << 40))),
        details: rng.random_bool(0.5).then(|| names::text(rng, 4).into()),
        state: rng.random_bool(0.5).then(|| names::text(rng, 3).into()),
        emoji: None,
        timestamps: Some(ActivityTimestamps {
            start: now.as_ms() - rng.random_range(0..7_200_000),
        }),
        party: rng.random_bool(0.2).then(|| PartyInfo {
            id: format!("party-{:x}", rng.random::<u32>()).into(),
            size: [rng.random_range(1..4), 4],
        }),
    }
}

/// Someone in a voice channel.
pub(crate) fn voice_state(rng: &mut ChaCha8Rng, user_id: u64, channel_id: Snowflake) -> VoiceState {
    VoiceState {
        user_id: Snowflake(user_id),
        channel_id: Some(channel_id),
        session_id: hash(rng),
        deaf: false,
        mute: false,
        self_deaf: rng.random_bool(0.2),
        self_mute: rng.random_bool(0.4),
        self_stream: rng.random_bool(0.1),
        self_video: rng.random_bool(0.1),
        suppress: false,
        request_to_speak_timestamp: None,
    }
}
