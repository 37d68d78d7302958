//! What an error of PostgreSQL means: the only place that reads SQLSTATEs.
//!
//! **Invariant:** this file says what an error *is*; what to do about it is decided by who gets it.

use std::io;

use super::error::io_error;
use crate::error::OneLine;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The same statement may work later or on a new connection.
    Transient,
    /// It took too much time or room: it may pass later, or in smaller portions.
    TooMuch,
    /// A row that PostgreSQL will never take; the others may pass without it.
    BadRow,
    /// Something is missing that we need: the database, a table, a right. While somebody restores the
    /// database or switches servers that passes by itself; otherwise only a change helps.
    Unready,
    /// Nothing works until somebody changes something, and trying again may do harm.
    Fatal,
}

impl FailureClass {
    /// Whether it may pass without anybody doing anything, for who has no row to blame.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Transient | Self::TooMuch)
    }
}

/// The class of the error of a statement; `client_is_closed` is what
/// [`Client::is_closed`](tokio_postgres::Client::is_closed) said afterwards.
#[must_use]
pub fn classify(error: &tokio_postgres::Error, client_is_closed: bool) -> FailureClass {
    match error.code() {
        // The table of a prepared statement has changed: a new connection prepares it anew.
        Some(code) if code.code() == "0A000" && is_said_by(error, "RevalidateCachedQuery") => {
            FailureClass::Transient
        }
        Some(code) => classify_code(code.code()),
        None if client_is_closed || error.is_closed() => FailureClass::Transient,
        None => match io_error(error) {
            // tokio-postgres reports what it cannot encode this way.
            Some(io) if is_about_content(io) => FailureClass::BadRow,
            Some(_) => FailureClass::Transient,
            None => FailureClass::BadRow,
        },
    }
}

/// The class of an error while connecting: without SQLSTATE either the network failed or the two
/// sides do not agree on how to talk.
#[must_use]
pub fn classify_connect(error: &tokio_postgres::Error) -> FailureClass {
    match (error.code(), io_error(error)) {
        (Some(code), _) => classify_code(code.code()),
        (None, Some(io)) if !is_about_content(io) => FailureClass::Transient,
        (None, None) if error.is_closed() => FailureClass::Transient,
        (None, _) => FailureClass::Fatal,
    }
}

fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
}

/// Whether the error comes from this function of the server, whose name is in no language.
fn is_said_by(error: &tokio_postgres::Error, routine: &str) -> bool {
    error.as_db_error().and_then(|error| error.routine()) == Some(routine)
}

/// Rests on <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
#[must_use]
pub fn classify_code(code: &str) -> FailureClass {
    match code {
        // A timeout of a statement or a transaction, memory or lock space, and limits such as
        // temp_file_limit.
        "57014" | "25P04" | "53200" | "53400" => FailureClass::TooMuch,
        // lock_not_available, object_in_use, and a snapshot that is too old.
        "55P03" | "55006" | "72000" => FailureClass::Transient,
        // A prepared statement that the session does not have, or has already.
        "26000" | "42P05" => FailureClass::Transient,
        // A right, table, column, function or object that a restore has not come to yet; a database
        // that takes no connections; a file of the server; an error inside of the server, as while
        // somebody alters a table.
        "42501" | "42P01" | "42703" | "42883" | "42704" | "55000" | "58P01" | "XX000" => {
            FailureClass::Unready
        }
        // The row does not fit a view's or a trigger's condition.
        "44000" | "P0001" => FailureClass::BadRow,
        _ => match code.get(..2).unwrap_or_default() {
            // Connection, state of the transaction (25006 is a standby), rollback (40001, 40P01),
            // resources (53100 is a full disk), operator intervention, and system errors.
            "08" | "25" | "40" | "53" | "57" | "58" => FailureClass::Transient,
            // A key twice in one statement, data that does not fit its type, constraints, and what is
            // too large or complex for the server.
            "21" | "22" | "23" | "54" => FailureClass::BadRow,
            // Login, no such database or schema, and files such as pg_hba.conf.
            "28" | "3D" | "3F" | "F0" => FailureClass::Unready,
            // Among them 42 (SQL that the server does not know), XX001 and XX002 (corruption).
            _ => FailureClass::Fatal,
        },
    }
}

/// What to do about an error, where somebody has to.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" => "correct the password in [database] url",
        "28000" => "allow this login in pg_hba.conf, or correct [database] url",
        "3D000" => "create the database, or correct [database] url",
        "42501" => "give the user of [database] url this right: docs/database.md lists them",
        "3F000" | "42P01" | "42703" | "42883" => {
            "something of the schema is missing: see what `dsqlstate migrate status` says"
        }
        "25006" => "this is a standby or a read-only database: name the primary in [database] url",
        "53100" => "free space on the disk of the database server",
        "53200" => "the server needs more memory, or a smaller [writer] flush_rows",
        "53300" => "raise max_connections or the connection limit of the user or database",
        "57014" => {
            "look for long locks in pg_stat_activity, or raise [database] statement_timeout_ms"
        }
        "XX001" | "XX002" => "the database is damaged: restore it from a backup",
        _ => return None,
    })
}

/// Message and SQLSTATE, and what to do about it. DETAIL, which quotes rows, is left out, and so are values that a message
/// about bad data quotes.
#[must_use]
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let code = error.code().code();
        let said = format!("{} (SQLSTATE {code})", without_values(code, error.message()));
        return match advice(code) {
            Some(advice) => format!("{said}: {advice}"),
            None => said,
        };
    }
    OneLine(error).to_string()
}

/// As in `invalid input syntax for type bigint: "what the row holds"`.
fn without_values<'m>(code: &str, message: &'m str) -> &'m str {
    let quotes_data = code.starts_with("22") || code.starts_with("23");
    match message.split_once(": \"") {
        Some((start, _)) if quotes_data => start,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::{FailureClass::*, *};
    use crate::store::testing;

    #[test]
    fn every_sqlstate_has_its_class() {
        let cases: [(FailureClass, &[&str]); 5] = [
            (
                Transient,
                &[
                    "08000", "08003", "08004", "08006", "08P01", "25001", "25006", "25P01",
                    "25P02", "25P03", "26000", "40000", "40001", "40003", "40P01", "42P05",
                    "53000", "53100", "53300", "55006", "55P03", "57000", "57P01", "57P02",
                    "57P03", "57P04", "57P05", "58000", "58030", "72000",
                ],
            ),
            (TooMuch, &["25P04", "53200", "53400", "57014"]),
            (
                BadRow,
                &[
                    "21000", "22021", "22P02", "22P05", "23502", "23505", "23514", "44000",
                    "54000", "54001", "54023", "P0001",
                ],
            ),
            (
                Unready,
                &[
                    "28000", "28P01", "3D000", "3F000", "42501", "42703", "42704", "42883",
                    "42P01", "55000", "58P01", "F0000", "XX000",
                ],
            ),
            (
                Fatal,
                &[
                    "0A000", "42601", "42804", "42P07", "55P02", "55P04", "XX001", "XX002",
                    "HV000", "",
                ],
            ),
        ];
        for (class, codes) in cases {
            for code in codes {
                assert_eq!(classify_code(code), class, "{code}");
            }
        }
    }

    #[test]
    fn messages_about_data_lose_the_data() {
        let message = "invalid input syntax for type bigint: \"hunter2\"";
        assert_eq!(without_values("22P02", message), "invalid input syntax for type bigint");
        let message = "relation \"x\" does not exist";
        assert_eq!(without_values("42P01", message), message);
    }

    #[tokio::test]
    async fn errors_of_a_real_server_are_told_apart_and_show_no_rows() {
        let connection = testing::connect(&testing::database().await).await;
        let client = &connection.client;
        client.batch_execute("create table t (id int primary key)").await.expect("made");
        let insert = "insert into t values (4711)";
        client.batch_execute(insert).await.expect("inserted");

        let error = client.batch_execute(insert).await.expect_err("twice");
        assert_eq!(classify(&error, client.is_closed()), BadRow);
        assert!(!describe(&error).contains("4711"), "{}", describe(&error));
        assert!(describe(&error).ends_with("(SQLSTATE 23505)"), "{}", describe(&error));

        let error = client.query("select $1::int", &[&"text"]).await.expect_err("wrong type");
        assert_eq!(classify(&error, client.is_closed()), BadRow, "{}", describe(&error));

        let error = client.batch_execute("select * from missing").await.expect_err("missing");
        assert_eq!(classify(&error, client.is_closed()), Unready);
        assert!(describe(&error).contains("dsqlstate migrate status"), "{}", describe(&error));

        let kill = "select pg_terminate_backend(pg_backend_pid())";
        let error = client.batch_execute(kill).await.expect_err("killed");
        assert_eq!(classify(&error, client.is_closed()), Transient, "{}", describe(&error));
        let error = client.batch_execute("select 1").await.expect_err("closed");
        assert_eq!(classify(&error, client.is_closed()), Transient, "{}", describe(&error));
    }
    #[tokio::test]
    async fn only_a_stale_statement_of_what_is_not_supported_may_work_later() {
        let connection = testing::connect(&testing::database().await).await;
        let client = &connection.client;
        client.batch_execute("create table t (id int)").await.expect("made");
        let all = client.prepare("select * from t").await.expect("valid");
        client.batch_execute("alter table t add more int").await.expect("altered");
        let error = client.query(&all, &[]).await.expect_err("changed");
        assert_eq!(error.code().map(|code| code.code()), Some("0A000"));
        assert_eq!(classify(&error, client.is_closed()), Transient);
        let window = "select distinct count(*) over () from t for update";
        let error = client.batch_execute(window).await.expect_err("not supported");
        assert_eq!(error.code().map(|code| code.code()), Some("0A000"));
        assert_eq!(classify(&error, client.is_closed()), Fatal);
    }
}
