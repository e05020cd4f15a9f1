//! Wrong input, generated for every parameter of every operation that is offered.
//!
//! The OpenAPI document says which parameters there are, of which type, within
//! which limits and whether required; `FORMS` says what a text must look like.
//! Each wrong value must be refused in EDAS form by the parameter's name, with the
//! value (secrets excepted) and what is allowed, and must change neither a row nor
//! the cluster. All of a Sluice runs, with an executor and a simulated cluster.

pub(super) mod value;

use std::collections::BTreeMap;

use serde_json::json;

use self::value::{ALSO, Known, Parameter, described, well, wrong_values};
use super::{
    forms::{Form, form, thing},
    reading::Live,
    *,
};

const ORDER: &str = "/pop/v5/changeorder/change_order_info";
const ORDERS: &str = "/pop/v5/changeorder/change_order_list";
const TEMPLATE: &str = "/pop/v5/config_template";
const ABORT: &str = "/pop/v5/changeorder/change_order_abort";

/// Values that may be passwords, and so are not in the error.
pub(super) const SECRET: &[&str] = &[
    "AddEnvs",
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

/// Tables whose rows change by themselves: of these only the number is compared.
const MOVING: &[&str] =
    &["access_key", "executor", "kubernetes_cluster", "nonce", "precheck_request"];

pub(super) async fn rows(live: &Live) -> BTreeMap<String, (i64, String)> {
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
        // What is refused, read or tried in vain is on record, and nothing else is.
        // Showing a cluster that is shown is one of those that may do it.
        let only = match table.as_str() {
            "audit_entry" => "WHERE outcome = 'done' AND operation <> 'edas:ImportK8sCluster'",
            _ => "",
        };
        format!("SELECT '{table}', count(*), {content} FROM {table} {only}")
    });
    let all = each.collect::<Vec<_>>().join(" UNION ALL ");
    let found: Vec<(String, i64, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(all)).fetch_all(&live.server.pool).await.unwrap();
    found.into_iter().map(|(table, count, content)| (table, (count, content))).collect()
}

/// What was written to the cluster. A dry run writes nothing, nor what is answered with no.
pub(super) fn writes(live: &Live) -> Vec<String> {
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
    // What stands in a path is no parameter of a form: `tests/it/follow.rs` has wrong ids.
    let (in_paths, operations): (Vec<_>, Vec<_>) =
        described().into_iter().partition(|it| it.path.contains('{'));
    for operation in operations {
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
            let least = if matches!(form(&operation.name, &parameter.name), Some(Form::Any(_))) {
                4
            } else {
                5
            };
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
        if in_paths.iter().any(|it| it.name == offer.operation) {
            continue;
        }
        let count = counts.get(offer.operation).copied().unwrap_or_default();
        assert!(count >= 4 * offer.parameters.len(), "{}: only {count} cases", offer.operation);
    }
    assert!(total > 3000, "{total}");
}

/// Looks at the rows, a tenth of a second apart, that must be alike: numbers of pods are mirrored
/// once a second.
const LOOKS: usize = 12;

impl Live {
    /// Ends what was begun by mistake, so that the next values find what the first did.
    pub(super) async fn settle(&self, application: &str) {
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
        // What is still at work has ended when so many looks are the same.
        let (mut last, mut alike) = (BTreeMap::new(), 0);
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
            alike = if next == last { alike + 1 } else { 0 };
            if alike == LOOKS {
                break;
            }
            last = next;
        }
    }
}
