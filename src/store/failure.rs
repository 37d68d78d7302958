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
    /// A row that PostgreSQL will never take; the others may pass without it.
    BadRow,
    /// Nothing works until somebody changes something.
    Fatal,
}

/// The class of the error of a statement; `client_is_closed` is what
/// [`Client::is_closed`](tokio_postgres::Client::is_closed) said afterwards.
#[must_use]
pub fn classify(error: &tokio_postgres::Error, client_is_closed: bool) -> FailureClass {
    match error.code() {
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

/// Rests on <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
#[must_use]
pub fn classify_code(code: &str) -> FailureClass {
    match code {
        // A standby, or a primary that is being switched over.
        "25006" => FailureClass::Transient,
        // The statement is too complex or too large for the server; less of it may pass.
        "54000" | "54001" | "54011" | "54023" => FailureClass::BadRow,
        // lock_not_available, and object_in_use.
        "55P03" | "55006" => FailureClass::Transient,
        // A prepared statement whose table has changed, or that a pooler gave to somebody else.
        "0A000" | "26000" => FailureClass::Transient,
        _ => match code.get(..2).unwrap_or_default() {
            // Connection, rollback (40001, 40P01), resources (53100 is a full disk), operator
            // intervention (57014 is a timeout), and system errors.
            "08" | "40" | "53" | "57" | "58" => FailureClass::Transient,
            // Data that does not fit its type, constraints, a key twice in one statement.
            "21" | "22" | "23" => FailureClass::BadRow,
            // Among them 28 (login), 3D (no such database), 42 (no such table, no right), XX.
            _ => FailureClass::Fatal,
        },
    }
}

/// SQLSTATE and message. DETAIL, which quotes rows, is left out, and so are values that a message
/// about bad data quotes.
#[must_use]
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let code = error.code().code();
        return format!("{} (SQLSTATE {code})", without_values(code, error.message()));
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
        let cases = [
            ("08006", Transient),
            ("40001", Transient),
            ("40P01", Transient),
            ("53100", Transient),
            ("53300", Transient),
            ("55P03", Transient),
            ("57014", Transient),
            ("57P01", Transient),
            ("57P03", Transient),
            ("58030", Transient),
            ("25006", Transient),
            ("21000", BadRow),
            ("22021", BadRow),
            ("22P02", BadRow),
            ("22P05", BadRow),
            ("23502", BadRow),
            ("23505", BadRow),
            ("54000", BadRow),
            ("28P01", Fatal),
            ("28000", Fatal),
            ("3D000", Fatal),
            ("42501", Fatal),
            ("42P01", Fatal),
            ("42703", Fatal),
            ("XX001", Fatal),
            ("", Fatal),
        ];
        for (code, class) in cases {
            assert_eq!(classify_code(code), class, "{code}");
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
        assert_eq!(classify(&error, client.is_closed()), Fatal);

        let kill = "select pg_terminate_backend(pg_backend_pid())";
        let error = client.batch_execute(kill).await.expect_err("killed");
        assert_eq!(classify(&error, client.is_closed()), Transient, "{}", describe(&error));
        let error = client.batch_execute("select 1").await.expect_err("closed");
        assert_eq!(classify(&error, client.is_closed()), Transient, "{}", describe(&error));
    }
}
