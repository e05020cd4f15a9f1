//! YAML is read as kubectl reads it: held up to the kubectl of the test cluster.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use domain::notation;
use serde_json::Value;

/// What people write, and what readers differ in.
const SCALARS: &[&str] = &[
    "0400",
    "0o17",
    "0x1F",
    "0X1f",
    "0b101",
    "-0b11",
    "-0400",
    "08",
    "0_8",
    "1_000",
    "_1",
    "1e3",
    "1E+3",
    "1.5",
    "1.",
    ".5",
    "+5",
    "-5",
    "+0x10",
    "190:20:30",
    "1:30",
    "2001-01-01",
    "2001-01-01T00:00:00Z",
    "yes",
    "Yes",
    "YES",
    "yEs",
    "no",
    "on",
    "Off",
    "y",
    "Y",
    "n",
    "N",
    "true",
    "TRUE",
    "tRue",
    "false",
    "~",
    "null",
    "Null",
    "nUll",
    "\"\"",
    "''",
    "'yes'",
    "\"0400\"",
    "!!str 0400",
    "!!int \"7\"",
    "!!float 3",
    "!!bool \"yes\"",
    "1.2.3",
    "0.0.0.0",
    "1Gi",
    "500m",
    "50%",
    "1e400",
    "0x",
    "0b",
    "0b2",
    "0o8",
    "++1",
    "+-1",
    "-",
    "=",
    "<<",
    "a: b",
    "2147483648",
    "9223372036854775807",
    "1.0",
    "1.25e2",
    "-0",
    "00",
    "000",
    "007",
    "0.1",
    "-.5",
    "+.5",
    "1e-2",
    "!custom x",
    "{a: 1, b: [yes, 0400]}",
    "[~, 1_0]",
    "|\n    text\n    0400",
    ">-\n    folded\n    text",
    "&x 0400",
    "\"a\\tb\"",
    "'it''s'",
    "0xFFFFFFFFFF",
    "12e03",
    "1e",
    "e3",
    ".",
    "..",
    "...x",
    "0777",
    "010.5",
];

/// Maps with names of every kind, and merges.
const MAPS: &[&str] = &[
    "{1: a, true: b, 0400: c, no: d, 1.5: e}",
    "{x: &x {a: 1, b: 1}, y: {b: 2, <<: *x, c: 3}}",
    "{x: &x {a: 1}, z: &z {a: 2, d: 2}, y: {<<: [*x, *z], a: 9}}",
    "{'<<': {a: 1}}",
    "{l: &l [1, 2], m: *l}",
];

fn kubectl(text: &str) -> Option<Value> {
    let kubeconfig = PathBuf::from(
        std::env::var("SLUICE_TEST_KUBECONFIG")
            .expect("SLUICE_TEST_KUBECONFIG must name the test cluster's kubeconfig"),
    );
    let program = kubeconfig.parent().and_then(|run| run.parent()).unwrap().join("bin/kubectl");
    let mut child = Command::new(&program)
        .args(["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-"])
        .env("KUBECONFIG", &kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn every_scalar_and_every_map_is_what_it_is_to_kubectl() {
    let mut text = String::from(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  values:\n",
    );
    for value in SCALARS.iter().chain(MAPS) {
        text.push_str(&format!("  - {value}\n"));
    }
    let theirs = kubectl(&text).expect("kubectl reads all of it");
    let ours: Value = notation::yaml(&text).unwrap();
    let list = |value: &Value| value["spec"]["values"].as_array().unwrap().clone();
    for ((source, theirs), ours) in SCALARS.iter().chain(MAPS).zip(list(&theirs)).zip(list(&ours)) {
        assert_eq!(ours, theirs, "{source}");
    }
}

#[test]
fn what_kubectl_cannot_read_is_refused() {
    for value in [".inf", "{[a]: 1}", "*unknown", "[", "!!int x"] {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{values: [{value}]}}\n"
        );
        assert!(kubectl(&text).is_none() && notation::yaml::<Value>(&text).is_err(), "{value}");
    }
}
