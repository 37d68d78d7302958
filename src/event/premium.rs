//! Entitlements and subscriptions.
//!
//! **Invariant:** an end is no deletion: only the DELETE events are.

use super::{Is, Result, Transform, guild::guild_id};
use crate::table::{
    json::Json,
    premium::{
        ENTITLEMENT_DELETED, ENTITLEMENT_DELETED_AT, ENTITLEMENTS, SUBSCRIPTION_DELETED_AT,
        SUBSCRIPTIONS,
    },
};

impl Transform<'_> {
    pub(super) fn entitlement(&mut self, d: Json<'_>, is: Is) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &ENTITLEMENTS, d)?;
        self.settle(&ENTITLEMENTS, is, ENTITLEMENT_DELETED_AT);
        // An update of what was deleted does not bring it back.
        if is == Is::There && self.row.payload(ENTITLEMENT_DELETED) == Some(&[1]) {
            self.row.forget(ENTITLEMENT_DELETED_AT);
        }
        self.emit_row(&ENTITLEMENTS).map(|_| ())
    }

    pub(super) fn subscription(&mut self, d: Json<'_>, is: Is) -> Result<()> {
        self.decode(&SUBSCRIPTIONS, d)?;
        self.settle(&SUBSCRIPTIONS, is, SUBSCRIPTION_DELETED_AT);
        self.emit_row(&SUBSCRIPTIONS).map(|_| ())
    }
}
