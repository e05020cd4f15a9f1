//! Load balancers in front of an application.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{
    network::{APPLICATION, SLB, service, services, written},
    reading::Live,
    *,
};

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_application_is_bound_to_load_balancers(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let (app, cluster, kind) =
        (("AppId", application.as_str()), ("ClusterId", "default"), ("Type", "Intranet"));
    let listeners = r#"[{"port":80,"targetPort":8080,"loadBalancerProtocol":"TCP"},{"port":443,"targetPort":8443,"loadBalancerProtocol":"HTTPS","certId":"c-1"}]"#;
    let bind = [
        app,
        cluster,
        kind,
        ("SlbId", "lb-1"),
        ("Scheduler", "RR"),
        ("Specification", "slb.s1.small"),
        ("ServicePortInfos", listeners),
    ];
    let info = written(&live, "BindK8sSlb", ("POST", SLB), &bind).await;
    assert_eq!(info["ChangeOrderDescription"], "Bind the load balancer web-intranet");
    let made = service(&live, "web-intranet").await;
    let told = |made: &Value, name: &str| {
        made["metadata"]["annotations"]
            [format!("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-{name}")]
        .clone()
    };
    let names = [
        "address-type",
        "id",
        "scheduler",
        "spec",
        "force-override-listeners",
        "protocol-port",
        "cert-id",
    ];
    assert_eq!(
        names.map(|name| told(&made, name)),
        ["intranet", "lb-1", "rr", "slb.s1.small", "true", "https:443", "c-1"]
    );
    assert_eq!(
        (&made["spec"]["type"], made["spec"]["ports"].as_array().unwrap().len()),
        (&json!("LoadBalancer"), 2)
    );

    let mappings = json!([
        { "loadBalancerProtocol": "TCP", "certId": "", "servicePort": { "protocol": "TCP", "port": 80, "targetPort": 8080 } },
        { "loadBalancerProtocol": "HTTPS", "certId": "c-1", "servicePort": { "protocol": "TCP", "port": 443, "targetPort": 8443 } },
    ]);
    let bound = json!([{
        "name": "web-intranet", "addressType": "intranet", "slbId": "lb-1", "ip": "", "scheduler": "rr",
        "specification": "slb.s1.small", "portMappings": mappings,
    }]);
    assert_eq!(load_balancers(&live, &application).await, bound);

    // The cluster as Terraform names it.
    let cluster = ("ClusterId", "ClusterId");
    let change = [
        app,
        cluster,
        kind,
        ("SlbName", "web-intranet"),
        ("Port", "81"),
        ("TargetPort", "8081"),
        ("DisableForceOverride", "true"),
    ];
    written(&live, "UpdateK8sSlb", ("PUT", SLB), &change).await;
    let made = service(&live, "web-intranet").await;
    let expected = [
        json!("intranet"),
        json!("lb-1"),
        json!("rr"),
        json!("slb.s1.small"),
        json!("false"),
        Value::Null,
        Value::Null,
    ];
    assert_eq!(names.map(|name| told(&made, name)), expected);
    assert_eq!(
        (&made["spec"]["ports"][0]["port"], &made["spec"]["ports"][0]["targetPort"]),
        (&json!(81), &json!(8081))
    );

    written(
        &live,
        "BindK8sSlb",
        ("POST", SLB),
        &[
            app,
            ("Type", "internet"),
            ("Port", "80"),
            ("TargetPort", "8080"),
            ("SlbProtocol", "HTTP"),
        ],
    )
    .await;
    assert_eq!(told(&service(&live, "web-internet").await, "protocol-port"), "http:80");
    written(&live, "UnbindK8sSlb", ("DELETE", SLB), &[app, cluster, kind]).await;
    assert!(services(&live).get_opt("web-intranet").await.unwrap().is_none());
    assert!(services(&live).get_opt("web-internet").await.unwrap().is_some());

    // What the cloud made of it.
    let made =
        json!({ "metadata": { "labels": { "service.k8s.alibaba/loadbalancer-id": "lb-2" } } });
    services(&live)
        .patch("web-internet", &PatchParams::default(), &Patch::Merge(made))
        .await
        .unwrap();
    let left = load_balancers(&live, &application).await;
    assert_eq!(
        (&left[0]["name"], &left[0]["slbId"], left.as_array().unwrap().len()),
        (&json!("web-internet"), &json!("lb-2"), 1)
    );
    let shown = live.server.call("POST", APPLICATION, &[app]).await;
    let fields = ["SlbId", "SlbName", "ExtSlbId", "ExtSlbName"]
        .map(|name| shown["Application"][name].as_str().unwrap().to_owned());
    assert_eq!(fields, ["", "", "lb-2", "web-internet"]);
}

/// The application's load balancers, as both operations show them.
async fn load_balancers(live: &Live, application: &str) -> Value {
    let app = ("AppId", application);
    let shown: Value = live.server.call("POST", APPLICATION, &[app]).await.into();
    shape::check("GetApplication", &shown);
    let whole: Value =
        live.server.call("GET", "/pop/v5/changeorder/co_application", &[app]).await.into();
    let text = shown["Application"]["SlbInfo"].as_str().unwrap();
    assert_eq!(
        (&shown["Applcation"]["SlbInfo"], &whole["Applcation"]["App"]["SlbInfo"]),
        (&json!(text), &json!(text))
    );
    serde_json::from_str(text).unwrap()
}
