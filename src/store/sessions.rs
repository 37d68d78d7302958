//! The statements that are no plain upsert: sessions, progress, guild states and rejected events.
//!
//! **Invariant:** a resume point read here is never ahead of what the tables hold.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio_postgres::{Client, Error, types::ToSql};
use twilight_model::gateway::Intents;

use super::{FlushSet, Progress, flush::work::Work};
use crate::{
    id::{ResumePoint, Session, ShardKey},
    table::{
        Tracked,
        change::{RejectedEvent, SessionStart},
        sql::changes,
    },
};

/// Microseconds since 1970 as PostgreSQL takes times.
#[must_use]
pub fn time(unix_us: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(unix_us.max(0).unsigned_abs())
}

/// Guilds that the bot is in, as far as known, whose events come through the session's shard.
pub(super) async fn guilds_of_shard(
    transaction: &Work<'_>,
    session: &Session,
) -> Result<Vec<i64>, Error> {
    let sql = "select guild_id from discord.guild_bots \
                where bot_id = $1 and state <> 'left' and (guild_id >> 22) % $2 = $3";
    let shard = session.shard;
    let (count, id) = (i64::from(session.shard_count), i64::from(shard.shard_id));
    let rows = transaction.query(sql, &[&shard.bot_id.cast_signed(), &count, &id]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Marks guilds as left.
pub(super) async fn leave_guilds(
    transaction: &Work<'_>,
    tracked: Tracked,
    start: &SessionStart,
    guilds: &[i64],
) -> Result<(), Error> {
    let states = "update discord.guild_bots t set state = 'left', left_at = $4, updated_at = $4 \
                    from discord.guild_bots old \
                   where t.bot_id = $1 and t.guild_id = any($3) and t.state <> 'left' \
                     and $2::integer is not null \
                     and old.guild_id = t.guild_id and old.bot_id = t.bot_id \
               returning t.guild_id, old.state as before, t.state as after";
    change_states(transaction, tracked, states, start, guilds).await.map(|_| ())
}

/// Notes listed guilds that are new, or were left, as unavailable. Returns those.
///
/// The guilds of a shard's first READY are where it begins; later ones were joined meanwhile. Each partition has
/// a first one of its own: a process may have been killed when only some had written it.
pub(super) async fn expect_guilds(
    transaction: &Work<'_>,
    tracked: Tracked,
    start: &SessionStart,
    (partition, partitions): (usize, usize),
    guilds: &[i64],
) -> Result<Vec<i64>, Error> {
    let bot_id = start.session.shard.bot_id.cast_signed();
    let sql = "select exists (select from discord.partition_progress \
                where bot_id = $1 and shard_id = $2 and session_id <> $3 \
                  and (\"partition\" = $4 or partitions <> $5))";
    let shard_id = start.session.shard.shard_id.cast_signed();
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let (partition, partitions) = (count(partition), count(partitions));
    let session_id = start.session.session_id.as_ref();
    let params: [&(dyn ToSql + Sync); 5] =
        [&bot_id, &shard_id, &session_id, &partition, &partitions];
    let is_known: bool = transaction.query_one(sql, &params).await?.get(0);
    let tracked = if is_known { tracked } else { Tracked::default() };
    let states = "insert into discord.guild_bots as t (guild_id, bot_id, shard_id, state, since, updated_at) \
                  select id, $1, $2, 'unavailable', $4, $4 from unnest($3::bigint[]) id \
                   where not exists (select from discord.guild_bots b where b.guild_id = id and b.bot_id = $1 and b.state <> 'left') \
                   order by id \
                      on conflict (guild_id, bot_id) do update set state = 'unavailable', left_at = null, \
                         since = excluded.since, shard_id = excluded.shard_id, updated_at = excluded.updated_at \
               returning t.guild_id, 'left' as before, t.state as after";
    change_states(transaction, tracked, states, start, guilds).await
}

async fn change_states(
    transaction: &Work<'_>,
    tracked: Tracked,
    states: &str,
    start: &SessionStart,
    guilds: &[i64],
) -> Result<Vec<i64>, Error> {
    let sql = changes::recording_states(tracked, states);
    let shard = start.session.shard;
    let params: [&(dyn ToSql + Sync); 4] =
        [&shard.bot_id.cast_signed(), &shard.shard_id.cast_signed(), &guilds, &time(start.at_us)];
    let rows = transaction.query(&sql, &params).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Makes `guilds.unavailable` and `guilds.left_at` follow from `guild_bots`.
pub(super) async fn derive_guild_states(
    transaction: &Work<'_>,
    guilds: &[i64],
) -> Result<(), Error> {
    let sql = "update discord.guilds g \
                  set unavailable = b.unavailable, updated_at = b.updated_at, \
                      left_at = case when b.present then null else coalesce(g.left_at, b.left_at) end \
                 from (select guild_id, bool_or(state <> 'left') as present, max(left_at) as left_at, \
                              bool_or(state = 'unavailable') and not bool_or(state = 'available') as unavailable, \
                              max(updated_at) as updated_at \
                         from discord.guild_bots where guild_id = any($1) group by guild_id) b \
                where g.id = b.guild_id \
                  and (g.unavailable <> b.unavailable or (g.left_at is null) <> b.present)";
    transaction.execute(sql, &[&guilds]).await.map(|_| ())
}

/// Keeps rejected events; one that is replayed is kept once.
pub(super) async fn insert_rejected(
    transaction: &Work<'_>,
    rejected: &[RejectedEvent],
) -> Result<(), Error> {
    if rejected.is_empty() {
        return Ok(());
    }
    let sql = "insert into discord.rejected_events (at, bot_id, shard_id, session_id, sequence, guild_id, event, kind, error, payload) \
               select * from unnest($1::timestamptz[], $2::bigint[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[]) \
               on conflict do nothing";
    let session = |event: &RejectedEvent| Arc::clone(&event.session);
    let times: Vec<_> = rejected.iter().map(|event| time(event.at_us)).collect();
    let bots: Vec<_> =
        rejected.iter().map(|event| session(event).shard.bot_id.cast_signed()).collect();
    let shards: Vec<_> =
        rejected.iter().map(|event| session(event).shard.shard_id.cast_signed()).collect();
    let sessions: Vec<_> = rejected.iter().map(|event| event.session.session_id.as_ref()).collect();
    let sequences: Vec<_> = rejected.iter().map(|event| event.sequence.cast_signed()).collect();
    let guilds: Vec<_> = rejected.iter().map(|event| event.guild_id).collect();
    let events: Vec<_> = rejected.iter().map(|event| event.event.as_deref()).collect();
    let kinds: Vec<_> = rejected.iter().map(|event| event.kind.as_str()).collect();
    let errors: Vec<_> = rejected.iter().map(|event| event.error.as_str()).collect();
    let payloads: Vec<_> = rejected.iter().map(|event| event.payload.as_str()).collect();
    let params: [&(dyn ToSql + Sync); 10] = [
        &times, &bots, &shards, &sessions, &sequences, &guilds, &events, &kinds, &errors, &payloads,
    ];
    transaction.execute(sql, &params).await.map(|_| ())
}

/// Notes which sequences the transaction covers.
pub(super) async fn save_progress(transaction: &Work<'_>, set: &FlushSet) -> Result<(), Error> {
    let sql = "insert into discord.partition_progress \
                      (bot_id, shard_id, \"partition\", partitions, session_id, sequence, generation, updated_at) \
               values ($1, $2, $3, $4, $5, $6, $7, now()) \
               on conflict (bot_id, shard_id, \"partition\") do update set partitions = excluded.partitions, \
                      session_id = excluded.session_id, sequence = excluded.sequence, \
                      generation = excluded.generation, updated_at = excluded.updated_at";
    let number = |n: usize| i32::try_from(n).expect("there are at most 64 partitions");
    for progress in &set.progress {
        let Session { shard, session_id, generation, .. } = progress.session.as_ref();
        let params: [&(dyn ToSql + Sync); 7] = [
            &shard.bot_id.cast_signed(),
            &shard.shard_id.cast_signed(),
            &number(set.partition),
            &number(set.partitions),
            &session_id.as_ref(),
            &progress.sequence.cast_signed(),
            generation,
        ];
        transaction.execute(sql, &params).await?;
    }
    Ok(())
}

/// Whether a transaction that covers this sequence has been committed.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn is_covered(
    client: &Client,
    partition: usize,
    progress: &Progress,
) -> Result<bool, Error> {
    let sql = "select exists (select from discord.partition_progress \
                where bot_id = $1 and shard_id = $2 and \"partition\" = $3 and session_id = $4 and sequence >= $5)";
    let Session { shard, session_id, .. } = progress.session.as_ref();
    let params: [&(dyn ToSql + Sync); 5] = [
        &shard.bot_id.cast_signed(),
        &shard.shard_id.cast_signed(),
        &i32::try_from(partition).expect("there are at most 64 partitions"),
        &session_id.as_ref(),
        &progress.sequence.cast_signed(),
    ];
    Ok(client.query_one(sql, &params).await?.get(0))
}

/// What a shard left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredShard {
    /// Where it may resume.
    pub resume: ResumePoint,
    /// Number of writer partitions when it was saved.
    pub partitions: usize,
}

/// The last sequence of a session that a partition applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProgress {
    /// The shard.
    pub shard: ShardKey,
    /// The partition.
    pub partition: usize,
    /// How many partitions there were.
    pub partitions: usize,
    /// The session.
    pub session_id: Arc<str>,
    /// Its generation.
    pub generation: i64,
    /// The last sequence applied.
    pub sequence: u64,
}

/// Reads what the partitions of a bot have applied.
///
/// Waits for transactions that a killed process may have left committing (`for update`), so that
/// what is read is final.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn load_progress(client: &Client, bot_id: u64) -> Result<Vec<StoredProgress>, Error> {
    let sql = "select shard_id, \"partition\", partitions, session_id, generation, sequence \
                 from discord.partition_progress where bot_id = $1 for update";
    let rows = client.query(sql, &[&bot_id.cast_signed()]).await?;
    let count = |n: i32| n.unsigned_abs() as usize;
    let progress = rows.iter().map(|row| StoredProgress {
        shard: ShardKey { bot_id, shard_id: row.get::<_, i32>(0).cast_unsigned() },
        partition: count(row.get(1)),
        partitions: count(row.get(2)),
        session_id: Arc::from(row.get::<_, &str>(3)),
        generation: row.get(4),
        sequence: row.get::<_, i64>(5).cast_unsigned(),
    });
    Ok(progress.collect())
}

/// Reads where a shard may resume, if it ever had a session.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn load_shard(client: &Client, shard: ShardKey) -> Result<Option<StoredShard>, Error> {
    let key: [&(dyn ToSql + Sync); 2] =
        [&shard.bot_id.cast_signed(), &shard.shard_id.cast_signed()];
    let sql = "select shard_count, session_id, resume_url, sequence, intents, generation, partitions \
                 from discord.shards where bot_id = $1 and shard_id = $2";
    let Some(row) = client.query_opt(sql, &key).await? else { return Ok(None) };
    let generation: i64 = row.get(5);
    let session = Session {
        shard,
        shard_count: row.get::<_, i32>(0).cast_unsigned(),
        session_id: Arc::from(row.get::<_, &str>(1)),
        intents: Intents::from_bits_truncate(row.get::<_, i64>(4).cast_unsigned()),
        generation,
    };
    Ok(Some(StoredShard {
        resume: ResumePoint {
            session: Arc::new(session),
            resume_url: Arc::from(row.get::<_, &str>(2)),
            sequence: row.get::<_, i64>(3).cast_unsigned(),
        },
        partitions: row.get::<_, i32>(6).unsigned_abs() as usize,
    }))
}

/// Guilds of a shard that are available but have no complete member list of the session's generation.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn load_unsynced_guilds(client: &Client, session: &Session) -> Result<Vec<u64>, Error> {
    let sql = "select guild_id from discord.guild_bots where bot_id = $1 and shard_id = $2 \
                  and state = 'available' and generation = $3 and members_generation is distinct from $3";
    let Session { shard, generation, .. } = session;
    let params: [&(dyn ToSql + Sync); 3] =
        [&shard.bot_id.cast_signed(), &shard.shard_id.cast_signed(), generation];
    let rows = client.query(sql, &params).await?;
    Ok(rows.iter().map(|row| row.get::<_, i64>(0).cast_unsigned()).collect())
}

/// Saves resume points. The sequence of one session never moves back.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn save_resume_points(
    client: &Client,
    points: &[ResumePoint],
    partitions: usize,
) -> Result<(), Error> {
    let sql = "insert into discord.shards as s \
                      (bot_id, shard_id, shard_count, session_id, resume_url, sequence, intents, generation, partitions, started_at, updated_at) \
               select *, $9, now(), now() from unnest($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[]) \
               on conflict (bot_id, shard_id) do update set shard_count = excluded.shard_count, session_id = excluded.session_id, \
                      resume_url = excluded.resume_url, sequence = excluded.sequence, intents = excluded.intents, \
                      generation = excluded.generation, partitions = excluded.partitions, updated_at = excluded.updated_at, \
                      started_at = case when s.session_id = excluded.session_id then s.started_at else excluded.started_at end \
                where s.session_id <> excluded.session_id or s.sequence <= excluded.sequence";
    let mut points: Vec<&ResumePoint> = points.iter().collect();
    points.sort_unstable_by_key(|point| point.session.shard);
    let sessions = || points.iter().map(|point| point.session.as_ref());
    let bots: Vec<_> = sessions().map(|session| session.shard.bot_id.cast_signed()).collect();
    let shards: Vec<_> = sessions().map(|session| session.shard.shard_id.cast_signed()).collect();
    let counts: Vec<_> = sessions().map(|session| session.shard_count.cast_signed()).collect();
    let ids: Vec<_> = sessions().map(|session| session.session_id.as_ref()).collect();
    let urls: Vec<_> = points.iter().map(|point| point.resume_url.as_ref()).collect();
    let sequences: Vec<_> = points.iter().map(|point| point.sequence.cast_signed()).collect();
    let intents: Vec<_> = sessions().map(|session| session.intents.bits().cast_signed()).collect();
    let generations: Vec<_> = sessions().map(|session| session.generation).collect();
    let partitions = i32::try_from(partitions).expect("there are at most 64 partitions");
    let params: [&(dyn ToSql + Sync); 9] =
        [&bots, &shards, &counts, &ids, &urls, &sequences, &intents, &generations, &partitions];
    client.execute(sql, &params).await.map(|_| ())
}
