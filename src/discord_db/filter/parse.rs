//! Filters as people type them: `name = Ann and (age >= 18 or not city in (Rome, "New York"))`.
//!
//! A condition is a field, `=`, `!=`, `<`, `<=`, `>`, `>=` or `^=` (begins with), and a value; or a field,
//! `in` and values in parentheses. `not` binds closer than `and`, `and` closer than `or`. Fields and values that
//! hold blanks, parentheses, commas, comparisons or one of these words stand in double quotes, in which `\"` is
//! a quote, `\\` a backslash and `\n` a line feed.
//!
//! **Invariant:** no text makes it panic, and nesting is bounded, so none exhausts the stack.

use std::{iter::Peekable, str::CharIndices, vec};

use super::{Comparison, Filter};
use crate::discord_db::error::DiscordDbError;

/// Parentheses and `not`s within one another.
const MAX_DEPTH: usize = 64;
/// Characters of the rest that an error shows.
const SHOWN: usize = 20;

impl Filter {
    /// Reads a filter as it is described in the module's documentation.
    ///
    /// # Errors
    /// [`DiscordDbError::InvalidFilter`], which says where and what is expected there.
    pub fn parse(text: &str) -> Result<Self, DiscordDbError> {
        let tokens = tokens(text).map_err(|mistake| mistake.into_error(text))?;
        let mut parser = Parser { tokens: tokens.into_iter().peekable(), end: text.len() };
        parser.whole().map_err(|mistake| mistake.into_error(text))
    }
}

/// What is wrong, and at which byte.
struct Mistake {
    at: usize,
    expected: &'static str,
}

impl Mistake {
    fn into_error(self, text: &str) -> DiscordDbError {
        let (before, rest) = text.split_at_checked(self.at).unwrap_or((text, ""));
        let shown: String = rest.chars().take(SHOWN).collect();
        let place = match before.chars().count() + 1 {
            _ if shown.is_empty() => "at its end".to_owned(),
            character => format!("at character {character}, before {shown:?}"),
        };
        DiscordDbError::InvalidFilter { reason: format!("{place}: {}", self.expected) }
    }
}

type Parsed<T> = Result<T, Mistake>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    Compare(Comparison),
    BeginsWith,
    /// Words such as `and` keep their meaning only outside quotes.
    Word {
        text: String,
        is_quoted: bool,
    },
}

impl Token {
    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Self::Word { text, is_quoted: false } if text.eq_ignore_ascii_case(keyword))
    }
}

fn tokens(text: &str) -> Parsed<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some(&(at, c)) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let token = match symbol(&text[at..]) {
            Some((token, length)) => {
                for _ in 0..length {
                    chars.next();
                }
                token
            }
            None if c == '"' => Token::Word { text: quoted(&mut chars)?, is_quoted: true },
            None => Token::Word { text: bare(text, &mut chars), is_quoted: false },
        };
        tokens.push((at, token));
    }
    Ok(tokens)
}

/// The symbol at the beginning of a text, and its length.
fn symbol(rest: &str) -> Option<(Token, usize)> {
    const SYMBOLS: [(&str, Token); 12] = [
        ("^=", Token::BeginsWith),
        ("!=", Token::Compare(Comparison::Ne)),
        ("<>", Token::Compare(Comparison::Ne)),
        ("<=", Token::Compare(Comparison::Le)),
        (">=", Token::Compare(Comparison::Ge)),
        ("==", Token::Compare(Comparison::Eq)),
        ("<", Token::Compare(Comparison::Lt)),
        (">", Token::Compare(Comparison::Gt)),
        ("=", Token::Compare(Comparison::Eq)),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ];
    let found = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
    found.map(|(symbol, token)| (token.clone(), symbol.len()))
}

fn bare(text: &str, chars: &mut Peekable<CharIndices<'_>>) -> String {
    let mut word = String::new();
    while let Some(&(at, c)) = chars.peek() {
        if c.is_whitespace() || c == '"' || symbol(&text[at..]).is_some() {
            break;
        }
        word.push(c);
        chars.next();
    }
    word
}

fn quoted(chars: &mut Peekable<CharIndices<'_>>) -> Parsed<String> {
    let opening = chars.next().map_or(0, |(at, _)| at);
    let mut word = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok(word),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => word.push(c),
                Some((_, 'n')) => word.push('\n'),
                _ => {
                    let expected = "after a backslash, one of \" \\ n is expected";
                    return Err(Mistake { at, expected });
                }
            },
            c => word.push(c),
        }
    }
    Err(Mistake { at: opening, expected: "this quote is not closed" })
}

struct Parser {
    tokens: Peekable<vec::IntoIter<(usize, Token)>>,
    end: usize,
}

impl Parser {
    fn whole(&mut self) -> Parsed<Filter> {
        let filter = self.any(0)?;
        match self.tokens.peek() {
            None => Ok(filter),
            Some(_) => self.expect(
                "\"and\", \"or\" or the end is expected; text with blanks or symbols needs quotes",
            ),
        }
    }

    fn any(&mut self, depth: usize) -> Parsed<Filter> {
        let mut filters = vec![self.all(depth)?];
        while self.take_keyword("or") {
            filters.push(self.all(depth)?);
        }
        Ok(only(filters, Filter::Or))
    }

    fn all(&mut self, depth: usize) -> Parsed<Filter> {
        let mut filters = vec![self.one(depth)?];
        while self.take_keyword("and") {
            filters.push(self.one(depth)?);
        }
        Ok(only(filters, Filter::And))
    }

    fn one(&mut self, depth: usize) -> Parsed<Filter> {
        if depth >= MAX_DEPTH {
            return self.expect("this is nested too deeply: at most 64 levels are allowed");
        }
        if self.take_keyword("not") {
            return Ok(self.one(depth + 1)?.negated());
        }
        if self.take(&Token::Open) {
            let filter = self.any(depth + 1)?;
            return if self.take(&Token::Close) {
                Ok(filter)
            } else {
                self.expect("\"and\", \"or\" or a closing parenthesis is expected")
            };
        }
        self.condition()
    }

    fn condition(&mut self) -> Parsed<Filter> {
        let field = self.word("a field is expected, as in name = Ann")?;
        if self.take_keyword("in") {
            return Ok(Filter::In { field, values: self.list()? });
        }
        let next = self
            .tokens
            .next_if(|(_, token)| matches!(token, Token::Compare(_) | Token::BeginsWith));
        match next {
            Some((_, Token::Compare(comparison))) => {
                let value = self.value()?;
                Ok(Filter::Compare { field, comparison, value })
            }
            Some(_) => Ok(Filter::Prefix { field, prefix: self.value()? }),
            None => self.expect("one of = != < <= > >= ^= in is expected after the field"),
        }
    }

    fn list(&mut self) -> Parsed<Vec<String>> {
        if !self.take(&Token::Open) {
            return self.expect("values in parentheses are expected, as in city in (Rome, Oslo)");
        }
        let mut values = vec![self.value()?];
        while self.take(&Token::Comma) {
            values.push(self.value()?);
        }
        if self.take(&Token::Close) {
            Ok(values)
        } else {
            self.expect("a comma or a closing parenthesis is expected")
        }
    }

    fn value(&mut self) -> Parsed<String> {
        self.word("a value is expected; an empty one is \"\"")
    }

    /// A word that is none of the language's own.
    fn word(&mut self, expected: &'static str) -> Parsed<String> {
        const KEYWORDS: [&str; 4] = ["and", "or", "not", "in"];
        let next = self.tokens.next_if(|(_, token)| {
            matches!(token, Token::Word { .. })
                && !KEYWORDS.iter().any(|keyword| token.is_keyword(keyword))
        });
        match next {
            Some((_, Token::Word { text, .. })) => Ok(text),
            _ => self.expect(expected),
        }
    }

    fn take(&mut self, wanted: &Token) -> bool {
        self.tokens.next_if(|(_, token)| token == wanted).is_some()
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        self.tokens.next_if(|(_, token)| token.is_keyword(keyword)).is_some()
    }

    fn expect<T>(&mut self, expected: &'static str) -> Parsed<T> {
        let at = self.tokens.peek().map_or(self.end, |(at, _)| *at);
        Err(Mistake { at, expected })
    }
}

fn only(mut filters: Vec<Filter>, joined: fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.pop() {
        Some(filter) if filters.is_empty() => filter,
        last => {
            filters.extend(last);
            joined(filters)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn parsed(text: &str) -> Filter {
        Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> String {
        Filter::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn each_comparison_is_written_as_usual() {
        for (text, filter) in [
            ("name = Ann", Filter::eq("name", "Ann")),
            ("name==Ann", Filter::eq("name", "Ann")),
            ("name != Ann", Filter::ne("name", "Ann")),
            ("name<>Ann", Filter::ne("name", "Ann")),
            ("age < 18", Filter::lt("age", "18")),
            ("age<=18", Filter::le("age", "18")),
            ("age > -1.5", Filter::gt("age", "-1.5")),
            ("age >= 18", Filter::ge("age", "18")),
            ("title ^= abc", Filter::prefix("title", "abc")),
            ("city IN (Rome, \"New York\")", Filter::is_in("city", ["Rome", "New York"])),
        ] {
            assert_eq!(parsed(text), filter, "{text}");
        }
    }

    #[test]
    fn not_binds_closer_than_and_and_and_closer_than_or() {
        let (a, b, c) = (Filter::eq("a", "1"), Filter::eq("b", "2"), Filter::eq("c", "3"));
        let expected = Filter::Or(vec![a.clone(), b.clone().negated().and(c.clone())]);
        assert_eq!(parsed("a=1 or not b=2 and c=3"), expected);
        let grouped = a.or(b.negated()).and(c);
        assert_eq!(parsed("(a=1 OR NOT b=2) AND c=3"), grouped);
    }

    #[test]
    fn quotes_hold_any_text() {
        assert_eq!(parsed(r#""and" = "say \"hi\\\n(,)""#), Filter::eq("and", "say \"hi\\\n(,)"));
        assert_eq!(parsed(r#"a = """#), Filter::eq("a", ""));
        assert_eq!(parsed("größe = é!"), Filter::eq("größe", "é!"));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, expected) in [
            ("", "at its end: a field is expected"),
            ("name", "at its end: one of ="),
            ("name =", "at its end: a value is expected"),
            ("größe = ) x", "at character 9, before \") x\": a value is expected"),
            ("name Ann", "at character 6, before \"Ann\": one of ="),
            ("name = New York", "at character 12, before \"York\": \"and\", \"or\" or the end"),
            ("name = \"Ann", "at character 8, before \"\\\"Ann\": this quote is not closed"),
            (r#"name = "\x""#, "after a backslash"),
            ("(a = 1", "at its end: \"and\", \"or\" or a closing parenthesis"),
            ("a in Rome", "values in parentheses"),
            ("a in (Rome Oslo)", "a comma or a closing"),
            ("a in ()", "a value is expected"),
            ("and = 1", "a field is expected"),
        ] {
            let shown = refused(text);
            assert!(shown.contains(expected), "{text}: {shown}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth| format!("{}a=1{}", "(".repeat(depth), ")".repeat(depth));
        parsed(&nested(MAX_DEPTH - 1));
        assert!(refused(&nested(100_000)).contains("nested too deeply"));
        assert!(refused(&"not ".repeat(100_000)).contains("nested too deeply"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_or_a_mistake(text in any::<String>()) {
            let _ = Filter::parse(&text);
        }

        #[test]
        fn any_value_can_be_quoted(value in any::<String>()) {
            let quoted = value.replace('\\', r"\\").replace('"', "\\\"");
            let text = format!("a = \"{quoted}\"");
            prop_assert_eq!(parsed(&text), Filter::eq("a", value));
        }
    }
}
