//! What a collector gets of the program: one trace from a request to each request to the
//! cluster; and that a collector which is away, or hangs, holds nothing up. Needs the feature
//! `otel-test`, and a database: `make otel`.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy only knows it of the functions marked as tests"
)]

mod collector;
#[path = "../it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "made for the tests of `it`; these need a part of it"
)]
mod support;

use std::{
    collections::{BTreeSet, HashSet},
    sync::atomic::Ordering::Relaxed,
};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use serde_json::Value;
use sqlx::PgPool;
use test_support::authority::Authority;

use self::{
    collector::{Collector, Deaf, attributes},
    support::{eventually, program::Program},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "b7ad6b7169203331";

const CREATE: &str = "/pop/v5/k8s/acs/create_k8s_app";
const DEPLOY: &str = "/pop/v5/k8s/acs/k8s_apps";
const ORDER: &str = "/pop/v5/changeorder/change_order_info";

/// Waits until the newest order has ended so.
async fn newest_is(pool: &PgPool, kind: &str, state: &str) {
    eventually(async || {
        let newest = "SELECT kind::text, state::text FROM change_order ORDER BY created_at DESC, id DESC LIMIT 1";
        let found: (String, String) = sqlx::query_as(newest).fetch_one(pool).await.unwrap();
        if found == (kind.into(), state.into()) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// An application. Its id.
async fn create(pool: &PgPool, program: &Program) -> String {
    let creation = [("AppName", "web"), ("ClusterId", "default"), ("ImageUrl", "shop/web:1.0")];
    let created: Value = eventually(async || {
        // Its executor has to have seen the cluster's namespaces.
        let answer = program.call("POST", CREATE, &creation, None).await;
        if answer["Code"] == 200 { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    newest_is(pool, "create", "succeeded").await;
    created["ApplicationInfo"]["AppId"].as_str().unwrap().to_owned()
}

/// A release to its end, with a secret in it.
async fn release(
    pool: &PgPool,
    program: &Program,
    application: &str,
    header: Option<(&str, &str)>,
) {
    let envs = r#"[{"name":"PASSWORD","value":"secret-of-the-pods"}]"#;
    let release = [("AppId", application), ("Image", "shop/web:2.0"), ("Envs", envs)];
    program.succeeds("POST", DEPLOY, &release, header).await;
    newest_is(pool, "deploy", "succeeded").await;
}

fn of_trace(spans: &[Span]) -> Vec<Span> {
    spans.iter().filter(|span| hex::encode(&span.trace_id) == TRACE).cloned().collect()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_collector_sees_a_request_its_drive_and_each_request_to_the_cluster_as_one_trace(
    pool: PgPool,
) {
    let collector = Collector::start().await;
    let settings = ["--otlp-endpoint", &collector.address];
    let headers = [("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-test")];
    let mut program = Program::start_in(&pool, &settings, &headers).await;
    let application = create(&pool, &program).await;
    let parent = format!("00-{TRACE}-{SENDER}-01");
    release(&pool, &program, &application, Some(("traceparent", &parent))).await;

    let named = |spans: &[Span], name: &str| -> Vec<Span> {
        spans.iter().filter(|span| span.name == name).cloned().collect()
    };
    let spans = eventually(async || {
        let spans = of_trace(&collector.spans());
        if named(&spans, "drive").is_empty() {
            return Err(format!("{spans:?}"));
        }
        Ok(spans)
    })
    .await;
    let request = named(&spans, "DeployK8sApplication").pop().unwrap();
    assert_eq!(hex::encode(&request.parent_span_id), SENDER);
    assert_eq!(request.kind(), SpanKind::Server);
    assert!(request.events.iter().any(|event| event.name == "request answered"));

    let drives = named(&spans, "drive");
    for drive in &drives {
        assert_eq!(drive.parent_span_id, request.span_id);
        let said = attributes(&drive.attributes);
        assert_eq!((said["application"].as_str(), said["namespace"].as_str()), ("web", "default"));
        assert!(said["order.id"].len() == 36 && !said.contains_key("trace.id"), "{said:?}");
    }
    let patches = named(&spans, "PATCH deployments");
    assert!(!patches.is_empty(), "{spans:?}");
    for patch in &patches {
        let around = drives.iter().find(|drive| drive.span_id == patch.parent_span_id).unwrap();
        assert!(around.start_time_unix_nano <= patch.start_time_unix_nano);
        assert!(patch.end_time_unix_nano <= around.end_time_unix_nano);
        assert_eq!(patch.kind(), SpanKind::Client);
        let said = attributes(&patch.attributes);
        let said = ["method", "resource", "namespace", "status"].map(|name| said[name].as_str());
        assert_eq!(said, ["PATCH", "deployments", "default", "200"]);
    }

    // Each statement is known by its name, and is in the span of what it is for.
    let of = |name: &str| named(&spans, name).pop().unwrap().parent_span_id;
    assert!(drives.iter().any(|drive| drive.span_id == of("record_applied")));
    let transaction = named(&spans, "transaction");
    assert!(transaction.iter().any(|span| span.span_id == of("insert_order")));
    assert!(transaction.iter().all(|span| span.parent_span_id == request.span_id));
    assert!(named(&spans, "extend").is_empty());

    // What ends with the program is sent as well.
    assert!(program.end().await.success());
    let all = collector.spans();
    let roots = all.iter().filter(|span| span.parent_span_id.is_empty());
    assert!(roots.clone().count() > 0);
    for root in roots {
        assert_eq!(
            root.kind(),
            SpanKind::Server,
            "watches and health checks are no traces: {root:?}"
        );
    }
    let ids: HashSet<_> = all.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), all.len());
    for span in &all {
        let is_known = span.parent_span_id.is_empty()
            || hex::encode(&span.parent_span_id) == SENDER
            || ids.contains(&span.parent_span_id);
        assert!(is_known, "its parent is sent, too: {span:?}");
        assert_ne!(span.status.clone().unwrap_or_default().code(), StatusCode::Error, "{span:?}");
    }
    let program_is = collector.resource();
    assert_eq!(program_is["service.name"], "sluice");
    assert_eq!(program_is["service.version"], env!("CARGO_PKG_VERSION"));
    assert!(collector.authorizations().iter().all(|it| it == "Bearer of-the-test"));
    assert!(!collector.authorizations().is_empty());
    assert!(collector.got("insert_order"), "the reading finds texts");
    assert!(!collector.got("INSERT INTO"), "of a statement its name alone");
    for secret in ["secret-of-the-pods", "secret-of-the-test", "Bearer"] {
        assert!(!collector.got(secret), "{secret}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_trace_whose_sender_does_not_record_it_is_not_sent(pool: PgPool) {
    let collector = Collector::start().await;
    let mut program = Program::start(&pool, &["--otlp-endpoint", &collector.address]).await;
    let application = create(&pool, &program).await;
    let parent = format!("00-{TRACE}-{SENDER}-00");
    release(&pool, &program, &application, Some(("traceparent", &parent))).await;
    assert!(program.end().await.success());
    assert!(!collector.spans().is_empty(), "others are sent");
    assert_eq!(of_trace(&collector.spans()), []);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn of_no_percent_nothing_is_sent(pool: PgPool) {
    let collector = Collector::start().await;
    let settings = ["--otlp-endpoint", &collector.address, "--otlp-sample", "0"];
    let mut program = Program::start(&pool, &settings).await;
    create(&pool, &program).await;
    assert!(program.end().await.success());
    assert_eq!(collector.spans(), []);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_collector_is_asked_by_https_if_it_has_a_certificate_that_counts(pool: PgPool) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = Authority::new();
    let collector = Collector::start_with_tls(&authority).await;
    let settings = ["--otlp-endpoint", collector.address.as_str()];
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let trusts = [("SSL_CERT_FILE", trusted.to_str().unwrap())];
    let mut program = Program::start_in(&pool, &settings, &trusts).await;
    create(&pool, &program).await;
    assert!(program.end().await.success());
    let sent = collector.spans().len();
    assert!(sent > 0 && times_said(&program) == 0, "{:?}", program.log());

    // It does not trust the collector.
    let mut program = Program::start_in(&pool, &settings, &[]).await;
    let shown = ("ChangeOrderId", "01935a2c-52b0-7c41-8d6e-000000000001");
    program.call("POST", ORDER, &[shown], None).await;
    eventually(async || match times_said(&program) {
        0 => Err(format!("{:?}", program.log())),
        _ => Ok(()),
    })
    .await;
    assert!(program.end().await.success());
    assert_eq!(collector.spans().len(), sent);
}

/// Whichever program sees it: the trace's id alone says whether it is sent.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn of_half_of_the_traces_the_same_ones_are_sent(pool: PgPool) {
    let collector = Collector::start().await;
    let settings = ["--otlp-endpoint", &collector.address, "--otlp-sample", "50"];
    let mut program = Program::start(&pool, &settings).await;
    let asked = ["00000000", "7fffffff", "80000000", "ffffffff"];
    for last in asked {
        let parent = format!("00-0af7651916cd43dd8448eb21{last}-{SENDER}-01");
        let shown = ("ChangeOrderId", "01935a2c-52b0-7c41-8d6e-000000000001");
        let header = Some(("traceparent", parent.as_str()));
        program.call("POST", ORDER, &[shown], header).await;
    }
    assert!(program.end().await.success());
    let sent: BTreeSet<String> =
        collector.spans().iter().map(|span| hex::encode(&span.trace_id).split_off(24)).collect();
    assert_eq!(sent, BTreeSet::from(["00000000", "7fffffff"].map(str::to_owned)));
}

fn times_said(program: &Program) -> usize {
    let is_it = |line: &&Value| {
        let said = line["fields"]["message"].as_str().unwrap_or_default();
        said.starts_with("traces cannot be sent")
    };
    program.log().iter().filter(is_it).count()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_collector_that_is_away_holds_no_release_up_and_is_said_once(pool: PgPool) {
    let collector = Deaf::away().await;
    let mut program = Program::start(&pool, &["--otlp-endpoint", &collector.address]).await;
    let application = create(&pool, &program).await;
    release(&pool, &program, &application, None).await;
    eventually(async || {
        // Another trace, so that it is asked again.
        let shown = ("ChangeOrderId", "01935a2c-52b0-7c41-8d6e-000000000001");
        program.call("POST", ORDER, &[shown], None).await;
        let asked = collector.asked.load(Relaxed);
        if asked >= 3 { Ok(()) } else { Err(format!("asked {asked} times")) }
    })
    .await;
    assert_eq!(times_said(&program), 1, "{:?}", program.log());
    assert!(program.end().await.success());
    assert_eq!(times_said(&program), 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_collector_that_hangs_holds_neither_a_release_nor_the_end_up(pool: PgPool) {
    let collector = Deaf::hanging().await;
    let mut program = Program::start(&pool, &["--otlp-endpoint", &collector.address]).await;
    let application = create(&pool, &program).await;
    eventually(async || match collector.asked.load(Relaxed) {
        0 => Err("it was not asked".into()),
        _ => Ok(()),
    })
    .await;
    release(&pool, &program, &application, None).await;
    assert!(program.end().await.success());
}
