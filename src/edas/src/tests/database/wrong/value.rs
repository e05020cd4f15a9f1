//! The values that are tried: right ones that lead to something, and wrong ones of each
//! parameter, by what its description says.

use super::*;

/// Longer than any text that has a limit.
pub(super) const TOO_LONG: usize = 20_000;

/// A parameter as it is described.
pub(in super::super) struct Parameter {
    pub(in super::super) name: String,
    pub(in super::super) kind: String,
    pub(in super::super) least: i128,
    pub(in super::super) most: i128,
    pub(in super::super) required: bool,
}

pub(in super::super) struct Described {
    pub(in super::super) name: String,
    pub(in super::super) method: String,
    pub(in super::super) path: String,
    pub(in super::super) parameters: Vec<Parameter>,
}

pub(in super::super) fn described() -> Vec<Described> {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            if !offered::OFFERS.iter().any(|offer| offer.operation == name) {
                continue;
            }
            let form =
                &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
            assert!(
                operation["requestBody"].is_null() || form["properties"].is_object(),
                "{name} has another body than a form"
            );
            let is_required = |field: &str| {
                form["required"].as_array().into_iter().flatten().any(|it| it == field)
            };
            let fields = form["properties"].as_object().into_iter().flatten();
            let fields = fields.map(|(field, schema)| json!({ "name": field, "schema": schema, "required": is_required(field) }));
            let given: Vec<Value> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned()
                .chain(fields)
                .collect();
            let parameters = given.iter().map(|it| Parameter {
                name: it["name"].as_str().unwrap().into(),
                kind: match &it["schema"]["type"] {
                    Value::Array(kinds) => kinds[0].as_str().unwrap().into(),
                    kind => kind.as_str().unwrap().into(),
                },
                least: it["schema"]["minimum"].as_i64().map_or(i64::MIN.into(), i128::from),
                most: it["schema"]["maximum"].as_i64().map_or(i64::MAX.into(), i128::from),
                required: it["required"] == true,
            });
            found.push(Described {
                name: name.into(),
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: parameters.collect(),
            });
        }
    }
    assert_eq!(found.len(), offered::OFFERS.len());
    found
}

/// Values that are wrong; none = absent.
pub(super) fn wrong_values(operation: &str, parameter: &Parameter) -> Vec<Option<String>> {
    let name = &parameter.name;
    let mut texts: Vec<String> = Vec::new();
    match (parameter.kind.as_str(), form(operation, name)) {
        ("integer", None) => {
            texts.extend(
                [
                    "many",
                    "1.5",
                    "0x10",
                    "1e3",
                    "1 2",
                    "٣",
                    "99999999999999999999999",
                    "-99999999999999999999999",
                ]
                .map(Into::into),
            );
            texts.extend([parameter.least - 1, parameter.most + 1].map(|it| it.to_string()));
            texts.push("9".repeat(TOO_LONG));
        }
        ("boolean", None) => {
            texts
                .extend(["yes", "1", "0", "truth", "true false", "null", "[true]"].map(Into::into));
            texts.push("true".repeat(TOO_LONG / 4));
        }
        ("string", Some(Form::Id)) => {
            texts.extend(
                ["01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e", "x", "-1", "{}x", "01935a2c"]
                    .map(Into::into),
            );
            texts.push("0".repeat(TOO_LONG));
        }
        ("string", Some(Form::Json(others))) => {
            texts.extend(
                [
                    "{",
                    "[",
                    "[1",
                    "{\"a\":",
                    "\"text\"",
                    "7",
                    "true",
                    "text",
                    "[]x",
                    "{\"a\":1}}",
                    "[[[]]]",
                    "[\"\\u0000\"]",
                ]
                .map(Into::into),
            );
            texts.extend(others.iter().map(|it| (*it).to_owned()));
            texts.push(format!("[{}", "1,".repeat(TOO_LONG / 2)));
            texts.push("[".repeat(TOO_LONG));
        }
        ("string", Some(Form::Word(wrong))) => {
            texts.extend(wrong.iter().map(|it| (*it).to_owned()));
            texts.push("x".repeat(TOO_LONG));
        }
        ("string", Some(Form::Text)) => texts.push("x".repeat(TOO_LONG)),
        ("string", Some(Form::Any(_))) => {}
        (kind, form) => panic!(
            "{operation} {name} is {kind}, for which there is {}: add a line to FORMS in src/edas/src/tests/forms.rs, such as\n    (\"{name}\", Form::Word(&[\"a wrong value\"])),",
            if form.is_some() { "a form of texts" } else { "no form" }
        ),
    }
    texts.extend(["a\u{7}b", "\0", "a\u{1b}[31m", "\u{85}"].map(Into::into));
    let mut found: Vec<Option<String>> = texts.into_iter().map(Some).collect();
    if parameter.required {
        found.extend([None, Some(String::new())]);
    }
    found
}

/// A request that would be served, for every operation.
pub(in super::super) fn well(operation: &str, name: &str, known: &Known) -> String {
    match (operation, name) {
        ("InsertK8sApplication" | "StartK8sAppPrecheck", "AppName") => "other",
        ("CreateAccessKey" | "CreatePrincipal" | "CreatePolicy", "Name") => "other",
        ("CreateHoldRule", "Applications") => "nobody",
        (_, "HeldBy") => "freeze",
        (_, "Periods") => "daily 22:00/06:00",
        ("DeleteHoldRule", "Name") => "kept",
        (_, "AccessKey") => super::super::server::KEY.id,
        (_, "Principal") => "tests",
        (_, "Policy") => "kept",
        (_, "Role") => "reader",
        (_, "PolicyDocument") => {
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#
        }
        (_, "AppName") => "web",
        (_, "AppId") => &known.application,
        (_, "ChangeOrderId") => &known.order,
        (_, "PipelineId") => &known.batch,
        (_, "TaskId") => &known.batch,
        (_, "ClusterId") => "default",
        (_, "Namespace") => "default",
        (_, "ImageUrl") => "shop/web:1",
        (_, "Replicas" | "Batch") => "1",
        (_, "Confirm") => "true",
        (_, "GroupId") => "all",
        (_, "HistoryVersion") => "1.0",
        ("ConvertK8sResource", "ResourceType") => "deployment",
        (_, "ResourceName") => "other",
        (_, "ResourceType") => "application",
        (_, "ResourceRegionId") => "cn-test",
        (_, "ResourceIds") => return format!("[\"{}\"]", known.application),
        (_, "Tags") => r#"[{"key":"team","value":"shop"}]"#,
        (_, "TagKeys") => r#"["team"]"#,
        (_, "RegionTag") => "cn-test:shop",
        (_, "RegionName") => "Shop",
        (_, "McpuLimit") => "100",
        ("BindK8sSlb" | "UpdateK8sSlb" | "UnbindK8sSlb", "Type") => "internet",
        ("UpdateConfigTemplate" | "DeleteConfigTemplate", "Id") => &known.template,
        (_, "ResourceContent") => {
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[]}}}}"#
        }
        (_, "Format") => "JSON",
        (_, "Content") => "{}",
        (_, "Type") => "ClusterIP",
        (_, "Name" | "ScalingRuleName") => "shop",
        (_, "Data") => r#"[{"Key":"a","Value":"b"}]"#,
        (_, "ScalingRuleTrigger") => {
            r#"{"minReplicas":1,"maxReplicas":2,"triggers":[{"type":"cpu","metaData":{"type":"Utilization","value":"50"}}]}"#
        }
        (_, "ServicePorts") => r#"[{"port":80}]"#,
        (_, "Port" | "TargetPort") => "80",
        (_, "InternetSlbPort" | "InternetTargetPort" | "IntranetSlbPort" | "IntranetTargetPort") => "80",
        (_, "IngressConf") => r#"{"rules":[{"host":"shop.example","paths":[{"backend":{"serviceName":"web","servicePort":80}}]}]}"#,
        _ => panic!("{operation} requires {name}: add a value that is right to `well` in src/edas/src/tests/wrong.rs"),
    }
    .to_owned()
}

/// What is sent besides although it is not required: without it, that would be refused.
pub(in super::super) const ALSO: &[(&str, &str)] = &[
    ("AttachPolicy", "Role"),
    ("BindK8sSlb", "Port"),
    ("CreateAccessKey", "Name"),
    ("CreateAccessKey", "Role"),
    ("DetachPolicy", "Role"),
    ("CreateHoldRule", "Applications"),
    ("CreateHoldRule", "Periods"),
    ("CreateApplicationScalingRule", "ScalingRuleTrigger"),
    ("CreateConfigTemplate", "Format"),
    ("BindK8sSlb", "TargetPort"),
    ("InsertK8sApplication", "ImageUrl"),
    ("InsertK8sApplication", "InternetSlbPort"),
    ("InsertK8sApplication", "InternetTargetPort"),
    ("InsertK8sApplication", "IntranetSlbPort"),
    ("InsertK8sApplication", "IntranetTargetPort"),
    ("StartK8sAppPrecheck", "AppName"),
    ("StartK8sAppPrecheck", "ImageUrl"),
    ("UntagResources", "TagKeys"),
    ("UpdateApplicationScalingRule", "ScalingRuleTrigger"),
    ("UpdateConfigTemplate", "Format"),
    ("UpdateK8sApplicationConfig", "McpuLimit"),
    ("UpdateK8sService", "ServicePorts"),
    ("UpdateK8sSlb", "Port"),
    ("UpdateK8sSlb", "TargetPort"),
];

pub(in super::super) struct Known {
    pub(in super::super) application: String,
    pub(in super::super) order: String,
    pub(in super::super) batch: String,
    pub(in super::super) template: String,
}
