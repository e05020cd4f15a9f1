//! Applications that are created with Services and load balancers.

use kube::{Api, api::PostParams};
use serde_json::json;

use super::{
    network::{RECENT, service, traces},
    reading::Live,
    server::CREATE,
    *,
};

const CONFIGS: &str = r#"[{"name":"front","serviceType":"ClusterIP","portMappings":[{"servicePort":{"targetPort":8080,"port":80,"protocol":"TCP"}}]}]"#;

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_application_is_created_with_its_services(pool: PgPool) {
    let live = Live::start(pool).await;
    let app = [("AppName", "web"), ("ClusterId", "default"), ("ImageUrl", "shop/web:1")];
    let public = [
        ("InternetSlbPort", "80"),
        ("InternetTargetPort", "8080"),
        ("InternetSlbProtocol", "HTTP"),
    ];
    let private =
        [("IntranetSlbId", "lb-1"), ("IntranetSlbPort", "81"), ("IntranetTargetPort", "8081")];
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("InternetSlbPort", "80")], "MissingInternetTargetPort"),
        (&[("IntranetSlbId", "lb-1")], "MissingIntranetSlbPort"),
        (&[("InternetSlbPort", "0"), ("InternetTargetPort", "1")], "InvalidInternetSlbPort"),
        (
            &[public[0], public[1], ("InternetSlbProtocol", "HTTPS")],
            "601 parameter InternetSlbProtocol has the value HTTPS: HTTPS needs",
        ),
        (
            &[private[1], private[2], ("IntranetSlbId", "lb 1")],
            "601 parameter IntranetSlbId has the value lb 1",
        ),
        (
            &[(
                "ServiceConfigs",
                r#"[{"name":"Front","portMappings":[{"servicePort":{"port":80}}]}]"#,
            )],
            "601 parameter ServiceConfigs has the value Front",
        ),
        (
            &[("ServiceConfigs", r#"[{"name":"front","portMappings":[]}]"#)],
            "601 parameter ServiceConfigs has the value (empty): must have at least one port",
        ),
        (
            &[(
                "ServiceConfigs",
                r#"[{"name":"a","serviceType":"LoadBalancer","portMappings":[]}]"#,
            )],
            "LoadBalancer is no serviceType",
        ),
        (
            &[public[0], public[1], ("ServiceConfigs", &CONFIGS.replace("front", "web-internet"))],
            "web-internet: each Service needs a name of its own",
        ),
    ];
    let whole: Vec<(Vec<(&str, &str)>, &str)> =
        cases.iter().map(|(more, says)| ([&app[..], more].concat(), *says)).collect();
    let cases: Vec<(&[(&str, &str)], &str)> =
        whole.iter().map(|(parameters, says)| (parameters.as_slice(), *says)).collect();
    let before = traces(&live).await;
    for (parameters, says) in cases {
        let reply = live.server.call("POST", CREATE, parameters).await;
        let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
        assert!(reply["Code"] != 200 && said.contains(says), "{parameters:?}: {said}");
    }
    assert_eq!(traces(&live).await, before);

    let created = live
        .server
        .call(
            "POST",
            CREATE,
            &[&app[..], &public, &private, &[("ServiceConfigs", CONFIGS)]].concat(),
        )
        .await;
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
    assert_eq!(
        told[..3],
        ["Create Service front", "Create Service web-internet", "Create Service web-intranet"]
    );
    let entries: Vec<(String, String)> = sqlx::query_as(
        "SELECT object, outcome FROM audit_entry WHERE operation = 'edas:InsertK8sApplication' AND object LIKE '%/service/%' ORDER BY object",
    )
    .fetch_all(&live.server.pool)
    .await
    .unwrap();
    let of = |name: &str| (format!("namespace/default/service/{name}"), "done".to_owned());
    assert_eq!(entries, [of("front"), of("web-internet"), of("web-intranet")]);
    let selector = json!({ "sluice.dev/application": application });
    for (name, kind, port) in [
        ("front", "ClusterIP", 80),
        ("web-internet", "LoadBalancer", 80),
        ("web-intranet", "LoadBalancer", 81),
    ] {
        let made = service(&live, name).await;
        assert_eq!(
            (&made["spec"]["selector"], &made["spec"]["type"], &made["spec"]["ports"][0]["port"]),
            (&selector, &json!(kind), &json!(port))
        );
    }

    // A name that is taken is found before anything is written, and a Deployment that is
    // there is taken over without Services only.
    let other = [
        ("AppName", "api"),
        ("ClusterId", "default"),
        ("ImageUrl", "shop/api:1"),
        ("ServiceConfigs", CONFIGS),
    ];
    let refused = live.server.call("POST", CREATE, &other).await;
    let said = refused["Message"].as_str().unwrap();
    assert!(
        refused["Code"] == 601
            && said.contains("the Service front exists already in namespace default"),
        "{said}"
    );
    let listed = live.server.call("POST", "/pop/v5/app/app_list", &[]).await;
    assert_eq!(listed["ApplicationList"]["Application"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_deployment_that_is_there_is_taken_over_without_services_only(pool: PgPool) {
    let live = Live::start(pool).await;
    let labels = json!({ "app": "theirs" });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "shop/web:1" }] } });
    let object = json!({ "metadata": { "name": "theirs" }, "spec": { "selector": { "matchLabels": labels }, "template": template } });
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> =
        Api::namespaced(live.client(), "default");
    deployments
        .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
        .await
        .unwrap();
    let app = [("AppName", "theirs"), ("ClusterId", "default"), ("ImageUrl", "shop/web:1")];
    live.until("POST", CREATE, &[&app[..], &[("ServiceConfigs", CONFIGS)]].concat(), |reply| {
        reply["Code"] == 601
            && reply["Message"]
                .as_str()
                .unwrap()
                .contains("is taken over as it runs: leave the load balancers and Services out")
    })
    .await;
    assert_eq!(live.server.orders().await, 0);
}
