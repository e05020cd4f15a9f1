//! Services and load balancers: signed calls that an executor carries out
//! on the simulated cluster, and what is refused without a trace.

use k8s_openapi::api::core::v1::Service as KubernetesService;
use kube::{Api, api::PostParams};
use serde_json::json;

use super::{reading::Live, *};

pub(super) const SERVICE: &str = "/pop/v5/k8s/acs/k8s_service";
pub(super) const APPLICATION: &str = "/pop/v5/app/app_info";
pub(super) const SLB: &str = "/pop/v5/k8s/acs/k8s_slb_binding";
pub(super) const INGRESS: &str = "/pop/v5/k8s/acs/k8s_ingress";
const INFO: &str = "/pop/v5/changeorder/change_order_info";
pub(super) const RECENT: &str = "/pop/v5/changeorder/change_order_list";
pub(super) const PORTS: &str = r#"[{"protocol":"TCP","port":80,"targetPort":8080}]"#;
const LISTENERS: &str = r#"[{"port":80,"targetPort":8080,"loadBalancerProtocol":"TCP"}]"#;

pub(super) fn services(live: &Live) -> Api<KubernetesService> {
    Api::namespaced(live.client(), "default")
}

pub(super) async fn service(live: &Live, name: &str) -> Value {
    serde_json::to_value(services(live).get(name).await.unwrap()).unwrap()
}

/// A write; its order has ended well.
pub(super) async fn written(
    live: &Live,
    operation: &str,
    (method, path): (&str, &str),
    parameters: &[(&str, &str)],
) -> Value {
    let reply: Value = live.server.call(method, path, parameters).await.into();
    assert_eq!(reply["Code"], 200, "{operation}: {reply}");
    shape::check(operation, &reply);
    let order = reply["ChangeOrderId"].as_str().unwrap();
    let shown: Value = live.server.call("POST", INFO, &[("ChangeOrderId", order)]).await.into();
    shape::check("GetChangeOrderInfo", &shown);
    let info = shown["changeOrderInfo"].clone();
    assert_eq!(
        (&info["Status"], &info["CoType"], &info["SupportRollback"]),
        (&json!(2), &json!("Update Service"), &json!(false)),
        "{info}"
    );
    info
}

/// How many rows and writes there are.
pub(super) async fn traces(live: &Live) -> (i64, i64, usize) {
    let object_writes = sqlx::query_scalar("SELECT count(*) FROM object_write")
        .fetch_one(&live.server.pool)
        .await
        .unwrap();
    (live.server.orders().await, object_writes, live.writes())
}

/// Each call must be refused with these words, and leave nothing; what the executor has
/// to look at leaves the answer, which is forgotten after a while.
pub(super) async fn refused(
    live: &Live,
    method: &str,
    path: &str,
    cases: &[(&[(&str, &str)], &str)],
    asked: bool,
) {
    for (parameters, says) in cases {
        let before = traces(live).await;
        let reply = live.server.call(method, path, parameters).await;
        let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
        assert!(reply["Code"] != 200 && said.contains(says), "{method} {parameters:?}: {said}");
        let names_order = contract::find(&method.parse().unwrap(), path)
            .unwrap()
            .blank()
            .contains_key("ChangeOrderId");
        if reply["Code"] == 601 && names_order {
            assert_eq!(reply["ChangeOrderId"], "");
        }
        let after = traces(live).await;
        let expected = if asked { (before.0, before.1 + 1, before.2) } else { before };
        assert_eq!(after, expected, "{parameters:?} left something");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_service_is_created_changed_listed_and_deleted(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let pods = live.pods().await;
    let (app, name) = (("AppId", application.as_str()), ("Name", "front"));
    let create = [app, name, ("Type", "ClusterIP"), ("ServicePorts", PORTS)];
    let info = written(&live, "CreateK8sService", ("POST", SERVICE), &create).await;
    assert_eq!(
        (&info["ChangeOrderDescription"], &info["BatchCount"]),
        (&json!("Create Service front"), &json!(1))
    );
    let made = service(&live, "front").await;
    assert_eq!(made["spec"]["selector"], json!({ "sluice.dev/application": application }));
    assert_eq!(
        made["metadata"]["labels"],
        json!({ "app.kubernetes.io/managed-by": "sluice", "app.kubernetes.io/name": "web", "sluice.dev/application": application })
    );

    let ports = r#"[{"port":"53","targetPort":"dns","protocol":"UDP"}]"#;
    let change = [
        app,
        name,
        ("Type", "NodePort"),
        ("ExternalTrafficPolicy", "Cluster"),
        ("ServicePorts", ports),
    ];
    written(&live, "UpdateK8sService", ("PUT", SERVICE), &change).await;
    let listed: Value = live.server.call("GET", SERVICE, &[app]).await.into();
    shape::check("GetK8sServices", &listed);
    let port = json!({ "Port": 53, "TargetPort": "dns", "Protocol": "UDP", "NodePort": 0 });
    assert_eq!(
        listed["Services"],
        json!([{ "Name": "front", "Type": "NodePort", "ClusterIP": "", "ServicePorts": [port] }])
    );

    written(&live, "DeleteK8sService", ("DELETE", SERVICE), &[app, name]).await;
    assert!(services(&live).get_opt("front").await.unwrap().is_none());
    let recent: Value = live.server.call("POST", RECENT, &[app]).await.into();
    shape::check("ListRecentChangeOrder", &recent);
    let codes: Vec<_> = recent["ChangeOrderList"]["ChangeOrder"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| &order["CoTypeCode"])
        .collect();
    assert_eq!(
        codes,
        ["CoUpdateK8sService", "CoUpdateK8sService", "CoUpdateK8sService", "CoCreateApp"]
    );
    assert_eq!(live.pods().await, pods, "no pod heard of it");
    let wanted: Vec<Option<Vec<u8>>> = sqlx::query_scalar("SELECT wanted FROM object_write")
        .fetch_all(&live.server.pool)
        .await
        .unwrap();
    assert!(
        wanted.len() == 3 && wanted.iter().all(Option::is_none),
        "what was wanted is wiped: {wanted:?}"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_release_can_be_taken_back_although_a_service_came_after_it(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let app = ("AppId", application.as_str());
    let order = live.release(&application, "shop/web:2").await;
    written(
        &live,
        "CreateK8sService",
        ("POST", SERVICE),
        &[app, ("Name", "front"), ("Type", "ClusterIP"), ("ServicePorts", PORTS)],
    )
    .await;
    let status: Value = live.server.call("GET", super::reading::STATUS, &[app]).await.into();
    assert!(status.to_string().contains(&order), "the newest release is shown, not the Service");
    let shown = live.server.call("POST", INFO, &[("ChangeOrderId", &order)]).await;
    assert_eq!(shown["changeOrderInfo"]["SupportRollback"], true);
    let back = live
        .server
        .call(
            "PUT",
            "/pop/v5/changeorder/change_order_abort_and_rollback",
            &[("ChangeOrderId", &order)],
        )
        .await;
    assert_eq!(back["Code"], 200, "{back:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_cannot_be_is_refused_by_name_and_leaves_nothing(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let app = ("AppId", application.as_str());
    let unknown = ("AppId", "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e");
    let (name, kind, ports) = (("Name", "front"), ("Type", "ClusterIP"), ("ServicePorts", PORTS));
    let none = "601 the application 01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e does not exist";
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[name, kind, ports], "MissingAppId"),
        (&[app, kind, ports], "MissingName"),
        (&[app, name, ports], "MissingType"),
        (&[app, name, kind], "MissingServicePorts"),
        (&[unknown, name, kind, ports], none),
        (
            &[app, ("Name", "Front"), kind, ports],
            "601 parameter Name has the value Front: must begin with a lower-case letter",
        ),
        (
            &[app, name, ("Type", "LoadBalancer"), ports],
            "601 parameter Type has the value LoadBalancer: must be ClusterIP or NodePort",
        ),
        (
            &[app, name, kind, ("ServicePorts", "[]")],
            "601 parameter ServicePorts has the value (empty): must have at least one port",
        ),
        (
            &[app, name, kind, ("ServicePorts", r#"[{"port":80},{"port":80}]"#)],
            "601 parameter ServicePorts has the value 80: each port",
        ),
        (&[app, name, kind, ("ServicePorts", r#"[{"port":70000}]"#)], "70000 is no port"),
        (
            &[app, name, kind, ports, ("ExternalTrafficPolicy", "Local")],
            "601 parameter ExternalTrafficPolicy has the value Local: must be left out",
        ),
        (
            &[app, name, ("Type", "NodePort"), ports, ("ExternalTrafficPolicy", "x")],
            "must be Local or Cluster",
        ),
    ];
    refused(&live, "POST", SERVICE, cases, false).await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[app, name], "601 parameter ServicePorts has the value (empty): must be given, or"),
        (&[unknown, name, ports], none),
        (&[app, name, ("ServicePorts", "x")], "601 parameter ServicePorts has the value x"),
    ];
    refused(&live, "PUT", SERVICE, cases, false).await;
    refused(
        &live,
        "DELETE",
        SERVICE,
        &[(&[app], "MissingName"), (&[unknown, name], none), (&[name], "MissingAppId")],
        false,
    )
    .await;
    refused(&live, "GET", SERVICE, &[(&[unknown], none), (&[], "MissingAppId")], false).await;

    let (public, infos) = (("Type", "internet"), ("ServicePortInfos", LISTENERS));
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[app, infos], "MissingType"),
        (&[app, public], "MissingServicePortInfos"),
        (&[app, public, ("Port", "80")], "MissingTargetPort"),
        (&[unknown, public, infos], none),
        (
            &[app, ("Type", "public"), infos],
            "601 parameter Type has the value public: must be internet or intranet",
        ),
        (&[app, public, infos, ("ClusterId", "other")], "601 the cluster other does not exist"),
        (
            &[app, public, infos, ("Scheduler", "wlc")],
            "601 parameter Scheduler has the value wlc: must be rr",
        ),
        (
            &[app, public, infos, ("SlbId", "lb 1")],
            "601 parameter SlbId has the value lb 1: must have at most",
        ),
        (
            &[app, public, infos, ("SlbProtocol", "TCP")],
            "601 parameter SlbProtocol has the value TCP: either ServicePortInfos or",
        ),
        (
            &[
                app,
                public,
                ("ServicePortInfos", r#"[{"port":1,"targetPort":1},{"port":1,"targetPort":2}]"#),
            ],
            "each port may be given only once",
        ),
        (
            &[
                app,
                public,
                (
                    "ServicePortInfos",
                    r#"[{"port":1,"targetPort":1,"loadBalancerProtocol":"HTTPS","certId":"a"},{"port":2,"targetPort":1,"loadBalancerProtocol":"HTTPS","certId":"b"}]"#,
                ),
            ],
            "601 parameter ServicePortInfos has the value b: all HTTPS ports",
        ),
    ];
    refused(&live, "POST", SLB, cases, false).await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[app, public], "601 parameter ServicePortInfos has the value (empty): must be given, or"),
        (
            &[app, public, infos, ("SlbName", "mine")],
            "601 parameter SlbName has the value mine: must be web-internet, the internet load balancer of web",
        ),
        (&[app, public, ("DisableForceOverride", "perhaps")], "InvalidDisableForceOverride"),
    ];
    refused(&live, "PUT", SLB, cases, false).await;
    refused(&live, "DELETE", SLB, &[(&[app], "MissingType"), (&[unknown, public], none)], false)
        .await;

    // What only the cluster knows.
    refused(
        &live,
        "PUT",
        SERVICE,
        &[(&[app, name, ports], "601 the Service front does not exist")],
        true,
    )
    .await;
    refused(
        &live,
        "DELETE",
        SERVICE,
        &[(&[app, name], "601 the Service front does not exist")],
        true,
    )
    .await;
    refused(
        &live,
        "DELETE",
        SLB,
        &[(&[app, public], "601 the Service web-internet does not exist")],
        true,
    )
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_this_server_did_not_make_is_listed_and_left_alone(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let app = ("AppId", application.as_str());
    let theirs = |name: &str, app: &str| {
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "selector": { "sluice.dev/application": app }, "ports": [{ "port": 80 }] },
        }))
        .unwrap()
    };
    for (name, selected) in [("theirs", application.as_str()), ("others", "another")] {
        services(&live).create(&PostParams::default(), &theirs(name, selected)).await.unwrap();
    }
    let name = ("Name", "theirs");
    let create = [app, name, ("Type", "ClusterIP"), ("ServicePorts", PORTS)];
    refused(
        &live,
        "POST",
        SERVICE,
        &[(&create, "601 the Service theirs exists already, and this server did not make it")],
        true,
    )
    .await;
    refused(
        &live,
        "PUT",
        SERVICE,
        &[(
            &[app, name, ("ServicePorts", PORTS)],
            "601 the Service theirs was not made by this server",
        )],
        true,
    )
    .await;
    refused(
        &live,
        "DELETE",
        SERVICE,
        &[(&[app, name], "601 the Service theirs was not made by this server")],
        true,
    )
    .await;
    let listed = live.server.call("GET", SERVICE, &[app]).await;
    let names: Vec<_> =
        listed["Services"].as_array().unwrap().iter().map(|it| &it["Name"]).collect();
    assert_eq!(names, ["theirs"], "those that find its pods, whoever made them");
}
