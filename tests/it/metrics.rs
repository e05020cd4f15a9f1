//! What Prometheus reads of the program: numbers that are right, and no others than those that
//! docs/metrics.md lists.

use std::{collections::BTreeSet, process::Stdio};

use clock::Clock;
use domain::order::{FailurePolicy, State, plan::Strategy};
use service::Service;
use sqlx::PgPool;
use store::Store;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::{caller, creation, database_url, eventually, release, settings};

/// The program on a simulated cluster, and the address of its metrics.
async fn serve(pool: &PgPool) -> (Child, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["serve", "--cluster", "simulated", "--metrics-listen", "127.0.0.1:0"])
        .args(["--log-format", "json"])
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_KEYRING", test_support::keyring::TEXT)
        .env("SLUICE_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("it must say where it serves metrics");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        if line["fields"]["message"] == "serving metrics" {
            break line["fields"]["address"].as_str().unwrap().to_owned();
        }
    };
    // Nobody may leave it with a pipe that is full.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (program, format!("http://{address}/metrics"))
}

async fn read(address: &str) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::get(address).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    answer.text().await.unwrap()
}

/// The value of a number, with its labels as they are written.
fn value(text: &str, number: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(number)?.strip_prefix(' ')?.parse().ok())
}

/// Names of the numbers, without what a histogram adds to its own.
fn names(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split_once(' ')?.0.to_owned()))
        .collect()
}

/// Names that the document lists.
fn told() -> BTreeSet<String> {
    include_str!("../../docs/metrics.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `sluice_")?.split_once('`')?.0))
        .map(|name| format!("sluice_{name}"))
        .collect()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_prometheus_reads_is_right_and_is_what_the_document_lists(pool: PgPool) {
    let (_program, address) = serve(&pool).await;
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let service = Service::new(store, Clock::default(), settings(FailurePolicy::default()));
    // What begins at 1 does not rise, and would raise no alert.
    let failed = "sluice_orders_ended_total{kind=\"rollback\",state=\"failed\"}";
    assert_eq!(value(&read(&address).await, failed), Some(0.0));
    // Its executor has to have seen the cluster's namespaces.
    let (application, _) = eventually(async || {
        let created = service.create_application(&caller(), creation("default", "web", 2)).await;
        created.map_err(|error| error.to_string())
    })
    .await;
    let end = async |wanted: State| {
        eventually(async || {
            let order = service.newest_order(application).await.unwrap().unwrap();
            if order.state == wanted { Ok(()) } else { Err(format!("{order:?}")) }
        })
        .await;
    };
    end(State::Succeeded).await;
    let failing = release(application, "shop/web:2.0--image-pull-error", Strategy::ALL_AT_ONCE);
    let failing = service.deploy(&caller(), failing).await.unwrap();
    eventually(async || {
        let order = service.order(failing).await.unwrap();
        if order.state == State::Failed { Ok(()) } else { Err(format!("{order:?}")) }
    })
    .await;
    // The rollback.
    end(State::Succeeded).await;

    let counted = [
        ("sluice_orders_ended_total{kind=\"create\",state=\"succeeded\"}", 1.0),
        ("sluice_orders_ended_total{kind=\"deploy\",state=\"failed\"}", 1.0),
        ("sluice_orders_ended_total{kind=\"rollback\",state=\"succeeded\"}", 1.0),
        ("sluice_failures_total{cause=\"ErrImagePull\"}", 1.0),
        ("sluice_leases_taken_over_total{holder_was=\"gone\"}", 0.0),
        ("sluice_leases_taken_over_total{holder_was=\"silent\"}", 0.0),
        ("sluice_order_seconds_count{kind=\"create\",state=\"succeeded\"}", 1.0),
        ("sluice_database_up", 1.0),
        ("sluice_object_writes_open", 0.0),
    ];
    let text = eventually(async || {
        let text = read(&address).await;
        for (number, wanted) in counted {
            if value(&text, number) != Some(wanted) {
                return Err(format!("{number} is not {wanted} in {text}"));
            }
        }
        Ok(text)
    })
    .await;
    for kind in ["deployments", "replicasets", "pods", "namespaces"] {
        let number = format!("sluice_watch_events_total{{kind=\"{kind}\",outcome=\"event\"}}");
        assert!(value(&text, &number) > Some(0.0), "{number} in {text}");
    }
    // What the check before an order asks is told from what the order does.
    for (verb, dry_run) in [("create", false), ("patch", true), ("patch", false)] {
        let counted =
            format!("sluice_kubernetes_requests_total{{verb=\"{verb}\",resource=\"deployments\",");
        let labelled = format!("dry_run=\"{dry_run}\"");
        let is_it = |line: &str| line.starts_with(&counted) && line.contains(&labelled);
        assert!(text.lines().any(is_it), "{verb} {labelled}: {text}");
    }
    let statement = "sluice_database_statement_seconds_count{statement=\"record_applied\"}";
    assert!(value(&text, statement) >= Some(3.0), "{text}");
    for name in ["web", "tester"] {
        let shown = text.lines().find(|line| line.contains(&format!("\"{name}\"")));
        assert_eq!(shown, None);
    }
    let unknown: Vec<_> = names(&text).difference(&told()).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?} is not in docs/metrics.md");
    // What is described is what is listed, also where nothing was counted yet.
    let source = include_str!("../../src/sluice/src/metrics.rs");
    let (_, describe) = source.split_once("fn describe()").unwrap();
    for name in told() {
        assert!(describe.contains(&format!("\"{name}\"")), "{name} is not described");
    }
    let described = describe.matches("\"sluice_").count();
    assert_eq!(described, told().len());
}
