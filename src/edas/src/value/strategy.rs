//! `UpdateStrategy`: how a release reaches its instances.
//!
//! JSON in a parameter; absent, empty and `null` mean all at once. Nulls inside
//! count as absent (R26): the Maven plugin sends `"grayUpdate":null`. A
//! `grayUpdate` beside `BatchUpdate` says nothing, since one provider always
//! sends it.

use serde::Deserialize;

use crate::wire::{error::ApiError, params::Params};
use domain::{
    limits::BATCHES,
    order::plan::{Pace, Strategy},
    rejection::shortened,
    template::spec::Field,
};

const NAME: &str = "UpdateStrategy";
const ALLOWED: &str = r#"allowed is {"type":"BatchUpdate","batchUpdate":{"batch":2,"releaseType":"auto","batchWaitTime":1}}, releaseType auto or manual, batchWaitTime in minutes, and for a canary "type":"GrayBatchUpdate" with "grayUpdate":{"gray":1}"#;

/// Far above every real number of canary instances and minutes (30
/// days), and small enough that later arithmetic cannot overflow.
const MOST: i32 = 43_200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    #[serde(rename = "type")]
    kind: Option<String>,
    batch_update: Option<BatchUpdate>,
    gray_update: Option<GrayUpdate>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct BatchUpdate {
    batch: Option<i32>,
    release_type: Option<String>,
    batch_wait_time: Option<i32>,
}

#[derive(Deserialize)]
struct GrayUpdate {
    gray: Option<i32>,
}

/// Reads `UpdateStrategy`; none = all at once.
///
/// # Errors
/// A business error that says what is wrong in it and what is allowed.
pub fn read(params: &Params) -> Result<Option<Strategy>, ApiError> {
    let text = match params.json::<Text>(NAME, ALLOWED)? {
        Field::Keep | Field::Clear => return Ok(None),
        Field::Set(text) => text,
    };
    let refuse = |why: String| -> ApiError {
        let value = params.raw(NAME).unwrap_or_default();
        ApiError::refused(NAME, value, format!("{why}; {ALLOWED}"))
    };
    let within = |what: &str, number: i32, least: i32, most: i32| {
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(refuse(format!("{what} must be from {least} to {most}")))
        }
    };
    let canary = match text.kind.as_deref() {
        Some("BatchUpdate") => 0,
        Some("GrayBatchUpdate") => {
            let gray = text.gray_update.and_then(|update| update.gray);
            within(
                "grayUpdate.gray",
                gray.ok_or_else(|| refuse("grayUpdate.gray is missing".into()))?,
                1,
                MOST,
            )?
        }
        Some(other) => return Err(refuse(format!("the type {:?} is unknown", shortened(other)))),
        None => return Err(refuse("type is missing".into())),
    };
    let update = match (text.batch_update, canary) {
        (Some(update), _) => update,
        (None, 0) => return Err(refuse("batchUpdate is missing".into())),
        // Everything that is not the canary follows in one batch.
        (None, _) => BatchUpdate { batch: Some(1), ..BatchUpdate::default() },
    };
    let batches = update.batch.ok_or_else(|| refuse("batchUpdate.batch is missing".into()))?;
    let batches = within("batchUpdate.batch", batches, 1, BATCHES)?;
    let pace = match update.release_type.as_deref() {
        Some("manual") => Pace::Manual,
        Some("auto") | None => {
            let minutes =
                within("batchUpdate.batchWaitTime", update.batch_wait_time.unwrap_or(0), 0, MOST)?;
            Pace::Automatic { wait_minutes: minutes.unsigned_abs() }
        }
        Some(other) => {
            return Err(refuse(format!("the releaseType {:?} is unknown", shortened(other))));
        }
    };
    Ok(Some(Strategy { canary, batches, pace }))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn params(text: &str) -> Params {
        let mut encoded = String::from("UpdateStrategy=");
        encoded.extend(percent_encoding::utf8_percent_encode(
            text,
            percent_encoding::NON_ALPHANUMERIC,
        ));
        Params::parse(&encoded).unwrap()
    }

    const AUTO: Pace = Pace::Automatic { wait_minutes: 0 };

    #[rstest]
    #[case(r#"{"type":"BatchUpdate","batchUpdate":{"batch":2,"releaseType":"manual","batchWaitTime":0}}"#, 0, 2, Pace::Manual)]
    #[case(
        r#"{"type":"BatchUpdate","grayUpdate":null,"batchUpdate":{"batch":2,"releaseType":"manual","batchWaitTime":null}}"#,
        0,
        2,
        Pace::Manual
    )]
    #[case(r#"{"type":"BatchUpdate","batchUpdate":{"batch":3,"releaseType":"auto","batchWaitTime":null}}"#, 0, 3, AUTO)]
    #[case(
        r#"{"type":"BatchUpdate","batchUpdate":{"batch":3},"grayUpdate":{"gray":1}}"#,
        0,
        3,
        AUTO
    )]
    #[case(
        r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":2,"releaseType":"auto","batchWaitTime":1},"grayUpdate":{"gray":1}}"#,
        1,
        2,
        Pace::Automatic { wait_minutes: 1 }
    )]
    #[case(r#"{"type":"GrayBatchUpdate","grayUpdate":{"gray":2},"later":true}"#, 2, 1, AUTO)]
    fn every_form_that_clients_send_is_read(
        #[case] text: &str,
        #[case] canary: i32,
        #[case] batches: i32,
        #[case] pace: Pace,
    ) {
        assert_eq!(read(&params(text)).unwrap(), Some(Strategy { canary, batches, pace }));
    }

    #[test]
    fn a_plan_of_43_200_batches_is_never_made() {
        let text = r#"{"type":"BatchUpdate","batchUpdate":{"batch":43200}}"#;
        let ApiError::Business { message, .. } = read(&params(text)).unwrap_err() else {
            panic!("must be a business error")
        };
        assert!(
            message.contains("parameter UpdateStrategy")
                && message.contains("must be from 1 to 100"),
            "{message}"
        );
        // Whoever asks for it in another way: nothing is ordered or previewed without this check.
        let strategy = Strategy { canary: 0, batches: 43_200, pace: AUTO };
        assert!(strategy.check().unwrap_err().to_string().contains("at most 100 batches"));
        assert!(strategy.fits(100_000).is_ok(), "an order that was accepted earlier goes on");
        assert!(Strategy { batches: BATCHES, ..strategy }.check().is_ok());
    }

    #[rstest]
    #[case("")]
    #[case("{}")]
    #[case("null")]
    fn nothing_is_all_at_once(#[case] text: &str) {
        assert_eq!(read(&params(text)).unwrap(), None);
        assert_eq!(read(&Params::default()).unwrap(), None);
    }

    #[rstest]
    #[case(r#"{"type":"BatchUpdate","#, "not the JSON")]
    #[case("[]x", "not the JSON")]
    #[case(r#"{"batchUpdate":{"batch":2}}"#, "type is missing")]
    #[case(r#"{"type":"Rolling"}"#, "\"Rolling\" is unknown")]
    #[case(r#"{"type":"BatchUpdate"}"#, "batchUpdate is missing")]
    #[case(r#"{"type":"BatchUpdate","batchUpdate":{}}"#, "batchUpdate.batch is missing")]
    #[case(r#"{"type":"BatchUpdate","batchUpdate":{"batch":"x"}}"#, "at batchUpdate.batch")]
    #[case(
        r#"{"type":"BatchUpdate","batchUpdate":{"batch":0}}"#,
        "batchUpdate.batch must be from 1"
    )]
    #[case(
        r#"{"type":"BatchUpdate","batchUpdate":{"batch":101}}"#,
        "batchUpdate.batch must be from 1 to 100"
    )]
    #[case(
        r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":43200},"grayUpdate":{"gray":1}}"#,
        "batchUpdate.batch must be from 1 to 100"
    )]
    #[case(
        r#"{"type":"BatchUpdate","batchUpdate":{"batch":2,"releaseType":"never"}}"#,
        "\"never\" is unknown"
    )]
    #[case(
        r#"{"type":"BatchUpdate","batchUpdate":{"batch":2,"batchWaitTime":-1}}"#,
        "batchWaitTime must be from 0"
    )]
    #[case(r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":2}}"#, "grayUpdate.gray is missing")]
    #[case(
        r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":2},"grayUpdate":{"gray":0}}"#,
        "gray must be from 1"
    )]
    fn a_strategy_that_cannot_be_read_is_refused_with_the_reason(
        #[case] text: &str,
        #[case] says: &str,
    ) {
        let ApiError::Business { message, .. } = read(&params(text)).unwrap_err() else {
            panic!("must be a business error")
        };
        assert!(
            message.contains("parameter UpdateStrategy has the value ")
                && message.contains("allowed is"),
            "{message}"
        );
        assert!(message.contains(says), "{message}");
    }
}
