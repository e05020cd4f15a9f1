//! Which way back is open where: every state of an order with every way, and for
//! each that there is not, why. Pure.

use domain::order::{
    Step,
    plan::{Pace, Strategy},
};

use crate::support::manual;

/// A way back to the version before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The pods still to come cannot start: the order fails, and is rolled back automatically.
    FailedBatch,
    /// AbortAndRollbackChangeOrder of an open order.
    AbortAndRollBack,
    /// RollbackChangeOrder of one that has ended, by AbortChangeOrder if need be.
    RollBackEnded,
    /// RollbackApplication in batches, once the order has ended.
    History,
    /// DeployK8sApplication with the PackageVersionId of before, once the order has ended.
    Version,
    /// StepBackChangeOrder to as few batches as it allows, then AbortAndRollbackChangeOrder.
    StepBackAndRollBack,
    /// As AbortAndRollBack or RollBackEnded; then the rollback is aborted too, and
    /// RollbackApplication follows.
    RollBackTwice,
}

const WAYS: [Way; 7] = [
    Way::FailedBatch,
    Way::AbortAndRollBack,
    Way::RollBackEnded,
    Way::History,
    Way::Version,
    Way::StepBackAndRollBack,
    Way::RollBackTwice,
];

/// How the order that is to be rolled back releases its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Whole,
    /// In up to three batches that a person confirms.
    Confirmed,
    /// In as many, with a time between them.
    Interval,
}

const PLANS: [Plan; 3] = [Plan::Whole, Plan::Confirmed, Plan::Interval];

impl Plan {
    pub fn strategy(self, replicas: i32) -> Strategy {
        let batches = replicas.min(3);
        match self {
            Self::Whole => Strategy::ALL_AT_ONCE,
            Self::Confirmed => manual(batches),
            Self::Interval => {
                Strategy { canary: 0, batches, pace: Pace::Automatic { wait_minutes: 1 } }
            }
        }
    }
}

/// How far the executor has got with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Its change is written down, and not made.
    Before,
    /// It is made, and the executor does not know.
    After,
    /// It is recorded as made, and what the step waits for does not come.
    Known,
}

const MOMENTS: [Moment; 3] = [Moment::Before, Moment::After, Moment::Known];

const STEPS: [Step; 15] = [
    Step::Start,
    Step::Create,
    Step::Resize,
    Step::BringUp,
    Step::ScaleDownOld,
    Step::Paused,
    Step::CloseGate,
    Step::StepBack,
    Step::RestoreOld,
    Step::RemoveNew,
    Step::RollBack,
    Step::RestoreSettings,
    Step::Delete,
    Step::PauseInPlace,
    Step::Done,
];

/// Where the executor stands when somebody goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub plan: Plan,
    /// Whether the order at this step is one that rolls a release back already.
    pub is_rollback: bool,
    pub step: Step,
    /// Whether it is the second batch's step, not the first's.
    pub is_second: bool,
    pub moment: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combination {
    pub replicas: i32,
    pub place: Place,
    pub way: Way,
}

impl Combination {
    /// Two moments that are much the same take turns: each comes with every step,
    /// though not with every way and every number of pods at once.
    fn is_turn(self) -> bool {
        let turn =
            (self.way as usize + usize::try_from(self.replicas).unwrap_or(0)).is_multiple_of(2);
        turn == match self.place.step {
            Step::BringUp => self.place.moment == Moment::Known,
            _ => self.place.moment == Moment::Before,
        }
    }
}

/// Every combination for so many pods, possible or not.
pub fn all(replicas: i32) -> impl Iterator<Item = Combination> {
    PLANS.into_iter().flat_map(move |plan| {
        [false, true].into_iter().flat_map(move |is_rollback| {
            STEPS.into_iter().flat_map(move |step| {
                [false, true].into_iter().flat_map(move |is_second| {
                    MOMENTS.into_iter().flat_map(move |moment| {
                        let place = Place { plan, is_rollback, step, is_second, moment };
                        WAYS.into_iter().map(move |way| Combination { replicas, place, way })
                    })
                })
            })
        })
    })
}

/// Why there is no such combination; none = there is.
pub fn why_not(combination: Combination) -> Option<&'static str> {
    let Combination { replicas, place, way } = combination;
    no_such_plan(place, replicas)
        .or_else(|| no_such_step(place, replicas))
        .or_else(|| no_such_batch(place, replicas))
        .or_else(|| no_such_moment(combination))
        .or_else(|| no_such_way(place, way))
}

fn no_such_plan(place: Place, replicas: i32) -> Option<&'static str> {
    match place.plan {
        Plan::Confirmed | Plan::Interval if replicas == 1 => {
            Some("one pod cannot be released in batches")
        }
        Plan::Interval if (place.step, place.moment) != (Step::Paused, Moment::Known) => {
            Some("all but the waiting is as where a person confirms")
        }
        Plan::Whole | Plan::Confirmed | Plan::Interval => None,
    }
}

fn no_such_step(place: Place, replicas: i32) -> Option<&'static str> {
    let Place { plan, is_rollback, step, .. } = place;
    match step {
        Step::Create => Some("a first version has none before it"),
        Step::Resize => Some("a release does not only scale"),
        Step::Delete => Some("a release deletes nothing"),
        Step::RollBack if !is_rollback => Some("only a rollback returns"),
        Step::BringUp
        | Step::ScaleDownOld
        | Step::Paused
        | Step::CloseGate
        | Step::StepBack
        | Step::RestoreOld
        | Step::RemoveNew
            if is_rollback =>
        {
            Some("a rollback has no batches")
        }
        Step::ScaleDownOld
        | Step::Paused
        | Step::CloseGate
        | Step::StepBack
        | Step::RestoreOld
        | Step::RemoveNew
            if plan == Plan::Whole =>
        {
            Some("nothing follows on a single batch")
        }
        Step::RestoreOld if replicas == 2 => {
            Some("the old pods of the last batch are all there while it can be gone back on")
        }
        Step::Start if plan != Plan::Whole && !is_rollback => {
            Some("no batch has begun: as in a single batch")
        }
        Step::Done if is_rollback => Some("it is back already"),
        Step::Start
        | Step::BringUp
        | Step::ScaleDownOld
        | Step::Paused
        | Step::CloseGate
        | Step::StepBack
        | Step::RestoreOld
        | Step::RemoveNew
        | Step::RollBack
        | Step::RestoreSettings
        | Step::PauseInPlace
        | Step::Done => None,
    }
}

fn no_such_batch(place: Place, replicas: i32) -> Option<&'static str> {
    match (place.step, place.is_second) {
        (Step::BringUp, true) if place.plan == Plan::Whole => Some("a single batch has no second"),
        (Step::BringUp, _) => None,
        (Step::ScaleDownOld | Step::Paused | Step::CloseGate, true) if replicas == 2 => {
            Some("the last batch ends with the order")
        }
        (Step::ScaleDownOld | Step::Paused | Step::CloseGate, false) if replicas > 2 => {
            Some("as in the second batch, from which one can also step back")
        }
        (Step::ScaleDownOld | Step::Paused | Step::CloseGate, _) => None,
        (_, true) => Some("the step is that of no second batch"),
        (_, false) => None,
    }
}

fn no_such_moment(combination: Combination) -> Option<&'static str> {
    let Combination { place, .. } = combination;
    let alternates = (!combination.is_turn())
        .then_some("the moment takes turns with another, by ways and numbers of pods");
    match (place.step, place.moment) {
        (Step::Start | Step::Done, Moment::Before | Moment::After) => {
            Some("the step makes no change")
        }
        (Step::Start | Step::Done | Step::Paused | Step::PauseInPlace, Moment::Known)
        | (Step::BringUp, Moment::Before) => None,
        (_, Moment::Before | Moment::After) | (Step::BringUp, Moment::Known) => alternates,
        (_, Moment::Known) => {
            Some("what the step waits for comes by itself: that is the next step")
        }
    }
}

fn no_such_way(place: Place, way: Way) -> Option<&'static str> {
    match (way, place.step) {
        (Way::History | Way::Version, _) => None,
        (Way::FailedBatch, _) if place.is_rollback => {
            Some("a rollback that fails is not rolled back")
        }
        (Way::AbortAndRollBack | Way::RollBackEnded | Way::StepBackAndRollBack, _)
            if place.is_rollback =>
        {
            Some("a rollback is not rolled back, and its order was already")
        }
        (Way::RollBackTwice, _) if place.is_rollback => {
            Some("as the history after an aborted rollback")
        }
        (
            Way::FailedBatch | Way::AbortAndRollBack | Way::StepBackAndRollBack,
            Step::PauseInPlace | Step::Done,
        ) => Some("the order has ended"),
        (Way::FailedBatch, Step::RestoreSettings) => {
            Some("no pod of the new version is still to come")
        }
        (Way::RollBackEnded | Way::RollBackTwice, Step::Start) => {
            Some("nothing was changed that could be rolled back")
        }
        (
            Way::StepBackAndRollBack,
            Step::BringUp | Step::ScaleDownOld | Step::Paused | Step::CloseGate,
        ) => {
            if place.is_second {
                None
            } else {
                Some("no batch is done that could stay")
            }
        }
        (Way::StepBackAndRollBack, Step::StepBack | Step::RestoreOld | Step::RemoveNew) => {
            Some("it is going back to the first batch already")
        }
        (Way::StepBackAndRollBack, _) => Some("it is not between two batches"),
        (Way::FailedBatch | Way::AbortAndRollBack | Way::RollBackEnded | Way::RollBackTwice, _) => {
            None
        }
    }
}
