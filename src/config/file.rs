//! Reads the text of a configuration file and names the line of everything that is wrong with it.
//!
//! **Invariant:** a file that passes here deserialises; every refusal names file, line and key.

use std::{ops::Range, path::Path};

use toml::de::{DeTable, Error as TomlError};

use super::{
    Config, bots,
    error::{ConfigError, Place},
    rule::{BOTS, KEYS, Key, all_keys, integer},
};

/// Parses `text`; `file` is only named in errors.
pub(super) fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
    let source = Source { text, file };
    let document = DeTable::parse(text).map_err(|error| source.syntax(&error))?;
    source.check(document.get_ref())?;
    let failed = |error| source.syntax(&error);
    let mut sections: toml::Table = toml::from_str(text).map_err(failed)?;
    let entries = sections.remove(BOTS);
    let discord = sections.get("discord").cloned();
    // From the text where that is possible: only then errors know their line.
    let mut config: Config = match entries {
        None => toml::from_str(text).map_err(failed)?,
        Some(_) => sections.try_into().map_err(failed)?,
    };
    config.bots = bots::resolve(discord.as_ref(), entries).map_err(failed)?;
    Ok(config)
}

struct Source<'a> {
    text: &'a str,
    file: &'a Path,
}

impl Source<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        Place::Line { file: self.file.to_owned(), line }
    }

    fn syntax(&self, error: &TomlError) -> ConfigError {
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
        ConfigError::Syntax { place: self.place(&error.span().unwrap_or_default()), message }
    }

    fn check(&self, document: &DeTable<'_>) -> Result<(), ConfigError> {
        for (name, value) in document {
            if !all_keys().any(|key| key.section() == name.get_ref().as_ref()) {
                return Err(self.unknown("", name.get_ref(), &name.span()));
            }
            if name.get_ref() == BOTS {
                for entry in self.entries(document)? {
                    self.check_section(BOTS, entry)?;
                }
                continue;
            }
            let Some(section) = value.get_ref().as_table() else {
                return Err(ConfigError::Syntax {
                    place: self.place(&name.span()),
                    message: format!("{0} is a section: write [{0}]", name.get_ref()),
                });
            };
            self.check_section(name.get_ref(), section)?;
        }
        let discord = document.get("discord").and_then(|discord| discord.get_ref().as_table());
        self.check_range_within_shards("discord.shard_range", discord, None)?;
        for entry in self.entries(document)? {
            self.check_range_within_shards("bots.shard_range", Some(entry), discord)?;
        }
        Ok(())
    }

    /// The tables of `[[bots]]`.
    fn entries<'d, 'i>(
        &self,
        document: &'d DeTable<'i>,
    ) -> Result<Vec<&'d DeTable<'i>>, ConfigError> {
        let Some((name, value)) = document.get_key_value(BOTS) else { return Ok(Vec::new()) };
        let entries = value.get_ref().as_array();
        let entries: Option<Vec<_>> = entries
            .map(|entries| entries.iter().map(|entry| entry.get_ref().as_table()).collect())
            .unwrap_or_default();
        entries.filter(|entries| !entries.is_empty()).ok_or_else(|| ConfigError::Syntax {
            place: self.place(&name.span()),
            message: "each bot is an entry: write [[bots]]".to_owned(),
        })
    }

    fn check_section(&self, section: &str, values: &DeTable<'_>) -> Result<(), ConfigError> {
        for (name, value) in values {
            let key = all_keys()
                .find(|key| key.section() == section && key.name() == name.get_ref().as_ref())
                .ok_or_else(|| self.unknown(section, name.get_ref(), &name.span()))?;
            if let Some((found, span)) = key.refusal(value) {
                return Err(self.refused(key, &span, found));
            }
        }
        Ok(())
    }

    /// Looks at the section, and for what it leaves out at `defaults`.
    fn check_range_within_shards(
        &self,
        path: &str,
        section: Option<&DeTable<'_>>,
        defaults: Option<&DeTable<'_>>,
    ) -> Result<(), ConfigError> {
        let get = |name: &str| section?.get(name).or_else(|| defaults?.get(name));
        let (Some(range), Some(shards)) = (get("shard_range"), get("shards")) else {
            return Ok(());
        };
        let last = range.get_ref().get(1).and_then(|last| integer(last.get_ref()));
        match (last, integer(shards.get_ref())) {
            (Some(last), Some(shards)) if last >= shards => {
                let key = Key::named(path);
                let found = format!("the last shard {last} with shards = {shards}");
                Err(self.refused(key, &range.span(), found))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, key: &Key, span: &Range<usize>, found: String) -> ConfigError {
        ConfigError::Value {
            place: self.place(span),
            key: key.path,
            found,
            allowed: key.rule.allowed(),
        }
    }

    fn unknown(&self, section: &str, name: &str, span: &Range<usize>) -> ConfigError {
        let mut known: Vec<_> = if section.is_empty() {
            all_keys().map(Key::section).collect()
        } else {
            all_keys().filter(|key| key.section() == section).map(Key::name).collect()
        };
        known.dedup();
        let key = if section.is_empty() { name.into() } else { format!("{section}.{name}") };
        let elsewhere = KEYS.iter().find(|key| key.name() == name).map(|key| key.path);
        let suggestion = nearest(name, &known).or(elsewhere).map(str::to_owned);
        ConfigError::UnknownKey {
            place: self.place(span),
            key,
            suggestion,
            known: known.join(", "),
        }
    }
}

/// The entry of `known` that differs least from `name`, unless all differ by more than a third.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, best) =
        known.iter().map(|known| (edit_distance(name, known), *known)).min_by_key(|pair| pair.0)?;
    (distance <= best.len().div_ceil(3)).then_some(best)
}

/// Levenshtein's distance in characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::{super::rule::Rule, *};

    fn refusal(text: &str) -> String {
        parse(text, Path::new("d.toml")).expect_err("the text is wrong").to_string()
    }

    #[test]
    fn an_unknown_key_gets_the_nearest_known_one() {
        let message = refusal("[writer]\npartitions = 2\nflush_row = 1\n");
        assert!(
            message.starts_with(
                "d.toml:3: writer.flush_row: unknown key, did you mean \"flush_rows\"?, known here: partitions, "
            ),
            "{message}"
        );
    }

    #[test]
    fn a_key_without_its_section_is_pointed_to_it() {
        let message = refusal("flush_rows = 1\n");
        assert!(message.contains("did you mean \"writer.flush_rows\"?"), "{message}");
        assert!(
            message.contains(
                "known here: discord, database, writer, spool, history, discord_db, http, log, bots"
            ),
            "{message}"
        );
    }

    #[test]
    fn a_key_like_no_other_gets_no_suggestion() {
        let message = refusal("[log]\nzzzzzzzzzz = 1\n");
        assert_eq!(message, "d.toml:2: log.zzzzzzzzzz: unknown key, known here: format, level");
    }

    #[test]
    fn wrong_types_and_impossible_values_name_line_key_found_and_allowed() {
        let cases = [
            (
                "[writer]\n\npartitions = 0",
                "d.toml:3: writer.partitions: found the integer 0, allowed: an integer from 1 to 64",
            ),
            (
                "[writer]\npartitions = -1",
                "d.toml:2: writer.partitions: found the integer -1, allowed: an integer from 1 to 64",
            ),
            (
                "[writer]\npartitions = 99999999999999999999",
                "d.toml:2: writer.partitions: found the integer 99999999999999999999, allowed: an integer from 1 to 64",
            ),
            (
                "[writer]\npartitions = \"2\"",
                "d.toml:2: writer.partitions: found the string \"2\", allowed: an integer from 1 to 64",
            ),
            (
                "[log]\nformat = true",
                "d.toml:2: log.format: found the boolean true, allowed: \"human\" or \"json\"",
            ),
            (
                "[log]\nformat = \"xml\"",
                "d.toml:2: log.format: found the string \"xml\", allowed: \"human\" or \"json\"",
            ),
            (
                "[discord]\nshards = 0",
                "d.toml:2: discord.shards: found the integer 0, allowed: \"auto\" or an integer from 1 to 1000000",
            ),
            (
                "[discord]\nshard_range = [3]",
                "d.toml:2: discord.shard_range: found the list [the integer 3], allowed: [] or [first, last] with 0 <= first <= last < shards",
            ),
            (
                "[discord]\nshard_range = [3, 1]",
                "d.toml:2: discord.shard_range: found the list [the integer 3, the integer 1], allowed: [] or [first, last] with 0 <= first <= last < shards",
            ),
            (
                "[discord]\nshards = 4\nshard_range = [0, 4]",
                "d.toml:3: discord.shard_range: found the last shard 4 with shards = 4, allowed: [] or [first, last] with 0 <= first <= last < shards",
            ),
            (
                "[discord_db]\nguilds = [5, 0]",
                "d.toml:2: discord_db.guilds: found the list [the integer 5, the integer 0], allowed: a list of guild ids, as in [41771983423143937]",
            ),
            (
                "[discord]\ngateway_url = \"http://x\"",
                "d.toml:2: discord.gateway_url: found the string \"http://x\", allowed: \"\" or a url that starts with ws:// or wss://",
            ),
            (
                "[discord]\napi_url = \"https://\"",
                "d.toml:2: discord.api_url: found the string \"https://\", allowed: \"\" or a url that starts with http:// or https://",
            ),
            (
                "[database]\nurl = \"mysql://root:pw@h/d\"",
                "d.toml:2: database.url: found a string that is not shown, allowed: \"\" or a url that starts with postgres:// or postgresql://",
            ),
            (
                "[http]\nlisten = \"9110\"",
                "d.toml:2: http.listen: found the string \"9110\", allowed: \"\" or address:port, as in \"127.0.0.1:9110\"",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(text), expected);
        }
    }

    #[test]
    fn an_unknown_intent_is_named_with_the_list_of_all() {
        let message = refusal("[discord]\nintents = [\n  \"guilds\",\n  \"guild_member\",\n]");
        assert!(message.starts_with("d.toml:4: discord.intents: found the string \"guild_member\", allowed: a list of guilds, guild_members, "), "{message}");
    }

    #[test]
    fn both_ends_of_every_range_are_allowed_and_nothing_beyond() {
        for key in KEYS {
            let Rule::Integer(min, max) = key.rule else { continue };
            let parse = |number: i64| {
                let text = format!("[{}]\n{} = {number}", key.section(), key.name());
                parse(&text, Path::new("d.toml"))
            };
            assert!(parse(min).is_ok() && parse(max).is_ok(), "{}", key.path);
            assert!(parse(min - 1).is_err() && parse(max + 1).is_err(), "{}", key.path);
        }
    }

    #[test]
    fn numbers_in_other_radixes_are_compared_by_value() {
        assert!(parse("[discord]\nshards = 0x10\nshard_range = [0, 15]", Path::new("f")).is_ok());
        assert!(refusal("[discord]\nshards = 0x10\nshard_range = [0, 16]").contains("shards = 16"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_or_answer_in_two_lines(
            section in "(discord|database|writer|http|log|[a-z]{1,5})",
            key in "(token|intents|shards|shard_range|url|partitions|listen|level|[a-z_]{1,9})",
            value in "([0-9]{1,25}|\"\\PC{0,9}\"|\\[[0-9\", a-z]{0,9}\\]|\\PC{0,12})",
        ) {
            if let Err(error) = parse(&format!("[{section}]\n{key} = {value}\n"), Path::new("f")) {
                proptest::prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }

    #[test]
    fn a_log_level_that_is_no_filter_is_refused() {
        assert!(refusal("[log]\nlevel = \"info,=,[\"").starts_with("d.toml:2: log.level: found"));
    }

    #[test]
    fn broken_toml_names_its_line() {
        let message = refusal("[writer]\npartitions = = 2\n");
        assert!(message.starts_with("d.toml:2: "), "{message}");
        assert!(!message.contains('\n'), "{message}");
        assert!(refusal("[log]\nlevel = \"info\"\nlevel = \"warn\"\n").starts_with("d.toml:3: "));
        assert_eq!(refusal("\nwriter = 3"), "d.toml:2: writer is a section: write [writer]");
    }

    #[test]
    fn a_token_of_the_wrong_type_is_refused_and_a_token_is_never_shown() {
        assert_eq!(
            refusal("[discord]\ntoken = 5"),
            "d.toml:2: discord.token: found the integer 5, allowed: the bot's token as the developer portal shows it, without white space"
        );
        let message = refusal("[discord]\ntoken = \"hunter2 hunter2\"");
        assert!(message.starts_with("d.toml:2: discord.token: found a string that is not shown"));
        let message = refusal("[discord]\ntoken = [\"hunter2\"]");
        assert!(message.starts_with("d.toml:2: discord.token: found a list that is not shown"));
    }
}
