//! The same on real control planes, beside a simulated cluster that is the program's own.

use std::{collections::BTreeMap, path::Path};

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams};
use service::{CreateApplication, Deploy};

use super::{
    told::{away, places, well},
    *,
};
use crate::{
    rights::{named::apply, printed},
    support::{creation, manual, real, second::SecondControlPlane},
};

/// A program with a simulated cluster of its own, `own`.
async fn beside_simulated(pool: &PgPool) -> Server {
    let own = ["--cluster", "simulated", "--cluster-id", "own", "--simulated-start-delay", "10ms"];
    Server::start_with(pool, &own).await
}

impl Server {
    async fn joins(&self, id: &str, kubeconfig: &Path) {
        let said = self.add(id, kubeconfig.to_str().unwrap()).await.unwrap();
        assert!(said.contains(&format!("{id} is added: v1.")), "{said}");
        self.until_releases(id, true).await;
    }

    /// Creates an application of four pods, as soon as the namespace is known.
    async fn begins(&self, cluster: &str, namespace: &str, name: &str) -> ApplicationId {
        let (application, order) = eventually(async || {
            let new = CreateApplication { cluster: cluster.into(), ..creation(namespace, name, 4) };
            self.service.create_application(&caller(), new).await.map_err(|why| why.to_string())
        })
        .await;
        self.ends(order).await;
        application
    }

    /// Releases an image to the first of two batches, and waits for a person there.
    async fn to_the_gate(&self, application: ApplicationId, image: &str) -> OrderId {
        let order =
            self.service.deploy(&caller(), in_two_batches(application, image)).await.unwrap();
        eventually(async || match self.service.order(order).await.unwrap() {
            view if view.state == State::WaitingConfirmation => Ok(()),
            view => Err(format!("{view:#?}")),
        })
        .await;
        order
    }

    async fn confirms(&self, order: OrderId) {
        let batch = self.service.order(order).await.unwrap().batches[1].id;
        self.service.confirm(&caller(), batch, true).await.unwrap();
    }

    /// The image of an application's Deployment, as an executor sees it.
    async fn image_of(&self, application: ApplicationId) -> String {
        // On a busy machine nobody may answer in time.
        let seen = eventually(async || {
            self.service.deployment(application).await.map_err(|why| why.to_string())
        })
        .await;
        let image = &seen["spec"]["template"]["spec"]["containers"][0]["image"];
        image.as_str().unwrap_or_else(|| panic!("{seen}")).to_owned()
    }
}

/// A release in two batches, a person between them. None of them fails because a cluster is away
/// for a while.
fn in_two_batches(application: ApplicationId, image: &str) -> Deploy {
    let batch_timeout_seconds = Some(600);
    Deploy { batch_timeout_seconds, ..release(application, image, manual(2)) }
}

/// How many pods of each image there are in a namespace.
async fn pods(client: &kube::Client, namespace: &str) -> BTreeMap<String, usize> {
    let api = Api::<Pod>::namespaced(client.clone(), namespace);
    let mut found = BTreeMap::new();
    for pod in api.list(&ListParams::default()).await.unwrap() {
        let image = pod.spec.unwrap().containers[0].image.clone().unwrap();
        *found.entry(image).or_default() += 1;
    }
    found
}

async fn has_pods(client: &kube::Client, namespace: &str, wanted: &[(&str, usize)]) {
    let wanted = wanted.iter().map(|(image, count)| ((*image).to_owned(), *count)).collect();
    eventually(async || match pods(client, namespace).await {
        found if found == wanted => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn each_order_lands_on_its_own_cluster_and_another_credential_carries_it_on(pool: PgPool) {
    let server = beside_simulated(&pool).await;
    let client = real::client().await;
    let namespace = real::namespace(&client).await;
    let certificate = real::certificate_kubeconfig();
    server.joins("real", &certificate).await;
    server.until_releases("own", true).await;
    let web = server.begins("real", &namespace, "web").await;
    let own = server.begins("own", "default", "web").await;
    let new = CreateApplication { cluster: "own".into(), ..creation(&namespace, "api", 1) };
    let nowhere = server.service.create_application(&caller(), new).await.unwrap_err().to_string();
    assert!(nowhere.contains(&namespace), "only the real cluster has it: {nowhere}");

    // Two batches on each: what is released on the one is seen on the one alone.
    let of_real = server.to_the_gate(web, "shop/real:2.0").await;
    let of_own = server.to_the_gate(own, "shop/own:2.0").await;
    has_pods(&client, &namespace, &[("shop/real:2.0", 2), ("shop/web:1.0", 2)]).await;
    server.confirms(of_real).await;
    server.ends(of_real).await;
    has_pods(&client, &namespace, &[("shop/real:2.0", 4)]).await;
    let waits = server.service.order(of_own).await.unwrap();
    assert_eq!(waits.state, State::WaitingConfirmation, "nobody confirmed it: {waits:#?}");
    server.confirms(of_own).await;
    server.ends(of_own).await;
    let images = (server.image_of(web).await, server.image_of(own).await);
    assert_eq!(images, ("shop/real:2.0".into(), "shop/own:2.0".into()));
    let everywhere = Api::<Deployment>::all(client.clone()).list(&ListParams::default()).await;
    let foreign = everywhere.unwrap().into_iter().find(|it| {
        let pod = it.spec.as_ref().and_then(|it| it.template.spec.as_ref());
        pod.is_some_and(|it| it.containers[0].image.as_deref() == Some("shop/own:2.0"))
    });
    assert_eq!(foreign.map(|it| it.metadata), None);
    let printed = ran(&pool, &["cluster", "list"]).await.unwrap();
    let rows: Vec<&str> = printed.lines().skip(1).collect();
    assert!(rows[0].starts_with("own ") && rows[1].starts_with("real "), "{printed}");
    assert!(rows.iter().all(|it| it.ends_with(" ok")), "{printed}");
    let page = server.page("/console/apps").await;
    let each_place = ["own · default".to_owned(), format!("real · {namespace}")];
    assert_eq!(
        (&places(&page)[..], away(&page)),
        (&each_place.each_ref().map(|it| it.as_str())[..], vec![])
    );
    assert_eq!(server.doctor().await, (Some(0), vec![well()]));

    // A ServiceAccount with the rights that `sluice rights` prints, and no more.
    let account = format!("sluice-{namespace}");
    let rights = printed::objects(&["--service-account", &format!("{namespace}/{account}")]);
    let rights = apply(&client, rights).await;
    let token = real::token_kubeconfig(&client, &namespace, &account).await;
    let folder = tempfile::tempdir().unwrap();
    let of_token = folder.path().join("kubeconfig");
    std::fs::write(&of_token, serde_json::to_string(&token).unwrap()).unwrap();
    let rotate = async |kubeconfig: &Path| {
        let words = ["cluster", "rotate", "real", "--kubeconfig", kubeconfig.to_str().unwrap()];
        ran(&pool, &words).await.unwrap();
    };
    rotate(&of_token).await;
    server.deploys(web, "shop/real:3.0").await;
    has_pods(&client, &namespace, &[("shop/real:3.0", 4)]).await;
    server.until_releases("real", true).await;

    // Without the account its token counts no more: that is told, and holds up nothing else.
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), &namespace);
    accounts.delete(&account, &DeleteParams::default()).await.unwrap();
    let wanted = in_two_batches(web, "shop/real:4.0");
    let waits = server.service.deploy(&caller(), wanted).await.unwrap();
    let (status, body) = server.until_releases("real", false).await;
    let why = body["clusters"][1]["reason"].as_str().unwrap().to_owned();
    assert!(status == 200 && why.contains("credential"), "{body}");
    server.deploys(own, "shop/own:3.0").await;
    let (code, found) = server.doctor().await;
    assert_eq!((code, &found[0], found[1].0.as_str()), (Some(0), &well(), "warning"), "{found:?}");
    assert_eq!(found[1].1, format!("nothing is released on real now: {why}"));
    let page = server.page("/console/apps").await;
    assert!(away(&page).len() == 1 && away(&page)[0].starts_with("real now: "), "{page}");
    rotate(&certificate).await;
    server.until_releases("real", true).await;
    eventually(async || match server.service.order(waits).await.unwrap() {
        view if view.state == State::WaitingConfirmation => Ok(()),
        view => Err(format!("{view:#?}")),
    })
    .await;
    server.confirms(waits).await;
    server.ends(waits).await;

    // It goes once nothing is left on it, and the server is as before.
    let used = ran(&pool, &["cluster", "remove", "real"]).await.unwrap_err();
    assert!(used.contains("1 applications"), "{used}");
    let gone = server.service.delete(&caller(), web).await.unwrap();
    server.ends(gone).await;
    has_pods(&client, &namespace, &[]).await;
    ran(&pool, &["cluster", "remove", "real"]).await.unwrap();
    let (status, body) = server.ready().await;
    assert_eq!((status, body.get("clusters")), (200, None), "{body}");
    assert_eq!(places(&server.page("/console/apps").await), ["default"]);
    server.deploys(own, "shop/own:4.0").await;
    for (api, name) in rights {
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_that_hangs_or_is_killed_holds_up_neither_the_other_real_one_nor_the_simulated_one(
    pool: PgPool,
) {
    let second = SecondControlPlane::start().await;
    let server = beside_simulated(&pool).await;
    let (on_one, on_two) = (real::client().await, second.client().await);
    let in_one = real::namespace(&on_one).await;
    let in_two = real::namespace(&on_two).await;
    server.joins("one", &real::certificate_kubeconfig()).await;
    server.joins("two", &second.kubeconfig()).await;
    let one = server.begins("one", &in_one, "web").await;
    let two = server.begins("two", &in_two, "web").await;
    let own = server.begins("own", "default", "web").await;

    // It hangs between two batches: the others are released to their end.
    let mut orders = Vec::new();
    for application in [one, two, own] {
        orders.push(server.to_the_gate(application, "shop/web:2.0").await);
    }
    second.signal("kube-apiserver", "STOP");
    for order in &orders {
        server.confirms(*order).await;
    }
    server.ends(orders[0]).await;
    server.ends(orders[2]).await;
    has_pods(&on_one, &in_one, &[("shop/web:2.0", 4)]).await;
    let (status, body) = server.until_releases("two", false).await;
    assert_eq!(status, 200, "{body}");
    assert!(!server.service.order(orders[1]).await.unwrap().state.is_final());
    let (code, found) = server.doctor().await;
    assert_eq!((code, &found[0], found[1].0.as_str()), (Some(0), &well(), "warning"), "{found:?}");
    assert!(found[1].1.starts_with("nothing is released on two now: "), "{found:?}");

    // It comes back: its order goes on where it was.
    second.signal("kube-apiserver", "CONT");
    server.ends(orders[1]).await;
    has_pods(&on_two, &in_two, &[("shop/web:2.0", 4)]).await;
    server.until_releases("two", true).await;
    assert_eq!(server.doctor().await, (Some(0), vec![well()]));

    // It is killed in the middle of an order.
    let cut_off = server.to_the_gate(two, "shop/web:3.0").await;
    let goes_on = server.to_the_gate(one, "shop/web:3.0").await;
    for program in ["kube-apiserver", "etcd"] {
        second.signal(program, "KILL");
    }
    server.confirms(cut_off).await;
    server.confirms(goes_on).await;
    server.ends(goes_on).await;
    has_pods(&on_one, &in_one, &[("shop/web:3.0", 4)]).await;
    server.deploys(own, "shop/web:3.0").await;
    server.until_releases("two", false).await;
    server.deploys(one, "shop/web:4.0").await;
    assert!(!server.service.order(cut_off).await.unwrap().state.is_final());
    let page = server.page("/console/apps").await;
    assert!(away(&page).len() == 1 && away(&page)[0].starts_with("two now: "), "{page}");
    let printed = ran(&pool, &["cluster", "list"]).await.unwrap();
    let states: Vec<bool> = printed.lines().skip(1).map(|it| it.ends_with(" ok")).collect();
    assert_eq!(states, [true, true, false], "one, own and two: {printed}");
    let used = ran(&pool, &["cluster", "remove", "two"]).await.unwrap_err();
    assert!(used.contains("1 applications, 1 open change orders"), "{used}");
}
