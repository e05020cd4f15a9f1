//! How an outage begins, changes its kind and ends: what was in the way before does not count
//! for what is in the way now, nor does time in which no program looked.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::*;

on_both_clusters!(a_hand_in_the_middle_of_an_outage_begins_its_time_anew);

/// A release between two batches whose next write is denied, and told to be.
async fn is_denied(app: &App, right: &Right) -> OrderId {
    let application = app.create("web", 4).await;
    let order = deploy(app, application, NEW, (manual(2), 600)).await;
    rests(app, order).await;
    right.take(app).await;
    app.confirm(order, 2).await;
    says(app, order, "cannot patch resource").await;
    order
}

/// On a real cluster the checks before the order see that the right is missing, and refuse it.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_order_whose_first_write_is_denied_for_good_ends_by_name_and_leaves_nothing_to_make_good(
    pool: PgPool,
) {
    let policy = FailurePolicy { grace_seconds: 4, ..FailurePolicy::default() };
    let mut app = App::start(pool).await.tolerating(policy);
    let right = Right::of(&mut app).await;
    let application = app.create("web", 2).await;
    right.take(&app).await;
    let order = deploy(&app, application, NEW, (manual(2), 60)).await;
    let failed = app.end_of(order).await;
    assert_eq!((failed.state, failed.rolled_back_by), (State::Failed, None), "{failed:#?}");
    assert!(failed.message.contains("cannot patch resource"), "{}", failed.message);
    let stored = app.store.order(order).await.unwrap().unwrap();
    assert!(!stored.finalizing && !stored.has_change_to_make(), "{stored:#?}");
    is_as_before(&app, "shop/web:1.0").await;
    right.give(&app).await;
    ends_well(&app, deploy(&app, application, NEW, (manual(1), 60)).await).await;
}

async fn a_hand_in_the_middle_of_an_outage_begins_its_time_anew(app: App) {
    let policy = FailurePolicy { grace_seconds: 60, ..FailurePolicy::default() };
    let mut app = app.tolerating(policy);
    let right = Right::of(&mut app).await;
    let order = is_denied(&app, &right).await;
    app.clock.advance(35);
    let by = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    let theirs = json!({ "spec": { "progressDeadlineSeconds": 700 } });
    app.deployments().patch("web", &by, &Patch::Merge(theirs)).await.unwrap();
    let is_told = |it: &OrderView| it.notes.iter().any(|it| it.contains("progressDeadlineSeconds"));
    app.order_when(order, |it| it.state.is_final() || is_told(it)).await;
    app.clock.advance(35);
    let told = says(&app, order, "cannot patch resource").await;
    assert_eq!(told.state, State::Running, "{told:#?}");
    right.give(&app).await;
    ends_well(&app, order).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn time_in_which_no_program_ran_ends_no_order_at_the_first_look(pool: PgPool) {
    let policy = FailurePolicy { grace_seconds: 60, ..FailurePolicy::default() };
    let mut app = App::start(pool).await.tolerating(policy);
    let right = Right::of(&mut app).await;
    let order = is_denied(&app, &right).await;
    app.stop_executor().await;
    app.clock.advance(3600);
    let simulation = app.simulation.clone().unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    simulation.clear_faults();
    simulation.fail_next(usize::MAX, Fault::Deny, move |call| {
        is_ours(call) && counted.fetch_add(1, Ordering::Relaxed) < usize::MAX
    });
    app.start_executor(LEASE);
    eventually(async || match tries.load(Ordering::Relaxed) {
        2.. => Ok(()),
        _ => Err("it was not tried again".to_owned()),
    })
    .await;
    let told = says(&app, order, "cannot patch resource").await;
    assert_eq!(told.state, State::Running, "{told:#?}");
    right.give(&app).await;
    ends_well(&app, order).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_replica_set_that_is_gone_before_it_is_resized_is_named_and_the_release_comes_back(
    pool: PgPool,
) {
    let app = App::start(pool).await;
    let application = app.create("web", 6).await;
    let order = deploy(&app, application, NEW, (manual(3), 600)).await;
    rests(&app, order).await;
    app.confirm(order, 2).await;
    app.order_when(order, |it| it.batches[2].state == State::WaitingConfirmation).await;
    let simulation = app.simulation.as_ref().unwrap();
    let resizes = |call: &Call| call.verb == "patch" && call.resource == "replicasets";
    simulation.fail_next(usize::MAX, Fault::Refuse(500), resizes);
    app.service.step_back(&caller(), order, Some(1)).await.unwrap();
    says(&app, order, "the change cannot be made now").await;
    let sets: Api<ReplicaSet> = Api::namespaced(app.client.clone(), &app.namespace);
    let all = sets.list(&ListParams::default()).await.unwrap();
    let is_old = |set: &&ReplicaSet| set.spec.as_ref().unwrap().replicas == Some(2);
    let old = all.iter().find(is_old).unwrap().name_any();
    sets.delete(&old, &DeleteParams::background()).await.unwrap();
    let failed = app.end_of(order).await;
    let says = "the ReplicaSet of the version before is gone";
    assert!(failed.message.contains(says), "{failed:#?}");
    simulation.clear_faults();
    ends_well(&app, failed.rolled_back_by.expect("it is rolled back")).await;
    is_as_before(&app, "shop/web:1.0").await;
}
