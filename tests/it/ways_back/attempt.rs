//! One combination: an order of an application stopped at a place, a way back, and
//! what must hold at its end.

use domain::{
    OrderId,
    order::{Order, State, Step, plan::Strategy},
};
use kube::api::{DeleteParams, ResourceExt};
use serde_json::Value;
use service::{Error, OrderView, ReleaseView, RollBackTo};
use simulated::Behaviour;

use super::{
    application::{Application, OLD, deployment, has_pods, replica_sets},
    combination::{Combination, Moment, Plan, Way},
};
use crate::support::{
    App, at_leisure, caller,
    held::{Held, Unanswered, Write, Writes},
    release,
};

/// Seconds after which a batch has failed whose pods do not become Ready.
const BATCH_TIMEOUT: i64 = 15;

pub struct Attempt {
    pub combination: Combination,
    application: Application,
    /// The image of the new version, which no other order has.
    new: String,
    before: Before,
    /// None = the executor's writes are no longer held.
    writes: Option<Writes>,
    /// The release that is rolled back.
    order: Option<OrderId>,
    /// The order that rolls it back already, where that one is stopped.
    rollback: Option<OrderId>,
    held: Stopped,
    /// A write of an order that another took over from: it arrives when all is over.
    late: Option<Write>,
    last: Option<Last>,
}

/// The application before the order.
struct Before {
    deployment: Value,
    replica_set: String,
    version: ReleaseView,
}

/// What holds the executor up.
enum Stopped {
    /// Nothing of this test.
    Not,
    Request(Write),
    Answer(Unanswered),
}

/// The order at the end of the way.
enum Last {
    This(OrderId),
    /// The one that opens when this one fails.
    Undoing(OrderId),
}

impl Attempt {
    /// Notes how the application is before anything happens.
    pub async fn begin(
        app: &App,
        held: &Held,
        mut application: Application,
        combination: Combination,
    ) -> Self {
        let name = &application.name;
        application.versions += 1;
        let before = Before {
            deployment: deployment(app, name).await,
            replica_set: has_pods(&replica_sets(app, name).await),
            version: application.version(app).await,
        };
        Self {
            combination,
            new: format!("shop/{name}:{}.0", application.versions),
            before,
            writes: Some(held.hold(name)),
            application,
            order: None,
            rollback: None,
            held: Stopped::Not,
            late: None,
            last: None,
        }
    }

    /// Brings about what must be there before the order begins that is to be stopped.
    pub async fn approach(&mut self, app: &App) {
        if !self.combination.place.is_rollback {
            return;
        }
        let order = self.deploy(app).await;
        if self.combination.place.plan == Plan::Whole {
            let write = self.reach(app, order, Step::BringUp, Some(0)).await;
            self.surge(app, order, 0, write).await;
        } else {
            let last = usize::from(self.combination.replicas > 2);
            self.reach(app, order, Step::Paused, Some(last)).await.make();
            recorded(app, order).await;
        }
    }

    /// Brings the order to the place, and stops it there.
    pub async fn arrive(&mut self, app: &App) {
        let place = self.combination.place;
        let order = match self.order {
            None => self.deploy(app).await,
            Some(order) => {
                *self.rollback.insert(app.service.roll_back(&caller(), order).await.unwrap())
            }
        };
        if place.step == Step::Start {
            return;
        }
        let batch = matches!(
            place.step,
            Step::BringUp | Step::ScaleDownOld | Step::Paused | Step::CloseGate
        )
        .then_some(usize::from(place.is_second));
        match place.step {
            Step::StepBack | Step::RestoreOld | Step::RemoveNew => {
                self.begin_back(app, order).await
            }
            Step::PauseInPlace => {
                let first = if place.is_rollback { Step::RollBack } else { Step::BringUp };
                let answer = self.reach(app, order, first, None).await.make_unanswered().await;
                app.service.abort(&caller(), order).await.unwrap();
                answer.answer();
            }
            Step::Done => {
                self.reach(app, order, Step::RestoreSettings, None).await.make();
                assert_eq!(ended(app, order).await.state, State::Succeeded);
                return;
            }
            _ => {}
        }
        let write = self.reach(app, order, place.step, batch).await;
        self.held = match place.moment {
            Moment::Before => Stopped::Request(write),
            Moment::After => {
                if self.combination.way == Way::FailedBatch && place.step == Step::BringUp {
                    self.behave(app, Behaviour::ConfigError);
                }
                Stopped::Answer(write.make_unanswered().await)
            }
            Moment::Known => {
                if place.step == Step::BringUp {
                    self.surge(app, order, usize::from(place.is_second), write).await;
                } else {
                    self.rest(app, order, write).await;
                }
                Stopped::Not
            }
        };
    }

    /// Goes the way back, up to the order at its end.
    pub async fn go_back(&mut self, app: &App) {
        let Combination { place, way, .. } = self.combination;
        let subject = self.rollback.or(self.order).unwrap();
        let has_ended = matches!(place.step, Step::PauseInPlace | Step::Done);
        self.forget_old_replica_set(app).await;
        if !has_ended && matches!(way, Way::RollBackEnded | Way::History | Way::Version) {
            app.service.abort(&caller(), subject).await.unwrap();
        }
        let last = match way {
            Way::FailedBatch => {
                if !(place.step == Step::BringUp && place.moment != Moment::Before) {
                    self.behave(app, Behaviour::ConfigError);
                }
                self.let_go();
                if place.step == Step::Paused {
                    confirm(app, subject).await;
                }
                self.last = Some(Last::Undoing(subject));
                return;
            }
            Way::AbortAndRollBack => {
                let rollback = app.service.roll_back(&caller(), subject).await.unwrap();
                self.come_late();
                rollback
            }
            Way::RollBackEnded => app.service.roll_back(&caller(), subject).await.unwrap(),
            Way::History => self.roll_back_to(app).await,
            Way::Version => {
                let mut request = release(self.application.id, OLD, Strategy::ALL_AT_ONCE);
                request.spec.image = None;
                request.release = Some(self.before.version.id);
                app.service.deploy(&caller(), request).await.unwrap()
            }
            Way::StepBackAndRollBack => {
                app.service.step_back(&caller(), subject, Some(1)).await.unwrap();
                // Held up, the executor has not begun to go back.
                if place.step == Step::Paused && place.moment != Moment::Known {
                    let refused = try_confirm(app, subject).await.unwrap_err().to_string();
                    assert!(refused.contains("about to go back to batch 1"), "{refused}");
                }
                self.let_go();
                self.reach(app, subject, Step::RemoveNew, None).await.make();
                self.reach(app, subject, Step::Paused, Some(0)).await.make();
                recorded(app, subject).await;
                app.service.roll_back(&caller(), subject).await.unwrap()
            }
            Way::RollBackTwice => {
                let rollback = app.service.roll_back(&caller(), subject).await.unwrap();
                if has_ended {
                    self.let_go();
                } else {
                    self.come_late();
                }
                let answer =
                    self.reach(app, rollback, Step::RollBack, None).await.make_unanswered().await;
                app.service.abort(&caller(), rollback).await.unwrap();
                answer.answer();
                self.roll_back_to(app).await
            }
        };
        self.let_go();
        self.writes = None;
        self.last = Some(Last::This(last));
    }

    /// Waits for the end, and looks at what is there then. Returns the application if
    /// it is as it was.
    pub async fn end(mut self, app: &App) -> Option<Application> {
        let last = match self.last.take().unwrap() {
            Last::This(last) => last,
            Last::Undoing(order) => self.fail(app, order).await,
        };
        self.writes = None;
        let end = ended(app, last).await;
        assert_eq!(end.state, State::Succeeded, "{end:#?}");
        let Combination { replicas, way, .. } = self.combination;
        at_leisure(async || {
            let now = self.application.watch.now();
            if now.pods.values().sum::<i32>() == replicas
                && now.of(OLD) == replicas
                && now.ready == replicas
            {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })
        .await;
        if let Some(write) = self.late.take() {
            let answer = write.made().await;
            assert!(
                answer.is_none_or(|code| code == 422),
                "the write of an order that ended was taken: {answer:?}"
            );
        }
        let mut expected = self.before.deployment.clone();
        if matches!(way, Way::History | Way::Version | Way::RollBackTwice) {
            // A release lets the Deployment go on, whoever had paused it before.
            expected["spec"].as_object_mut().unwrap().remove("paused");
        }
        assert_eq!(
            deployment(app, &self.application.name).await,
            expected,
            "the Deployment is not as before"
        );
        let sets = replica_sets(app, &self.application.name).await;
        let before = &self.before.replica_set;
        // Where the user keeps no old ones, it is gone once it has no pods.
        let is_gone = self.application.user.revision_history_limit == 0
            && !sets.iter().any(|set| set.uid().as_ref() == Some(before));
        assert!(
            is_gone || has_pods(&sets) == *before,
            "another ReplicaSet has the pods: {sets:#?}"
        );
        assert_eq!(
            self.application.version(app).await.id,
            self.before.version.id,
            "it is the application's version again"
        );
        let wanted = self.application.watch.most_wanted();
        let seen = self.application.watch.so_far();
        assert!(
            seen.iter().all(|sample| sample.ready >= replicas),
            "Ready fell under {replicas}: {seen:#?}"
        );
        assert!(wanted <= 2 * replicas, "{wanted} pods were wanted at once: {seen:#?}");
        if expected == self.before.deployment {
            return Some(self.application);
        }
        // Leaves room for the others.
        app.deployments().delete(&self.application.name, &DeleteParams::default()).await.unwrap();
        None
    }

    async fn deploy(&mut self, app: &App) -> OrderId {
        let Combination { replicas, place, way } = self.combination;
        let mut request = release(self.application.id, &self.new, place.plan.strategy(replicas));
        if way == Way::FailedBatch && place.step == Step::BringUp && place.moment == Moment::Known {
            request.batch_timeout_seconds = Some(BATCH_TIMEOUT);
        }
        *self.order.insert(app.service.deploy(&caller(), request).await.unwrap())
    }

    /// Lets the order go on until it is about to make the change of this step.
    /// Confirms its batches on the way.
    async fn reach(
        &mut self,
        app: &App,
        order: OrderId,
        step: Step,
        batch: Option<usize>,
    ) -> Write {
        loop {
            let (write, now) = self.next(app, order).await;
            if now.step == step && batch.is_none_or(|batch| batch == now.batch) {
                return write;
            }
            assert!(
                !now.state.is_final() || now.finalizing,
                "it ended before it came to {step:?}: {now:#?}"
            );
            write.make();
            if now.step == Step::Paused && now.back_to.is_none() {
                confirm(app, order).await;
            }
        }
    }

    /// The executor's next write, and the order as it is then.
    async fn next(&mut self, app: &App, order: OrderId) -> (Write, Order) {
        let write = self.writes.as_mut().unwrap().next().await;
        (write, app.store.order(order).await.unwrap().unwrap())
    }

    /// Makes the change of a surge whose pods do not become Ready, and waits for them.
    async fn surge(&mut self, app: &App, order: OrderId, batch: usize, write: Write) {
        self.behave(app, Behaviour::NeverReady);
        write.make();
        recorded(app, order).await;
        let Combination { replicas, place, .. } = self.combination;
        let pods = if place.plan == Plan::Whole {
            1
        } else {
            place.plan.strategy(replicas).cumulative(batch, replicas)
        };
        at_leisure(async || {
            let now = self.application.watch.now();
            if now.of(&self.new) >= pods { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    }

    /// Lets the order make this write and all that it still needs to come to rest.
    async fn rest(&mut self, app: &App, order: OrderId, write: Write) {
        write.make();
        loop {
            tokio::select! {
                () = recorded(app, order) => return,
                next = self.writes.as_mut().unwrap().next() => next.make(),
            }
        }
    }

    /// Steps back to the first batch.
    async fn begin_back(&mut self, app: &App, order: OrderId) {
        let (step, is_made) = if self.combination.replicas > 2 {
            (Step::Paused, true)
        } else {
            (Step::BringUp, false)
        };
        let write = self.reach(app, order, step, Some(1)).await;
        if is_made {
            write.make();
            recorded(app, order).await;
            app.service.step_back(&caller(), order, Some(1)).await.unwrap();
        } else {
            app.service.step_back(&caller(), order, Some(1)).await.unwrap();
            write.make();
        }
    }

    async fn roll_back_to(&self, app: &App) -> OrderId {
        let (application, version) = (self.application.id, self.before.version.version.clone());
        let request = RollBackTo {
            application,
            version,
            batches: Some(self.combination.replicas.min(2)),
            wait_minutes: None,
        };
        app.service.roll_back_to(&caller(), request).await.unwrap()
    }

    /// Lets a release go on until it fails. Returns the order that rolls it back.
    async fn fail(&mut self, app: &App, order: OrderId) -> OrderId {
        loop {
            let (write, now) = self.next(app, order).await;
            write.make();
            if now.state.is_final() {
                break;
            }
            // Where the write was lost and is made again, the next batch is confirmed already:
            // the order goes on by itself, and need not wait any more.
            if now.step == Step::Paused && now.confirmed <= now.batch + 1 {
                confirm(app, order).await;
            }
        }
        let failed = app.service.order(order).await.unwrap();
        assert_eq!(failed.state, State::Failed, "{failed:#?}");
        failed.rolled_back_by.expect("it is rolled back")
    }

    fn behave(&self, app: &App, behaviour: Behaviour) {
        app.simulation.as_ref().unwrap().set_behaviour(&self.new, behaviour, false);
    }

    /// Lets the stopped executor go on: the request is lost and made again, where it
    /// is still wanted, and the answer arrives.
    fn let_go(&mut self) {
        match std::mem::replace(&mut self.held, Stopped::Not) {
            Stopped::Not | Stopped::Request(_) => {}
            Stopped::Answer(answer) => answer.answer(),
        }
    }

    /// Another order took over: what is held arrives after all that one does.
    fn come_late(&mut self) {
        match std::mem::replace(&mut self.held, Stopped::Not) {
            Stopped::Not => {}
            Stopped::Request(write) => self.late = Some(write),
            Stopped::Answer(answer) => answer.answer(),
        }
    }

    /// Where the user keeps no old ReplicaSets, waits until the one of before is gone.
    async fn forget_old_replica_set(&self, app: &App) {
        if self.combination.place.step == Step::Done
            && self.application.user.revision_history_limit == 0
        {
            at_leisure(async || {
                let sets = replica_sets(app, &self.application.name).await;
                if sets.len() == 1 { Ok(()) } else { Err(format!("{sets:?}")) }
            })
            .await;
        }
    }
}

async fn ended(app: &App, order: OrderId) -> OrderView {
    let is_over = async || match app.store.order(order).await.unwrap() {
        Some(now) if now.state.is_final() => Ok(()),
        now => Err(format!("{now:#?}")),
    };
    at_leisure(is_over).await;
    app.service.order(order).await.unwrap()
}

/// Waits until the executor has noted that its change was made; of an order that
/// ended, that nothing is left to do.
async fn recorded(app: &App, order: OrderId) {
    at_leisure(async || {
        let now = app.store.order(order).await.unwrap().unwrap();
        let is_made = now.intent.as_ref().is_some_and(|intent| intent.applied.is_some());
        if is_made && !now.finalizing { Ok(()) } else { Err(format!("{now:#?}")) }
    })
    .await;
}

/// Confirms the next batch of an order at rest.
async fn confirm(app: &App, order: OrderId) {
    try_confirm(app, order).await.unwrap();
}

async fn try_confirm(app: &App, order: OrderId) -> Result<(), Error> {
    let view = app.service.order(order).await.unwrap();
    let next = view
        .batches
        .iter()
        .find(|batch| matches!(batch.state, State::WaitingConfirmation | State::WaitingInterval))
        .unwrap();
    app.service.confirm(&caller(), next.id, true).await
}
