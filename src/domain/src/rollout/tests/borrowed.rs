//! Whose the settings of a Deployment are that an order borrows, or that one left behind it.

use super::{
    hands::{at_work, order_at, owned_by},
    *,
};
use crate::rollout::own_settings;

#[test]
fn an_old_word_of_borrowed_settings_is_no_truth() {
    // As an undo leaves it: the annotation of an old order, and the fields of the user.
    let mut view = untouched();
    view.settings.strategy = rolling(1, 0);
    view.borrowed = Some(own());
    assert_eq!(*own_settings(&view), view.settings);
    let order = accepted(Kind::Deploy, in_batches(3, AUTOMATIC), PODS);
    let begun = moved(ask(&order, view.clone(), at(SOON)));
    assert_eq!(begun.snapshot.unwrap().settings, view.settings);
    // What is borrowed in fact is another matter.
    view.settings.min_ready_seconds = GATE_SECONDS;
    assert_eq!(*own_settings(&view), own());
    view.settings = BorrowedSettings { paused: true, ..own() };
    view.settings.min_ready_seconds = 1;
    assert_eq!(*own_settings(&view), own());
    let view = owned_by(view, "kubectl-rollout", json!({ "f:paused": {} }));
    assert_eq!(*own_settings(&view), view.settings, "the user's own pause");
}

#[test]
fn what_somebody_sets_to_just_what_the_order_wrote_is_theirs_too() {
    let mut view = at_work(Step::BringUp);
    view.settings.strategy = rolling(2, 0);
    let rolling_update = json!({ "f:maxSurge": {}, "f:maxUnavailable": {} });
    let theirs = json!({ "f:strategy": { "f:rollingUpdate": rolling_update } });
    let view = owned_by(view, "kubectl-patch", theirs);
    let again = moved(ask(&order_at(Step::BringUp), view, at(SOON)));
    assert_eq!(again.snapshot.unwrap().settings.strategy, rolling(2, 0));
}

#[test]
fn who_pauses_what_an_order_left_paused_does_not_make_its_strategy_the_users() {
    let mut view = untouched();
    view.settings = BorrowedSettings { paused: true, strategy: rolling(0, 1), ..own() };
    view.borrowed = Some(own());
    let view = owned_by(view, "kubectl-rollout", json!({ "f:paused": {} }));
    assert_eq!(*own_settings(&view), own());
    let theirs = json!({ "f:maxSurge": {}, "f:maxUnavailable": {} });
    let theirs = json!({ "f:paused": {}, "f:strategy": { "f:rollingUpdate": theirs } });
    let view = owned_by(view, "kubectl-edit", theirs);
    assert_eq!(*own_settings(&view), view.settings);
}
