//! Random guilds, and what twilight's calculator says of their members' permissions.
//!
//! twilight does not cover all of Discord's rules. On top of it are computed here: that without
//! VIEW_CHANNEL nothing is left and without SEND_MESSAGES no part of a message, whoever takes them
//! away (twilight does so only for overwrites); voice without CONNECT; timeouts; that a thread has
//! its parent's overwrites and SEND_MESSAGES_IN_THREADS in the place of SEND_MESSAGES.
//! twilight leaves out what it holds to be useless in a channel, and has no name for some bits:
//! these are not compared there, see [`MASK_IN_CHANNEL`].

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use twilight_model::{
    channel::{
        ChannelType,
        permission_overwrite::{PermissionOverwrite, PermissionOverwriteType},
    },
    guild::Permissions,
    id::Id,
};
use twilight_util::permission_calculator::PermissionCalculator;

/// What twilight knows of.
pub(super) const MASK: u64 = Permissions::all().bits();
/// What it keeps in a channel of a type that it has no list for.
pub(super) const MASK_IN_CHANNEL: u64 = MASK
    & !Permissions::ADMINISTRATOR
        .union(Permissions::BAN_MEMBERS)
        .union(Permissions::CHANGE_NICKNAME)
        .union(Permissions::KICK_MEMBERS)
        .union(Permissions::MANAGE_GUILD_EXPRESSIONS)
        .union(Permissions::MANAGE_GUILD)
        .union(Permissions::MANAGE_NICKNAMES)
        .union(Permissions::VIEW_AUDIT_LOG)
        .union(Permissions::VIEW_GUILD_INSIGHTS)
        .bits();
/// SEND_TTS_MESSAGES, EMBED_LINKS, ATTACH_FILES, MENTION_EVERYONE.
const PARTS_OF_MESSAGES: Permissions = Permissions::SEND_TTS_MESSAGES
    .union(Permissions::EMBED_LINKS)
    .union(Permissions::ATTACH_FILES)
    .union(Permissions::MENTION_EVERYONE);
/// What is nothing without CONNECT.
const PARTS_OF_VOICE: Permissions = Permissions::MANAGE_CHANNELS
    .union(Permissions::PRIORITY_SPEAKER)
    .union(Permissions::STREAM)
    .union(Permissions::SPEAK)
    .union(Permissions::MUTE_MEMBERS)
    .union(Permissions::DEAFEN_MEMBERS)
    .union(Permissions::MOVE_MEMBERS)
    .union(Permissions::USE_VAD)
    .union(Permissions::REQUEST_TO_SPEAK)
    .union(Permissions::USE_EMBEDDED_ACTIVITIES)
    .union(Permissions::USE_SOUNDBOARD)
    .union(Permissions::USE_EXTERNAL_SOUNDS);
/// What a timeout leaves.
const LEFT_BY_TIMEOUT: Permissions =
    Permissions::VIEW_CHANNEL.union(Permissions::READ_MESSAGE_HISTORY);

const ROLES: u64 = 6;
const CHANNELS: u64 = 12;
const MEMBERS: u64 = 24;
const THREADS: [u8; 3] = [10, 11, 12];

/// A role, tombstoned or not.
struct Role {
    id: u64,
    permissions: u64,
    deleted: bool,
}

/// An overwrite of a channel.
struct Overwrite {
    of_member: bool,
    id: u64,
    allow: u64,
    deny: u64,
    deleted: bool,
}

/// A channel or thread.
pub(super) struct Channel {
    pub(super) id: u64,
    pub(super) kind: u8,
    parent: Option<u64>,
    deleted: bool,
    overwrites: Vec<Overwrite>,
}

/// A member, present or gone.
pub(super) struct Member {
    pub(super) id: u64,
    roles: Vec<u64>,
    timeout: &'static str,
    left: bool,
}

/// A guild; the first role is @everyone.
pub(super) struct Guild {
    pub(super) id: u64,
    owner: u64,
    roles: Vec<Role>,
    pub(super) channels: Vec<Channel>,
    pub(super) members: Vec<Member>,
}

/// Makes guilds; the same seed makes the same ones.
pub(super) fn guilds(seed: u64, count: u64) -> Vec<Guild> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (1..=count).map(|id| guild(&mut rng, id * 1_000)).collect()
}

fn guild(rng: &mut ChaCha8Rng, id: u64) -> Guild {
    let everyone = bits(rng) | if rng.random_bool(0.7) { 0x10_0C00 } else { 0 };
    let mut roles = vec![Role { id, permissions: everyone, deleted: false }];
    roles.extend((1..=ROLES).map(|n| Role {
        id: id + n,
        permissions: bits(rng) | if rng.random_bool(0.04) { 8 } else { 0 },
        deleted: rng.random_bool(0.1),
    }));
    let members: Vec<Member> = (1..=MEMBERS).map(|n| member(rng, id, 100 + n)).collect();
    let mut channels: Vec<Channel> = Vec::new();
    for n in 0..CHANNELS {
        let kind = *[0, 0, 2, 4, 5, 13, 15, 10, 11, 12].choose(rng).unwrap();
        let parent = channels.choose(rng).filter(|_| THREADS.contains(&kind));
        let parent = parent.map(|parent| parent.id);
        let overwrites = overwrites(rng, id);
        channels.push(Channel {
            id: id + 200 + n,
            kind,
            parent,
            deleted: rng.random_bool(0.05),
            overwrites,
        });
    }
    Guild { id, owner: 101 + rng.random_range(0..MEMBERS), roles, channels, members }
}

fn member(rng: &mut ChaCha8Rng, guild: u64, id: u64) -> Member {
    let roles = (1..=ROLES).filter(|_| rng.random_bool(0.3)).map(|n| guild + n).collect();
    let timeout = *["", "", "", "2020-01-01", "2999-01-01"].choose(rng).unwrap();
    Member { id, roles, timeout, left: rng.random_bool(0.05) }
}

fn overwrites(rng: &mut ChaCha8Rng, guild: u64) -> Vec<Overwrite> {
    let roles = (0..=ROLES).filter(|_| rng.random_bool(0.4)).map(|n| (false, guild + n));
    let roles: Vec<_> = roles.collect();
    let members = (1..=MEMBERS).filter(|_| rng.random_bool(0.2)).map(|n| (true, 100 + n));
    let members: Vec<_> = members.collect();
    let all = roles.into_iter().chain(members);
    all.map(|(of_member, id)| {
        let allow = bits(rng);
        let deny = bits(rng) & if rng.random_bool(0.5) { !0x400 } else { u64::MAX };
        Overwrite { of_member, id, allow, deny, deleted: rng.random_bool(0.1) }
    })
    .collect()
}

/// Each of Discord's bits but ADMINISTRATOR, with a chance of one in four.
fn bits(rng: &mut ChaCha8Rng) -> u64 {
    rng.random::<u64>() & rng.random::<u64>() & ((1 << 53) - 1) & !8
}

/// The rows of the guilds, by table.
pub(super) fn rows(guilds: &[Guild]) -> Value {
    let gone = |gone: bool| gone.then_some("2026-01-01");
    let mut rows = json!({"guilds": [], "roles": [], "channels": [], "members": [], "permission_overwrites": []});
    let mut push = |table: &str, row: Value| rows[table].as_array_mut().unwrap().push(row);
    for guild in guilds {
        push("guilds", json!({"id": guild.id, "owner_id": guild.owner, "unavailable": false}));
        for role in &guild.roles {
            push(
                "roles",
                json!({"guild_id": guild.id, "id": role.id, "permissions": role.permissions,
                "deleted_at": gone(role.deleted)}),
            );
        }
        for member in &guild.members {
            push(
                "members",
                json!({"guild_id": guild.id, "user_id": member.id, "roles": member.roles,
                    "communication_disabled_until": Some(member.timeout).filter(|at| !at.is_empty()),
                    "left_at": gone(member.left)}),
            );
        }
        for channel in &guild.channels {
            push(
                "channels",
                json!({"guild_id": guild.id, "id": channel.id, "type": channel.kind,
                    "parent_id": channel.parent, "deleted_at": gone(channel.deleted)}),
            );
            for overwrite in &channel.overwrites {
                push(
                    "permission_overwrites",
                    json!({"guild_id": guild.id, "channel_id": channel.id, "id": overwrite.id,
                        "type": u8::from(overwrite.of_member), "allow": overwrite.allow,
                        "deny": overwrite.deny, "deleted_at": gone(overwrite.deleted)}),
                );
            }
        }
    }
    rows
}

impl Guild {
    /// The permissions of a member, in the guild or in a channel; `None`: the channel is gone.
    pub(super) fn expected(&self, member: &Member, channel: Option<&Channel>) -> Option<u64> {
        let place = match channel {
            Some(channel) => Some(self.place(channel)?),
            None => None,
        };
        if member.left {
            return Some(0);
        }
        let is_thread = channel.is_some_and(|channel| THREADS.contains(&channel.kind));
        let seen = |bits: u64| Permissions::from_bits_truncate(in_thread(bits, is_thread));
        let roles: Vec<_> = self
            .roles
            .iter()
            .filter(|role| !role.deleted && member.roles.contains(&role.id))
            .map(|role| (Id::new(role.id), seen(role.permissions)))
            .collect();
        let calculator = PermissionCalculator::new(
            Id::new(self.id),
            Id::new(member.id),
            seen(self.roles[0].permissions),
            &roles,
        )
        .owner_id(Id::new(self.owner));
        let root = calculator.root();
        let (Some(channel), Some(place)) = (channel, place) else {
            return Some(after_timeout(root, member).bits());
        };
        if root.contains(Permissions::ADMINISTRATOR) {
            return Some(Permissions::all().bits());
        }
        let overwrites: Vec<_> = place
            .overwrites
            .iter()
            .filter(|overwrite| !overwrite.deleted && self.counts(overwrite))
            .map(|overwrite| PermissionOverwrite {
                allow: seen(overwrite.allow),
                deny: seen(overwrite.deny),
                id: Id::new(overwrite.id),
                kind: if overwrite.of_member {
                    PermissionOverwriteType::Member
                } else {
                    PermissionOverwriteType::Role
                },
            })
            .collect();
        // A type for which twilight leaves out nothing.
        let told = calculator.in_channel(ChannelType::GuildAnnouncement, &overwrites);
        Some(implied(after_timeout(told, member), channel.kind).bits())
    }

    /// The channel whose overwrites count.
    fn place<'a>(&'a self, channel: &'a Channel) -> Option<&'a Channel> {
        let place = if THREADS.contains(&channel.kind) {
            self.channels.iter().find(|other| Some(other.id) == channel.parent)?
        } else {
            channel
        };
        (!channel.deleted && !place.deleted).then_some(place)
    }

    /// A deleted role has no overwrites.
    fn counts(&self, overwrite: &Overwrite) -> bool {
        overwrite.of_member
            || self.roles.iter().any(|role| role.id == overwrite.id && !role.deleted)
    }
}

/// Puts SEND_MESSAGES_IN_THREADS in the place of SEND_MESSAGES.
fn in_thread(bits: u64, is_thread: bool) -> u64 {
    let send = Permissions::SEND_MESSAGES.bits();
    match (is_thread, bits & Permissions::SEND_MESSAGES_IN_THREADS.bits() != 0) {
        (false, _) => bits,
        (true, true) => bits | send,
        (true, false) => bits & !send,
    }
}

fn after_timeout(permissions: Permissions, member: &Member) -> Permissions {
    if member.timeout > "2026" && !permissions.contains(Permissions::ADMINISTRATOR) {
        permissions & LEFT_BY_TIMEOUT
    } else {
        permissions
    }
}

fn implied(mut permissions: Permissions, kind: u8) -> Permissions {
    if !permissions.contains(Permissions::VIEW_CHANNEL) {
        return Permissions::empty();
    }
    if !permissions.contains(Permissions::SEND_MESSAGES) {
        permissions.remove(PARTS_OF_MESSAGES);
    }
    if matches!(kind, 2 | 13) && !permissions.contains(Permissions::CONNECT) {
        permissions.remove(PARTS_OF_VOICE);
    }
    permissions
}
