//! Other people's hands on the Deployment while an order is open.

use rstest::rstest;

use super::*;
use crate::{
    order::{
        hands::{Hands, Written},
        intent::Borrow,
    },
    rollout::changed_meanwhile,
};

/// A release at `step` of its first batch of three, which knows what it wrote: the settings
/// of [`at_work`], or those of a rest.
pub(super) fn order_at(step: Step) -> Order {
    let mut order = at_step(step, in_batches(3, Pace::Manual));
    order.batches[0].target = 3;
    let settings = at_work(step).settings;
    order.hands = Hands { uid: "uid".into(), ..Hands::default() };
    order.hands.written.min_ready_seconds = Some(settings.min_ready_seconds);
    order.hands.written.progress_deadline_seconds = Some(settings.progress_deadline_seconds);
    order.hands.written.paused = Some(settings.paused);
    order.hands.written.strategy = Some(settings.strategy);
    if step == Step::Paused {
        order.batches[1].state = State::WaitingConfirmation;
        order.batches[0].state = State::Succeeded;
    }
    order
}

/// The Deployment as an order at `step` wrote it: three new pods that are Ready.
pub(super) fn at_work(step: Step) -> DeploymentView {
    match step {
        Step::Paused => {
            let mut view = shown(3, Some(at(1)), 7);
            view.settings = BorrowedSettings { paused: true, strategy: rolling(0, 1), ..own() };
            view
        }
        _ => shown(3, None, 10),
    }
}

pub(super) fn owned_by(mut view: DeploymentView, manager: &str, fields: Value) -> DeploymentView {
    view.owners = json!([
        { "manager": "kubectl-apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": fields } },
        { "manager": manager, "time": "2026-01-01T00:00:09Z", "fieldsV1": { "f:spec": fields } },
    ]);
    view
}

fn at_rest_and_resumed() -> DeploymentView {
    let mut view = at_work(Step::Paused);
    view.settings.paused = false;
    view.observed = false;
    view
}

#[test]
fn what_an_order_wrote_itself_is_nobody_elses() {
    let order = order_at(Step::BringUp);
    assert_waits(&ask(&order, at_work(Step::BringUp), at(SOON)), Some(at(TIMEOUT)));
    assert_eq!(
        ask(&order_at(Step::Paused), at_work(Step::Paused), at(SOON)),
        Decision::Wait { until: None, rest: true }
    );
}

#[test]
fn a_resume_while_the_order_waits_is_taken_back_at_once_and_told() {
    let order = order_at(Step::Paused);
    let view = owned_by(at_rest_and_resumed(), "kubectl-rollout", json!({ "f:paused": {} }));
    let back = moved(ask(&order, view, at(SOON)));
    // It waits on, and the gate is closed so that numbers can be put right.
    assert_eq!((back.state, back.step), (State::WaitingConfirmation, Step::CloseGate));
    assert_eq!(numbers(&back), (json!(0), json!(1), Some(true), Some(GATE_SECONDS)));
    assert!(back.message.contains("kubectl-rollout resumed the Deployment"), "{}", back.message);
    let hands = back.hands.unwrap();
    assert_eq!(hands.put_back.get("paused"), Some(&at(SOON)));
    assert_eq!(hands.waits_since, Some(order.step_since), "the interval goes on");
}

#[test]
fn a_resume_that_nobody_is_known_for_is_told_all_the_same() {
    let back = moved(ask(&order_at(Step::Paused), at_rest_and_resumed(), at(SOON)));
    assert!(
        back.message.starts_with(
            "batch 2 waits for confirmation; somebody (Kubernetes notes no field manager"
        ),
        "{}",
        back.message
    );
}

#[test]
fn a_second_resume_within_a_minute_ends_the_order_at_rest_and_a_later_one_does_not() {
    let mut order = order_at(Step::Paused);
    order.hands.put_back.insert("paused".into(), at(0));
    let end = moved(ask(&order, at_rest_and_resumed(), at(60)));
    assert_eq!((end.state, end.step, end.roll_back), (State::Failed, Step::Paused, false));
    assert!(end.finalizes && end.message.starts_with("superseded: "), "{}", end.message);
    assert_eq!(batches(&end), [(0, State::Failed, None), (1, State::Aborted, None)]);
    let later = moved(ask(&order, at_rest_and_resumed(), at(61)));
    assert_eq!(later.state, State::WaitingConfirmation);
    // It is paused with the pods that it has: once, whoever opens it again.
    order.state = State::Failed;
    order.finalizing = true;
    order.intent.as_mut().unwrap().effect =
        Change::Patch(Patch { paused: Some(true), ..Patch::default() }).into();
    let mut view = at_rest_and_resumed();
    view.observed = true;
    let halt = moved(ask(&order, view.clone(), at(62)));
    assert_eq!(
        (halt.step, patch(&halt).min_ready_seconds),
        (Step::PauseInPlace, Some(GATE_SECONDS))
    );
    order.step = Step::PauseInPlace;
    order.intent = Some(Intent {
        effect: halt.effect.unwrap(),
        applied: Some(Applied { deployment: APPLIED, replica_set: None }),
    });
    assert_eq!(patch(&moved(ask(&order, view, at(63)))).paused, Some(true));
}

#[test]
fn a_pause_in_the_middle_is_obeyed_and_a_person_or_a_resume_lets_it_go_on() {
    for step in [Step::BringUp, Step::ScaleDownOld, Step::RollBack, Step::RestoreSettings] {
        let order = order_at(step);
        let mut view = owned_by(at_work(step), "kubectl-rollout", json!({ "f:paused": {} }));
        view.settings.paused = true;
        view.observed = false;
        let rests = moved(ask(&order, view.clone(), at(SOON)));
        assert_eq!((rests.state, rests.step), (State::WaitingConfirmation, step));
        assert_eq!(rests.effect, None, "nothing is written");
        assert!(rests.message.starts_with("kubectl-rollout paused the Deployment"));
        let waits = batches(&rests);
        assert!(
            waits.iter().all(|(_, state, _)| *state == State::WaitingConfirmation),
            "{waits:?}"
        );

        let mut braked = order.clone();
        braked.state = State::WaitingConfirmation;
        braked.hands = rests.hands.unwrap();
        for (index, state, _) in waits {
            braked.batches[index].state = state;
        }
        let far = at(10 * TIMEOUT);
        assert_eq!(ask(&braked, view.clone(), far), Decision::Wait { until: None, rest: true });
        let asked = Order { goes_on: true, ..braked.clone() };
        let on = moved(ask(&asked, view.clone(), far));
        assert_eq!((on.state, on.step, on.clears_go_on), (State::Running, step, true));
        assert_eq!(patch(&on).paused, Some(false));
        assert_eq!(on.hands.as_ref().unwrap().paused_by, None);
        view.settings.paused = false;
        let on = moved(ask(&braked, view, far));
        assert!(on.message.contains("was resumed"), "{}", on.message);
        if order.step == Step::RestoreSettings {
            assert_eq!(batches(&on), [(0, State::Running, None)]);
        } else if order.batches[0].state == State::Running {
            let anew = [(0, State::Ready, None), (0, State::Running, None)];
            assert_eq!(batches(&on), anew, "its time begins anew");
        }
    }
}

#[test]
fn settings_that_somebody_changes_are_set_back_and_survive_the_order() {
    let order = order_at(Step::BringUp);
    let mut view = at_work(Step::BringUp);
    view.settings.min_ready_seconds = 0;
    view.settings.strategy = rolling("50%", "50%");
    let theirs = json!({ "f:minReadySeconds": {}, "f:strategy": { "f:rollingUpdate": { "f:maxSurge": {}, "f:maxUnavailable": {} } } });
    let view = owned_by(view, "kubectl-patch", theirs);
    let back = moved(ask(&order, view, at(SOON)));
    assert_eq!((back.state, back.step), (State::Running, Step::BringUp));
    assert_eq!(numbers(&back), (json!(3), json!(0), Some(false), Some(GATE_SECONDS)));
    let before = back.snapshot.clone().unwrap().settings;
    assert_eq!((before.min_ready_seconds, &before.strategy), (0, &rolling("50%", "50%")));
    assert_eq!(patch(&back).borrow, crate::order::intent::Borrow::Borrowed(before));
    for part in [
        "kubectl-patch changed minReadySeconds from 2147483646 to 0",
        "kubectl-patch changed maxSurge from 3 to 50%",
        "kubectl-patch changed maxUnavailable from 0 to 50%",
    ] {
        assert!(back.message.contains(part), "{part} in {}", back.message);
    }
    let told = back.told(&order).map(str::to_owned);
    assert_eq!(told.as_deref(), Some(back.message.as_str()));
    // The same again within a minute.
    let mut again = order.clone();
    again.hands = back.hands.unwrap();
    let mut view = at_work(Step::BringUp);
    view.settings.strategy = again.hands.written.strategy.clone().unwrap();
    view.settings.min_ready_seconds = 7;
    let end = moved(ask(&again, view, at(SOON + 5)));
    assert_eq!((end.state, end.roll_back, end.finalizes), (State::Failed, false, true));
    assert_eq!(end.snapshot.unwrap().settings.min_ready_seconds, 7, "theirs is given back");
    assert!(!end.by_health, "it is so whatever was seen before");
    // Another field is another matter.
    let mut view = at_work(Step::BringUp);
    view.settings.strategy = again.hands.written.strategy.clone().unwrap();
    view.settings.progress_deadline_seconds = 900;
    assert_eq!(moved(ask(&again, view, at(SOON + 5))).state, State::Running);
}

#[test]
fn a_part_of_the_strategy_that_somebody_sets_leaves_the_other_as_it_was() {
    let order = order_at(Step::BringUp);
    let mut view = at_work(Step::BringUp);
    view.settings.strategy["rollingUpdate"]["maxSurge"] = json!("60%");
    let before = moved(ask(&order, view, at(SOON))).snapshot.unwrap();
    assert_eq!(before.settings.strategy, rolling("60%", "25%"));
}

#[test]
fn settings_of_a_rest_that_are_the_users_own_are_taken_over_and_not_fought() {
    let order = order_at(Step::Paused);
    let mut view = at_work(Step::Paused);
    view.settings.min_ready_seconds = 9;
    let taken = moved(ask(&order, view, at(SOON)));
    assert_eq!((taken.state, taken.step), (State::WaitingConfirmation, Step::Paused));
    assert_eq!(patch(&taken).min_ready_seconds, Some(9));
    assert_eq!(taken.snapshot.unwrap().settings.min_ready_seconds, 9);
    assert!(taken.hands.unwrap().put_back.is_empty());
}

#[test]
fn a_deployment_that_was_made_anew_is_left_alone_and_ends_the_order() {
    for step in UNDER_WAY {
        let mut view = at_work(step);
        view.uid = "another".into();
        let end = moved(ask(&order_at(step), view, at(SOON)));
        assert_eq!((end.state, end.step, end.effect), (State::Failed, Step::Done, None));
        assert!(
            !end.roll_back && end.message.contains("another one of its name"),
            "{}",
            end.message
        );
    }
}

/// What the API server is asked stands on what was seen, and no longer.
#[test]
fn a_change_is_decided_for_what_was_seen_and_anew_where_that_changed() {
    let mut order = order_at(Step::ScaleDownOld);
    let mut view = shown(3, Some(at(1)), 7);
    let pause = moved(ask(&order, view.clone(), at(SOON)));
    assert_eq!(pause.step, Step::Paused);
    let expected = patch(&pause).expects.unwrap();
    assert_eq!((expected.uid.as_str(), &expected.settings), ("uid", &view.settings));
    order.hands = pause.hands.clone().unwrap();
    order.step = pause.step;
    order.state = pause.state;
    order.intent = Some(Intent { effect: pause.effect.unwrap(), applied: None });
    view.settings.min_ready_seconds = 4;
    let Decision::Transition(anew) = changed_meanwhile(&order, &view, at(SOON)) else {
        panic!("it is decided anew")
    };
    assert_eq!(anew.snapshot.as_ref().unwrap().settings.min_ready_seconds, 4);
    let made = patch(&anew);
    let is_expected = |uid: &str, settings| made.is_expected(uid, settings, &view.template);
    assert!(is_expected("uid", &view.settings) && !is_expected("other", &view.settings));
    // Made already, its answer lost.
    let mut after = view.settings.clone();
    after.paused = made.paused.unwrap();
    after.strategy = made.strategy.clone().unwrap();
    after.min_ready_seconds = made.min_ready_seconds.unwrap();
    after.progress_deadline_seconds = made.progress_deadline_seconds.unwrap();
    assert!(is_expected("uid", &after));
}

/// An order is about to write for the first time, and somebody sets another image.
#[rstest]
#[case::nothing_was_written(false)]
#[case::it_was_written_and_the_answer_lost(true)]
fn a_version_that_somebody_sets_at_the_last_moment_is_not_overwritten_unseen(
    #[case] is_written: bool,
) {
    let mut order = accepted(Kind::Deploy, in_batches(3, Pace::Manual), PODS);
    let first = moved(ask(&order, untouched(), at(SOON)));
    let made = patch(&first).clone();
    assert_eq!(made.expects.as_ref().unwrap().template, Some(template("old")));
    (order.step, order.snapshot) = (first.step, first.snapshot.clone());
    order.intent = Some(Intent { effect: first.effect.unwrap(), applied: None });
    let theirs = DeploymentView {
        template: template("theirs"),
        new: Some(set("theirs", PODS, 5, Some(at(1)))),
        written_by: is_written.then_some(order.id),
        other_manager: Some("kubectl-set".into()),
        ..untouched()
    };
    for (template, is_expected) in
        [(template("old"), true), (template("new"), true), (template("theirs"), false)]
    {
        assert_eq!(made.is_expected("uid", &theirs.settings, &template), is_expected);
    }
    let anew = moved(changed_meanwhile(&order, &theirs, at(SOON)));
    if is_written {
        assert_eq!((anew.state, anew.step), (State::Failed, Step::Done));
        assert!(anew.message.starts_with("superseded by kubectl-set"), "{}", anew.message);
        assert_eq!(patch(&anew).template, None, "theirs stays");
    } else {
        assert_eq!((anew.state, anew.step), (State::Running, Step::BringUp));
        assert_eq!(anew.snapshot.as_ref().unwrap().template, theirs.template);
        let again = patch(&anew);
        assert_eq!(again.template, made.template);
        assert!(again.is_expected("uid", &theirs.settings, &theirs.template));
    }
}

/// The first write took effect, and its answer was lost. Then somebody sets one field.
#[test]
fn what_the_order_wrote_itself_is_nobody_elses_although_the_answer_was_lost() {
    let mut order = accepted(Kind::Deploy, in_batches(3, Pace::Manual), PODS);
    let first = moved(ask(&order, untouched(), at(SOON)));
    let made = patch(&first).clone();
    (order.step, order.snapshot) = (first.step, first.snapshot.clone());
    order.hands = first.hands.clone().unwrap();
    order.intent = Some(Intent { effect: first.effect.unwrap(), applied: None });
    let mut view = untouched();
    view.template = template("new");
    view.settings = BorrowedSettings {
        min_ready_seconds: made.min_ready_seconds.unwrap(),
        progress_deadline_seconds: made.progress_deadline_seconds.unwrap(),
        paused: false,
        strategy: made.strategy.clone().unwrap(),
    };
    view.settings.strategy["rollingUpdate"]["maxSurge"] = json!(7);
    let anew = moved(changed_meanwhile(&order, &view, at(SOON)));
    let mut theirs = own();
    theirs.strategy["rollingUpdate"]["maxSurge"] = json!(7);
    assert_eq!(anew.snapshot.as_ref().unwrap().settings, theirs, "{}", anew.message);
    let again = patch(&anew);
    assert_eq!(again.borrow, Borrow::Borrowed(theirs));
    assert_eq!(
        (&again.strategy, again.min_ready_seconds),
        (&made.strategy, made.min_ready_seconds)
    );
    assert!(!anew.message.contains("minReadySeconds"), "{}", anew.message);
}

/// An order ends and gives the settings back, and somebody sets one before that is written.
#[test]
fn what_is_given_back_at_the_end_does_not_go_over_what_was_set_meanwhile() {
    let mut order = order_at(Step::BringUp);
    let mut view = at_work(Step::BringUp);
    view.template = template("theirs");
    let end = moved(ask(&order, view.clone(), at(SOON)));
    assert_eq!((end.state, end.step), (State::Failed, Step::Done));
    let back = patch(&end);
    assert_eq!(back.strategy, Some(own().strategy));
    assert!(back.is_expected("uid", &view.settings, &view.template));
    (order.state, order.step) = (end.state, end.step);
    order.intent = Some(Intent { effect: end.effect.unwrap(), applied: None });
    view.settings.progress_deadline_seconds = 826;
    assert!(!back.is_expected("uid", &view.settings, &view.template));
    let again = patch(&moved(changed_meanwhile(&order, &view, at(SOON))));
    assert_eq!(again.progress_deadline_seconds, Some(826));
    assert_eq!(
        (again.strategy.clone(), again.min_ready_seconds, again.paused, again.borrow.clone()),
        (back.strategy, back.min_ready_seconds, back.paused, Borrow::Returned)
    );
    assert!(again.is_expected("uid", &view.settings, &view.template));
}

/// Somebody sets a field while an aborted release comes to rest behind its closed gate.
#[test]
fn what_is_set_while_an_aborted_release_comes_to_rest_is_kept_for_the_next_order() {
    let mut order = order_at(Step::PauseInPlace);
    (order.state, order.finalizing) = (State::Aborted, true);
    order.hands.written = Written::default().after(&Patch {
        strategy: Some(rolling(2, 0)),
        min_ready_seconds: Some(GATE_SECONDS),
        ..Patch::default()
    });
    let mut view = shown(5, None, 9);
    view.settings.min_ready_seconds = GATE_SECONDS;
    view.settings.strategy = rolling(4, 0);
    let by = json!({ "f:strategy": { "f:rollingUpdate": { "f:maxSurge": {} } } });
    let view = owned_by(view, "kubectl-patch", by);
    let rest = moved(ask(&order, view, at(SOON)));
    let mut theirs = own();
    theirs.strategy["rollingUpdate"]["maxSurge"] = json!(4);
    assert_eq!(rest.snapshot.as_ref().unwrap().settings, theirs);
    let rest = patch(&rest);
    assert_eq!((rest.paused, rest.borrow), (Some(true), Borrow::Borrowed(theirs)));
}

/// An executor may be late with a change of each kind, and the Deployment be another by then.
#[rstest]
#[case::a_release(accepted(Kind::Deploy, in_batches(3, Pace::Manual), PODS))]
#[case::a_number_of_pods(Order {
    target: Target { replicas: Some(3), ..accepted(Kind::Scale, in_batches(1, AUTOMATIC), PODS).target },
    ..accepted(Kind::Scale, in_batches(1, AUTOMATIC), PODS)
})]
fn a_deployment_that_was_made_anew_is_left_alone(#[case] mut order: Order) {
    let first = moved(ask(&order, untouched(), at(SOON)));
    let made = patch(&first).clone();
    let view = DeploymentView { uid: "another".into(), ..untouched() };
    assert!(made.is_expected("uid", &view.settings, &view.template));
    assert!(!made.is_expected("another", &view.settings, &view.template));
    (order.step, order.snapshot, order.state) = (first.step, first.snapshot, first.state);
    order.intent = Some(Intent { effect: first.effect.unwrap(), applied: None });
    let end = moved(changed_meanwhile(&order, &view, at(SOON)));
    assert_eq!((end.state, end.step, end.effect), (State::Failed, Step::Done, None));
    order.state = State::Aborted;
    let end = moved(changed_meanwhile(&order, &view, at(SOON)));
    assert_eq!((end.step, end.effect), (Step::Done, None));
}

#[test]
fn new_pods_beyond_the_plan_go_again_while_the_order_waits_on() {
    let mut order = order_at(Step::Paused);
    order.strategy = Strategy { canary: 3, batches: 1, pace: Pace::Manual };
    order.batches = batches_of(order.strategy, PODS);
    order.batches[0].state = State::Succeeded;
    order.batches[1].state = State::WaitingConfirmation;
    let at_size = |replicas: i32, new: i32| {
        let mut view = at_work(Step::Paused);
        view.replicas = replicas;
        view.new = Some(set("new", new, 5, Some(at(1))));
        view.old = vec![set("old", replicas - new, 5, Some(at(-1000)))];
        view
    };
    let rests = Decision::Wait { until: None, rest: true };
    // Three of ten are nine of thirty; one more is what Kubernetes rounds.
    for (replicas, new) in [(10, 3), (30, 9), (30, 10), (6, 1), (6, 2), (1, 0), (0, 0)] {
        assert_eq!(ask(&order, at_size(replicas, new), at(SOON)), rests, "{new} of {replicas}");
    }
    for (replicas, new) in [(30, 12), (6, 3), (10, 10), (10, 0)] {
        let closes = moved(ask(&order, at_size(replicas, new), at(SOON)));
        assert_eq!((closes.state, closes.step), (State::WaitingConfirmation, Step::CloseGate));
        let mut closing = order.clone();
        (closing.step, closing.hands) = (closes.step, closes.hands.unwrap());
        let mut view = at_size(replicas, new);
        view.settings.min_ready_seconds = GATE_SECONDS;
        view.settings.progress_deadline_seconds = i32::MAX;
        view.new.as_mut().unwrap().min_ready_seconds = GATE_SECONDS;
        let next = moved(ask(&closing, view, at(SOON)));
        if new > 0 {
            assert_eq!((next.state, next.step), (State::WaitingConfirmation, Step::StepBack));
            assert_eq!(next.batches.last().unwrap().state, State::WaitingConfirmation);
        } else {
            assert_eq!((next.state, next.step), (State::Running, Step::BringUp));
        }
    }
}

#[test]
fn a_release_of_the_version_that_runs_already_has_no_pod_too_many() {
    let mut order = order_at(Step::BringUp);
    order.snapshot.as_mut().unwrap().template = template("new");
    let next = moved(ask(&order, shown(10, Some(at(1)), 0), at(SOON)));
    assert_ne!(next.state, State::Failed, "{next:?}");
    assert_ne!(next.step, Step::RestoreOld);
}

#[test]
fn a_batch_under_way_gives_back_what_kubernetes_gave_it_beyond_the_plan() {
    let mut order = order_at(Step::BringUp);
    order.batches[0].target = 13;
    let mut view = shown(16, Some(at(1)), 37);
    view.replicas = 40;
    let first = moved(ask(&order, view.clone(), at(SOON)));
    assert_eq!(first.step, Step::RestoreOld);
    let Some(Effect::ReplicaSet(size)) = &first.effect else { panic!("{first:?}") };
    assert_eq!((size.name.as_str(), size.replicas), ("old", 40), "none is replaced yet");
    order.step = Step::RestoreOld;
    view.old = vec![set("old", 40, 5, Some(at(2)))];
    let then = moved(ask(&order, view.clone(), at(SOON)));
    let Some(Effect::ReplicaSet(size)) = &then.effect else { panic!("{then:?}") };
    assert_eq!((then.step, size.name.as_str(), size.replicas), (Step::RemoveNew, "new", 13));
    order.step = Step::RemoveNew;
    view.new = Some(set("new", 13, GATE_SECONDS, Some(at(1))));
    let back = moved(ask(&order, view, at(SOON)));
    assert_eq!((back.state, back.step, back.effect), (State::Running, Step::BringUp, None));
}
