//! Orders that are held off before they begin, and who lets them begin. Each check of an order
//! runs on the simulated cluster and on a real control plane.

use domain::{
    OrderId,
    hold::{HeldBy, WrittenRule},
    order::State,
};
use jiff::{SignedDuration, Timestamp};
use service::{Caller, OrderView, Service};
use sqlx::PgPool;

use crate::support::{App, batches, caller, eventually, manual, on_both_clusters, release};

const NEW: &str = "shop/web:2.0";

on_both_clusters!(
    an_order_waits_until_somebody_else_approves_it_and_begins_then,
    an_order_that_is_not_approved_ends_and_has_changed_nothing,
    a_freeze_window_holds_an_order_off_until_it_ends_or_somebody_lifts_it,
    a_rollback_begins_although_everything_is_held_off,
);

fn somebody(principal: &str, person: Option<&str>) -> Caller {
    Caller {
        name: principal.into(),
        principal: principal.into(),
        person: person.map(str::to_owned),
        ..caller()
    }
}

fn approval(name: &str) -> WrittenRule {
    WrittenRule { name: name.into(), ..WrittenRule::default() }
}

/// A window that is closed from an hour before now until `minutes` after.
fn freeze(now: Timestamp, minutes: i64) -> WrittenRule {
    let text = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M").to_string();
    let period = format!(
        "{}/{}",
        text(now - SignedDuration::from_hours(1)),
        text(now + SignedDuration::from_mins(minutes))
    );
    WrittenRule { name: "freeze".into(), periods: vec![period], ..WrittenRule::default() }
}

async fn make(service: &Service, by: HeldBy, rule: &WrittenRule) {
    service.create_hold_rule(&caller(), by, rule).await.unwrap();
}

async fn held(app: &App, order: OrderId, by: HeldBy) -> OrderView {
    let order = app.order_when(order, |it| it.held_by == Some(by)).await;
    let state = if by == HeldBy::Approval { State::WaitingApproval } else { State::Ready };
    assert_eq!(order.state, state, "{order:#?}");
    order
}

async fn image(app: &App) -> String {
    let spec = app.deployments().get("web").await.unwrap().spec.unwrap();
    spec.template.spec.unwrap().containers[0].image.clone().unwrap()
}

async fn kinds_of_events(app: &App, order: OrderId) -> Vec<String> {
    app.store.events(order).await.unwrap().into_iter().map(|event| event.kind).collect()
}

async fn an_order_waits_until_somebody_else_approves_it_and_begins_then(app: App) {
    let application = app.create("web", 2).await;
    let before = image(&app).await;
    make(&app.service, HeldBy::Approval, &approval("four-eyes")).await;
    let ann = somebody("dev", Some("ann"));
    let order = app.service.deploy(&ann, release(application, NEW, batches(1))).await.unwrap();
    let waiting = held(&app, order, HeldBy::Approval).await;
    assert!(waiting.message.contains("four-eyes"), "{}", waiting.message);
    assert_eq!(image(&app).await, before);
    // Herself, by her key, by another principal; and whoever has the key that she works with.
    for same in [ann.clone(), somebody("dev", None), somebody("ops", Some("ann"))] {
        let refused = app.service.approve(&same, order).await.unwrap_err().to_string();
        assert!(refused.contains("was ordered by dev, who cannot approve it"), "{refused}");
    }
    assert_eq!(app.service.approve(&somebody("dev", Some("bob")), order).await.unwrap(), order);
    // Once more is no harm, also when it has begun.
    let _ = app.service.approve(&somebody("ops", None), order).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert_eq!((done.held_by, done.approved_by.as_deref()), (None, Some("dev")));
    assert_eq!(image(&app).await, NEW);
    let kinds = kinds_of_events(&app, order).await;
    let place =
        |kind: &str| kinds.iter().position(|it| it == kind).unwrap_or_else(|| panic!("{kinds:?}"));
    assert!(place("order.held") < place("order.approved"), "{kinds:?}");
    assert!(place("order.approved") < place("order.hold_over"), "{kinds:?}");
    assert!(place("order.hold_over") < place("order.bring_up"), "{kinds:?}");
}

async fn an_order_that_is_not_approved_ends_and_has_changed_nothing(app: App) {
    let application = app.create("web", 2).await;
    let before = app.deployments().get("web").await.unwrap();
    make(&app.service, HeldBy::Approval, &approval("four-eyes")).await;
    let order = app.deploy(application, NEW, manual(2)).await;
    held(&app, order, HeldBy::Approval).await;
    app.service.reject(&somebody("ops", None), order).await.unwrap();
    let ended = app.end_of(order).await;
    assert_eq!(ended.state, State::Aborted, "{ended:#?}");
    assert!(ended.message.contains("rejected by ops"), "{}", ended.message);
    let after = app.deployments().get("web").await.unwrap();
    assert_eq!((after.spec, after.metadata.generation), (before.spec, before.metadata.generation));
    let refused = app.service.approve(&somebody("ops", None), order).await.unwrap_err().to_string();
    assert!(refused.contains("aborted already"), "{refused}");
    // The next one of the application can be ordered, and waits as well.
    let next = app.deploy(application, "shop/web:3.0", manual(2)).await;
    held(&app, next, HeldBy::Approval).await;
    app.service.delete_hold_rule(&caller(), "four-eyes").await.unwrap();
    app.order_when(next, |it| it.state == State::WaitingConfirmation).await;
}

async fn a_freeze_window_holds_an_order_off_until_it_ends_or_somebody_lifts_it(app: App) {
    let application = app.create("web", 2).await;
    make(&app.service, HeldBy::Freeze, &freeze(app.clock.now(), 90)).await;
    let order = app.deploy(application, NEW, batches(1)).await;
    let waiting = held(&app, order, HeldBy::Freeze).await;
    assert!(waiting.message.contains("is held off until"), "{}", waiting.message);
    app.service.lift_freeze(&somebody("boss", None), order).await.unwrap();
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    // What only changes the number is not held off unless a rule says so.
    let scale = service::Scale { application, replicas: 3, timeout_seconds: None };
    let scaled = app.service.scale(&caller(), scale).await.unwrap();
    assert_eq!(app.end_of(scaled).await.state, State::Succeeded);

    let next = app.deploy(application, "shop/web:3.0", batches(1)).await;
    held(&app, next, HeldBy::Freeze).await;
    app.clock.advance(91 * 60);
    assert_eq!(app.end_of(next).await.state, State::Succeeded);
}

async fn a_rollback_begins_although_everything_is_held_off(app: App) {
    let application = app.create("web", 2).await;
    let order = app.deploy(application, NEW, manual(2)).await;
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    make(&app.service, HeldBy::Approval, &approval("four-eyes")).await;
    make(&app.service, HeldBy::Freeze, &freeze(app.clock.now(), 90)).await;
    // What has begun goes on.
    app.confirm(order, 2).await;
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    let to = service::RollBackTo {
        application,
        version: app.service.order(order).await.unwrap().version,
        batches: None,
        wait_minutes: None,
    };
    let again = app.service.roll_back_to(&caller(), to).await.unwrap();
    assert_eq!(app.end_of(again).await.state, State::Succeeded);
    assert_eq!(image(&app).await, NEW);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_rule_fits_by_namespace_name_and_kind(pool: PgPool) {
    let app = App::start(pool).await;
    let application = app.create("web", 1).await;
    let of = |name: &str| approval(name);
    for other in [
        WrittenRule { namespaces: vec!["other-*".into()], ..of("a") },
        WrittenRule { applications: vec!["we".into(), "*x".into()], ..of("b") },
        WrittenRule { kinds: vec!["scale".into(), "delete".into()], ..of("c") },
    ] {
        make(&app.service, HeldBy::Approval, &other).await;
    }
    let order = app.deploy(application, NEW, batches(1)).await;
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    assert!(!kinds_of_events(&app, order).await.contains(&"order.held".to_owned()));
    let fits = WrittenRule { applications: vec!["w*b".into()], ..of("d") };
    make(&app.service, HeldBy::Approval, &fits).await;
    let order = app.deploy(application, "shop/web:3.0", batches(1)).await;
    held(&app, order, HeldBy::Approval).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn rules_are_made_once_listed_and_deleted_and_are_on_record(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (service, now) = (&app.service, app.clock.now());
    make(service, HeldBy::Freeze, &freeze(now, 5)).await;
    let again = service.create_hold_rule(&caller(), HeldBy::Freeze, &freeze(now, 5)).await;
    assert!(again.unwrap_err().to_string().contains("a rule has this name"));
    let wrong = WrittenRule { periods: vec!["never".into()], ..approval("wrong") };
    let wrong = service.create_hold_rule(&caller(), HeldBy::Freeze, &wrong).await;
    assert!(wrong.unwrap_err().to_string().contains("must be like"));
    let rules = service.hold_rules().await.unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!((rules[0].rule.rule.name.as_str(), rules[0].rule.by()), ("freeze", HeldBy::Freeze));
    service.delete_hold_rule(&caller(), "freeze").await.unwrap();
    let gone = service.delete_hold_rule(&caller(), "freeze").await.unwrap_err();
    assert!(gone.to_string().contains("the hold rule freeze does not exist"));
    let done: Vec<String> = sqlx::query_scalar(
        "SELECT operation FROM audit_entry WHERE operation LIKE '%hold%' ORDER BY id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(done.len(), 2, "{done:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_executor_that_dies_leaves_an_order_held_off_as_it_is(pool: PgPool) {
    let mut app = App::start(pool.clone()).await;
    let application = app.create("web", 2).await;
    make(&app.service, HeldBy::Approval, &approval("four-eyes")).await;
    let order = app.deploy(application, NEW, batches(1)).await;
    held(&app, order, HeldBy::Approval).await;
    app.hand_over().await;
    let told = kinds_of_events(&app, order).await;
    // Nobody holds it meanwhile, and nobody says the same again.
    eventually(|| async {
        let holder: Option<String> =
            sqlx::query_scalar("SELECT lease_holder FROM change_order WHERE id = $1")
                .bind(order.0)
                .fetch_one(&pool)
                .await
                .unwrap();
        holder.map_or(Ok(()), Err)
    })
    .await;
    assert_eq!(kinds_of_events(&app, order).await, told);
    app.service.approve(&somebody("ops", None), order).await.unwrap();
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
}
