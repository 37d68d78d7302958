//! Makes the rows of a lane part of their table, and records what that changes.
//!
//! Rows that are found for the first time are copied straight into the table; the others are merged, round by
//! round.
//!
//! **Invariant:** whichever way a row goes, table and history end up the same.

use std::collections::HashSet;

use tokio_postgres::{
    Error, Statement, Transaction,
    types::{Kind, ToSql, Type},
};

use super::{
    Flush, Work,
    copy::{self, ToldRows},
    find::Find,
};
use crate::{
    store::{LaneRows, sessions},
    table::{
        Guard, Merge, Row, Source, Table, Tracked,
        members::MEMBERS,
        sql::{
            self, Conflict, Recording, Round, echoes,
            late::{self, LateVersions},
        },
        users::USERS,
    },
};

/// Fewer new rows than that are merged like the others: to look for them costs a round trip.
const MIN_COPIED: usize = 32;
/// The same of rows that several partitions write: the others wait meanwhile.
const MIN_COPIED_ALONE: usize = 256;

/// New rows are looked for if at least one of so many that might have been was, the last time.
const WORTH_LOOKING: usize = 4;
/// How often they are not looked for after that was in vain.
pub(super) const NOT_LOOKED: u32 = 16;

/// The statements about the told rows of one table, prepared when they are first needed.
#[derive(Clone)]
pub(super) struct RoundStatements {
    /// The number of the type of a told row.
    element: u32,
    find_news: Option<Statement>,
    lock_with_others: Option<Statement>,
    lock_rows: Option<Statement>,
    count_late: Option<Statement>,
    write: Statement,
}

impl RoundStatements {
    async fn prepare(
        transaction: &Work<'_>,
        table: &Table,
        tracked: Tracked,
        conflict: Conflict,
    ) -> Result<Self, Error> {
        let prepare = async |sql: Option<String>| match sql {
            Some(sql) => transaction.prepare(&sql).await.map(Some),
            None => Ok(None),
        };
        let write = sql::write_round(table, tracked, Round::Given, conflict);
        let write = transaction.prepare(&write).await?;
        let element = match write.params().first().map(Type::kind) {
            Some(Kind::Array(element)) => element.oid(),
            other => unreachable!("the parameter is an array of told rows, not {other:?}"),
        };
        let late = late::late_versions(table, Round::Given);
        Ok(Self {
            element,
            find_news: prepare(sql::find_news(table)).await?,
            lock_with_others: prepare(sql::lock_with_others(table)).await?,
            lock_rows: prepare(sql::lock_rows(table, Round::Given)).await?,
            count_late: prepare(late.map(|late| late.count)).await?,
            write,
        })
    }
}

impl Flush<'_> {
    /// Copies or merges the rows. Returns how many rows were written.
    pub(super) async fn merge(&mut self, place: usize, lane: &LaneRows) -> Result<u64, Error> {
        if lane.rows.is_empty() {
            return Ok(0);
        }
        let table = lane.table;
        let mut rows = self.without_told(place, lane).await?;
        let mut written = 0;
        if let Some(is_new) = self.find_new(place, lane, &rows).await? {
            let new = is_new.iter().zip(&rows).filter(|(is_new, _)| **is_new);
            let new: Vec<_> = new.map(|(_, row)| *row).collect();
            if !new.is_empty() {
                copy::into_table(self.transaction, table, &new).await?;
                written += new.len() as u64;
                let mut is_new = is_new.iter();
                rows.retain(|_| is_new.next() == Some(&false));
            }
        }
        let Some(last_round) = rows.iter().map(|(round, _)| *round).max() else {
            return Ok(written);
        };
        let statements = self.statements(place, table).await?;
        if Recording::of(self.tracking, table, self.shared).shared {
            return Ok(written + self.merge_shared(&statements, table, last_round, &rows).await?);
        }
        for round in 0..=last_round {
            let of_round = rows.iter().copied().filter(|(of, _)| *of == round);
            let of_round = self.raise(table, of_round.collect(), &mut written).await?;
            for part in copy::parts(&of_round) {
                written += self.merge_part(&statements, table, part).await?;
            }
        }
        Ok(written)
    }

    /// Writes those rows that only raise a column, and returns the others.
    async fn raise<'r>(
        &self,
        table: &'static Table,
        rows: Vec<&'r (usize, Row)>,
        written: &mut u64,
    ) -> Result<Vec<&'r (usize, Row)>, Error> {
        let is_tracked = |column| self.tracking.of(table).has(column);
        let is_plain = table.guard == Guard::InOrder
            && table.only(Merge::Greatest).is_some_and(|column| !is_tracked(column));
        let Some(sql) = sql::raise(table, self.set.late).filter(|_| is_plain) else {
            return Ok(rows);
        };
        let mut keys = vec![Vec::new(); table.key_len()];
        let (mut values, mut times, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for told in rows {
            let Some((value, at_us)) = told.1.only_raises(table) else {
                others.push(told);
                continue;
            };
            keys.iter_mut().zip(told.1.key).for_each(|(keys, key)| keys.push(key));
            values.push(value);
            times.push(sessions::time(at_us));
        }
        if !values.is_empty() {
            let keys = keys.iter().map(|keys| keys as &(dyn ToSql + Sync));
            let params: Vec<_> = keys.chain([&values as _, &times as _]).collect();
            *written += self.transaction.execute(&sql, &params).await?;
        }
        Ok(others)
    }

    /// The statements of a table, prepared now or before.
    async fn statements(&mut self, place: usize, table: &Table) -> Result<RoundStatements, Error> {
        let tracked = self.tracking.of(table);
        let prepare = RoundStatements::prepare;
        Ok(match &self.rounds[place] {
            // Hardly ever.
            _ if self.is_second_try => {
                prepare(self.transaction, table, tracked, Conflict::Overwrites).await?
            }
            Some(statements) => statements.clone(),
            None => {
                let shares = table.guard == Guard::ByFrame;
                let conflict = if shares { Conflict::Overwrites } else { Conflict::Fails };
                let prepared = prepare(self.transaction, table, tracked, conflict).await?;
                self.rounds[place].insert(prepared).clone()
            }
        })
    }

    fn encode(
        &self,
        statements: &RoundStatements,
        table: &Table,
        rows: &[&(usize, Row)],
    ) -> ToldRows {
        let rows = rows.iter().copied();
        ToldRows::encode(table, statements.element, rows, self.set.late, |row| {
            self.is_told(table, row)
        })
    }

    /// Merges rows of a round, of which those that several partitions write are looked at before.
    async fn merge_part(
        &mut self,
        statements: &RoundStatements,
        table: &'static Table,
        rows: &[&(usize, Row)],
    ) -> Result<u64, Error> {
        let told = self.encode(statements, table, rows);
        let Some(find_news) = &statements.find_news else {
            return self.merge_round(statements, table, &told).await;
        };
        let transaction: &Transaction<'_> = self.transaction;
        let news = transaction.query(find_news, &[&told]).await?;
        let mut places: Vec<usize> = news.iter().filter_map(place).collect();
        places.sort_unstable();
        if places.len() == rows.len() {
            return self.merge_round(statements, table, &told).await;
        }
        let news: Vec<_> = places.iter().filter_map(|place| rows.get(*place).copied()).collect();
        if news.is_empty() {
            return Ok(0);
        }
        let told = self.encode(statements, table, &news);
        self.merge_round(statements, table, &told).await
    }

    /// Merges told rows of a round.
    async fn merge_round(
        &mut self,
        statements: &RoundStatements,
        table: &'static Table,
        told: &ToldRows,
    ) -> Result<u64, Error> {
        let transaction: &Transaction<'_> = self.transaction;
        if let Some(lock) = &statements.lock_with_others {
            transaction.execute(lock, &[]).await?;
        }
        if let Some(lock) = &statements.lock_rows {
            transaction.execute(lock, &[told]).await?;
        }
        if let Some(count) = &statements.count_late
            && transaction.query_one(count, &[told]).await?.get::<_, i64>(0) > 0
            && let Some(late) = late::late_versions(table, Round::Given)
        {
            transaction.batch_execute(&late.create_notes).await?;
            transaction.execute(&late.note, &[told]).await?;
            transaction.batch_execute(&late.place).await?;
            transaction.execute(&late.fill, &[told]).await?;
            transaction.batch_execute(&late.forget).await?;
        }
        let row = transaction.query_one(&statements.write, &[told]).await?;
        self.report.changes += row.get::<_, i64>(0).unsigned_abs();
        Ok(row.get::<_, i64>(1).unsigned_abs())
    }

    /// Merges rows of guilds that several bots see: which of them tell what is past has to be noted.
    async fn merge_shared(
        &mut self,
        statements: &RoundStatements,
        table: &'static Table,
        last_round: usize,
        rows: &[&(usize, Row)],
    ) -> Result<u64, Error> {
        let transaction = self.transaction;
        let Recording { tracked, history, .. } = Recording::of(self.tracking, table, true);
        transaction.batch_execute(&sql::create_told_table(table)).await?;
        for part in copy::parts(rows) {
            let told = self.encode(statements, table, part);
            transaction.execute(&sql::fill_told_table(table), &[&told]).await?;
        }
        let mut written = 0;
        for round in (0..=last_round).map(Round::Nth) {
            transaction.batch_execute(&echoes::set_past_aside(table, history, round)).await?;
            transaction.batch_execute(&echoes::note_news(table, history, round)).await?;
            if let Some(late) = late::late_versions(table, round)
                && transaction.query_one(&late.count, &[]).await?.get::<_, i64>(0) > 0
            {
                let LateVersions { create_notes, note, place, fill, forget, .. } = late;
                let statements = [create_notes, note, place, fill, forget];
                transaction.batch_execute(&statements.join("; ")).await?;
            }
            let sql = sql::write_round(table, tracked, round, Conflict::Overwrites);
            let row = transaction.query_one(&sql, &[]).await?;
            self.report.changes += row.get::<_, i64>(0).unsigned_abs();
            written += row.get::<_, i64>(1).unsigned_abs();
        }
        // The next step has rows of its own.
        transaction.batch_execute(&sql::empty_told_table(table)).await?;
        Ok(written)
    }

    /// Whether the guild of a row, or its member list, has been told before: what is found there now is news.
    fn is_told(&self, table: &Table, row: &Row) -> bool {
        let is_of_guild = table.columns[0].name == "guild_id";
        let guild = self.guilds.get(&row.key[0]).filter(|_| is_of_guild);
        let is_members = std::ptr::eq(table, &raw const MEMBERS);
        guild.is_some_and(|guild| if is_members { guild.listed } else { guild.confirmed })
    }

    /// Which rows are found for the first time: they are no news, and nothing of them is there. `None`
    /// when it is not worth looking.
    ///
    /// Where a guild, or its member list, has been told before, whatever is found there is news, or nearly
    /// always there.
    async fn find_new(
        &mut self,
        place: usize,
        lane: &LaneRows,
        rows: &[&(usize, Row)],
    ) -> Result<Option<Vec<bool>>, Error> {
        let table = lane.table;
        let is_users = std::ptr::eq(table, &raw const USERS);
        let is_of_guild = table.columns[0].name == "guild_id";
        let looks = !self.is_second_try
            && !self.set.late
            && !self.shared
            && (is_users || is_of_guild)
            && sql::copies(table)
            && self.guilds.values().any(|guild| !guild.confirmed || !guild.listed);
        if !looks {
            return Ok(None);
        }
        let may_be_new = |(round, row): &&(usize, Row)| {
            *round == 0
                && row.inserts
                && row.origin.source == Source::Sync
                && !self.is_told(table, row)
                && row.is_gone(table) != Some(true)
        };
        let mut is_new: Vec<bool> = rows.iter().map(may_be_new).collect();
        let least = if is_users { MIN_COPIED_ALONE } else { MIN_COPIED };
        let candidates = is_new.iter().filter(|is_new| **is_new).count();
        if candidates < least {
            return Ok(None);
        }
        let vain_looks = &mut self.vain_looks[place].new;
        if let Some(not_looked) = vain_looks.checked_sub(1) {
            *vain_looks = not_looked;
            return Ok(None);
        }
        let looked_at = if is_of_guild { Some(self.guilds_with_rows(table).await?) } else { None };
        let uncertain: Vec<usize> = (0..is_new.len())
            .filter(|place| is_new[*place])
            .filter(|place| {
                let guild_id = &rows[*place].1.key[0];
                looked_at.as_ref().is_none_or(|guilds| guilds.contains(guild_id))
            })
            .collect();
        if let Some(lock) = sql::lock_alone(table) {
            self.transaction.batch_execute(&lock).await?;
        }
        let looked_up: Vec<_> = uncertain.iter().map(|place| rows[*place]).collect();
        for found in self.find(Find::There, lane, &looked_up).await? {
            is_new[uncertain[found]] = false;
        }
        // When a shard that has been here before comes back, nearly everything is there.
        let found = is_new.iter().filter(|is_new| **is_new).count();
        if found * WORTH_LOOKING < candidates {
            self.vain_looks[place].new = NOT_LOOKED;
        }
        Ok(Some(is_new))
    }

    /// Which guilds may have rows: those that were told before, and others that have any all the same.
    async fn guilds_with_rows(&self, table: &Table) -> Result<HashSet<i64>, Error> {
        let (mut with_rows, mut unknown) = (HashSet::new(), Vec::new());
        for (guild_id, guild) in &self.guilds {
            if guild.confirmed {
                with_rows.insert(*guild_id);
            } else {
                unknown.push(*guild_id);
            }
        }
        if !unknown.is_empty() {
            let sql = sql::find_guilds(table);
            let found = self.transaction.query(&sql, &[&unknown]).await?;
            with_rows.extend(found.iter().map(|row| row.get::<_, i64>(0)));
        }
        Ok(with_rows)
    }
}

/// A place from 0 that PostgreSQL counts from 1.
pub(super) fn place(row: &tokio_postgres::Row) -> Option<usize> {
    usize::try_from(row.get::<_, i64>(0)).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::{
            migrate::{self, MIGRATIONS},
            testing,
        },
        table::TABLES,
    };

    #[tokio::test]
    async fn rows_of_guilds_are_found_by_guild_even_if_tables_were_analyzed_while_empty() {
        let client = testing::connect(&testing::database().await).await.client;
        migrate::up(&client, MIGRATIONS).await.expect("an empty database");
        client.batch_execute(sql::BY_KEY).await.expect("settings");
        for table in TABLES.iter().filter(|it| sql::copies(it) && it.columns[0].name == "guild_id")
        {
            let sql = format!(
                "analyze discord.{name}; prepare find_{name} (bigint[]) as {sql}",
                name = table.name,
                sql = sql::find_guilds(table)
            );
            client.batch_execute(&sql).await.expect("prepared");
            let explain = format!("explain execute find_{}('{{1}}')", table.name);
            let plan = client.simple_query(&explain).await.expect("explained");
            let plan = format!("{plan:?}");
            // Indexes that begin with the guild.
            let begins = ["pkey", "guild_id"].map(|begin| format!("using {}_{begin}", table.name));
            assert!(begins.iter().any(|index| plan.contains(index)), "{}: {plan}", table.name);
        }
    }
}
