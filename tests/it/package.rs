//! Package releases to their end, on the simulated cluster and on a real control
//! plane: the Deployment's template, the history, and the way back to an image.

use std::time::Duration;

use domain::{
    ApplicationId,
    order::{State, plan::Strategy},
    package::{PackageKind, PackagePolicy, runtime::Runtimes},
    template::{
        java::JavaChange,
        spec::{EnvVar, Field, SpecChange},
    },
};
use k8s_openapi::api::{
    apps::v1::DeploymentSpec,
    core::v1::{Container, PodSpec},
};
use package::Client;
use service::{CreateApplication, Deploy, PackageParams, Packages, RollBackTo};
use sqlx::PgPool;

use crate::support::{App, batches, caller, creation, release};
use domain::template::names::RELEASE_ANNOTATION;
use test_support::files::Files;

const TABLE: &str = r#"[
    {"jdk":"Open JDK 8","webContainer":null,"image":"jdk:8"},
    {"jdk":"Open JDK 8","webContainer":"apache-tomcat-9","image":"tomcat:9"}
]"#;

pub async fn with_packages(mut app: App) -> App {
    let policy = PackagePolicy {
        schemes: vec!["http".into()],
        hosts: vec!["*".parse().unwrap()],
        addresses: vec!["127.0.0.0/8".parse().unwrap()],
    };
    let packages = Packages {
        image: Some("sluice:1".into()),
        runtimes: Runtimes::read(TABLE).unwrap(),
        rules: vec![EnvVar::plain("SLUICE_PACKAGE_ALLOW_ADDRESSES", "127.0.0.0/8")],
        client: Client::new(policy, 1 << 20, Duration::from_secs(2)).unwrap(),
    };
    app.service = app.service.clone().with_packages(packages);
    app
}

fn package_params(url: String) -> PackageParams {
    PackageParams { url: Some(url.into()), ..PackageParams::default() }
}

async fn spec(app: &App) -> DeploymentSpec {
    app.deployments().get("web").await.unwrap().spec.unwrap()
}

fn pod(spec: &DeploymentSpec) -> &PodSpec {
    spec.template.spec.as_ref().unwrap()
}

fn variable<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.env.iter().flatten().find(|variable| variable.name == name)?.value.as_deref()
}

/// Without the annotation that every release changes.
fn unnamed(mut spec: DeploymentSpec) -> DeploymentSpec {
    let annotations =
        spec.template.metadata.as_mut().and_then(|metadata| metadata.annotations.as_mut());
    annotations.map(|annotations| annotations.remove(RELEASE_ANNOTATION));
    spec
}

async fn released(app: &App, request: Deploy) {
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

async fn a_package_is_released_in_batches_and_an_image_takes_it_out_again(app: App) {
    let (app, files) = (with_packages(app).await, Files::start().await);
    let application: ApplicationId = app.create("web", 4).await;
    let before = spec(&app).await;

    let mut request = release(application, "", batches(2));
    request.spec = SpecChange {
        args: Field::Set(vec!["--verbose".into()]),
        java: Box::new(JavaChange {
            jvm_options: Field::Set("-Xmx1g".into()),
            ..JavaChange::default()
        }),
        ..SpecChange::default()
    };
    request.package = package_params(files.url("/web.jar?Signature=geheim$(x)"));
    request.version = Some("2.0".into());
    released(&app, request).await;
    let package = spec(&app).await;
    let fetcher = &pod(&package).init_containers.as_ref().unwrap()[0];
    assert_eq!(
        (fetcher.name.as_str(), fetcher.image.as_deref()),
        ("sluice-package", Some("sluice:1"))
    );
    assert_eq!(fetcher.command.as_ref().unwrap(), &["sluice", "fetch-package"]);
    assert_eq!(fetcher.args, None);
    assert_eq!(
        variable(fetcher, "SLUICE_PACKAGE_URL"),
        Some(files.url("/web.jar?Signature=geheim$$(x)").as_str())
    );
    assert_eq!(variable(fetcher, "SLUICE_PACKAGE_FILE"), Some("web.jar"));
    assert_eq!(variable(fetcher, "SLUICE_PACKAGE_ALLOW_ADDRESSES"), Some("127.0.0.0/8"));
    let container = &pod(&package).containers[0];
    assert_eq!(
        (container.image.as_deref(), container.args.as_deref()),
        (Some("jdk:8"), Some(&["--verbose".to_owned()][..]))
    );
    assert_eq!(
        container.command.as_ref().unwrap()[3..],
        ["sluice", "-Xmx1g", "/home/admin/app/web.jar"]
    );
    for mounts in [&fetcher.volume_mounts, &container.volume_mounts] {
        let mount = &mounts.as_ref().unwrap()[0];
        assert_eq!(
            (mount.name.as_str(), mount.mount_path.as_str()),
            ("sluice-package", "/home/admin/app")
        );
    }
    assert!(
        pod(&package)
            .volumes
            .as_ref()
            .unwrap()
            .iter()
            .any(|volume| volume.name == "sluice-package" && volume.empty_dir.is_some())
    );

    let history = app.service.history(application).await.unwrap();
    let label = history[0].package.as_ref().unwrap();
    assert_eq!(
        (label.kind, label.address.as_str()),
        (PackageKind::FatJar, files.url("/web.jar").as_str())
    );
    assert_eq!(
        (&history[1].package, app.service.application(application).await.unwrap().package),
        (&None, Some(PackageKind::FatJar))
    );

    // A setting alone keeps the package, and who looks sees no secret.
    let mut request = release(application, "", Strategy::ALL_AT_ONCE);
    request.spec = SpecChange {
        java: Box::new(JavaChange { jvm_options: Field::Clear, ..JavaChange::default() }),
        ..SpecChange::default()
    };
    released(&app, request).await;
    let kept = spec(&app).await;
    assert_eq!(pod(&kept).init_containers, pod(&package).init_containers);
    assert_eq!(pod(&kept).containers[0].command.as_ref().unwrap()[4], "");
    assert_eq!(app.service.history(application).await.unwrap()[0].package, history[0].package);

    let mut request = release(application, "shop/web:1.0", batches(2));
    request.spec.args = Field::Clear;
    released(&app, request).await;
    assert_eq!(unnamed(spec(&app).await), unnamed(before));
    assert_eq!(app.service.application(application).await.unwrap().package, None);

    // And the package comes back out of the history.
    let back = RollBackTo { application, version: "2.0".into(), batches: None, wait_minutes: None };
    let order = app.service.roll_back_to(&caller(), back).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(
        (order.state, order.package.as_ref().map(|package| package.kind)),
        (State::Succeeded, Some(PackageKind::FatJar))
    );
    assert_eq!(spec(&app).await.template, package.template);
}

async fn an_application_is_created_from_a_war(app: App) {
    let (app, files) = (with_packages(app).await, Files::start().await);
    let request = CreateApplication {
        spec: SpecChange::default(),
        package: PackageParams {
            kind: Some(PackageKind::War),
            ..package_params(files.url("/shop.war"))
        },
        ..creation(&app.namespace, "web", 2)
    };
    let (application, order) = app.service.create_application(&caller(), request).await.unwrap();
    assert_eq!(
        app.service.application(application).await.unwrap().package,
        Some(PackageKind::War),
        "also before it runs"
    );
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let created = spec(&app).await;
    assert_eq!(pod(&created).containers[0].image.as_deref(), Some("tomcat:9"));
    let fetcher = &pod(&created).init_containers.as_ref().unwrap()[0];
    assert_eq!(variable(fetcher, "SLUICE_PACKAGE_FILE"), Some("webapps/shop.war"));
    assert!(
        variable(fetcher, "SLUICE_PACKAGE_SERVER_XML")
            .unwrap()
            .contains(r#"appBase="/home/admin/app/webapps""#)
    );
}

mod simulated {
    use super::*;

    #[sqlx::test(migrator = "store::MIGRATIONS")]
    async fn a_package_is_released_in_batches_and_an_image_takes_it_out_again(pool: PgPool) {
        super::a_package_is_released_in_batches_and_an_image_takes_it_out_again(
            App::start(pool).await,
        )
        .await;
    }

    #[sqlx::test(migrator = "store::MIGRATIONS")]
    async fn an_application_is_created_from_a_war(pool: PgPool) {
        super::an_application_is_created_from_a_war(App::start(pool).await).await;
    }
}

mod real {
    use super::*;

    #[sqlx::test(migrator = "store::MIGRATIONS")]
    async fn a_package_is_released_in_batches_and_an_image_takes_it_out_again(pool: PgPool) {
        super::a_package_is_released_in_batches_and_an_image_takes_it_out_again(
            App::start_real(pool).await,
        )
        .await;
    }

    #[sqlx::test(migrator = "store::MIGRATIONS")]
    async fn an_application_is_created_from_a_war(pool: PgPool) {
        super::an_application_is_created_from_a_war(App::start_real(pool).await).await;
    }
}
