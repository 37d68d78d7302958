//! A table: a channel, its definition, and its records.
//!
//! **Invariant:** an update through a table sees what is queued before it as if it were written.

use std::{collections::HashMap, sync::Arc};

use super::{
    DiscordDb, DiscordDbError,
    action::{Outcome, QueueAction, Target},
    codec::{self, Definition},
    database::{Database, DatabaseRef},
    discord::{Channel, created_at_ms},
    filter::{Filter, Row, Selection},
    handle::{Ending, Made, Pending, Subject},
    mirror::Columns,
    name,
    queue::{Queued, Reading},
    read::{self, Records},
    record::{Record, RecordRef, iso_8601},
};

/// A table that exists. It is as it was when it was read.
#[derive(Clone)]
pub struct Table {
    database: Database,
    channel: Arc<Channel>,
    name: Arc<str>,
    fields: Arc<[String]>,
}

impl Table {
    pub(super) fn new(database: Database, channel: Arc<Channel>, definition: Definition) -> Self {
        let name = name::table_name(&channel.name, &definition).into();
        Self { database, channel, name, fields: definition.fields.into() }
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The database that it belongs to.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Its name, which is not the channel's when a channel cannot be called so.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its fields.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// When it was made, in ISO 8601.
    #[must_use]
    pub fn created_at(&self) -> String {
        iso_8601(created_at_ms(self.channel.id))
    }

    /// All its records, as they were written.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn records(&self) -> Result<Records, DiscordDbError> {
        self.select(&Selection::default()).await
    }

    /// The records that a filter selects. What is queued and not committed is not among them.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], or when they cannot be read.
    pub async fn get_records(&self, filter: Filter) -> Result<Records, DiscordDbError> {
        self.select(&Selection { filter, ..Selection::default() }).await
    }

    /// The records that are wanted, in the order that is wanted. A limit without an order by a field ends the
    /// reading early.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], or when they cannot be read.
    pub async fn select(&self, selection: &Selection) -> Result<Records, DiscordDbError> {
        read::select(self, selection).await
    }

    /// Queues the writing of a record.
    ///
    /// # Errors
    /// [`DiscordDbError::WrongNumberOfValues`], [`DiscordDbError::DataTooLong`].
    pub async fn create_record(
        &self,
        values: &[impl AsRef<str>],
    ) -> Result<Pending<Record>, DiscordDbError> {
        self.reference().create_record(values).await
    }

    /// Queues an update of one field of every record that a filter selects, among them those that are
    /// queued themselves.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], [`DiscordDbError::DataTooLong`]: then nothing more is queued,
    /// and what was is told by [`DiscordDb::queue`].
    pub async fn update_records(
        &self,
        field: &str,
        value: &str,
        filter: Filter,
    ) -> Result<Vec<Pending<Record>>, DiscordDbError> {
        let place = place(&self.name, &self.fields, field)?;
        filter.check(&self.name, &self.fields)?;
        let read = self.records().await?;
        let table = Target::Id(self.channel.id);
        // Asked for after the reading: what is written meanwhile is in one of the two.
        let queued = self.database.db().queued_for(table).await?;
        let mut pending = Vec::new();
        for (subject, reading) in wanted(&self.fields, &filter, &read.records, queued) {
            let record = RecordRef { table: self.reference(), subject };
            pending.push(record.update(place, value, move || Ok(reading)).await?);
        }
        Ok(pending)
    }

    /// Queues the deletion of the table with all its records.
    ///
    /// # Errors
    /// When it is queued already, or the queue has ended.
    pub async fn delete(&self) -> Result<Pending<()>, DiscordDbError> {
        let action = QueueAction::DeleteTable {
            database: Target::Id(self.database.category().id),
            table: Target::Id(self.channel.id),
            name: self.name.to_string(),
        };
        let ending = self.database.db().enqueue(move |queue| queue.stage(action)).await?;
        Ok(Pending { ending, seed: () })
    }

    pub(super) fn columns(&self) -> Columns<'_> {
        Columns { channel_id: self.channel.id, table: &self.name, fields: &self.fields }
    }

    pub(super) fn reference(&self) -> TableRef {
        let (database, name) = (self.database.reference(), self.name.to_string());
        let seed = TableSeed { database, name, fields: Arc::clone(&self.fields) };
        TableRef { seed, subject: Subject::Known(self.clone()) }
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

fn place(table: &str, fields: &[String], field: &str) -> Result<usize, DiscordDbError> {
    fields.iter().position(|known| known == field).ok_or_else(|| DiscordDbError::UnknownField {
        table: table.into(),
        field: field.into(),
        fields: fields.to_vec(),
    })
}

/// Which records a filter selects when what is queued counts as written.
fn wanted(
    fields: &[String],
    filter: &Filter,
    read: &[Record],
    queued: Vec<(Target, Queued, Option<Ending>)>,
) -> Vec<(Subject<u64>, Reading)> {
    let mut of_read = HashMap::new();
    let mut unread = Vec::new();
    for (record, queued, ending) in queued {
        match (record, ending, queued) {
            (Target::Id(id), _, queued) => {
                of_read.insert(id, queued);
            }
            (Target::Made(_), Some(ending), Queued::Values(values)) => {
                unread.push((Subject::Pending(ending), Reading { values, updated_at_ms: 0 }));
            }
            (Target::Made(_), ..) => {}
        }
    }
    let newest = read.iter().filter_map(|record| {
        let id = record.message().id;
        let mut reading = Reading::of(record.message());
        match of_read.remove(&id) {
            Some(Queued::Deleted) => return None,
            Some(Queued::Values(values)) => reading.values = values,
            None => {}
        }
        Some((Subject::Known(id), reading))
    });
    let mut wanted: Vec<_> = newest.chain(unread).collect();
    wanted.retain(|(_, reading)| filter.matches(&Row { fields, values: &reading.values }));
    wanted
}

/// What is known of a table before it is made.
#[derive(Clone)]
pub struct TableSeed {
    pub(super) database: DatabaseRef,
    pub(super) name: String,
    pub(super) fields: Arc<[String]>,
}

/// A table that may not exist yet.
#[derive(Clone)]
pub struct TableRef {
    seed: TableSeed,
    subject: Subject<Table>,
}

impl TableRef {
    pub(super) fn db(&self) -> &DiscordDb {
        &self.seed.database.db
    }

    pub(super) fn place(&self, field: &str) -> Result<usize, DiscordDbError> {
        place(&self.seed.name, &self.seed.fields, field)
    }

    /// What actions call it.
    pub(super) fn target(&self) -> Result<Target, DiscordDbError> {
        self.subject.target(|table| table.channel.id)
    }

    /// The table, which has to exist by now.
    pub(super) fn table(&self) -> Result<Table, DiscordDbError> {
        match &self.subject {
            Subject::Known(table) => Ok(table.clone()),
            Subject::Pending(ending) => {
                let outcome = ending.now().unwrap_or_else(|| Err(ending.gone()))?;
                Table::made(self.seed.clone(), outcome)
            }
        }
    }

    async fn create_record(
        self,
        values: &[impl AsRef<str>],
    ) -> Result<Pending<Record>, DiscordDbError> {
        if values.len() != self.seed.fields.len() {
            return Err(DiscordDbError::WrongNumberOfValues {
                table: self.seed.name,
                expected: self.seed.fields.len(),
                found: values.len(),
            });
        }
        let values = values.iter().map(|value| value.as_ref().to_owned()).collect();
        let table = self.clone();
        let ending = self.db().enqueue(move |queue| {
            let target = table.target()?;
            if let Subject::Known(Table { channel, .. }) = &table.subject {
                queue.seen(channel.id, channel.last_message_id.unwrap_or_default());
            }
            queue.stage(QueueAction::CreateRecord { table: target, values })
        });
        let ending = ending.await?;
        let subject = Subject::Pending(ending.clone());
        Ok(Pending { ending, seed: RecordRef { table: self, subject } })
    }
}

impl Made for Table {
    type Seed = TableSeed;

    fn made(seed: TableSeed, outcome: Outcome) -> Result<Self, DiscordDbError> {
        let not_found = || DiscordDbError::TableNotFound {
            database: seed.database.name.clone(),
            table: seed.name.clone(),
        };
        let Outcome::Table(channel, definition) = outcome else { return Err(not_found()) };
        let definition = codec::decode_definition(&definition.content).ok_or_else(not_found)?;
        Ok(Self::new(seed.database.database()?, channel, definition))
    }
}

impl Pending<Table> {
    /// Queues the writing of a record in the table that is going to be.
    ///
    /// # Errors
    /// As [`Table::create_record`].
    pub async fn create_record(
        &self,
        values: &[impl AsRef<str>],
    ) -> Result<Pending<Record>, DiscordDbError> {
        let subject = Subject::Pending(self.ending.clone());
        TableRef { seed: self.seed.clone(), subject }.create_record(values).await
    }
}
