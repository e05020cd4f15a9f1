//! For tests: whether a reply has the fields and types that the contract declares.
//!
//! A field that is not declared is an error, but for the few that are ours; a
//! declared field may be absent, as SDKs read that as none.

use serde_json::Value;

use super::contract;

/// Fields of ours that no SDK knows, the twin that only old SDKs read, and the
/// RequestId that a few operations do not declare.
const ADDED: &[&str] = &["StatusMessage", "RolledBackBy", "RollsBack", "Applcation", "RequestId"];

/// Panics where `reply` has a field that `operation` does not declare, or one
/// of another type.
pub fn check(operation: &str, reply: &Value) {
    let operation = contract::operations().iter().find(|it| it.name == operation).expect("the operation is in the contract");
    let declared = Value::Object(operation.reply.clone());
    compare(&operation.name, &declared, reply);
}

fn compare(at: &str, declared: &Value, given: &Value) {
    match (declared, given) {
        (Value::Object(fields), Value::Object(values)) => {
            for (key, value) in values {
                let at = format!("{at}.{key}");
                match fields.get(key) {
                    Some(field) => compare(&at, field, value),
                    None => assert!(ADDED.contains(&key.as_str()), "{at} is not declared"),
                }
            }
        }
        (Value::Array(items), Value::Array(values)) => values.iter().for_each(|value| compare(at, &items[0], value)),
        (Value::String(kind), value) => {
            let matches = match kind.as_str() {
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                other => panic!("{at} has the unknown type {other}"),
            };
            assert!(matches, "{at} must be {kind} and is {value}");
        }
        _ => panic!("{at} must be {declared} and is {given}"),
    }
}
