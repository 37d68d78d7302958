//! A record: a message, and what its text says.
//!
//! **Invariant:** a record has its table's fields in their order; values that somebody wrote beyond them
//! are kept by updates.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    DiscordDbError,
    action::{Outcome, QueueAction, Target},
    discord::{Message, UnixMs, created_at_ms},
    handle::{Made, Pending, Subject},
    queue::Reading,
    table::{Table, TableRef},
};

/// A record that exists. It is as it was when it was read or written.
#[derive(Clone)]
pub struct Record {
    table: Table,
    message: Arc<Message>,
    reading: Reading,
}

impl Record {
    pub(super) fn new(table: Table, message: Arc<Message>) -> Self {
        let reading = Reading::of(&message);
        Self { table, message, reading }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The table that it belongs to.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// When it was written, in ISO 8601.
    #[must_use]
    pub fn created_at(&self) -> String {
        iso_8601(created_at_ms(self.message.id))
    }

    /// When it was last updated, or written, in ISO 8601.
    #[must_use]
    pub fn updated_at(&self) -> String {
        iso_8601(self.reading.updated_at_ms)
    }

    /// The value of each field that it has a value for.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, String> {
        let fields = self.table.fields().iter().cloned();
        fields.zip(self.reading.values.iter().cloned()).collect()
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        let place = self.table.fields().iter().position(|known| known == field)?;
        self.reading.values.get(place).map(String::as_str)
    }

    /// The values in the order of the fields.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.reading.values
    }

    /// Queues an update of one field.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], [`DiscordDbError::DataTooLong`].
    pub async fn update_field(
        &self,
        field: &str,
        value: &str,
    ) -> Result<Pending<Self>, DiscordDbError> {
        let (record, reading) = (self.reference(), self.reading.clone());
        let place = record.table.place(field)?;
        record.update(place, value, move || Ok(reading)).await
    }

    /// Queues its deletion.
    ///
    /// # Errors
    /// When it is queued already, or the queue has ended.
    pub async fn delete(&self) -> Result<Pending<()>, DiscordDbError> {
        self.reference().delete().await
    }

    fn reference(&self) -> RecordRef {
        let subject = Subject::Known(self.message.id);
        RecordRef { table: self.table.reference(), subject }
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.message.id)
            .field("values", &self.reading.values)
            .finish_non_exhaustive()
    }
}

/// A record that may not exist yet.
#[derive(Clone)]
pub struct RecordRef {
    pub(super) table: TableRef,
    /// Its message.
    pub(super) subject: Subject<u64>,
}

impl RecordRef {
    fn target(&self) -> Result<Target, DiscordDbError> {
        self.subject.target(|id| *id)
    }

    /// `reading` is asked when the queue has taken everything that was queued before.
    pub(super) async fn update(
        self,
        place: usize,
        value: &str,
        reading: impl FnOnce() -> Result<Reading, DiscordDbError> + Send + 'static,
    ) -> Result<Pending<Record>, DiscordDbError> {
        let (record, changes) = (self.clone(), vec![(place, value.to_owned())]);
        let ending = self.table.db().enqueue(move |queue| {
            let (table, target) = (record.table.target()?, record.target()?);
            queue.stage_update(table, target, &reading()?, changes)
        });
        Ok(Pending { ending: ending.await?, seed: self })
    }

    async fn delete(self) -> Result<Pending<()>, DiscordDbError> {
        let record = self.clone();
        let ending = self.table.db().enqueue(move |queue| {
            let (table, record) = (record.table.target()?, record.target()?);
            queue.stage(QueueAction::DeleteRecord { table, record })
        });
        Ok(Pending { ending: ending.await?, seed: () })
    }
}

impl Made for Record {
    type Seed = RecordRef;

    fn made(seed: RecordRef, outcome: Outcome) -> Result<Self, DiscordDbError> {
        match outcome {
            Outcome::Record(message) => Ok(Self::new(seed.table.table()?, message)),
            _ => Err(DiscordDbError::NotFound { what: "the record, which is deleted".into() }),
        }
    }
}

impl Pending<Record> {
    /// Queues an update of one field of the record that is going to be; it becomes part of its message,
    /// if that is not written yet.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], [`DiscordDbError::DataTooLong`], and the error of the action itself
    /// when it has failed.
    pub async fn update_field(&self, field: &str, value: &str) -> Result<Self, DiscordDbError> {
        let (record, ending) = (self.seed.clone(), self.ending.clone());
        let place = record.table.place(field)?;
        let reading = move || match ending.now().transpose()? {
            Some(Outcome::Record(message)) => Ok(Reading::of(&message)),
            Some(_) => Err(ending.gone()),
            // As long as the action has not ended, the queue itself knows the values.
            None => Ok(Reading { values: Vec::new(), updated_at_ms: 0 }),
        };
        record.update(place, value, reading).await
    }

    /// Queues the deletion of the record that is going to be.
    ///
    /// # Errors
    /// When it is queued already.
    pub async fn delete(&self) -> Result<Pending<()>, DiscordDbError> {
        self.seed.clone().delete().await
    }
}

pub(super) fn iso_8601(at: UnixMs) -> String {
    // Snowflakes reach to the year 2154, timestamps to 9999.
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snowflake_tells_when_it_was_made() {
        // The example of Discord's documentation.
        assert_eq!(iso_8601(created_at_ms(175_928_847_299_117_063)), "2016-04-30T11:18:25.796Z");
        assert_eq!(iso_8601(created_at_ms(0)), "2015-01-01T00:00:00Z");
    }
}
