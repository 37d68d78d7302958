//! Creating messages.
//!
//! **Invariant:** with `enforce_nonce` one nonce makes one message in a channel while it is remembered.

use std::sync::Arc;

use serde_json::{Map, Value};
use twilight_model::guild::Permissions;

use super::{DEFAULT, MAX_CONTENT_CHARS, SUPPRESS_EMBEDS, has_link, tick, unfurl, view};
use crate::simulator::{
    event::Event,
    hub::Hub,
    live::{Happening, messages::blank},
    model::{Author, Message},
    rest::{
        Answered, Call, Reply, form, form::FormErrors, mentions, place::Place, text::clean_content,
    },
    wire::{Snowflake, Time},
};

/// Characters that a nonce may have.
const MAX_NONCE_CHARS: usize = 25;

/// Embeds that a message may have.
const MAX_EMBEDS: usize = 10;

/// The flags that can be set on a new message besides those of kinds that are not simulated.
const SETTABLE: u32 = SUPPRESS_EMBEDS | 1 << 12;

/// What of a message a request gives; `None` is what it leaves out.
pub(super) struct Draft {
    pub(super) content: Option<String>,
    pub(super) embeds: Option<Vec<Value>>,
    pub(super) flags: Option<u32>,
}

impl Draft {
    /// Reads the fields that creating and editing share.
    pub(super) fn read(fields: &Map<String, Value>) -> Result<Self, Reply> {
        let mut errors = FormErrors::default();
        let content = match fields.get("content") {
            None => None,
            Some(Value::Null) => Some(String::new()),
            Some(Value::String(text)) => Some(clean_content(text)),
            Some(_) => {
                errors.add(
                    "content",
                    "STRING_TYPE_CONVERT",
                    "Could not interpret value as string.",
                );
                None
            }
        };
        if content.as_ref().is_some_and(|content| content.chars().count() > MAX_CONTENT_CHARS) {
            errors.too_long("content", MAX_CONTENT_CHARS);
        }
        let embeds = match fields.get("embeds") {
            None => None,
            Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(embeds)) => Some(embeds.clone()),
            Some(_) => {
                errors.add("embeds", "LIST_TYPE_CONVERT", "Only iterables may be used in a list.");
                None
            }
        };
        if embeds.as_ref().is_some_and(|embeds| embeds.len() > MAX_EMBEDS) {
            errors.too_long("embeds", MAX_EMBEDS);
        }
        errors.into_result()?;
        let flags = fields.get("flags").and_then(Value::as_u64);
        let flags = flags.map(|flags| (flags & u64::from(u32::MAX)) as u32);
        Ok(Self { content, embeds, flags })
    }
}

/// POST /channels/{channel.id}/messages
pub(in crate::simulator::rest) fn create(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    let needed = if place.channel.is_thread() {
        Permissions::SEND_MESSAGES_IN_THREADS
    } else {
        Permissions::SEND_MESSAGES
    };
    place.need(needed)?;
    let fields = form::body(call.body)?;
    let draft = Draft::read(&fields)?;
    let nonce = nonce_of(&fields)?;
    if let Some(existing) = repeated(call, &place, &fields, nonce.as_deref()) {
        return Ok(Reply::ok(view(&existing)));
    }
    let content = draft.content.unwrap_or_default();
    let embeds = draft.embeds.unwrap_or_default();
    if content.is_empty() && embeds.is_empty() {
        return Err(Reply::bad_request(50_006, "Cannot send an empty message"));
    }
    let now = tick(call.hub);
    let mut message = own_message(call.hub, place.guild_id, place.id(), now);
    message.content = content.into();
    message.embeds = embeds;
    message.flags = draft.flags.unwrap_or(0) & SETTABLE;
    message.nonce = nonce.clone().map(Into::into);
    let may_mention_everyone = place.granted.contains(Permissions::MENTION_EVERYONE);
    let allowed = fields.get("allowed_mentions");
    let (world, guild_id) = (&call.hub.world, place.guild_id);
    mentions::resolve(world, guild_id, &mut message, allowed, may_mention_everyone);
    if let Some(nonce) = nonce {
        let key = (place.id(), nonce.into());
        call.hub.rest.nonces.remember(key, message.id.0, call.now);
    }
    let payload = view(&message);
    let unfurls = has_link(&message).then(|| message.clone());
    publish(call.hub, place.guild_id, message);
    if let Some(message) = unfurls {
        unfurl(call.hub, &place, &message);
    }
    Ok(Reply::ok(payload))
}

/// A message of the bot without content.
pub(in crate::simulator::rest) fn own_message(
    hub: &mut Hub,
    guild_id: u64,
    channel_id: u64,
    at: Time,
) -> Message {
    let bot_id = hub.world.bot_id();
    let bot = hub.world.user(bot_id).map(Arc::clone);
    let bot = bot.expect("the bot is put into the world with its making");
    let mut message = blank(&mut hub.world, Author::User(bot), channel_id, Some(guild_id));
    message.kind = DEFAULT;
    message.timestamp = at;
    let guild = hub.world.made_guild(guild_id);
    message.member = guild.and_then(|guild| guild.member(bot_id).cloned());
    message
}

/// Puts a new message into its channel and tells of it.
pub(in crate::simulator::rest) fn publish(hub: &mut Hub, guild_id: u64, message: Message) {
    let message = Arc::new(message);
    insert(hub, guild_id, Arc::clone(&message));
    hub.tell(Happening::Told(Event::MessageCreate(message)));
}

/// Puts a message into its channel untold.
pub(super) fn insert(hub: &mut Hub, guild_id: u64, message: Arc<Message>) {
    let Some(guild) = hub.world.guild(guild_id) else { return };
    if let Some(channel) = guild.channels.get_mut(&message.channel_id.0)
        && let Some(place) = Arc::make_mut(channel).last_message_id_mut()
    {
        *place = (*place).max(Some(message.id));
    }
    guild.keep_message(message);
}

fn nonce_of(fields: &Map<String, Value>) -> Result<Option<String>, Reply> {
    let nonce = match fields.get("nonce") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(nonce)) => nonce.clone(),
        Some(Value::Number(nonce)) => nonce.to_string(),
        Some(_) => {
            let message = "Could not interpret value as string.";
            return Err(form::wrong("nonce", "STRING_TYPE_CONVERT", message));
        }
    };
    if nonce.chars().count() > MAX_NONCE_CHARS {
        let mut errors = FormErrors::default();
        errors.too_long("nonce", MAX_NONCE_CHARS);
        errors.into_result()?;
    }
    Ok(Some(nonce))
}

/// The message that the nonce has made already, if the request wants to know.
fn repeated(
    call: &mut Call<'_>,
    place: &Place,
    fields: &Map<String, Value>,
    nonce: Option<&str>,
) -> Option<Arc<Message>> {
    let key = (place.id(), nonce?.into());
    let window = call.hub.config.nonce_window;
    // Looked up in any case: that is what forgets old nonces.
    let id = call.hub.rest.nonces.find(&key, window, call.now)?;
    if fields.get("enforce_nonce").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let message = call.hub.world.made_guild(place.guild_id)?.message(place.id(), id)?;
    let message = Arc::clone(message);
    call.hub.stats.nonce_repeats += 1;
    Some(message)
}

/// Messages that were there before anyone looked, for tests of what depends on their age.
impl Hub {
    /// Puts a message into a channel under an id of some time ago, by the bot or by the guild's owner, and
    /// returns its id; `None` if there is no such channel. Nobody is told.
    pub(in crate::simulator) fn insert_message(
        &mut self,
        channel_id: u64,
        content: &str,
        age_ms: i64,
        is_own: bool,
    ) -> Option<u64> {
        let (guild_id, channel) = Place::find(self, channel_id)?;
        let at = Time(self.world.now.0 - age_ms * 1000);
        let mut message = own_message(self, guild_id, channel.id.0, at);
        let low = message.id.0;
        message.id = Snowflake::at(at, low);
        message.content = clean_content(content).into();
        if !is_own {
            let guild = self.world.made_guild(guild_id)?;
            let owner_id = guild.guild.owner_id.0;
            message.member = guild.member(owner_id).cloned();
            message.author = Author::User(Arc::clone(self.world.user(owner_id)?));
        }
        let id = message.id.0;
        insert(self, guild_id, Arc::new(message));
        Some(id)
    }
}
