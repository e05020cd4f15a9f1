//! What is read back where no executor has a part in it.

use super::{
    server::{DEPLOY, Server},
    *,
};

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
    // What needs only the database is answered.
    assert_eq!((&body["reads"], &body["releases"]), (&true.into(), &false.into()));
}
