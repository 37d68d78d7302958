//! Rows on their way to PostgreSQL: what is encoded already is put in a frame, and never decoded.
//!
//! **Invariant:** a row goes as it is.
//!
//! Formats: <https://www.postgresql.org/docs/current/sql-copy.html> ("Binary Format"), `array_recv` and
//! `record_recv`.

use std::error::Error as StdError;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{
    Error, Transaction,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use crate::table::{Row, Table, Type as ColumnType, encode, row::staged, sql};

/// Bytes of a `COPY` handed to the connection at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// Begin of a binary `COPY`: signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of a binary `COPY`.
const TRAILER: [u8; 2] = (-1i16).to_be_bytes();
/// The bits of a row's mask that stand for columns.
const MASK_BITS: u64 = sql::LATE - 1;
/// `pg_type.oid` of `smallint`.
const SMALLINT: u32 = 21;
/// What a told row has besides its table's columns.
const TOLD_BESIDES: usize = 8;
/// Most bytes of rows that are told at once: a guild of a million members comes as one event, and what is told
/// is in memory three times while it is sent.
const MAX_TOLD_BYTES: usize = 512 << 10;

/// Copies rows into the table itself.
pub(super) async fn into_table(
    transaction: &Transaction<'_>,
    table: &Table,
    rows: &[&(usize, Row)],
) -> Result<(), Error> {
    let sink = transaction.copy_in::<_, Bytes>(&sql::copy_into_table(table)).await?;
    futures_util::pin_mut!(sink);
    let keeps_hash = table.keeps_told_hash();
    let columns = staged(table).count() + usize::from(keeps_hash);
    let columns = i16::try_from(columns).expect("a table has fewer than 62 columns");
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES * 2);
    chunk.extend_from_slice(HEADER);
    for (_, row) in rows {
        chunk.put_i16(columns);
        chunk.extend_from_slice(row.fields());
        if keeps_hash {
            put_hash(&mut chunk, Some(row.told_hash(table)));
        }
        if chunk.len() >= CHUNK_BYTES {
            sink.feed(chunk.split().freeze()).await?;
        }
    }
    chunk.extend_from_slice(&TRAILER);
    sink.feed(chunk.freeze()).await?;
    sink.finish().await?;
    Ok(())
}

fn put_hash(out: &mut impl BufMut, hash: Option<i64>) {
    match hash {
        Some(hash) => {
            out.put_i32(8);
            out.put_i64(hash);
        }
        None => out.put_i32(-1),
    }
}

/// Parts of `rows`, in their order, each of which may be told at once.
pub(super) fn parts<'p, 'r>(
    mut rows: &'p [&'r (usize, Row)],
) -> impl Iterator<Item = &'p [&'r (usize, Row)]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rows.iter().take_while(|(_, row)| {
            bytes += row.bytes();
            bytes <= MAX_TOLD_BYTES
        });
        let part;
        (part, rows) = rows.split_at(fits.count().max(1).min(rows.len()));
        (!part.is_empty()).then_some(part)
    })
}

/// Told rows of one table as the parameter of a statement: an array of [`sql::told_type`].
#[derive(Debug)]
pub(super) struct ToldRows(Vec<u8>);

impl ToldRows {
    /// Encodes rows, each with its round. `element` is the type's number.
    pub(super) fn encode<'r>(
        table: &Table,
        element: u32,
        rows: impl ExactSizeIterator<Item = &'r (usize, Row)>,
        late: bool,
        found_is_news: impl Fn(&Row) -> bool,
    ) -> Self {
        // What comes late need not be what the row holds then.
        let keeps_hash = table.keeps_told_hash() && !late;
        let late = if late { sql::LATE } else { 0 };
        let types: Vec<u32> = staged(table).map(|column| table.columns[column].ty.oid()).collect();
        let columns = length(types.len() + TOLD_BESIDES);
        let mut out = Vec::new();
        // One dimension, no nulls, from 1 on.
        for header in [1, 0, element.cast_signed(), length(rows.len()), 1] {
            out.put_i32(header);
        }
        for (round, row) in rows {
            let start = out.len();
            out.put_i32(0);
            out.put_i32(columns);
            for (field, ty) in row.each_field().zip(&types) {
                out.put_u32(*ty);
                out.put_slice(field);
            }
            let mut put = |ty: u32, payload: &[u8]| {
                out.put_u32(ty);
                out.put_i32(length(payload.len()));
                out.put_slice(payload);
            };
            let round =
                i16::try_from(*round).expect("a batch is flushed before it has so many rounds");
            put(ColumnType::BigInt.oid(), &(row.mask & MASK_BITS | late).to_be_bytes());
            put(ColumnType::Bool.oid(), &[u8::from(row.inserts)]);
            put(ColumnType::Bool.oid(), &[u8::from(found_is_news(row))]);
            put(SMALLINT, &round.to_be_bytes());
            put(ColumnType::BigInt.oid(), &row.origin.bot_id.to_be_bytes());
            put(ColumnType::Timestamp.oid(), &encode::timestamp(row.origin.at_us));
            put(SMALLINT, &row.origin.source.code().to_be_bytes());
            out.put_u32(ColumnType::BigInt.oid());
            put_hash(&mut out, keeps_hash.then(|| row.told_hash(table)));
            let size = length(out.len() - start - 4);
            out[start..start + 4].copy_from_slice(&size.to_be_bytes());
        }
        Self(out)
    }
}

impl ToSql for ToldRows {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("a batch is flushed long before it holds 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{RowBuilder, messages::MESSAGES};

    fn message(id: i64, bytes: usize) -> (usize, Row) {
        let mut row = RowBuilder::default();
        row.begin(&MESSAGES, 1);
        row.bigint(0, 1);
        row.bigint(1, id);
        row.text(crate::table::messages::CONTENT, &"x".repeat(bytes));
        (0, row.finish(&MESSAGES).expect("the key is set"))
    }

    #[test]
    fn rows_are_told_in_parts_of_some_mebibytes_and_each_once() {
        let sizes = [1, 2 * MAX_TOLD_BYTES, MAX_TOLD_BYTES / 2, MAX_TOLD_BYTES / 4, MAX_TOLD_BYTES];
        let rows: Vec<_> = (0..).zip(sizes).map(|(id, bytes)| message(id, bytes)).collect();
        let rows: Vec<_> = rows.iter().collect();
        let ids = |part: &[&(usize, Row)]| part.iter().map(|(_, row)| row.key[1]).collect();
        let told: Vec<Vec<i64>> = parts(&rows).map(ids).collect();
        assert_eq!(told, [vec![0], vec![1], vec![2, 3], vec![4]]);
        assert_eq!(parts(&[]).count(), 0);
    }
}
