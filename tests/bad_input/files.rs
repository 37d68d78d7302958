//! Configuration, journals, and the texts of DiscordDB.

use std::{collections::BTreeMap, fs, path::Path};

use dsqlstate::{
    config::Config,
    discord_db::{
        action::{ActionId, QueueAction, Target},
        codec::{self, from_sql, to_sql},
        filter::Filter,
        journal::{FileJournal, Note, Sent},
        name,
    },
};
use proptest::{prelude::*, sample::Index};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    FRAMES,
    json::{Json, mutation},
    run,
};

/// The configuration with every key.
const CONFIG: &str = include_str!("../../config/dsqlstate.toml");

/// Lines that are wrong in one place or another.
const LINES: [&str; 6] = ["[discord]", "[[bots]]", "[[discord]]", "[a.b.c]", "bots = 5", "\u{0}"];

/// Values that are wrong for one key or another.
const VALUES: [&str; 20] = [
    "-1",
    "0",
    "9223372036854775807",
    "9223372036854775808",
    "0xffffffffffffffffffffffff",
    "1e400",
    "nan",
    "true",
    "1979-05-27T07:32:00Z",
    "\"\"",
    "\"\\u0000\"",
    "\"postgres://a:b@[::1/%zz?x=%\"",
    "\"a=b=c,[{\"",
    "[]",
    "[-1, 1e400]",
    "[9223372036854775808, 2]",
    "[[], {}, nan]",
    "[1, 1.5, \"1\", 99999999999999999999]",
    "{ a = 1 }",
    "'''\n",
];

#[derive(Clone, Debug)]
enum Edit {
    Line(Index, usize),
    Drop(Index),
    Twice(Index),
    Value(Index, String),
    Cut(Index),
    Nest(Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), 0..LINES.len()).prop_map(|(at, line)| Edit::Line(at, line)),
        1 => at().prop_map(Edit::Drop),
        1 => at().prop_map(Edit::Twice),
        4 => (at(), 0..VALUES.len())
            .prop_map(|(at, value)| Edit::Value(at, VALUES[value].to_owned())),
        2 => (at(), "([0-9_xe.+-]{1,25}|\"\\PC{0,9}\"|'''\\PC{0,9}|\\[[0-9\", a-z]{0,9}\\]?|\\PC{0,12})")
            .prop_map(|(at, value)| Edit::Value(at, value)),
        1 => at().prop_map(Edit::Cut),
        1 => (at(), prop_oneof![Just(3_usize), Just(100), Just(20_000)])
            .prop_map(|(at, levels)| Edit::Nest(at, levels)),
    ]
}

fn edited(edits: &[Edit]) -> String {
    let mut lines: Vec<String> = CONFIG.lines().map(str::to_owned).collect();
    for edit in edits {
        let place = |at: &Index| at.index(lines.len().max(1));
        match edit {
            _ if lines.is_empty() => {}
            Edit::Line(at, line) => lines.insert(place(at), LINES[*line].to_owned()),
            Edit::Drop(at) => drop(lines.remove(place(at))),
            Edit::Twice(at) => lines.insert(place(at), lines[place(at)].clone()),
            Edit::Value(at, value) => {
                let has_value = |line: &&mut String| line.contains(" = ");
                let count = lines.iter_mut().filter(has_value).count();
                if let Some(line) = lines.iter_mut().filter(has_value).nth(at.index(count.max(1))) {
                    let (key, _) = line.split_once(" = ").unwrap_or_default();
                    *line = format!("{} = {value}", key.trim_start_matches(['#', ' ']));
                }
            }
            Edit::Cut(at) => lines.truncate(place(at)),
            Edit::Nest(at, levels) => {
                let line = place(at);
                lines.insert(line, format!("guilds = {}", "[".repeat(*levels)));
            }
        }
    }
    lines.join("\n")
}

#[test]
fn any_configuration_is_read_or_refused_in_one_line_that_names_its_place() {
    let edits = prop::collection::vec(edit(), 1..6);
    run("configuration files", FRAMES / 4, &edits, |edits| {
        if let Err(error) = Config::parse(&edited(&edits), Path::new("some.toml")) {
            let shown = error.to_string();
            prop_assert!(shown.starts_with("some.toml:"), "{}", shown);
            prop_assert_eq!(shown.lines().count(), 1, "{}", shown);
            prop_assert!(shown.len() < 2_000, "{}", shown);
        }
        Ok(())
    });
}

#[test]
fn a_configuration_that_is_no_text_is_refused_with_its_path() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("some.toml");
    fs::write(&path, b"[log]\nlevel = \"\xff\xfe\"\n").unwrap();
    let error = Config::load(Some(&path), |_| None).unwrap_err();
    assert!(error.to_string().contains("some.toml"), "{error}");
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let mut frame = Vec::from(length.to_le_bytes());
    frame.extend(crc32fast::hash(payload).to_le_bytes());
    frame.extend(payload);
    frame
}

fn notes() -> Value {
    let id = ActionId;
    let values = || vec!["a".to_owned(), "b:\n\0".to_owned()];
    let queued = |n, action| Note::Queued { id: id(n), action };
    let (database, table) = (Target::Made(id(1)), Target::Made(id(2)));
    let (name, fields) = (|| "n".to_owned(), vec!["id".to_owned(), "x".to_owned()]);
    let create_table =
        QueueAction::CreateTable { database, database_name: name(), name: name(), fields };
    let sent =
        Sent { at_ms: serde_json::from_str("1767225600000").unwrap(), after: 5, with: vec![id(4)] };
    let notes = [
        queued(1, QueueAction::CreateDatabase { name: name() }),
        queued(2, create_table),
        queued(3, QueueAction::CreateRecord { table, values: values() }),
        queued(
            4,
            QueueAction::UpdateRecord { table, record: Target::Made(id(3)), values: values() },
        ),
        queued(5, QueueAction::DeleteRecord { table, record: Target::Id(77) }),
        queued(6, QueueAction::DeleteTable { database, table, name: name() }),
        queued(7, QueueAction::DeleteDatabase { database, name: name() }),
        Note::Requested { id: id(3), request_id: 9 },
        Note::Sent { id: id(3), sent },
        Note::ChannelMade { id: id(2), channel_id: 6 },
        Note::DefinitionWritten { id: id(2), message_id: 7 },
        Note::Done { id: id(1), made: Some(5), error: None },
        Note::Done { id: id(5), made: None, error: Some("why".to_owned()) },
    ];
    serde_json::to_value(notes).unwrap()
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Zeros(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1_u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        at().prop_map(Damage::Cut),
        (at(), any::<Vec<u8>>()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (0_usize..5_000).prop_map(Damage::Zeros),
    ]
}

#[test]
fn any_journal_is_opened_or_refused_with_its_path_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    drop(FileJournal::open(&path, 1).unwrap());
    let head = fs::read(&path).unwrap();
    let head_payload: Value = serde_json::from_slice(&head[8..]).unwrap();
    let notes = notes();
    fs::write(&path, [head, frame(notes.to_string().as_bytes())].concat()).unwrap();
    drop(FileJournal::open(&path, 1).unwrap());
    assert!(fs::read(&path).unwrap().len() > 300, "what is mutated is a journal");

    let mutations = || prop::collection::vec(mutation(), 0..3);
    let strategy = (mutations(), mutations(), prop::collection::vec(damage(), 0..2));
    run("journal files", FRAMES / 6, &strategy, |(of_head, of_notes, damages)| {
        // The checksums are right, so that what is in the frames is read.
        let head = Json::from(&head_payload).mutated(&of_head);
        let mut bytes = [
            frame(head.as_bytes()),
            frame(Json::from(&notes).mutated(&of_notes).as_bytes()),
            frame(b"[]"),
        ]
        .concat();
        for damage in damages {
            match damage {
                Damage::Flip(at, bits) if !bytes.is_empty() => {
                    let at = at.index(bytes.len());
                    bytes[at] ^= bits;
                }
                Damage::Cut(at) if !bytes.is_empty() => bytes.truncate(at.index(bytes.len())),
                Damage::Insert(at, more) => {
                    let at = at.index(bytes.len() + 1);
                    bytes.splice(at..at, more);
                }
                Damage::Zeros(count) => bytes.extend(vec![0; count]),
                _ => {}
            }
        }
        fs::write(&path, &bytes).unwrap();
        if let Err(error) = FileJournal::open(&path, 1) {
            prop_assert!(error.to_string().contains(path.to_str().unwrap()), "{}", error);
            prop_assert_eq!(fs::read(&path).unwrap(), bytes, "a journal that is refused is kept");
        }
        Ok(())
    });
}

#[test]
fn any_message_of_a_guild_is_read() {
    let pieces = r"(\\u\{[0-9A-F]{0,7}\}?|\\[:\\0nrsex-]|:|0\n|name:|\PC|\\){0,20}";
    let texts = prop_oneof![any::<String>(), pieces];
    run("messages of DiscordDB", FRAMES / 4, &texts, |text| {
        let values = codec::decode_record(&text);
        if let Ok(encoded) = codec::encode_record(&values) {
            prop_assert_eq!(codec::decode_record(&encoded), values);
        }
        if let Some(definition) = codec::decode_definition(&text) {
            let _ = name::table_name(&text, &definition);
            let _ = codec::encode_definition(&definition.fields, definition.name.as_deref());
        }
        let written = to_sql(&text);
        prop_assert_eq!(from_sql(&written), text.as_str());
        let _ = (codec::is_record(0, true, &text), from_sql(&text));
        Ok(())
    });
}

#[test]
fn any_filter_and_any_name_is_taken_or_refused_with_the_reason() {
    let words = "(a|b|and|or|not|in|=|!=|<=|\\^=|\\(|\\)|,|\"|\\\\|1e400|-0\\.10| ){0,40}";
    let texts = prop_oneof![any::<String>(), words, "\\PC{95,105}"];
    run("filters and names of DiscordDB", FRAMES / 4, &texts, |text| {
        match Filter::parse(&text) {
            Ok(filter) => {
                let record = BTreeMap::from([
                    ("a".to_owned(), text.clone()),
                    ("b".to_owned(), "1.50".to_owned()),
                ]);
                let _ = (filter.matches(&record), filter.check("t", &["a".to_owned()]));
            }
            Err(error) => prop_assert!(error.to_string().len() < 400, "{}", error),
        }
        let _ = name::check_database(&text);
        if let Ok(channel) = name::channel_name(&text) {
            prop_assert!((1..=100).contains(&channel.name.chars().count()));
        }
        Ok(())
    });
}
