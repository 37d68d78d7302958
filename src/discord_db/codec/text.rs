//! Which characters need an escape, and the escapes.
//!
//! Discord does not say what it does to a message's text; what is seen is that it trims white space at both
//! ends, strips control and invisible formatting characters, and strips combining marks where a message has
//! hundreds of them. All that and a little more is escaped; what emoji and living scripts need
//! (joiners, variation selectors, tags, marks in normal numbers) is not.
//!
//! **Invariant:** an escape consists of printable ASCII that begins with a backslash.

use std::{fmt::Write as _, iter::Peekable, str::Chars};

/// Combining diacritical marks that a text may have before the rest is escaped. Discord takes offence at
/// more than 150.
const MAX_MARKS: usize = 100;

/// Writes values, one after the other.
#[derive(Default)]
pub(super) struct Encoder {
    out: String,
    marks: usize,
}

impl Encoder {
    pub(super) fn separate(&mut self) {
        self.out.push(':');
    }

    pub(super) fn value(&mut self, value: &str) {
        for c in value.chars() {
            self.marks += usize::from(is_mark(c));
            match c {
                ':' | '\\' => self.out.extend(['\\', c]),
                _ if is_stripped(c) || (is_mark(c) && self.marks > MAX_MARKS) => self.escape(c),
                _ => self.out.push(c),
            }
        }
    }

    fn escape(&mut self, c: char) {
        match c {
            '\n' => self.out.push_str(r"\n"),
            '\r' => self.out.push_str(r"\r"),
            '\0' => self.out.push_str(r"\0"),
            ' ' => self.out.push_str(r"\s"),
            _ => write!(self.out, r"\u{{{:X}}}", u32::from(c)).expect("a string takes any text"),
        }
    }

    /// The text, with both ends safe from being trimmed.
    pub(super) fn finish(mut self) -> String {
        if self.out.is_empty() {
            return r"\e".into();
        }
        if let Some(first) = self.out.chars().next().filter(|c| is_trimmed(*c)) {
            let rest = self.out.split_off(first.len_utf8());
            self.out.clear();
            self.escape(first);
            self.out.push_str(&rest);
        }
        if let Some(last) = self.out.chars().next_back().filter(|c| is_trimmed(*c)) {
            self.out.pop();
            self.escape(last);
        }
        self.out
    }
}

/// The values between the colons of `text`.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut value = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ':' => values.push(std::mem::take(&mut value)),
            '\\' => unescape_one(&mut chars, &mut value),
            _ => value.push(c),
        }
    }
    values.push(value);
    values
}

/// `text` without its escapes; a colon is a character like others.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' { unescape_one(&mut chars, &mut out) } else { out.push(c) }
    }
    out
}

/// What follows a backslash. An escape that we do not write is kept as it is.
fn unescape_one(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let meant = match chars.peek() {
        Some(c @ (':' | '\\')) => *c,
        Some('n') => '\n',
        Some('r') => '\r',
        Some('0') => '\0',
        Some('s') => ' ',
        Some('e') => {
            chars.next();
            return;
        }
        Some('u') => match braced(chars.clone()) {
            Some((c, length)) => {
                // The last of them goes with the others below.
                chars.by_ref().take(length - 1).for_each(drop);
                c
            }
            None => return out.push('\\'),
        },
        _ => return out.push('\\'),
    };
    chars.next();
    out.push(meant);
}

/// The character that `u{HEX}` names, and how many characters that takes.
fn braced(mut chars: impl Iterator<Item = char>) -> Option<(char, usize)> {
    let mut digits = 0;
    let mut code = 0;
    chars.next().filter(|c| *c == 'u')?;
    chars.next().filter(|c| *c == '{')?;
    loop {
        match chars.next()? {
            '}' if digits > 0 => return Some((char::from_u32(code)?, digits + 3)),
            c if digits < 6 => code = code * 16 + c.to_digit(16)?,
            _ => return None,
        }
        digits += 1;
    }
}

/// Characters that Discord may strip wherever they are: controls, line and paragraph separators,
/// directional and other invisible formatting, and what is no character at all.
fn is_stripped(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FDD0}'..='\u{FDEF}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0001}')
        || u32::from(c) & 0xFFFE == 0xFFFE
}

/// Characters that must not be first or last: white space, and what looks like nothing.
fn is_trimmed(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200D}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}')
}

/// The combining diacritical marks, of no script in particular.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
}
