//! Pinned messages: the paged endpoints, and the older ones where those are unknown.
//!
//! **Invariant:** which ones serve is found out once.

use std::sync::atomic::Ordering::Relaxed;

use twilight_http::{
    request::{Method, Request, RequestBuilder},
    routing::Route,
};

use super::{
    Failure, Message, Rest,
    call::{Call, Verb},
    calls::{READ_MESSAGE_HISTORY, READING, message, unbuildable},
    object::PinPage,
};
use crate::discord_db::DiscordDbError;

/// Discord sends so many at once.
const PINS_PER_PAGE: u16 = 50;

const PINNING: Verb = Verb { plain: "pin", gerund: "pinning" };

const PIN_MESSAGES: &str = "PIN_MESSAGES";

impl Rest {
    /// The pinned messages of a channel, the one pinned last first.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn pins(&self, channel_id: u64) -> Result<Vec<Message>, DiscordDbError> {
        let what = || format!("the pins of channel {channel_id}");
        let mut pins = Vec::new();
        let mut before = None;
        while !self.shared.has_old_pins.load(Relaxed) {
            let route =
                Route::GetPins { channel_id, limit: Some(PINS_PER_PAGE), before: before.take() };
            let call =
                Call::new(Request::from_route(&route), READING, what(), READ_MESSAGE_HISTORY);
            match self.shared.execute::<PinPage>(&call).await {
                Ok(page) => {
                    // The sign of an offset would be read as a blank.
                    before = page.items.last().map(|pin| pin.pinned_at.replace('+', "%2B"));
                    pins.extend(page.items.into_iter().map(|pin| pin.message));
                    if !page.has_more || before.is_none() {
                        return Ok(pins);
                    }
                }
                Err(failure) => self.fall_back(failure, &call)?,
            }
        }
        let request = raw(Method::Get, format!("channels/{channel_id}/pins"))?;
        self.call(&Call::new(request, READING, what(), READ_MESSAGE_HISTORY)).await
    }

    /// Pins a message.
    ///
    /// # Errors
    /// As Discord answers; a channel holds 250 pins.
    pub async fn pin(&self, channel_id: u64, message_id: u64) -> Result<(), DiscordDbError> {
        let what = || message(channel_id, message_id);
        if !self.shared.has_old_pins.load(Relaxed) {
            let request = Request::from_route(&Route::PinMessage { channel_id, message_id });
            let call = Call::new(request, PINNING, what(), PIN_MESSAGES);
            match self.shared.execute(&call).await {
                Err(failure) => self.fall_back(failure, &call)?,
                Ok(()) => return Ok(()),
            }
        }
        let request = raw(Method::Put, format!("channels/{channel_id}/pins/{message_id}"))?;
        self.call(&Call::new(request, PINNING, what(), PIN_MESSAGES)).await
    }

    /// Uses the older endpoints of pins from now on, if the newer ones are unknown.
    fn fall_back(&self, failure: Failure, call: &Call) -> Result<(), DiscordDbError> {
        match failure {
            Failure::Refused(refusal) if refusal.is_unknown_route() => {
                self.shared.has_old_pins.store(true, Relaxed);
                Ok(())
            }
            failure => Err(failure.into_error(call)),
        }
    }
}

fn raw(method: Method, path: String) -> Result<Request, DiscordDbError> {
    RequestBuilder::raw(method, path).build().map_err(|error| unbuildable(&error))
}
