//! The ways back from a release: rolled back, stopped, stepped back, and to a version of
//! the history.

use super::*;

on_both_clusters!(
    abort_and_roll_back_in_the_middle_of_batch_2,
    abort_and_roll_back_at_rest,
    abort_and_roll_back_during_the_last_surge,
    an_aborted_order_stays_where_it_is_and_the_next_release_goes_on_from_there,
    a_release_steps_back_to_a_batch_and_on_again,
    a_running_batch_is_gone_back_on,
    a_finished_release_is_taken_back_while_it_is_the_newest,
    a_version_of_the_history_comes_back_exactly,
);

/// Takes an order back at the moment that `now` says, and checks that all is as before.
async fn roll_back_when(
    app: &App,
    image: &str,
    strategy: Strategy,
    now: impl Fn(&Sample, State) -> bool,
) {
    let application = app.create("web", 10).await;
    let before = spec(app).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, image, strategy).await;
    eventually(async || {
        let state = app.service.order(order).await.unwrap().state;
        if now(&watch.now(), state) { Ok(()) } else { Err(format!("{:?} {state:?}", watch.now())) }
    })
    .await;
    let rollback = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(
        app.service.order(order).await.unwrap().state,
        State::Aborted,
        "it takes effect with the answer"
    );
    let rollback = app.end_of(rollback).await;
    assert_eq!(
        (rollback.state, rollback.rolls_back),
        (State::Succeeded, Some(order)),
        "{rollback:#?}"
    );
    pods_are(&watch, &[(OLD, 10)]).await;
    assert_whole(&watch.end(), 10);
    assert_as_before(app, &before).await;
    assert_eq!(
        app.service.roll_back(&caller(), order).await.unwrap(),
        rollback.id,
        "again is the same rollback"
    );
}

async fn abort_and_roll_back_in_the_middle_of_batch_2(app: App) {
    roll_back_when(&app, NEW, batches(3), |sample, state| {
        state == State::Running && sample.of(NEW) > 3
    })
    .await;
}

async fn abort_and_roll_back_at_rest(app: App) {
    roll_back_when(&app, NEW, manual(2), |sample, state| {
        state == State::WaitingConfirmation && sample.of(NEW) == 5
    })
    .await;
}

async fn abort_and_roll_back_during_the_last_surge(app: App) {
    roll_back_when(&app, "shop/web:2.0--never-ready", Strategy::ALL_AT_ONCE, |sample, _| {
        sample.of("shop/web:2.0--never-ready") > 0
    })
    .await;
}

async fn an_aborted_order_stays_where_it_is_and_the_next_release_goes_on_from_there(app: App) {
    let application = app.create("web", 6).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let stuck = "shop/web:2.0--never-ready";
    let order = app.deploy(application, stuck, batches(3)).await;
    eventually(
        async || {
            if watch.now().of(stuck) == 2 { Ok(()) } else { Err(format!("{:?}", watch.now())) }
        },
    )
    .await;
    app.service.abort(&caller(), order).await.unwrap();
    assert_eq!(app.service.order(order).await.unwrap().state, State::Aborted);
    // The next call is accepted at once, and waits inside until it is at rest (R18).
    let next = app.deploy(application, "shop/web:3.0", batches(2)).await;
    let next = app.end_of(next).await;
    assert_eq!(next.state, State::Succeeded, "{next:#?}");
    pods_are(&watch, &[("shop/web:3.0", 6)]).await;
    assert_whole(&watch.end(), 6);
    let expected = DeploymentSpec { template: spec(&app).await.template, ..before };
    assert_as_before(&app, &expected).await;
}

async fn a_release_steps_back_to_a_batch_and_on_again(app: App) {
    let application = app.create("web", 10).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, manual(4)).await;
    for (number, rest) in [(2, 2), (3, 4)] {
        app.confirm_at_rest(order, number, &watch, NEW, rest).await;
    }
    pods_are(&watch, &[(NEW, 7), (OLD, 3)]).await;
    app.order_when(order, |order| {
        order.state == State::WaitingConfirmation
            && order.batches[3].state == State::WaitingConfirmation
    })
    .await;
    for wrong in [Some(0), Some(3), Some(-1)] {
        let refused = app.service.step_back(&caller(), order, wrong).await.unwrap_err().to_string();
        assert!(refused.contains("must be from 1 to 2, the batches that may stay"), "{refused}");
    }
    app.service.step_back(&caller(), order, Some(1)).await.unwrap();
    pods_are(&watch, &[(NEW, 2), (OLD, 8)]).await;
    let rests = app
        .order_when(order, |order| {
            order.state == State::WaitingConfirmation
                && order.batches[1].state == State::WaitingConfirmation
        })
        .await;
    assert_eq!(
        rests.batches.iter().map(|batch| batch.started_at.is_some()).collect::<Vec<_>>(),
        [true, false, false, false]
    );
    for number in [2, 3, 4] {
        app.confirm(order, number).await;
    }
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    pods_are(&watch, &[(NEW, 10)]).await;
    assert_whole(&watch.end(), 10);
    let expected = DeploymentSpec { template: spec(&app).await.template, ..before };
    assert_as_before(&app, &expected).await;
}

async fn a_running_batch_is_gone_back_on(app: App) {
    let application = app.create("web", 6).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, manual(3)).await;
    let refused = app.service.step_back(&caller(), order, None).await.unwrap_err().to_string();
    assert!(
        refused.contains("nothing to step back on")
            || refused.contains("no batch is done that could stay"),
        "{refused}"
    );
    app.confirm_at_rest(order, 2, &watch, NEW, 2).await;
    app.order_when(order, |order| order.batches[1].state == State::Running).await;
    app.service.step_back(&caller(), order, None).await.unwrap();
    app.order_when(order, |order| {
        order.state == State::WaitingConfirmation
            && order.batches[1].state == State::WaitingConfirmation
    })
    .await;
    pods_are(&watch, &[(NEW, 2), (OLD, 4)]).await;
    // And from there all the way back.
    let rollback = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(app.end_of(rollback).await.state, State::Succeeded);
    pods_are(&watch, &[(OLD, 6)]).await;
    assert_whole(&watch.end(), 6);
}

async fn a_finished_release_is_taken_back_while_it_is_the_newest(app: App) {
    let application = app.create("web", 3).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let first = app.deploy(application, NEW, batches(3)).await;
    let first = app.end_of(first).await;
    assert!(first.state == State::Succeeded && first.can_roll_back, "{first:#?}");
    let rollback = app.service.roll_back(&caller(), first.id).await.unwrap();
    let rollback = app.end_of(rollback).await;
    assert_eq!(
        (rollback.state, rollback.rolls_back),
        (State::Succeeded, Some(first.id)),
        "{rollback:#?}"
    );
    pods_are(&watch, &[(OLD, 3)]).await;
    assert_whole(&watch.end(), 3);
    assert_as_before(&app, &before).await;
    let now = app.service.current_spec(application).await.unwrap().release.unwrap();
    assert_eq!(now.image, OLD, "it is the application's version again");
    assert_eq!(
        app.service.order(first.id).await.unwrap().state,
        State::Succeeded,
        "what ended stays as it ended"
    );

    // One that another followed is not the newest any more.
    let second = app.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(second).await.state, State::Succeeded);
    let third = app.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(third).await.state, State::Succeeded);
    let refused = app.service.roll_back(&caller(), second).await.unwrap_err().to_string();
    assert!(refused.contains("is not the newest of its application"), "{refused}");
    assert!(!app.service.order(second).await.unwrap().can_roll_back);
}

async fn a_version_of_the_history_comes_back_exactly(app: App) {
    let application = app.create("web", 3).await;
    let first = spec(&app).await;
    let order = app.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    let history = app.service.history(application).await.unwrap();
    assert_eq!(
        history.iter().map(|release| release.image.as_str()).collect::<Vec<_>>(),
        [NEW, OLD],
        "newest first"
    );
    let back = service::RollBackTo {
        application,
        version: history[1].version.clone(),
        batches: Some(3),
        wait_minutes: None,
    };
    let order = app.service.roll_back_to(&caller(), back).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!((order.state, order.kind), (State::Succeeded, Kind::DeployVersion), "{order:#?}");
    assert_as_before(&app, &first).await;
}
