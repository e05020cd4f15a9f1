//! Wrong input, generated for every parameter of every operation that is offered.
//!
//! The OpenAPI document says which parameters there are, of which type, within
//! which limits and whether required; `FORMS` says what a text must look like.
//! Each wrong value must be refused in EDAS form by the parameter's name, with the
//! value (secrets excepted) and what is allowed, and must change neither a row nor
//! the cluster. All of a Sluice runs, with an executor and a simulated cluster.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    forms::{Form, form, is_any, thing},
    reading::Live,
    *,
};

const ORDER: &str = "/pop/v5/changeorder/change_order_info";
const ORDERS: &str = "/pop/v5/changeorder/change_order_list";
const TEMPLATE: &str = "/pop/v5/config_template";
const ABORT: &str = "/pop/v5/changeorder/change_order_abort";

/// Values that may be passwords, and so are not in the error.
const SECRET: &[&str] = &[
    "Annotations",
    "Args",
    "Command",
    "CommandArgs",
    "Content",
    "Data",
    "Envs",
    "InitContainers",
    "JavaStartUpConfig",
    "Liveness",
    "PackageUrl",
    "PostStart",
    "PreStop",
    "Readiness",
    "ResourceContent",
    "Sidecars",
    "Startup",
    "WebContainerConfig",
];

/// Longer than any text that has a limit.
const TOO_LONG: usize = 20_000;

/// A parameter as it is described.
struct Parameter {
    name: String,
    kind: String,
    least: i128,
    most: i128,
    required: bool,
}

struct Described {
    name: String,
    method: String,
    path: String,
    parameters: Vec<Parameter>,
}

fn described() -> Vec<Described> {
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
fn wrong_values(operation: &str, parameter: &Parameter) -> Vec<Option<String>> {
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
fn well(operation: &str, name: &str, known: &Known) -> String {
    match (operation, name) {
        ("InsertK8sApplication" | "StartK8sAppPrecheck", "AppName") => "other",
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
const ALSO: &[(&str, &str)] = &[
    ("BindK8sSlb", "Port"),
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

struct Known {
    application: String,
    order: String,
    batch: String,
    template: String,
}

/// Tables whose rows change by themselves: of these only the number is compared.
const MOVING: &[&str] = &["executor", "kubernetes_cluster", "nonce", "precheck_request"];

async fn rows(live: &Live) -> BTreeMap<String, (i64, String)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    )
    .fetch_all(&live.server.pool)
    .await
    .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let each = tables.iter().map(|table| {
        let content = if MOVING.contains(&table.as_str()) {
            "''".into()
        } else {
            format!("coalesce(md5(string_agg({table}::text, '|' ORDER BY {table}::text)), '')")
        };
        format!("SELECT '{table}', count(*), {content} FROM {table}")
    });
    let all = each.collect::<Vec<_>>().join(" UNION ALL ");
    let found: Vec<(String, i64, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(all)).fetch_all(&live.server.pool).await.unwrap();
    found.into_iter().map(|(table, count, content)| (table, (count, content))).collect()
}

/// What was written to the cluster. A dry run writes nothing, nor what is answered with no.
fn writes(live: &Live) -> Vec<String> {
    let done = live
        .simulation
        .writes()
        .into_iter()
        .filter(|write| !write.call.dry_run && write.code < 300);
    done.map(|write| {
        format!("{} {} {} {}", write.call.verb, write.call.resource, write.call.name, write.code)
    })
    .collect()
}

/// Why the reply to a wrong value is not as it must be; none = it is.
fn mistake(
    parameter: &Parameter,
    value: Option<&str>,
    status: StatusCode,
    reply: &Map<String, Value>,
) -> Option<&'static str> {
    let (name, value) = (parameter.name.as_str(), value.unwrap_or_default());
    let message = reply["Message"].as_str().unwrap_or_default();
    let form = if value.is_empty() { "Missing" } else { "Invalid" };
    let is_refusal = match status {
        StatusCode::OK => reply["Code"] == 601,
        StatusCode::BAD_REQUEST => reply["Code"] == format!("{form}{name}"),
        _ => false,
    };
    let does_not_exist = message.contains("does not exist")
        && thing(name).is_some_and(|thing| message.contains(thing));
    // What is shown is the value, or of JSON the item that is wrong.
    let bare = |text: &str, most: usize| {
        text.chars()
            .filter(|it| !it.is_control() && !it.is_whitespace())
            .take(most)
            .collect::<String>()
    };
    let is_shown = bare(message, usize::MAX).contains(&bare(value, 80));
    let is_shown = is_shown
        || (value.starts_with(['[', '{']) && (message.contains("has the value") || does_not_exist));
    let allowed = [
        "must",
        "allowed",
        "mandatory",
        "only",
        "at most",
        "needs",
        "there is no",
        "look at its plan again",
        "it has",
        "is not made",
    ];
    match () {
        () if !is_refusal => Some("is not refused in EDAS form"),
        () if !message.contains(name) && !does_not_exist => Some("does not name the parameter"),
        () if SECRET.contains(&name) && message.contains("hidden") => Some("shows the secret"),
        () if !SECRET.contains(&name) && !is_shown => Some("does not show the value"),
        () if !does_not_exist && !allowed.iter().any(|it| message.contains(it)) => {
            Some("does not say what is allowed")
        }
        () => None,
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_wrong_value_is_refused_by_name_and_changes_nothing(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let orders: Value = live.server.call("POST", ORDERS, &[("AppId", &application)]).await.into();
    let order =
        orders["ChangeOrderList"]["ChangeOrder"][0]["ChangeOrderId"].as_str().unwrap().to_owned();
    let shown: Value = live.server.call("POST", ORDER, &[("ChangeOrderId", &order)]).await.into();
    let batch = shown["changeOrderInfo"]["PipelineInfoList"]["PipelineInfo"][0]["PipelineId"]
        .as_str()
        .unwrap()
        .to_owned();
    let template: Value =
        live.server.call("POST", TEMPLATE, &[("Name", "kept"), ("Content", "{}")]).await.into();
    let template = template["Data"]["Id"].to_string();
    let known = Known { application, order, batch, template };

    let (mut mistakes, mut counts) = (Vec::new(), BTreeMap::new());
    live.settle(&known.application).await;
    let (mut before, mut writes_before) = (rows(&live).await, writes(&live));
    for operation in described() {
        let required =
            operation.parameters.iter().filter(|it| it.required).map(|it| it.name.as_str());
        let also = ALSO
            .iter()
            .filter(|(name, _)| *name == operation.name)
            .map(|(_, parameter)| *parameter);
        let right: Vec<(&str, String)> =
            required.chain(also).map(|name| (name, well(&operation.name, name, &known))).collect();
        for parameter in &operation.parameters {
            let cases = wrong_values(&operation.name, parameter);
            let least = if is_any(&operation.name, &parameter.name) { 4 } else { 5 };
            assert!(
                cases.len() >= least,
                "{} {}: {} cases",
                operation.name,
                parameter.name,
                cases.len()
            );
            for wrong in cases {
                let mut given: Vec<(&str, &str)> = right
                    .iter()
                    .filter(|(name, _)| {
                        *name != parameter.name
                            && !(parameter.name == "PackageUrl" && *name == "ImageUrl")
                    })
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                given.extend(wrong.as_deref().map(|value| (parameter.name.as_str(), value)));
                let (status, reply) =
                    live.server.answer(&operation.method, &operation.path, &given).await;
                let after = rows(&live).await;
                let mut why: Vec<String> = mistake(parameter, wrong.as_deref(), status, &reply)
                    .map(Into::into)
                    .into_iter()
                    .collect();
                let looked = ["it cannot work: ", "parameter PlanHash", "parameter UpdateStrategy"]
                    .iter()
                    .any(|it| reply["Message"].as_str().is_some_and(|said| said.starts_with(it)));
                for (table, (count, content)) in &after {
                    // The question to an executor whether it can work is kept for its answer.
                    if table == "precheck_request" && looked {
                        continue;
                    }
                    if before[table] != (*count, content.clone()) {
                        why.push(format!(
                            "changes {table} ({} rows, {count} after)",
                            before[table].0
                        ));
                    }
                }
                let writes_after = writes(&live);
                if writes_after != writes_before {
                    why.push(format!(
                        "writes to the cluster: {:?}",
                        &writes_after[writes_before.len()..]
                    ));
                }
                *counts.entry(operation.name.clone()).or_insert(0) += 1;
                if !why.is_empty() {
                    let value: String =
                        wrong.as_deref().unwrap_or("(absent)").chars().take(70).collect();
                    mistakes.push(format!(
                        "{} {}={value:?}: {}\n    {status} {} {:.300}",
                        operation.name,
                        parameter.name,
                        why.join(", "),
                        reply["Code"],
                        reply["Message"].as_str().unwrap_or_default()
                    ));
                    live.settle(&known.application).await;
                }
                (before, writes_before) = (rows(&live).await, writes(&live));
            }
        }
    }
    let total: usize = counts.values().sum();
    println!("{total} wrong values of {} operations", counts.len());
    assert!(
        mistakes.is_empty(),
        "{} of {total} wrong values:\n{}",
        mistakes.len(),
        mistakes.join("\n")
    );
    for offer in offered::OFFERS {
        let count = counts.get(offer.operation).copied().unwrap_or_default();
        assert!(count >= 4 * offer.parameters.len(), "{}: only {count} cases", offer.operation);
    }
    assert!(total > 3000, "{total}");
}

impl Live {
    /// Ends what was begun by mistake, so that the next values find what the first did.
    async fn settle(&self, application: &str) {
        let orders: Value =
            self.server.call("POST", ORDERS, &[("AppId", application)]).await.into();
        for order in orders["ChangeOrderList"]["ChangeOrder"].as_array().into_iter().flatten() {
            if ![2, 3, 6, 10].contains(&order["Status"].as_i64().unwrap()) {
                self.server
                    .call(
                        "PUT",
                        ABORT,
                        &[("ChangeOrderId", order["ChangeOrderId"].as_str().unwrap())],
                    )
                    .await;
            }
        }
        // What is still at work has ended when two looks are the same.
        let mut last = BTreeMap::new();
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            ticks.tick().await;
            assert!(std::time::Instant::now() < deadline, "not at rest: {last:?}");
            let (rows, writes) = (rows(self).await, writes(self));
            let next: BTreeMap<_, _> = rows
                .into_iter()
                .filter(|(table, _)| !MOVING.contains(&table.as_str()))
                .map(|(table, row)| (table, (row, writes.clone())))
                .collect();
            if next == last {
                break;
            }
            last = next;
        }
    }
}
