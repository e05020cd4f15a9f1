//! A clock that is behind that of what was written before: it was set back, or another server's
//! is ahead.

use clock::Clock;
use domain::order::{FailurePolicy, State};
use service::Service;
use sqlx::PgPool;

use crate::support::{App, batches, caller, manual, release, settings};

/// Seconds for which no test waits.
const FAR: i64 = 600;

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_order_and_its_version_are_the_newest_although_the_clock_was_set_back(pool: PgPool) {
    let app = App::start(pool).await;
    app.clock.advance(FAR);
    let application = app.create("web", 2).await;
    let first = app.deploy(application, "shop/web:2.0", batches(2)).await;
    assert_eq!(app.end_of(first).await.state, State::Succeeded);
    app.clock.advance(-FAR);
    let second = app.deploy(application, "shop/web:3.0", batches(2)).await;
    assert_eq!(app.end_of(second).await.state, State::Succeeded);

    let newest = app.service.newest_order(application).await.unwrap().unwrap();
    assert_eq!(newest.id, second);
    let history = app.service.history(application).await.unwrap();
    let images: Vec<&str> = history.iter().map(|version| version.image.as_str()).collect();
    assert_eq!(images, ["shop/web:3.0", "shop/web:2.0", "shop/web:1.0"]);
    let refused = app.service.roll_back(&caller(), first).await.unwrap_err().to_string();
    assert!(refused.contains("is not the newest of its application"), "{refused}");
    let back = app.service.roll_back(&caller(), second).await.unwrap();
    let back = app.end_of(back).await;
    assert_eq!(back.state, State::Succeeded, "{}", back.message);
    let live = app.deployments().get("web").await.unwrap().spec.unwrap();
    let image = live.template.spec.unwrap().containers[0].image.clone();
    assert_eq!(image.as_deref(), Some("shop/web:2.0"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_a_server_asks_for_whose_clock_is_ahead_is_done_at_once(pool: PgPool) {
    let app = App::start(pool).await;
    let (application, ahead) = (app.create("web", 2).await, Clock::default());
    ahead.advance(FAR);
    let asking = Service::new(app.store.clone(), ahead, settings(FailurePolicy::default()));
    let change = release(application, "shop/web:2.0", manual(2));
    let order = asking.deploy(&caller(), change).await.unwrap();
    let waiting = app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    asking.confirm(&caller(), waiting.batches[1].id, true).await.unwrap();
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{}", done.message);
}
