//! Parameters of EDAS' graceful start ("lossless rule").
//!
//! What plain Kubernetes can do of it is read; of the rest the caller is told in a
//! sentence that the order keeps, since releases are the same without it.

use crate::wire::{error::ApiError, params::Params};
use domain::template::graceful_start::GracefulStartChange;

/// Reads them.
///
/// # Errors
/// `Invalid<name>`.
pub fn read(params: &Params) -> Result<GracefulStartChange, ApiError> {
    Ok(GracefulStartChange {
        on: params.boolean("EnableLosslessRule")?,
        delay_seconds: params.integer("LosslessRuleDelayTime")?,
        warm_up_seconds: params.integer("LosslessRuleWarmupTime")?,
        curve: params.integer("LosslessRuleFuncType")?,
        registered_first: params.boolean("LosslessRuleAligned")?,
        warm_first: params.boolean("LosslessRuleRelated")?,
    })
}

/// What of a rule that is switched on or changed no plain cluster does, as sentences.
#[must_use]
pub fn without_effect(change: &GracefulStartChange) -> Vec<String> {
    if change.on == Some(false) {
        return Vec::new();
    }
    let mut sentences = Vec::new();
    if change.registered_first == Some(true) {
        sentences.push(
            "LosslessRuleAligned has no effect: only an agent inside the program knows that it is registered. The readiness probe (Readiness) says when an instance serves",
        );
    }
    if change.warm_first == Some(true) {
        sentences.push(
            "LosslessRuleRelated has no effect: an instance serves as soon as its readiness probe passes. The release waits for the warm-up before old instances go",
        );
    }
    if change.warm_up_seconds.is_some_and(|seconds| seconds > 0) || change.curve.is_some() {
        sentences.push(
            "LosslessRuleFuncType has no effect: an instance that is Ready gets its full share of the requests. The release waits for LosslessRuleWarmupTime before old instances go",
        );
    }
    sentences.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query).unwrap()
    }

    #[test]
    fn every_part_is_read() {
        let query = "EnableLosslessRule=True&LosslessRuleDelayTime=10&LosslessRuleWarmupTime=120&LosslessRuleFuncType=0&LosslessRuleAligned=true&LosslessRuleRelated=FALSE";
        let expected = GracefulStartChange {
            on: Some(true),
            delay_seconds: Some(10),
            warm_up_seconds: Some(120),
            curve: Some(0),
            registered_first: Some(true),
            warm_first: Some(false),
        };
        assert_eq!(read(&params(query)).unwrap(), expected);
        assert!(read(&params("")).unwrap().is_empty());
    }

    #[rstest]
    #[case("EnableLosslessRule=yes")]
    #[case("LosslessRuleDelayTime=86401")]
    #[case("LosslessRuleWarmupTime=-1")]
    #[case("LosslessRuleFuncType=21")]
    #[case("LosslessRuleAligned=1")]
    fn a_wrong_value_is_refused_by_name(#[case] query: &str) {
        let text = format!("{:?}", read(&params(query)).unwrap_err());
        assert!(text.contains(query.split('=').next().unwrap()), "{text}");
    }

    #[rstest]
    #[case("EnableLosslessRule=true&LosslessRuleDelayTime=10", &[])]
    #[case("EnableLosslessRule=true&LosslessRuleAligned=true", &["LosslessRuleAligned"])]
    #[case("LosslessRuleWarmupTime=9&LosslessRuleRelated=true", &["LosslessRuleRelated", "LosslessRuleFuncType"])]
    #[case("EnableLosslessRule=false&LosslessRuleAligned=true", &[])]
    fn what_has_no_effect_is_told(#[case] query: &str, #[case] named: &[&str]) {
        let said = without_effect(&read(&params(query)).unwrap());
        let names: Vec<_> =
            said.iter().map(|sentence| sentence.split(' ').next().unwrap()).collect();
        assert_eq!(names, named);
    }
}
