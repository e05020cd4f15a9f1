//! Signed calls through the router to the service on a real Postgres.
//!
//! The signer is `tests/clients/sign.rs`, written from the rules and not with
//! the program's own code. No executor runs, so orders stay where they begin.

use jiff::{SignedDuration, Timestamp};

use super::{
    sign::{Key, Signed, Unsigned},
    *,
};

pub(super) const KEY: Key<'static> = Key { id: "test-key", secret: "test-secret" };
pub(super) const DEPLOY: &str = "/pop/v5/k8s/acs/k8s_apps";
pub(super) const CREATE: &str = "/pop/v5/k8s/acs/create_k8s_app";

pub(super) struct Server {
    pub(super) router: Router,
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
}

impl Server {
    pub(super) async fn start(pool: PgPool) -> Self {
        Self::start_with(service_on(pool.clone()), pool).await
    }

    pub(super) async fn start_with(service: Service, pool: PgPool) -> Self {
        let clock = service.clock().clone();
        let store = Store::on(pool.clone());
        assert!(store.insert_key(KEY.id, &KEY.secret.into(), "tests", clock.now()).await.unwrap());
        store.register_cluster(&"default".into()).await.unwrap();
        Self { router: router(service, EdgeConfig::default()), pool, clock }
    }

    pub(super) async fn send(
        &self,
        method: &str,
        signed: &Signed,
    ) -> (StatusCode, Map<String, Value>) {
        let mut request = Request::builder().method(method).uri(&signed.target);
        for (name, value) in &signed.headers {
            request = request.header(*name, value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(signed.body.clone())).unwrap())
            .await
            .unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        read(response).await
    }

    /// A call with a nonce of its own, with a form where the operation takes one.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Map<String, Value> {
        self.answer(method, path, parameters).await.1
    }

    /// The same, with the reply's status.
    pub(super) async fn answer(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> (StatusCode, Map<String, Value>) {
        let nonce = uuid::Uuid::now_v7().to_string();
        let unsigned =
            Unsigned { method, path, parameters, date: self.clock.now(), nonce: Some(&nonce) };
        let takes_form =
            contract::find(&method.parse().unwrap(), path).is_some_and(|operation| operation.form);
        self.send(method, &if takes_form { unsigned.acs3_form(KEY) } else { unsigned.acs3(KEY) })
            .await
    }

    pub(super) async fn create(&self) -> (String, String) {
        let parameters = [
            ("AppName", "web"),
            ("ClusterId", "default"),
            ("ImageUrl", "shop/web:1"),
            ("Replicas", "4"),
            ("PackageVersion", "1"),
        ];
        let created = self.call("POST", CREATE, &parameters).await;
        assert_eq!(created["Code"], 200, "{created:?}");
        shape::check("InsertK8sApplication", &created.clone().into());
        let id = |name: &str| created["ApplicationInfo"][name].as_str().unwrap().to_owned();
        (id("AppId"), id("ChangeOrderId"))
    }

    /// An application whose first order is over, so that it can be released.
    pub(super) async fn create_and_abort(&self) -> String {
        let (application, order) = self.create().await;
        let aborted = self
            .call("PUT", "/pop/v5/changeorder/change_order_abort", &[("ChangeOrderId", &order)])
            .await;
        assert_eq!(aborted["Code"], 200, "{aborted:?}");
        shape::check("AbortChangeOrder", &aborted.into());
        application
    }

    pub(super) async fn orders(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM change_order").fetch_one(&self.pool).await.unwrap()
    }
}

fn code(reply: &(StatusCode, Map<String, Value>)) -> (u16, &str) {
    (reply.0.as_u16(), reply.1["Code"].as_str().unwrap_or("a number"))
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn both_schemes_are_accepted_and_everything_else_has_its_documented_code(pool: PgPool) {
    let server = Server::start(pool).await;
    let now = server.clock.now();
    let list = Unsigned {
        method: "POST",
        path: "/pop/v5/app/app_list",
        parameters: &[("AppName", "a b*~")],
        date: now,
        nonce: None,
    };
    for signed in [list.acs3(KEY), list.hmac_sha1(KEY)] {
        let reply = server.send("POST", &signed).await;
        assert_eq!(reply.1["Code"], 200, "{reply:?}");
    }
    let other = Key { secret: "wrong", ..KEY };
    for signed in [list.acs3(other), list.hmac_sha1(other)] {
        let reply = server.send("POST", &signed).await;
        assert_eq!(code(&reply), (400, "SignatureDoesNotMatch"));
        assert!(reply.1["Message"].as_str().unwrap().contains("server string to sign is:"));
    }
    let stranger = Key { id: "nobody", ..KEY };
    assert_eq!(
        code(&server.send("POST", &list.acs3(stranger)).await),
        (404, "InvalidAccessKeyId.NotFound")
    );
    for minutes in [-16, 16] {
        let late = Unsigned { date: now + SignedDuration::from_mins(minutes), ..list };
        assert_eq!(
            code(&server.send("POST", &late.hmac_sha1(KEY)).await),
            (400, "InvalidTimeStamp.Expired")
        );
    }
    let mut altered = list.acs3(KEY);
    altered.target = altered.target.replace("AppName=a", "AppName=b");
    assert_eq!(code(&server.send("POST", &altered).await), (400, "SignatureDoesNotMatch"));

    sqlx::query("UPDATE access_key SET enabled = false").execute(&server.pool).await.unwrap();
    assert_eq!(
        code(&server.send("POST", &list.acs3(KEY)).await),
        (400, "InvalidAccessKeyId.Inactive")
    );
    assert_eq!(code(&server.send("POST", &list.acs3(other)).await), (400, "SignatureDoesNotMatch"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_deploy_again_gets_the_same_order_and_changes_nothing(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let parameters = [("AppId", application.as_str()), ("Image", "shop/web:2")];
    let deploy = Unsigned {
        method: "POST",
        path: DEPLOY,
        parameters: &parameters,
        date: server.clock.now(),
        nonce: Some("n-1"),
    };
    let first = server.send("POST", &deploy.acs3(KEY)).await.1;
    assert_eq!(first["Code"], 200, "{first:?}");
    let orders = server.orders().await;
    let second = server.send("POST", &deploy.acs3(KEY)).await.1;
    assert_eq!(first["ChangeOrderId"], second["ChangeOrderId"]);
    assert_ne!(first["RequestId"], second["RequestId"]);

    // The same nonce in another request.
    let parameters = [("AppId", application.as_str()), ("Image", "shop/web:3")];
    let other =
        server.send("POST", &Unsigned { parameters: &parameters, ..deploy }.acs3(KEY)).await;
    assert_eq!(code(&other), (400, "SignatureNonceUsed"));
    assert_eq!(server.orders().await, orders);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_request_without_a_nonce_that_is_sent_again_byte_for_byte_changes_nothing(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let parameters =
        [("AppId", application.as_str()), ("Image", "shop/web:2"), ("ServiceCode", "edas")];
    let deploy = Unsigned {
        method: "POST",
        path: DEPLOY,
        parameters: &parameters,
        date: server.clock.now(),
        nonce: None,
    };
    let first = server.send("POST", &deploy.hmac_sha1(KEY)).await.1;
    let second = server.send("POST", &deploy.hmac_sha1(KEY)).await.1;
    assert_eq!(
        (&first["Code"], &first["ChangeOrderId"]),
        (&second["Code"], &second["ChangeOrderId"])
    );

    // A second later it is another request, and the first order is still open.
    let later = Unsigned { date: deploy.date + SignedDuration::from_secs(1), ..deploy };
    let third = server.send("POST", &later.hmac_sha1(KEY)).await.1;
    assert_eq!((&third["Code"], &third["ChangeOrderId"]), (&Value::from(601), &Value::from("")));
    assert!(third["Message"].as_str().unwrap().contains("still running"), "{third:?}");

    // Reads that repeat are simply served (K8).
    let list = Unsigned {
        method: "POST",
        path: "/pop/v5/app/app_list",
        parameters: &[],
        date: deploy.date,
        nonce: Some("n-1"),
    };
    for _ in 0..2 {
        assert_eq!(server.send("POST", &list.acs3(KEY)).await.1["Code"], 200);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn hmac_sha1_can_be_switched_off(pool: PgPool) {
    let server = Server::start(pool).await;
    let strict = router(
        service_on(server.pool.clone()),
        EdgeConfig { hmac_sha1: false, ..EdgeConfig::default() },
    );
    let server = Server { router: strict, ..server };
    let list = Unsigned {
        method: "POST",
        path: "/pop/v5/app/app_list",
        parameters: &[],
        date: server.clock.now(),
        nonce: None,
    };
    assert_eq!(
        code(&server.send("POST", &list.hmac_sha1(KEY)).await),
        (400, "InvalidSignatureMethod")
    );
    assert_eq!(server.send("POST", &list.acs3(KEY)).await.1["Code"], 200);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_operation_that_is_not_offered_says_so_in_edas_form(pool: PgPool) {
    let server = Server::start(pool).await;
    let mut refused = 0;
    for operation in contract::operations() {
        if offered::OFFERS.iter().any(|offer| offer.operation == operation.name) {
            continue;
        }
        let body = server.call(&operation.method, &operation.path, &[]).await;
        assert_eq!(body["Code"], 601, "{}", operation.name);
        let message = body["Message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!(
                "The operation {} is not offered by this server",
                operation.name
            )),
            "{message}"
        );
        if let Some(family) = family::of(operation) {
            assert!(
                message.contains(family.name)
                    && message.contains("outside of what this server does"),
                "{message}"
            );
        }
        for (key, value) in operation.blank() {
            assert_eq!(body[&key], value);
        }
        refused += 1;
    }
    assert_eq!(refused + offered::OFFERS.len(), 162 + contract::own().len());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_operation_of_the_contract_answers_in_edas_form(pool: PgPool) {
    let server = Server::start(pool).await;
    let (mut served, mut refused, mut missing) = (0, 0, 0);
    for operation in contract::operations() {
        let nonce = uuid::Uuid::now_v7().to_string();
        let unsigned = Unsigned {
            method: &operation.method,
            path: &operation.path,
            parameters: &[],
            date: server.clock.now(),
            nonce: Some(&nonce),
        };
        // `read` has looked at the envelope.
        let (status, body) = server.send(&operation.method, &unsigned.acs3(KEY)).await;
        match (status, &body["Code"]) {
            (StatusCode::OK, code) if *code == 200 => served += 1,
            (StatusCode::OK, code) if *code == 601 => refused += 1,
            (StatusCode::BAD_REQUEST, code)
                if code.as_str().is_some_and(|code| code.starts_with("Missing")) =>
            {
                missing += 1
            }
            _ => panic!("{}: {status} {body:?}", operation.name),
        }
    }
    assert_eq!(served + refused + missing, 162);
    assert!(served > 0 && refused > 0 && missing > 0, "{served} {refused} {missing}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn bad_input_is_refused_with_parameter_value_and_what_is_allowed_and_writes_nothing(
    pool: PgPool,
) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let orders = server.orders().await;
    let strategy = |batch: i32, gray: i32| match gray {
        0 => format!(r#"{{"type":"BatchUpdate","batchUpdate":{{"batch":{batch}}}}}"#),
        _ => format!(
            r#"{{"type":"GrayBatchUpdate","batchUpdate":{{"batch":{batch}}},"grayUpdate":{{"gray":{gray}}}}}"#
        ),
    };
    let (none, many, wide) = (strategy(0, 0), strategy(5, 0), strategy(1, 3));
    // The application has 4 instances.
    let cases: [(&str, &str, &[&str]); 13] = [
        ("Replicas", "-1", &["InvalidReplicas", "-1", "from 0 to"]),
        ("Replicas", "many", &["InvalidReplicas", "many", "whole number"]),
        ("UpdateStrategy", &none, &["601", "\"batch\":0", "must be from 1"]),
        ("UpdateStrategy", &many, &["601", "batch 5", "at most 4 batches"]),
        ("UpdateStrategy", &wide, &["601", "gray 3", "at most half"]),
        ("UpdateStrategy", "{\"type\":", &["601", "{\"type\":", "allowed is"]),
        (
            "UpdateStrategy",
            "{\"type\":\"Rolling\"}",
            &["601", "\"Rolling\" is unknown", "BatchUpdate"],
        ),
        ("Image", "shop/web: 2", &["601", "shop/web: 2", "without blanks"]),
        ("Envs", "[{\"name\":\"\"}]", &["601", "[0].name", "allowed is"]),
        ("Readiness", "{\"tcpSocket\":{}}", &["601", "missing field `port`", "allowed is"]),
        ("BatchTimeout", "0", &["InvalidBatchTimeout", "0", "from 1 to"]),
        ("CpuLimit", "0.5", &["InvalidCpuLimit", "0.5", "whole number"]),
        ("EnableAhas", "true", &["601", "not applied by this server yet"]),
    ];
    for (name, value, says) in cases {
        let body = server.call("POST", DEPLOY, &[("AppId", &application), (name, value)]).await;
        let text = format!("{} {}", body["Code"], body["Message"].as_str().unwrap());
        assert!(
            text.contains(name) && says.iter().all(|part| text.contains(part)),
            "{name}={value}: {text}"
        );
    }
    for (parameters, says) in [
        (vec![("AppId", "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")], "does not exist"),
        (vec![("AppId", "x")], "the application x does not exist"),
        (vec![("AppId", "")], "AppId is mandatory"),
        (vec![("Image", "a")], "AppId is mandatory"),
        (
            vec![("AppId", &application), ("PackageVersionId", "pv-1")],
            "the version pv-1 of application",
        ),
    ] {
        let body = server.call("POST", DEPLOY, &parameters).await;
        assert!(body["Message"].as_str().unwrap().contains(says), "{parameters:?}: {body:?}");
        if body["Code"] == 601 {
            assert_eq!(body["ChangeOrderId"], "");
        }
    }
    assert_eq!(server.orders().await, orders);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_application_and_its_orders_are_read_back_in_edas_form(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let strategy = r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":2,"releaseType":"manual"},"grayUpdate":{"gray":1}}"#;
    let parameters = [
        ("AppId", application.as_str()),
        ("Image", "registry.example:5000/shop/web:2"),
        ("PackageVersion", "2.0"),
        ("UpdateStrategy", strategy),
        ("ChangeOrderDesc", "hello world/ü+~*&="),
        ("Envs", r#"[{"name":"A","value":"b c/ü+~*&="}]"#),
        ("EnableAhas", "False"),
        ("Unknown", "ignored"),
    ];
    let deployed = server.call("POST", DEPLOY, &parameters).await;
    assert_eq!(deployed["Code"], 200, "{deployed:?}");
    let order = deployed["ChangeOrderId"].as_str().unwrap().to_owned();

    let shown = server
        .call("POST", "/pop/v5/changeorder/change_order_info", &[("ChangeOrderId", &order)])
        .await;
    shape::check("GetChangeOrderInfo", &shown.clone().into());
    let info = &shown["changeOrderInfo"];
    assert_eq!((&info["Status"], &info["BatchCount"]), (&Value::from(0), &Value::from(3)));
    assert_eq!(
        (&info["BatchType"], &info["CoType"]),
        (&Value::from("Manual"), &Value::from("Deploy"))
    );
    assert_eq!(info["Desc"], "hello world/ü+~*&=");
    assert_eq!(info["CreateUserId"], "tests");
    assert_eq!(
        info["ChangeOrderDescription"],
        "Version: 2.0 | Deployment Package: registry.example:5000/shop/web:2 | Deploy to: all groups"
    );
    let batches = info["PipelineInfoList"]["PipelineInfo"].as_array().unwrap();
    let names: Vec<_> = batches.iter().map(|it| it["PipelineName"].as_str().unwrap()).collect();
    assert_eq!(names, ["Batch: 1 (canary)", "Batch: 2", "Batch: 3"]);
    assert!(
        batches.iter().all(|it| it["StageList"]["StageInfoDTO"] == Value::Array(vec![])),
        "no batch has begun (R27)"
    );

    let listed = server
        .call("POST", "/pop/v5/changeorder/change_order_list", &[("AppId", &application)])
        .await;
    shape::check("ListRecentChangeOrder", &listed.clone().into());
    let orders = listed["ChangeOrderList"]["ChangeOrder"].as_array().unwrap();
    assert_eq!(
        orders.iter().map(|it| it["Status"].as_i64().unwrap()).collect::<Vec<_>>(),
        [0, 6],
        "newest first (R17)"
    );

    let details = server.call("POST", "/pop/v5/app/app_info", &[("AppId", &application)]).await;
    shape::check("GetApplication", &details.clone().into());
    assert_eq!(
        (&details["Application"]["ClusterType"], &details["Applcation"]["ClusterType"]),
        (&Value::from("5"), &Value::from(5))
    );
    assert_eq!(details["Application"]["AppPhase"], "progressing");

    let applications = server.call("POST", "/pop/v5/app/app_list", &[("AppName", "web")]).await;
    shape::check("ListApplication", &applications.clone().into());
    let found = &applications["ApplicationList"]["Application"][0];
    assert_eq!(
        (&found["AppId"], &found["RegionId"], &found["State"]),
        (&application.clone().into(), &"cn-test".into(), &"DEPLOYING".into())
    );
    for filter in [
        ("AppIds", "[\"x\"]"),
        ("ClusterId", "other"),
        ("LogicalRegionId", "cn-other"),
        ("AppName", "we"),
    ] {
        let none = server.call("POST", "/pop/v5/app/app_list", &[filter]).await;
        assert_eq!(none["ApplicationList"]["Application"], Value::Array(vec![]), "{filter:?}");
    }

    let running = server
        .call(
            "GET",
            "/pop/v5/changeorder/co_application",
            &[("AppId", &application), ("From", "deploy")],
        )
        .await;
    shape::check("GetK8sApplication", &running.clone().into());
    assert_eq!(running["Applcation"]["App"]["ApplicationName"], "web");

    let history = server
        .call("GET", "/pop/v5/app/deploy_history_version_list", &[("AppId", &application)])
        .await;
    assert_eq!(
        (&history["Code"], &history["PackageVersionList"]["PackageVersion"]),
        (&200.into(), &Value::Array(vec![]))
    );

    let waits = server
        .call(
            "GET",
            "/pop/v5/changeorder/pipeline_batch_confirm",
            &[("PipelineId", batches[0]["PipelineId"].as_str().unwrap()), ("Confirm", "True")],
        )
        .await;
    assert!(
        waits["Code"] == 601 && waits["Message"].as_str().unwrap().contains("does not wait"),
        "{waits:?}"
    );
    let asked = server
        .call(
            "GET",
            "/pop/v5/changeorder/pipeline_batch_confirm",
            &[("PipelineId", batches[0]["PipelineId"].as_str().unwrap())],
        )
        .await;
    assert!(
        asked["Code"] == 601 && asked["Message"].as_str().unwrap().contains("Confirm"),
        "{asked:?}"
    );

    let back = server
        .call(
            "PUT",
            "/pop/v5/changeorder/change_order_abort_and_rollback",
            &[("ChangeOrderId", &order)],
        )
        .await;
    shape::check("AbortAndRollbackChangeOrder", &back.clone().into());
    assert_ne!(back["Data"]["ChangeOrderId"], order);
    let again = server
        .call(
            "POST",
            "/pop/v5/changeorder/co_rollback",
            &[("AppId", &application), ("GroupId", "all"), ("HistoryVersion", "0.9")],
        )
        .await;
    assert!(
        again["Message"].as_str().unwrap().contains("the version 0.9 of application"),
        "{again:?}"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_cluster_and_its_namespaces_are_shown(pool: PgPool) {
    let server = Server::start(pool).await;
    let page = server.call("POST", "/pop/v5/k8s_clusters", &[("RegionTag", "cn-test")]).await;
    shape::check("GetK8sCluster", &page.clone().into());
    assert_eq!(page["ClusterPage"]["ClusterList"]["Cluster"][0]["ClusterId"], "default");
    let none = server
        .call("POST", "/pop/v5/k8s_clusters", &[("RegionTag", "cn-test"), ("ClusterType", "7")])
        .await;
    assert_eq!(none["ClusterPage"]["TotalSize"], 0);
    let namespaces =
        server.call("GET", "/pop/v5/k8s/acs/k8s_namespace", &[("ClusterId", "default")]).await;
    shape::check("ListK8sNamespaces", &namespaces.clone().into());
    let unknown = server.call("GET", "/pop/v5/k8s/acs/k8s_namespace", &[("ClusterId", "x")]).await;
    assert!(unknown["Message"].as_str().unwrap().contains("does not exist"), "{unknown:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_ready_server_says_what_is_missing(pool: PgPool) {
    let server = Server::start(pool).await;
    let response = server
        .router
        .clone()
        .oneshot(Request::get("/readyz").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value =
        serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap();
    assert_eq!(
        (&body["status"], &body["reason"]),
        (&"unavailable".into(), &"no executor is alive".into())
    );
}

#[test]
fn dates_of_the_signer_are_those_of_the_wire() {
    let date: Timestamp = "2026-11-23T06:54:25Z".parse().unwrap();
    let unsigned = Unsigned { method: "GET", path: "/", parameters: &[], date, nonce: None };
    assert!(
        unsigned.hmac_sha1(KEY).headers.contains(&("date", "Mon, 23 Nov 2026 06:54:25 GMT".into()))
    );
    assert!(unsigned.acs3(KEY).headers.contains(&("x-acs-date", "2026-11-23T06:54:25Z".into())));
}
