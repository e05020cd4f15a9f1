//! ConfigMaps and Secrets: signed forms that an executor carries out on the simulated
//! cluster, what is refused without a trace, and where secrets are not seen.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, api::PostParams};
use serde_json::json;

use super::{
    network::{RECENT, refused},
    reading::Live,
    *,
};

const MAP: &str = "/pop/v5/k8s/acs/k8s_config_map";
const SECRET: &str = "/pop/v5/k8s/acs/k8s_secret";
const PLACE: [(&str, &str); 3] =
    [("ClusterId", "default"), ("Namespace", "default"), ("Name", "settings")];

/// A write that succeeds.
async fn written(
    live: &Live,
    operation: &str,
    (method, path): (&str, &str),
    more: &[(&str, &str)],
) {
    let reply: Value = live.server.call(method, path, &[&PLACE[..], more].concat()).await.into();
    assert_eq!(reply["Code"], 200, "{operation}: {reply}");
    shape::check(operation, &reply);
}

async fn listed(live: &Live, operation: &str, path: &str, parameters: &[(&str, &str)]) -> Value {
    let reply: Value = live.server.call("GET", path, parameters).await.into();
    assert_eq!(reply["Code"], 200, "{operation}: {reply}");
    shape::check(operation, &reply);
    reply["Result"].clone()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_config_map_is_created_changed_listed_and_deleted(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let maps: Api<ConfigMap> = Api::namespaced(live.client(), "default");
    let object = async || serde_json::to_value(maps.get("settings").await.unwrap()).unwrap();

    // As a Tea SDK sends a list.
    let data = [
        ("Data.1.Key", "app.yaml"),
        ("Data.1.Value", "port: 80\n"),
        ("Data.2.Key", "MODE"),
        ("Data.2.Value", "a=b&c+d %"),
    ];
    written(&live, "CreateK8sConfigMap", ("POST", MAP), &data).await;
    let made = object().await;
    assert_eq!(made["data"], json!({ "app.yaml": "port: 80\n", "MODE": "a=b&c+d %" }));
    assert_eq!(made["metadata"]["labels"], json!({ "app.kubernetes.io/managed-by": "sluice" }));

    // As the others do; what is not named goes.
    written(
        &live,
        "UpdateK8sConfigMap",
        ("PUT", MAP),
        &[("Data", r#"[{"Key":"MODE","Value":"x"}]"#)],
    )
    .await;
    assert_eq!(object().await["data"], json!({ "MODE": "x" }));

    let theirs =
        serde_json::from_value(json!({ "metadata": { "name": "theirs" }, "data": { "a": "b" } }))
            .unwrap();
    maps.create(&PostParams::default(), &theirs).await.unwrap();
    let release = [
        ("AppId", application.as_str()),
        ("EnvFroms", r#"[{"configMapRef":{"name":"settings"}}]"#),
    ];
    let ordered = live.server.call("POST", server::DEPLOY, &release).await;
    assert_eq!(ordered["Code"], 200, "{ordered:?}");
    let related = json!([{ "AppId": application, "AppName": "web" }]);
    let named = [("ShowRelatedApps", "true"), ("Condition", r#"{"field":"Name","pattern":"set"}"#)];
    let reply = live
        .until("GET", MAP, &named, |reply| {
            reply["Result"]["ConfigMaps"][0]["RelatedApps"] == related
        })
        .await;
    shape::check("ListK8sConfigMaps", &reply);
    let shown = &reply["Result"]["ConfigMaps"][0];
    assert_eq!(
        (&reply["Result"]["Total"], &shown["Name"], &shown["Namespace"]),
        (&json!(1), &json!("settings"), &json!("default"))
    );
    assert_eq!(
        (&shown["Data"], &shown["ClusterId"]),
        (&json!([{ "Key": "MODE", "Value": "x" }]), &json!("default"))
    );
    let second = [("Namespace", "default"), ("PageNo", "1"), ("PageSize", "1")];
    let page = listed(&live, "ListK8sConfigMaps", MAP, &second).await;
    assert_eq!((&page["Total"], &page["ConfigMaps"][0]["Name"]), (&json!(2), &json!("theirs")));
    assert_eq!(page["ConfigMaps"][0]["RelatedApps"], json!([]), "not asked for");

    written(&live, "DeleteK8sConfigMap", ("DELETE", MAP), &[]).await;
    assert!(maps.get_opt("settings").await.unwrap().is_none());
    let recent: Value = live.server.call("POST", RECENT, &[("AppId", &application)]).await.into();
    assert!(
        !recent.to_string().contains("CoUpdateK8sService"),
        "a ConfigMap is of no application: {recent}"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_secret_is_created_changed_listed_and_deleted_and_seen_nowhere_else(pool: PgPool) {
    let live = Live::start(pool).await;
    let secrets: Api<Secret> = Api::namespaced(live.client(), "default");
    let object = async || serde_json::to_value(secrets.get("settings").await.unwrap()).unwrap();

    written(
        &live,
        "CreateK8sSecret",
        ("POST", SECRET),
        &[("Data", r#"[{"Key":"password","Value":"geheim"}]"#)],
    )
    .await;
    let made = object().await;
    assert_eq!(
        (&made["type"], &made["data"]),
        (&json!("Opaque"), &json!({ "password": "Z2VoZWlt" }))
    );
    let encoded =
        [("Data.1.Key", "token"), ("Data.1.Value", "Z2VoZWlt"), ("Base64Encoded", "True")];
    written(&live, "UpdateK8sSecret", ("PUT", SECRET), &encoded).await;
    let made = object().await;
    assert_eq!((&made["type"], &made["data"]), (&json!("Opaque"), &json!({ "token": "Z2VoZWlt" })));

    let theirs = json!({ "metadata": { "name": "theirs" }, "data": { "password": "Z2VoZWlt" } });
    secrets.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    let all = listed(
        &live,
        "ListK8sSecrets",
        SECRET,
        &[("Namespace", "default"), ("ShowRelatedApps", "true")],
    )
    .await;
    let (ours, theirs) = (&all["Secrets"][0], &all["Secrets"][1]);
    assert_eq!(
        (&all["Total"], &ours["Name"], &ours["Base64Encoded"]),
        (&json!(2), &json!("settings"), &json!(true))
    );
    assert_eq!(ours["Data"], json!([{ "Key": "token", "Value": "Z2VoZWlt" }]));
    assert_eq!(
        (&theirs["Name"], &theirs["Data"]),
        (&json!("theirs"), &json!([{ "Key": "password", "Value": "" }]))
    );

    written(&live, "DeleteK8sSecret", ("DELETE", SECRET), &[]).await;
    assert!(secrets.get_opt("settings").await.unwrap().is_none());

    let tls = r#"[{"Key":"tls.crt","Value":"c"},{"Key":"tls.key","Value":"k"}]"#;
    written(
        &live,
        "CreateK8sSecret",
        ("POST", SECRET),
        &[("Type", "kubernetes.io/tls"), ("Data", tls)],
    )
    .await;
    assert_eq!(object().await["type"], "kubernetes.io/tls");

    let mut kept: Vec<String> = Vec::new();
    for table in ["object_write", "event", "precheck_request", "nonce"] {
        let query = format!("SELECT to_jsonb(t)::text FROM {table} t");
        kept.extend(
            sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(query))
                .fetch_all(&live.server.pool)
                .await
                .unwrap(),
        );
    }
    assert!(kept.len() >= 4, "{kept:?}");
    assert!(
        kept.iter().all(|row| !row.contains("geheim") && !row.contains("Z2VoZWlt")),
        "{kept:?}"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_cannot_be_written_is_refused_by_name_and_leaves_nothing(pool: PgPool) {
    let live = Live::start(pool).await;
    let [cluster, namespace, name] = PLACE;
    let data = ("Data", r#"[{"Key":"a","Value":"geheim"}]"#);
    for path in [MAP, SECRET] {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[namespace, name, data], "MissingClusterId"),
            (&[cluster, name, data], "MissingNamespace"),
            (&[cluster, namespace, data], "MissingName"),
            (&[cluster, namespace, name], "MissingData"),
            (&[("ClusterId", "x"), namespace, name, data], "601 the cluster x does not exist"),
            (
                &[cluster, ("Namespace", "x"), name, data],
                "601 parameter Namespace has the value x: the cluster has no such namespace",
            ),
            (
                &[cluster, namespace, ("Name", "A_b"), data],
                "601 parameter Name has the value A_b: must begin with",
            ),
            (
                &[cluster, namespace, name, ("Data", r#"{"a":"b"}"#)],
                "601 parameter Data has the value ",
            ),
            (
                &[cluster, namespace, name, ("Data", r#"[{"Key":"a/b","Value":"x"}]"#)],
                "a Key must have 1 to 253",
            ),
            (&[cluster, namespace, name, ("Data.2.Key", "a")], "Data"),
        ];
        refused(&live, "POST", path, cases, false).await;
        refused(&live, "PUT", path, cases, false).await;
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[cluster, namespace], "MissingName"),
            (&[("ClusterId", "x"), namespace, name], "601 the cluster x does not exist"),
        ];
        refused(&live, "DELETE", path, cases, false).await;
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("ClusterId", "x")], "601 the cluster x does not exist"),
            (&[("Namespace", "x")], "601 parameter Namespace has the value x"),
            (&[("PageNo", "-1")], "InvalidPageNo"),
            (&[("PageSize", "x")], "InvalidPageSize"),
            (&[("ShowRelatedApps", "x")], "InvalidShowRelatedApps"),
            (&[("Condition", r#"{"field":"Host","pattern":"x"}"#)], "601 parameter Condition"),
        ];
        refused(&live, "GET", path, cases, false).await;
    }
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[cluster, namespace, name, data, ("Type", "x")],
            "601 parameter Type has the value x: allowed are Opaque and kubernetes.io/tls",
        ),
        (&[cluster, namespace, name, data, ("Type", "kubernetes.io/tls")], "needs the key tls.crt"),
        (&[cluster, namespace, name, data, ("Base64Encoded", "x")], "InvalidBase64Encoded"),
        (
            &[
                cluster,
                namespace,
                name,
                ("Data", r#"[{"Key":"a","Value":"!"}]"#),
                ("Base64Encoded", "true"),
            ],
            "of entry 1: the Value is no base64",
        ),
        (
            &[cluster, namespace, name, data, ("CertId", "1")],
            "601 The parameter CertId of CreateK8sSecret is not applied",
        ),
    ];
    refused(&live, "POST", SECRET, cases, false).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_somebody_else_made_is_left_alone(pool: PgPool) {
    let live = Live::start(pool).await;
    let data = ("Data", r#"[{"Key":"a","Value":"geheim"}]"#);
    let [cluster, namespace, name] = PLACE;
    let wanted = [cluster, namespace, name, data];
    for (path, kind) in [(MAP, "ConfigMap"), (SECRET, "Secret")] {
        let says = |what: &str| format!("601 the {kind} settings {what}");
        refused(&live, "PUT", path, &[(&wanted, &says("does not exist"))], true).await;
        refused(&live, "DELETE", path, &[(&PLACE, &says("does not exist"))], true).await;
    }
    let theirs = json!({ "metadata": { "name": "settings" }, "data": { "a": "YQ==" } });
    let maps: Api<ConfigMap> = Api::namespaced(live.client(), "default");
    maps.create(&PostParams::default(), &serde_json::from_value(theirs.clone()).unwrap())
        .await
        .unwrap();
    let secrets: Api<Secret> = Api::namespaced(live.client(), "default");
    secrets.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    for (path, kind) in [(MAP, "ConfigMap"), (SECRET, "Secret")] {
        let says = |what: &str| format!("601 the {kind} settings {what}");
        refused(
            &live,
            "POST",
            path,
            &[(&wanted, &says("exists already, and this server did not make it"))],
            true,
        )
        .await;
        refused(&live, "PUT", path, &[(&wanted, &says("was not made by this server"))], true).await;
        refused(&live, "DELETE", path, &[(&PLACE, &says("was not made by this server"))], true)
            .await;
    }
    assert_eq!(
        serde_json::to_value(secrets.get("settings").await.unwrap()).unwrap()["data"],
        json!({ "a": "YQ==" })
    );
}
