//! JARs on real pods: an init container with this program fetches them from a server
//! in the bed, and `java` starts them. That is the test bed's own program here, which
//! answers with what its JAR holds, so that traffic shows which one runs.

use std::time::Duration;

use domain::{
    order::plan::Strategy,
    package::{PackagePolicy, runtime::Runtimes},
    template::spec::{EnvVar, Field, SpecChange},
};
use k8s_openapi::api::core::v1::Pod;
use package::Client;
use serde_json::json;
use service::{Deploy, PackageParams, Packages};
use sqlx::PgPool;
use tokio::{process::Command, sync::OnceCell};

use super::site::{Site, V1, probe, serve, service, statuses};
use crate::support::{App, batches, caller, release};

/// The image of this program, for the init container.
const FETCHER: &str = "sluice.test/sluice:test";

/// The image that JARs run on.
const JAVA: &str = "sluice.test/java:test";

/// Gives the real node both images, once for all tests.
async fn images() {
    static MADE: OnceCell<()> = OnceCell::const_new();
    MADE.get_or_init(async || {
        image(FETCHER, &[env!("CARGO_BIN_EXE_sluice")]).await;
        image(JAVA, &["sh", "web=java"]).await;
    })
    .await;
}

async fn image(name: &str, programs: &[&str]) {
    let cluster = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/testbed/cluster");
    let made = Command::new(cluster).args(["image", name]).args(programs).output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Their addresses have names that only the bed knows: whether a package is there is
/// left to the init container.
fn packages() -> Packages {
    let policy = PackagePolicy {
        schemes: vec!["http".into()],
        hosts: vec!["*".parse().unwrap()],
        addresses: Vec::new(),
    };
    let table = json!([{ "jdk": "Open JDK 8", "webContainer": null, "image": JAVA }]).to_string();
    Packages {
        image: Some(FETCHER.into()),
        runtimes: Runtimes::read(&table).unwrap(),
        rules: Vec::new(),
        client: Client::new(policy, 1 << 20, Duration::from_secs(1)).unwrap(),
    }
}

/// An application that runs a first JAR, and the address of the server that has it.
/// The program answers for 3 s more when it is to end, and closes its connections in
/// one more.
async fn open(pool: PgPool, about: &'static str) -> (Site, String) {
    images().await;
    let mut app = App::start_real(pool).await;
    app.service = app.service.clone().with_packages(packages());
    let server = json!({ "name": "packages", "image": V1, "env": [{ "name": "BEHAVIOUR", "value": "packages" }], "readinessProbe": probe("/ready") });
    serve(&app, "packages", json!({ "containers": [server] })).await;
    let server = service(&app, "packages", "packages").await;
    let server = format!("http://{}.sluice.test", server.trim_end_matches(":80").replace('.', "-"));
    let site = Site::create(app, about, |request| {
        request.spec = SpecChange {
            readiness: Field::Set(probe("/ready")),
            env: Field::Set(vec![EnvVar::plain("DRAIN", "1s")]),
            drain_seconds: Some(3),
            ..SpecChange::default()
        };
        request.package = package_params(&server, "shop-1.jar");
    })
    .await;
    (site, server)
}

fn package_params(server: &str, file: &str) -> PackageParams {
    PackageParams {
        url: Some(format!("{server}/{file}?token=geheim").into()),
        ..PackageParams::default()
    }
}

fn jar(site: &Site, server: &str, file: &str, strategy: Strategy) -> Deploy {
    let mut request = release(site.application, "", strategy);
    request.spec = SpecChange::default();
    request.package = package_params(server, file);
    request
}

/// The init container said that the package is not there. The kubelet may have begun it
/// anew before it reports.
fn not_found(pod: &Pod) -> bool {
    statuses(pod)
        .flat_map(|status| [&status.state, &status.last_state])
        .filter_map(|state| state.as_ref()?.terminated.as_ref())
        .any(|ended| ended.exit_code == 11)
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_second_jar_in_batches_loses_no_request(pool: PgPool) {
    let (site, server) = open(pool, "a second JAR in two batches").await;
    let order = site
        .app
        .service
        .deploy(&caller(), jar(&site, &server, "shop-2.jar", batches(2)))
        .await
        .unwrap();
    site.succeeds(order).await;
    site.close_whole(JAVA, &["jar1", "jar2"]).await;
}

/// Whether it is there cannot be told from where the order is given.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_jar_that_is_not_there_is_named_and_goes_back(pool: PgPool) {
    let (site, server) = open(pool, "JAR not found").await;
    let report = site.report(not_found);
    let order = site
        .app
        .service
        .deploy(&caller(), jar(&site, &server, "shop-3.jar", batches(2)))
        .await
        .unwrap();
    let parts = [
        "pod web-",
        "init container sluice-package",
        "exit code 11",
        "PackageNotFound",
        "/shop-3.jar",
        "404",
    ];
    let order = site.fails(order, Some(report), &parts).await;
    assert!(!order.message.contains("geheim"), "{}", order.message);
    site.close_whole(JAVA, &["jar1"]).await;
}
