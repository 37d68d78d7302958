//! Decimal numbers of any length, compared by what they are worth.
//!
//! **Invariant:** what is a number here is one for PostgreSQL's `numeric`, and they compare alike.

use std::cmp::Ordering;

/// Longer texts are no numbers: no record holds one, and `numeric` has its limits.
const MAX_LENGTH: usize = 2000;

/// A text such as `-12` or `3.50`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number<'a> {
    is_negative: bool,
    /// Without leading zeros.
    whole: &'a str,
    /// Without trailing zeros.
    fraction: &'a str,
}

impl<'a> Number<'a> {
    /// Digits, maybe after a minus sign, maybe with a point among them.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        if text.len() > MAX_LENGTH || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self { is_negative: text.starts_with('-') && !is_zero, whole, fraction })
    }

    fn magnitude(self) -> (usize, &'a str, &'a str) {
        (self.whole.len(), self.whole, self.fraction)
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.magnitude().cmp(&other.magnitude()),
            (true, true) => other.magnitude().cmp(&self.magnitude()),
            (left, right) => right.cmp(&left),
        }
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_what_they_are_worth() {
        let sorted =
            ["-100", "-20.5", "-20", "-0.01", "0", "0.001", "0.01", "2", "10", "10.2", "10.15e"];
        let numbers: Vec<_> = sorted.iter().filter_map(|text| Number::parse(text)).collect();
        assert_eq!(numbers.len(), sorted.len() - 1);
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        for (left, right) in [("007", "7"), ("1.50", "1.5"), ("-0", "0.0"), ("1.0", "1")] {
            assert_eq!(Number::parse(left), Number::parse(right), "{left} {right}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_text() {
        for text in
            ["", "-", ".", "1.", ".5", "+1", "1e5", " 1", "1 ", "1,5", "--1", "1.2.3", "١", "NaN"]
        {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse(&"1".repeat(2001)), None);
    }
}
