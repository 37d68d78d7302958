//! Names of databases and tables, and what Discord makes of them.
//!
//! A category keeps its name as it is written, but for white space. A text channel does not: Discord writes
//! it in lower case, puts hyphens for blanks, joins runs of hyphens and drops some punctuation, and documents
//! none of it. So a table whose name is not surely kept gets a channel name close to it, and its real name is
//! written in its definition ([`codec::Definition::name`]); who follows the specification alone sees the
//! channel's. Two tables may end up with equal channel names, which Discord allows.
//!
//! **Invariant:** a name that comes back from Discord as the name of a database or table is the one that
//! was asked for.
//!
//! [`codec::Definition::name`]: super::codec::Definition::name

use super::{codec::Definition, error::DiscordDbError};

/// Characters that the name of a channel or category may have.
pub const MAX_CHARACTERS: usize = 100;

/// The channel of a table whose name has nothing that a channel's may have.
const NAMELESS: &str = "table";

/// How a table's channel is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelName {
    /// What to call the channel.
    pub name: String,
    /// Whether that is the table's name. If not, the definition has to tell it.
    pub is_exact: bool,
}

/// The channel name of a table.
///
/// # Errors
/// [`DiscordDbError::InvalidName`] for an empty name or one of more than 100 characters.
pub fn channel_name(table: &str) -> Result<ChannelName, DiscordDbError> {
    check_length("table", table)?;
    let is_exact = is_kept(table);
    let name = if is_exact { table.to_owned() } else { near(table) };
    Ok(ChannelName { name, is_exact })
}

/// Checks that a category can have this name.
///
/// # Errors
/// [`DiscordDbError::InvalidName`] for an empty name, one of more than 100 characters, and one that Discord
/// would change: a category has nowhere to tell its real name.
pub fn check_database(database: &str) -> Result<(), DiscordDbError> {
    check_length("database", database)?;
    let words = || database.split(char::is_whitespace);
    let reason = if words().next().is_none_or(str::is_empty) || words().any(str::is_empty) {
        "discord removes blanks at its ends and more than one in a row: leave them out"
    } else if database.chars().any(|c| c != ' ' && (c.is_whitespace() || is_invisible(c))) {
        "discord removes control and invisible characters: use visible ones and blanks"
    } else {
        return Ok(());
    };
    Err(invalid("database", database, reason))
}

/// The name of the table in a channel.
#[must_use]
pub fn table_name<'a>(channel_name: &'a str, definition: &'a Definition) -> &'a str {
    definition.name.as_deref().unwrap_or(channel_name)
}

fn check_length(what: &'static str, name: &str) -> Result<(), DiscordDbError> {
    if name.is_empty() {
        return Err(invalid(what, name, "it is empty: choose a name of 1 to 100 characters"));
    }
    if name.chars().count() > MAX_CHARACTERS {
        return Err(invalid(what, name, "it is too long: discord allows 100 characters"));
    }
    Ok(())
}

fn invalid(what: &'static str, name: &str, reason: &str) -> DiscordDbError {
    DiscordDbError::InvalidName { what, name: name.into(), reason: reason.into() }
}

/// Whether Discord surely leaves the name of a text channel alone.
fn is_kept(name: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    name.chars().all(is_safe) && name.split('-').all(|word| !word.is_empty())
}

/// A channel name that reminds of `name`, and that Discord keeps as far as is known.
fn near(name: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c == '_';
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split(|c| !kept(c)).filter(|word| !word.is_empty()).collect();
    let near: String = words.join("-").chars().take(MAX_CHARACTERS).collect();
    let near = near.trim_end_matches('-');
    if near.is_empty() { NAMELESS.into() } else { near.to_owned() }
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FDD0}'..='\u{FDEF}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
        || u32::from(c) & 0xFFFE == 0xFFFE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::discord_db::codec;

    /// What Discord is seen to do to the name of a text channel.
    fn as_discord_keeps_it(name: &str) -> String {
        let dropped = |c: &char| c.is_control() || "!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~".contains(*c);
        let kept: String = name.to_lowercase().chars().filter(|c| !dropped(c)).collect();
        let words = kept.split(|c: char| c.is_whitespace() || c == '-');
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
    }

    fn category_as_discord_keeps_it(name: &str) -> String {
        let visible: String = name.chars().filter(|c| !c.is_control()).collect();
        visible.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    proptest! {
        #[test]
        fn every_table_name_comes_back(name in "\\PC{1,20}|[a-z0-9 _-]{1,20}|[A-Z:\\\\\u{0}\u{A0} -]{1,9}") {
            let channel = channel_name(&name).expect("short");
            let fields = ["id"];
            let real = (!channel.is_exact).then_some(name.as_str());
            let text = codec::encode_definition(&fields, real).expect("short");
            let definition = codec::decode_definition(&text).expect("a definition");
            let kept = as_discord_keeps_it(&channel.name);
            prop_assert!(!kept.is_empty() && channel.name.chars().count() <= MAX_CHARACTERS);
            prop_assert_eq!(table_name(&kept, &definition), name);
        }

        #[test]
        fn a_database_name_that_is_accepted_is_kept(name in "[a-zA-Z \u{A0}\u{200B}\n:!é😀-]{0,12}") {
            if check_database(&name).is_ok() {
                prop_assert_eq!(category_as_discord_keeps_it(&name), name);
            }
        }
    }

    #[test]
    fn a_table_that_discord_would_rename_gets_a_name_close_to_its_own() {
        for (table, channel, is_exact) in [
            ("orders", "orders", true),
            ("order_items-2024", "order_items-2024", true),
            ("Order Items", "order-items", false),
            ("a--b", "a-b", false),
            ("-a", "a", false),
            ("größe", "größe", false),
            ("a.b:c", "a-b-c", false),
            ("!?", "table", false),
            ("😀", "table", false),
        ] {
            let name = channel_name(table).expect("valid");
            assert_eq!((name.name.as_str(), name.is_exact), (channel, is_exact), "{table}");
        }
    }

    #[test]
    fn a_channel_name_stays_within_the_limit_when_lower_case_is_longer() {
        let name = channel_name(&"İ".repeat(100)).expect("100 characters").name;
        assert!(name.chars().count() <= MAX_CHARACTERS);
    }

    #[test]
    fn names_that_cannot_be_are_refused_with_what_to_do() {
        let long = "n".repeat(101);
        for (name, advice) in [
            ("", "choose a name"),
            (&long, "allows 100 characters"),
            (" shop", "leave them out"),
            ("my  shop", "leave them out"),
            ("my\u{A0}shop", "visible ones"),
            ("shop\u{200B}", "visible ones"),
            ("a\u{7}", "visible ones"),
        ] {
            let error = check_database(name).expect_err("refused").to_string();
            assert!(error.contains(advice), "{error}");
        }
        for name in ["", &long] {
            assert!(channel_name(name).is_err());
        }
        for name in ["shop", "My Shop: ünïted", "a--b", "漢字"] {
            check_database(name).expect("kept");
        }
    }
}
