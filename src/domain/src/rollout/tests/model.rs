//! Every order of events, for small Deployments: Stateright goes through all states that
//! an order, the native controllers, a person, a second executor and a foreign
//! editor can reach together.
//!
//! The executor is played as in [`whole`](super::whole): decide, write down, make the
//! change, record it. It may die after the change and before the record; or be held up
//! with a change while another executor takes over, and send it later. Time stands still:
//! nothing fails here by a deadline.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use stateright::{Checker, Model, Property};

use super::{native::Cluster, *};
use crate::rollout::changed_meanwhile;

/// What may happen beside a release that goes its way, each of it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Others {
    dies: bool,
    stalls: bool,
    aborts: bool,
    rolls_back: bool,
    steps_back: bool,
    edits: Option<Edit>,
}

/// What an editor does to the Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Image,
    Replicas(i32),
}

fn foreign() -> Value {
    template("foreign")
}

#[derive(Clone)]
struct Scene {
    order: Order,
    cluster: Cluster,
    left: Others,
    /// Counts the writes under a new token, and the one that was read before a write that
    /// is held up.
    fence: u32,
    late: Option<(u32, Effect)>,
    /// Whether the next write comes under another token.
    taken_over: bool,
    /// Whether the cluster moved between the decision to bring the earlier version back and
    /// the write of it.
    overtaken: bool,
    /// Whether somebody released a version after the order's own had been written.
    superseded: bool,
}

/// A scene, told apart from others by what matters of it.
#[derive(Clone)]
struct State {
    key: Arc<str>,
    scene: Arc<Scene>,
}

impl From<Scene> for State {
    fn from(scene: Scene) -> Self {
        let order = &scene.order;
        let batches: Vec<_> =
            order.batches.iter().map(|batch| (batch.state, batch.target)).collect();
        let late = scene.late.as_ref().map(|(fence, effect)| (*fence == scene.fence, effect));
        let key = format!(
            "{} {:?} {:?} {:?} {} {} {:?} {:?} {:?} {} {} {batches:?} {:?} {late:?} {} {:?}",
            scene.cluster.key(),
            order.kind,
            order.state,
            order.step,
            order.batch,
            order.confirmed,
            order.back_to,
            order.intent.as_ref().map(|intent| (&intent.effect, intent.applied.is_some())),
            order.snapshot.as_ref().map(|before| &before.template),
            order.template.is_some(),
            order.finalizing,
            scene.left,
            scene.taken_over,
            (scene.overtaken, scene.superseded, scene.cluster.written_by.is_some())
        );
        Self { key: key.into(), scene: Arc::new(scene) }
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    LookAtDeployment,
    LookAtSet(usize),
    StartAPod,
    Decide,
    MakeAndRecord,
    MakeAndDie,
    BeHeldUp,
    Arrive,
    Confirm,
    Abort,
    RollBack,
    StepBack,
    Edit,
}

struct Release {
    replicas: i32,
    strategy: Strategy,
    others: Others,
}

/// The user's settings: pods count as soon as they are Ready, as no time passes.
fn user() -> BorrowedSettings {
    BorrowedSettings { min_ready_seconds: 0, ..own() }
}

impl Model for Release {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let order = accepted(Kind::Deploy, self.strategy, self.replicas);
        let cluster = Cluster::at_rest(at(0), template("old"), self.replicas, user());
        let left = self.others;
        let (late, fence) = (None, 0);
        let (taken_over, overtaken, superseded) = (false, false, false);
        vec![Scene { order, cluster, left, fence, late, taken_over, overtaken, superseded }.into()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let (order, left) = (&state.scene.order, &state.scene.left);
        actions.push(Action::LookAtDeployment);
        actions.extend((0..state.scene.cluster.sets.len()).map(Action::LookAtSet));
        if state.scene.cluster.starting() > 0 {
            actions.push(Action::StartAPod);
        }
        if order.has_change_to_make() {
            actions.push(Action::MakeAndRecord);
            actions.extend(left.dies.then_some(Action::MakeAndDie));
            actions.extend(left.stalls.then_some(Action::BeHeldUp));
        } else {
            actions.push(Action::Decide);
        }
        actions.extend(state.scene.late.is_some().then_some(Action::Arrive));
        if order.state == super::State::WaitingConfirmation && order.confirmed <= order.batch + 1 {
            actions.push(Action::Confirm);
        }
        let is_open = order.kind == Kind::Deploy && !order.state.is_final();
        actions.extend((is_open && left.aborts).then_some(Action::Abort));
        actions.extend((is_open && left.rolls_back).then_some(Action::RollBack));
        let steps_back = left.steps_back && order.can_step_back() && order.batch > 0;
        actions.extend(steps_back.then_some(Action::StepBack));
        actions.extend(left.edits.filter(|_| is_open).map(|_| Action::Edit));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut scene = Scene::clone(&state.scene);
        scene.go(action);
        let next = State::from(scene);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "a batch never has more new pods than planned",
                |model: &Self, state: &State| {
                    let order = &state.scene.order;
                    let goes_back =
                        matches!(order.step, Step::StepBack | Step::RestoreOld | Step::RemoveNew)
                            || order.back_to.is_some();
                    model.is_disturbed()
                        || order.kind != Kind::Deploy
                        || order.state.is_final()
                        || goes_back
                        || state.scene.cluster.pods_of(&template("new"))
                            <= order.batches[order.batch].target
                },
            ),
            // Where old pods go after it was decided to bring them back, their ReplicaSet may
            // still count them when that is written: no write can ask for more.
            Property::always("no Ready pod goes missing", |model: &Self, state: &State| {
                model.is_disturbed()
                    || state.scene.overtaken
                    || state.scene.cluster.ready() >= model.replicas
            }),
            Property::always(
                "nothing comes to a halt before the end",
                |model: &Self, state: &State| {
                    !model.next_steps(state).is_empty() || state.scene.is_at_its_end()
                },
            ),
            Property::always(
                "the user's settings are back at the end",
                |_: &Self, state: &State| {
                    let (order, cluster) = (&state.scene.order, &state.scene.cluster);
                    let is_over = order.step == Step::Done && !order.has_change_to_make();
                    !is_over
                        || (order.state != super::State::Succeeded && !state.scene.superseded)
                        || (cluster.settings == user() && cluster.borrowed.is_none())
                },
            ),
            Property::always(
                "what somebody else releases meanwhile stays, and only that ends a release",
                |_: &Self, state: &State| {
                    let Scene { order, cluster, superseded, .. } = &*state.scene;
                    let is_foreign = cluster.template == foreign();
                    (cluster.written_by.is_none() || is_foreign == *superseded)
                        && match order.state {
                            super::State::Failed => *superseded,
                            super::State::Succeeded => !superseded,
                            _ => true,
                        }
                },
            ),
            Property::always(
                "what somebody else released before an order's first write is the version before",
                |model: &Self, state: &State| {
                    let Scene { order, left, superseded, .. } = &*state.scene;
                    let is_before = model.others.edits == Some(Edit::Image)
                        && left.edits.is_none()
                        && !superseded;
                    !is_before
                        || order.template.is_none()
                        || order.snapshot.as_ref().unwrap().template == foreign()
                },
            ),
            Property::always(
                "a release that is done has all its pods",
                |_: &Self, state: &State| {
                    let Scene { order, cluster, .. } = &*state.scene;
                    let is_released =
                        order.kind == Kind::Deploy && order.state == super::State::Succeeded;
                    !is_released || cluster.pods_of(&template("new")) == cluster.replicas
                },
            ),
        ]
    }
}

impl Release {
    /// Whether somebody else's hands decide how many pods there are.
    fn is_disturbed(&self) -> bool {
        self.others.edits.is_some()
    }

    /// What follows when nobody does anything any more.
    fn next_steps(&self, state: &State) -> Vec<State> {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        let is_chosen = |action: &Action| {
            matches!(
                action,
                Action::MakeAndDie
                    | Action::BeHeldUp
                    | Action::Abort
                    | Action::RollBack
                    | Action::StepBack
                    | Action::Edit
            )
        };
        let natural = actions.into_iter().filter(|action| !is_chosen(action));
        natural.filter_map(|action| self.next_state(state, action)).collect()
    }
}

impl Scene {
    fn is_at_its_end(&self) -> bool {
        // What is paused is inert: a person puts it back, or ends the order.
        let is_left_to_a_person = self.order.rests()
            && self.cluster.settings.paused
            && self.cluster.template == foreign();
        let is_done = self.order.step == Step::Done && !self.order.has_change_to_make();
        (is_done || is_left_to_a_person) && self.late.is_none()
    }

    fn go(&mut self, action: Action) {
        let moves = !matches!(action, Action::MakeAndRecord | Action::MakeAndDie);
        self.overtaken |=
            moves && self.order.step == Step::RollBack && self.order.has_change_to_make();
        match action {
            Action::LookAtDeployment => self.cluster.look_at_deployment(),
            Action::LookAtSet(set) => self.cluster.look_at_set(set),
            Action::StartAPod => self.cluster.start_a_pod(0),
            Action::Decide => {
                if let Decision::Transition(transition) =
                    ask(&self.order, self.cluster.view(), self.cluster.now)
                {
                    self.write(&transition);
                }
            }
            Action::MakeAndRecord if !self.is_expected() => {
                let view = self.cluster.view();
                let decision = changed_meanwhile(&self.order, &view, self.cluster.now);
                if let Decision::Transition(transition) = decision {
                    self.write(&transition);
                }
            }
            Action::MakeAndRecord => {
                let applied = self.make();
                let order = &mut self.order;
                let intent = order.intent.as_mut().unwrap();
                intent.applied = Some(applied);
                if intent.effect.sets_template() {
                    order.template = Some(self.cluster.template.clone());
                }
                order.finalizing &= order.step != Step::Done;
            }
            Action::MakeAndDie => {
                self.left.dies = false;
                if self.is_expected() {
                    self.make();
                }
                self.taken_over = true;
            }
            Action::BeHeldUp => {
                self.left.stalls = false;
                let effect = self.order.intent.as_ref().unwrap().effect.clone();
                self.late = Some((self.fence, effect));
                self.taken_over = true;
            }
            Action::Arrive => {
                // The patch tests the token that it was made for.
                if let Some((fence, effect)) = self.late.take()
                    && fence == self.fence
                {
                    self.cluster.make(&effect);
                }
            }
            Action::Confirm => self.order.confirmed = self.order.batch + 2,
            Action::Abort => {
                self.left.aborts = false;
                self.leave();
                let order = &mut self.order;
                (order.state, order.finalizing) = (super::State::Aborted, order.rests_on_abort());
                if !order.finalizing {
                    order.step = Step::Done;
                }
            }
            Action::RollBack => {
                self.left.rolls_back = false;
                self.leave();
                let snapshot = self.order.snapshot.clone();
                self.order =
                    Order { snapshot, template: None, intent: None, ..way_back(Step::Start) };
            }
            Action::StepBack => {
                self.left.steps_back = false;
                (self.order.back_to, self.order.confirmed) = (Some(1), 1);
            }
            Action::Edit => match self.left.edits.take().unwrap() {
                Edit::Image => {
                    self.superseded = self.cluster.written_by.is_some();
                    self.cluster.edit(|it| it.template = foreign());
                }
                Edit::Replicas(replicas) => self.cluster.edit(|it| it.replicas = replicas),
            },
        }
    }

    /// Whether the Deployment is what the order's change was decided for.
    fn is_expected(&self) -> bool {
        match &self.order.intent.as_ref().unwrap().effect {
            Effect::Deployment(Change::Patch(patch)) => {
                let Cluster { settings, template, .. } = &self.cluster;
                patch.is_expected("uid", settings, template)
            }
            Effect::Deployment(_) | Effect::ReplicaSet(_) => true,
        }
    }

    /// Makes the change of the order, under another token where somebody took over.
    fn make(&mut self) -> Applied {
        if self.taken_over {
            (self.fence, self.taken_over) = (self.fence + 1, false);
        }
        let effect = self.order.intent.as_ref().unwrap().effect.clone();
        self.cluster.written_by = Some(self.order.id);
        self.cluster.make(&effect)
    }

    /// The order ends by a person's hand: what it was about to write may still arrive.
    fn leave(&mut self) {
        if self.order.has_change_to_make() && self.late.is_none() {
            let effect = self.order.intent.as_ref().unwrap().effect.clone();
            self.late = Some((self.fence, effect));
        }
        self.taken_over = true;
    }

    /// Writes a transition down, as the store does.
    fn write(&mut self, transition: &Transition) {
        let order = &mut self.order;
        assert!(
            !order.state.is_final() || order.state == transition.state,
            "a final state was left: {order:#?}"
        );
        (order.state, order.step, order.batch) =
            (transition.state, transition.step, transition.batch);
        order.finalizing =
            transition.state.is_final() && (transition.effect.is_some() || transition.finalizes);
        if transition.completes_step_back {
            order.back_to = None;
        }
        if let Some(snapshot) = &transition.snapshot {
            order.snapshot = Some(snapshot.clone());
        }
        if let Some(effect) = &transition.effect {
            order.intent = Some(Intent { effect: effect.clone(), applied: None });
        }
        for moved in &transition.batches {
            let batch = &mut order.batches[moved.index];
            batch.state = moved.state;
            batch.target = moved.target.unwrap_or(batch.target);
        }
    }
}

/// Goes through all states; says how many there are.
fn explore(name: &str, replicas: i32, strategy: Strategy, others: Others) {
    let checker = Release { replicas, strategy, others }.checker().threads(2).spawn_bfs().join();
    println!("{name}: {} states", checker.unique_state_count());
    assert!(checker.is_done(), "{name}");
    let found: Vec<String> = checker
        .discoveries()
        .into_iter()
        .map(|(property, path)| {
            let actions = path.into_actions();
            format!("{name}: not so: {property}: after {actions:?}")
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn canary(canary: i32) -> Strategy {
    Strategy { canary, batches: 1, pace: AUTOMATIC }
}

#[test]
fn a_release_keeps_its_plan_whenever_an_executor_dies_or_is_held_up() {
    let others = Others { dies: true, stalls: true, ..Others::default() };
    explore("2 pods, 2 batches", 2, in_batches(2, AUTOMATIC), others);
    explore("2 pods, 2 batches, each confirmed", 2, in_batches(2, Pace::Manual), others);
    explore("2 pods, all at once", 2, in_batches(1, AUTOMATIC), others);
    explore("3 pods, a canary", 3, canary(1), Others { dies: true, ..Others::default() });
}

#[test]
fn a_release_that_is_aborted_rests_whatever_is_under_way() {
    let others = Others { aborts: true, stalls: true, ..Others::default() };
    explore("2 pods, 2 batches", 2, in_batches(2, AUTOMATIC), others);
    explore("2 pods, 2 batches, each confirmed", 2, in_batches(2, Pace::Manual), others);
}

#[test]
fn a_release_goes_back_whatever_is_under_way() {
    let others = Others { rolls_back: true, stalls: true, ..Others::default() };
    explore("2 pods, 2 batches", 2, in_batches(2, AUTOMATIC), others);
    explore("2 pods, 2 batches, each confirmed", 2, in_batches(2, Pace::Manual), others);
    let others = Others { steps_back: true, dies: true, ..Others::default() };
    explore("2 pods, back by one batch", 2, in_batches(2, Pace::Manual), others);
}

#[test]
fn a_version_of_somebody_else_stays_whenever_it_comes() {
    let others = Others { edits: Some(Edit::Image), ..Others::default() };
    explore("2 pods, 2 batches, each confirmed", 2, in_batches(2, Pace::Manual), others);
    explore("2 pods, all at once", 2, in_batches(1, AUTOMATIC), others);
    explore("1 pod, all at once", 1, in_batches(1, AUTOMATIC), Others { dies: true, ..others });
}

#[test]
fn a_release_reaches_its_end_whenever_somebody_scales_the_deployment() {
    let others = Others { edits: Some(Edit::Replicas(3)), ..Others::default() };
    explore("2 pods, all at once, then 3", 2, in_batches(1, AUTOMATIC), others);
}
