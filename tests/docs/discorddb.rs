//! The documentation of DiscordDB: every item of the specification has a Rust name that exists.

use std::{path::Path, process::Command};

use dsqlstate::discord_db::{
    Database, DiscordDb, DiscordDbError, Record, Table, action::QueueAction, filter::Filter,
};

use super::{
    DISCORDDB,
    markdown::{blocks, table},
};

/// What the specification names, in its order.
const SPECIFIED: [&str; 46] = [
    "QueueAction",
    "QueueAction.type_index",
    "type_index 0",
    "type_index 1",
    "type_index 2",
    "DiscordDB",
    "DiscordDB.discord_token",
    "DiscordDB.guild_id",
    "DiscordDB.queue",
    "DiscordDB.create_database",
    "DiscordDB.delete_database",
    "DiscordDB.get_databases",
    "DiscordDB.get_guild",
    "DiscordDB.commit",
    "Record",
    "Record.message",
    "Record.table",
    "Record.created_at",
    "Record.updated_at",
    "Record.data",
    "Record.update_field",
    "Record.delete",
    "Table",
    "Table.channel",
    "Table.database",
    "Table.created_at",
    "Table.records",
    "Table.get_records",
    "Table.update_records",
    "Table.create_record",
    "Database",
    "Database.category",
    "Database.created_at",
    "Database.tables",
    "Database.create_table",
    "Database.remove_table",
    "Database.get_table",
    "Discord404Exception",
    "Discord403Exception",
    "DataTooLongException of update_field",
    "Not Enough Positional Arguments",
    "DataTooLongException of create_record",
    "TableNotFoundException",
    "TooManyTablesException",
    "TooLongFieldNamesException",
    "TableExistsException",
];

/// Names that the compiler knows.
macro_rules! known {
    (types $($type:ident),*; methods $($of:ident :: $method:ident),*; variants $($enum:ident :: $variant:ident),*) => {
        [
            $({
                let _ = std::any::type_name::<$type>();
                stringify!($type).to_owned()
            },)*
            $({
                let _ = $of::$method;
                [stringify!($of), stringify!($method)].join("::")
            },)*
            $({
                let _ = |value: &$enum| matches!(value, $enum::$variant { .. });
                [stringify!($enum), stringify!($variant)].join("::")
            },)*
        ]
    };
}

/// Methods that take any kind of text, which a path alone does not say.
async fn generic(table: &Table, database: &Database) -> Result<(), DiscordDbError> {
    table.create_record(&["value"]).await?;
    database.create_table("name", &["field"]).await?;
    Ok(())
}

fn known_names() -> Vec<String> {
    let _ = generic;
    let mut known = known! {
        types QueueAction, DiscordDb, Record, Table, Database;
        methods QueueAction::type_index, DiscordDb::token, DiscordDb::guild_id, DiscordDb::queue,
            DiscordDb::create_database, DiscordDb::delete_database, DiscordDb::databases, DiscordDb::database,
            DiscordDb::guild, DiscordDb::commit, DiscordDb::connect, Record::message, Record::table,
            Record::created_at, Record::updated_at, Record::data, Record::get, Record::update_field,
            Record::delete, Table::channel, Table::database, Table::created_at, Table::records,
            Table::get_records, Table::select, Table::update_records, Database::category,
            Database::created_at, Database::tables, Database::remove_table, Database::table;
        variants QueueAction::CreateDatabase, QueueAction::CreateTable, QueueAction::CreateRecord,
            DiscordDbError::NotFound, DiscordDbError::Forbidden, DiscordDbError::MissingPermission,
            DiscordDbError::DataTooLong, DiscordDbError::WrongNumberOfValues,
            DiscordDbError::TableNotFound, DiscordDbError::TooManyTables,
            DiscordDbError::FieldNamesTooLong, DiscordDbError::TableExists
    }
    .to_vec();
    known.extend(["Table::create_record", "Database::create_table"].map(str::to_owned));
    known
}

#[test]
fn every_item_of_the_specification_has_a_rust_name_that_exists() {
    let rows = table(DISCORDDB, &["Specification", "Rust", "Remarks"]);
    let shown: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(shown, SPECIFIED);
    let known = known_names();
    for row in &rows {
        assert!(known.contains(&row[1]), "{} is not known", row[1]);
        let mentioned = row[2].split([' ', ',', ';']).filter(|word| word.contains("::"));
        for name in mentioned {
            assert!(known.iter().any(|known| known == name), "{name} is not known");
        }
    }
}

#[test]
fn the_table_of_commands_lists_every_one() {
    let rows = table(DISCORDDB, &["Command", "What it does"]);
    let shown: Vec<_> = rows.iter().filter_map(|row| row[0].split(' ').next()).collect();
    let help =
        Command::new(env!("CARGO_BIN_EXE_dsqlstate")).args(["db", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(shown, commands);
}

#[test]
fn the_filters_that_are_shown_are_understood() {
    let rows = table(DISCORDDB, &["Written", "Selects records whose value"]);
    for row in &rows {
        let first = row[0].split(", <=").next().expect("a filter");
        Filter::parse(first).unwrap();
    }
    let shell: String = blocks(DISCORDDB).iter().map(|block| block.text.as_str()).collect();
    let filters: Vec<_> =
        shell.split("--filter '").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
    assert_eq!(filters.len(), 3, "{filters:?}");
    for filter in filters {
        Filter::parse(filter).unwrap();
    }
}

#[test]
fn the_files_that_are_linked_exist() {
    let links = DISCORDDB.split("](../").skip(1).filter_map(|rest| rest.split(')').next());
    let links: Vec<_> = links.collect();
    assert!(links.len() >= 3, "{links:?}");
    for link in links {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "no file {link}");
    }
}
