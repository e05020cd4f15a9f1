//! Whole orders on the model of the native controllers: everything happens at
//! random moments, and what must hold is looked at after each of them.
//!
//! The executor is played as it works: decide, write down, make the change,
//! record it; it may die between any two of these, make a change twice, and an
//! order may be aborted or rolled back at any moment.

use jiff::SignedDuration;
use proptest::{
    prelude::{Just, ProptestConfig, Strategy as Generator},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
    test_runner::TestCaseError,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{native::Cluster, *};
use crate::order::plan::BatchGate;

/// Far more events than any order here needs.
const MOST_EVENTS: usize = 100_000;

/// A release on a Deployment, and what was written so far.
#[derive(Debug)]
struct Play {
    order: Order,
    cluster: Cluster,
    chance: StdRng,
    /// Changes that the order decided.
    changes: usize,
    /// Moves that it made.
    moves: usize,
    /// A write of an order that ended, still on its way to the API server.
    late: Option<Effect>,
    /// Never fewer Ready pods than this.
    least_ready: i32,
    /// Never more pods than this.
    most_pods: i32,
    /// Whether a person lets a resting order go on.
    goes_on: bool,
}

impl Play {
    fn new(strategy: Strategy, replicas: i32, settings: BorrowedSettings, seed: u64) -> Self {
        let mut order = accepted(Kind::Deploy, strategy, replicas);
        order.target.batch_timeout_seconds = 1_000_000;
        let cluster = Cluster::at_rest(at(0), template("old"), replicas, settings);
        Self {
            order,
            cluster,
            chance: StdRng::seed_from_u64(seed),
            changes: 0,
            moves: 0,
            late: None,
            least_ready: replicas,
            most_pods: i32::MAX,
            goes_on: true,
        }
    }

    /// One event, and a look at what must hold.
    fn go(&mut self) -> Result<(), TestCaseError> {
        match self.chance.random_range(0..8) {
            0 => {
                // What late status makes of a native rolling update is not ours: only
                // our own batches must stand it.
                if self.order.kind != Kind::Deploy
                    || self.order.strategy.count() == 1
                    || self.order.state == State::Aborted
                {
                    (0..self.cluster.sets.len()).for_each(|set| self.cluster.catch_up(set));
                }
                self.cluster.look_at_deployment();
            }
            1 | 2 => self.cluster.look_at_set(self.chance.random_range(0..1000)),
            3 | 4 => self.cluster.start_a_pod(self.chance.random_range(0..1000)),
            5 => self.cluster.now += SignedDuration::from_secs(self.chance.random_range(0..4)),
            6 => self.land_late(),
            _ => self.execute(),
        }
        self.check()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(
            self.cluster.ready() >= self.least_ready,
            "{} of {} Ready: {self:#?}",
            self.cluster.ready(),
            self.least_ready
        );
        prop_assert!(
            self.cluster.total() <= self.most_pods,
            "{} of {} pods: {self:#?}",
            self.cluster.total(),
            self.most_pods
        );
        let (order, cluster) = (&self.order, &self.cluster);
        if let (Kind::Deploy, TemplateSource::Exact(template)) = (order.kind, &order.target.source)
        {
            let target = order.batches[order.batch].target;
            let new = cluster.pods_of(template);
            // Those of a batch that is gone back on go last.
            let goes_back =
                matches!(order.step, Step::StepBack | Step::RestoreOld | Step::RemoveNew);
            prop_assert!(
                new <= target || goes_back,
                "{new} new pods in a batch up to {target}: {self:#?}"
            );
        }
        Ok(())
    }

    /// What an executor does in one round; it may die at any point of it.
    fn execute(&mut self) {
        if self.order.has_change_to_make() {
            if self.chance.random_ratio(1, 4) {
                return;
            }
            let intent = self.order.intent.as_ref().unwrap();
            let mut applied = self.cluster.make(&intent.effect);
            if self.chance.random_ratio(1, 4) {
                applied = self.cluster.make(&intent.effect);
            }
            // Nobody undoes what a newer fence wrote.
            self.late = None;
            if self.chance.random_ratio(3, 4) {
                self.order.intent.as_mut().unwrap().applied = Some(applied);
                self.order.template.get_or_insert_with(|| self.cluster.template.clone());
                self.order.finalizing &= self.order.step != Step::Done;
            }
            return;
        }
        match ask(&self.order, self.cluster.view(), self.cluster.now) {
            // It died before it wrote down what it decided.
            Decision::Transition(_) if self.chance.random_ratio(1, 4) => {}
            Decision::Transition(transition) => {
                self.write(&transition);
            }
            Decision::Wait { until, rest: true }
                if self.order.step == Step::Paused && self.goes_on =>
            {
                match until {
                    Some(until) => self.cluster.now = until,
                    None => self.order.confirmed = self.order.batch + 2,
                }
            }
            Decision::Wait { .. } => {}
        }
    }

    /// Writes a move down, as the store does.
    fn write(&mut self, transition: &Transition) {
        let (order, now) = (&mut self.order, self.cluster.now);
        assert!(
            !order.state.is_final() || order.state == transition.state,
            "a final state was left: {order:#?}"
        );
        (order.state, order.step, order.batch, order.step_since) =
            (transition.state, transition.step, transition.batch, now);
        order.finalizing =
            transition.state.is_final() && (transition.effect.is_some() || transition.finalizes);
        if transition.completes_step_back {
            order.back_to = None;
        }
        if let Some(snapshot) = &transition.snapshot {
            order.snapshot = Some(snapshot.clone());
        }
        if let Some(hands) = &transition.hands {
            order.hands = hands.clone();
        }
        order.goes_on &= !transition.clears_go_on;
        if let Some(effect) = &transition.effect {
            order.intent = Some(Intent { effect: effect.clone(), applied: None });
            self.changes += 1;
        }
        for moved in &transition.batches {
            let batch = &mut order.batches[moved.index];
            batch.state = moved.state;
            batch.target = moved.target.unwrap_or(batch.target);
            match moved.state {
                State::Running => drop(batch.started_at.get_or_insert(now)),
                State::Ready => batch.started_at = None,
                _ => {}
            }
        }
        self.moves += 1;
    }

    /// What was on its way when its order ended may still arrive, until a newer
    /// fence was written.
    fn land_late(&mut self) {
        if let Some(effect) = self.late.take() {
            self.cluster.make(&effect);
        }
    }

    /// Ends the order where it is, as a person does.
    fn abort(&mut self, finalizes: bool) {
        if self.order.has_change_to_make() {
            self.late = self.order.intent.as_ref().map(|intent| intent.effect.clone());
        }
        self.order.finalizing = finalizes && self.order.rests_on_abort();
        self.order.state = State::Aborted;
        if !self.order.finalizing {
            self.order.step = Step::Done;
        }
    }

    /// Requests that so many batches stay, if that is possible now.
    fn step_back(&mut self, stay: usize) -> bool {
        let possible = self.order.can_step_back() && (1..=self.order.batch).contains(&stay);
        if possible {
            (self.order.back_to, self.order.confirmed) = (Some(stay), stay);
        }
        possible
    }

    /// Puts another order in the place of one that ended.
    fn follow(&mut self, next: Order) {
        (self.order, self.changes, self.moves) = (next, 0, 0);
        self.order.target.batch_timeout_seconds = 1_000_000;
        self.order.created_at = self.cluster.now;
        self.order.step_since = self.cluster.now;
    }

    /// Goes on until the order is over and the controllers are at rest.
    fn go_to_the_end(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..MOST_EVENTS {
            if self.order.step == Step::Done
                && !self.order.has_change_to_make()
                && self.cluster.is_settled()
            {
                return Ok(());
            }
            self.go()?;
        }
        Err(TestCaseError::fail(format!("no end after {MOST_EVENTS} events: {self:#?}")))
    }

    /// One event, with nobody there to let the order go on.
    fn go_but_stay(&mut self) -> Result<(), TestCaseError> {
        self.goes_on = false;
        let gone = self.go();
        self.goes_on = true;
        gone
    }

    /// Goes on for `events` events, or until the order is over.
    fn go_for(&mut self, events: usize) -> Result<(), TestCaseError> {
        for _ in 0..events {
            if self.order.state.is_final() {
                return Ok(());
            }
            self.go()?;
        }
        Ok(())
    }
}

/// Writes of a release that nobody disturbs: one a batch and one at the end, and
/// three for each wait (the old pods go, rest, the gate closes again).
fn writes(strategy: Strategy) -> usize {
    let waits = (0..strategy.count())
        .filter(|index| strategy.batch_gate_after(*index) != BatchGate::None)
        .count();
    strategy.count() + 1 + 3 * waits
}

fn paces() -> impl Generator<Value = Pace> {
    prop_oneof![Just(AUTOMATIC), Just(Pace::Manual), Just(Pace::Automatic { wait_minutes: 1 })]
}

/// The user's own settings; all let pods come before others go.
fn settings() -> impl Generator<Value = BorrowedSettings> {
    let strategies = prop_oneof![
        Just(rolling("25%", "25%")),
        Just(rolling(1, 0)),
        Just(rolling("100%", 0)),
        Just(rolling(2, 1))
    ];
    (strategies, 0..8).prop_map(|(strategy, min_ready_seconds)| BorrowedSettings {
        strategy,
        min_ready_seconds,
        ..own()
    })
}

/// A number of pods and a strategy that fits it.
fn releases() -> impl Generator<Value = (i32, Strategy)> {
    (1..=50i32, 0..=25i32, 1..=7i32, paces())
        .prop_map(|(replicas, canary, batches, pace)| {
            let canary = canary.min(replicas / 2);
            (replicas, Strategy { canary, batches: batches.min(replicas - canary), pace })
        })
        .prop_filter("fits", |(replicas, strategy)| strategy.fits(*replicas).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_release_reaches_its_end_and_gives_the_settings_back((replicas, strategy) in releases(), user in settings(), seed: u64) {
        let mut play = Play::new(strategy, replicas, user.clone(), seed);
        play.go_to_the_end()?;
        let (order, cluster) = (&play.order, &play.cluster);
        prop_assert_eq!(order.state, State::Succeeded);
        prop_assert!(order.batches.iter().all(|batch| batch.state == State::Succeeded), "{:#?}", order.batches);
        prop_assert_eq!((cluster.pods_of(&template("new")), cluster.pods_of(&template("old"))), (replicas, 0));
        prop_assert_eq!((&cluster.settings, &cluster.borrowed), (&user, &None));
        prop_assert_eq!(play.changes, writes(strategy));
        prop_assert_eq!(play.moves, writes(strategy) + 1, "each move makes one change, but for the end");
    }

    #[test]
    fn a_release_that_is_taken_back_leaves_all_as_it_was(
        (replicas, strategy) in releases(), user in settings(), seed: u64, events in 0..3000usize,
    ) {
        let mut play = Play::new(strategy, replicas, user.clone(), seed);
        play.go_for(events)?;
        if !play.order.state.is_final() {
            play.abort(false);
            let mut back = accepted(Kind::Rollback, Strategy::ALL_AT_ONCE, replicas);
            back.rolls_back = Some(play.order.id);
            back.snapshot = play.order.snapshot.clone();
            back.target.release = None;
            let known = back.snapshot.as_ref().map(|snapshot| snapshot.template.clone());
            back.target.source = TemplateSource::Exact(known.unwrap_or_default());
            let changes = if back.snapshot.is_some() { 2 } else { 0 };
            play.follow(back);
            play.go_to_the_end()?;
            let cluster = &play.cluster;
            prop_assert_eq!(play.order.state, State::Succeeded);
            prop_assert_eq!(play.changes, changes, "one to bring it back, one to give the settings back");
            prop_assert_eq!((&cluster.settings, &cluster.borrowed, &cluster.template), (&user, &None, &template("old")));
            prop_assert_eq!((cluster.pods_of(&template("old")), cluster.pods_of(&template("new"))), (replicas, 0));
        }
    }

    #[test]
    fn a_release_without_room_for_a_surge_never_has_more_pods_than_wanted_and_misses_one_batch_at_the_most(
        (replicas, strategy) in releases(), user in settings(), seed: u64, events in 0..3000usize, returns: bool,
    ) {
        let mut play = Play::new(strategy, replicas, user.clone(), seed);
        let missing = strategy.max_unavailable(replicas);
        play.order.target.max_unavailable = missing;
        (play.least_ready, play.most_pods) = (replicas - missing, replicas);
        let snapshot = if returns {
            play.go_for(events)?;
            play.order.snapshot.clone().filter(|_| !play.order.state.is_final())
        } else {
            None
        };
        let expected = if let Some(snapshot) = snapshot {
            play.abort(false);
            let mut back = accepted(Kind::Rollback, Strategy::ALL_AT_ONCE, replicas);
            back.rolls_back = Some(play.order.id);
            back.target.release = None;
            back.target.max_unavailable = missing;
            back.target.source = TemplateSource::Exact(snapshot.template.clone());
            back.snapshot = Some(snapshot);
            play.follow(back);
            template("old")
        } else {
            template("new")
        };
        play.go_to_the_end()?;
        let cluster = &play.cluster;
        prop_assert_eq!(play.order.state, State::Succeeded);
        prop_assert_eq!((cluster.pods_of(&expected), cluster.total()), (replicas, replicas));
        prop_assert_eq!((&cluster.settings, &cluster.borrowed), (&user, &None));
    }

    #[test]
    fn an_aborted_release_stays_where_it_is_and_the_next_one_goes_on_from_there(
        (replicas, strategy) in releases(), user in settings(), seed: u64, events in 0..3000usize,
    ) {
        let mut play = Play::new(strategy, replicas, user.clone(), seed);
        play.go_for(events)?;
        if !play.order.state.is_final() {
            play.abort(true);
            let resting = play.order.finalizing.then(|| play.order.snapshot.clone()).flatten();
            while play.order.step != Step::Done || play.order.has_change_to_make() {
                play.go()?;
            }
            prop_assert_eq!(play.order.state, State::Aborted);
            let rests_at = |play: &Play| (play.cluster.pods_of(&template("old")), play.cluster.pods_of(&template("new")));
            if resting.is_some() {
                while !play.cluster.is_settled() {
                    play.go()?;
                }
                let before = rests_at(&play);
                for _ in 0..50 {
                    play.go()?;
                }
                prop_assert_eq!(rests_at(&play), before, "it moves although it rests");
            }
            let mut next = accepted(Kind::Deploy, strategy, replicas);
            next.snapshot = resting;
            next.target.source = TemplateSource::Exact(template("next"));
            play.follow(next);
            play.go_to_the_end()?;
            let cluster = &play.cluster;
            prop_assert_eq!(play.order.state, State::Succeeded);
            prop_assert_eq!(cluster.pods_of(&template("next")), replicas);
            prop_assert_eq!(rests_at(&play), (0, 0));
            prop_assert_eq!((&cluster.settings, &cluster.borrowed), (&user, &None));
        }
    }

    #[test]
    fn another_number_of_pods_is_reached_from_wherever_a_release_rests_and_nothing_else_changes(
        (replicas, strategy) in releases(), user in settings(), seed: u64, events in 0..3000usize, goal in 1..60i32, goes_back: bool,
    ) {
        let mut play = Play::new(strategy, replicas, user, seed);
        play.go_for(events)?;
        let rests = !play.order.state.is_final();
        if rests {
            play.abort(true);
        }
        while play.order.step != Step::Done || play.order.has_change_to_make() || !play.cluster.is_settled() {
            play.go()?;
        }
        let before = (play.cluster.settings.clone(), play.cluster.borrowed.clone(), play.cluster.template.clone());
        let mut order = accepted(Kind::Scale, Strategy::ALL_AT_ONCE, replicas);
        order.target.release = None;
        order.target.source = TemplateSource::Unchanged;
        order.target.replicas = Some(goal);
        play.least_ready = replicas.min(goal);
        play.follow(order.clone());
        let mut wanted = goal;
        if goes_back {
            play.go_for(events / 10)?;
        }
        if goes_back && !play.order.state.is_final() {
            let snapshot = play.order.snapshot.clone();
            play.abort(true);
            prop_assert!(!play.order.finalizing, "it is at rest all the time");
            let back = snapshot.as_ref().map(|snapshot| snapshot.replicas);
            // What it was about to write may still land, until the way back wrote.
            wanted = back.unwrap_or(replicas);
            let rolls_back = Some(order.id);
            let target = Target { replicas: back, ..order.target };
            play.follow(Order { kind: Kind::Rollback, rolls_back, snapshot, target, ..accepted(Kind::Rollback, Strategy::ALL_AT_ONCE, replicas) });
        }
        play.go_to_the_end()?;
        let cluster = &play.cluster;
        prop_assert_eq!((play.order.state, cluster.replicas), (State::Succeeded, wanted));
        prop_assert!(play.changes <= 1, "one write");
        prop_assert_eq!((&cluster.settings, &cluster.borrowed, &cluster.template), (&before.0, &before.1, &before.2));
        prop_assert!(cluster.ready() >= wanted && (rests || cluster.total() == wanted), "{:#?}", play);
    }

    #[test]
    fn a_release_that_steps_back_rests_where_it_was_told_and_goes_on_to_its_end(
        (replicas, strategy) in releases(), user in settings(), seed: u64, events in 0..3000usize, stay in 1..6usize,
    ) {
        let mut play = Play::new(strategy, replicas, user.clone(), seed);
        play.go_for(events)?;
        if play.step_back(stay) {
            for _ in 0..MOST_EVENTS {
                if play.order.back_to.is_none() && play.order.step == Step::Paused && !play.order.has_change_to_make() && play.cluster.is_settled() {
                    break;
                }
                play.go_but_stay()?;
            }
            let (order, cluster) = (&play.order, &play.cluster);
            let planned = strategy.cumulative(stay - 1, replicas);
            prop_assert_eq!((order.step, order.state, order.batch), (Step::Paused, State::WaitingConfirmation, stay - 1), "{:#?}", play);
            prop_assert_eq!((cluster.pods_of(&template("new")), cluster.pods_of(&template("old"))), (planned, replicas - planned));
            let begun: Vec<bool> = order.batches.iter().map(|batch| batch.started_at.is_some()).collect();
            prop_assert!(begun.iter().enumerate().all(|(index, begun)| *begun == (index < stay)), "{:?}", begun);
            let waits = order.batches.iter().filter(|batch| batch.state == State::WaitingConfirmation).count();
            prop_assert!(waits == 1 && order.batches[stay].state == State::WaitingConfirmation, "{:#?}", order.batches);
            play.go_to_the_end()?;
            let cluster = &play.cluster;
            prop_assert_eq!(play.order.state, State::Succeeded);
            prop_assert_eq!((cluster.pods_of(&template("new")), cluster.pods_of(&template("old"))), (replicas, 0));
            prop_assert_eq!((&cluster.settings, &cluster.borrowed), (&user, &None));
        }
    }
}
