//! `IngressConf`: rules of an Ingress, as JSON or as dotted parameters, and the labels and
//! annotations beside it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::wire::{error::ApiError, params::Params};
use domain::{
    object::{
        ingress::{IngressRule, Path, PathMatch, Texts},
        service::PortTarget,
    },
    rejection::shortened,
    template::spec::Field,
};

const RULES: &str = r#"allowed is {"rules":[{"host":"…","secretName":"…","paths":[{"path":"/…","pathType":"Prefix, Exact or ImplementationSpecific","backend":{"serviceName":"…","servicePort":80}}]}]}"#;
const TEXTS: &str = r#"allowed is a JSON object of texts {"name":"text"}; null removes one"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenConf {
    rules: Vec<GivenRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenRule {
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    secret_name: Option<String>,
    #[serde(default)]
    paths: Vec<GivenPath>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenPath {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    path_type: Option<String>,
    backend: GivenBackend,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GivenBackend {
    service_name: String,
    service_port: Value,
}

/// Reads the rules; none = the parameter is absent.
///
/// # Errors
/// A business error with the place and what is allowed.
pub fn read(params: &Params) -> Result<Option<Vec<IngressRule>>, ApiError> {
    const NAME: &str = "IngressConf";
    let given = match params.structured(NAME, RULES)? {
        Field::Keep => return Ok(None),
        Field::Clear => return Ok(Some(Vec::new())),
        Field::Set(given) => given,
    };
    let shown = params.raw(NAME).map_or_else(|| given.to_string(), str::to_owned);
    let refuse =
        |why: String| -> ApiError { ApiError::refused(NAME, &shown, format!("{why}; {RULES}")) };
    let conf: GivenConf = serde_path_to_error::deserialize(given).map_err(|error| {
        let path = error.path().to_string();
        refuse(format!("at {path}: {}", error.into_inner()))
    })?;
    let path = |given: GivenPath| {
        let matched = match given.path_type.as_deref().unwrap_or_default() {
            "" | "ImplementationSpecific" => PathMatch::Controller,
            "Exact" => PathMatch::Exact,
            "Prefix" => PathMatch::Prefix,
            other => return Err(refuse(format!("{} is no pathType", shortened(other)))),
        };
        let port = port(&given.backend.service_port).ok_or_else(|| {
            refuse(format!(
                "{} is no servicePort",
                shortened(&given.backend.service_port.to_string())
            ))
        })?;
        let path = given.path.filter(|path| !path.is_empty()).unwrap_or_else(|| "/".into());
        Ok(Path { path, matched, service: given.backend.service_name, port })
    };
    let rule = |given: GivenRule| {
        let paths: Result<Vec<Path>, ApiError> = given.paths.into_iter().map(path).collect();
        let text = |given: Option<String>| given.filter(|text| !text.is_empty());
        Ok(IngressRule { host: text(given.host), secret: text(given.secret_name), paths: paths? })
    };
    conf.rules.into_iter().map(rule).collect::<Result<_, ApiError>>().map(Some)
}

/// Reads labels or annotations; absent and empty say nothing.
///
/// # Errors
/// As [`read`].
pub fn read_texts(params: &Params, name: &str) -> Result<Texts, ApiError> {
    match params.json::<BTreeMap<String, Option<String>>>(name, TEXTS)? {
        Field::Set(texts) => Ok(texts),
        Field::Keep | Field::Clear => Ok(Texts::new()),
    }
}

fn port(given: &Value) -> Option<PortTarget> {
    let number = given.as_u64().or_else(|| given.as_str()?.parse().ok());
    match (number, given.as_str()) {
        (Some(number), _) => {
            u16::try_from(number).ok().filter(|number| *number > 0).map(PortTarget::Number)
        }
        (None, Some(name)) if !name.is_empty() => Some(PortTarget::Name(name.into())),
        (None, _) => None,
    }
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

    /// As the Tea SDKs send a dictionary, and as the others send text.
    #[test]
    fn rules_are_read_as_json_and_as_dotted_parameters() {
        let json = r#"{"rules":[{"host":"a.b","secretName":"","paths":[{"path":"/","backend":{"serviceName":"s","servicePort":80}}]}]}"#;
        let dotted = [
            ("IngressConf.rules.1.host", "a.b"),
            ("IngressConf.rules.1.paths.1.path", "/"),
            ("IngressConf.rules.1.paths.1.backend.serviceName", "s"),
            ("IngressConf.rules.1.paths.1.backend.servicePort", "80"),
        ];
        let path = Path {
            path: "/".into(),
            matched: PathMatch::Controller,
            service: "s".into(),
            port: PortTarget::Number(80),
        };
        let expected = [IngressRule { host: Some("a.b".into()), secret: None, paths: vec![path] }];
        assert_eq!(read(&params(&[("IngressConf", json)])).unwrap().unwrap(), expected);
        assert_eq!(read(&params(&dotted)).unwrap().unwrap(), expected);
        assert_eq!(read(&Params::default()).unwrap(), None);
    }

    #[rstest]
    #[case("x", "not the JSON")]
    #[case(
        r#"{"rules":[{"paths":[{"path":"/"}]}]}"#,
        "at rules[0].paths[0]: missing field `backend`"
    )]
    #[case(
        r#"{"rules":[{"paths":[{"backend":{"serviceName":"s","servicePort":0}}]}]}"#,
        "0 is no servicePort"
    )]
    #[case(r#"{"rules":[{"paths":[{"pathType":"Regex","backend":{"serviceName":"s","servicePort":1}}]}]}"#, "Regex is no pathType")]
    #[case(r#"{"rules":[],"tls":[]}"#, "unknown field `tls`")]
    fn rules_that_cannot_be_are_refused(#[case] text: &str, #[case] says: &str) {
        let ApiError::Business { message, .. } =
            read(&params(&[("IngressConf", text)])).unwrap_err()
        else {
            panic!("a business error")
        };
        assert!(
            message.starts_with("parameter IngressConf has the value") && message.contains(says),
            "{message}"
        );
    }

    #[test]
    fn labels_are_texts_and_null_removes_one() {
        let texts = read_texts(&params(&[("Labels", r#"{"a":"b","c":null}"#)]), "Labels").unwrap();
        assert_eq!(texts, Texts::from([("a".into(), Some("b".into())), ("c".into(), None)]));
        assert!(read_texts(&params(&[("Labels", r#"{"a":1}"#)]), "Labels").is_err());
    }
}
