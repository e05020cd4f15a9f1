//! Signed calls that read an application: as it runs on the (simulated) cluster,
//! where an executor looks for the service, and as it is recorded.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, api::DeleteParams};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    server::{CREATE, DEPLOY, Server},
    *,
};
use ::cluster::Cluster;
use domain::{
    ReleaseId,
    package::{PackageKind, runtime::Runtime},
    precheck::Existing,
    rights::Scope,
    template::{
        java::{JavaChange, Package, Web, WebContext},
        spec::{Field, SpecChange},
    },
};
use executor::Executor;
use simulated::{Call, Config, Fault, SimulatedCluster};

pub(super) const STATUS: &str = "/pop/v5/app/app_status";
pub(super) const INSTANCES: &str = "/pop/v5/oam/app_instance_list";
pub(super) const DEPLOYMENT: &str = "/pop/v5/oam/app_deployment";
const GROUPS: &str = "/pop/v5/app/deploy_group_list";
const START_UP: &str = "/pop/v5/oam/java_start_up_config";
const WEB_CONTAINER: &str = "/pop/v5/oam/web_container_config";

/// The operations here that take AppId alone, or first.
const OF_AN_APPLICATION: [(&str, &str); 6] = [
    ("GET", STATUS),
    ("GET", INSTANCES),
    ("GET", DEPLOYMENT),
    ("POST", GROUPS),
    ("GET", START_UP),
    ("GET", WEB_CONTAINER),
];

const DEADLINE: Duration = Duration::from_secs(60);

/// A server whose orders are carried out.
pub(super) struct Live {
    pub(super) server: Server,
    pub(super) simulation: SimulatedCluster,
    _stop: DropGuard,
}

impl Live {
    pub(super) async fn start(pool: PgPool) -> Self {
        Self::start_with(pool, |service| service).await
    }

    /// The same with more of a service.
    pub(super) async fn start_with(pool: PgPool, with: impl Fn(Service) -> Service) -> Self {
        // An executor keeps connections; those of all tests' own pools are few.
        let own = PgPoolOptions::new()
            .max_connections(8)
            .connect_with((*pool.connect_options()).clone())
            .await
            .unwrap();
        let server = Server::start_with(with(service_on(own.clone())), own.clone()).await;
        let simulation = SimulatedCluster::start(Config {
            start_delay: Duration::from_millis(5),
            ..Config::default()
        });
        let settings = executor::ExecutorConfig {
            cluster: "default".into(),
            lease: Duration::from_secs(5),
            concurrency: 10,
        };
        let executor = Executor::new(
            Store::on(own, test_support::keyring::keyring()),
            Cluster::watch(simulation.client(), Scope::Whole),
            server.clock.clone(),
            settings,
        );
        let stop = CancellationToken::new();
        tokio::spawn(executor.run(stop.clone()));
        let live = Self { server, simulation, _stop: stop.drop_guard() };
        live.until("GET", "/pop/v5/k8s/acs/k8s_namespace", &[], |reply| reply["Data"] != json!([]))
            .await;
        live
    }

    /// Calls until the reply is as `wanted`.
    pub(super) async fn until(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let mut last = Value::Null;
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                ticks.tick().await;
                last = self.server.call(method, path, parameters).await.into();
                if wanted(&last) {
                    break;
                }
            }
        });
        let found = found.await;
        assert!(found.is_ok(), "not within {DEADLINE:?}: {last:#}");
        last
    }

    /// Creates an application of 4 pods and waits until they are there.
    pub(super) async fn create(&self) -> String {
        let parameters = [
            ("AppName", "web"),
            ("ClusterId", "default"),
            ("ImageUrl", "shop/web:1"),
            ("Replicas", "4"),
            ("PackageVersion", "1.0"),
        ];
        let created = self.server.call("POST", CREATE, &parameters).await;
        assert_eq!(created["Code"], 200, "{created:?}");
        self.order_when(created["ApplicationInfo"]["ChangeOrderId"].as_str().unwrap(), 2).await;
        created["ApplicationInfo"]["AppId"].as_str().unwrap().to_owned()
    }

    /// Releases an image to its end, and returns the order.
    pub(super) async fn release(&self, application: &str, image: &str) -> String {
        let ordered =
            self.server.call("POST", DEPLOY, &[("AppId", application), ("Image", image)]).await;
        assert_eq!(ordered["Code"], 200, "{ordered:?}");
        let order = ordered["ChangeOrderId"].as_str().unwrap().to_owned();
        self.order_when(&order, 2).await;
        order
    }

    /// A client of the cluster.
    pub(super) fn client(&self) -> kube::Client {
        self.simulation.client()
    }

    /// Lets requests to the cluster go wrong.
    pub(super) fn fail_next(
        &self,
        times: usize,
        fault: Fault,
        chosen: impl Fn(&Call) -> bool + Send + 'static,
    ) {
        self.simulation.fail_next(times, fault, chosen);
    }

    /// Forgets the faults that have not struck yet.
    pub(super) fn clear_faults(&self) {
        self.simulation.clear_faults();
    }

    /// Writes of ours to the cluster.
    pub(super) fn writes(&self) -> usize {
        self.simulation
            .writes()
            .iter()
            .filter(|write| write.call.manager == "sluice" && !write.call.dry_run)
            .count()
    }

    /// Names of the pods.
    pub(super) async fn pods(&self) -> Vec<String> {
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.client(), "default");
        pods.list(&Default::default())
            .await
            .unwrap()
            .items
            .into_iter()
            .filter_map(|pod| pod.metadata.name)
            .collect()
    }

    async fn order_when(&self, order: &str, status: i64) {
        self.until(
            "POST",
            "/pop/v5/changeorder/change_order_info",
            &[("ChangeOrderId", order)],
            |reply| reply["changeOrderInfo"]["Status"] == status,
        )
        .await;
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_application_is_read_as_it_runs(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let id = [("AppId", application.as_str())];

    let status: Value = live.server.call("GET", STATUS, &id).await.into();
    shape::check("QueryApplicationStatus", &status);
    let info = &status["AppInfo"];
    assert_eq!(
        (&info["Application"]["Name"], &info["Application"]["InstanceCount"]),
        (&json!("web"), &json!(4))
    );
    let instances = info["EccList"]["Ecc"].as_array().unwrap();
    assert_eq!(instances.len(), 4);
    for instance in instances {
        assert_eq!(
            (&instance["AppState"], &instance["TaskState"], &instance["ContainerStatus"]),
            (&json!(7), &json!(2), &json!("Running"))
        );
        assert!(
            instance["EccId"].as_str().unwrap().starts_with("web-") && instance["Ip"] != "",
            "{instance}"
        );
    }
    let group = &info["GroupList"]["Group"][0];
    assert_eq!((&group["GroupName"], &group["GroupType"]), (&json!("_DEFAULT_GROUP"), &json!(0)));
    let versions: Vec<_> = info["DeployRecordList"]["DeployRecord"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["PackageVersionId"])
        .collect();
    assert_eq!(versions, [&group["PackageVersionId"]; 4]);

    let reply: Value = live.server.call("GET", DEPLOYMENT, &id).await.into();
    shape::check("GetAppDeployment", &reply);
    let deployment: Value = serde_json::from_str(reply["Data"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&deployment["metadata"]["name"], &deployment["status"]["readyReplicas"]),
        (&json!("web"), &json!(4))
    );
    assert_eq!(deployment["metadata"]["managedFields"], Value::Null);

    let groups: Value = live.server.call("POST", GROUPS, &id).await.into();
    shape::check("ListDeployGroup", &groups);
    let group = &groups["DeployGroupList"]["DeployGroup"][0];
    assert_eq!(
        (&group["Status"], &group["PackageVersion"], &group["DeploymentName"]),
        (&json!("2"), &json!("1.0"), &json!("web"))
    );

    // Somebody takes the Deployment away.
    let deployments: Api<Deployment> = Api::namespaced(live.simulation.client(), "default");
    deployments.delete("web", &DeleteParams::default()).await.unwrap();
    let gone = live.server.call("GET", DEPLOYMENT, &id).await;
    assert!(
        gone["Code"] == 601
            && gone["Message"] == "the application web has no Deployment in namespace default now",
        "{gone:?}"
    );
    let none = live.server.call("GET", INSTANCES, &id).await;
    assert_eq!((&none["Code"], &none["InstanceList"]), (&json!(200), &json!([])));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn canaries_are_told_from_the_others_while_their_order_is_open(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let strategy = r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":1,"releaseType":"auto"},"grayUpdate":{"gray":1}}"#;
    let release = [
        ("AppId", application.as_str()),
        ("Image", "shop/web:2"),
        ("PackageVersion", "2.0"),
        ("UpdateStrategy", strategy),
    ];
    let deployed = live.server.call("POST", DEPLOY, &release).await;
    let order = deployed["ChangeOrderId"].as_str().unwrap().to_owned();
    live.order_when(&order, 8).await;

    let asked = [("AppId", application.as_str()), ("WithNodeInfo", "True")];
    let canaries = |reply: &Value| -> Vec<(String, bool)> {
        let instances = reply["InstanceList"].as_array().unwrap();
        let mut shown: Vec<_> = instances
            .iter()
            .map(|it| (it["Version"].as_str().unwrap().to_owned(), it["Canary"].as_bool().unwrap()))
            .collect();
        shown.sort();
        shown
    };
    let of = |version: &str, canary| (version.to_owned(), canary);
    let expected = [of("1.0", false), of("1.0", false), of("1.0", false), of("2.0", true)];
    let reply = live.until("GET", INSTANCES, &asked, |reply| canaries(reply) == expected).await;
    shape::check("DescribeAppInstanceList", &reply);
    for instance in reply["InstanceList"].as_array().unwrap() {
        let pod: Value = serde_json::from_str(instance["PodRaw"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&pod["spec"]["nodeName"], &pod["status"]["phase"]),
            (&instance["NodeName"], &json!("Running"))
        );
        assert_eq!(
            (&instance["AppId"], &instance["GroupId"]),
            (&json!(application), &json!(application))
        );
    }
    let batches = live
        .server
        .call("POST", "/pop/v5/changeorder/change_order_info", &[("ChangeOrderId", &order)])
        .await;
    let batch = batches["changeOrderInfo"]["PipelineInfoList"]["PipelineInfo"][0]["PipelineId"]
        .as_str()
        .unwrap()
        .to_owned();
    let confirm = [("PipelineId", batch.as_str()), ("Confirm", "true")];
    assert_eq!(
        live.server.call("GET", "/pop/v5/changeorder/pipeline_batch_confirm", &confirm).await["Code"],
        200
    );
    live.order_when(&order, 2).await;
    live.until("GET", INSTANCES, &asked, |reply| canaries(reply) == vec![of("2.0", false); 4])
        .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_nobody_can_look_at_is_not_made_up(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let application = server.create_and_abort().await;
    for path in [STATUS, INSTANCES, DEPLOYMENT] {
        let reply = server.call("GET", path, &[("AppId", &application)]).await;
        assert_eq!(
            (&reply["Code"], &reply["Message"]),
            (&json!(601), &json!("the cluster cannot be looked at now: no executor reaches it"))
        );
    }
    // What is recorded is reported all the same.
    let groups: Value = server.call("POST", GROUPS, &[("AppId", &application)]).await.into();
    shape::check("ListDeployGroup", &groups);
    assert_eq!(groups["DeployGroupList"]["DeployGroup"][0]["Status"], "6");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_a_package_is_started_with_is_shown(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let application = server.create_and_abort().await;
    let id = [("AppId", application.as_str())];
    let image: Value = server.call("GET", START_UP, &id).await.into();
    shape::check("GetJavaStartUpConfig", &image);
    assert_eq!(image["JavaStartUpConfig"], json!({ "OriginalConfigs": "", "StartUpArgs": "" }));
    let image = server.call("GET", WEB_CONTAINER, &id).await;
    assert_eq!((&image["Code"], &image["WebContainerConfig"]), (&json!(200), &json!({})));

    let web = Web { context: WebContext::Root, http_port: 9090, ..Web::default() };
    let change = JavaChange {
        package: Some(Package {
            kind: PackageKind::War,
            url: "https://files.example.com/web.war?Signature=geheim".parse().unwrap(),
            fetcher: "sluice:1".into(),
            rules: Vec::new(),
        }),
        runtime: Some(Runtime {
            jdk: "Open JDK 8".into(),
            web_container: Some("apache-tomcat-9".into()),
            image: "tomcat:9".into(),
        }),
        jvm_options: Field::Set("-Xms512m -Da=$HOME".into()),
        web: Field::Set(web),
        ..JavaChange::default()
    };
    let base = json!({ "spec": { "containers": [{ "name": "web", "image": "shop/web:1" }] } });
    let spec = SpecChange { java: Box::new(change), ..SpecChange::default() };
    let release: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM release").fetch_one(&server.pool).await.unwrap();
    let found = Existing {
        uid: String::new(),
        template: spec.apply(&base, "web", ReleaseId(release)),
        replicas: 1,
        min_ready_seconds: 0,
        controller: None,
    };
    let store = Store::on(server.pool.clone(), test_support::keyring::keyring());
    let mut tx = store.begin().await.unwrap();
    let adopted = application.parse().unwrap();
    tx.note_adoption(adopted, ReleaseId(release), &found, server.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    let options = server.call("GET", START_UP, &id).await;
    assert_eq!(
        options["JavaStartUpConfig"],
        json!({ "OriginalConfigs": "-Xms512m -Da=$HOME", "StartUpArgs": "-Xms512m -Da=$HOME" })
    );
    let shown: Value = server.call("GET", WEB_CONTAINER, &id).await.into();
    shape::check("GetWebContainerConfig", &shown);
    let shown = &shown["WebContainerConfig"];
    assert_eq!(
        (&shown["ContextInputType"], &shown["HttpPort"], &shown["UseDefaultConfig"]),
        (&json!("root"), &json!(9090), &json!(false))
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_application_that_is_not_there_and_wrong_input_are_named(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    for (method, path) in OF_AN_APPLICATION {
        for id in ["01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e", "x"] {
            let unknown = server.call(method, path, &[("AppId", id)]).await;
            let said = format!("the application {id} does not exist");
            assert_eq!(
                (&unknown["Code"], &unknown["Message"]),
                (&json!(601), &json!(said)),
                "{path}"
            );
        }
        let missing = server.call(method, path, &[]).await;
        assert_eq!(missing["Code"], "MissingAppId", "{path}");
    }
    let wrong = server
        .call(
            "GET",
            INSTANCES,
            &[("AppId", "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e"), ("WithNodeInfo", "yes")],
        )
        .await;
    assert_eq!(wrong["Code"], "InvalidWithNodeInfo", "{wrong:?}");
}
