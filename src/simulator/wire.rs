//! How single values look in Discord's JSON: snowflakes, hashes, permission bits and times.
//!
//! **Invariant:** a value is stored as a number and turned into text only while a payload is written.

use std::fmt;

use serde::{Serialize, Serializer};

/// Discord's epoch, 2015-01-01, in milliseconds since 1970.
pub(crate) const DISCORD_EPOCH_MS: i64 = 1_420_070_400_000;

/// An id; JSON has it as a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Snowflake(pub(crate) u64);

impl Serialize for Snowflake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Snowflake {
    /// The first id of a moment plus `low`, the 22 bits below the time.
    pub(crate) fn at(time: Time, low: u64) -> Self {
        let since_epoch_ms = (time.0 / 1000 - DISCORD_EPOCH_MS).max(0);
        Self((since_epoch_ms.unsigned_abs() << 22) | (low & 0x3F_FFFF))
    }

    /// The moment that the id tells.
    pub(crate) fn time(self) -> Time {
        Time((((self.0 >> 22) as i64) + DISCORD_EPOCH_MS) * 1000)
    }
}

/// A permission set; JSON has it as a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bits(pub(crate) u64);

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// An image hash: 64 stored bits written as Discord's 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) std::num::NonZeroU64);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let low = self.0.get();
        let high = low.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ low.rotate_left(29);
        // One in eight is animated, which Discord marks with a prefix.
        if low.is_multiple_of(8) {
            f.write_str("a_")?;
        }
        write!(f, "{high:016x}{low:016x}")
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Microseconds since 1970; JSON has it as RFC 3339 with microseconds and `+00:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) i64);

impl Time {
    /// The time that is `seconds` later, or earlier when negative.
    pub(crate) fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0 + seconds * 1_000_000)
    }

    /// Milliseconds since 1970.
    pub(crate) fn as_ms(self) -> i64 {
        self.0 / 1000
    }

    /// The same moment without the part below a millisecond.
    pub(crate) fn truncated_to_ms(self) -> Self {
        Self(self.0 / 1000 * 1000)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400_000_000);
        let micros = self.0.rem_euclid(86_400_000_000);
        let (year, month, day) = civil_from_days(days);
        let seconds = micros / 1_000_000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}+00:00",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            micros % 1_000_000
        )
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Days since 1970 as a Gregorian date: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_discord_writes_them() {
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(Time(951_827_696_000_001).to_string(), "2000-02-29T12:34:56.000001+00:00");
        assert_eq!(Time(1_767_225_599_999_999).to_string(), "2025-12-31T23:59:59.999999+00:00");
    }

    #[test]
    fn a_hash_has_32_digits() {
        let hash = Hash(std::num::NonZeroU64::MIN).to_string();
        assert_eq!(hash.len(), 32);
        assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn a_snowflake_of_a_moment_tells_the_moment() {
        let time = Time(1_767_225_599_999_000);
        let id = Snowflake::at(time, 7).0;
        assert_eq!(Snowflake(id).time(), time);
        assert_eq!(id & 0x3F_FFFF, 7);
    }
}
