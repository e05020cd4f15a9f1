//! Ingress rules: signed calls that an executor carries out on the simulated cluster, and
//! what is refused without a trace.

use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, api::PostParams};
use serde_json::json;

use super::{
    network::{INGRESS, PORTS, SERVICE, refused, written},
    reading::Live,
    *,
};

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn ingress_rules_are_created_changed_listed_and_deleted(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let create = [
        ("AppId", application.as_str()),
        ("Name", "front"),
        ("Type", "ClusterIP"),
        ("ServicePorts", PORTS),
    ];
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
    let texts = [
        ("Labels", r#"{"team":"shop"}"#),
        ("Annotations", r#"{"nginx.ingress.kubernetes.io/ssl-redirect":"true","a":"b"}"#),
    ];
    let created: Value =
        live.server.call("POST", INGRESS, &[&place[..], &rules, &texts].concat()).await.into();
    assert_eq!(created["Code"], 200, "{created}");
    shape::check("CreateK8sIngressRule", &created);
    let made = object().await;
    assert_eq!(
        made["metadata"]["labels"],
        json!({ "app.kubernetes.io/managed-by": "sluice", "team": "shop" })
    );
    assert_eq!(
        made["spec"]["tls"],
        json!([{ "hosts": ["shop.example"], "secretName": "shop-tls" }])
    );

    let listed: Value = live
        .server
        .call("GET", INGRESS, &[("Condition", r#"{"field":"Name","pattern":"sh"}"#)])
        .await
        .into();
    shape::check("ListK8sIngressRules", &listed);
    let shown = &listed["Data"][0]["IngressConfs"][0];
    assert_eq!(
        (&shown["Name"], &shown["IngressType"], &shown["SslRedirect"]),
        (&json!("shop"), &json!("NginxIngress"), &json!(true))
    );
    let rule = &shown["Rules"][0];
    assert_eq!(
        (&rule["Host"], &rule["EnableTls"], &rule["SecretName"]),
        (&json!("shop.example"), &json!(true), &json!("shop-tls"))
    );
    assert_eq!(
        rule["Paths"][0],
        json!({
            "Path": "/", "PathType": "ImplementationSpecific", "Backend": { "ServiceName": "front", "ServicePort": "80" },
            "Status": "Normal", "AppId": application, "AppName": "web",
        })
    );
    assert_eq!(
        (&rule["Paths"][1]["Status"], &rule["Paths"][1]["PathType"]),
        (&json!("ServiceNotFound"), &json!("Prefix"))
    );
    let none = live
        .server
        .call(
            "GET",
            INGRESS,
            &[("Condition", r#"{"field":"Name","pattern":"x"}"#), ("Namespace", "default")],
        )
        .await;
    assert_eq!(none["Data"][0]["IngressConfs"], json!([]));

    // As the others send it; what is not said stays.
    let conf = r#"{"rules":[{"paths":[{"path":"/v2","backend":{"serviceName":"front","servicePort":80}}]}]}"#;
    let change = [("IngressConf", conf), ("Annotations", r#"{"a":null,"c":"d"}"#)];
    let changed: Value =
        live.server.call("PUT", INGRESS, &[&place[..], &change].concat()).await.into();
    assert_eq!(changed["Code"], 200, "{changed}");
    shape::check("UpdateK8sIngressRule", &changed);
    let made = object().await;
    assert_eq!(
        (&made["spec"]["tls"], &made["spec"]["rules"][0]["http"]["paths"][0]["path"]),
        (&Value::Null, &json!("/v2"))
    );
    let annotations = &made["metadata"]["annotations"];
    assert_eq!(
        (&annotations["a"], &annotations["c"], &made["metadata"]["labels"]["team"]),
        (&Value::Null, &json!("d"), &json!("shop"))
    );
    assert_eq!(annotations["nginx.ingress.kubernetes.io/ssl-redirect"], "true");

    let deleted: Value = live.server.call("DELETE", INGRESS, &place).await.into();
    assert_eq!(deleted["Code"], 200, "{deleted}");
    shape::check("DeleteK8sIngressRule", &deleted);
    assert!(ingresses.get_opt("shop").await.unwrap().is_none());
    assert_eq!(live.server.orders().await, orders, "an Ingress is of no application");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn ingress_rules_that_cannot_be_are_refused_by_name_and_leave_nothing(pool: PgPool) {
    let live = Live::start(pool).await;
    let ingresses: Api<Ingress> = Api::namespaced(live.client(), "default");
    let theirs =
        serde_json::from_value(json!({ "metadata": { "name": "theirs" }, "spec": {} })).unwrap();
    ingresses.create(&PostParams::default(), &theirs).await.unwrap();
    let (cluster, namespace, name) =
        (("ClusterId", "default"), ("Namespace", "default"), ("Name", "shop"));
    let conf = (
        "IngressConf",
        r#"{"rules":[{"paths":[{"path":"/","backend":{"serviceName":"s","servicePort":80}}]}]}"#,
    );
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
        (
            &[cluster, namespace, ("Name", "Shop"), conf],
            "601 parameter Name has the value Shop: must begin with",
        ),
        (
            &[cluster, namespace, name, ("IngressConf", "{}")],
            "601 parameter IngressConf has the value (empty): must have at least one rule",
        ),
        (
            &[cluster, namespace, name, ("IngressConf", r#"{"rules":[{"host":"a.b"}]}"#)],
            "has the value a.b: each rule must have at least one path",
        ),
        (
            &[
                cluster,
                namespace,
                name,
                (
                    "IngressConf",
                    r#"{"rules":[{"paths":[{"path":"x","backend":{"serviceName":"s","servicePort":80}}]}]}"#,
                ),
            ],
            "601 parameter IngressConf has the value x: a path must begin with /",
        ),
        (
            &[cluster, namespace, name, ("IngressConf.rules.2.host", "a")],
            "IngressConf.rules.2.host has the value a: belongs to a list",
        ),
        (
            &[cluster, namespace, name, conf, ("Labels", "x")],
            "601 parameter Labels has the value x",
        ),
        (
            &[
                cluster,
                namespace,
                name,
                conf,
                ("Labels", r#"{"app.kubernetes.io/managed-by":"me"}"#),
            ],
            "601 parameter Labels has the value app.kubernetes.io/managed-by: must not be a name of the server's own",
        ),
    ];
    refused(&live, "POST", INGRESS, cases, false).await;
    refused(
        &live,
        "PUT",
        INGRESS,
        &[(
            &[cluster, namespace, name],
            "601 parameter IngressConf has the value (empty): must be given, or",
        )],
        false,
    )
    .await;
    refused(
        &live,
        "DELETE",
        INGRESS,
        &[
            (&[cluster, namespace], "MissingName"),
            (&[("ClusterId", "x"), namespace, name], "does not exist"),
        ],
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
    refused(
        &live,
        "PUT",
        INGRESS,
        &[(&[cluster, namespace, name, conf], "601 the Ingress shop does not exist")],
        true,
    )
    .await;
    let theirs = [cluster, namespace, ("Name", "theirs")];
    refused(
        &live,
        "DELETE",
        INGRESS,
        &[(&theirs, "601 the Ingress theirs was not made by this server")],
        true,
    )
    .await;
}
