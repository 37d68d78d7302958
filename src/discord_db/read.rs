//! Reads of records, from the mirror where it answers, else over REST: the history of a channel, a hundred
//! messages a request, through the filter as pages arrive.
//!
//! **Invariant:** of the history only what the filter selects is kept, and no page is asked for once the limit
//! is reached.

use std::{cmp::Ordering, ops::Deref};

use super::{
    DiscordDbError, codec,
    discord::{Message, Page, Request},
    filter::{Order, Row, Selection},
    mirror::{MirrorRecord, Source},
    record::Record,
    table::Table,
};

/// Messages in a full page.
const PAGE: usize = 100;

/// Records, and where they were read.
#[derive(Clone, Debug)]
pub struct Records {
    /// The records.
    pub records: Vec<Record>,
    /// Where they come from.
    pub source: Source,
}

impl Deref for Records {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        &self.records
    }
}

impl IntoIterator for Records {
    type Item = Record;
    type IntoIter = std::vec::IntoIter<Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

/// The records of a table that are wanted.
pub(super) async fn select(
    table: &Table,
    selection: &Selection,
) -> Result<Records, DiscordDbError> {
    selection.filter.check(table.name(), table.fields())?;
    if let Some(order) = &selection.order {
        order.check(table.name(), table.fields())?;
    }
    if let Some(mirror) = table.database().db().mirror()
        && let Some(records) = mirror.records(table.columns(), selection).await?
    {
        let channel_id = table.channel().id;
        let record = |record: MirrorRecord| {
            Record::new(table.clone(), record.into_message(channel_id).into())
        };
        let records = records.into_iter().map(record).collect();
        return Ok(Records { records, source: Source::Mirror });
    }
    let limit =
        selection.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut scan = Scan::new(table.channel().id, selection);
    let mut records = Vec::new();
    while let Some(page) = scan.page().filter(|_| !scan.is_sorted || records.len() < limit) {
        let request = Request::Messages { channel_id: table.channel().id, page };
        let page = table.database().db().perform(request).await?.messages()?;
        let selected =
            scan.take(page).into_iter().map(|message| Record::new(table.clone(), message.into()));
        records.extend(selected.filter(|record| {
            selection.filter.matches(&Row { fields: table.fields(), values: record.values() })
        }));
    }
    if let (Some(order), false) = (&selection.order, scan.is_sorted) {
        records.sort_by(|left, right| compare(order, left, right));
    }
    records.truncate(limit);
    Ok(Records { records, source: Source::Rest })
}

fn compare(order: &Order, left: &Record, right: &Record) -> Ordering {
    let row = |record| {
        let record: &Record = record;
        Row { fields: record.table().fields(), values: record.values() }
    };
    order.compare((left.message().id, &row(left)), (right.message().id, &row(right)))
}

/// Goes through a channel page by page.
struct Scan {
    next: Option<Page>,
    descending: bool,
    /// Whether records come in the order that is wanted.
    is_sorted: bool,
}

impl Scan {
    fn new(channel_id: u64, selection: &Selection) -> Self {
        let order = selection.order.as_ref();
        let is_sorted = order.is_none_or(|order| order.field.is_none());
        let descending = is_sorted && order.is_some_and(|order| order.descending);
        // No message is older than its channel.
        let next = if descending { Page::Before(i64::MAX as u64) } else { Page::After(channel_id) };
        Self { next: Some(next), descending, is_sorted }
    }

    fn page(&self) -> Option<Page> {
        self.next
    }

    /// The records of a page, in the order of the scan.
    fn take(&mut self, mut page: Vec<Message>) -> Vec<Message> {
        page.sort_unstable_by_key(|message| message.id);
        if self.descending {
            page.reverse();
        }
        let last = page.last().filter(|_| page.len() >= PAGE).map(|message| message.id);
        self.next = last.map(|id| if self.descending { Page::Before(id) } else { Page::After(id) });
        page.retain(|message| codec::is_record(message.kind, message.pinned, &message.content));
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: impl Iterator<Item = u64>) -> Vec<Message> {
        ids.map(|id| Message { id, content: id.to_string(), ..Message::default() }).collect()
    }

    fn ids(messages: &[Message]) -> Vec<u64> {
        messages.iter().map(|message| message.id).collect()
    }

    fn selection(order: Option<Order>) -> Selection {
        Selection { order, ..Selection::default() }
    }

    #[test]
    fn a_scan_goes_up_from_the_channel_until_a_page_is_not_full() {
        let mut scan = Scan::new(5, &selection(None));
        assert_eq!(scan.page(), Some(Page::After(5)));
        assert_eq!(ids(&scan.take(page((10..110).rev())))[..2], [10, 11]);
        assert_eq!(scan.page(), Some(Page::After(109)));
        scan.take(page(110..209));
        assert_eq!(scan.page(), None);
    }

    #[test]
    fn the_newest_first_go_down() {
        let order = Order { field: None, descending: true };
        let mut scan = Scan::new(5, &selection(Some(order)));
        assert!(matches!(scan.page(), Some(Page::Before(_))));
        assert_eq!(ids(&scan.take(page(10..110)))[..2], [109, 108]);
        assert_eq!(scan.page(), Some(Page::Before(10)));
        let by_field = Order { field: Some("a".into()), descending: true };
        assert!(!Scan::new(5, &selection(Some(by_field))).is_sorted);
    }

    #[test]
    fn definitions_and_notices_are_no_records() {
        let mut scan = Scan::new(5, &selection(None));
        let mut messages = page(10..13);
        (messages[0].content, messages[0].pinned) = ("0\na:b".into(), true);
        messages[1].kind = 6;
        assert_eq!(ids(&scan.take(messages)), [12]);
    }
}
