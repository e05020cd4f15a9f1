//! Signed calls that release packages: what is written down, what is refused and
//! in which words, and that nothing secret of an address comes back.
//!
//! The packages are on a server on loopback, which this one's policy allows.

use std::time::Duration;

use serde_json::json;

use super::{
    server::{CREATE, DEPLOY, KEY, Server},
    sign::Unsigned,
    *,
};
use domain::{
    order::{Target, TemplateSource},
    package::{PackagePolicy, runtime::Runtimes},
    template::java::JavaChange,
};
use package::Client;
use service::Packages;
use test_support::files::Files;

const TABLE: &str = r#"[
    {"jdk":"Open JDK 8","webContainer":null,"image":"jdk:8"},
    {"jdk":"Open JDK 17","webContainer":null,"image":"jdk:17"},
    {"jdk":"Open JDK 8","webContainer":"apache-tomcat-7.0.91","image":"tomcat:7"}
]"#;

pub(super) fn packages() -> Packages {
    let policy = PackagePolicy {
        schemes: vec!["http".into()],
        hosts: vec!["127.0.0.1".parse().unwrap(), "*.invalid".parse().unwrap()],
        addresses: vec!["127.0.0.1/32".parse().unwrap()],
    };
    Packages {
        image: Some("sluice:1".into()),
        runtimes: Runtimes::read(TABLE).unwrap(),
        rules: Vec::new(),
        client: Client::new(policy, 1 << 20, Duration::from_secs(2)).unwrap(),
    }
}

/// Parameters, and what the refusal of them must say.
type Refused<'a> = (Vec<(&'a str, &'a str)>, Vec<&'a str>);

async fn server(pool: PgPool) -> Server {
    Server::start_with(service_on(pool.clone()).with_packages(packages()), pool).await
}

pub(super) async fn newest_target(server: &Server) -> (Target, Value) {
    let (order, release): (uuid::Uuid, Value) =
        sqlx::query_as("SELECT o.id, coalesce(r.package, 'null') FROM change_order o JOIN release r ON r.id = o.release_id ORDER BY o.created_at DESC LIMIT 1")
            .fetch_one(&server.pool)
            .await
            .unwrap();
    let store = Store::on(server.pool.clone(), test_support::keyring::keyring());
    (store.order(domain::OrderId(order)).await.unwrap().unwrap().target, release)
}

pub(super) async fn newest_change(server: &Server) -> JavaChange {
    match newest_target(server).await.0.source {
        TemplateSource::Change(change) => *change.java,
        TemplateSource::Exact(_) | TemplateSource::Unchanged | TemplateSource::Renewed(_) => {
            panic!("must be a change")
        }
    }
}

/// Aborts whatever is open, so that the next order is accepted.
async fn settle(server: &Server) {
    let sql = "UPDATE change_order SET state = 'aborted', step = 'done', finished_at = now() WHERE finished_at IS NULL";
    sqlx::query(sql).execute(&server.pool).await.unwrap();
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_application_is_created_from_a_package_and_released_from_the_next(pool: PgPool) {
    let (server, files) = (server(pool).await, Files::start().await);
    let url = files.url("/web-1.jar?Signature=geheim");
    let shown = files.url("/web-1.jar");
    let created = server
        .call(
            "POST",
            CREATE,
            &[
                ("AppName", "web"),
                ("ClusterId", "default"),
                ("PackageType", "FatJar"),
                ("PackageUrl", &url),
                ("PackageVersion", "1.0"),
                ("JDK", "Open JDK 8"),
                ("WebContainer", "says nothing for a JAR"),
                (
                    "JavaStartUpConfig",
                    r#"{"InitialHeapSize":{"original":512,"startup":"-Xms512m"}}"#,
                ),
            ],
        )
        .await;
    assert_eq!(created["Code"], 200, "{created:?}");
    assert_eq!(files.asked(), ["HEAD /web-1.jar?Signature=geheim"]);
    let application = created["ApplicationInfo"]["AppId"].as_str().unwrap().to_owned();
    let change = newest_change(&server).await;
    let package = change.package.unwrap();
    assert_eq!(
        (package.fetcher.as_str(), package.url.secret().as_str()),
        ("sluice:1", url.as_str())
    );
    assert_eq!(change.runtime.unwrap().image, "jdk:8");
    let label =
        json!({ "kind": "FatJar", "address": shown, "jdk": "Open JDK 8", "web_container": null });
    assert_eq!(newest_target(&server).await.1, label);

    for (method, path, key) in [
        ("POST", "/pop/v5/app/app_info", "AppId"),
        ("GET", "/pop/v5/changeorder/co_application", "AppId"),
    ] {
        let reply = Value::Object(server.call(method, path, &[(key, &application)]).await);
        let details =
            if method == "POST" { &reply["Application"] } else { &reply["Applcation"]["App"] };
        assert_eq!(details["ApplicationType"], "FatJar");
    }
    let order = created["ApplicationInfo"]["ChangeOrderId"].as_str().unwrap();
    let info = server
        .call("POST", "/pop/v5/changeorder/change_order_info", &[("ChangeOrderId", order)])
        .await;
    let described = info["changeOrderInfo"]["ChangeOrderDescription"].as_str().unwrap();
    assert_eq!(
        described,
        format!("Version: 1.0 | Deployment Package: {shown} | Deploy to: all groups")
    );

    // The next one keeps JDK and kind; a setting alone keeps the package.
    settle(&server).await;
    let next = files.url("/download?id=2");
    let deployed = server
        .call(
            "POST",
            DEPLOY,
            &[("AppId", &application), ("PackageUrl", &next), ("PackageVersion", "2.0")],
        )
        .await;
    assert_eq!(deployed["Code"], 200, "{deployed:?}");
    assert_eq!(newest_change(&server).await.runtime.unwrap().jdk, "Open JDK 8");
    settle(&server).await;
    let deployed = server
        .call(
            "POST",
            DEPLOY,
            &[("AppId", &application), ("JDK", "Open JDK 17"), ("JavaStartUpConfig", "{}")],
        )
        .await;
    assert_eq!(deployed["Code"], 200, "{deployed:?}");
    let change = newest_change(&server).await;
    assert_eq!((change.package, change.runtime.unwrap().image.as_str()), (None, "jdk:17"));
    settle(&server).await;

    // And an image ends it.
    let deployed = server
        .call(
            "POST",
            DEPLOY,
            &[("AppId", &application), ("Image", "shop/web:3"), ("JDK", "Open JDK 8")],
        )
        .await;
    assert_eq!(deployed["Code"], 200, "{deployed:?}");
    let (target, package) = newest_target(&server).await;
    assert_eq!((newest_change(&server).await, package), (JavaChange::default(), Value::Null));
    assert!(
        matches!(target.source, TemplateSource::Change(change) if change.image.as_deref() == Some("shop/web:3"))
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_package_that_cannot_be_released_is_refused_by_name_and_without_what_is_secret(
    pool: PgPool,
) {
    let (server, files) = (server(pool).await, Files::start().await);
    let application = server.create_and_abort().await;
    let orders = server.orders().await;
    let jdk = ("JDK", "Open JDK 8");
    let good = files.url("/good.jar?Signature=geheim");
    let war = files.url("/good.war");
    let missing = files.url("/missing.jar?Signature=geheim");
    let forbidden = files.url("/forbidden.jar?Signature=geheim");
    let large = files.url("/large.jar?Signature=geheim");
    let elsewhere = files.url("/redirect.jar?http://169.254.169.254/%3Fgeheim");
    let cases: Vec<Refused<'_>> = vec![
        (
            vec![("PackageUrl", &missing), jdk],
            vec!["PackageUrl", "/missing.jar", "PackageNotFound", "404"],
        ),
        (vec![("PackageUrl", &forbidden)], vec!["PackageUrl", "PackageDenied", "403"]),
        (
            vec![("PackageUrl", &large)],
            vec!["PackageUrl", "PackageTooLarge", "3145728", "--package-limit"],
        ),
        (
            vec![("PackageUrl", &elsewhere)],
            vec!["PackageUrl", "PackageNotAllowed", "the host 169.254.169.254 is not allowed"],
        ),
        (
            vec![("PackageUrl", "https://files.invalid/a.jar?geheim")],
            vec!["PackageUrl", "the scheme https is not allowed; allowed: http"],
        ),
        (
            vec![("PackageUrl", "http://files.example.org/a.jar?geheim")],
            vec!["the host files.example.org is not allowed", "--package-hosts"],
        ),
        (
            vec![("PackageUrl", "geheim")],
            vec![
                "PackageUrl has the value (a text of 6 characters, not shown)",
                "https://host/path/app.jar",
            ],
        ),
        (
            vec![("PackageUrl", &good)],
            vec!["parameter JDK has the value (empty)", "Open JDK 17, Open JDK 8"],
        ),
        (
            vec![("PackageUrl", &good), ("JDK", "Open JDK 7")],
            vec![
                "parameter JDK has the value Open JDK 7",
                "--runtime-images",
                "Open JDK 17, Open JDK 8",
            ],
        ),
        (
            vec![("PackageUrl", &war), ("WebContainer", "jetty")],
            vec!["parameter WebContainer has the value jetty", "apache-tomcat-7.0.91"],
        ),
        (
            vec![("PackageUrl", &good), jdk, ("Image", "a")],
            vec!["parameter Image has the value a", "not both"],
        ),
        (
            vec![("PackageUrl", &good), jdk, ("ImageTag", "a")],
            vec!["parameter ImageTag has the value a", "not both"],
        ),
        (
            vec![("PackageUrl", &good), jdk, ("UriEncoding", "UTF-8")],
            vec!["UriEncoding", "this is a FatJar"],
        ),
        (
            vec![("PackageUrl", &good), jdk, ("WebContainerConfig", r#"{"httpPort":8088}"#)],
            vec!["WebContainerConfig", "this is a FatJar"],
        ),
        (
            vec![("Image", "a"), ("JavaStartUpConfig", r#"{"A":{"startup":"-Xms1m"}}"#)],
            vec!["JavaStartUpConfig", "this is an image"],
        ),
        (vec![("UseBodyEncoding", "true")], vec!["UseBodyEncoding", "this is an image"]),
        (
            vec![("PackageUrl", &good), jdk, ("JavaStartUpConfig", "[1]")],
            vec!["JavaStartUpConfig", "allowed is"],
        ),
    ];
    for (parameters, says) in cases {
        let given = [&[("AppId", application.as_str())], &parameters[..]].concat();
        let body = server.call("POST", DEPLOY, &given).await;
        let message = body["Message"].as_str().unwrap();
        assert_eq!(
            (&body["Code"], &body["ChangeOrderId"]),
            (&Value::from(601), &Value::from("")),
            "{parameters:?}: {body:?}"
        );
        assert!(says.iter().all(|part| message.contains(part)), "{parameters:?}: {message}");
        assert!(!message.contains("geheim"), "{message}");
    }
    let unknown = files.url("/download?id=1");
    let body =
        server.call("POST", DEPLOY, &[("AppId", &application), ("PackageUrl", &unknown)]).await;
    assert!(body["Message"].as_str().unwrap().contains("must end with .jar or .war"), "{body:?}");
    let mixed = [
        ("AppName", "other"),
        ("ClusterId", "default"),
        ("PackageType", "War"),
        ("PackageUrl", good.as_str()),
    ];
    let body = server.call("POST", CREATE, &mixed).await;
    assert!(body["Message"].as_str().unwrap().contains("ends like that of a FatJar"), "{body:?}");
    assert_eq!(server.orders().await, orders);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_says_nothing_beside_an_image_is_harmless(pool: PgPool) {
    let server = server(pool).await;
    let application = server.create_and_abort().await;
    let parameters = [
        ("AppId", application.as_str()),
        ("Image", "shop/web:2"),
        ("JDK", "Open JDK 6"),
        ("WebContainer", "jetty"),
        ("JavaStartUpConfig", ""),
        ("WebContainerConfig", "{}"),
        ("UseBodyEncoding", "False"),
        ("PackageUrl", ""),
    ];
    let deployed = server.call("POST", DEPLOY, &parameters).await;
    assert_eq!(deployed["Code"], 200, "{deployed:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn trouble_that_may_pass_refuses_nothing(pool: PgPool) {
    let (server, files) = (server(pool).await, Files::start().await);
    let application = server.create_and_abort().await;
    for path in ["/busy.jar", "/teapot.jar", "/get-only.jar"] {
        let deployed = server
            .call(
                "POST",
                DEPLOY,
                &[("AppId", &application), ("PackageUrl", &files.url(path)), ("JDK", "Open JDK 8")],
            )
            .await;
        assert_eq!(deployed["Code"], 200, "{path}: {deployed:?}");
        settle(&server).await;
    }
    let unknown = "http://none.invalid/a.jar";
    let deployed = server
        .call(
            "POST",
            DEPLOY,
            &[("AppId", &application), ("PackageUrl", unknown), ("JDK", "Open JDK 8")],
        )
        .await;
    assert_eq!(deployed["Code"], 200, "only the cluster may know the name: {deployed:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_request_again_gets_the_first_answer_though_the_package_is_gone(pool: PgPool) {
    let (server, files) = (server(pool).await, Files::start().await);
    let application = server.create_and_abort().await;
    let url = files.url("/vanishing.jar");
    let parameters =
        [("AppId", application.as_str()), ("PackageUrl", url.as_str()), ("JDK", "Open JDK 8")];
    let deploy = Unsigned {
        method: "POST",
        path: DEPLOY,
        parameters: &parameters,
        date: server.clock.now(),
        nonce: Some("n-1"),
    };
    let first = server.send("POST", &deploy.acs3(KEY)).await.1;
    assert_eq!(first["Code"], 200, "{first:?}");
    let second = server.send("POST", &deploy.acs3(KEY)).await.1;
    assert_eq!(first["ChangeOrderId"], second["ChangeOrderId"]);
    assert_eq!(files.asked().len(), 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_the_operators_settings_a_package_is_refused_with_the_one_that_is_missing(
    pool: PgPool,
) {
    let plain = Server::start_with(service_on(pool.clone()), pool.clone()).await;
    let application = plain.create_and_abort().await;
    let without = |change: fn(&mut Packages)| {
        let mut packages = packages();
        change(&mut packages);
        router(service_on(pool.clone()).with_packages(packages), EdgeConfig::default())
    };
    let cases = [
        (plain.router.clone(), "--package-image (SLUICE_PACKAGE_IMAGE)"),
        (without(|it| it.image = None), "--package-image (SLUICE_PACKAGE_IMAGE)"),
        (
            without(|it| it.runtimes = Runtimes::default()),
            "--runtime-images (SLUICE_RUNTIME_IMAGES)",
        ),
        (
            without(|it| {
                it.runtimes =
                    Runtimes::read(r#"[{"jdk":"a","webContainer":"b","image":"c"}]"#).unwrap()
            }),
            "no image for FatJar packages",
        ),
    ];
    for (router, says) in cases {
        let server = Server { router, pool: pool.clone(), clock: plain.clock.clone() };
        let parameters =
            [("AppId", application.as_str()), ("PackageUrl", "http://127.0.0.1:1/a.jar?geheim")];
        let body = server.call("POST", DEPLOY, &parameters).await;
        let message = body["Message"].as_str().unwrap();
        assert!(
            body["Code"] == 601 && message.contains(says) && !message.contains("geheim"),
            "{message}"
        );
    }
}
