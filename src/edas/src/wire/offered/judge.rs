//! Whether a request can be served: before any handler runs, so that none can forget it.
//!
//! What is not offered is refused with its family, and a documented parameter that is
//! not read by its name, unless it says nothing. Parameters that are not documented are
//! ignored (R3).

use super::{
    super::{
        contract::{self, Operation},
        error::ApiError,
        family,
        params::Params,
    },
    offer,
};

/// Parameters that say nothing here, whatever their value: the region, which
/// some SDKs put into every query.
pub(crate) const SAY_NOTHING: &[&str] = &["RegionId", "ServiceCode"];

/// Checks that `operation` is offered and that nothing is asked for that would
/// be dropped.
///
/// # Errors
/// A business error that names the operation or the parameter.
pub fn check(operation: &Operation, params: &Params) -> Result<(), ApiError> {
    let name = operation.name.as_str();
    let Some(offer) = offer(name) else {
        return Err(ApiError::business("NotOffered", refusal(operation)));
    };
    for (parameter, value) in params.pairs() {
        let parameter = parameter.as_str();
        let is_read = offer.parameter(parameter).is_some() || !operation.takes(parameter);
        if !is_read && says_something(parameter, value) {
            return Err(ApiError::business(
                format!("NotRead{parameter}"),
                format!(
                    "The parameter {parameter} of {name} is not applied by this server yet: leave it out"
                ),
            ));
        }
    }
    Ok(())
}

/// The documented parameters of an operation that is offered which are refused by name.
pub fn unread(operation: &Operation) -> impl Iterator<Item = &str> {
    let offer = offer(&operation.name);
    let refused = move |parameter: &&str| {
        let is_read = offer.is_some_and(|offer| offer.parameter(parameter).is_some());
        !is_read && !SAY_NOTHING.contains(parameter)
    };
    operation.query.iter().map(String::as_str).filter(refused)
}

/// The parameters of a request that its operation does not document, as sentences: they
/// have no effect (R3), and some clients send them all the same (`HostAliases`).
pub fn ignored(operation: &str, params: &Params) -> Vec<String> {
    let Some(operation) = contract::operations().iter().find(|it| it.name == operation) else {
        return Vec::new();
    };
    let unknown = params.pairs().iter().filter(|(name, value)| {
        // Lists may come as numbered keys.
        let name = name.split('.').next().unwrap_or(name);
        !operation.takes(name) && says_something(name, value)
    });
    let sentence = |(name, _): &(String, String)| {
        format!("{} has no effect: EDAS does not document such a parameter", shortened(name))
    };
    unknown.take(MOST_TOLD).map(sentence).collect()
}

/// Most parameters without effect that are told.
const MOST_TOLD: usize = 10;

fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

fn refusal(operation: &Operation) -> String {
    let why = family::of(operation).map(|family| {
        format!(": it is about {}, which is outside of what this server does, releasing applications on Kubernetes", family.name)
    });
    format!(
        "The operation {} is not offered by this server{}",
        operation.name,
        why.unwrap_or_default()
    )
}

fn says_something(parameter: &str, value: &str) -> bool {
    if SAY_NOTHING.contains(&parameter) || value.eq_ignore_ascii_case("false") {
        return false;
    }
    // What could be cleared is read.
    !matches!(value, "" | "{}" | "[]")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn operation(name: &str) -> &'static Operation {
        contract::operations().iter().chain(contract::own()).find(|it| it.name == name).unwrap()
    }

    #[rstest]
    #[case("NasId=x")]
    #[case("EnableAhas=True")]
    #[case("TrafficControlStrategy=x")]
    #[case("SlsConfigs=%5B%7B%7D%5D")]
    fn a_documented_parameter_that_is_not_read_is_refused_by_name(#[case] query: &str) {
        let error =
            check(operation("DeployK8sApplication"), &Params::parse(query).unwrap()).unwrap_err();
        let ApiError::Business { message, .. } = error else { panic!("must be a business error") };
        assert!(
            message.contains(query.split('=').next().unwrap()) && message.contains("not applied"),
            "{message}"
        );
    }

    #[rstest]
    #[case("EnableAhas=False&DeployAcrossZones=false&RegionId=cn-hangzhou&ServiceCode=edas")]
    #[case(
        "JDK=Open+JDK+8&WebContainer=x&Annotations=&HostAliases=x&Command=&Args=[]&SlsConfigs={}&MountDescs="
    )]
    fn what_says_nothing_is_accepted_and_so_is_what_is_not_documented(#[case] query: &str) {
        assert_eq!(
            check(operation("DeployK8sApplication"), &Params::parse(query).unwrap()),
            Ok(())
        );
    }

    #[test]
    fn what_is_not_documented_is_told_to_have_no_effect() {
        let query = "HostAliases=x&AppId=1&Envs.1.name=A&ServiceCode=edas&RegionId=a&Other=&NasId=";
        let said = ignored("DeployK8sApplication", &Params::parse(query).unwrap());
        assert_eq!(said, ["HostAliases has no effect: EDAS does not document such a parameter"]);
        let many: String = (0..99).map(|number| format!("Unknown{number}=1&")).collect();
        assert_eq!(
            ignored("DeployK8sApplication", &Params::parse(many.trim_end_matches('&')).unwrap())
                .len(),
            MOST_TOLD
        );
    }

    #[test]
    fn an_operation_that_is_not_offered_is_refused_by_name() {
        let said = |name: &str| match check(operation(name), &Params::default()).unwrap_err() {
            ApiError::Business { message, .. } => message,
            other => panic!("must be a business error: {other:?}"),
        };
        assert_eq!(
            said("MigrateApplication"),
            "The operation MigrateApplication is not offered by this server: it is about moving applications between regions and \
             accounts of Alibaba Cloud, which is outside of what this server does, releasing applications on Kubernetes"
        );
        assert_eq!(
            said("ListRole"),
            "The operation ListRole is not offered by this server: it is about accounts, roles and resource groups, \
             which is outside of what this server does, releasing applications on Kubernetes"
        );
    }
}
