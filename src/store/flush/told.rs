//! Leaves out rows that tell what their table was told last.
//!
//! A guild that is told again as a whole is told as it was, mostly. Its rows would travel to PostgreSQL to be compared with what
//! is there, column by column; of those whose hash is there nothing but the hash has to.
//!
//! **Invariant:** a row is left out only where writing it would change nothing ([`Row::told_hash`]).

use tokio_postgres::Error;

use super::{Flush, find::Find, merge::NOT_LOOKED};
use crate::{
    store::LaneRows,
    table::{Row, Source, users::USERS},
};

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
        let found = self.find(Find::Untold, lane, &looked_for).await?;
        let mut untold: Rows<'r> = found.into_iter().map(|place| looked_for[place]).collect();
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
}
