//! What runs and with what: `Envs`, `Command` and the arguments.
//!
//! `Envs` may hold passwords, so its errors give the place, never the text.
//! Arguments come as a plain list or in the create call's form, a list of
//! objects with the key `argument`; both forms are sent to both calls (R16).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::wire::{error::ApiError, params::Params};
use domain::{
    name, notation,
    template::spec::{EnvVar, Field},
};

const ENVS: &str = r#"allowed is a list of {"name":"A","value":"text, number or boolean"} or {"name":"A","valueFrom":{"configMapKeyRef" or "secretKeyRef":{"name":"…","key":"…"}}}"#;

#[derive(Deserialize)]
struct Variable {
    name: Option<String>,
    value: Option<Value>,
    #[serde(rename = "valueFrom")]
    value_from: Option<Value>,
}

/// Reads `Envs`, variables with plain values and those whose values are in a ConfigMap or
/// Secret, in their order: absent keeps, empty or `[]` clears.
///
/// # Errors
/// A business error that names the item.
pub fn read_envs(params: &Params) -> Result<Field<Vec<EnvVar>>, ApiError> {
    read_variables(params, "Envs")
}

/// Reads `AddEnvs`, variables in the same form that are added to those that are there.
///
/// # Errors
/// As [`read_envs`].
pub fn read_added_envs(params: &Params) -> Result<Vec<EnvVar>, ApiError> {
    match read_variables(params, "AddEnvs")? {
        Field::Set(variables) => Ok(variables),
        Field::Keep | Field::Clear => Ok(Vec::new()),
    }
}

fn read_variables(params: &Params, parameter: &str) -> Result<Field<Vec<EnvVar>>, ApiError> {
    let Some(text) = params.raw(parameter) else { return Ok(Field::Keep) };
    let refuse = |why: &str| -> ApiError {
        let shown = format!("(a text of {} characters, not shown)", text.chars().count());
        ApiError::refused(parameter, shown, format!("{why}; {ENVS}"))
    };
    match text.trim() {
        "null" => return Ok(Field::Keep),
        "" | "{}" | "[]" => return Ok(Field::Clear),
        _ => {}
    }
    let items: Vec<Value> = notation::secret_json(text)
        .map_err(|why| refuse(&format!("it is not a JSON list: {why}")))?;
    let mut variables = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let variable: Variable = serde_json::from_value(item)
            .map_err(|_| refuse(&format!("[{index}] is not such an object")))?;
        let Some(name) = variable.name.filter(|name| !name.is_empty()) else {
            return Err(refuse(&format!("[{index}].name is missing")));
        };
        if let Some(from) = variable.value_from.filter(|from| !from.is_null()) {
            if !is_key(&from) {
                return Err(refuse(&format!("[{index}].valueFrom is none of the two")));
            }
            variables.push(EnvVar { name, value: String::new(), from: Some(from) });
            continue;
        }
        let value = match variable.value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err(refuse(&format!("[{index}].value is a list or an object")));
            }
        };
        variables.push(EnvVar { name, value, from: None });
    }
    Ok(Field::Set(variables))
}

/// Whether it names one key of a ConfigMap or Secret.
fn is_key(from: &Value) -> bool {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let Some(fields) = from.as_object().filter(|fields| fields.len() == 1) else { return false };
    fields.iter().all(|(kind, of)| {
        matches!(kind.as_str(), "configMapKeyRef" | "secretKeyRef")
            && is_text(&of["name"])
            && is_text(&of["key"])
    })
}

/// Reads `EnvFroms`, whole ConfigMaps and Secrets as variables: absent keeps, empty
/// or `[]` clears. The documentation shows items of `Envs` there; those with a key are
/// variables of their own, the second part.
///
/// # Errors
/// A business error with the place and what is allowed.
pub fn read_env_froms(params: &Params) -> Result<(Field<Vec<Value>>, Vec<Value>), ApiError> {
    const ALLOWED: &str =
        r#"allowed is a list of {"configMapRef":{"name":"…"}} or {"secretRef":{"name":"…"}}"#;
    let items = match params.json::<Vec<Value>>("EnvFroms", ALLOWED)? {
        Field::Keep => return Ok((Field::Keep, Vec::new())),
        Field::Clear => return Ok((Field::Clear, Vec::new())),
        Field::Set(items) => items,
    };
    let (mut whole, mut from_keys) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        let of = ["configMapRef", "secretRef"]
            .into_iter()
            .find(|kind| item[*kind]["name"].as_str().is_some_and(|name| !name.is_empty()));
        if let Some(kind) = of {
            if !item[kind]["name"].as_str().is_some_and(name::is_subdomain) {
                return Err(ApiError::refused(
                    "EnvFroms",
                    &item,
                    format!("at [{index}]: no {kind} can have this name; {ALLOWED}"),
                ));
            }
            whole.push(json!({ kind: { "name": item[kind]["name"] } }));
        } else if item["name"].as_str().is_some_and(|name| !name.is_empty())
            && is_key(&item["valueFrom"])
        {
            from_keys.push(json!({ "name": item["name"], "valueFrom": item["valueFrom"] }));
        } else {
            return Err(ApiError::refused(
                "EnvFroms",
                &item,
                format!("[{index}] is neither; {ALLOWED}"),
            ));
        }
    }
    Ok((if whole.is_empty() { Field::Clear } else { Field::Set(whole) }, from_keys))
}

/// Reads `Command`, the start command: absent keeps, empty clears. It is one
/// word of the container's command; arguments are a parameter of their own.
#[must_use]
pub fn read_command(params: &Params) -> Field<Vec<String>> {
    match params.raw("Command") {
        None => Field::Keep,
        Some("") => Field::Clear,
        Some(command) => Field::Set(vec![command.to_owned()]),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Argument {
    Plain(String),
    Wrapped { argument: String },
}

/// Reads a list of arguments from parameter `name`: absent keeps, empty or `[]` clears.
///
/// # Errors
/// A business error with the place and what is allowed.
pub fn read_args(params: &Params, name: &str) -> Result<Field<Vec<String>>, ApiError> {
    const ALLOWED: &str =
        r#"allowed is a list of texts ["-c","sleep 10"] or of objects [{"argument":"-c"}]"#;
    let items = match params.json::<Vec<Value>>(name, ALLOWED)? {
        Field::Keep => return Ok(Field::Keep),
        Field::Clear => return Ok(Field::Clear),
        Field::Set(items) => items,
    };
    let mut arguments = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match serde_json::from_value(item) {
            Ok(Argument::Plain(text) | Argument::Wrapped { argument: text }) => {
                arguments.push(text)
            }
            Err(_) => {
                let why = format!("[{index}] is neither; {ALLOWED}");
                return Err(ApiError::refused(name, params.raw(name).unwrap_or_default(), why));
            }
        }
    }
    Ok(Field::Set(arguments))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn params(name: &str, text: &str) -> Params {
        let encoded: String =
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .collect();
        Params::parse(&format!("{name}={encoded}")).unwrap()
    }

    fn message(error: ApiError) -> String {
        match error {
            ApiError::Business { message, .. } => message,
            ApiError::Gateway { .. } => panic!("must be a business error"),
        }
    }

    #[test]
    fn values_may_be_text_number_boolean_or_null() {
        let text = r#"[{"name":"A","value":"b c/ü+~*&="},{"name":"B","value":1.5},{"name":"C","value":true},{"name":"D","value":null},{"name":"E"}]"#;
        let Field::Set(variables) = read_envs(&params("Envs", text)).unwrap() else {
            panic!("must be set")
        };
        let values: Vec<_> =
            variables.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
        assert_eq!(
            values,
            [("A", "b c/ü+~*&="), ("B", "1.5"), ("C", "true"), ("D", ""), ("E", "")]
        );
    }

    #[test]
    fn absent_keeps_and_empty_clears() {
        assert_eq!(read_envs(&Params::default()).unwrap(), Field::Keep);
        assert_eq!(read_envs(&params("Envs", "[]")).unwrap(), Field::Clear);
        assert_eq!(read_args(&params("Args", ""), "Args").unwrap(), Field::Clear);
        assert_eq!(read_command(&Params::default()), Field::Keep);
        assert_eq!(read_command(&params("Command", "")), Field::Clear);
        assert_eq!(read_command(&params("Command", "java")), Field::Set(vec!["java".into()]));
    }

    #[rstest]
    #[case(r#"[{"name":"A","value":"secret-word""#, "not a JSON list")]
    #[case(r#"[{"name":"A","value":"1"},"secret-word"]"#, "[1] is not such an object")]
    #[case(r#"[{"value":"secret-word"}]"#, "[0].name is missing")]
    #[case(r#"[{"name":"A","value":["secret-word"]}]"#, "[0].value is a list")]
    #[case(
        r#"[{"name":"A","valueFrom":{"secretKeyRef":{"name":"secret-word"}}}]"#,
        "valueFrom is none of the two"
    )]
    fn wrong_envs_are_refused_with_the_place_but_without_the_text(
        #[case] text: &str,
        #[case] says: &str,
    ) {
        let message = message(read_envs(&params("Envs", text)).unwrap_err());
        assert!(
            message.contains("Envs") && message.contains(says) && message.contains("allowed is"),
            "{message}"
        );
        assert!(!message.contains("secret-word"), "{message}");
    }

    #[test]
    fn arguments_are_read_in_both_forms() {
        let expected = Field::Set(vec!["-c".into(), "a b".into()]);
        assert_eq!(read_args(&params("Args", r#"["-c","a b"]"#), "Args").unwrap(), expected);
        assert_eq!(
            read_args(&params("Args", r#"[{"argument":"-c"},{"argument":"a b"}]"#), "Args")
                .unwrap(),
            expected
        );
        let message = message(read_args(&params("Args", r#"["-c",1]"#), "Args").unwrap_err());
        assert!(message.contains("Args") && message.contains("[1] is neither"), "{message}");
    }
}
