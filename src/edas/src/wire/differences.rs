//! For tests: the OpenAPI document beside the contract, difference by difference.
//!
//! All differences stand in `openapi/differences.yaml`, each with its reason. One
//! that is not there fails, and so does one that is there and no more so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{contract, offered};
use crate::openapi;

const FILE: &str = "openapi/differences.yaml";

/// Differences that have one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    why: String,
    differences: Vec<String>,
}

static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("../../../../openapi/differences.yaml"))
        .expect("it must be YAML")
});

/// Whether the file has this difference.
pub fn is_listed(difference: &str) -> bool {
    GROUPS.iter().any(|group| group.differences.iter().any(|it| it == difference))
}

/// How a reply's field that the contract does not have is listed.
pub fn added_field(operation: &str, field: &str) -> String {
    format!("{operation} reply {field} is not of EDAS")
}

/// The differences of all operations that are offered.
fn differences(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let is_operation = |path: &str| path.starts_with("/pop/") || path.starts_with("/sluice/");
    for (path, methods) in
        document["paths"].as_object().unwrap().iter().filter(|(path, _)| is_operation(path))
    {
        for (method, described) in methods.as_object().unwrap() {
            let name = described["operationId"].as_str().unwrap_or_default();
            let Some(operation) = contract::operations().iter().find(|it| it.name == name) else {
                found.insert(format!("{name} is not of EDAS"));
                if let Some(own) = contract::own().iter().find(|it| it.name == name) {
                    replies(document, own, described, &mut found);
                }
                continue;
            };
            if *path != operation.path || *method != operation.method.to_lowercase() {
                let target = format!("{} {path}", method.to_uppercase());
                found.insert(format!(
                    "{name} is {target} instead of {} {}",
                    operation.method, operation.path
                ));
            }
            parameters(operation, described, &mut found);
            replies(document, operation, described, &mut found);
        }
    }
    found
}

fn parameters(operation: &contract::Operation, described: &Value, found: &mut BTreeSet<String>) {
    let name = &operation.name;
    let mut given = BTreeMap::new();
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let stands = if parameter["in"] == "query" { "query" } else { "elsewhere" };
        given.insert(
            parameter["name"].as_str().unwrap(),
            (stands, kind(&parameter["schema"]), parameter["required"] == true),
        );
    }
    let form = &described["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
    for (key, schema) in form["properties"].as_object().into_iter().flatten() {
        let required = form["required"].as_array().is_some_and(|it| it.contains(&json!(key)));
        given.insert(key, ("form", kind(schema), required));
    }
    let documented: BTreeSet<&str> = operation.query.iter().map(String::as_str).collect();
    // Our own parameters of EDAS' operations are in the list of the operation, too.
    let own = |parameter: &str| contract::is_own_parameter(name, parameter);
    for parameter in documented.iter().filter(|it| !own(it) && !given.contains_key(**it)) {
        let what = if offered::SAY_NOTHING.contains(parameter) { "ignored" } else { "refused" };
        found.insert(format!("{name} parameter {parameter} is {what}"));
    }
    for (parameter, (stands, kind, required)) in given {
        let at = format!("{name} parameter {parameter}");
        if own(parameter) || !documented.contains(parameter) {
            found.insert(format!("{at} is not of EDAS"));
            continue;
        }
        let place = if operation.form { "form" } else { "query" };
        if stands != place {
            found.insert(format!("{at} is in the {stands} instead of the {place}"));
        }
        let documented = operation.types.get(parameter).map_or("string", String::as_str);
        if kind != documented {
            found.insert(format!("{at} is {kind} instead of {documented}"));
        }
        if required != operation.required.iter().any(|it| it == parameter) {
            found.insert(format!("{at} is {}", if required { "required" } else { "not required" }));
        }
    }
}

fn kind(schema: &Value) -> String {
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds
            .iter()
            .filter(|it| *it != "null")
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        one => one.as_str().unwrap_or("without a type").to_owned(),
    };
    if kinds == "array" { "object".into() } else { kinds }
}

fn replies(
    document: &Value,
    operation: &contract::Operation,
    described: &Value,
    found: &mut BTreeSet<String>,
) {
    let schema =
        &described["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0];
    let declared = Value::Object(operation.reply.clone());
    compare(&operation.name, "", &declared, &shape(document, schema), found);
}

/// A schema in the form in which the contract has replies.
fn shape(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return shape(
            document,
            document
                .pointer(reference.trim_start_matches('#'))
                .expect("a reference must lead somewhere"),
        );
    }
    let parts = ["allOf", "oneOf"].into_iter().find_map(|it| schema[it].as_array());
    if let Some(parts) = parts {
        let mut shapes = parts
            .iter()
            .filter(|it| it["type"] != "null")
            .map(|part| shape(document, part))
            .collect::<Vec<_>>();
        if shapes.len() == 1 {
            return shapes.remove(0);
        }
        let fields: Map<String, Value> = shapes
            .into_iter()
            .flat_map(|it| if let Value::Object(fields) = it { fields } else { panic!("{schema}") })
            .collect();
        return fields.into();
    }
    match kind(schema).as_str() {
        _ if schema["items"].is_object() => json!([shape(document, &schema["items"])]),
        "object" => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields
                .map(|(key, field)| (key.clone(), shape(document, field)))
                .collect::<Map<_, _>>()
                .into()
        }
        other => json!(other),
    }
}

fn compare(
    operation: &str,
    at: &str,
    declared: &Value,
    given: &Value,
    found: &mut BTreeSet<String>,
) {
    match (declared, given) {
        (Value::Object(declared), Value::Object(given)) => {
            let inside =
                |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
            for (key, field) in declared {
                match given.get(key) {
                    Some(value) => compare(operation, &inside(key), field, value, found),
                    None => {
                        found.insert(format!("{operation} reply {} is missing", inside(key)));
                    }
                }
            }
            for key in given.keys().filter(|key| !declared.contains_key(*key)) {
                found.insert(added_field(operation, &inside(key)));
            }
        }
        (Value::Array(declared), Value::Array(given)) => {
            compare(operation, &format!("{at}[]"), &declared[0], &given[0], found)
        }
        _ if declared == given => {}
        _ => drop(found.insert(format!(
            "{operation} reply {at} is {} instead of {}",
            named(given),
            named(declared)
        ))),
    }
}

fn named(shape: &Value) -> &str {
    match shape {
        Value::Object(_) => "object",
        Value::Array(_) => "list",
        other => other.as_str().unwrap_or("unknown"),
    }
}

#[test]
fn every_difference_from_the_contract_is_listed_with_its_reason() {
    let found = differences(&serde_json::to_value(openapi()).unwrap());
    let (mut listed, mut wrong) = (BTreeSet::new(), Vec::new());
    for group in GROUPS.iter() {
        assert!(
            group.why.len() > 30 && !group.differences.is_empty(),
            "a reason must tell a user something: {group:?}"
        );
        for difference in &group.differences {
            if !listed.insert(difference.clone()) {
                wrong.push(format!("is listed twice: remove one line\n    - {difference}"));
            }
        }
    }
    wrong.extend(found.difference(&listed).map(|it| {
        format!("is not listed: repair it, or add this line under its reason\n    - {it}")
    }));
    wrong.extend(
        listed
            .difference(&found)
            .map(|it| format!("is listed and no longer so: remove the line\n    - {it}")),
    );
    assert!(
        wrong.is_empty(),
        "{} differences between the API and the contract; in {FILE}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Each kind is really looked at: of a document with one mistake, that one is found.
#[test]
fn a_mistake_of_each_kind_is_found() {
    let document = serde_json::to_value(openapi()).unwrap();
    let before = differences(&document);
    let scale = "/paths/~1pop~1v5~1k8s~1acs~1k8s_apps/put";
    let mistake = |change: &dyn Fn(&mut Value)| -> Vec<String> {
        let mut other = document.clone();
        change(other.pointer_mut(scale).unwrap());
        differences(&other).difference(&before).cloned().collect()
    };
    let parameter =
        |operation: &mut Value, key: &str, value: Value| operation["parameters"][1][key] = value;
    type Mistake<'a> = (&'a dyn Fn(&mut Value), &'a [&'a str]);
    let expected: [Mistake<'_>; 6] = [
        (
            &|it| parameter(it, "required", json!(false)),
            &["ScaleK8sApplication parameter Replicas is not required"],
        ),
        (
            &|it| parameter(it, "schema", json!({"type": "string"})),
            &["ScaleK8sApplication parameter Replicas is string instead of integer"],
        ),
        (
            &|it| parameter(it, "in", json!("header")),
            &["ScaleK8sApplication parameter Replicas is in the elsewhere instead of the query"],
        ),
        (
            &|it| parameter(it, "name", json!("replicas")),
            &[
                "ScaleK8sApplication parameter Replicas is refused",
                "ScaleK8sApplication parameter replicas is not of EDAS",
            ],
        ),
        (
            &|it| it["operationId"] = json!("StopK8sApplication"),
            &[
                "StopK8sApplication is PUT /pop/v5/k8s/acs/k8s_apps instead of POST /pop/v5/k8s/acs/stop_k8s_app",
                "StopK8sApplication parameter Replicas is not of EDAS",
            ],
        ),
        (
            &|it| it["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0] = json!({"properties": {"Code": {"type": "string"}, "Data": {"type": "string"}}, "type": "object"}),
            &[
                "ScaleK8sApplication reply ChangeOrderId is missing",
                "ScaleK8sApplication reply Code is string instead of integer",
                "ScaleK8sApplication reply Data is not of EDAS",
                "ScaleK8sApplication reply Message is missing",
                "ScaleK8sApplication reply RequestId is missing",
            ],
        ),
    ];
    for (change, found) in expected {
        assert_eq!(mistake(change), found);
    }
}
