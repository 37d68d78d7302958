//! What the events of one family have in common.
//!
//! **Invariant:** an event that is not in [`super::Event`] itself is in one family, and everything that is
//! asked of it is answered there.

use twilight_model::{gateway::Intents, guild::Permissions};

/// What the bot must be allowed for an event to be told to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// One of these is enough.
    pub(crate) any_of: Permissions,
    /// The channel that it must be allowed in; the whole guild without one.
    pub(crate) channel_id: Option<u64>,
}

impl Need {
    /// Of these one in the guild.
    pub(super) fn in_guild(any_of: Permissions) -> Option<Self> {
        Some(Self { any_of, channel_id: None })
    }
}

/// What happened to an object that is told whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Create,
    Update,
    Delete,
}

impl Change {
    /// One of three names.
    pub(super) fn name(self, names: [&'static str; 3]) -> &'static str {
        match self {
            Self::Create => names[0],
            Self::Update => names[1],
            Self::Delete => names[2],
        }
    }
}

/// The events of a family.
pub(crate) trait Family {
    /// Discord's `t`.
    fn name(&self) -> &'static str;
    /// As [`super::Event::guild_id`].
    fn guild_id(&self) -> Option<u64>;
    /// As [`super::Event::intents`].
    fn intents(&self) -> Intents;
    /// As [`super::Event::need`].
    fn need(&self) -> Option<Need> {
        None
    }
    /// As [`super::Event::write`].
    fn write(&self, out: &mut Vec<u8>);
}
