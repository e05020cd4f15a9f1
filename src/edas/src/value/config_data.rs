//! `Data` of ConfigMaps and Secrets: entries with `Key` and `Value`, as JSON or as dotted
//! parameters. What they hold is in no error: ConfigMaps hold passwords too.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

use crate::wire::{error::ApiError, params::Params};
use domain::{notation, object::config_data::is_key, rejection::shortened, template::spec::Field};

const NAME: &str = "Data";
const ENTRIES: &str = r#"allowed is a list [{"Key":"…","Value":"…"}] of texts"#;
const KEYS: &str =
    "a Key must have 1 to 253 letters, digits, '-', '_' and '.', and must not begin with '..'";
const HIDDEN: &str = "(not shown)";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    key: String,
    #[serde(default)]
    value: String,
}

/// Reads what a ConfigMap is to hold.
///
/// # Errors
/// `MissingData`; a business error with the place and what is allowed.
pub fn read_texts(params: &Params) -> Result<BTreeMap<String, String>, ApiError> {
    let refuse = |why: String| ApiError::refused(NAME, HIDDEN, why);
    let given = match params.structured(NAME, ENTRIES)? {
        Field::Keep => return Err(ApiError::missing(NAME)),
        // A list of none is meant; an empty text was hardly.
        Field::Clear if params.text(NAME).is_none() => return Err(ApiError::missing(NAME)),
        Field::Clear => return Ok(BTreeMap::new()),
        Field::Set(given) => given,
    };
    let entries: Vec<Entry> =
        notation::shaped(&given).map_err(|why| refuse(format!("{why}; {ENTRIES}")))?;
    let mut texts = BTreeMap::new();
    for Entry { key, value } in entries {
        if !is_key(&key) {
            return Err(refuse(format!("the Key {}: {KEYS}", shortened(&key))));
        }
        if texts.contains_key(&key) {
            return Err(refuse(format!(
                "the Key {}: each may be given only once",
                shortened(&key)
            )));
        }
        texts.insert(key, value);
    }
    Ok(texts)
}

/// Reads what a Secret is to hold, as base64, which it is already where `Base64Encoded`.
///
/// # Errors
/// As [`read_texts`], without anything that was given.
pub fn read_secret(params: &Params) -> Result<BTreeMap<String, String>, ApiError> {
    let refuse = |why: String| ApiError::refused(NAME, HIDDEN, why);
    let is_encoded = params.boolean("Base64Encoded")?.unwrap_or(false);
    // Errors of the reader quote what it reads.
    let given: Value = match params.structured(NAME, ENTRIES).map_err(|_| refuse(ENTRIES.into()))? {
        Field::Keep => return Err(ApiError::missing(NAME)),
        // A list of none is meant; an empty text was hardly.
        Field::Clear if params.text(NAME).is_none() => return Err(ApiError::missing(NAME)),
        Field::Clear => return Ok(BTreeMap::new()),
        Field::Set(given) => given,
    };
    let entries: Vec<Entry> = serde_json::from_value(given).map_err(|_| refuse(ENTRIES.into()))?;
    let mut values = BTreeMap::new();
    for (index, Entry { key, value }) in entries.into_iter().enumerate() {
        let of = |why: &str| refuse(format!("of entry {}: {why}", index + 1));
        if !is_key(&key) {
            return Err(of(KEYS));
        }
        if is_encoded && STANDARD.decode(&value).is_err() {
            return Err(of("the Value is no base64, as Base64Encoded says"));
        }
        let value = if is_encoded { value } else { STANDARD.encode(value) };
        if values.insert(key, value).is_some() {
            return Err(of("each Key may be given only once"));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        Params::parse(
            &pairs
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)))
                .collect::<Vec<_>>()
                .join("&"),
        )
        .unwrap()
    }

    fn message(error: ApiError) -> String {
        match error {
            ApiError::Gateway { code, .. } => code,
            ApiError::Business { message, .. } => message,
        }
    }

    #[test]
    fn entries_are_read_as_json_and_as_dotted_parameters() {
        let json = params(&[("Data", r#"[{"Key":"a","Value":"1"},{"Key":"b"}]"#)]);
        let dotted = params(&[("Data.1.Key", "a"), ("Data.1.Value", "1"), ("Data.2.Key", "b")]);
        let expected =
            BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".into(), String::new())]);
        for params in [json, dotted] {
            assert_eq!(read_texts(&params).unwrap(), expected);
            assert_eq!(read_secret(&params).unwrap()["a"], "MQ==");
        }
        assert_eq!(
            read_secret(&params(&[
                ("Base64Encoded", "True"),
                ("Data", r#"[{"Key":"a","Value":"MQ=="}]"#)
            ]))
            .unwrap()["a"],
            "MQ=="
        );
        assert_eq!(read_texts(&params(&[("Data", "[]")])).unwrap(), BTreeMap::new());
        assert_eq!(message(read_texts(&Params::default()).unwrap_err()), "MissingData");
        assert_eq!(message(read_secret(&Params::default()).unwrap_err()), "MissingData");
    }

    #[rstest]
    #[case(r#"{"a":"geheim"}"#, "allowed is a list")]
    #[case(r#"[{"Key":"a","Value":"geheim""#, "allowed is a list")]
    #[case(r#"[{"Key":"a","Value":{"geheim":1}}]"#, "allowed is a list")]
    #[case(r#"[{"Key":"a/","Value":"geheim"}]"#, "a Key must have 1 to 253")]
    #[case(r#"[{"Key":"a","Value":""},{"Key":"a","Value":"geheim"}]"#, "only once")]
    fn entries_that_cannot_be_are_refused_and_not_shown(#[case] data: &str, #[case] says: &str) {
        let params = params(&[("Data", data)]);
        for refused in [read_texts(&params), read_secret(&params)] {
            let said = message(refused.unwrap_err());
            assert!(
                said.starts_with("parameter Data has the value (not shown)") && said.contains(says),
                "{said}"
            );
            assert!(!said.contains("geheim"), "{said}");
        }
    }

    #[test]
    fn a_secret_in_a_gap_of_a_list_or_without_base64_is_not_shown() {
        for pairs in [
            [("Data.2.Value", "geheim"), ("Base64Encoded", "")],
            [("Data", r#"[{"Key":"a","Value":"ge*heim"}]"#), ("Base64Encoded", "true")],
        ] {
            let said = message(read_secret(&params(&pairs)).unwrap_err());
            assert!(said.contains(HIDDEN) && !said.contains("heim"), "{said}");
        }
    }
}
