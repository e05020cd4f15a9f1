//! Between columns and domain types: enum words and JSON documents.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::StoreError;
use domain::access::Filter;

/// The Postgres word of an enum value: the one that serde gives it.
pub(super) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        // Only enums without data come here; Postgres would refuse anything else.
        other => format!("{other:?}"),
    }
}

/// The enum value of a Postgres word.
pub(super) fn value<T: DeserializeOwned>(
    what: &'static str,
    word: String,
) -> Result<T, StoreError> {
    document(what, Value::String(word))
}

/// A domain value from its JSON document.
pub(super) fn document<T: DeserializeOwned>(
    what: &'static str,
    document: Value,
) -> Result<T, StoreError> {
    serde_json::from_value(document)
        .map_err(|error| StoreError::Corrupt { what, why: error.to_string() })
}

/// The JSON document of a domain value.
pub(super) fn json(what: &'static str, value: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(value)
        .map_err(|error| StoreError::Corrupt { what, why: error.to_string() })
}

/// A count that Postgres holds as a signed number.
pub(super) fn count(what: &'static str, number: i32) -> Result<usize, StoreError> {
    usize::try_from(number).map_err(|error| StoreError::Corrupt { what, why: error.to_string() })
}

/// A count as Postgres holds it.
pub(super) fn number(what: &'static str, count: usize) -> Result<i32, StoreError> {
    i32::try_from(count).map_err(|error| StoreError::Corrupt { what, why: error.to_string() })
}

/// The patterns of what a list may show; none = everything.
pub(super) fn allowed(filter: Option<&Filter>) -> Option<&[String]> {
    filter.map(|filter| filter.allowed.as_slice())
}

/// The patterns of what a list may not show.
pub(super) fn denied(filter: Option<&Filter>) -> &[String] {
    filter.map_or(&[], |filter| filter.denied.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::order::{State, Step};

    #[test]
    fn every_word_comes_back_as_the_value_it_was() {
        for state in [State::Ready, State::WaitingConfirmation, State::SystemFailed] {
            assert_eq!(value::<State>("state", word(state)).unwrap(), state);
        }
        assert_eq!(word(Step::RollBack), "roll_back");
    }

    #[test]
    fn an_unknown_word_is_corrupt_and_named() {
        let error = value::<State>("state", "lost".into()).unwrap_err();
        assert!(error.to_string().contains("the stored state cannot be read"), "{error}");
    }
}
