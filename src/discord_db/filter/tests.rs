use super::*;

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn matches(filter: &Filter, values: &[&str]) -> bool {
    filter.matches(&Row { fields: &texts(&["id", "name"]), values: &texts(values) })
}

#[test]
fn comparisons_are_by_worth_with_a_number_and_by_code_point_with_a_text() {
    for (filter, value, expected) in [
        (Filter::eq("id", "1"), "1", true),
        (Filter::eq("id", "1"), "1.0", false),
        (Filter::ne("id", "1"), "1.0", true),
        (Filter::lt("id", "10"), "9", true),
        (Filter::lt("id", "10"), "abc", false),
        (Filter::gt("id", "10"), "abc", false),
        (Filter::le("id", "10"), "10.0", true),
        (Filter::ge("id", "-1.5"), "-1.50", true),
        (Filter::gt("id", "a"), "b", true),
        (Filter::gt("id", "a"), "Z", false),
        (Filter::gt("id", "2024-05-01"), "2024-11-01", true),
        (Filter::lt("id", "a"), "5", true),
        (Filter::prefix("id", "ab"), "abc", true),
        (Filter::prefix("id", "abc"), "ab", false),
        (Filter::is_in("id", ["a", "b"]), "b", true),
        (Filter::is_in("id", ["a", "b"]), "c", false),
        (Filter::is_in("id", [""; 0]), "", false),
    ] {
        assert_eq!(matches(&filter, &[value, "n"]), expected, "{filter:?} of {value}");
    }
}

#[test]
fn filters_combine() {
    let one = Filter::eq("id", "1");
    let ann = Filter::eq("name", "ann");
    assert!(matches(&one.clone().and(ann.clone()), &["1", "ann"]));
    assert!(!matches(&one.clone().and(ann.clone()), &["1", "bob"]));
    assert!(matches(&one.clone().or(ann.clone()), &["1", "bob"]));
    assert!(!matches(&one.clone().or(ann), &["2", "bob"]));
    assert!(matches(&one.negated(), &["2", "bob"]));
    assert!(matches(&Filter::default(), &[]));
    assert!(!matches(&Filter::Or(Vec::new()), &["1"]));
}

#[test]
fn a_value_that_is_missing_compares_to_nothing() {
    for filter in [
        Filter::eq("name", ""),
        Filter::lt("name", "z"),
        Filter::ge("name", "0"),
        Filter::prefix("name", ""),
        Filter::is_in("name", [""]),
    ] {
        assert!(!matches(&filter, &["1"]), "{filter:?}");
        assert!(matches(&filter.negated(), &["1"]));
    }
    assert!(matches(&Filter::ne("name", ""), &["1"]));
}

#[test]
fn a_field_that_the_table_has_not_is_named() {
    let fields = texts(&["id", "name"]);
    let filter = Filter::eq("id", "1").and(Filter::gt("age", "3").negated());
    let error = filter.check("people", &fields).expect_err("no such field");
    assert_eq!(
        error.to_string(),
        "table people has no field \"age\": use one of its fields id, name"
    );
    filter.check("people", &texts(&["age", "id"])).expect("known");
    let order = Order { field: Some("x".into()), descending: false };
    assert!(order.check("people", &fields).is_err());
}

#[test]
fn numbers_come_before_texts_and_missing_values_last() {
    let fields = texts(&["v"]);
    let records: Vec<(u64, Vec<String>)> =
        [&["b"][..], &["10"], &[], &["9"], &["B"], &["9.0"], &["9"]]
            .iter()
            .zip(1..)
            .map(|(values, id)| (id, texts(values)))
            .collect();
    let sorted = |field: Option<&str>, descending| {
        let order = Order { field: field.map(Into::into), descending };
        let mut rows: Vec<_> =
            records.iter().map(|(id, values)| (*id, Row { fields: &fields, values })).collect();
        rows.sort_by(|(left, a), (right, b)| order.compare((*left, a), (*right, b)));
        rows.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(sorted(Some("v"), false), [4, 7, 6, 2, 5, 1, 3]);
    assert_eq!(sorted(Some("v"), true), [1, 5, 2, 6, 4, 7, 3]);
    assert_eq!(sorted(None, true), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(sorted(Some("w"), false), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn nothing_of_a_filter_is_spliced_into_sql() {
    let fields = texts(&["id", "it's"]);
    let hostile = "'; drop table x; --";
    let filter = Filter::eq("it's", hostile)
        .and(Filter::lt("id", "5").negated())
        .or(Filter::is_in("id", [hostile]))
        .or(Filter::prefix("nothing", hostile));
    let mut params = vec![SqlParam::Text("first".into())];
    let sql = filter.to_sql("r.v", &fields, &mut params);
    assert_eq!(
        sql,
        "((((((r.v)[2] collate \"C\") is not distinct from $2::text) and \
         not coalesce(discorddb.number(((r.v)[1] collate \"C\")) < $3::text::numeric, false)) or \
         coalesce(((r.v)[1] collate \"C\") = any ($4::text[]), false)) or \
         coalesce(starts_with((null::text collate \"C\"), $5::text), false))"
    );
    assert_eq!(params.len(), 5);
    assert_eq!(params[1], SqlParam::Text(hostile.into()));
    assert_eq!(params[3], SqlParam::Texts(vec![hostile.into()]));
}
