//! A credential that does not count any more: it is named, and the kubeconfig is read again.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use cluster::credential::read_again;
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use secrecy::SecretString;
use service::Unready;

use super::*;

/// An order goes on with the credential that the kubeconfig has by then.
async fn goes_on(app: &App, lose: impl AsyncFnOnce(), renew: impl AsyncFnOnce()) {
    let application = app.create("web", 2).await;
    let order = deploy(app, application, NEW, (manual(2), 60)).await;
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    lose().await;
    app.confirm(order, 2).await;
    eventually(async || match app.service.readiness().await {
        Err(Unready::Cluster(why)) if why.contains("credential of the kubeconfig") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    renew().await;
    ends_well(app, order).await;
    is_as_before(app, NEW).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_credential_that_does_not_count_is_named_and_the_kubeconfig_is_read_again(pool: PgPool) {
    let mut app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    // The kubeconfig is as old as the credential, until somebody renews it.
    let (renewed, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let read = {
        let (simulation, renewed, reads) = (simulation.clone(), renewed.clone(), reads.clone());
        move || {
            reads.fetch_add(1, Ordering::Relaxed);
            if renewed.load(Ordering::Relaxed) {
                simulation.clear_faults();
            }
            Ok(simulation.client())
        }
    };
    let client = read_again(
        simulation.client(),
        Arc::new(move || {
            let read = read();
            Box::pin(async move { read })
        }),
    );
    let next = Running::start(&app.store, client, &app.clock, LEASE);
    std::mem::replace(&mut app.executor, next).stop().await;
    let lose = async || {
        let ours = |call: &Call| call.manager != "kube-controller-manager";
        simulation.fail_next(usize::MAX, Fault::Refuse(401), ours);
        simulation.drop_watches();
    };
    goes_on(&app, lose, async || renewed.store(true, Ordering::Relaxed)).await;
    assert!(reads.load(Ordering::Relaxed) > 0);
}

/// A token of a service account, which counts for as long as the account is there.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_token_that_was_revoked_is_named_and_the_kubeconfig_is_read_again(pool: PgPool) {
    let mut app = App::start_real(pool).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(app.client.clone(), &app.namespace);
    let account: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "name": "sluice" } })).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let user = format!("system:serviceaccount:{}:sluice", app.namespace);
    let name = format!("token-{}", app.namespace);
    let role: ClusterRole = serde_json::from_value(json!({
        "metadata": { "name": name },
        "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }],
    }))
    .unwrap();
    Api::<ClusterRole>::all(app.client.clone())
        .create(&PostParams::default(), &role)
        .await
        .unwrap();
    bind(&app, &name, &user).await;
    let asked: TokenRequest =
        serde_json::from_value(json!({ "spec": { "audiences": [], "expirationSeconds": 3600 } }))
            .unwrap();
    let token = accounts
        .create_token_request("sluice", &PostParams::default(), &asked)
        .await
        .unwrap()
        .status
        .unwrap()
        .token;
    let with_token = |token: String| async move {
        let mut kubeconfig = real_cluster::kubeconfig();
        for named in &mut kubeconfig.auth_infos {
            named.auth_info = Some(kube::config::AuthInfo {
                token: Some(SecretString::from(token.clone())),
                ..Default::default()
            });
        }
        real_cluster::client_of(kubeconfig).await
    };
    let first = with_token(token).await;
    // What the kubeconfig leads to now.
    let now = Arc::new(Mutex::new(first.clone()));
    let read = now.clone();
    let client = read_again(
        first,
        Arc::new(move || {
            let client = read.lock().unwrap().clone();
            Box::pin(async move { Ok(client) })
        }),
    );
    let next = Running::start(&app.store, client, &app.clock, LEASE);
    std::mem::replace(&mut app.executor, next).stop().await;
    let lose = async || {
        accounts.delete("sluice", &DeleteParams::default()).await.unwrap();
    };
    let renew = async || *now.lock().unwrap() = app.client.clone();
    goes_on(&app, lose, renew).await;
}
