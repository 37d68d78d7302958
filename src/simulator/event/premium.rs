//! Entitlements and subscriptions.
//!
//! **Invariant:** they come through shard 0 to every bot, whatever its intents and whatever guild they name.

use std::sync::Arc;

use twilight_model::gateway::Intents;

use super::{
    family::{Change, Family},
    put,
};
use crate::simulator::model::{Entitlement, Subscription};

#[derive(Clone, Debug)]
pub(crate) enum PremiumEvent {
    Entitlement(Change, Arc<Entitlement>),
    Subscription(Change, Arc<Subscription>),
}

impl Family for PremiumEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Entitlement(change, _) => {
                change.name(["ENTITLEMENT_CREATE", "ENTITLEMENT_UPDATE", "ENTITLEMENT_DELETE"])
            }
            Self::Subscription(change, _) => {
                change.name(["SUBSCRIPTION_CREATE", "SUBSCRIPTION_UPDATE", "SUBSCRIPTION_DELETE"])
            }
        }
    }

    fn guild_id(&self) -> Option<u64> {
        None
    }

    fn intents(&self) -> Intents {
        Intents::empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Entitlement(_, entitlement) => put(out, entitlement.as_ref()),
            Self::Subscription(_, subscription) => put(out, subscription.as_ref()),
        }
    }
}
