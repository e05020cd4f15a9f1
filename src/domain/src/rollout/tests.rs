//! Tests of the state machine: each step against everything the cluster may
//! show ([`begin`], [`going`], [`failing`], [`aborted`], [`roll_back`]), and whole orders
//! on a model of the native controllers ([`whole`], [`native`]).
//!
//! This file makes orders and observations to ask about: ten pods of version
//! `old`, an order that releases `new` in three batches, begun at second 0.

mod aborted;
mod another_number;
mod begin;
mod borrowed;
mod delete;
mod failing;
mod fitted;
mod going;
mod guarded;
mod hands;
mod model;
mod native;
mod notices;
mod outage;
mod owed;
mod pauses;
mod resize;
mod roll_back;
mod stuck;
mod waiting;
mod whole;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{BatchTransition, Decision, Transition, decide};
use crate::{
    ApplicationId, BatchId, OrderId, ReleaseId,
    observed::{
        ContainerState, ContainerView, CreateFailure, DeploymentView, Observation, PodView,
        ReplicaSetView,
    },
    order::{
        Batch, DeploymentBefore, FailurePolicy, Kind, Order, State, Step, Target, TemplateSource,
        intent::{Applied, Change, Effect, GATE_SECONDS, Intent, Patch, SizeChange},
        outage::OutageClock,
        plan::{Pace, Strategy},
    },
    template::{
        settings::BorrowedSettings,
        share::{self, Rounding},
    },
};

/// Seconds: soon after the order began.
const SOON: i64 = 10;

/// Desired number of pods.
const PODS: i32 = 10;

/// The Deployment's resourceVersion after the order's last change.
const APPLIED: u64 = 100;

/// Seconds that a batch may take.
const TIMEOUT: i64 = 600;

const AUTOMATIC: Pace = Pace::Automatic { wait_minutes: 0 };

/// Every step at which a release may stand with a change made.
const UNDER_WAY: [Step; 5] =
    [Step::BringUp, Step::ScaleDownOld, Step::Paused, Step::CloseGate, Step::RestoreSettings];

/// `seconds` after the order began.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn in_batches(batches: i32, pace: Pace) -> Strategy {
    Strategy { canary: 0, batches, pace }
}

fn template(version: &str) -> Value {
    json!({ "spec": { "containers": [{ "name": "web", "image": format!("shop/web:{version}") }] } })
}

fn rolling(max_surge: impl Into<Value>, max_unavailable: impl Into<Value>) -> Value {
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": max_surge.into(), "maxUnavailable": max_unavailable.into() } })
}

/// The user's own settings.
fn own() -> BorrowedSettings {
    BorrowedSettings {
        min_ready_seconds: 5,
        progress_deadline_seconds: 600,
        paused: false,
        strategy: rolling("25%", "25%"),
    }
}

fn snapshot() -> DeploymentBefore {
    DeploymentBefore {
        template: template("old"),
        replicas: PODS,
        settings: own(),
        owners: Value::Null,
        left_min_ready: None,
    }
}

fn batches_of(strategy: Strategy, replicas: i32) -> Vec<Batch> {
    let of = |index| Batch {
        id: BatchId::new(),
        state: State::Ready,
        target: strategy.cumulative(index, replicas),
        started_at: None,
    };
    (0..strategy.count()).map(of).collect()
}

/// A patch of the Deployment that views show, which changes nothing.
fn written() -> Patch {
    Patch { uid: Some("uid".into()), ..Patch::default() }
}

/// An order that was just accepted.
fn accepted(kind: Kind, strategy: Strategy, replicas: i32) -> Order {
    Order {
        id: OrderId::new(),
        application: ApplicationId::new(),
        cluster: "default".into(),
        namespace: "default".into(),
        name: "web".into(),
        kind,
        state: State::Ready,
        step: Step::Start,
        batch: 0,
        strategy,
        batches: batches_of(strategy, replicas),
        confirmed: 1,
        back_to: None,
        hands: crate::order::hands::Hands::default(),
        goes_on: false,
        target: Target {
            release: Some(ReleaseId::new()),
            source: TemplateSource::Exact(template("new")),
            replicas: None,
            min_ready_seconds: None,
            batch_timeout_seconds: TIMEOUT,
            failure_policy: FailurePolicy::default(),
            max_unavailable: 0,
            allows_no_surge: false,
            owners_before: Value::Null,
            replaces: None,
            replicas_before: None,
            replicas_if_created: None,
            adopted_uid: None,
            former_applications: Vec::new(),
            guardrails: None,
        },
        snapshot: None,
        intent: None,
        template: None,
        finalizing: false,
        trouble: String::new(),
        rolls_back: None,
        created_at: at(0),
        step_since: at(0),
        outages: OutageClock::default(),
        hold: None,
    }
}

/// A release at `step` of its first batch, its last change made.
fn at_step(step: Step, strategy: Strategy) -> Order {
    let mut order = accepted(Kind::Deploy, strategy, PODS);
    if step == Step::Start {
        return order;
    }
    order.step = step;
    order.state = match (step, strategy.pace) {
        (Step::Paused, Pace::Manual) => State::WaitingConfirmation,
        (Step::Paused, Pace::Automatic { .. }) => State::WaitingInterval,
        _ => State::Running,
    };
    order.batches[0].state = if matches!(step, Step::BringUp | Step::RestoreSettings) {
        State::Running
    } else {
        State::Succeeded
    };
    order.batches[0].started_at = Some(at(0));
    order.snapshot = Some(snapshot());
    order.template = Some(template("new"));
    order.intent = Some(Intent {
        effect: Change::Patch(Patch::default()).into(),
        applied: Some(Applied { deployment: APPLIED, replica_set: None }),
    });
    order
}

/// The same, aborted there, its Deployment not yet at rest.
fn aborted_at(step: Step) -> Order {
    Order { state: State::Aborted, finalizing: true, ..at_step(step, in_batches(3, Pace::Manual)) }
}

/// A rollback order at `step`.
fn way_back(step: Step) -> Order {
    let mut order = at_step(step, Strategy::ALL_AT_ONCE);
    order.kind = Kind::Rollback;
    order.rolls_back = Some(OrderId::new());
    order.target.release = None;
    order.target.source = TemplateSource::Exact(template("old"));
    order.template = (step != Step::Start).then(|| template("old"));
    order.snapshot = Some(snapshot());
    order
}

fn pod(name: String, ready_since: Option<Timestamp>) -> PodView {
    PodView { name, phase: "Running".into(), ready_since, ..PodView::default() }
}

/// A ReplicaSet with all its pods, Ready since `since`.
fn set(name: &str, pods: i32, min_ready_seconds: i32, since: Option<Timestamp>) -> ReplicaSetView {
    ReplicaSetView {
        resource_version: APPLIED,
        name: name.into(),
        uid: name.into(),
        created_at: None,
        template: Arc::new(template(name)),
        desired: pods,
        min_ready_seconds,
        status_replicas: pods,
        available: 0,
        observed: true,
        create_failure: None,
        pods: (0..pods).map(|number| pod(format!("{name}-{number}"), since)).collect(),
        failed: Vec::new(),
        failed_count: 0,
    }
}

/// `new` pods, Ready since `since`, beside `old` ones, Ready for long.
fn shown(new: i32, since: Option<Timestamp>, old: i32) -> DeploymentView {
    DeploymentView {
        uid: "uid".into(),
        application: None,
        resource_version: APPLIED,
        observed: true,
        replicas: PODS,
        settings: BorrowedSettings {
            min_ready_seconds: GATE_SECONDS,
            progress_deadline_seconds: i32::MAX,
            paused: false,
            strategy: rolling(3, 0),
        },
        borrowed: Some(own()),
        template: template("new"),
        fence: Some(1),
        written_by: None,
        owners: Value::Null,
        controller: None,
        helm_release: None,
        other_manager: None,
        other_scaler: None,
        status_replicas: new + old,
        status_updated: new,
        new: Some(set("new", new, GATE_SECONDS, since)),
        old: if old > 0 { vec![set("old", old, 5, Some(at(-1000)))] } else { Vec::new() },
        idle: Vec::new(),
        leaving: 0,
        leaving_nearby: 0,
        left_at: None,
        warnings: Vec::new(),
        set_failure: None,
        refused: None,
    }
}

/// The Deployment as the user left it: ten pods, nothing borrowed.
fn untouched() -> DeploymentView {
    let settings = own();
    let new = Some(set("old", PODS, 5, Some(at(-1000))));
    DeploymentView {
        settings,
        borrowed: None,
        template: template("old"),
        fence: None,
        new,
        old: Vec::new(),
        ..shown(PODS, None, 0)
    }
}

/// The view with a pod of the new version that cannot start.
fn troubled(mut view: DeploymentView) -> DeploymentView {
    let state =
        ContainerState::Waiting { reason: "ErrImagePull".into(), message: "not found".into() };
    let (name, image) = ("web".into(), "shop/web:new".into());
    let container = ContainerView { name, image, is_init: false, state, last: None, restarts: 0 };
    let pods = &mut view.new.as_mut().unwrap().pods;
    pods[0].ready_since = None;
    pods[0].containers.push(container);
    view
}

fn ask(order: &Order, view: DeploymentView, now: Timestamp) -> Decision {
    decide(order, &Observation::Present(Box::new(view)).into(), now)
}

#[track_caller]
fn moved(decision: Decision) -> Transition {
    match decision {
        Decision::Transition(transition) => *transition,
        wait => panic!("a transition was expected: {wait:?}"),
    }
}

#[track_caller]
fn assert_waits(decision: &Decision, until: Option<Timestamp>) {
    assert_eq!(*decision, Decision::Wait { until, rest: false });
}

/// The transition's patch; other changes are not expected here.
#[track_caller]
fn patch(transition: &Transition) -> Patch {
    match &transition.effect {
        Some(Effect::Deployment(Change::Patch(patch))) => patch.clone(),
        other => panic!("a patch was expected: {other:?}"),
    }
}

/// `maxSurge`, `maxUnavailable`, `paused` and `minReadySeconds` of the transition's patch.
#[track_caller]
fn numbers(transition: &Transition) -> (Value, Value, Option<bool>, Option<i32>) {
    numbers_of(transition, PODS)
}

/// The same of a Deployment of so many pods.
#[track_caller]
fn numbers_of(transition: &Transition, replicas: i32) -> (Value, Value, Option<bool>, Option<i32>) {
    let patch = patch(transition);
    let bounds = patch.strategy.unwrap_or_default()["rollingUpdate"].clone();
    // The order's own shares as pods; the user's stay as they are.
    let shown = |name: &str, rounding| match &bounds[name] {
        share if *share == "25%" || (*share == "100%" && replicas == PODS) => share.clone(),
        own => share::pods(own, replicas, rounding).map_or(Value::Null, Value::from),
    };
    (
        shown("maxSurge", Rounding::Up),
        shown("maxUnavailable", Rounding::Down),
        patch.paused,
        patch.min_ready_seconds,
    )
}

/// What became of batches: index, state, newly known target.
fn batches(transition: &Transition) -> Vec<(usize, State, Option<i32>)> {
    transition
        .batches
        .iter()
        .map(|BatchTransition { index, state, target, .. }| (*index, *state, *target))
        .collect()
}

#[track_caller]
fn assert_fails(decision: Decision, says: &str, roll_back: bool) {
    let transition = moved(decision);
    assert_eq!((transition.state, transition.step), (State::Failed, Step::Done));
    assert!(transition.message.contains(says), "{says:?} in {:?}", transition.message);
    assert_eq!(transition.roll_back, roll_back, "whether it is rolled back");
    assert!(
        transition
            .batches
            .iter()
            .any(|batch| batch.state == State::Failed && batch.message == transition.message),
        "{:?}",
        transition.batches
    );
}
