//! What a refusal of Discord's means for the caller.
//!
//! **Invariant:** every status and code becomes an error that says what to do; codes are Discord's:
//! <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>.

use serde::Deserialize;
use serde_json::Value;

use super::call::Call;
use crate::discord_db::DiscordDbError;

/// Codes that mean more than their status.
mod code {
    pub(super) const UNKNOWN_CHANNEL: u64 = 10_003;
    pub(super) const UNKNOWN_GUILD: u64 = 10_004;
    pub(super) const TOO_MANY_PINS: u64 = 30_003;
    pub(super) const TOO_MANY_CHANNELS: u64 = 30_013;
    pub(super) const OTHERS_MESSAGE: u64 = 50_005;
    pub(super) const EMPTY_MESSAGE: u64 = 50_006;
    pub(super) const MISSING_PERMISSIONS: u64 = 50_013;
    pub(super) const TOO_OLD: u64 = 50_034;
    pub(super) const INVALID_FORM: u64 = 50_035;
}

/// An answer that is neither success nor to be tried again.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: u64,
    message: String,
    /// An earlier attempt had no reply, so what is refused may be its repetition.
    after_loss: bool,
}

#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    errors: Value,
}

impl Refusal {
    pub(super) fn read(status: u16, body: &[u8], after_loss: bool) -> Self {
        let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
        let mut reasons = vec![body.message.as_str().unwrap_or("no reason is given").to_owned()];
        collect_form_errors("", &body.errors, &mut reasons);
        Self {
            status,
            code: body.code.as_u64().unwrap_or_default(),
            message: reasons.join("; "),
            after_loss,
        }
    }

    /// There is no such route: Discord answers 404 without a code of its own.
    pub(super) fn is_unknown_route(&self) -> bool {
        matches!((self.status, self.code), (404 | 405, 0))
    }

    /// What was to be deleted is gone, and an attempt of ours that had no reply may have done it.
    pub(super) fn is_deleted_before(&self) -> bool {
        self.after_loss && self.status == 404
    }

    pub(super) fn into_error(self, call: &Call) -> DiscordDbError {
        // What an earlier attempt did may be why this one is refused.
        if self.after_loss && self.status != 401 && call.changes_something() {
            return DiscordDbError::Transport {
                doing: call.doing(),
                reason: format!(
                    "one attempt had no answer, the next was refused: {}",
                    self.message
                ),
                maybe_applied: true,
            };
        }
        match (self.status, self.code) {
            (401, _) => DiscordDbError::InvalidToken,
            (404, code) => DiscordDbError::NotFound { what: missing(code, call) },
            (_, code::MISSING_PERMISSIONS) => DiscordDbError::MissingPermission {
                doing: call.to_do(),
                permission: call.permission,
            },
            (403, code) if code != code::OTHERS_MESSAGE => {
                DiscordDbError::Forbidden { doing: call.doing(), reason: self.message }
            }
            (_, code::TOO_MANY_CHANNELS) if call.lane.resource != 0 => {
                DiscordDbError::TooManyChannels { guild_id: call.lane.resource }
            }
            (status, code) => DiscordDbError::Refused {
                doing: call.doing(),
                status,
                code,
                reason: match advice(code) {
                    Some(advice) => format!("{}; {advice}", self.message),
                    None => self.message,
                },
            },
        }
    }
}

fn missing(code: u64, call: &Call) -> String {
    match code {
        code::UNKNOWN_CHANNEL => format!("channel {}", call.lane.resource),
        code::UNKNOWN_GUILD => format!("guild {}", call.lane.resource),
        _ => call.what.clone(),
    }
}

fn advice(code: u64) -> Option<&'static str> {
    Some(match code {
        code::TOO_MANY_PINS => "unpin a message of the channel first",
        code::OTHERS_MESSAGE => "only its author can edit a message",
        code::EMPTY_MESSAGE => "give at least one value that is not blank",
        code::TOO_OLD => "messages older than two weeks are deleted one by one",
        code::INVALID_FORM => "change what is named here",
        _ => return None,
    })
}

/// The leaves of a form's errors: `name: Must be between 1 and 100 in length. (BASE_TYPE_BAD_LENGTH)`.
fn collect_form_errors(path: &str, errors: &Value, found: &mut Vec<String>) {
    let Some(fields) = errors.as_object() else { return };
    for (name, value) in fields {
        if name != "_errors" {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            collect_form_errors(&path, value, found);
            continue;
        }
        for error in value.as_array().into_iter().flatten() {
            let text = |key| error.get(key).and_then(Value::as_str).unwrap_or("?");
            let place = if path.is_empty() { "form" } else { path };
            found.push(format!("{place}: {} ({})", text("message"), text("code")));
        }
    }
}
