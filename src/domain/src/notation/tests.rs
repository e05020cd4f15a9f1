//! What is past a limit is refused, and what real clients send is not.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::limits::DOCUMENTS;

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn json_at_its_limits_is_read_and_past_them_refused() {
    assert!(json::<Value>(&nested("[", "]", DEPTH)).is_ok());
    assert!(
        json::<Value>(&nested("[", "]", DEPTH + 1)).unwrap_err().contains("more than 32 levels")
    );
    let list = |items: usize| format!("[{}]", vec!["0"; items].join(","));
    assert!(json::<Value>(&list(ITEMS)).is_ok());
    assert!(json::<Value>(&list(ITEMS + 1)).unwrap_err().contains("more than 1000 items"));
    let lists = |count: usize| format!("[{}]", vec![list(998); count].join(","));
    assert!(json::<Value>(&lists(20)).is_ok());
    assert!(json::<Value>(&lists(21)).unwrap_err().contains("more than 20000 values and names"));
    assert_eq!(
        hold_json(&list(NODES - 1), Breadth::Whole),
        Ok(()),
        "what is only kept may be as broad as it is large"
    );
}

#[rstest]
#[case("[")]
#[case("{\"a\":")]
#[case("[[],")]
fn nesting_of_a_hundred_thousand_levels_does_not_overflow(#[case] open: &str) {
    let text = open.repeat(100_000);
    assert!(json::<Value>(&text).is_err());
    assert!(secret_json::<Value>(&text).is_err());
    assert!(yaml::<Value>(&text).is_err());
    assert!(yaml_documents::<serde::de::IgnoredAny>(&text).is_err());
    assert!(xml_fault(&"<a>".repeat(100_000)).unwrap().contains("more than 32 levels"));
}

#[test]
fn brackets_within_texts_are_no_levels() {
    let text = format!("[\"{}\", \"\\\"{}\", \"\\\\\"]", "[".repeat(1000), "{,:".repeat(9000));
    assert_eq!(json::<Vec<String>>(&text).unwrap().len(), 3);
}

#[test]
fn a_nul_is_found_where_it_is_escaped_and_only_there() {
    assert!(escapes_nul(r#"["a\u0000"]"#) && escapes_nul(r#"["\\\u0000"]"#));
    assert!(!escapes_nul(r#"["\\u0000"]"#) && !escapes_nul(r#"["u0000\\"]"#) && !escapes_nul("\\"));
    assert!(
        has_nul(&json!({ "a": ["\0"] }))
            && has_nul(&json!({ "\0": 1 }))
            && !has_nul(&json!({ "a": ["b", 1, null] }))
    );
}

#[rstest]
#[case(nested("[", "]", DEPTH + 1))]
#[case("- ".repeat(DEPTH + 1))]
#[case((0..=DEPTH).map(|level| format!("{}a:\n", " ".repeat(level))).collect())]
#[case("- a\n".repeat(NODES + 1))]
#[case((0..=ALIASES).map(|number| format!("- &a{number} b\n")).collect())]
#[case(format!("- &a b\n{}", "- *a\n".repeat(ALIASES + 1)))]
// Nine lists of nine of the one before: a thousand million values, if they were made.
#[case((1..9).fold("a0: &a0 [x]\n".to_owned(), |text, level| format!("{text}a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(","))))]
#[case("---\na\n".repeat(DOCUMENTS + 1))]
fn yaml_past_its_limits_is_refused(#[case] text: String) {
    let said = yaml_documents::<Value>(&text).unwrap_err();
    assert!(said.contains("at most 32 levels, 20000 values and names and 100 aliases"), "{said}");
}

#[test]
fn yaml_within_its_limits_is_read_with_its_aliases() {
    assert_eq!(
        yaml::<Value>("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n").unwrap(),
        json!({ "a": { "b": 1 }, "c": { "b": 1 }, "d": { "b": 1, "e": 2 } })
    );
    assert!(yaml::<Value>(&nested("[", "]", DEPTH)).is_ok());
    assert!(yaml::<Value>(&"- a\n".repeat(NODES - 1)).is_ok());
}

#[test]
fn xml_at_its_limits_is_well_formed_and_past_them_refused() {
    assert_eq!(xml_fault(&nested("<a>", "</a>", DEPTH)), None);
    assert!(xml_fault(&nested("<a>", "</a>", DEPTH + 1)).unwrap().contains("32 levels"));
    assert!(
        xml_fault(&format!("<a>{}</a>", "<b/>".repeat(NODES))).unwrap().contains("20000 parts")
    );
}

#[test]
fn a_fault_of_a_secret_text_has_its_place_and_nothing_of_it() {
    let said = [
        secret_json::<Vec<u8>>(r#"[1,"geheim"]"#).unwrap_err(),
        secret_json::<Vec<u8>>(r#"[1,"geheim, expected nothing"]"#).unwrap_err(),
        secret_json::<Vec<u8>>("[1,geheim").unwrap_err(),
        shaped::<Vec<u8>>(&json!([1, "geheim"])).unwrap_err(),
        yaml::<Value>("a: *geheim").unwrap_err(),
        yaml::<Vec<u8>>("[geheim]").unwrap_err(),
        xml_fault("<geheim>").unwrap(),
    ];
    assert!(said.iter().all(|text| !text.contains("geheim")), "{said:#?}");
    assert_eq!(
        (said[0].as_str(), said[3].as_str()),
        ("at [1]: expected u8", "at [1]: expected u8")
    );
    assert!(
        said[2].contains("line 1, column 4") && said[4].contains("line 1, column 4"),
        "{said:#?}"
    );
    assert!(json::<Vec<u8>>(r#"[1,"shown"]"#).unwrap_err().contains("shown"));
}

#[test]
fn a_fault_is_short_however_long_the_text_is() {
    let long = "x".repeat(100_000);
    for said in [
        json::<Vec<u8>>(&format!("[\"{long}\"]")).unwrap_err(),
        json::<std::collections::BTreeMap<String, u8>>(&format!("{{\"{long}\":\"\"}}"))
            .unwrap_err(),
    ] {
        assert!(said.len() < 1000 && said.contains("expected u8"), "{said}");
    }
}

/// What kubectl makes of plain scalars: `tests/it/kubectl.rs` compares with kubectl itself.
#[rstest]
#[case("0400", json!(256))]
#[case("0o17", json!(15))]
#[case("0x1F", json!(31))]
#[case("0b101", json!(5))]
#[case("-0b11", json!(-3))]
#[case("08", json!(8))]
#[case("1_000", json!(1000))]
#[case("1e3", json!(1000))]
#[case("1.5", json!(1.5))]
#[case(".5", json!(0.5))]
#[case("+5", json!(5))]
#[case("190:20:30", json!("190:20:30"))]
#[case("2001-01-01", json!("2001-01-01"))]
#[case("yes", json!(true))]
#[case("Off", json!(false))]
#[case("y", json!(true))]
#[case("yEs", json!("yEs"))]
#[case("~", json!(null))]
#[case("'yes'", json!("yes"))]
#[case("\"0400\"", json!("0400"))]
#[case("!!str 0400", json!("0400"))]
#[case("!!int \"7\"", json!(7))]
#[case("1e400", json!("1e400"))]
#[case("1.2.3", json!("1.2.3"))]
#[case("-", json!([null]))]
#[case("0.0.0.0", json!("0.0.0.0"))]
fn scalars_are_what_they_are_to_kubectl(#[case] text: &str, #[case] expected: Value) {
    let read: Value = if text == "-" {
        yaml(text).unwrap()
    } else {
        yaml::<Value>(&format!("a: {text}\n")).unwrap()["a"].clone()
    };
    assert_eq!(read, expected);
}

#[test]
fn maps_merge_as_they_do_for_kubectl() {
    let read = |text: &str| yaml::<Value>(text).unwrap();
    assert_eq!(
        read("x: &x {a: 1, b: 1}\nm: {b: 2, <<: *x, c: 3}\n")["m"],
        json!({ "a": 1, "b": 1, "c": 3 }),
        "over what is before it"
    );
    assert_eq!(
        read("x: &x {a: 1}\nz: &z {a: 2, d: 2}\nm: {<<: [*x, *z]}\n")["m"],
        json!({ "a": 1, "d": 2 }),
        "the first counts"
    );
    assert_eq!(read("'<<': 1\n1: a\ntrue: b\n"), json!({ "<<": 1, "1": "a", "true": "b" }));
    for wrong in [
        "a: 1\na: 2\n",
        "{[a]: 1}",
        "~: 1",
        "<<: 1",
        "a: .inf",
        "a: !!int x",
        "---\na: 1\n---\nb: 1\n",
    ] {
        assert!(yaml::<Value>(wrong).is_err(), "{wrong}");
    }
    assert_eq!(read("# nothing\n---\na: 1\n---\n# nothing\n"), json!({ "a": 1 }));
}
