//! The names of gateway intents in the configuration.
//!
//! **Invariant:** one name per intent that the model knows; the names are Discord's, in snake case.

use serde::{Deserialize, Deserializer, de::Error as _};
use twilight_model::gateway::Intents;

/// Every intent and its name.
pub const INTENT_NAMES: &[(&str, Intents)] = &[
    ("guilds", Intents::GUILDS),
    ("guild_members", Intents::GUILD_MEMBERS),
    ("guild_moderation", Intents::GUILD_MODERATION),
    ("guild_emojis_and_stickers", Intents::GUILD_EMOJIS_AND_STICKERS),
    ("guild_integrations", Intents::GUILD_INTEGRATIONS),
    ("guild_webhooks", Intents::GUILD_WEBHOOKS),
    ("guild_invites", Intents::GUILD_INVITES),
    ("guild_voice_states", Intents::GUILD_VOICE_STATES),
    ("guild_presences", Intents::GUILD_PRESENCES),
    ("guild_messages", Intents::GUILD_MESSAGES),
    ("guild_message_reactions", Intents::GUILD_MESSAGE_REACTIONS),
    ("guild_message_typing", Intents::GUILD_MESSAGE_TYPING),
    ("direct_messages", Intents::DIRECT_MESSAGES),
    ("direct_message_reactions", Intents::DIRECT_MESSAGE_REACTIONS),
    ("direct_message_typing", Intents::DIRECT_MESSAGE_TYPING),
    ("message_content", Intents::MESSAGE_CONTENT),
    ("guild_scheduled_events", Intents::GUILD_SCHEDULED_EVENTS),
    ("auto_moderation_configuration", Intents::AUTO_MODERATION_CONFIGURATION),
    ("auto_moderation_execution", Intents::AUTO_MODERATION_EXECUTION),
    ("guild_message_polls", Intents::GUILD_MESSAGE_POLLS),
    ("direct_message_polls", Intents::DIRECT_MESSAGE_POLLS),
];

/// The intents that have to be switched on in the developer portal.
pub const PRIVILEGED_INTENTS: Intents =
    Intents::GUILD_MEMBERS.union(Intents::GUILD_PRESENCES).union(Intents::MESSAGE_CONTENT);

/// The intent called `name`.
#[must_use]
pub fn intent_by_name(name: &str) -> Option<Intents> {
    INTENT_NAMES.iter().find(|(known, _)| *known == name).map(|&(_, intent)| intent)
}

/// The names of the intents in `intents`, in the order of their bits.
pub fn names_of(intents: Intents) -> impl Iterator<Item = &'static str> {
    INTENT_NAMES.iter().filter(move |(_, intent)| intents.contains(*intent)).map(|&(name, _)| name)
}

/// Reads a list of names.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Intents, D::Error> {
    Vec::<String>::deserialize(deserializer)?.iter().try_fold(Intents::empty(), |all, name| {
        let intent = intent_by_name(name)
            .ok_or_else(|| D::Error::custom(format!("unknown intent {name:?}")))?;
        Ok(all | intent)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_intent_of_the_model_has_a_name() {
        let named = INTENT_NAMES.iter().fold(Intents::empty(), |all, &(_, intent)| all | intent);
        assert_eq!(named, Intents::all());
        assert_eq!(names_of(Intents::all()).count(), INTENT_NAMES.len());
    }
}
