//! Events beside the Deployment, for whoever looks there: when an order begins, waits for a
//! person, and ends. Nothing of an order stands on them.

use cluster::{ClusterError, manifest::EventText};
use domain::{
    order::{Order, State, Step},
    rollout::Transition,
};

use super::Drive;
use crate::Executor;

/// An event that is no warning.
#[derive(Debug, PartialEq)]
struct Passing {
    reason: &'static str,
    text: String,
    /// What tells it from others of its order and reason.
    turn: usize,
}

impl Executor {
    /// Leaves what a transition that was written is worth telling beside the Deployment.
    pub(super) async fn leave_events(&self, drive: &Drive, transition: &Transition) {
        let order = &drive.order;
        if transition.state == State::Failed && !order.state.is_final() {
            self.warn(drive, "ChangeOrderFailed", &transition.message).await;
        }
        if let Some(text) = transition.told(order) {
            self.warn(drive, "ChangedByOthers", text).await;
        }
        if let Some(Passing { reason, text, turn }) = passing(order, transition) {
            let _ = self.leave(drive, reason, &text, turn, false).await;
        }
    }

    /// Leaves that an order has begun, once its first change was made: nothing waits for it.
    /// It is tried again where the Deployment is not seen yet.
    pub(super) async fn leave_begin(&self, drive: &mut Drive) {
        if drive.begins {
            let text = format!("change order {} ({}) has begun", drive.order.id, drive.order.kind);
            let left = self.leave(drive, "ChangeOrderBegan", &text, 0, false).await;
            drive.begins = matches!(left, Err(ClusterError::Gone));
        }
    }

    /// Leaves a warning beside the Deployment.
    pub(super) async fn warn(&self, drive: &Drive, reason: &'static str, text: &str) {
        // What went wrong is in the log.
        let _ = self.leave(drive, reason, text, 0, true).await;
    }

    async fn leave(
        &self,
        drive: &Drive,
        reason: &'static str,
        text: &str,
        turn: usize,
        warns: bool,
    ) -> Result<(), ClusterError> {
        let Ok(context) = self.context(drive).await else { return Ok(()) };
        let event_text = EventText { reason, text, at: self.clock.now(), turn, warns };
        let left = self.cluster.writer().leave_event(&drive.key, context, &event_text).await;
        left.inspect_err(|error| tracing::debug!(%error, "the cluster keeps no event of it"))
    }
}

/// What a transition of an order is worth telling that warns of nothing.
fn passing(order: &Order, transition: &Transition) -> Option<Passing> {
    let of = |reason, what: &str, turn| {
        let why = match transition.message.as_str() {
            "" => String::new(),
            message => format!(": {message}"),
        };
        Some(Passing { reason, text: format!("change order {} {what}{why}", order.id), turn })
    };
    let changes = transition.state != order.state;
    match transition.state {
        State::WaitingConfirmation if changes => {
            of("ChangeOrderWaits", "waits for a person", transition.batch + 1)
        }
        State::Succeeded if changes => of("ChangeOrderSucceeded", "is done", 0),
        // The service ended it; only now its Deployment is at rest.
        State::Aborted if transition.step == Step::Done => {
            of("ChangeOrderAborted", "was ended by a person", 0)
        }
        State::Ready
        | State::WaitingApproval
        | State::Running
        | State::WaitingConfirmation
        | State::WaitingInterval
        | State::Succeeded
        | State::Failed
        | State::Aborted
        | State::SystemFailed => None,
    }
}
