//! What belongs to others: namespaces, hosts of Ingresses, annotations that their
//! controllers obey, load balancers, Secrets.

use std::collections::BTreeMap;

use domain::object::{
    ingress::{IngressRule, Path, PathMatch},
    service::{Balancer, Network, PortTarget},
    write::ObjectKind,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::PostParams};
use service::{Bind, Route};

use super::*;

on_both_clusters!(
    a_host_belongs_to_the_namespace_that_has_it,
    annotations_of_an_ingress_and_load_balancers_are_those_that_a_policy_names,
    a_system_namespace_must_be_named,
);

/// A second namespace, known to the executor.
pub(super) async fn second(app: &App) -> String {
    let name = format!("it-{}", ApplicationId::new());
    let namespace: Namespace =
        serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
    let namespaces: Api<Namespace> = Api::all(app.client.clone());
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    eventually(async || {
        let known = app.service.cluster(None).await.unwrap().namespaces;
        if known.contains(&name) { Ok(()) } else { Err(format!("{known:?}")) }
    })
    .await;
    name
}

fn operator(namespace: &str) -> Grant {
    Grant::role(Role::Operator, Scope::read(namespace, "*").unwrap())
}

pub(super) fn route(namespace: &str, name: &str, host: Option<&str>) -> Route {
    let path = Path {
        path: "/".into(),
        matched: PathMatch::Prefix,
        service: "web".into(),
        port: PortTarget::Number(80),
    };
    let rule = IngressRule { host: host.map(Into::into), secret: None, paths: vec![path] };
    Route {
        cluster: CLUSTER.into(),
        namespace: namespace.into(),
        name: name.into(),
        rules: Some(vec![rule]),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

pub(super) const INGRESS: Action = Action::new("CreateK8sIngressRule", Group::ManageConfig);

async fn a_host_belongs_to_the_namespace_that_has_it(app: App) {
    let other = second(&app).await;
    // Other tests share the real cluster.
    let domain = format!("{other}.example.com");
    let host = format!("pay.{domain}");
    let ours = with(&app, &[operator(&app.namespace)], INGRESS);
    let theirs = with(&app, &[operator(&other)], INGRESS);
    ours.create_route(&caller(), route(&app.namespace, "pay", Some(&host))).await.unwrap();
    let named = [host.as_str(), "an Ingress of another namespace", "edas:UseIngressHost"];
    let refusal = theirs.create_route(&caller(), route(&other, "pay", Some(&host))).await;
    refused(refusal, &named);
    let upper = host.to_ascii_uppercase();
    let refusal = theirs.create_route(&caller(), route(&other, "pay", Some(&upper))).await;
    refused(refusal, &["a host must be a name"]);
    let none = theirs.routes(None, &other).await.unwrap();
    assert!(none.is_empty(), "{none:?}");

    // Of the own namespace it is, as often as it likes.
    ours.create_route(&caller(), route(&app.namespace, "pay-2", Some(&host))).await.unwrap();
    let wild = format!("*.shop.{domain}");
    theirs.create_route(&caller(), route(&other, "wild", Some(&wild))).await.unwrap();
    let below = format!("a.shop.{domain}");
    let refusal = ours.create_route(&caller(), route(&app.namespace, "a", Some(&below))).await;
    refused(refusal, &["an Ingress of another namespace"]);

    // Two that want it at once do not both get it.
    let both = format!("new.{domain}");
    let (one, two) = tokio::join!(
        async { ours.create_route(&caller(), route(&app.namespace, "new", Some(&both))).await },
        async { theirs.create_route(&caller(), route(&other, "new", Some(&both))).await },
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");

    let statement = format!(
        r#"{{"Effect":"Allow","Action":"edas:UseIngressHost","Resource":"acs:edas:*:*:ingresshost/*.{domain}"}}"#
    );
    let shared = with(&app, &[operator(&other), policy(&statement)], INGRESS);
    shared.create_route(&caller(), route(&other, "pay", Some(&host))).await.unwrap();
}

async fn annotations_of_an_ingress_and_load_balancers_are_those_that_a_policy_names(app: App) {
    let host = format!("{}.example.com", ApplicationId::new());
    let ours = with(&app, &[team(&app)], INGRESS);
    let noted = |key: &str| {
        let mut route = route(&app.namespace, "web", Some(&host));
        route.annotations.insert(key.into(), Some("on".into()));
        route
    };
    let snippet = "nginx.ingress.kubernetes.io/server-snippet";
    let named =
        ["edas:UseIngressAnnotation", "annotation/nginx.ingress.kubernetes.io/server-snippet"];
    refused(ours.create_route(&caller(), noted(snippet)).await, &named);
    ours.create_route(&caller(), noted("nginx.ingress.kubernetes.io/ssl-redirect")).await.unwrap();
    refused(ours.change_route(&caller(), noted(snippet)).await, &named);
    let allowed = policy(
        r#"{"Effect":"Allow","Action":"edas:UseIngressAnnotation","Resource":"acs:edas:*:*:annotation/*snippet"}"#,
    );
    let more = with(&app, &[team(&app), allowed], INGRESS);
    more.change_route(&caller(), noted(snippet)).await.unwrap();

    let application = app.create("web", 1).await;
    let bind = |id: Option<&str>| Bind {
        application,
        cluster: None,
        network: Network::Intranet,
        name: None,
        balancer: Balancer {
            id: id.map(Into::into),
            listeners: Some(vec![domain::object::service::Listener {
                port: 80,
                target: PortTarget::Number(8080),
                speech: domain::object::service::Speech::Tcp,
            }]),
            ..Balancer::default()
        },
    };
    const BIND: Action = Action::new("BindK8sSlb", Group::ManageApplication);
    let refusal = with(&app, &[team(&app)], BIND).bind(&caller(), bind(Some("lb-theirs"))).await;
    refused(refusal, &["edas:UseLoadBalancer", "loadbalancer/lb-theirs"]);
    let allowed = policy(
        r#"{"Effect":"Allow","Action":"edas:UseLoadBalancer","Resource":"acs:edas:*:*:loadbalancer/lb-ours"}"#,
    );
    let more = with(&app, &[team(&app), allowed], BIND);
    refused(more.bind(&caller(), bind(Some("lb-theirs"))).await, &["edas:UseLoadBalancer"]);
    more.bind(&caller(), bind(Some("lb-ours"))).await.unwrap();
}

async fn a_system_namespace_must_be_named(app: App) {
    let everywhere = Grant::role(Role::Operator, Scope::default());
    let request = || creation("kube-system", "attack", 1);
    let refusal = with(&app, std::slice::from_ref(&everywhere), CREATE)
        .create_application(&caller(), request())
        .await;
    refused(refusal, &["do not allow edas:InsertK8sApplication", "namespace/kube-system/"]);
    const SECRETS: Action = Action::new("ListK8sSecrets", Group::ReadConfig);
    let reads = with(&app, &[everywhere], SECRETS);
    let refusal =
        reads.configs(&caller(), ObjectKind::Secret, Some(CLUSTER), "kube-system", false).await;
    refused(refusal, &["do not allow edas:ListK8sSecrets", "namespace/kube-system/"]);
    assert!(app.service.applications(None).await.unwrap().is_empty());

    // A team sees no Secret of another one, and of its own it does.
    let own = with(&app, &[team(&app)], SECRETS);
    let other = second(&app).await;
    let refusal = own.configs(&caller(), ObjectKind::Secret, Some(CLUSTER), &other, false).await;
    refused(refusal, &["do not allow edas:ListK8sSecrets"]);
    own.configs(&caller(), ObjectKind::Secret, Some(CLUSTER), &app.namespace, false).await.unwrap();
}
