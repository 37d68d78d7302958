use proptest::{collection::vec, prelude::*};

use super::*;

/// What the specification's text says of a message, and nothing else.
fn read_as_specified(message: &str) -> Vec<String> {
    let first_line = message.split('\n').next().expect("a text has a first line");
    first_line.split(':').map(str::to_owned).collect()
}

fn read_fields_as_specified(pinned: &str) -> Vec<String> {
    let (pin_type, data) = pinned.split_once('\n').expect("a definition has two lines");
    assert_eq!(pin_type, "0");
    read_as_specified(data)
}

/// What Discord is seen to do to a text, and worse.
fn as_discord_keeps_it(text: &str) -> String {
    let is_mark = |c: &char| ('\u{300}'..='\u{36F}').contains(c);
    let has_too_many_marks = text.chars().filter(is_mark).count() > 150;
    let is_kept = |c: &char| match c {
        '\n' => true,
        '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => false,
        '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}' | '\u{2028}' | '\u{2029}' => false,
        c => !(c.is_control() || has_too_many_marks && is_mark(c)),
    };
    let kept: String = text.replace("\r\n", "\n").chars().filter(is_kept).collect();
    let blank = |c: char| c.is_whitespace() || ('\u{200B}'..='\u{200D}').contains(&c);
    kept.trim_matches(blank).to_owned()
}

fn character() -> impl Strategy<Value = char> {
    prop_oneof![
        3 => prop::sample::select(vec![
            ':', '\\', '\n', '\r', '\0', ' ', '\t', 'e', 's', 'n', 'r', '0', 'u', '{', '}', '-', '@', '*', '<', '>',
            '\u{A0}', '\u{3000}', '\u{200B}', '\u{200D}', '\u{202E}', '\u{2028}', '\u{FEFF}', '\u{FFFF}',
            '\u{301}', '\u{1}', '\u{7F}', '\u{85}', '\u{1F468}', '\u{FE0F}',
        ]),
        2 => prop::char::range(' ', '~'),
        1 => any::<char>(),
    ]
}

fn value() -> impl Strategy<Value = String> {
    vec(character(), 0..12).prop_map(String::from_iter)
}

/// Nothing that the format or Discord touches. Blanks and empty values may be anywhere but at the ends.
fn plain_values() -> impl Strategy<Value = Vec<String>> {
    let alphabet = "aZ09äßж漢字😀👨‍👩‍👧🏴󠁧󠁢󠁥󠁮󠁧󠁿e\u{301} ,;-_*`~|#@everyone<#1>/.'\"(){}[]";
    let value = vec(prop::sample::select(alphabet.chars().collect::<Vec<_>>()), 0..20)
        .prop_map(String::from_iter);
    vec(value, 1..6).prop_map(|mut values: Vec<String>| {
        values[0].insert(0, '1');
        values.last_mut().expect("at least one").push('.');
        values
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_record_survives_encoding_discord_and_decoding(values in vec(value(), 0..6)) {
        let text = encode_record(&values).expect("short");
        let kept = as_discord_keeps_it(&text);
        prop_assert!(!kept.is_empty());
        prop_assert_eq!(&kept, &text, "Discord changes nothing");
        prop_assert_eq!(decode_record(&kept), values);
    }

    #[test]
    fn every_definition_survives_too(fields in vec(value(), 1..6), name in prop::option::of(value())) {
        let text = encode_definition(&fields, name.as_deref()).expect("short");
        let kept = as_discord_keeps_it(&text);
        prop_assert_eq!(&kept, &text, "Discord changes nothing");
        prop_assert_eq!(decode_definition(&kept), Some(Definition { fields, name }));
    }

    #[test]
    fn plain_values_are_written_and_read_as_specified(values in plain_values()) {
        let specified = values.join(":");
        let text = encode_record(&values).expect("short");
        prop_assert_eq!(&text, &specified);
        prop_assert_eq!(&read_as_specified(&text), &values);
        let definition = encode_definition(&values, Some("a name:\\")).expect("short");
        prop_assert_eq!(read_fields_as_specified(&definition), values);
    }

    #[test]
    fn decoding_takes_any_text(text in value()) {
        let values = decode_record(&text);
        let again = decode_record(&encode_record(&values).expect("short"));
        prop_assert_eq!(again, values);
        let _ = decode_definition(&text);
    }

    #[test]
    fn a_text_without_backslashes_is_split_at_its_colons(text in "[^\\\\]{0,20}") {
        let expected: Vec<_> = text.split(':').map(str::to_owned).collect();
        prop_assert_eq!(decode_record(&text), expected);
    }
}

fn encoded(values: &[&str]) -> String {
    encode_record(values).expect("short")
}

#[test]
fn escapes_are_written_where_they_are_needed_and_nowhere_else() {
    for (values, text) in [
        (&["1", "two", "3.0"][..], "1:two:3.0"),
        (&["a b", " c "], "a b: c\\s"),
        (&["", "b", ""], ":b:"),
        (&["", ""], ":"),
        (&[""], r"\e"),
        (&[], r"\-"),
        (&[r"\-"], r"\\-"),
        (&[" "], r"\s"),
        (&["  "], r"\s\s"),
        (&["\u{3000}x\u{A0}"], r"\u{3000}x\u{A0}"),
        (&["a:b", "c\\d"], r"a\:b:c\\d"),
        (&["1\n2\r3\t\0"], r"1\n2\r3\u{9}\0"),
        (&["<@1> **b** https://x.y"], r"<@1> **b** https\://x.y"),
        (&["@\u{202E}everyone"], r"@\u{202E}everyone"),
        (&["👨\u{200D}👩"], "👨\u{200D}👩"),
    ] {
        assert_eq!(encoded(values), text);
        assert_eq!(decode_record(text), values);
    }
}

#[test]
fn hundreds_of_combining_marks_are_escaped_after_the_first_hundred() {
    let zalgo = "e\u{301}".repeat(200);
    let text = encoded(&[&zalgo]);
    assert_eq!(text.matches('\u{301}').count(), 100);
    assert_eq!(text.matches(r"\u{301}").count(), 100);
    assert_eq!(decode_record(&as_discord_keeps_it(&text)), [zalgo]);
}

#[test]
fn what_others_wrote_with_backslashes_is_kept() {
    for (text, values) in [
        (r"C:\Users:\x", &["C", r"\Users", r"\x"][..]),
        (r"a\", &[r"a\"]),
        (r"\u:\u{}:\u{1", &[r"\u", r"\u{}", r"\u{1"]),
        (r"\u{D800}\u{110000}\u{0000041}\u{g}", &[r"\u{D800}\u{110000}\u{0000041}\u{g}"]),
        (r"\u{41}\u{00e9}", &["A\u{e9}"]),
        (r"\-x:\e", &[r"\-x", ""]),
        ("a\nb:c", &["a\nb", "c"]),
        ("", &[""]),
    ] {
        assert_eq!(decode_record(text), values, "{text}");
    }
}

#[test]
fn a_definition_is_two_lines_and_may_have_more() {
    let fields = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
    let plain = |names: &[&str]| Some(Definition { fields: fields(names), name: None });
    assert_eq!(encode_definition(&["id", "name"], None).expect("short"), "0\nid:name");
    assert_eq!(
        encode_definition(&["id"], Some("Order: items")).expect("short"),
        "0\nid\nname:Order\\: items"
    );
    assert_eq!(decode_definition("0\nid:name"), plain(&["id", "name"]));
    assert_eq!(decode_definition("0\r\nid\r\n"), plain(&["id"]));
    assert_eq!(decode_definition("0\nid\nlater: 1"), plain(&["id"]));
    let named = decode_definition("0\nid\nlater: 1\nname:x:y\\n").expect("a definition");
    assert_eq!(named.name.as_deref(), Some("x:y\n"));
    for text in ["", "0", "1\nid", "0 \nid", "id:name", "00\nid"] {
        assert_eq!(decode_definition(text), None, "{text:?}");
    }
}

#[test]
fn what_counts_as_a_record_is_what_somebody_wrote_except_the_pinned_definition() {
    assert!(is_record(0, false, "a:b"));
    assert!(is_record(19, true, "a:b"));
    assert!(is_record(0, false, "0\na"), "not pinned, so a record of somebody's");
    assert!(!is_record(0, true, "0\na"));
    assert!(!is_record(6, false, ""), "the notice that something was pinned");
}

#[test]
fn the_limit_counts_characters_of_the_written_text() {
    let longest = "😀".repeat(MAX_CHARACTERS);
    assert_eq!(encoded(&[&longest]), longest);
    let error = encode_record(&[longest.as_str(), ""]).expect_err("one too many");
    assert!(
        matches!(error, DiscordDbError::DataTooLong { characters: 2001, maximum: 2000 }),
        "{error}"
    );
    assert!(encode_record(&[":".repeat(1001)]).is_err(), "escapes count");
    let field = "f".repeat(1998);
    assert!(encode_definition(&[&field], None).is_ok());
    let error = encode_definition(&[&field, ""], None).expect_err("one too many");
    assert!(
        matches!(error, DiscordDbError::FieldNamesTooLong { characters: 2001, maximum: 2000 }),
        "{error}"
    );
    assert!(encode_definition(&[&field], Some("n")).is_err(), "the name counts");
}
