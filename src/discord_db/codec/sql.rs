//! Values as PostgreSQL's `text`, which cannot hold U+0000.
//!
//! U+0000 is written U+0001 U+0002, and U+0001 itself U+0001 U+0003. Hardly any value has either, so
//! hardly any looks different; and equality, order by code point and common prefixes stay what they were, so that
//! SQL can compare the written form.
//!
//! **Invariant:** `from_sql(to_sql(value)) == value`.

use std::borrow::Cow;

/// Begins what stands for a character that cannot be written.
const LEAD: char = '\u{1}';

/// The value as PostgreSQL can hold it.
#[must_use]
pub fn to_sql(value: &str) -> String {
    value.replace(LEAD, "\u{1}\u{3}").replace('\0', "\u{1}\u{2}")
}

/// The value that PostgreSQL holds. A U+0001 that [`to_sql`] did not write, since somebody else wrote the
/// text, is kept.
#[must_use]
pub fn from_sql(text: &str) -> Cow<'_, str> {
    if !text.contains(LEAD) {
        return Cow::Borrowed(text);
    }
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let meant = match chars.peek() {
            Some('\u{2}') if c == LEAD => '\0',
            Some('\u{3}') if c == LEAD => LEAD,
            _ => {
                value.push(c);
                continue;
            }
        };
        chars.next();
        value.push(meant);
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_value_survives(left in "[\u{0}-\u{4}a]{0,6}", right in "[\u{0}-\u{4}a]{0,6}") {
            let (one, other) = (to_sql(&left), to_sql(&right));
            prop_assert!(!one.contains('\0'));
            prop_assert_eq!(from_sql(&one), left.as_str());
            prop_assert_eq!(one.cmp(&other), left.cmp(&right));
            prop_assert_eq!(one.starts_with(&other), left.starts_with(&right));
        }
    }

    #[test]
    fn what_we_did_not_write_is_kept() {
        assert_eq!(from_sql("a\u{1}b\u{1}"), "a\u{1}b\u{1}");
    }
}
