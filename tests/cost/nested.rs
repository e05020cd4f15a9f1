//! What lies within itself without end is refused by everything that reads it, on a stack
//! of the usual size.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    config_template::{ConfigTemplate, Format},
    notation,
    package::{PackageAddress, upload::ObjectKey},
};
use edas::wire::params::Params;
use serde_json::Value;

use crate::{
    entry::{encoded, params},
    measure::alone,
    parameter::PARAMETERS,
};

const DEEP: usize = 100_000;

/// Stack of a worker of the server.
const STACK: usize = 2 << 20;

/// Texts that lie within each other.
fn texts() -> Vec<(&'static str, String)> {
    vec![
        ("lists of JSON", "[".repeat(DEEP)),
        ("closed lists of JSON", "[".repeat(DEEP) + &"]".repeat(DEEP)),
        ("objects of JSON", r#"{"a":"#.repeat(DEEP)),
        ("closed objects of JSON", r#"{"a":"#.repeat(DEEP) + "1" + &"}".repeat(DEEP)),
        ("lists and objects of JSON", r#"[{"a":"#.repeat(DEEP)),
        ("flows of YAML", "[a, ".repeat(DEEP)),
        ("flows of maps of YAML", "{a: ".repeat(DEEP)),
        ("blocks of YAML", "- ".repeat(DEEP) + "a"),
        ("maps of YAML", "? ".repeat(DEEP) + "a"),
        (
            "blocks of YAML under each other",
            (0..400).map(|at| format!("{}a:\n", " ".repeat(at))).collect(),
        ),
        ("elements of XML", "<a>".repeat(DEEP)),
        ("closed elements of XML", "<a>".repeat(DEEP) + &"</a>".repeat(DEEP)),
    ]
}

/// Whether it is one text for a reader of YAML.
fn is_a_text(what: &str) -> bool {
    what.ends_with("XML")
}

/// Does `work` on a stack of its own; an overflow ends the whole program.
fn on_a_usual_stack(work: fn()) {
    alone(|| std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap());
}

#[test]
fn no_nesting_gets_through_a_reader_of_a_notation() {
    on_a_usual_stack(|| {
        for (what, text) in texts() {
            assert!(notation::json::<Value>(&text).is_err(), "JSON: {what}");
            assert!(notation::secret_json::<Value>(&text).is_err(), "secret JSON: {what}");
            assert!(is_a_text(what) || notation::yaml::<Value>(&text).is_err(), "YAML: {what}");
            assert!(
                is_a_text(what) || notation::yaml_documents::<Value>(&text).is_err(),
                "documents of YAML: {what}"
            );
            assert!(notation::xml_fault(&text).is_some(), "XML: {what}");
        }
    });
}

#[test]
fn no_nesting_gets_through_a_reader_of_a_parameter() {
    on_a_usual_stack(|| {
        for (what, text) in texts() {
            // As YAML, each of these is a text.
            let is_text_of = |name: &str| name == "ResourceContent" && is_a_text(what);
            let plain = encoded(&[("", &text)]);
            for (name, read) in PARAMETERS {
                let params = Params::parse(&format!("{name}{plain}")).unwrap();
                assert!(is_text_of(name) || read(&params).is_err(), "{name}: {what}");
            }
            let inner = STANDARD.encode(&text);
            for (name, value) in [
                ("Sidecars", format!(r#"[{{"yamlEncoded":"{inner}"}}]"#)),
                ("SecurityContext", inner),
            ] {
                let (_, read) = PARAMETERS.iter().find(|(known, _)| *known == name).unwrap();
                assert!(read(&params(&[(name, &value)])).is_err(), "{name}: {what}, in base64");
            }
        }
    });
}

#[test]
fn no_nesting_gets_into_a_config_template() {
    on_a_usual_stack(|| {
        for (what, text) in texts() {
            for format in [Format::Json, Format::Yaml, Format::Xml] {
                // No longer than a content may be, so that its format is looked at.
                let content = text.chars().take(60_000).collect();
                let template = ConfigTemplate {
                    name: "shop".into(),
                    description: String::new(),
                    format,
                    content,
                };
                let is_refused = template.check().is_err();
                assert!(
                    is_refused || (format == Format::Yaml && is_a_text(what)),
                    "{format:?}: {what}"
                );
            }
        }
    });
}

#[test]
fn no_name_leads_deep() {
    on_a_usual_stack(|| {
        for part in [".a", ".1"] {
            let name = format!("Data{}", part.repeat(DEEP));
            assert!(Params::parse(&format!("{name}=v")).is_err());
            let shorter = format!("Data{}", part.repeat(100));
            assert!(Params::parse(&format!("{shorter}=v")).is_err());
        }
    });
}

#[test]
fn no_path_leads_deep() {
    on_a_usual_stack(|| {
        let path = "a/".repeat(DEEP);
        assert!(format!("https://example.com/{path}").parse::<PackageAddress>().is_err());
        assert!(
            ObjectKey::read(&format!(
                "sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/{path}a"
            ))
            .is_err()
        );
    });
}
