//! Change orders and their batches: states, and who may write what.
//!
//! | written by | what |
//! |---|---|
//! | the service, on a caller's request | new orders and batches, `aborted`, how far batches are confirmed, how many are to stay |
//! | the executor, under its fence | every other state, steps, batch states, intents, snapshots, the rollback order of a failure |
//!
//! A final state is never left. The schema repeats these rules as CHECK
//! constraints. Pure data; numbers of the wire format are the HTTP edge's.

pub mod intent;
pub mod plan;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApplicationId, BatchId, ClusterId, OrderId, ReleaseId};
use crate::{
    order::{intent::Intent, plan::Strategy},
    template::{settings::BorrowedSettings, spec::SpecChange},
};

/// What an order does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Creates the application's Deployment.
    Create,
    /// Releases a new version.
    Deploy,
    /// Releases a version from the history again.
    DeployVersion,
    /// Rolls another order back.
    Rollback,
    /// Changes the number of pods.
    Scale,
    /// Lets all pods go.
    Stop,
    /// Brings pods up again after all of them went.
    Start,
    /// Replaces all pods by others of the same version.
    Restart,
    /// Gives pods other amounts of processor and memory: a version of its own.
    Configure,
    /// Deletes the application's Deployment, and the application with it.
    Delete,
    /// Wrote an object beside the Deployment, such as a Service. On record once it was
    /// done: it is never open, and no release takes notice of it.
    ObjectWrite,
}

impl Kind {
    /// Whether it replaces pods by others, as a release does.
    #[must_use]
    pub fn releases(self) -> bool {
        match self {
            Self::Deploy | Self::DeployVersion | Self::Restart | Self::Configure => true,
            Self::Create
            | Self::Rollback
            | Self::Scale
            | Self::Stop
            | Self::Start
            | Self::Delete
            | Self::ObjectWrite => false,
        }
    }

    /// Whether what its time is for is the whole of it, as its callers see it: it has no
    /// batches.
    #[must_use]
    pub fn is_timed_as_a_whole(self) -> bool {
        matches!(self, Self::Restart | Self::Configure) || self.scales()
    }

    /// The parameter that says how long it may take, or each of its batches.
    #[must_use]
    pub fn time_limit(self) -> &'static str {
        if self.is_timed_as_a_whole() { "Timeout" } else { "BatchTimeout" }
    }

    /// Whether it changes the number of pods and nothing else.
    #[must_use]
    pub fn scales(self) -> bool {
        match self {
            Self::Scale | Self::Stop | Self::Start => true,
            Self::Create
            | Self::Deploy
            | Self::DeployVersion
            | Self::Rollback
            | Self::Restart
            | Self::Configure
            | Self::Delete
            | Self::ObjectWrite => false,
        }
    }
}

/// Where an order stands, as its callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; nothing done yet.
    Ready,
    /// A batch is under way.
    Running,
    /// A person must confirm the next batch.
    WaitingConfirmation,
    /// The next batch starts by itself when the interval is over.
    WaitingInterval,
    /// Final: everything done.
    Succeeded,
    /// Final: a batch failed, or the cluster refused.
    Failed,
    /// Final: a person ended it.
    Aborted,
    /// Final: could not be carried out for a reason outside the release itself.
    SystemFailed,
}

impl State {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Ready | Self::Running | Self::WaitingConfirmation | Self::WaitingInterval => {
                false
            }
            Self::Succeeded | Self::Failed | Self::Aborted | Self::SystemFailed => true,
        }
    }
}

/// Where the executor stands within an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing was changed yet.
    Start,
    /// The Deployment gets another number of pods.
    Resize,
    /// The Deployment goes, and everything beneath it.
    Delete,
    /// The Deployment is being created.
    Create,
    /// New pods of the batch come up (beside the old ones).
    BringUp,
    /// The old pods that the batch replaces go.
    ScaleDownOld,
    /// At rest between two batches: paused, waiting.
    Paused,
    /// The gate closes again, still paused, before the next batch.
    CloseGate,
    /// Within the release, back to fewer batches: the gate lets no pod come or go.
    StepBack,
    /// The old pods that had gone for those batches come up again.
    RestoreOld,
    /// The new pods of those batches go.
    RemoveNew,
    /// The earlier version comes back.
    RollBack,
    /// The user's own settings are restored.
    RestoreSettings,
    /// An aborted order's Deployment is brought to rest where it is.
    PauseInPlace,
    /// Nothing is left to do on the cluster.
    Done,
}

/// Where the template of a release comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The version before, changed.
    Change(Box<SpecChange>),
    Exact(Value),
    /// The Deployment's own, which is left alone.
    Unchanged,
    /// The version before, with a mark that is unlike every other: new pods of it.
    Renewed(String),
}

/// What an order brings about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The version that is released. A rollback to something that was no
    /// release of ours has none.
    pub release: Option<ReleaseId>,
    pub source: Source,
    /// Desired number of pods; none keeps the Deployment's.
    pub replicas: Option<i32>,
    /// The number when the order was accepted, where it changes nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas_before: Option<i32>,
    /// Uid of the Deployment that the application was adopted with: before the first
    /// write nothing on it says whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_uid: Option<String>,
    /// Applications of this name that are no more: the Deployment may still say that it
    /// is one of them, where that was let go without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_applications: Vec<ApplicationId>,
    /// Seconds a pod must be Ready before it counts; none keeps the Deployment's.
    pub min_ready_seconds: Option<i32>,
    /// Seconds one batch may take.
    pub batch_timeout_seconds: i64,
    /// Failure policy: how much trouble a batch tolerates.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// Where there is no room for more pods than the desired number: how many may be
    /// missing at once, since old pods go before new ones come. 0 = new ones come first.
    #[serde(default)]
    pub max_unavailable: i32,
    /// Whether old pods may go first where there is no room for both, and nobody could look
    /// whether there is when the order was accepted: that is decided when it begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allows_no_surge: bool,
    /// Who owned the fields of the Deployment's spec before the order that this one undoes,
    /// as [`crate::template::ownership::of_spec`] says; null = it undoes none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub owners_before: Value,
}

/// The failure policy: how much trouble a batch tolerates, and what follows. Fixed
/// when the order is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailurePolicy {
    /// Seconds for which trouble that may pass by itself is waited out: the
    /// registry does not answer, no node has room, a volume is not there yet.
    pub grace_seconds: i64,
    /// How often a container of a new pod may end and be started again.
    pub restarts: i32,
    /// Seconds for which new pods must stay Ready before their batch is done.
    pub watch_seconds: i32,
    /// Whether a release that failed is rolled back automatically.
    pub roll_back: bool,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self { grace_seconds: 60, restarts: 1, watch_seconds: 0, roll_back: true }
    }
}

/// The Deployment as it was before an order touched it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub template: Value,
    pub replicas: i32,
    pub settings: BorrowedSettings,
    /// Who owned the fields of its spec, as [`crate::template::ownership::of_spec`] says; null =
    /// that was not seen.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub owners: Value,
}

/// A change order with all that deciding its next step takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub id: OrderId,
    pub application: ApplicationId,
    /// That one's cluster: the order is carried out there, and nowhere else.
    pub cluster: ClusterId,
    pub namespace: String,
    pub name: String,
    pub kind: Kind,
    /// Where it stands for its callers.
    pub state: State,
    /// Where it stands for the executor.
    pub step: Step,
    /// The batch under way, from 0.
    pub batch: usize,
    /// How the batches follow each other.
    pub strategy: Strategy,
    /// The batches, in order.
    pub batches: Vec<Batch>,
    /// Batches confirmed by a person: those with an index below this number may begin.
    pub confirmed: usize,
    /// How many batches are to stay, while a person's request to step back is not done.
    pub back_to: Option<usize>,
    pub target: Target,
    /// The Deployment before it; set when the first change is decided, or on
    /// creation where an earlier order left the Deployment half way.
    pub snapshot: Option<Snapshot>,
    /// The latest change decided.
    pub intent: Option<Intent>,
    /// The template of this order's version as the API server stored it, with
    /// its defaults filled in; known once the first change was made.
    pub template: Option<Value>,
    /// Whether it ended, but its Deployment still has to be brought to rest.
    pub finalizing: bool,
    /// The order that this one rolls back.
    pub rolls_back: Option<OrderId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the present step began.
    pub step_since: Timestamp,
}

impl Order {
    /// Whether it changes the number of pods and nothing else, also as the way back
    /// of one that did.
    #[must_use]
    pub fn only_scales(&self) -> bool {
        self.kind.scales()
            || (self.kind == Kind::Rollback && self.target.source == Source::Unchanged)
    }

    /// Whether its Deployment still has to be brought to rest if it is aborted now. A
    /// rollback found it half way: the order that it rolls back ended without a rest.
    /// Where only the number of pods changes it is at rest all the time.
    #[must_use]
    pub fn rests_on_abort(&self) -> bool {
        let is_half_way = match self.step {
            Step::Start => self.kind == Kind::Rollback && !self.only_scales(),
            Step::Create | Step::Resize | Step::Delete | Step::Done => false,
            Step::BringUp
            | Step::ScaleDownOld
            | Step::Paused
            | Step::CloseGate
            | Step::StepBack
            | Step::RestoreOld
            | Step::RemoveNew
            | Step::RollBack
            | Step::RestoreSettings
            | Step::PauseInPlace => true,
        };
        self.snapshot.is_some() && is_half_way
    }

    /// Whether it changed the Deployment, or may have: while that is still to be
    /// brought to rest, the order's first change may have been made and not recorded.
    #[must_use]
    pub fn changed_deployment(&self) -> bool {
        self.template.is_some() || self.finalizing
    }

    /// Whether it can still be ended where it is: what is being deleted does not come back.
    #[must_use]
    pub fn can_be_aborted(&self) -> bool {
        self.step != Step::Delete
    }

    /// Whether batches that were begun can be gone back on now.
    #[must_use]
    pub fn can_step_back(&self) -> bool {
        let under_way = matches!(
            self.step,
            Step::BringUp
                | Step::ScaleDownOld
                | Step::Paused
                | Step::CloseGate
                | Step::StepBack
                | Step::RestoreOld
                | Step::RemoveNew
        );
        // Old pods come back before new ones go: that takes room, too.
        under_way
            && !self.state.is_final()
            && self.strategy.count() > 1
            && self.target.max_unavailable == 0
    }

    /// Whether the change decided last is still to be made.
    #[must_use]
    pub fn has_change_to_make(&self) -> bool {
        let unmade = self.intent.as_ref().is_some_and(|intent| intent.applied.is_none());
        // Of an order that ended only what brings its Deployment to rest.
        let wanted = !self.state.is_final()
            || (self.finalizing
                && matches!(self.step, Step::Paused | Step::PauseInPlace | Step::Done));
        unmade && wanted
    }

    /// Whether a rollback order can roll it back: it released a version on top of
    /// another, or changed the number of pods, and none came after it. One that ended
    /// must have touched the Deployment; `is_newest` and `is_rolled_back` say whether
    /// another order of the application followed, and whether one rolled it back already.
    #[must_use]
    pub fn can_be_rolled_back(
        kind: Kind,
        state: State,
        changed_deployment: bool,
        is_newest: bool,
        is_rolled_back: bool,
    ) -> bool {
        (kind.releases() || kind.scales())
            && !is_rolled_back
            && (!state.is_final() || (changed_deployment && is_newest))
    }
}

/// One batch of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub id: BatchId,
    pub state: State,
    /// Pods of the new version when it is done.
    pub target: i32,
    pub started_at: Option<Timestamp>,
}
