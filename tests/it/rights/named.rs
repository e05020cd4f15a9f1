//! An executor that serves namespaces by name needs no list of the whole cluster; and what
//! is elsewhere is refused, and left alone.

use std::sync::{Arc, Mutex};

use domain::{order::State, rights::Scope};
use kube::{
    Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    client::Body,
};
use serde_json::Value;
use service::{Adopt, Scale};

use super::{printed::objects, *};
use crate::support::{creation, eventually};

/// Applies objects; returns what the test is to remove: its own namespace goes as a whole.
pub async fn apply(client: &Client, objects: Vec<Value>) -> Vec<(Api<DynamicObject>, String)> {
    let mut whole = Vec::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
            None => Api::all_with(client.clone(), &kind),
        };
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        if object.metadata.namespace.is_none_or(|it| it == "kube-system") {
            whole.push((api, object.metadata.name.unwrap()));
        }
    }
    whole
}

/// A client that notes what the API server forbids.
fn noting(client: Client) -> (Client, Arc<Mutex<Vec<String>>>) {
    let forbidden: Arc<Mutex<Vec<String>>> = Arc::default();
    let (noted, namespace) = (forbidden.clone(), client.default_namespace().to_owned());
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (client, noted) = (client.clone(), noted.clone());
        let asked = format!("{} {}", request.method(), request.uri());
        async move {
            let answer = client.send(request).await?;
            if answer.status() == 403 {
                noted.lock().unwrap().push(asked);
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    (Client::new(service, namespace), forbidden)
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_whole_life_in_named_namespaces_is_forbidden_nothing(pool: PgPool) {
    let mut app = App::start_real(pool).await;
    let administrator = app.client.clone();
    let namespace = app.namespace.clone();
    // Roles of the whole cluster bear the name of the account.
    let account = format!("{namespace}/sluice-{namespace}");
    let features = "delete,checks,events,objects,logs";
    let granted = objects(&[
        "--namespaces",
        &namespace,
        "--features",
        features,
        "--service-account",
        &account,
    ]);
    let whole = apply(&administrator, granted).await;
    let user = format!("system:serviceaccount:{}", account.replace('/', ":"));
    let (client, forbidden) = noting(real::as_user(&user).await);
    app.client = client;
    app.hand_over_within(namespace.parse().unwrap()).await;

    let application = app.create("web", 4).await;
    let request = release(application, "shop/web:2.0", batches(2));
    let report = app.service.preview(&caller(), request).await.unwrap();
    let unseen: Vec<_> =
        report.checks.iter().filter(|check| check.finding == Finding::Unseen).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
    let order = app.deploy(application, "shop/web:2.0", manual(3)).await;
    app.confirm(order, 2).await;
    app.order_when(order, |order| order.batches[2].state == State::WaitingConfirmation).await;
    app.service.step_back(&caller(), order, Some(1)).await.unwrap();
    app.confirm(order, 2).await;
    app.confirm(order, 3).await;
    ends_well(&app, order).await;
    let rollback = app.service.roll_back(&caller(), order).await.unwrap();
    ends_well(&app, rollback).await;
    let failing = app.deploy(application, "shop/web:3.0--image-pull-error", batches(2)).await;
    let failed = app.end_of(failing).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    ends_well(&app, failed.rolled_back_by.expect("it is rolled back")).await;
    let scale = Scale { application, replicas: 2, timeout_seconds: None };
    ends_well(&app, app.service.scale(&caller(), scale).await.unwrap()).await;
    let deletion = app.service.delete(&caller(), application).await.unwrap();
    ends_well(&app, deletion).await;

    let forbidden = forbidden.lock().unwrap().clone();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    // It was looked at the rights by now, and there is nothing to say of them.
    assert_eq!(app.service.warnings().await, Vec::<String>::new());
    for (api, name) in whole {
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn rights_that_are_missing_or_too_much_are_warned_of(pool: PgPool) {
    let mut app = App::start_real(pool).await;
    let administrator = app.client.clone();
    let namespace = app.namespace.clone();
    let account = format!("{namespace}/sluice-{namespace}");
    let mut granted = objects(&[
        "--namespaces",
        &namespace,
        "--features",
        "delete",
        "--service-account",
        &account,
    ]);
    for role in granted.iter_mut().filter(|it| it["kind"] == "Role") {
        for rule in role["rules"].as_array_mut().unwrap() {
            if documents::texts(rule, "verbs").contains(&"create".to_owned()) {
                rule["verbs"] = serde_json::json!(["get", "create", "deletecollection"]);
            }
        }
    }
    let whole = apply(&administrator, granted).await;
    app.client =
        real::as_user(&format!("system:serviceaccount:{}", account.replace('/', ":"))).await;
    app.hand_over_within(namespace.parse().unwrap()).await;
    let warnings = eventually(async || {
        let told = app.service.warnings().await;
        if told.len() == 2 { Ok(told) } else { Err(format!("{told:?}")) }
    })
    .await;
    let place = format!("in {namespace}");
    assert!(
        warnings.contains(&format!(
            "rights are given that Sluice does not use: deletecollection deployments.apps {place}"
        )),
        "{warnings:?}"
    );
    assert!(
        warnings.contains(&format!(
            "rights are missing, and no order is carried out: patch deployments.apps {place}"
        )),
        "{warnings:?}"
    );
    for (api, name) in whole {
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_application_elsewhere_is_refused_and_left_alone(pool: PgPool) {
    let mut app = App::start(pool).await;
    let application = app.create("web", 2).await;
    app.stop_executor().await;
    // Nobody is there to say no.
    let open = app.deploy(application, "shop/web:2.0", batches(1)).await;
    app.hand_over_within("shop,billing".parse().unwrap()).await;
    eventually(async || {
        let known = app.service.cluster(None).await.unwrap().namespaces;
        if known == ["billing", "shop"] { Ok(()) } else { Err(format!("{known:?}")) }
    })
    .await;

    let says = "serves only the namespaces that --namespaces names, and default is not among them: billing, shop";
    let new = app.service.create_application(&caller(), creation("default", "other", 1)).await;
    let adopt = Adopt {
        name: "other".into(),
        cluster: CLUSTER.into(),
        namespace: "default".into(),
        logical_region: None,
        description: String::new(),
        version: None,
        container: None,
    };
    let adopted = app.service.adopt(&caller(), adopt).await;
    let scale = Scale { application, replicas: 3, timeout_seconds: None };
    let scaled = app.service.scale(&caller(), scale).await;
    let request = release(application, "shop/web:3.0", batches(1));
    let order = app.service.order(open).await.unwrap();
    for refused in [
        new.map(|_| ()).unwrap_err().to_string(),
        adopted.map(|_| ()).unwrap_err().to_string(),
        scaled.map(|_| ()).unwrap_err().to_string(),
    ] {
        assert!(refused.contains(says) || refused.contains(&open.to_string()), "{refused}");
    }
    eventually(async || {
        let told = app.service.warnings().await;
        let says = "applications in namespaces that --namespaces does not name are left alone: 1, in default";
        if told.iter().any(|it| it == says) { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    assert_eq!(order.state, State::Ready, "{order:#?}");
    app.service.readiness().await.unwrap();

    // Whoever serves all carries it out, and the next one is asked about.
    app.hand_over_within(Scope::Whole).await;
    ends_well(&app, open).await;
    app.hand_over_within("shop".parse().unwrap()).await;
    let report = eventually(async || {
        let report =
            app.service.preview(&caller(), request.clone()).await.map_err(|why| why.to_string())?;
        if report.refusal().is_some() { Ok(report) } else { Err(format!("{report:#?}")) }
    })
    .await;
    let why = &report.refusal().unwrap().reason;
    assert!(why.contains("and default is not among them: shop"), "{why}");
    let refused = app.service.deploy(&caller(), request).await.unwrap_err().to_string();
    assert!(refused.contains(why.as_str()), "{refused}");
}
