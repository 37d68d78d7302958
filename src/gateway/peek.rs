//! What the shard has to know of a payload before the writers decode it: opcode, sequence, type,
//! the guild that routes it, and the few fields that steer the session and the member lists.
//!
//! **Invariant:** nothing inside `d` can fail a peek. A field of an unexpected type counts as
//! absent; only text that is not JSON is broken, and even then opcode, sequence and type are looked for.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use twilight_model::gateway::event::GatewayEventDeserializer;

use crate::id::GuildId;

/// The opcode of a dispatch: everything that has a sequence.
pub(super) const DISPATCH: u8 = 0;

/// One pass over a gateway payload.
#[derive(Debug, Default)]
pub struct Peek<'a> {
    /// Discord's opcode; a payload without one counts as a dispatch, so that it is stored.
    pub op: u8,
    /// The sequence, when the payload has one.
    pub s: Option<u64>,
    /// The event's name, when the payload has one.
    pub t: Option<Cow<'a, str>>,
    /// What was found inside `d`.
    pub d: PeekData<'a>,
    /// Op 9 has a bare boolean for its data: whether the session may be resumed.
    pub resumable: bool,
    /// Whether the text is not valid JSON; then `d` is empty.
    pub broken: bool,
}

/// The fields of `d` that the gateway itself acts on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PeekData<'a> {
    id: Scalar<'a>,
    guild_id: Scalar<'a>,
    unavailable: Scalar<'a>,
    member_count: Scalar<'a>,
    #[serde(borrow)]
    members: Scalar<'a>,
    nonce: Scalar<'a>,
    chunk_index: Scalar<'a>,
    chunk_count: Scalar<'a>,
    retry_after: Scalar<'a>,
    opcode: Scalar<'a>,
    meta: Option<Meta<'a>>,
    session_id: Scalar<'a>,
    resume_gateway_url: Scalar<'a>,
    guilds: Option<Vec<Stub<'a>>>,
    heartbeat_interval: Scalar<'a>,
}

/// RATE_LIMITED's `meta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta<'a> {
    guild_id: Scalar<'a>,
    #[serde(borrow)]
    nonce: Scalar<'a>,
}

/// One of READY's guilds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stub<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
}

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(default)]
    op: Scalar<'a>,
    #[serde(default)]
    s: Scalar<'a>,
    #[serde(default, borrow)]
    t: Scalar<'a>,
    #[serde(default)]
    d: Option<PeekData<'a>>,
}

/// The same with nothing expected of `d`.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    op: Scalar<'a>,
    #[serde(default)]
    s: Scalar<'a>,
    #[serde(default, borrow)]
    t: Scalar<'a>,
    #[serde(default)]
    d: Scalar<'a>,
}

impl<'a> Peek<'a> {
    /// Reads what it can of `text`; never fails.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        if let Ok(Whole { op, s, t, d }) = serde_json::from_str(text) {
            let d = d.unwrap_or_default();
            return Self { op: op.opcode(), s: s.sequence(), t: t.text(), d, ..Self::default() };
        }
        if let Ok(Envelope { op, s, t, d }) = serde_json::from_str(text) {
            let resumable = d.is_true();
            return Self {
                op: op.opcode(),
                s: s.sequence(),
                t: t.text(),
                resumable,
                ..Self::default()
            };
        }
        Self::of_broken(text)
    }

    /// Opcode, sequence and type by searching for their keys, as twilight does.
    fn of_broken(text: &'a str) -> Self {
        let found =
            GatewayEventDeserializer::from_json(text).map(GatewayEventDeserializer::into_parts);
        let (op, s, t) = found.unwrap_or((DISPATCH, None, None));
        let s = s.filter(|s| i64::try_from(*s).is_ok());
        Self { op, s, t, broken: true, ..Self::default() }
    }

    /// The event's name, or nothing for a payload without one.
    #[must_use]
    pub fn event(&self) -> &str {
        self.t.as_deref().unwrap_or_default()
    }

    /// The guild whose partition the payload belongs to; 0 for what belongs to none.
    #[must_use]
    pub fn routing_guild(&self) -> GuildId {
        let id = match self.event() {
            "GUILD_CREATE" | "GUILD_UPDATE" | "GUILD_DELETE" => &self.d.id,
            _ => &self.d.guild_id,
        };
        id.number().unwrap_or(0)
    }
}

impl PeekData<'_> {
    /// GUILD_CREATE and GUILD_DELETE: whether this is about an outage.
    #[must_use]
    pub fn unavailable(&self) -> bool {
        self.unavailable.is_true()
    }

    /// GUILD_CREATE: how many of its members the payload does not hold.
    #[must_use]
    pub fn missing_members(&self) -> u64 {
        self.member_count.number().unwrap_or(0).saturating_sub(self.members.length())
    }

    /// GUILD_MEMBERS_CHUNK: nonce, index and count.
    #[must_use]
    pub fn chunk(&self) -> Option<(&str, u64, u64)> {
        Some((self.nonce.as_str()?, self.chunk_index.number()?, self.chunk_count.number()?))
    }

    /// RATE_LIMITED: the opcode and the seconds to wait.
    #[must_use]
    pub fn limit(&self) -> Option<(u64, f64)> {
        Some((self.opcode.number()?, self.retry_after.seconds()?))
    }

    /// RATE_LIMITED: the guild that a member request was about.
    #[must_use]
    pub fn limited_guild(&self) -> Option<GuildId> {
        self.meta.as_ref()?.guild_id.number()
    }

    /// RATE_LIMITED: the nonce of the refused request.
    #[must_use]
    pub fn limited_nonce(&self) -> Option<&str> {
        self.meta.as_ref()?.nonce.as_str()
    }

    /// READY: the session's id and where to resume it. PostgreSQL takes no id with U+0000.
    #[must_use]
    pub fn session(&self) -> Option<(&str, &str)> {
        let id = self.session_id.as_str().filter(|id| !id.contains('\0'))?;
        Some((id, self.resume_gateway_url.as_str()?))
    }

    /// READY: the guilds that the shard is in.
    pub fn guilds(&self) -> impl Iterator<Item = GuildId> {
        self.guilds.iter().flatten().filter_map(|stub| stub.id.number())
    }

    /// HELLO: milliseconds between two heartbeats.
    #[must_use]
    pub fn heartbeat_interval_ms(&self) -> Option<u64> {
        self.heartbeat_interval.number().filter(|&interval| interval > 0)
    }
}

/// A value of any kind, of which only scalars and the length of arrays are kept.
#[derive(Debug, Default)]
enum Scalar<'a> {
    #[default]
    Other,
    Bool(bool),
    Number(u64),
    Fraction(f64),
    Text(Cow<'a, str>),
    Array(u64),
}

impl<'a> Scalar<'a> {
    /// A snowflake or a count, written as a number or as a string.
    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn seconds(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "nobody waits 2^53 seconds")]
            Self::Number(number) => Some(*number as f64),
            Self::Fraction(number) => Some(*number),
            _ => None,
        }
    }

    fn text(self) -> Option<Cow<'a, str>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    fn length(&self) -> u64 {
        if let Self::Array(length) = self { *length } else { 0 }
    }

    /// What PostgreSQL's `bigint` cannot hold is no sequence.
    fn sequence(&self) -> Option<u64> {
        self.number().filter(|s| i64::try_from(*s).is_ok())
    }

    /// An opcode that is absent is a dispatch; one out of range is none that we know.
    fn opcode(&self) -> u8 {
        self.number().map_or(DISPATCH, |op| u8::try_from(op).unwrap_or(u8::MAX))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Fraction(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
        let mut length = 0;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(Scalar::Array(length))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar<'de>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_any_order() {
        let peek = Peek::of(
            r#"{"d":{"nested":{"guild_id":"9"},"guild_id":"77","id":5},"op":0,"s":3,"t":"MESSAGE_CREATE"}"#,
        );
        assert_eq!((peek.op, peek.s, peek.event()), (0, Some(3), "MESSAGE_CREATE"));
        assert_eq!(peek.routing_guild(), 77);
        assert!(!peek.broken);
    }

    #[test]
    fn a_guild_routes_by_its_own_id_as_string_or_number() {
        for id in ["\"41771983423143937\"", "41771983423143937"] {
            for event in ["GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE"] {
                let text =
                    format!(r#"{{"t":"{event}","s":1,"op":0,"d":{{"id":{id},"guild_id":"1"}}}}"#);
                assert_eq!(Peek::of(&text).routing_guild(), 41_771_983_423_143_937);
            }
        }
    }

    #[test]
    fn what_has_no_guild_goes_to_guild_0() {
        let peek = Peek::of(r#"{"t":"USER_UPDATE","s":1,"op":0,"d":{"id":"5"}}"#);
        assert_eq!(peek.routing_guild(), 0);
    }

    #[test]
    fn wrong_types_inside_d_are_absent_and_nothing_else_is_lost() {
        let peek = Peek::of(
            r#"{"t":"MESSAGE_CREATE","s":8,"op":0,"d":{"nonce":{"a":1},"id":[],"member_count":-1,"unavailable":"x","guild_id":"6","chunk_index":1.5}}"#,
        );
        assert_eq!((peek.s, peek.routing_guild()), (Some(8), 6));
        assert_eq!(peek.d.chunk(), None);
    }

    #[test]
    fn strange_data_still_leaves_the_envelope() {
        for d in ["null", "3", "\"x\"", "[1]", r#"{"guilds":7}"#, r#"{"id":1,"id":2}"#] {
            let text = format!(r#"{{"t":"NEW","s":4,"op":0,"d":{d}}}"#);
            let peek = Peek::of(&text);
            assert_eq!(
                (peek.op, peek.s, peek.event(), peek.routing_guild()),
                (0, Some(4), "NEW", 0)
            );
            assert!(!peek.broken, "{d}");
        }
    }

    #[test]
    fn broken_json_keeps_its_envelope_and_goes_to_guild_0() {
        let peek = Peek::of(r#"{"t":"MESSAGE_CREATE","s":12,"op":0,"d":{"guild_id":"7","#);
        assert!(peek.broken);
        assert_eq!((peek.op, peek.s, peek.event()), (0, Some(12), "MESSAGE_CREATE"));
        assert_eq!(peek.routing_guild(), 0);
        let noise = Peek::of("\u{0}not json");
        assert_eq!((noise.op, noise.s, noise.broken), (0, None, true));
    }

    #[test]
    fn a_sequence_that_no_bigint_holds_is_none() {
        for (s, read) in
            [("9223372036854775807", Some(i64::MAX as u64)), ("9223372036854775808", None)]
        {
            for end in ["{}}", "{"] {
                let text = format!(r#"{{"t":"X","s":{s},"op":0,"d":{end}"#);
                assert_eq!(Peek::of(&text).s, read, "{text}");
            }
        }
    }

    #[test]
    fn op_9_says_whether_the_session_may_be_resumed() {
        assert!(Peek::of(r#"{"op":9,"d":true}"#).resumable);
        assert!(!Peek::of(r#"{"op":9,"d":false}"#).resumable);
    }

    #[test]
    fn ready_names_session_and_guilds() {
        let peek = Peek::of(
            r#"{"t":"READY","s":1,"op":0,"d":{"session_id":"a\u0062c","resume_gateway_url":"wss://r","guilds":[{"id":"1","unavailable":true},{"id":2},{}]}}"#,
        );
        assert_eq!(peek.d.session(), Some(("abc", "wss://r")));
        let unusable = r#"{"t":"READY","s":1,"op":0,"d":{"session_id":"a\u0000","resume_gateway_url":"wss://r"}}"#;
        assert_eq!(Peek::of(unusable).d.session(), None);
        assert_eq!(peek.d.guilds().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_guild_knows_how_many_members_it_does_not_hold() {
        let peek = Peek::of(
            r#"{"t":"GUILD_CREATE","s":2,"op":0,"d":{"id":"1","member_count":10,"members":[{},{},{}]}}"#,
        );
        assert_eq!(peek.d.missing_members(), 7);
    }

    #[test]
    fn a_rate_limit_names_the_request() {
        let peek = Peek::of(
            r#"{"t":"RATE_LIMITED","s":2,"op":0,"d":{"opcode":8,"retry_after":21.5,"meta":{"guild_id":"4","nonce":"n"}}}"#,
        );
        assert_eq!(peek.d.limit(), Some((8, 21.5)));
        assert_eq!((peek.d.limited_guild(), peek.d.limited_nonce()), (Some(4), Some("n")));
        assert_eq!(peek.routing_guild(), 0);
    }
}
