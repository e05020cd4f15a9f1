//! Lists: what is first, and how they go on.

use domain::{ReleaseId, order::State, precheck::Existing};
use jiff::SignedDuration;
use serde_json::json;
use sqlx::PgPool;
use store::NewRelease;

use super::{Site, elements};
use crate::support::{Running, caller, creation, manual};

/// Addresses of all pages of a list, and how many rows each has.
async fn pages(site: &Site, first: String, most: usize) -> Vec<usize> {
    let (mut path, mut rows) = (first, Vec::new());
    while !path.is_empty() {
        let body = site.get(&path).await.body;
        rows.push(body.matches("scope=\"row\"").count());
        assert!(rows.len() <= most, "{path}: {rows:?}");
        let all = elements(&body);
        let next = all.iter().find(|it| it.of("rel") == "next");
        path = next.map(|it| it.of("href").to_owned()).unwrap_or_default();
    }
    rows
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_orders_and_versions_of_an_application_go_on_page_by_page(pool: PgPool) {
    let site = Site::start(pool.clone()).await;
    let application = site.app.create("web", 2).await;
    site.app.create("other", 2).await;
    // The same again and again, each a minute before the other.
    let more = "INSERT INTO change_order SELECT (jsonb_populate_record(NULL::change_order, to_jsonb(o) || jsonb_build_object(
             'id', gen_random_uuid(), 'created_at', o.created_at - n * interval '1 minute'))).*
         FROM change_order o, generate_series(1, 119) AS n WHERE o.application_id = $1";
    sqlx::query(more).bind(application.0).execute(&pool).await.unwrap();
    // A template opens in its own row alone, so versions are written one by one.
    let running = Existing {
        uid: String::new(),
        template: json!({}),
        replicas: 2,
        min_ready_seconds: 0,
        controller: None,
    };
    let mut tx = site.app.store.begin().await.unwrap();
    for number in 1..=119 {
        let (id, version) = (ReleaseId::new(), format!("v{number}"));
        let at = site.app.clock.now() - SignedDuration::from_mins(number);
        let (version, image) = (Some(version.as_str()), "shop/web:1");
        let release =
            NewRelease { id, application, version, image, package: None, description: "" };
        tx.insert_release(&release, at).await.unwrap();
        tx.note_adoption(application, id, &running, at).await.unwrap();
    }
    tx.commit().await.unwrap();
    for tab in ["orders", "versions"] {
        let rows = pages(&site, format!("/console/apps/{application}?tab={tab}"), 3).await;
        assert_eq!(rows, [50, 50, 20], "{tab}");
    }
}

/// A list of applications, and the addresses of those in it.
async fn listed(site: &Site, path: &str) -> (String, Vec<String>) {
    let body = site.get(path).await.body;
    let names = elements(&body)
        .into_iter()
        .map(|it| it.of("href").to_owned())
        .filter(|href| href.starts_with("/console/apps/") && !href.contains('?'))
        .collect();
    (body, names)
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_failed_and_was_not_followed_by_anything_needs_a_person_too(pool: PgPool) {
    let mut site = Site::start(pool.clone()).await;
    let (quiet, waits) = (site.app.create("a-quiet", 2).await, site.app.create("b-waits", 4).await);
    let order = site.app.deploy(waits, "shop/web:2.0", manual(2)).await;
    site.app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    // There is no version before it that could come back.
    let mut new = creation(&site.app.namespace, "c-failed", 1);
    new.spec.image = Some("shop/web:9--image-pull-error".into());
    let (failed, order) = site.app.service.create_application(&caller(), new).await.unwrap();
    assert_eq!(site.app.end_of(order).await.state, State::Failed);
    // What was rolled back needs nobody.
    let back = site.app.create("d-back", 2).await;
    let order = site.app.deploy(back, "shop/web:9--image-pull-error", manual(1)).await;
    let ended = site.app.end_of(order).await;
    site.app.end_of(ended.rolled_back_by.unwrap()).await;
    let stopped = site.app.create("e-stopped", 4).await;
    let order = site.app.deploy(stopped, "shop/web:2.0", manual(2)).await;
    site.app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    site.app.service.abort(&caller(), order).await.unwrap();

    let of = |all: &[domain::ApplicationId]| -> Vec<String> {
        all.iter().map(|id| format!("/console/apps/{id}")).collect()
    };
    let (body, all) = listed(&site, "/console").await;
    assert_eq!(all, of(&[waits, failed, stopped, quiet, back]));
    assert!(body.contains("▲ 2 · Applications"), "{body}");
    for (state, wanted) in [
        ("needs", &[waits, failed][..]),
        ("failed", &[failed, stopped]),
        ("open", &[waits]),
        ("quiet", &[quiet, back]),
    ] {
        assert_eq!(
            listed(&site, &format!("/console?state={state}")).await.1,
            of(wanted),
            "{state}"
        );
    }
    // One that waits for its interval, and whose new pods are not well meanwhile.
    std::mem::replace(&mut site.app.executor, Running::none()).stop().await;
    let change = "UPDATE change_order SET state = 'waiting_interval', trouble = $2 WHERE application_id = $1 AND finished_at IS NULL";
    for (trouble, wanted) in [("", &[failed][..]), ("a pod is not Ready", &[waits, failed])] {
        sqlx::query(change).bind(waits.0).bind(trouble).execute(&pool).await.unwrap();
        assert_eq!(listed(&site, "/console?state=needs").await.1, of(wanted), "{trouble}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_button_acts_on_a_batch_of_its_own_order_alone(pool: PgPool) {
    let site = Site::start(pool).await;
    let mut waiting = Vec::new();
    for name in ["one", "two"] {
        let application = site.app.create(name, 4).await;
        let order = site.app.deploy(application, "shop/web:2.0", manual(2)).await;
        let waits = |order: &service::OrderView| order.state == State::WaitingConfirmation;
        waiting.push(site.app.order_when(order, waits).await);
    }
    let foreign = waiting[1].batches[1].id.to_string();
    for (action, nonce) in [("continue", "n1"), ("retry", "n2")] {
        let path = format!("/console/orders/{}/{action}", waiting[0].id);
        let refused = site.post(&path, &[("batch", &foreign), ("nonce", nonce)]).await;
        assert_eq!(refused.status, 404, "{action}: {}", refused.body);
    }
    for order in &waiting {
        let now = site.app.service.order(order.id).await.unwrap();
        assert_eq!(now.state, State::WaitingConfirmation);
        let events = site.app.store.events(order.id).await.unwrap();
        assert!(events.iter().all(|event| event.kind != "batch.confirmed"), "{events:?}");
    }
    let own = waiting[0].batches[1].id.to_string();
    let path = format!("/console/orders/{}/continue", waiting[0].id);
    assert_eq!(site.post(&path, &[("batch", &own), ("nonce", "n3")]).await.status, 303);
}
