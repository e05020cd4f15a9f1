//! The document against the list of offers, the contract and the committed file.
//!
//! What is routed, described, read and documented by EDAS must be the same; a
//! handler that is added without one of them fails here.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::LISTS;
use crate::{
    openapi,
    wire::{contract, family, offered},
};
use domain::limits;

fn document() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

/// What the form of an operation holds, if it takes one.
fn form(operation: &Value) -> Option<&Map<String, Value>> {
    operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
        .as_object()
}

#[test]
fn router_and_offers_have_the_same_operations_with_the_same_parameters() {
    let document = document();
    let mut described = Vec::new();
    for (path, methods) in document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(path, _)| path.starts_with("/pop/") || path.starts_with("/sluice/"))
    {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            let declared = contract::find(&method.to_uppercase().parse().unwrap(), path).unwrap();
            assert_eq!(declared.name, name, "{method} {path}");
            let offer = offered::OFFERS.iter().find(|offer| offer.operation == name).unwrap();
            let mut parameters: Vec<_> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| it["name"].as_str().unwrap())
                .collect();
            let form = form(operation);
            assert_eq!(form.is_some(), declared.form, "{name}");
            parameters.extend(form.into_iter().flatten().map(|(name, _)| name.as_str()));
            let mut reads: Vec<_> = offer.parameters.iter().map(|it| it.name).collect();
            parameters.sort_unstable();
            reads.sort_unstable();
            assert_eq!(parameters, reads, "{name}");
            described.push(name);
        }
    }
    described.sort_unstable();
    assert_eq!(described, offered::OFFERS.iter().map(|offer| offer.operation).collect::<Vec<_>>());
}

#[test]
fn every_parameter_of_edas_is_described_or_named_as_refused() {
    let document = document();
    for operation in
        contract::operations().iter().filter(|operation| offered::is_offered(operation))
    {
        let described = &document["paths"][&operation.path][operation.method.to_lowercase()];
        let parameters = described["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it["name"].as_str().unwrap());
        let known: Vec<&str> = parameters
            .chain(form(described).into_iter().flatten().map(|(name, _)| name.as_str()))
            .collect();
        let text = described["description"].as_str().unwrap_or_default();
        let refused = text
            .rsplit_once("Refused by name, unless empty or false: ")
            .map_or("", |(_, list)| list.trim_end_matches('.'));
        let refused: Vec<&str> = refused.split(", ").collect();
        for parameter in
            operation.query.iter().filter(|it| !offered::SAY_NOTHING.contains(&it.as_str()))
        {
            let (known, refused) =
                (known.contains(&parameter.as_str()), refused.contains(&parameter.as_str()));
            assert!(
                known != refused,
                "{} {parameter}: described {known}, refused {refused}",
                operation.name
            );
        }
    }
}

#[test]
fn every_parameter_and_reply_is_described_and_every_operation_is_signed() {
    let document = document();
    for (path, methods) in document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(path, _)| path.starts_with("/pop/") || path.starts_with("/sluice/"))
    {
        for operation in methods.as_object().unwrap().values() {
            assert!(operation["summary"].as_str().is_some_and(|it| !it.is_empty()), "{path}");
            assert!(operation["security"][0]["Signature"].is_array(), "{path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(
                    parameter["description"].as_str().is_some_and(|it| it.len() > 10),
                    "{path} {parameter}"
                );
                let place = if path.contains("{id}") { "path" } else { "query" };
                assert_eq!(parameter["in"], place, "{path}");
            }
            for (name, field) in form(operation).into_iter().flatten() {
                assert!(
                    field["description"].as_str().is_some_and(|it| it.len() > 10),
                    "{path} {name}"
                );
            }
            for status in ["400", "404", "413", "414", "500", "503"] {
                let schema =
                    &operation["responses"][status]["content"]["application/json"]["schema"];
                assert_eq!(schema["$ref"], "#/components/schemas/GatewayError", "{path} {status}");
            }
            let success = &operation["responses"]["200"]["content"];
            let json = &success["application/json"]["schema"];
            let (refusal, reply) = match path.ends_with("/watch") {
                true => (json, &success["text/event-stream"]["schema"]["$ref"]),
                false => (&json["anyOf"][1], &json["anyOf"][0]),
            };
            assert_eq!(refusal["$ref"], "#/components/schemas/BusinessError", "{path}");
            assert!(!reply.is_null(), "{path}");
        }
    }
}

/// A reply of the one kind must not pass for one of the other, whose fields are few.
#[test]
fn a_success_and_a_business_error_are_told_apart_by_their_code() {
    let document = document();
    let code = |schema: &Value| ["minimum", "maximum"].map(|it| schema["Code"][it].as_i64());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut successes = 0;
    for (name, schema) in schemas {
        let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
        for properties in
            parts.map(|part| &part["properties"]).filter(|it| it["Code"]["type"] == "integer")
        {
            let number = if name == "BusinessError" { 601 } else { 200 };
            assert_eq!(code(properties), [Some(number); 2], "{name}");
            successes += usize::from(number == 200);
        }
    }
    assert!(successes > 30, "{successes}");
}

#[test]
fn every_operation_is_described_or_named_as_not_offered() {
    let document = document();
    let said = document["info"]["description"].as_str().unwrap();
    let names: Vec<_> = said.split(|c: char| !c.is_alphanumeric()).collect();
    for operation in contract::operations() {
        assert_eq!(
            names.contains(&operation.name.as_str()),
            !offered::is_offered(operation),
            "{}",
            operation.name
        );
    }
    assert!(family::FAMILIES.iter().all(|family| said.contains(family.name)));
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn the_committed_document_is_fresh() {
    let committed = include_str!("../../../../../openapi/edas.json");
    let fresh = openapi().to_pretty_json().unwrap();
    assert!(committed.trim_end() == fresh, "openapi/edas.json is stale: run `make openapi`");
}

/// Schemas are named by their struct alone: of two with one name, one would be lost.
#[test]
fn every_schema_has_a_name_of_its_own() {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let mut sources = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    let mut names = Vec::new();
    for source in sources {
        let text = std::fs::read_to_string(&source).unwrap_or_default();
        for after in text.split("ToSchema)]").skip(1) {
            let declared = after
                .split("pub struct ")
                .nth(1)
                .and_then(|it| it.split(|c: char| !c.is_alphanumeric()).next());
            names.extend(declared.filter(|name| !name.is_empty()).map(str::to_owned));
        }
        for list in text.split("\nwrapped! {").skip(1) {
            let declared = list.lines().find_map(|line| line.trim().split_once(", \""));
            names.extend(declared.map(|(name, _)| name.to_owned()));
        }
    }
    assert!(names.len() > 50, "{names:?}");
    names.sort();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn the_limits_of_the_readers_are_in_the_document() {
    let document = document();
    let text = document["info"]["description"].as_str().unwrap();
    assert!(
        text.contains(&limits::described()) && text.contains("at most 1000 parameters"),
        "{text}"
    );
    let parameters =
        document["paths"]["/pop/v5/k8s/acs/k8s_apps"]["post"]["parameters"].as_array().unwrap();
    let told = |name: &str| {
        parameters.iter().find(|it| it["name"] == name).unwrap()["description"].as_str().unwrap()
    };
    assert!(
        told("UpdateStrategy").ends_with("At most 100 batches.")
            && told("Sidecars").ends_with("At most 20 items.")
    );
    // A list that no operation reads is not limited by anything.
    let read = |name: &str| offered::OFFERS.iter().any(|offer| offer.parameter(name).is_some());
    assert_eq!(LISTS.iter().map(|(name, _)| *name).find(|name| !read(name)), None);
}
