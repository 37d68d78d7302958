//! The wire format in SQL is the one in Rust.

use dsqlstate::discord_db::codec;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::support::database;

const TEXTS: usize = 20_000;

/// Pieces that matter to the format, put together in every way, and records as we encode them.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "\\",
        "\\\\",
        ":",
        "\\:",
        "\\n",
        "\\r",
        "\\0",
        "\\e",
        "\\s",
        "\\x",
        "\\-",
        "\\u",
        "\\u{",
        "\\u{0}",
        "\\u{1}",
        "\\u{41}",
        "\\u{00e9}",
        "\\u{D800}",
        "\\u{DFFF}",
        "\\u{E000}",
        "\\u{10FFFF}",
        "\\u{110000}",
        "\\u{FFFFFF}",
        "\\u{0000041}",
        "\\u{g}",
        "\\u{}",
        "}",
        "{",
        "\n",
        "\r\n",
        "\r",
        "0",
        "0\n",
        "name:",
        "\nname:",
        "a",
        "é",
        "😀",
        " ",
        "\u{1}",
        "\u{2}",
        "\u{3}",
        "\u{4}",
        "e",
        "%",
        "_",
        "'",
        "\"",
        "\u{2028}",
    ]);
    prop_oneof![
        4 => vec(piece, 0..10).prop_map(|pieces| pieces.concat()),
        2 => vec(vec(any::<char>(), 0..6).prop_map(String::from_iter), 0..5)
            .prop_map(|values| codec::encode_record(&values).unwrap()),
        1 => vec(any::<char>(), 0..20).prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect()),
    ]
}

fn texts() -> Vec<String> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..TEXTS).map(|_| text().new_tree(&mut runner).unwrap().current()).collect()
}

fn in_sql(values: &[String]) -> Vec<String> {
    values.iter().map(|value| codec::to_sql(value)).collect()
}

#[actix::test]
async fn postgresql_decodes_every_text_as_the_codec_does() {
    let client = database::connect(&database::migrated().await).await;
    let texts = texts();
    let sql = "select discorddb.decode_record(t), discorddb.is_definition(t), d.fields, d.name \
                 from unnest($1::text[]) with ordinality u (t, place), discorddb.decode_definition(t) d \
                order by place";
    let rows = client.query(sql, &[&texts]).await.unwrap();
    assert_eq!(rows.len(), TEXTS);
    let mut definitions = 0;
    for (text, row) in texts.iter().zip(rows) {
        let values: Vec<String> = row.get(0);
        assert_eq!(values, in_sql(&codec::decode_record(text)), "{text:?}");
        let definition = codec::decode_definition(text);
        assert_eq!(row.get::<_, bool>(1), definition.is_some(), "{text:?}");
        let fields: Option<Vec<String>> = row.get(2);
        let name: Option<String> = row.get(3);
        assert_eq!(fields, definition.as_ref().map(|found| in_sql(&found.fields)), "{text:?}");
        let expected = definition.as_ref().and_then(|found| found.name.as_deref());
        assert_eq!(name, expected.map(codec::to_sql), "{text:?}");
        definitions += usize::from(definition.is_some());
    }
    assert!(definitions > 100, "only {definitions} definitions, which proves little");
}
