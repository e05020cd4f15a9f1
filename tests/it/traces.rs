//! The trace of a request reaches its order, whoever carries that out, and the order that
//! takes it back; also where no traces are sent.

use serde_json::Value;
use sqlx::PgPool;

use crate::{
    support::{eventually, program::Program},
    takeover::Cluster,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "b7ad6b7169203331";

const CREATE: &str = "/pop/v5/k8s/acs/create_k8s_app";
const DEPLOY: &str = "/pop/v5/k8s/acs/k8s_apps";

/// Kind, state and `trace_parent` of all orders, in order.
async fn orders(pool: &PgPool) -> Vec<(String, String, String, Option<String>)> {
    let orders = "SELECT id::text, kind::text, state::text, trace_parent FROM change_order ORDER BY created_at, id";
    sqlx::query_as(orders).fetch_all(pool).await.unwrap()
}

/// Waits until the orders are these, each with its state.
async fn ended(pool: &PgPool, expected: &[(&str, &str)]) -> Vec<(String, String)> {
    eventually(async || {
        let found = orders(pool).await;
        let shown: Vec<_> =
            found.iter().map(|(_, kind, state, _)| (kind.as_str(), state.as_str())).collect();
        if shown != expected {
            return Err(format!("{shown:?}"));
        }
        Ok(found.into_iter().map(|(id, _, _, trace)| (id, trace.unwrap())).collect())
    })
    .await
}

/// A field of the spans around a line.
fn around<'a>(line: &'a Value, field: &str) -> Option<&'a str> {
    line["spans"].as_array()?.iter().find_map(|span| span[field].as_str())
}

/// The trace ids of the lines in a span of this name, where a field of it is this.
fn traces(log: &[Value], span: &str, (field, value): (&str, &str)) -> Vec<String> {
    let is_in = |line: &&Value| {
        line["spans"]
            .as_array()
            .is_some_and(|spans| spans.iter().any(|it| it["name"] == span && it[field] == value))
    };
    let traced = log.iter().filter(is_in).map(|line| around(line, "trace.id").unwrap().to_owned());
    traced.collect()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_request_its_order_each_drive_and_the_rollback_are_one_trace(pool: PgPool) {
    let mut program = Program::start(&pool, &[]).await;
    let creation = [("AppName", "web"), ("ClusterId", "default"), ("ImageUrl", "shop/web:1.0")];
    let created = eventually(async || {
        // Its executor has to have seen the cluster's namespaces.
        let answer = program.call("POST", CREATE, &creation, None).await;
        if answer["Code"] == 200 { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    ended(&pool, &[("create", "succeeded")]).await;
    let application = created["ApplicationInfo"]["AppId"].as_str().unwrap();
    let parent = format!("00-{TRACE}-{SENDER}-01");
    let release = [("AppId", application), ("Image", "shop/web:2.0--image-pull-error")];
    program.succeeds("POST", DEPLOY, &release, Some(("traceparent", &parent))).await;
    let [(_, begun), (deploy, wrote), (rollback, takes_back)] =
        ended(&pool, &[("create", "succeeded"), ("deploy", "failed"), ("rollback", "succeeded")])
            .await
            .try_into()
            .unwrap();

    assert!(wrote.starts_with(&format!("00-{TRACE}-")) && wrote.ends_with("-01"), "{wrote}");
    assert!(!wrote.contains(SENDER), "the request's own span, and not its sender's: {wrote}");
    assert_eq!(takes_back, wrote);
    assert!(!begun.contains(TRACE), "another request's trace is another one: {begun}");

    // The rollback's row ends before its last line is written.
    eventually(async || {
        let log = program.log();
        for order in [&deploy, &rollback] {
            let found = traces(&log, "drive", ("order.id", order));
            if found.len() < 2 {
                return Err(format!("{order}: {log:?}"));
            }
            assert!(found.iter().all(|trace| trace == TRACE), "{found:?}");
        }
        Ok(())
    })
    .await;
    assert!(program.end().await.success());
    let log = program.log();
    assert_eq!(
        traces(&log, "request", ("operation", "DeployK8sApplication")).first().unwrap(),
        TRACE
    );
    let answered = log
        .iter()
        .find(|line| {
            line["fields"]["message"] == "request answered"
                && around(line, "parent.id") == Some(SENDER)
        })
        .unwrap();
    assert_eq!(wrote, format!("00-{TRACE}-{}-01", around(answered, "span.id").unwrap()));
    assert!(
        traces(&log, "request", ("operation", "InsertK8sApplication"))
            .iter()
            .all(|trace| trace.len() == 32 && trace != TRACE)
    );
}

/// A program that is killed in the middle of a release, and the next one.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn another_program_that_takes_an_order_over_goes_on_with_its_trace(pool: PgPool) {
    let cluster = Cluster::start().await;
    let kubeconfig = cluster.kubeconfig.to_str().unwrap();
    let environment = [("SLUICE_CLUSTER", "kubernetes"), ("KUBECONFIG", kubeconfig)];
    let mut first = Program::start_in(&pool, &[], &environment).await;
    let creation = [
        ("AppName", "web"),
        ("ClusterId", "default"),
        ("ImageUrl", "shop/web:1.0"),
        ("Replicas", "5"),
    ];
    let created = eventually(async || {
        let answer = first.call("POST", CREATE, &creation, None).await;
        if answer["Code"] == 200 { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    ended(&pool, &[("create", "succeeded")]).await;
    let application = created["ApplicationInfo"]["AppId"].as_str().unwrap();
    let parent = format!("00-{TRACE}-{SENDER}-01");
    let batches = r#"{"type":"BatchUpdate","batchUpdate":{"batch":5,"releaseType":"auto","batchWaitTime":0}}"#;
    let release = [("AppId", application), ("Image", "shop/web:2.0"), ("UpdateStrategy", batches)];
    first.succeeds("POST", DEPLOY, &release, Some(("traceparent", &parent))).await;
    eventually(async || {
        let under_way =
            "SELECT batch FROM change_order WHERE kind = 'deploy' AND state = 'running'";
        let batch: Option<i32> = sqlx::query_scalar(under_way).fetch_optional(&pool).await.unwrap();
        if batch > Some(0) { Ok(()) } else { Err(format!("{batch:?}")) }
    })
    .await;
    first.kill().await;

    let second = Program::start_in(&pool, &[], &environment).await;
    let both = ended(&pool, &[("create", "succeeded"), ("deploy", "succeeded")]).await;
    let (order, _) = &both[1];
    eventually(async || {
        let found = traces(&second.log(), "drive", ("order.id", order));
        match found.as_slice() {
            [] => Err("nothing of the order is logged".into()),
            all if all.iter().all(|trace| trace == TRACE) => Ok(()),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// Whoever began the trace does not want it to be recorded: nor does whoever goes on with it.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_trace_that_is_not_recorded_stays_so(pool: PgPool) {
    let program = Program::start(&pool, &[]).await;
    let parent = format!("00-{TRACE}-{SENDER}-00");
    let creation = [("AppName", "web"), ("ClusterId", "default"), ("ImageUrl", "shop/web:1.0")];
    eventually(async || {
        let answer = program.call("POST", CREATE, &creation, Some(("traceparent", &parent))).await;
        if answer["Code"] == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    let [(order, trace)] = ended(&pool, &[("create", "succeeded")]).await.try_into().unwrap();
    assert!(trace.starts_with(&format!("00-{TRACE}-")) && trace.ends_with("-00"), "{trace}");
    let log = program.log();
    let drive = log.iter().find(|line| around(line, "order.id") == Some(&order)).unwrap();
    assert_eq!((around(drive, "trace.id"), around(drive, "span.id")), (Some(TRACE), None));
}

/// Without the feature `otel` nothing can be sent: that is said at the start, and not later.
#[cfg(not(feature = "otel"))]
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_that_sends_no_traces_does_not_start_with_a_collector(pool: PgPool) {
    let ended = tokio::process::Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["serve", "--cluster", "simulated", "--otlp-endpoint", "http://127.0.0.1:4318"])
        .env("DATABASE_URL", crate::support::database_url(&pool))
        .env("SLUICE_KEYRING", test_support::keyring::TEXT)
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(crate::support::DEADLINE, ended).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("without the feature otel"), "{said}");
}
