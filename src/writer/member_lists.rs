//! Member lists that are arriving in chunks.
//!
//! Absence proves a leave only when every chunk of one requested list has arrived: then the members
//! that were in no chunk, and did not join meanwhile, are gone.
//!
//! **Invariant:** memory is 8 bytes per member of the lists under way, and a list that is never
//! finished is given up when the guild's next one begins or its shard's session ends.

use std::collections::{HashMap, HashSet};

use crate::table::{
    Key, Origin, Row,
    change::{MemberChunk, ReplacedSet, Scope},
    members::{LEFT_AT, MEMBERS},
};

/// Begin of the nonces of requests for a whole list. Answers to other requests prove nothing.
pub const FULL_LIST_NONCE_PREFIX: &str = "full-";

/// The lists under way, by guild. Several bots may each have one of the same guild.
#[derive(Debug, Default)]
pub struct MemberLists {
    lists: HashMap<i64, Vec<List>>,
}

#[derive(Debug)]
struct List {
    bot_id: u64,
    nonce: String,
    count: u32,
    chunks: HashSet<u32>,
    present: HashSet<i64>,
}

impl MemberLists {
    /// Notes a member row that passes by: who joins or leaves while a list is under way is, or is
    /// not, in the guild whatever the chunks say.
    pub fn observe(&mut self, row: &Row) {
        let [guild_id, user_id, ..] = row.key;
        for list in self.lists.get_mut(&guild_id).into_iter().flatten() {
            if row.get(&MEMBERS, LEFT_AT).is_some() {
                list.present.remove(&user_id);
            } else {
                list.present.insert(user_id);
            }
        }
    }

    /// Takes a chunk in that a bot received. Returns the guild's complete set when it was the last one
    /// missing.
    pub fn chunk(&mut self, chunk: MemberChunk, origin: Origin) -> Option<ReplacedSet> {
        if !chunk.nonce.starts_with(FULL_LIST_NONCE_PREFIX) || chunk.index >= chunk.count {
            return None;
        }
        let bot_id = origin.bot_id.cast_unsigned();
        let lists = self.lists.entry(chunk.guild_id).or_default();
        let place = lists.iter().position(|list| list.bot_id == bot_id).unwrap_or(lists.len());
        if place == lists.len() {
            lists.push(List::new(bot_id, &chunk));
        }
        let list = &mut lists[place];
        if list.nonce != chunk.nonce || list.count != chunk.count {
            *list = List::new(bot_id, &chunk);
        }
        list.chunks.insert(chunk.index);
        list.present.extend(chunk.user_ids);
        if list.chunks.len() < list.count as usize {
            return None;
        }
        let list = lists.swap_remove(place);
        if lists.is_empty() {
            self.lists.remove(&chunk.guild_id);
        }
        let mut present: Vec<Key> =
            list.present.into_iter().map(|user_id| [chunk.guild_id, user_id, 0, 0, 0]).collect();
        present.sort_unstable();
        Some(ReplacedSet { table: &MEMBERS, scope: Scope::guild(chunk.guild_id), present, origin })
    }

    /// Gives up a bot's lists of guilds for which `ended` holds: their session is over.
    pub fn give_up(&mut self, bot_id: u64, ended: impl Fn(i64) -> bool) {
        self.lists.retain(|guild_id, lists| {
            lists.retain(|list| list.bot_id != bot_id || !ended(*guild_id));
            !lists.is_empty()
        });
    }
}

impl List {
    fn new(bot_id: u64, chunk: &MemberChunk) -> Self {
        let (chunks, present) = (HashSet::new(), HashSet::new());
        Self { bot_id, nonce: chunk.nonce.clone(), count: chunk.count, chunks, present }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::RowBuilder;

    fn chunk(nonce: &str, index: u32, count: u32, user_ids: &[i64]) -> MemberChunk {
        MemberChunk {
            guild_id: 1,
            nonce: nonce.to_owned(),
            index,
            count,
            user_ids: user_ids.to_vec(),
        }
    }

    fn by(bot_id: i64) -> Origin {
        Origin { bot_id, ..Origin::default() }
    }

    fn member(user_id: i64, left: bool) -> Row {
        let mut row = RowBuilder::default();
        row.begin(&MEMBERS, 0);
        row.bigint(0, 1);
        row.bigint(1, user_id);
        if left {
            row.timestamp_us(LEFT_AT, 9);
        }
        row.finish(&MEMBERS).expect("the key is set")
    }

    fn users(set: Option<ReplacedSet>) -> Option<Vec<i64>> {
        set.map(|set| set.present.iter().map(|key| key[1]).collect())
    }

    #[test]
    fn the_lists_of_two_bots_are_two_lists() {
        let mut lists = MemberLists::default();
        assert_eq!(users(lists.chunk(chunk("full-1", 0, 2, &[1, 2]), by(1))), None);
        assert_eq!(users(lists.chunk(chunk("full-1", 1, 2, &[3]), by(2))), None);
        lists.observe(&member(7, false));
        lists.give_up(2, |_| true);
        assert_eq!(users(lists.chunk(chunk("full-1", 1, 2, &[3]), by(1))), Some(vec![1, 2, 3, 7]));
        assert_eq!(users(lists.chunk(chunk("full-1", 0, 2, &[1]), by(2))), None, "begun anew");
    }

    #[test]
    fn a_list_is_complete_when_every_chunk_came_in_any_order_and_however_often() {
        let mut lists = MemberLists::default();
        assert_eq!(users(lists.chunk(chunk("full-1", 2, 3, &[5]), by(1))), None);
        assert_eq!(users(lists.chunk(chunk("full-1", 0, 3, &[1, 2]), by(1))), None);
        assert_eq!(users(lists.chunk(chunk("full-1", 0, 3, &[1, 2]), by(1))), None);
        assert_eq!(users(lists.chunk(chunk("full-1", 1, 3, &[3]), by(1))), Some(vec![1, 2, 3, 5]));
    }

    #[test]
    fn who_joins_or_leaves_meanwhile_is_believed() {
        let mut lists = MemberLists::default();
        lists.chunk(chunk("full-1", 0, 2, &[1, 2]), by(1));
        lists.observe(&member(7, false));
        lists.observe(&member(2, true));
        assert_eq!(users(lists.chunk(chunk("full-1", 1, 2, &[3]), by(1))), Some(vec![1, 3, 7]));
    }

    #[test]
    fn answers_to_other_requests_prove_nothing_and_a_new_request_starts_anew() {
        let mut lists = MemberLists::default();
        assert_eq!(users(lists.chunk(chunk("search", 0, 1, &[1]), by(1))), None);
        lists.chunk(chunk("full-1", 0, 2, &[1]), by(1));
        assert_eq!(users(lists.chunk(chunk("full-2", 1, 2, &[2]), by(1))), None);
        assert_eq!(users(lists.chunk(chunk("full-2", 0, 2, &[3]), by(1))), Some(vec![2, 3]));
    }

    #[test]
    fn the_end_of_a_session_gives_up_its_lists() {
        let mut lists = MemberLists::default();
        lists.chunk(chunk("full-1", 0, 2, &[1]), by(1));
        lists.give_up(1, |guild_id| guild_id == 1);
        assert_eq!(users(lists.chunk(chunk("full-1", 1, 2, &[2]), by(1))), None);
    }
}
