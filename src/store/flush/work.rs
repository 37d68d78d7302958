//! A transaction whose statements are prepared once for each connection.
//!
//! Small flushes are many short statements, each of which would be parsed and planned every time.
//!
//! **Invariant:** statements are planned as [`crate::table::sql::BY_KEY`] says, once, so that no plan fits the size
//! that a table has had by chance.

use std::{cell::RefCell, collections::HashMap, ops::Deref};

use tokio_postgres::{Error, Row, Statement, Transaction, types::ToSql};

type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// The prepared statements of a connection, by their text.
#[derive(Default)]
pub(in crate::store) struct Statements(RefCell<HashMap<Box<str>, Statement>>);

/// A transaction with the statements of its connection.
pub(in crate::store) struct Work<'w> {
    transaction: Transaction<'w>,
    statements: &'w Statements,
}

impl<'w> Work<'w> {
    pub(super) fn new(transaction: Transaction<'w>, statements: &'w Statements) -> Self {
        Self { transaction, statements }
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await
    }

    /// A statement, prepared now or before.
    async fn statement(&self, sql: &str) -> Result<Statement, Error> {
        let known = self.statements.0.borrow().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.transaction.prepare(sql).await?;
        self.statements.0.borrow_mut().insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// Runs a statement and returns how many rows it concerned.
    pub(in crate::store) async fn execute(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<u64, Error> {
        let statement = self.statement(sql).await?;
        self.transaction.execute(&statement, params).await
    }

    /// Runs a statement and returns its rows.
    pub(in crate::store) async fn query(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        let statement = self.statement(sql).await?;
        self.transaction.query(&statement, params).await
    }

    /// Runs a statement and returns its only row.
    pub(in crate::store) async fn query_one(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Row, Error> {
        let statement = self.statement(sql).await?;
        self.transaction.query_one(&statement, params).await
    }
}

impl<'w> Deref for Work<'w> {
    type Target = Transaction<'w>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}
