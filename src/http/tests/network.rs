//! Services, load balancers and Ingress rules: signed calls that an executor carries out
//! on the simulated cluster, and what is refused without a trace.

use k8s_openapi::api::{core::v1::Service as KubernetesService, networking::v1::Ingress};
use kube::{Api, api::PostParams};
use serde_json::json;

use super::{
    reading::Live,
    sign::Unsigned,
    signed::{CREATE, KEY, Server},
    *,
};

const SERVICE: &str = "/pop/v5/k8s/acs/k8s_service";
const SLB: &str = "/pop/v5/k8s/acs/k8s_slb_binding";
const INGRESS: &str = "/pop/v5/k8s/acs/k8s_ingress";
const INFO: &str = "/pop/v5/changeorder/change_order_info";
const RECENT: &str = "/pop/v5/changeorder/change_order_list";
const PORTS: &str = r#"[{"protocol":"TCP","port":80,"targetPort":8080}]"#;
const LISTENERS: &str = r#"[{"port":80,"targetPort":8080,"loadBalancerProtocol":"TCP"}]"#;

fn services(live: &Live) -> Api<KubernetesService> {
    Api::namespaced(live.client(), "default")
}

async fn service(live: &Live, name: &str) -> Value {
    serde_json::to_value(services(live).get(name).await.unwrap()).unwrap()
}

/// A write; its order has ended well.
async fn written(live: &Live, operation: &str, (method, path): (&str, &str), parameters: &[(&str, &str)]) -> Value {
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
async fn traces(live: &Live) -> (i64, i64, usize) {
    let errands = sqlx::query_scalar("SELECT count(*) FROM errand").fetch_one(&live.server.pool).await.unwrap();
    (live.server.orders().await, errands, live.writes())
}

/// Each call must be refused with these words, and leave nothing; what the executor has
/// to look at leaves the answer, which is forgotten after a while.
async fn refused(live: &Live, method: &str, path: &str, cases: &[(&[(&str, &str)], &str)], asked: bool) {
    for (parameters, says) in cases {
        let before = traces(live).await;
        let reply = live.server.call(method, path, parameters).await;
        let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
        assert!(reply["Code"] != 200 && said.contains(says), "{method} {parameters:?}: {said}");
        if reply["Code"] == 601 && method != "GET" && path != INGRESS {
            assert_eq!(reply["ChangeOrderId"], "");
        }
        let after = traces(live).await;
        let expected = if asked { (before.0, before.1 + 1, before.2) } else { before };
        assert_eq!(after, expected, "{parameters:?} left something");
    }
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn a_service_is_created_changed_listed_and_deleted(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let pods = live.pods().await;
    let (app, name) = (("AppId", application.as_str()), ("Name", "front"));
    let create = [app, name, ("Type", "ClusterIP"), ("ServicePorts", PORTS)];
    let info = written(&live, "CreateK8sService", ("POST", SERVICE), &create).await;
    assert_eq!((&info["ChangeOrderDescription"], &info["BatchCount"]), (&json!("Create Service front"), &json!(1)));
    let made = service(&live, "front").await;
    assert_eq!(made["spec"]["selector"], json!({ "sluice.dev/application": application }));
    assert_eq!(
        made["metadata"]["labels"],
        json!({ "app.kubernetes.io/managed-by": "sluice", "app.kubernetes.io/name": "web", "sluice.dev/application": application })
    );

    let ports = r#"[{"port":"53","targetPort":"dns","protocol":"UDP"}]"#;
    let change = [app, name, ("Type", "NodePort"), ("ExternalTrafficPolicy", "Cluster"), ("ServicePorts", ports)];
    written(&live, "UpdateK8sService", ("PUT", SERVICE), &change).await;
    let listed: Value = live.server.call("GET", SERVICE, &[app]).await.into();
    shape::check("GetK8sServices", &listed);
    let port = json!({ "Port": 53, "TargetPort": "dns", "Protocol": "UDP", "NodePort": 0 });
    assert_eq!(listed["Services"], json!([{ "Name": "front", "Type": "NodePort", "ClusterIP": "", "ServicePorts": [port] }]));

    written(&live, "DeleteK8sService", ("DELETE", SERVICE), &[app, name]).await;
    assert!(services(&live).get_opt("front").await.unwrap().is_none());
    let recent: Value = live.server.call("POST", RECENT, &[app]).await.into();
    shape::check("ListRecentChangeOrder", &recent);
    let codes: Vec<_> = recent["ChangeOrderList"]["ChangeOrder"].as_array().unwrap().iter().map(|order| &order["CoTypeCode"]).collect();
    assert_eq!(codes, ["CoUpdateK8sService", "CoUpdateK8sService", "CoUpdateK8sService", "CoCreateApp"]);
    assert_eq!(live.pods().await, pods, "no pod heard of it");
    let wanted: Vec<Value> = sqlx::query_scalar("SELECT wanted FROM errand").fetch_all(&live.server.pool).await.unwrap();
    assert!(wanted.len() == 3 && wanted.iter().all(Value::is_null), "what was wanted is wiped: {wanted:?}");
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn a_release_can_be_taken_back_although_a_service_came_after_it(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let app = ("AppId", application.as_str());
    let order = live.release(&application, "shop/web:2").await;
    written(&live, "CreateK8sService", ("POST", SERVICE), &[app, ("Name", "front"), ("Type", "ClusterIP"), ("ServicePorts", PORTS)]).await;
    let status: Value = live.server.call("GET", super::reading::STATUS, &[app]).await.into();
    assert!(status.to_string().contains(&order), "the newest release is shown, not the Service");
    let shown = live.server.call("POST", INFO, &[("ChangeOrderId", &order)]).await;
    assert_eq!(shown["changeOrderInfo"]["SupportRollback"], true);
    let back = live.server.call("PUT", "/pop/v5/changeorder/change_order_abort_and_rollback", &[("ChangeOrderId", &order)]).await;
    assert_eq!(back["Code"], 200, "{back:?}");
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn an_application_is_bound_to_load_balancers(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let (app, cluster, kind) = (("AppId", application.as_str()), ("ClusterId", "default"), ("Type", "Intranet"));
    let listeners = r#"[{"port":80,"targetPort":8080,"loadBalancerProtocol":"TCP"},{"port":443,"targetPort":8443,"loadBalancerProtocol":"HTTPS","certId":"c-1"}]"#;
    let bind =
        [app, cluster, kind, ("SlbId", "lb-1"), ("Scheduler", "RR"), ("Specification", "slb.s1.small"), ("ServicePortInfos", listeners)];
    let info = written(&live, "BindK8sSlb", ("POST", SLB), &bind).await;
    assert_eq!(info["ChangeOrderDescription"], "Bind the load balancer web-intranet");
    let made = service(&live, "web-intranet").await;
    let told = |made: &Value, name: &str| {
        made["metadata"]["annotations"][format!("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-{name}")].clone()
    };
    let names = ["address-type", "id", "scheduler", "spec", "force-override-listeners", "protocol-port", "cert-id"];
    assert_eq!(names.map(|name| told(&made, name)), ["intranet", "lb-1", "rr", "slb.s1.small", "true", "https:443", "c-1"]);
    assert_eq!((&made["spec"]["type"], made["spec"]["ports"].as_array().unwrap().len()), (&json!("LoadBalancer"), 2));

    let change =
        [app, cluster, kind, ("SlbName", "web-intranet"), ("Port", "81"), ("TargetPort", "8081"), ("DisableForceOverride", "true")];
    written(&live, "UpdateK8sSlb", ("PUT", SLB), &change).await;
    let made = service(&live, "web-intranet").await;
    let expected = [json!("intranet"), json!("lb-1"), json!("rr"), json!("slb.s1.small"), json!("false"), Value::Null, Value::Null];
    assert_eq!(names.map(|name| told(&made, name)), expected);
    assert_eq!((&made["spec"]["ports"][0]["port"], &made["spec"]["ports"][0]["targetPort"]), (&json!(81), &json!(8081)));

    written(
        &live,
        "BindK8sSlb",
        ("POST", SLB),
        &[app, ("Type", "internet"), ("Port", "80"), ("TargetPort", "8080"), ("SlbProtocol", "HTTP")],
    )
    .await;
    assert_eq!(told(&service(&live, "web-internet").await, "protocol-port"), "http:80");
    written(&live, "UnbindK8sSlb", ("DELETE", SLB), &[app, cluster, kind]).await;
    assert!(services(&live).get_opt("web-intranet").await.unwrap().is_none());
    assert!(services(&live).get_opt("web-internet").await.unwrap().is_some());
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn ingress_rules_are_created_changed_listed_and_deleted(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let create = [("AppId", application.as_str()), ("Name", "front"), ("Type", "ClusterIP"), ("ServicePorts", PORTS)];
    written(&live, "CreateK8sService", ("POST", SERVICE), &create).await;
    let orders = live.server.orders().await;
    let place = [("ClusterId", "default"), ("Namespace", "default"), ("Name", "shop")];
    let ingresses: Api<Ingress> = Api::namespaced(live.client(), "default");
    let object = async || serde_json::to_value(ingresses.get("shop").await.unwrap()).unwrap();

    // As a Tea SDK sends a dictionary.
    let rules = [
        ("IngressConf.rules.1.host", "shop.example"),
        ("IngressConf.rules.1.secretName", "shop-tls"),
        ("IngressConf.rules.1.paths.1.path", "/"),
        ("IngressConf.rules.1.paths.1.backend.serviceName", "front"),
        ("IngressConf.rules.1.paths.1.backend.servicePort", "80"),
        ("IngressConf.rules.1.paths.2.path", "/api"),
        ("IngressConf.rules.1.paths.2.pathType", "Prefix"),
        ("IngressConf.rules.1.paths.2.backend.serviceName", "back"),
        ("IngressConf.rules.1.paths.2.backend.servicePort", "http"),
    ];
    let texts = [("Labels", r#"{"team":"shop"}"#), ("Annotations", r#"{"nginx.ingress.kubernetes.io/ssl-redirect":"true","a":"b"}"#)];
    let created: Value = live.server.call("POST", INGRESS, &[&place[..], &rules, &texts].concat()).await.into();
    assert_eq!(created["Code"], 200, "{created}");
    shape::check("CreateK8sIngressRule", &created);
    let made = object().await;
    assert_eq!(made["metadata"]["labels"], json!({ "app.kubernetes.io/managed-by": "sluice", "team": "shop" }));
    assert_eq!(made["spec"]["tls"], json!([{ "hosts": ["shop.example"], "secretName": "shop-tls" }]));

    let listed: Value = live.server.call("GET", INGRESS, &[("Condition", r#"{"field":"Name","pattern":"sh"}"#)]).await.into();
    shape::check("ListK8sIngressRules", &listed);
    let shown = &listed["Data"][0]["IngressConfs"][0];
    assert_eq!((&shown["Name"], &shown["IngressType"], &shown["SslRedirect"]), (&json!("shop"), &json!("NginxIngress"), &json!(true)));
    let rule = &shown["Rules"][0];
    assert_eq!((&rule["Host"], &rule["EnableTls"], &rule["SecretName"]), (&json!("shop.example"), &json!(true), &json!("shop-tls")));
    assert_eq!(
        rule["Paths"][0],
        json!({
            "Path": "/", "PathType": "ImplementationSpecific", "Backend": { "ServiceName": "front", "ServicePort": "80" },
            "Status": "Normal", "AppId": application, "AppName": "web",
        })
    );
    assert_eq!((&rule["Paths"][1]["Status"], &rule["Paths"][1]["PathType"]), (&json!("ServiceNotFound"), &json!("Prefix")));
    let none = live.server.call("GET", INGRESS, &[("Condition", r#"{"field":"Name","pattern":"x"}"#), ("Namespace", "default")]).await;
    assert_eq!(none["Data"][0]["IngressConfs"], json!([]));

    // As the others send it; what is not said stays.
    let conf = r#"{"rules":[{"paths":[{"path":"/v2","backend":{"serviceName":"front","servicePort":80}}]}]}"#;
    let change = [("IngressConf", conf), ("Annotations", r#"{"a":null,"c":"d"}"#)];
    let changed: Value = live.server.call("PUT", INGRESS, &[&place[..], &change].concat()).await.into();
    assert_eq!(changed["Code"], 200, "{changed}");
    shape::check("UpdateK8sIngressRule", &changed);
    let made = object().await;
    assert_eq!((&made["spec"]["tls"], &made["spec"]["rules"][0]["http"]["paths"][0]["path"]), (&Value::Null, &json!("/v2")));
    let annotations = &made["metadata"]["annotations"];
    assert_eq!((&annotations["a"], &annotations["c"], &made["metadata"]["labels"]["team"]), (&Value::Null, &json!("d"), &json!("shop")));
    assert_eq!(annotations["nginx.ingress.kubernetes.io/ssl-redirect"], "true");

    let deleted: Value = live.server.call("DELETE", INGRESS, &place).await.into();
    assert_eq!(deleted["Code"], 200, "{deleted}");
    shape::check("DeleteK8sIngressRule", &deleted);
    assert!(ingresses.get_opt("shop").await.unwrap().is_none());
    assert_eq!(live.server.orders().await, orders, "an Ingress is of no application");
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn ingress_rules_that_cannot_be_are_refused_by_name_and_leave_nothing(pool: PgPool) {
    let live = Live::start(pool).await;
    let ingresses: Api<Ingress> = Api::namespaced(live.client(), "default");
    let theirs = serde_json::from_value(json!({ "metadata": { "name": "theirs" }, "spec": {} })).unwrap();
    ingresses.create(&PostParams::default(), &theirs).await.unwrap();
    let (cluster, namespace, name) = (("ClusterId", "default"), ("Namespace", "default"), ("Name", "shop"));
    let conf = ("IngressConf", r#"{"rules":[{"paths":[{"path":"/","backend":{"serviceName":"s","servicePort":80}}]}]}"#);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[namespace, name, conf], "MissingClusterId"),
        (&[cluster, name, conf], "MissingNamespace"),
        (&[cluster, namespace, conf], "MissingName"),
        (&[cluster, namespace, name], "MissingIngressConf"),
        (&[("ClusterId", "x"), namespace, name, conf], "601 the cluster x does not exist"),
        (
            &[cluster, ("Namespace", "x"), name, conf],
            "601 parameter Namespace has the value x: the cluster has no such namespace; it has default",
        ),
        (&[cluster, namespace, ("Name", "Shop"), conf], "601 parameter Name has the value Shop: must begin with"),
        (&[cluster, namespace, name, ("IngressConf", "{}")], "601 parameter IngressConf has the value (empty): at least one rule"),
        (
            &[cluster, namespace, name, ("IngressConf", r#"{"rules":[{"host":"a.b"}]}"#)],
            "has the value a.b: each rule needs at least one path",
        ),
        (
            &[
                cluster,
                namespace,
                name,
                ("IngressConf", r#"{"rules":[{"paths":[{"path":"x","backend":{"serviceName":"s","servicePort":80}}]}]}"#),
            ],
            "601 parameter IngressConf has the value x: a path begins with /",
        ),
        (&[cluster, namespace, name, ("IngressConf.rules.2.host", "a")], "IngressConf.rules.2.host has the value a: belongs to a list"),
        (&[cluster, namespace, name, conf, ("Labels", "x")], "601 parameter Labels has the value x"),
        (
            &[cluster, namespace, name, conf, ("Labels", r#"{"app.kubernetes.io/managed-by":"me"}"#)],
            "601 parameter Labels has the value app.kubernetes.io/managed-by: this name is the server's own",
        ),
    ];
    refused(&live, "POST", INGRESS, cases, false).await;
    refused(
        &live,
        "PUT",
        INGRESS,
        &[(&[cluster, namespace, name], "601 parameter IngressConf has the value (empty): at least one of")],
        false,
    )
    .await;
    refused(
        &live,
        "DELETE",
        INGRESS,
        &[(&[cluster, namespace], "MissingName"), (&[("ClusterId", "x"), namespace, name], "does not exist")],
        false,
    )
    .await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("ClusterId", "x")], "601 the cluster x does not exist"),
        (&[("Namespace", "x")], "601 parameter Namespace has the value x"),
        (&[("Condition", r#"{"field":"Host","pattern":"x"}"#)], "601 parameter Condition"),
    ];
    refused(&live, "GET", INGRESS, cases, false).await;
    // What only the cluster knows.
    refused(&live, "PUT", INGRESS, &[(&[cluster, namespace, name, conf], "601 the Ingress shop does not exist")], true).await;
    let theirs = [cluster, namespace, ("Name", "theirs")];
    refused(&live, "DELETE", INGRESS, &[(&theirs, "601 the Ingress theirs was not made by this server")], true).await;
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
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
        (&[app, ("Name", "Front"), kind, ports], "601 parameter Name has the value Front: must begin with a lower-case letter"),
        (&[app, name, ("Type", "LoadBalancer"), ports], "601 parameter Type has the value LoadBalancer: must be ClusterIP or NodePort"),
        (&[app, name, kind, ("ServicePorts", "[]")], "601 parameter ServicePorts has the value (empty): at least one port"),
        (&[app, name, kind, ("ServicePorts", r#"[{"port":80},{"port":80}]"#)], "601 parameter ServicePorts has the value 80: each port"),
        (&[app, name, kind, ("ServicePorts", r#"[{"port":70000}]"#)], "70000 is no port"),
        (
            &[app, name, kind, ports, ("ExternalTrafficPolicy", "Local")],
            "601 parameter ExternalTrafficPolicy has the value Local: applies to",
        ),
        (&[app, name, ("Type", "NodePort"), ports, ("ExternalTrafficPolicy", "x")], "must be Local or Cluster"),
    ];
    refused(&live, "POST", SERVICE, cases, false).await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[app, name], "601 parameter ServicePorts has the value (empty): at least one of"),
        (&[unknown, name, ports], none),
        (&[app, name, ("ServicePorts", "x")], "601 parameter ServicePorts has the value x"),
    ];
    refused(&live, "PUT", SERVICE, cases, false).await;
    refused(&live, "DELETE", SERVICE, &[(&[app], "MissingName"), (&[unknown, name], none), (&[name], "MissingAppId")], false).await;
    refused(&live, "GET", SERVICE, &[(&[unknown], none), (&[], "MissingAppId")], false).await;

    let (public, infos) = (("Type", "internet"), ("ServicePortInfos", LISTENERS));
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[app, infos], "MissingType"),
        (&[app, public], "MissingServicePortInfos"),
        (&[app, public, ("Port", "80")], "MissingTargetPort"),
        (&[unknown, public, infos], none),
        (&[app, ("Type", "public"), infos], "601 parameter Type has the value public: must be internet or intranet"),
        (&[app, public, infos, ("ClusterId", "other")], "601 the cluster other does not exist"),
        (&[app, public, infos, ("Scheduler", "wlc")], "601 parameter Scheduler has the value wlc: must be rr"),
        (&[app, public, infos, ("SlbId", "lb 1")], "601 parameter SlbId has the value lb 1: must have at most"),
        (&[app, public, infos, ("SlbProtocol", "TCP")], "601 parameter SlbProtocol has the value TCP: either ServicePortInfos or"),
        (
            &[app, public, ("ServicePortInfos", r#"[{"port":1,"targetPort":1},{"port":1,"targetPort":2}]"#)],
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
        (&[app, public], "601 parameter ServicePortInfos has the value (empty): at least one of"),
        (
            &[app, public, infos, ("SlbName", "mine")],
            "601 parameter SlbName has the value mine: the internet load balancer of web is web-internet",
        ),
        (&[app, public, ("DisableForceOverride", "perhaps")], "InvalidDisableForceOverride"),
    ];
    refused(&live, "PUT", SLB, cases, false).await;
    refused(&live, "DELETE", SLB, &[(&[app], "MissingType"), (&[unknown, public], none)], false).await;

    // What only the cluster knows.
    refused(&live, "PUT", SERVICE, &[(&[app, name, ports], "601 the Service front does not exist")], true).await;
    refused(&live, "DELETE", SERVICE, &[(&[app, name], "601 the Service front does not exist")], true).await;
    refused(&live, "DELETE", SLB, &[(&[app, public], "601 the Service web-internet does not exist")], true).await;
}

const CONFIGS: &str =
    r#"[{"name":"front","serviceType":"ClusterIP","portMappings":[{"servicePort":{"targetPort":8080,"port":80,"protocol":"TCP"}}]}]"#;

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn an_application_is_created_with_its_services(pool: PgPool) {
    let live = Live::start(pool).await;
    let app = [("AppName", "web"), ("ClusterId", "default"), ("ImageUrl", "shop/web:1")];
    let public = [("InternetSlbPort", "80"), ("InternetTargetPort", "8080"), ("InternetSlbProtocol", "HTTP")];
    let private = [("IntranetSlbId", "lb-1"), ("IntranetSlbPort", "81"), ("IntranetTargetPort", "8081")];
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("InternetSlbPort", "80")], "MissingInternetTargetPort"),
        (&[("IntranetSlbId", "lb-1")], "MissingIntranetSlbPort"),
        (&[("InternetSlbPort", "0"), ("InternetTargetPort", "1")], "InvalidInternetSlbPort"),
        (&[public[0], public[1], ("InternetSlbProtocol", "HTTPS")], "601 parameter InternetSlbProtocol has the value HTTPS: HTTPS needs"),
        (&[private[1], private[2], ("IntranetSlbId", "lb 1")], "601 parameter IntranetSlbId has the value lb 1"),
        (
            &[("ServiceConfigs", r#"[{"name":"Front","portMappings":[{"servicePort":{"port":80}}]}]"#)],
            "601 parameter ServiceConfigs has the value Front",
        ),
        (
            &[("ServiceConfigs", r#"[{"name":"front","portMappings":[]}]"#)],
            "601 parameter ServiceConfigs has the value (empty): at least one port",
        ),
        (&[("ServiceConfigs", r#"[{"name":"a","serviceType":"LoadBalancer","portMappings":[]}]"#)], "LoadBalancer is no serviceType"),
        (
            &[public[0], public[1], ("ServiceConfigs", &CONFIGS.replace("front", "web-internet"))],
            "web-internet: each Service needs a name of its own",
        ),
    ];
    let whole: Vec<(Vec<(&str, &str)>, &str)> = cases.iter().map(|(more, says)| ([&app[..], more].concat(), *says)).collect();
    let cases: Vec<(&[(&str, &str)], &str)> = whole.iter().map(|(parameters, says)| (parameters.as_slice(), *says)).collect();
    let before = traces(&live).await;
    for (parameters, says) in cases {
        let reply = live.server.call("POST", CREATE, parameters).await;
        let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
        assert!(reply["Code"] != 200 && said.contains(says), "{parameters:?}: {said}");
    }
    assert_eq!(traces(&live).await, before);

    let created = live.server.call("POST", CREATE, &[&app[..], &public, &private, &[("ServiceConfigs", CONFIGS)]].concat()).await;
    assert_eq!(created["Code"], 200, "{created:?}");
    shape::check("InsertK8sApplication", &created.clone().into());
    let application = created["ApplicationInfo"]["AppId"].as_str().unwrap();
    let recent = live
        .until("POST", RECENT, &[("AppId", application)], |reply| {
            let orders = reply["ChangeOrderList"]["ChangeOrder"].as_array().unwrap();
            orders.len() == 4 && orders.iter().all(|order| order["Status"] == 2)
        })
        .await;
    let mut told: Vec<&str> = recent["ChangeOrderList"]["ChangeOrder"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["ChangeOrderDescription"].as_str().unwrap())
        .collect();
    told.sort_unstable();
    assert_eq!(told[..3], ["Create Service front", "Create Service web-internet", "Create Service web-intranet"]);
    let selector = json!({ "sluice.dev/application": application });
    for (name, kind, port) in [("front", "ClusterIP", 80), ("web-internet", "LoadBalancer", 80), ("web-intranet", "LoadBalancer", 81)] {
        let made = service(&live, name).await;
        assert_eq!(
            (&made["spec"]["selector"], &made["spec"]["type"], &made["spec"]["ports"][0]["port"]),
            (&selector, &json!(kind), &json!(port))
        );
    }

    // A name that is taken is found before anything is written, and a Deployment that is
    // there is taken over without Services only.
    let other = [("AppName", "api"), ("ClusterId", "default"), ("ImageUrl", "shop/api:1"), ("ServiceConfigs", CONFIGS)];
    let refused = live.server.call("POST", CREATE, &other).await;
    let said = refused["Message"].as_str().unwrap();
    assert!(refused["Code"] == 601 && said.contains("the Service front exists already in namespace default"), "{said}");
    let listed = live.server.call("POST", "/pop/v5/app/app_list", &[]).await;
    assert_eq!(listed["ApplicationList"]["Application"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn a_deployment_that_is_there_is_taken_over_without_services_only(pool: PgPool) {
    let live = Live::start(pool).await;
    let labels = json!({ "app": "theirs" });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "shop/web:1" }] } });
    let object = json!({ "metadata": { "name": "theirs" }, "spec": { "selector": { "matchLabels": labels }, "template": template } });
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(live.client(), "default");
    deployments.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    let app = [("AppName", "theirs"), ("ClusterId", "default"), ("ImageUrl", "shop/web:1")];
    live.until("POST", CREATE, &[&app[..], &[("ServiceConfigs", CONFIGS)]].concat(), |reply| {
        reply["Code"] == 601
            && reply["Message"].as_str().unwrap().contains("is taken over as it runs: leave the load balancers and Services out")
    })
    .await;
    assert_eq!(live.server.orders().await, 0);
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
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
    refused(&live, "POST", SERVICE, &[(&create, "601 the Service theirs exists already, and this server did not make it")], true).await;
    refused(&live, "PUT", SERVICE, &[(&[app, name, ("ServicePorts", PORTS)], "601 the Service theirs was not made by this server")], true)
        .await;
    refused(&live, "DELETE", SERVICE, &[(&[app, name], "601 the Service theirs was not made by this server")], true).await;
    let listed = live.server.call("GET", SERVICE, &[app]).await;
    let names: Vec<_> = listed["Services"].as_array().unwrap().iter().map(|it| &it["Name"]).collect();
    assert_eq!(names, ["theirs"], "those that find its pods, whoever made them");
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn the_same_request_again_gets_the_same_order(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let parameters = [("AppId", application.as_str()), ("Name", "front"), ("Type", "ClusterIP"), ("ServicePorts", PORTS)];
    let create = Unsigned { method: "POST", path: SERVICE, parameters: &parameters, date: live.server.clock.now(), nonce: Some("n-1") };
    let signed = create.acs3(KEY);
    // At once, and once more.
    let (first, second) = tokio::join!(live.server.send("POST", &signed), live.server.send("POST", &signed));
    let third = live.server.send("POST", &signed).await;
    assert_eq!(first.1["Code"], 200, "{first:?}");
    for again in [second, third] {
        assert_eq!((&again.1["Code"], &again.1["ChangeOrderId"]), (&json!(200), &first.1["ChangeOrderId"]));
    }
    assert_eq!(traces(&live).await.1, 1);
}

#[sqlx::test(migrator = "crate::store::MIGRATIONS")]
async fn without_an_executor_nothing_is_written(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let parameters = [("AppId", application.as_str()), ("Name", "front")];
    let orders = server.orders().await;
    let refused = server.call("DELETE", SERVICE, &parameters).await;
    let said = refused["Message"].as_str().unwrap();
    assert!(refused["Code"] == 601 && said.contains("no executor reaches it; nothing was changed"), "{said}");
    // One that is alive, and takes nothing up: it is taken back.
    Store::on(server.pool.clone()).heartbeat("somebody", true).await.unwrap();
    let refused = server.call("DELETE", SERVICE, &parameters).await;
    let said = refused["Message"].as_str().unwrap();
    assert!(refused["Code"] == 601 && said.contains("no executor took it up in time; nothing was changed"), "{said}");
    let errands: i64 = sqlx::query_scalar("SELECT count(*) FROM errand").fetch_one(&server.pool).await.unwrap();
    assert_eq!((errands, server.orders().await), (0, orders));
}
