//! What users pay for.
//!
//! **Invariant:** it belongs to the application, not to a guild, whatever guild it names.

use serde::Serialize;

use crate::simulator::wire::{Snowflake, Time};

/// An entitlement: <https://discord.com/developers/docs/resources/entitlement#entitlement-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Entitlement {
    pub(crate) id: Snowflake,
    pub(crate) sku_id: Snowflake,
    pub(crate) application_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<Snowflake>,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) deleted: bool,
    pub(crate) starts_at: Option<Time>,
    pub(crate) ends_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) consumed: Option<bool>,
}

/// A subscription: <https://discord.com/developers/docs/resources/subscription#subscription-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Subscription {
    pub(crate) id: Snowflake,
    pub(crate) user_id: Snowflake,
    pub(crate) sku_ids: Box<[Snowflake]>,
    pub(crate) entitlement_ids: Box<[Snowflake]>,
    pub(crate) renewal_sku_ids: Option<Box<[Snowflake]>>,
    pub(crate) current_period_start: Time,
    pub(crate) current_period_end: Time,
    pub(crate) status: u8,
    pub(crate) canceled_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) country: Option<&'static str>,
}
