//! Both big calls read in full, and with nothing but what they need.
//!
//! From parameters to the service's request, without the service: names, units
//! and bounds of the two calls, which differ.

mod template;

use serde_json::json;

use super::*;
use domain::{
    order::plan::{Pace, Strategy},
    package::PackageKind,
    template::{
        graceful_start::GracefulStartChange,
        java::{JavaChange, Web, WebContext},
        spec::{EnvVar, Field},
    },
};
use service::{Caller, Service};
use std::sync::LazyLock;
use tokio::runtime::Runtime;

fn call(operation: &str, parameters: &[(&str, &str)]) -> Call {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let query: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let caller = Caller {
        key_id: "k".into(),
        name: "tests".into(),
        principal: "tests".into(),
        person: None,
        request_id: "R".into(),
        trace: None,
        source: domain::Source::Api,
        reason: String::new(),
        peer: None,
        identity: None,
    };
    let params = Params::parse(&query.join("&")).unwrap().of(operation);
    Call { params, caller, service: SERVICE.1.clone() }
}

/// Use cases that are never asked. Their pool needs a runtime.
static SERVICE: LazyLock<(Runtime, Service)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let inside = runtime.enter();
    let service = crate::tests::service_without_database();
    drop(inside);
    (runtime, service)
});

fn message(error: ApiError) -> String {
    match error {
        ApiError::Gateway { code, message, .. } => format!("{code}: {message}"),
        ApiError::Business { message, .. } => message,
    }
}

const APP: &str = "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e";

#[test]
fn a_deploy_with_every_parameter_is_read() {
    let request = read_deploy(&call("DeployK8sApplication", &[
        ("AppId", APP),
        ("Image", "shop/web:2"),
        ("ImageTag", "3"),
        ("PackageVersion", "2.0"),
        ("PackageVersionId", "01935a2c52b07c418d6e2a4f6b8c0d1f"),
        ("Replicas", "4"),
        ("UpdateStrategy", r#"{"type":"BatchUpdate","batchUpdate":{"batch":2,"releaseType":"auto","batchWaitTime":3}}"#),
        ("BatchTimeout", "60"),
        ("BatchWaitTime", "5"),
        ("ChangeOrderDesc", "why"),
        ("Envs", r#"[{"name":"A","value":1}]"#),
        ("AddEnvs", r#"[{"name":"B","value":"2"}]"#),
        ("Command", "sh"),
        ("Args", r#"[{"argument":"-c"}]"#),
        ("Readiness", r#"{"TcpSocket":{"port":80}}"#),
        ("Liveness", ""),
        ("CpuLimit", "2"),
        ("McpuRequest", "500"),
        ("MemoryLimit", "256"),
        ("MemoryRequest", "0"),
        ("DrainSeconds", "5"),
        ("EnableLosslessRule", "true"),
        ("LosslessRuleAligned", "True"),
        ("AllowNoSurge", "True"),
        ("PlanHash", "ab12"),
    ]))
    .unwrap();
    let spec = SpecChange {
        image: Some("shop/web:2".into()),
        image_tag: Some("3".into()),
        env: Field::Set(vec![EnvVar::plain("A", "1")]),
        added_env: vec![EnvVar::plain("B", "2")],
        command: Field::Set(vec!["sh".into()]),
        args: Field::Set(vec!["-c".into()]),
        readiness: Field::Set(json!({ "tcpSocket": { "port": 80 } })),
        liveness: Field::Clear,
        cpu_limit: Some(2000),
        cpu_request: Some(500),
        memory_limit: Some(256),
        memory_request: Some(0),
        drain_seconds: Some(5),
        graceful_start: GracefulStartChange {
            on: Some(true),
            registered_first: Some(true),
            ..GracefulStartChange::default()
        },
        pods: Box::new(PodChange { env_from_keys: Field::Clear, ..PodChange::default() }),
        java: Box::default(),
        container: domain::template::container::Known::Nothing,
    };
    assert_eq!(request.spec, spec);
    assert_eq!((request.plan_hash.as_deref(), request.allows_no_surge), (Some("ab12"), true));
    assert_eq!(request.application.to_string(), APP);
    assert_eq!(request.release.unwrap().to_string(), "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1f");
    assert_eq!(
        request.strategy,
        Some(Strategy { canary: 0, batches: 2, pace: Pace::Automatic { wait_minutes: 3 } })
    );
    assert_eq!(
        (request.replicas, request.batch_timeout_seconds, request.min_ready_seconds),
        (Some(4), Some(60), Some(5))
    );
    assert_eq!((request.version.as_deref(), request.description.as_str()), (Some("2.0"), "why"));
}

#[test]
fn a_deploy_of_nothing_but_the_application_keeps_everything() {
    let request = read_deploy(&call("DeployK8sApplication", &[("AppId", APP)])).unwrap();
    assert_eq!(request.spec, SpecChange::default());
    assert_eq!((request.release, request.version, request.replicas), (None, None, None));
    assert_eq!(
        (request.strategy, request.batch_timeout_seconds, request.min_ready_seconds),
        (None, None, None)
    );
}

#[test]
fn a_creation_uses_the_create_calls_own_names() {
    let request = read_insert(
        &call(
            "InsertK8sApplication",
            &[
                ("AppName", "web"),
                ("ClusterId", "default"),
                ("Namespace", "shop"),
                ("LogicalRegionId", "cn-test:team"),
                ("ApplicationDescription", "a shop"),
                ("PackageType", "Image"),
                ("WorkloadType", "Deployment"),
                ("ImageUrl", "shop/web:1"),
                ("PackageVersion", "1.0"),
                ("Replicas", "2"),
                ("Timeout", "1800"),
                ("CommandArgs", r#"["-c"]"#),
                ("LimitCpu", "1"),
                ("LimitmCpu", "1500"),
                ("RequestsCpu", "1"),
                ("LimitMem", "128"),
                ("RequestsMem", "64"),
            ],
        )
        .params,
    )
    .unwrap();
    let spec = SpecChange {
        image: Some("shop/web:1".into()),
        args: Field::Set(vec!["-c".into()]),
        cpu_limit: Some(1500),
        cpu_request: Some(1000),
        memory_limit: Some(128),
        memory_request: Some(64),
        ..SpecChange::default()
    };
    assert_eq!(request.spec, spec);
    assert_eq!(
        (request.name.as_str(), request.cluster.as_str(), request.namespace.as_deref()),
        ("web", "default", Some("shop"))
    );
    assert_eq!(
        (request.logical_region.as_deref(), request.description.as_str()),
        (Some("cn-test:team"), "a shop")
    );
    assert_eq!(
        (request.version.as_deref(), request.replicas, request.timeout_seconds),
        (Some("1.0"), Some(2), Some(1800))
    );
}

#[test]
fn a_creation_of_something_else_than_a_deployment_or_of_nothing_is_refused() {
    let with = |name: &'static str, value: &'static str| {
        let parameters =
            [("AppName", "web"), ("ClusterId", "default"), ("ImageUrl", "a"), (name, value)];
        message(read_insert(&call("InsertK8sApplication", &parameters).params).unwrap_err())
    };
    assert!(with("PackageType", "FatJar").starts_with("MissingPackageUrl: "));
    assert!(with("PackageType", "Zip").contains("must be Image, FatJar or War"));
    assert!(with("WorkloadType", "StatefulSet").contains("only Deployment"));
    assert!(with("Timeout", "1801").starts_with("InvalidTimeout: "));
    for missing in ["AppName", "ClusterId", "ImageUrl"] {
        let rest: Vec<_> = [("AppName", "web"), ("ClusterId", "d"), ("ImageUrl", "a")]
            .into_iter()
            .filter(|it| it.0 != missing)
            .collect();
        assert!(
            message(read_insert(&call("InsertK8sApplication", &rest).params).unwrap_err())
                .starts_with(&format!("Missing{missing}: "))
        );
    }
}

#[test]
fn both_calls_read_a_package_and_how_it_runs() {
    let package = [
        ("PackageUrl", "https://h/web.war?Signature=geheim"),
        ("PackageVersion", "1.0"),
        ("JDK", "Open JDK 8"),
        ("WebContainer", "apache-tomcat-9"),
        ("JavaStartUpConfig", r#"{"InitialHeapSize":{"original":512,"startup":"-Xms512m"}}"#),
        ("WebContainerConfig", r#"{"contextInputType":"root"}"#),
        ("UriEncoding", "UTF-8"),
        ("UseBodyEncoding", "True"),
    ];
    let deploy =
        read_deploy(&call("DeployK8sApplication", &[&[("AppId", APP)], &package[..]].concat()))
            .unwrap();
    let names = [("AppName", "web"), ("ClusterId", "default"), ("PackageType", "WAR")];
    let create =
        read_insert(&call("InsertK8sApplication", &[&names[..], &package[..]].concat()).params)
            .unwrap();
    let expected = JavaChange {
        jvm_options: Field::Set("-Xms512m".into()),
        web: Field::Set(Web { context: WebContext::Root, ..Web::default() }),
        uri_encoding: Some("UTF-8".into()),
        use_body_encoding: Some(true),
        ..JavaChange::default()
    };
    assert_eq!((&*deploy.spec.java, &*create.spec.java), (&expected, &expected));
    assert_eq!((&deploy.spec.image, &create.spec.image), (&None, &None));
    assert_eq!((deploy.package.kind, create.package.kind), (None, Some(PackageKind::War)));
    for package in [&deploy.package, &create.package] {
        assert_eq!(
            (package.jdk.as_deref(), package.web_container.as_deref()),
            (Some("Open JDK 8"), Some("apache-tomcat-9"))
        );
        assert!(package.url.is_some() && !format!("{package:?}").contains("geheim"));
    }
    let untyped = [("AppName", "web"), ("ClusterId", "default"), ("PackageUrl", "https://h/a.jar")];
    assert_eq!(
        read_insert(&call("InsertK8sApplication", &untyped).params).unwrap().package.kind,
        None
    );
    let image = [&untyped[..], &[("PackageType", "Image")]].concat();
    assert!(
        message(read_insert(&call("InsertK8sApplication", &image).params).unwrap_err())
            .starts_with("MissingImageUrl: ")
    );
}

#[test]
fn a_return_to_a_version_has_its_documented_bounds() {
    let parameters = [
        ("AppId", APP),
        ("GroupId", "all"),
        ("HistoryVersion", "2019-11-13 14:22:22"),
        ("Batch", "2"),
        ("BatchWaitTime", "1"),
    ];
    let request = read_roll_back(&call("RollbackApplication", &parameters)).unwrap();
    assert_eq!(
        (request.version.as_str(), request.batches, request.wait_minutes),
        ("2019-11-13 14:22:22", Some(2), Some(1))
    );
    for (name, value, says) in
        [("Batch", "6", "from 1 to 5"), ("BatchWaitTime", "6", "from 0 to 5")]
    {
        let refusal = message(
            read_roll_back(&call(
                "RollbackApplication",
                &[("AppId", APP), ("GroupId", "all"), ("HistoryVersion", "1"), (name, value)],
            ))
            .unwrap_err(),
        );
        assert!(
            refusal.starts_with(&format!("Invalid{name}: ")) && refusal.contains(says),
            "{refusal}"
        );
    }
    assert!(
        message(
            read_roll_back(&call(
                "RollbackApplication",
                &[("AppId", APP), ("HistoryVersion", "1")]
            ))
            .unwrap_err()
        )
        .starts_with("MissingGroupId")
    );
}
