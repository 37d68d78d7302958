//! Filters and orders select and sort in PostgreSQL as they do in Rust.

use dsqlstate::discord_db::{
    codec,
    filter::{Comparison, Filter, Order, Row, Selection},
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{GUILD, ORDERS, Shop};

const RECORDS: usize = 300;
const SELECTIONS: usize = 300;
const FIELDS: [&str; 3] = ["id", "item", "amount"];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "", "0", "-0", "0.0", "1", "01", "1.0", "10", "9", "-5", "-5.5", "2.50", "1e3", "a",
            "A", "ab", "é", "z", "Z", "\0", "\u{1}", "\u{2}", "a\0", "a\u{1}", "a:b", "\\", "%",
            "_", "'", "\u{FFFF}", "😀", " ",
        ])
        .prop_map(str::to_owned),
        "-?[0-9]{1,25}(\\.[0-9]{1,5})?",
        "[a-c\u{0}\u{1}]{0,3}",
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    use Comparison::{Eq, Ge, Gt, Le, Lt, Ne};
    let field = || prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned);
    let comparison = prop::sample::select(vec![Eq, Ne, Lt, Le, Gt, Ge]);
    let leaf = prop_oneof![
        4 => (field(), comparison, value()).prop_map(|(f, c, v)| Filter::compare(f, c, v)),
        1 => (field(), value()).prop_map(|(f, v)| Filter::prefix(f, v)),
        1 => (field(), vec(value(), 0..4)).prop_map(|(f, v)| Filter::is_in(f, v)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::And),
            vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(Filter::negated),
        ]
    })
}

fn order() -> impl Strategy<Value = Option<Order>> {
    let field = prop::option::of(prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned));
    prop::option::of(
        (field, any::<bool>()).prop_map(|(field, descending)| Order { field, descending }),
    )
}

/// What the selection returns when it is done in Rust.
fn selected(selection: &Selection, fields: &[String], records: &[(u64, Vec<String>)]) -> Vec<u64> {
    let rows = records.iter().map(|(id, values)| (*id, Row { fields, values }));
    let mut rows: Vec<_> = rows.filter(|(_, row)| selection.filter.matches(row)).collect();
    if let Some(order) = &selection.order {
        rows.sort_by(|(left_id, left), (right_id, right)| {
            order.compare((*left_id, left), (*right_id, right))
        });
    }
    let limit = selection.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    rows.into_iter().map(|(id, _)| id).take(limit).collect()
}

#[actix::test]
async fn postgresql_selects_and_sorts_as_rust_does() {
    let shop = Shop::new().await;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut records: Vec<(u64, Vec<String>)> = Vec::new();
    for id in (20_000..).take(RECORDS) {
        // Some have fewer values than there are fields, and some more.
        records.push((id, vec(value(), 1..5).new_tree(&mut runner).unwrap().current()));
    }
    let ids: Vec<_> = records.iter().map(|(id, _)| id.cast_signed()).collect();
    let texts: Vec<_> = records.iter().map(|(_, v)| codec::encode_record(v).unwrap()).collect();
    let sql = "insert into discord.messages (guild_id, channel_id, id, content, type, \"timestamp\", updated_at) \
               select $1, $2, id, content, 0, now(), now() from unnest($3::bigint[], $4::text[]) m (id, content)";
    let (guild, channel) = (GUILD.cast_signed(), ORDERS.cast_signed());
    shop.stream.client.execute(sql, &[&guild, &channel, &ids, &texts]).await.unwrap();

    let table = shop.find(ORDERS).await;
    let mut found = 0;
    for _ in 0..SELECTIONS {
        let limit = prop::option::of(0u64..20);
        let strategy = (filter(), order(), limit).prop_map(|(filter, order, limit)| Selection {
            filter,
            order,
            limit,
        });
        let selection = strategy.new_tree(&mut runner).unwrap().current();
        let read = shop.mirror.records(&table, &selection).await.unwrap();
        let read: Vec<_> = read.iter().map(|record| record.id).collect();
        assert_eq!(read, selected(&selection, &table.fields, &records), "{selection:?}");
        found += read.len();
    }
    assert!(found > 1_000, "only {found} records, which proves little");
    let read = shop.mirror.records(&table, &Selection::default()).await.unwrap();
    let read: Vec<_> = read.into_iter().map(|record| (record.id, record.values)).collect();
    assert_eq!(read, records, "every value is exactly what was written");
}
