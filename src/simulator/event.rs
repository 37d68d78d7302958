//! What the gateway dispatches: one value per event, holding the objects that it tells of.
//!
//! **Invariant:** an event is complete in itself. It is turned into a payload for a session and folded
//! into the truth from the same objects, and neither looks at the world again.

mod access;
mod expression;
mod family;
mod moderation;
mod payload;
mod premium;
mod reaction;
mod schedule;
mod thread;
mod voice;

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;
use twilight_model::gateway::Intents;

use self::family::Family;
pub(crate) use self::{
    access::AccessEvent,
    expression::ExpressionEvent,
    family::{Change, Need},
    moderation::ModerationEvent,
    premium::PremiumEvent,
    reaction::{ReactedMessage, ReactionEvent},
    schedule::ScheduleEvent,
    thread::{ThreadEvent, ThreadList, ThreadMembers},
    voice::VoiceEvent,
};
use super::{
    model::{
        Channel, ChannelView, CurrentUser, Guild, GuildExtras, Member, MemberView, Message,
        Presence, Role, ScheduledEvent, SoundboardSound, StageInstance, ThreadMember, User,
        VoiceState,
    },
    wire::{Snowflake, Time},
};

/// A member together with its user object.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: Arc<User>,
    pub(crate) member: Arc<Member>,
}

impl Person {
    fn view(&self, guild_id: Option<u64>) -> MemberView<'_> {
        MemberView {
            guild_id: guild_id.map(Snowflake),
            user: Some(&self.user),
            member: &self.member,
        }
    }
}

/// Everything that one GUILD_CREATE tells a session.
#[derive(Debug)]
pub(crate) struct GuildSnapshot {
    pub(crate) guild: Arc<Guild>,
    pub(crate) extras: GuildExtras,
    pub(crate) roles: Vec<Arc<Role>>,
    pub(crate) channels: Vec<Arc<Channel>>,
    /// The active threads, with the bot's membership of those that it is in.
    pub(crate) threads: Vec<(Arc<Channel>, Option<ThreadMember>)>,
    pub(crate) stage_instances: Vec<Arc<StageInstance>>,
    pub(crate) scheduled_events: Vec<Arc<ScheduledEvent>>,
    pub(crate) soundboard_sounds: Vec<Arc<SoundboardSound>>,
    pub(crate) members: Vec<Person>,
    pub(crate) presences: Vec<Arc<Presence>>,
    /// `None` without the GUILD_VOICE_STATES intent, when nothing is told of them.
    pub(crate) voice_states: Option<Vec<Arc<VoiceState>>>,
}

/// One GUILD_MEMBERS_CHUNK.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) guild_id: u64,
    pub(crate) members: Vec<Person>,
    pub(crate) presences: Option<Vec<Arc<Presence>>>,
    pub(crate) index: usize,
    pub(crate) count: usize,
    pub(crate) not_found: Vec<Snowflake>,
    pub(crate) nonce: Option<Box<str>>,
    /// Whether the chunks of the request hold every member of the guild.
    pub(crate) complete: bool,
}

/// READY, as far as it tells of the state.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) bot: Arc<User>,
    pub(crate) guild_ids: Vec<u64>,
    pub(crate) shard: [u32; 2],
    pub(crate) session_id: Box<str>,
    pub(crate) resume_gateway_url: Box<str>,
}

/// A dispatch.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Ready(Arc<Ready>),
    Resumed,
    GuildCreate(Arc<GuildSnapshot>),
    /// GUILD_CREATE of a guild that the bot joins in an outage: nothing but its id.
    GuildCreateInOutage(u64),
    GuildUpdate {
        guild: Arc<Guild>,
        roles: Vec<Arc<Role>>,
    },
    GuildDelete {
        guild_id: u64,
        unavailable: bool,
    },
    RoleCreate(u64, Arc<Role>),
    RoleUpdate(u64, Arc<Role>),
    RoleDelete(u64, u64),
    ChannelCreate(Arc<Channel>),
    ChannelUpdate(Arc<Channel>),
    ChannelDelete(Arc<Channel>),
    /// A new thread, or one that the bot was added to: then with the bot's membership.
    ThreadCreate {
        thread: Arc<Channel>,
        newly_created: bool,
        member: Option<ThreadMember>,
    },
    ThreadUpdate(Arc<Channel>),
    ThreadDelete(Arc<Channel>),
    ChannelPinsUpdate {
        guild_id: u64,
        channel_id: u64,
        last_pin_timestamp: Option<Time>,
    },
    MemberAdd(u64, Person),
    MemberUpdate(u64, Person),
    MemberRemove(u64, Arc<User>),
    MembersChunk(Arc<Chunk>),
    PresenceUpdate(u64, Arc<Presence>),
    /// A presence of which only the user's id is sent, all that Discord guarantees.
    PartialPresence(u64, Arc<Presence>),
    VoiceStateUpdate {
        guild_id: u64,
        state: Arc<VoiceState>,
        person: Option<Person>,
    },
    MessageCreate(Arc<Message>),
    MessageUpdate(Arc<Message>),
    MessageDelete {
        guild_id: Option<u64>,
        channel_id: u64,
        id: u64,
    },
    MessageDeleteBulk {
        guild_id: u64,
        channel_id: u64,
        ids: Vec<Snowflake>,
    },
    UserUpdate(Arc<User>),
    TypingStart {
        guild_id: u64,
        channel_id: u64,
        person: Person,
        at: Time,
    },
    Access(AccessEvent),
    Expression(ExpressionEvent),
    Moderation(ModerationEvent),
    Premium(PremiumEvent),
    Reaction(ReactionEvent),
    Schedule(ScheduleEvent),
    Thread(ThreadEvent),
    Voice(VoiceEvent),
    /// An event of which the truth keeps nothing but the count.
    Other {
        name: Box<str>,
        guild_id: Option<u64>,
        intents: Intents,
        payload: Arc<Value>,
    },
}

/// A list of shared objects, written without the sharing.
struct Each<'a, T>(&'a [Arc<T>]);

impl<T: Serialize> Serialize for Each<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Arc::as_ref))
    }
}

impl Event {
    /// The event name, Discord's `t`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Ready(_) => "READY",
            Self::Resumed => "RESUMED",
            Self::GuildCreate(_) | Self::GuildCreateInOutage(_) => "GUILD_CREATE",
            Self::GuildUpdate { .. } => "GUILD_UPDATE",
            Self::GuildDelete { .. } => "GUILD_DELETE",
            Self::RoleCreate(..) => "GUILD_ROLE_CREATE",
            Self::RoleUpdate(..) => "GUILD_ROLE_UPDATE",
            Self::RoleDelete(..) => "GUILD_ROLE_DELETE",
            Self::ChannelCreate(_) => "CHANNEL_CREATE",
            Self::ChannelUpdate(_) => "CHANNEL_UPDATE",
            Self::ChannelDelete(_) => "CHANNEL_DELETE",
            Self::ThreadCreate { .. } => "THREAD_CREATE",
            Self::ThreadUpdate(_) => "THREAD_UPDATE",
            Self::ThreadDelete(_) => "THREAD_DELETE",
            Self::ChannelPinsUpdate { .. } => "CHANNEL_PINS_UPDATE",
            Self::MemberAdd(..) => "GUILD_MEMBER_ADD",
            Self::MemberUpdate(..) => "GUILD_MEMBER_UPDATE",
            Self::MemberRemove(..) => "GUILD_MEMBER_REMOVE",
            Self::MembersChunk(_) => "GUILD_MEMBERS_CHUNK",
            Self::PresenceUpdate(..) | Self::PartialPresence(..) => "PRESENCE_UPDATE",
            Self::VoiceStateUpdate { .. } => "VOICE_STATE_UPDATE",
            Self::MessageCreate(_) => "MESSAGE_CREATE",
            Self::MessageUpdate(_) => "MESSAGE_UPDATE",
            Self::MessageDelete { .. } => "MESSAGE_DELETE",
            Self::MessageDeleteBulk { .. } => "MESSAGE_DELETE_BULK",
            Self::UserUpdate(_) => "USER_UPDATE",
            Self::TypingStart { .. } => "TYPING_START",
            Self::Other { name, .. } => name,
            _ => self.family().map_or("", Family::name),
        }
    }

    /// The guild whose shard gets it; `None` for events of the whole bot, which go to shard 0, and for
    /// those of one session.
    pub(crate) fn guild_id(&self) -> Option<u64> {
        match self {
            Self::Ready(_) | Self::Resumed | Self::UserUpdate(_) => None,
            Self::GuildCreate(snapshot) => Some(snapshot.guild.id.0),
            Self::GuildUpdate { guild, .. } => Some(guild.id.0),
            Self::GuildDelete { guild_id, .. }
            | Self::GuildCreateInOutage(guild_id)
            | Self::RoleCreate(guild_id, _)
            | Self::RoleUpdate(guild_id, _)
            | Self::RoleDelete(guild_id, _)
            | Self::ChannelPinsUpdate { guild_id, .. }
            | Self::MemberAdd(guild_id, _)
            | Self::MemberUpdate(guild_id, _)
            | Self::MemberRemove(guild_id, _)
            | Self::PresenceUpdate(guild_id, _)
            | Self::PartialPresence(guild_id, _)
            | Self::VoiceStateUpdate { guild_id, .. }
            | Self::MessageDeleteBulk { guild_id, .. }
            | Self::TypingStart { guild_id, .. } => Some(*guild_id),
            Self::ChannelCreate(channel)
            | Self::ChannelUpdate(channel)
            | Self::ChannelDelete(channel)
            | Self::ThreadCreate { thread: channel, .. }
            | Self::ThreadUpdate(channel)
            | Self::ThreadDelete(channel) => Some(channel.guild_id.0),
            Self::MembersChunk(chunk) => Some(chunk.guild_id),
            Self::MessageCreate(message) | Self::MessageUpdate(message) => {
                message.guild_id.map(|id| id.0)
            }
            Self::MessageDelete { guild_id, .. } | Self::Other { guild_id, .. } => *guild_id,
            _ => self.family().and_then(Family::guild_id),
        }
    }

    /// The intents of which a session needs one to get it; empty when every session does.
    ///
    /// Rests on <https://discord.com/developers/docs/events/gateway#list-of-intents>.
    pub(crate) fn intents(&self) -> Intents {
        match self {
            Self::Ready(_) | Self::Resumed | Self::MembersChunk(_) | Self::UserUpdate(_) => {
                Intents::empty()
            }
            Self::GuildCreate(_)
            | Self::GuildCreateInOutage(_)
            | Self::GuildUpdate { .. }
            | Self::GuildDelete { .. }
            | Self::RoleCreate(..)
            | Self::RoleUpdate(..)
            | Self::RoleDelete(..)
            | Self::ChannelCreate(_)
            | Self::ChannelUpdate(_)
            | Self::ChannelDelete(_)
            | Self::ThreadCreate { .. }
            | Self::ThreadUpdate(_)
            | Self::ThreadDelete(_)
            | Self::ChannelPinsUpdate { .. } => Intents::GUILDS,
            Self::MemberAdd(..) | Self::MemberUpdate(..) | Self::MemberRemove(..) => {
                Intents::GUILD_MEMBERS
            }
            Self::PresenceUpdate(..) | Self::PartialPresence(..) => Intents::GUILD_PRESENCES,
            Self::VoiceStateUpdate { .. } => Intents::GUILD_VOICE_STATES,
            Self::MessageCreate(_)
            | Self::MessageUpdate(_)
            | Self::MessageDelete { .. }
            | Self::MessageDeleteBulk { .. } => match self.guild_id() {
                Some(_) => Intents::GUILD_MESSAGES,
                None => Intents::DIRECT_MESSAGES,
            },
            Self::TypingStart { .. } => Intents::GUILD_MESSAGE_TYPING,
            Self::Other { intents, .. } => *intents,
            _ => self.family().map_or(Intents::empty(), Family::intents),
        }
    }

    /// What the bot must be allowed to be told of it; `None` when everything that its intents cover is told.
    ///
    /// Rests on <https://discord.com/developers/docs/events/gateway-events>.
    pub(crate) fn need(&self) -> Option<Need> {
        self.family().and_then(Family::need)
    }

    /// Whether a second copy of it would be another row: what Discord gives no id to.
    pub(crate) fn has_no_id(&self) -> bool {
        matches!(
            self,
            Self::Moderation(ModerationEvent::Executed(_)) | Self::Voice(VoiceEvent::Effect(_))
        )
    }

    fn family(&self) -> Option<&dyn Family> {
        Some(match self {
            Self::Access(event) => event,
            Self::Expression(event) => event,
            Self::Moderation(event) => event,
            Self::Premium(event) => event,
            Self::Reaction(event) => event,
            Self::Schedule(event) => event,
            Self::Thread(event) => event,
            Self::Voice(event) => event,
            _ => return None,
        })
    }

    /// The event as a session without the MESSAGE_CONTENT intent gets it; `None` when that is no different.
    pub(crate) fn without_content(&self, bot_id: u64) -> Option<Self> {
        match self {
            Self::MessageCreate(message) if !message.is_always_readable_by(bot_id) => {
                Some(Self::MessageCreate(Arc::new(message.without_content())))
            }
            Self::MessageUpdate(message) if !message.is_always_readable_by(bot_id) => {
                Some(Self::MessageUpdate(Arc::new(message.without_content())))
            }
            Self::Moderation(ModerationEvent::Executed(execution)) => {
                let execution = Arc::new(execution.without_content());
                Some(Self::Moderation(ModerationEvent::Executed(execution)))
            }
            _ => None,
        }
    }
}

/// The whole frame: fields in the order that Discord writes them, which clients rely on.
pub(crate) fn frame(event: &Event, sequence: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"t\":");
    put(&mut out, event.name());
    out.extend_from_slice(b",\"s\":");
    put(&mut out, &sequence);
    out.extend_from_slice(b",\"op\":0,\"d\":");
    event.write(&mut out);
    out.push(b'}');
    out
}

fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value)
        .expect("writing to memory cannot fail and every map key is a string");
}

/// What the bot's own user object looks like to itself.
pub(crate) fn current_user(user: &User) -> CurrentUser<'_> {
    CurrentUser { user, mfa_enabled: true, verified: true, email: None, flags: 0 }
}

/// A channel object with its guild's id.
pub(crate) fn whole_channel(channel: &Channel) -> ChannelView<'_> {
    ChannelView { guild_id: Some(channel.guild_id), channel, member: None, newly_created: None }
}
