//! JSON values and Rust values → PostgreSQL's binary field format.
//!
//! **Invariant:** what is written here is accepted by PostgreSQL: no U+0000 in text or jsonb, no
//! lone surrogate, numbers in range. What cannot be made so is refused with [`Unfit`], and the
//! caller keeps it elsewhere.
//!
//! Formats: <https://www.postgresql.org/docs/current/sql-copy.html> ("Binary Format") and the
//! `*send`/`*recv` functions of the types.

use std::borrow::Cow;

use memchr::memmem;

use super::{Type, json::Json};

/// Most arrays and objects within one another that are stored as `jsonb`. Discord nests about ten;
/// PostgreSQL, which reads JSON recursively, takes some thousand before it says 54001.
pub const MAX_JSON_DEPTH: usize = 100;

/// The value does not fit the column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

/// Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// PostgreSQL's earliest `timestamptz`, 4714-11-24 BC, in microseconds since 1970. Its latest is past
/// every time that RFC 3339 can write.
const EARLIEST_US: i64 = -210_866_803_200_000_000;
/// OID of `bigint`, named in the header of a `bigint[]`.
const INT8_OID: u32 = 20;

/// Appends the payload of a `bigint`.
pub fn bigint(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends the payload of a `double precision`.
pub fn float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends the payload of a `timestamptz` given in microseconds since 1970.
pub fn timestamp_us(out: &mut Vec<u8>, unix_us: i64) {
    bigint(out, unix_us.saturating_sub(POSTGRES_EPOCH_US));
}

/// The payload of a `timestamptz` given in microseconds since 1970.
#[must_use]
pub fn timestamp(unix_us: i64) -> [u8; 8] {
    unix_us.saturating_sub(POSTGRES_EPOCH_US).to_be_bytes()
}

/// Appends the payload of a `text`, leaving out U+0000.
pub fn text(out: &mut Vec<u8>, value: &str) {
    if memchr::memchr(0, value.as_bytes()).is_none() {
        out.extend_from_slice(value.as_bytes());
    } else {
        out.extend(value.bytes().filter(|byte| *byte != 0));
    }
}

/// Appends the payload of a `jsonb` given as JSON text.
pub fn jsonb(out: &mut Vec<u8>, json: &str) {
    out.push(1);
    out.extend_from_slice(scrub_json(json).as_bytes());
}

/// Appends the payload of a `bigint[]`.
pub fn bigint_array(out: &mut Vec<u8>, values: &[i64]) {
    let dimensions = u32::from(!values.is_empty());
    out.extend_from_slice(&dimensions.to_be_bytes());
    out.extend_from_slice(&0u32.to_be_bytes());
    out.extend_from_slice(&INT8_OID.to_be_bytes());
    if values.is_empty() {
        return;
    }
    let len = i32::try_from(values.len()).expect("a frame holds fewer than 2^31 ids");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&1u32.to_be_bytes());
    for value in values {
        out.extend_from_slice(&8u32.to_be_bytes());
        bigint(out, *value);
    }
}

/// Reads back the payload of a `bigint[]` that [`bigint_array`] wrote.
pub fn read_bigint_array(payload: &[u8]) -> impl Iterator<Item = i64> + '_ {
    payload.get(20..).unwrap_or_default().chunks_exact(12).map(|item| {
        i64::from_be_bytes(item[4..12].try_into().expect("a chunk of 12 has 8 bytes after 4"))
    })
}

/// Microseconds since 1970 of the payload of a `timestamptz`.
#[must_use]
pub fn read_timestamp_us(postgres_us: i64) -> i64 {
    postgres_us.saturating_add(POSTGRES_EPOCH_US)
}

/// A payload that this module wrote, for people to read.
#[must_use]
pub fn to_json(ty: Type, payload: &[u8]) -> serde_json::Value {
    let number = || payload.try_into().map(i64::from_be_bytes).unwrap_or_default();
    match ty {
        Type::BigInt => number().into(),
        Type::Int => payload.try_into().map(i32::from_be_bytes).unwrap_or_default().into(),
        Type::Float => payload.try_into().map(f64::from_be_bytes).unwrap_or_default().into(),
        Type::Bool => (payload == [1]).into(),
        Type::Text => String::from_utf8_lossy(payload).into(),
        Type::Timestamp => jiff::Timestamp::from_microsecond(read_timestamp_us(number()))
            .map_or_else(|_| number().into(), |time| time.to_string().into()),
        Type::BigIntArray => read_bigint_array(payload).collect(),
        Type::Jsonb => {
            let json = payload.get(1..).unwrap_or_default();
            serde_json::from_slice(json).unwrap_or_else(|_| String::from_utf8_lossy(json).into())
        }
    }
}

/// Appends the payload of `value` as one of type `ty`. `Ok(false)` is JSON null.
///
/// # Errors
/// [`Unfit`] when it is no value of that type; `out` is as before.
pub fn json(out: &mut Vec<u8>, ty: Type, value: Json<'_>) -> Result<bool, Unfit> {
    let raw = value.get();
    if value.is_null() {
        return Ok(false);
    }
    match ty {
        Type::BigInt => bigint(out, snowflake(raw)?),
        Type::Int => {
            let value: i32 = raw.parse().map_err(|_| Unfit)?;
            out.extend_from_slice(&value.to_be_bytes());
        }
        Type::Float => {
            // A number too large for a double is read as infinity.
            let value: f64 = raw.parse().map_err(|_| Unfit)?;
            float(out, value.is_finite().then_some(value).ok_or(Unfit)?);
        }
        Type::Bool => out.push(match raw {
            "true" => 1,
            "false" => 0,
            _ => return Err(Unfit),
        }),
        Type::Text => text(out, &string(raw)?),
        Type::Timestamp => timestamp_us(out, parse_timestamp_us(&string(raw)?)?),
        Type::BigIntArray => bigint_array(out, &snowflakes(value)?),
        Type::Jsonb if is_too_deep(raw) => return Err(Unfit),
        Type::Jsonb => jsonb(out, raw),
    }
    Ok(true)
}

/// A 64-bit number written as a JSON string or number.
///
/// # Errors
/// [`Unfit`] when it is neither, or past 2^63 - 1.
pub fn snowflake(raw: &str) -> Result<i64, Unfit> {
    let digits = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    digits.parse().map_err(|_| Unfit)
}

fn snowflakes(array: Json<'_>) -> Result<Vec<i64>, Unfit> {
    array.elements().map_err(|_| Unfit)?.map(|item| snowflake(item.get())).collect()
}

/// Microseconds since 1970 of an RFC 3339 time, cut off below microseconds.
///
/// # Errors
/// [`Unfit`] when it is no such time, or one that `timestamptz` does not reach.
pub fn parse_timestamp_us(text: &str) -> Result<i64, Unfit> {
    let time: jiff::Timestamp = text.parse().map_err(|_| Unfit)?;
    Some(time.as_microsecond()).filter(|us| *us >= EARLIEST_US).ok_or(Unfit)
}

/// Whether valid JSON is nested deeper than [`MAX_JSON_DEPTH`].
#[must_use]
pub fn is_too_deep(json: &str) -> bool {
    // Brackets in strings count as well: enough to let nearly everything pass at the speed of memchr.
    if memchr::memchr2_iter(b'[', b'{', json.as_bytes()).nth(MAX_JSON_DEPTH).is_none() {
        return false;
    }
    let (mut depth, mut is_in_string) = (0_usize, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_in_string = !is_in_string,
            b'\\' => {
                bytes.next();
            }
            _ if is_in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_JSON_DEPTH {
            return true;
        }
    }
    false
}

/// The text of a JSON string. Lone surrogates, which have no UTF-8 form, become U+FFFD.
///
/// # Errors
/// [`Unfit`] when it is no string.
pub fn string(raw: &str) -> Result<Cow<'_, str>, Unfit> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(Unfit)?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(inner));
    }
    let scrubbed = scrub_json(raw);
    serde_json::from_str::<String>(&scrubbed).map(Cow::Owned).map_err(|_| Unfit)
}

/// JSON text that PostgreSQL accepts as `jsonb`: escaped U+0000 is left out, lone surrogates
/// become U+FFFD (SQLSTATE 22P05 and 22P02 otherwise). Borrowed when nothing had to change.
#[must_use]
pub fn scrub_json(json: &str) -> Cow<'_, str> {
    if memmem::find(json.as_bytes(), b"\\u").is_none() {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match unicode_escape(rest) {
            None => {
                // An escape of one character: `\\`, `\"`, `\n`; a cut-off one is kept as it is.
                let len = rest.char_indices().nth(2).map_or(rest.len(), |(i, _)| i);
                out.push_str(&rest[..len]);
                len
            }
            Some(0) => 6,
            Some(0xD800..=0xDBFF) => match rest.get(6..).and_then(unicode_escape) {
                Some(0xDC00..=0xDFFF) => {
                    out.push_str(&rest[..12]);
                    12
                }
                _ => {
                    out.push_str("\\ufffd");
                    6
                }
            },
            Some(0xDC00..=0xDFFF) => {
                out.push_str("\\ufffd");
                6
            }
            Some(_) => {
                out.push_str(&rest[..6]);
                6
            }
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The code unit of a `\uXXXX` at the start of `text`.
fn unicode_escape(text: &str) -> Option<u16> {
    let hex = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(hex, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(ty: Type, text: &str) -> Result<Option<Vec<u8>>, Unfit> {
        let mut out = Vec::new();
        let value = serde_json::from_str(text).expect("test JSON is valid");
        json(&mut out, ty, value).map(|present| present.then_some(out))
    }

    #[test]
    fn times_that_postgresql_has_are_encoded() {
        for time in ["-004712-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-30T21:00:00Z"] {
            assert!(encoded(Type::Timestamp, &format!("{time:?}")).is_ok(), "{time}");
        }
    }

    #[test]
    fn json_is_too_deep_from_its_101st_level_on_and_brackets_in_strings_are_none() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(encoded(Type::Jsonb, &nested(MAX_JSON_DEPTH)).is_ok());
        assert_eq!(encoded(Type::Jsonb, &nested(MAX_JSON_DEPTH + 1)), Err(Unfit));
        assert!(encoded(Type::Jsonb, &format!("[{}]", ["[]"; 200].join(","))).is_ok());
        let quoted = format!(r#"["\"{0}","\\",{{"a":"{0}"}}]"#, "[{".repeat(100));
        assert!(encoded(Type::Jsonb, &quoted).is_ok());
    }

    #[test]
    fn ids_past_2_to_the_53_keep_every_digit() {
        let expected = 9_007_199_254_740_993_i64.to_be_bytes().to_vec();
        assert_eq!(encoded(Type::BigInt, "\"9007199254740993\""), Ok(Some(expected.clone())));
        assert_eq!(encoded(Type::BigInt, "9007199254740993"), Ok(Some(expected)));
    }

    #[test]
    fn a_value_of_another_type_is_unfit_and_null_is_null() {
        for (ty, text) in [
            (Type::BigInt, "\"abc\""),
            (Type::BigInt, "18446744073709551615"),
            (Type::Int, "\"9\""),
            (Type::Int, "1.5"),
            (Type::Float, "\"1.5\""),
            (Type::Float, "1e400"),
            (Type::Bool, "1"),
            (Type::Text, "7"),
            (Type::Timestamp, "\"yesterday\""),
            (Type::Timestamp, "\"99999-01-01T00:00:00Z\""),
            (Type::Timestamp, "\"-004713-01-01T00:00:00Z\""),
            (Type::BigIntArray, "{}"),
        ] {
            assert_eq!(encoded(ty, text), Err(Unfit), "{ty:?} {text}");
            assert_eq!(encoded(ty, "null"), Ok(None));
        }
    }

    #[test]
    fn a_fraction_is_kept() {
        assert_eq!(encoded(Type::Float, "0.25"), Ok(Some(0.25_f64.to_be_bytes().to_vec())));
        assert_eq!(encoded(Type::Float, "1"), Ok(Some(1_f64.to_be_bytes().to_vec())));
    }

    #[test]
    fn text_loses_only_u0000_and_lone_surrogates() {
        assert_eq!(string(r#""a\u0000b\ud83d\ude00""#), Ok(Cow::Borrowed("ab😀")));
        assert_eq!(string(r#""x\ud800y""#), Ok(Cow::Borrowed("x\u{fffd}y")));
        assert_eq!(string(r#""back\\u0000slash""#), Ok(Cow::Borrowed("back\\u0000slash")));
    }

    #[test]
    fn jsonb_is_scrubbed_only_where_it_must_be() {
        assert!(matches!(scrub_json(r#"{"a":"b\n"}"#), Cow::Borrowed(_)));
        assert_eq!(
            scrub_json(r#"["\\u0000","\u0000","\udc00\ud800","\u00e9é"]"#),
            r#"["\\u0000","","\ufffd\ufffd","\u00e9é"]"#
        );
    }

    #[test]
    fn an_array_reads_back_as_written() {
        for values in [vec![], vec![1], vec![i64::MAX, 0, -5]] {
            let mut out = Vec::new();
            bigint_array(&mut out, &values);
            assert_eq!(read_bigint_array(&out).collect::<Vec<_>>(), values);
        }
    }

    #[test]
    fn times_are_cut_off_below_microseconds() {
        assert_eq!(
            parse_timestamp_us("2000-01-01T00:00:00.123456+00:00"),
            Ok(POSTGRES_EPOCH_US + 123_456)
        );
        assert_eq!(parse_timestamp_us("2000-01-01T01:00:00+01:00"), Ok(POSTGRES_EPOCH_US));
        assert_eq!(parse_timestamp_us(""), Err(Unfit));
    }
}
