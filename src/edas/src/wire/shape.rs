//! For tests: whether a reply has the fields and types that the contract declares.
//!
//! A field that is not declared is an error, but for those that the list of
//! differences has; a declared field may be absent, as SDKs read that as none.

use serde_json::Value;

use super::{contract, differences};

/// Panics where `reply` has a field that `operation` does not declare, or one
/// of another type.
pub fn check(operation: &str, reply: &Value) {
    let operation = contract::operations()
        .iter()
        .find(|it| it.name == operation)
        .expect("the operation is in the contract");
    let declared = Value::Object(operation.reply.clone());
    compare(&operation.name, "", &declared, reply);
}

fn compare(operation: &str, at: &str, declared: &Value, given: &Value) {
    match (declared, given) {
        (Value::Object(fields), Value::Object(values)) => {
            for (key, value) in values {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                match fields.get(key) {
                    Some(field) => compare(operation, &at, field, value),
                    None => assert!(
                        differences::is_listed(&differences::added_field(operation, &at)),
                        "{operation}: {at} is not declared"
                    ),
                }
            }
        }
        (Value::Array(items), Value::Array(values)) => {
            values.iter().for_each(|value| compare(operation, &format!("{at}[]"), &items[0], value))
        }
        (Value::String(kind), value) => {
            let matches = match kind.as_str() {
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                other => panic!("{operation}: {at} has the unknown type {other}"),
            };
            assert!(matches, "{operation}: {at} must be {kind} and is {value}");
        }
        _ => panic!("{operation}: {at} must be {declared} and is {given}"),
    }
}
