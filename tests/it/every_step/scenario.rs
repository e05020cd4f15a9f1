//! What is done to an application: every strategy, and every way back.

use domain::{
    ApplicationId, OrderId,
    order::{
        FailurePolicy, State, Step,
        plan::{Pace, Strategy},
    },
};
use service::{OrderView, RollBackTo, Scale, Start};
use simulated::Behaviour;

use super::life::Life;
use crate::support::{batches, caller, canary, manual};

const NEW: &str = "shop/web:2.0";
/// Its pods run, and never become Ready.
const STUCK: &str = "shop/web:2.0--never-ready";
const BAD: &str = "shop/web:2.0--image-pull-error";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Create,
    AllAtOnce,
    Batches,
    Confirmed,
    Interval,
    Canary,
    Scale,
    StopAndStart,
    Restart,
    Delete,
    FailsAndRollsBack,
    FailsAndStays,
    AbortAtRest,
    AbortInMotion,
    RollBackAtRest,
    RollBackInMotion,
    RollBackAfterTheEnd,
    EarlierVersion,
    StepBack,
    StepBackInMotion,
}

impl Scenario {
    /// Whether the executor may be stopped while it starts.
    pub fn is_seen_from_the_start(self) -> bool {
        self == Self::Create
    }

    pub fn failure_policy(self) -> FailurePolicy {
        FailurePolicy { roll_back: self != Self::FailsAndStays, ..FailurePolicy::default() }
    }

    fn replicas(self) -> i32 {
        match self {
            Self::StepBack | Self::StepBackInMotion | Self::Canary => 3,
            _ => 2,
        }
    }

    /// What there is before the executor may be stopped; none where nothing is.
    pub async fn prepare(self, life: &Life) -> Option<ApplicationId> {
        if self == Self::Create {
            return None;
        }
        let application = life.create(self.replicas()).await;
        if self == Self::EarlierVersion {
            let order = life.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
            life.over(order).await;
        }
        Some(application)
    }

    /// Everything that is done; whoever drives the orders may be stopped and followed.
    pub async fn play(self, life: &Life, application: Option<ApplicationId>) {
        let Some(application) = application else {
            life.create(self.replicas()).await;
            return;
        };
        let (service, caller) = (life.service(), caller());
        match self {
            Self::Create => {}
            Self::AllAtOnce => release(life, application, Strategy::ALL_AT_ONCE).await,
            Self::Batches => release(life, application, batches(2)).await,
            Self::Confirmed => {
                let order = life.deploy(application, NEW, manual(2)).await;
                life.confirm(order, 2).await;
                ends(life, order, State::Succeeded).await;
            }
            Self::Interval => {
                let pace = Pace::Automatic { wait_minutes: 1 };
                let strategy = Strategy { canary: 0, batches: 2, pace };
                let order = life.deploy(application, NEW, strategy).await;
                life.at_rest(order, 2).await;
                life.pass(61, order).await;
                ends(life, order, State::Succeeded).await;
            }
            Self::Canary => {
                let order = life.deploy(application, NEW, canary(1, 2)).await;
                life.confirm(order, 2).await;
                ends(life, order, State::Succeeded).await;
            }
            Self::Scale => {
                for replicas in [3, 1] {
                    // The time at which a pod came is told in whole seconds.
                    life.later(5);
                    let request = Scale { application, replicas, timeout_seconds: None };
                    let order = life.accepted(async || service.scale(&caller, request).await).await;
                    ends(life, order, State::Succeeded).await;
                }
            }
            Self::StopAndStart => {
                let stop = async || service.stop(&caller, application, None).await;
                ends(life, life.accepted(stop).await, State::Succeeded).await;
                let request = Start { application, replicas: None, timeout_seconds: None };
                life.later(5);
                let start = async || service.start(&caller, request).await;
                ends(life, life.accepted(start).await, State::Succeeded).await;
            }
            Self::Restart => {
                let restart = async || service.restart(&caller, application, None).await;
                ends(life, life.accepted(restart).await, State::Succeeded).await;
            }
            Self::Delete => {
                let delete = async || service.delete(&caller, application).await;
                ends(life, life.accepted(delete).await, State::Succeeded).await;
            }
            Self::FailsAndRollsBack => {
                let order = life.deploy(application, BAD, batches(2)).await;
                let failed = ends(life, order, State::Failed).await;
                let back = failed.rolled_back_by.expect("it is rolled back");
                ends(life, back, State::Succeeded).await;
            }
            Self::FailsAndStays => {
                let order = life.deploy(application, BAD, batches(2)).await;
                let failed = ends(life, order, State::Failed).await;
                assert_eq!(failed.rolled_back_by, None);
            }
            Self::AbortAtRest | Self::AbortInMotion => {
                let order = self.begun(life, application).await;
                life.accepted(async || service.abort(&caller, order).await).await;
                ends(life, order, State::Aborted).await;
            }
            Self::RollBackAtRest | Self::RollBackInMotion | Self::RollBackAfterTheEnd => {
                let order = self.begun(life, application).await;
                let back = life.accepted(async || service.roll_back(&caller, order).await).await;
                ends(life, back, State::Succeeded).await;
            }
            Self::EarlierVersion => {
                let version = service.history(application).await.unwrap()[1].version.clone();
                let request = || RollBackTo {
                    application,
                    version: version.clone(),
                    batches: Some(2),
                    wait_minutes: None,
                };
                let again = async || service.roll_back_to(&caller, request()).await;
                ends(life, life.accepted(again).await, State::Succeeded).await;
            }
            Self::StepBack => {
                let order = life.deploy(application, NEW, manual(3)).await;
                life.confirm(order, 2).await;
                life.at_rest(order, 3).await;
                life.accepted(async || service.step_back(&caller, order, Some(1)).await).await;
                life.confirm(order, 2).await;
                life.confirm(order, 3).await;
                ends(life, order, State::Succeeded).await;
            }
            Self::StepBackInMotion => {
                let order = life.deploy(application, NEW, manual(3)).await;
                life.at_rest(order, 2).await;
                life.simulation().set_behaviour(NEW, Behaviour::NeverReady, false);
                life.confirm(order, 2).await;
                moves(life, order, 1).await;
                life.accepted(async || service.step_back(&caller, order, Some(1)).await).await;
                life.at_rest(order, 2).await;
                life.simulation().set_behaviour(NEW, Behaviour::Ready, false);
                life.confirm(order, 2).await;
                life.confirm(order, 3).await;
                ends(life, order, State::Succeeded).await;
            }
        }
    }

    /// A release that stands where it is taken back.
    async fn begun(self, life: &Life, application: ApplicationId) -> OrderId {
        match self {
            Self::AbortAtRest | Self::RollBackAtRest => {
                let order = life.deploy(application, NEW, manual(2)).await;
                life.at_rest(order, 2).await;
                order
            }
            Self::RollBackAfterTheEnd => {
                let order = life.deploy(application, NEW, batches(2)).await;
                ends(life, order, State::Succeeded).await;
                order
            }
            _ => {
                let order = life.deploy(application, STUCK, batches(2)).await;
                moves(life, order, 0).await;
                order
            }
        }
    }
}

async fn release(life: &Life, application: ApplicationId, strategy: Strategy) {
    let order = life.deploy(application, NEW, strategy).await;
    ends(life, order, State::Succeeded).await;
}

async fn ends(life: &Life, order: OrderId, state: State) -> OrderView {
    let view = life.over(order).await;
    assert_eq!(view.state, state, "{}", view.message);
    view
}

/// Waits until a batch (from 0) has brought its pod, which never becomes Ready.
async fn moves(life: &Life, order: OrderId, batch: usize) {
    life.when(order, |view, _| {
        view.step == Step::BringUp
            && view.batches[batch].state == State::Running
            && view.batches[batch].pods.len() == 1
            && view.batches[batch].pods[0].phase == "Running"
    })
    .await;
}
