//! A person's pause of the Deployment and the waits of an order: neither undoes the other.

use rstest::rstest;

use super::{
    hands::{at_work, order_at, owned_by},
    *,
};
use crate::{order::intent::Expected, rollout::changed_meanwhile};

/// A release in three batches with some minutes in between, which waits at `step` of its
/// second batch for the third.
fn waits_for_its_time(step: Step) -> Order {
    let mut order = order_at(step);
    order.strategy.pace = Pace::Automatic { wait_minutes: 5 };
    order.state = State::WaitingInterval;
    order.batch = 1;
    for (index, state) in
        [State::Succeeded, State::Succeeded, State::WaitingInterval].into_iter().enumerate()
    {
        order.batches[index].state = state;
    }
    order
}

fn paused_by_hand(step: Step) -> DeploymentView {
    let mut view = owned_by(at_work(step), "kubectl-rollout", json!({ "f:paused": {} }));
    view.settings.paused = true;
    view
}

/// The order once a transition of it is written down, and its change made.
fn after(mut order: Order, transition: Transition) -> Order {
    (order.state, order.step, order.batch) = (transition.state, transition.step, transition.batch);
    order.hands = transition.hands.unwrap_or(order.hands);
    order.goes_on &= !transition.clears_go_on;
    for moved in transition.batches {
        order.batches[moved.index].state = moved.state;
    }
    if let Some(effect) = transition.effect {
        let applied = Some(Applied { deployment: APPLIED, replica_set: None });
        order.intent = Some(Intent { effect, applied });
    }
    order
}

#[test]
fn each_wait_between_two_batches_has_its_own_interval() {
    let mut order = waits_for_its_time(Step::CloseGate);
    order.strategy.batches = 4;
    order.batches = batches_of(order.strategy, PODS);
    // Numbers were put right while it waited.
    order.hands.waits_since = Some(at(-1000));
    order.hands.written = crate::order::hands::Written::default();
    order.confirmed = 3;
    let closed = shown(6, Some(at(1)), 4);
    let begun = moved(ask(&order, closed.clone(), at(SOON)));
    assert_eq!((begun.step, begun.batch), (Step::BringUp, 2));
    assert_eq!(begun.hands.as_ref().unwrap().waits_since, None, "the next wait is another one");
    // The same batch once more is the same wait.
    (order.confirmed, order.state) = (1, State::WaitingInterval);
    order.batches[1].target = 6;
    let again = moved(ask(&order, shown(0, None, 10), at(SOON)));
    assert_eq!((again.step, again.batch), (Step::BringUp, 1));
    let hands = again.hands.unwrap();
    assert_eq!(hands.waits_since, Some(at(-1000)));
}

#[rstest]
#[case(Step::StepBack)]
#[case(Step::RestoreOld)]
#[case(Step::RemoveNew)]
fn an_interval_stays_one_when_somebody_pauses_while_numbers_are_put_right(#[case] step: Step) {
    for state in [State::WaitingInterval, State::WaitingConfirmation] {
        let mut order = waits_for_its_time(step);
        (order.state, order.batches[2].state) = (state, state);
        let rests = moved(ask(&order, paused_by_hand(step), at(SOON)));
        assert_eq!(rests.state, State::WaitingConfirmation);
        assert_eq!(batches(&rests), [(2, State::WaitingConfirmation, None)]);
        let braked = after(order, rests);
        let asked = Order { goes_on: true, ..braked };
        let on = moved(ask(&asked, paused_by_hand(step), at(SOON)));
        assert_eq!((on.state, on.step), (state, Step::StepBack));
        assert_eq!(batches(&on), [(2, state, None)]);
        let waits = if state == State::WaitingInterval { "its time" } else { "confirmation" };
        let message = format!("batch 3 waits for {waits}; goes on, although kubectl-rollout");
        assert!(on.message.starts_with(&message), "{}", on.message);
        let order = after(asked, on);
        assert_eq!((&order.hands.paused_by, order.hands.waited), (&None, None));
    }
}

#[test]
fn a_pause_while_the_settings_are_restored_waits_with_the_last_batch() {
    let mut order = order_at(Step::RestoreSettings);
    order.batch = 2;
    order.batches.iter_mut().for_each(|batch| batch.state = State::Succeeded);
    let rests = moved(ask(&order, paused_by_hand(Step::RestoreSettings), at(SOON)));
    assert_eq!((rests.state, rests.step), (State::WaitingConfirmation, Step::RestoreSettings));
    assert_eq!(batches(&rests), [(2, State::WaitingConfirmation, None)], "a person continues it");
    let asked = Order { goes_on: true, ..after(order, rests) };
    let on = moved(ask(&asked, paused_by_hand(Step::RestoreSettings), at(SOON)));
    assert_eq!((on.state, on.step), (State::Running, Step::RestoreSettings));
    // It was done: neither its time nor its pods begin anew.
    assert_eq!(batches(&on), [(2, State::Running, None)]);
    let mut whole = shown(PODS, Some(at(1)), 0);
    whole.settings = own();
    let order = Order { step_since: at(SOON), ..after(asked, on) };
    let end = moved(ask(&order, whole, at(2 * SOON)));
    assert_eq!((end.state, batches(&end)), (State::Succeeded, vec![(2, State::Succeeded, None)]));
}

/// Somebody paused the Deployment, and the order rests: before its fence is written,
/// something else changes.
#[test]
fn what_was_decided_and_not_made_before_a_pause_is_not_taken_for_somebody_elses() {
    let before = order_at(Step::BringUp).snapshot.unwrap().settings;
    // The order noted what the patch would write: old pods go, the new ones stay.
    let mut order = order_at(Step::ScaleDownOld);
    let settings = at_work(Step::BringUp).settings;
    order.hands.written.strategy = Some(rolling(json!(0), json!("30%")));
    let effect = Change::Patch(Patch {
        strategy: order.hands.written.strategy.clone(),
        expects: Some(Expected { uid: "uid".into(), settings, template: None, replicas: None }),
        ..Patch::default()
    });
    order.intent = Some(Intent { effect: effect.into(), applied: None });
    let rests = moved(changed_meanwhile(&order, &paused_by_hand(Step::BringUp), at(SOON)));
    let rested = after(order, rests);
    let mut view = paused_by_hand(Step::BringUp);
    view.settings.paused = false;
    let on = moved(ask(&rested, view, at(SOON)));
    assert_eq!(on.snapshot.unwrap().settings, before);
}

#[test]
fn a_change_that_comes_just_after_a_pause_does_not_lift_it() {
    for step in [Step::BringUp, Step::ScaleDownOld, Step::RestoreSettings] {
        let order = order_at(step);
        let change = moved(ask(&order, at_work(step), at(10 * TIMEOUT)));
        let mut order = after(order, change);
        // The last change was decided, and not made; then comes the pause.
        let patch_of = |view: &DeploymentView| Patch {
            min_ready_seconds: Some(GATE_SECONDS),
            expects: Some(Expected {
                uid: "uid".into(),
                settings: view.settings.clone(),
                template: None,
                replicas: None,
            }),
            ..Patch::default()
        };
        (order.state, order.step) = (State::Running, step);
        let effect = Change::Patch(patch_of(&at_work(step))).into();
        order.intent = Some(Intent { effect, applied: None });
        let rests = moved(changed_meanwhile(&order, &paused_by_hand(step), at(SOON)));
        assert_eq!(rests.hands.as_ref().unwrap().paused_by.as_deref(), Some("kubectl-rollout"));
        assert_eq!(patch(&rests).paused, None);
        let mut braked = after(order, rests);
        braked.intent.as_mut().unwrap().applied = None;

        let mut view = paused_by_hand(step);
        view.settings.min_ready_seconds = 7;
        let still = moved(changed_meanwhile(&braked, &view, at(SOON)));
        assert_eq!((still.state, still.step), (State::WaitingConfirmation, step));
        let fence = patch(&still);
        assert_eq!(fence.expects.clone().unwrap().settings, view.settings, "for what is there now");
        assert_eq!(Patch { expects: None, ..fence }, written());
        assert_eq!(still.hands, None, "it is still known who paused it");
        // A person lets it go on, and what was set meanwhile is kept for the end.
        let asked = Order { goes_on: true, ..braked.clone() };
        let on = moved(changed_meanwhile(&asked, &view, at(SOON)));
        assert_eq!(
            (patch(&on).paused, on.hands.as_ref().unwrap().paused_by.as_ref()),
            (Some(false), None)
        );
        assert_eq!(on.snapshot.unwrap().settings.min_ready_seconds, 7);
        view.settings.paused = false;
        let resumed = moved(changed_meanwhile(&braked, &view, at(SOON)));
        assert_eq!((resumed.state, patch(&resumed).paused), (State::Running, Some(false)));
    }
}

/// Scaled to two pods while it waits, the share of the first batch is none of them, and one old
/// pod always goes while the numbers are held.
#[test]
fn of_so_few_pods_that_a_batch_has_none_one_stays_new() {
    let mut order = waits_for_its_time(Step::StepBack);
    order.batch = 0;
    let few = |new: i32, old: i32| {
        let mut view = shown(new, Some(at(1)), old);
        (view.replicas, view.settings.strategy) = (2, rolling(0, 1));
        if old == 0 {
            view.idle = vec![set("old", 0, 5, None)];
        }
        view
    };
    assert_eq!(order.planned(0, 2), 0);
    order.hands.written = crate::order::hands::Written::default();
    let grows = moved(ask(&order, few(2, 0), at(SOON)));
    let Some(Effect::ReplicaSet(up)) = grows.effect else { panic!("{grows:?}") };
    assert_eq!((up.name.as_str(), up.replicas), ("old", 1));
    order.step = Step::RestoreOld;
    let shrinks = moved(ask(&order, few(2, 1), at(SOON)));
    let Some(Effect::ReplicaSet(down)) = shrinks.effect else { panic!("{shrinks:?}") };
    assert_eq!((down.name.as_str(), down.replicas), ("new", 1));
    order.step = Step::RemoveNew;
    let rests = moved(ask(&order, few(1, 1), at(SOON)));
    assert_eq!((rests.state, rests.step), (State::WaitingInterval, Step::Paused));
}
