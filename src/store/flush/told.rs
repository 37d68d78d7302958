//! Leaves out rows that tell what their table was told last.
//!
//! A guild that is told again as a whole is told as it was, mostly. Its rows would travel to PostgreSQL to be compared with what
//! is there, column by column; of those whose hash is there nothing but the hash has to.
//!
//! **Invariant:** a row is left out only where writing it would change nothing ([`Row::told_hash`]).

use std::collections::HashSet;

use tokio_postgres::Error;

use super::{
    Flush,
    merge::{NOT_LOOKED, keys},
};
use crate::{
    store::LaneRows,
    table::{Row, Source, Table, change::Scope, sql, users::USERS},
};

/// All rows that a guild has are read if at least one of so many is looked for.
const WORTH_READING_ALL: usize = 4;
/// Of fewer rows none is looked for: that costs a round trip.
const MIN_LOOKED_FOR: usize = 32;
/// They are looked for if at least one of so many was told before, the last time.
const WORTH_LOOKING: usize = 2;

type Rows<'r> = Vec<&'r (usize, Row)>;

impl Flush<'_> {
    /// The rows of a lane without those that tell nothing new.
    pub(super) async fn without_told<'r>(
        &mut self,
        place: usize,
        lane: &'r LaneRows,
    ) -> Result<Rows<'r>, Error> {
        let table = lane.table;
        let all = || lane.rows.iter().collect();
        // What several bots tell, or what comes late, is noted even if it changes nothing.
        if !table.keeps_told_hash() || self.set.late || self.shared {
            return Ok(all());
        }
        let (looked_for, others) = self.split(lane);
        if looked_for.len() < MIN_LOOKED_FOR {
            return Ok(all());
        }
        let vain_looks = &mut self.vain_looks[place].told;
        if let Some(not_looked) = vain_looks.checked_sub(1) {
            *vain_looks = not_looked;
            return Ok(all());
        }
        let candidates = looked_for.len();
        let guilds = self.guilds_to_read(lane, &looked_for);
        let (in_guilds, by_key): (Rows<'r>, Rows<'r>) =
            looked_for.into_iter().partition(|(_, row)| guilds.contains(&row.key[0]));
        let mut untold = self.untold(table, in_guilds, Some(guilds)).await?;
        untold.extend(self.untold(table, by_key, None).await?);
        if (candidates - untold.len()) * WORTH_LOOKING < candidates {
            self.vain_looks[place].told = NOT_LOOKED;
        }
        untold.extend(others);
        untold.sort_unstable_by_key(|(round, row)| (row.key, *round));
        Ok(untold)
    }

    /// Those of the rows of which it is worth looking whether they were told before: what is told in passing, where that
    /// was told before as a whole. And the others.
    fn split<'r>(&self, lane: &'r LaneRows) -> (Rows<'r>, Rows<'r>) {
        let is_confirmed = |guild_id| self.guilds.get(guild_id).is_some_and(|it| it.confirmed);
        let is_users = std::ptr::eq(lane.table, &raw const USERS);
        let are_all_confirmed = self.guilds.values().all(|guild| guild.confirmed);
        lane.rows.iter().partition(|(round, row)| {
            *round == 0
                && row.origin.source == Source::Sync
                && if is_users { are_all_confirmed } else { is_confirmed(&row.key[0]) }
        })
    }

    /// Guilds of which much of what they have in the table is looked for.
    pub(super) fn guilds_to_read(
        &self,
        lane: &LaneRows,
        looked_for: &[&(usize, Row)],
    ) -> HashSet<i64> {
        if lane.table.columns[0].name != "guild_id" {
            return HashSet::new();
        }
        let wholes: HashSet<Scope> = lane.sets.iter().map(|(_, set)| set.scope).collect();
        // Sorted by guild, like all rows of a lane.
        let of_guilds = looked_for.chunk_by(|(_, a), (_, b)| a.key[0] == b.key[0]);
        let is_read = |rows: &[&(usize, Row)]| {
            let guild_id = rows[0].1.key[0];
            // What is no complete set is one row a member at most.
            let members = self.guilds.get(&guild_id).map_or(0, |guild| guild.members);
            let members = usize::try_from(members).unwrap_or(0);
            let is_much = members > 0 && rows.len() * WORTH_READING_ALL >= members;
            (is_much || wholes.contains(&Scope::guild(guild_id))).then_some(guild_id)
        };
        of_guilds.filter_map(is_read).collect()
    }

    /// Those of the rows that the table was not told last.
    async fn untold<'r>(
        &self,
        table: &Table,
        rows: Rows<'r>,
        guilds: Option<HashSet<i64>>,
    ) -> Result<Rows<'r>, Error> {
        let mut columns = keys(table, &rows);
        columns.push(rows.iter().map(|(_, row)| row.told_hash(table)).collect());
        let sql = match guilds {
            Some(_) => sql::find_untold_of_guilds(table),
            None => sql::find_untold(table),
        };
        let found = self.find(&sql, &columns, guilds).await?;
        Ok(found.into_iter().filter_map(|place| rows.get(place).copied()).collect())
    }
}
