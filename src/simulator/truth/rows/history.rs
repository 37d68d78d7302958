//! Rows of the history of changes.
//!
//! **Invariant:** the receiver numbers its changes in an order of its own, so those of each thing are counted;
//! when a change was received is not compared.

use serde_json::{Value, json};

use super::{TruthRow, TruthTable, set};
use crate::simulator::model::User;
use crate::simulator::truth::{
    Truth,
    history::{ChangeTold, Fields, Place, Tracked},
};

const KEY: &[&str] = &["guild_id", "entity", "channel_id", "entity_id", "place"];

/// The rows of `changes` with their place among those of the same thing.
macro_rules! counted {
    ($of:literal) => {
        concat!(
            "select *, row_number() over (partition by guild_id, entity, channel_id, entity_id \
                                          order by transaction_id, id) as place \
               from discord.changes where entity ",
            $of,
            " 'users'"
        )
    };
}

impl Truth {
    /// The history of everything but users: of those that are in several guilds, the order in which a
    /// reader writes is its own affair.
    pub(super) fn history(&self) -> TruthTable<'_> {
        self.history_where(counted!("<>"), |place| place.entity != User::ENTITY)
    }

    /// The history of users, for readers that write everything in the order in which it was told.
    #[must_use]
    pub fn user_history(&self) -> TruthTable<'_> {
        self.history_where(counted!("="), |place| place.entity == User::ENTITY)
    }

    fn history_where(
        &self,
        query: &'static str,
        chosen: impl Fn(&Place) -> bool + 'static,
    ) -> TruthTable<'_> {
        let changes = self.history.iter().filter(move |(place, ..)| chosen(place));
        let rows = changes.map(|(place, number, change)| self.change_row(place, number, change));
        TruthTable { name: "changes", query: Some(query), key: KEY, rows: Box::new(rows) }
    }

    fn change_row(&self, place: &Place, number: usize, change: &ChangeTold) -> TruthRow {
        let is_of_user = matches!(place.entity, "members" | "bans" | "users");
        let mut row = TruthRow::new();
        set(&mut row, "guild_id", place.guild_id);
        set(&mut row, "entity", place.entity);
        set(&mut row, "channel_id", place.channel_id);
        set(&mut row, "entity_id", place.entity_id);
        set(&mut row, "place", number);
        set(&mut row, "user_id", is_of_user.then_some(place.entity_id));
        set(&mut row, "bot_id", self.bot_id);
        set(&mut row, "action", change.action);
        set(&mut row, "source", change.source.as_str());
        set(&mut row, "old", object(change.old.as_ref()));
        set(&mut row, "new", object(change.new.as_ref()));
        row
    }
}

/// An object whose members are columns, so that each is compared as a column is.
fn object(fields: Option<&Fields>) -> Value {
    fields.map_or(Value::Null, |fields| {
        let columns: TruthRow =
            fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        json!({ "__columns": columns })
    })
}
