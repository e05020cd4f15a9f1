//! Change orders and their batches: their states, and which part of Sluice may write what.
//!
//! | written by | what |
//! |---|---|
//! | the service, on a caller's request | new orders and batches, `aborted`, how far batches are confirmed, how many are to stay |
//! | the executor, under its fence | every other state, steps, batch states, intents, snapshots, the rollback order of a failure |
//!
//! An order never leaves a final state. The schema repeats these rules as CHECK
//! constraints. Pure data; only `edas` knows the numbers of EDAS.

mod before;
pub mod hands;
pub mod hold;
pub mod intent;
pub mod outage;
pub mod plan;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use before::DeploymentBefore;

use super::{ApplicationId, BatchId, ClusterId, Input, OrderId, ReleaseId};
use crate::{
    guard::Guardrails,
    order::{hands::Hands, hold::Hold, intent::Intent, outage::OutageClock, plan::Strategy},
    template::spec::SpecChange,
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
    /// Removes all pods.
    Stop,
    /// Brings the pods up again after a stop.
    Start,
    /// Replaces all pods by others of the same version.
    Restart,
    /// Gives pods other limits and requests: a version of its own.
    Configure,
    /// Deletes the application's Deployment, and the application with it.
    Delete,
    /// Wrote an object beside the Deployment, such as a Service. It is recorded after the
    /// write, so it is never open, and releases ignore it.
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

    /// What says how long it may take, or each of its batches.
    #[must_use]
    pub fn time_limit(self) -> Input {
        if self.is_timed_as_a_whole() { Input::Timeout } else { Input::BatchTimeout }
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
    /// Accepted; somebody else must approve it before anything is done.
    WaitingApproval,
    /// A batch is under way.
    Running,
    /// A person must confirm the next batch.
    WaitingConfirmation,
    /// The next batch begins automatically when the interval is over.
    WaitingInterval,
    /// Final: everything done.
    Succeeded,
    /// Final: a batch failed, or the cluster refused.
    Failed,
    /// Final: a person ended it.
    Aborted,
    /// Final: could not be carried out for a reason outside the release itself. No order
    /// ends so. The state is EDAS' (Status 10), clients may ask for it, and the database's
    /// type has it: it is read and shown, and never set.
    SystemFailed,
}

impl State {
    /// Whether the order has ended.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Ready
            | Self::WaitingApproval
            | Self::Running
            | Self::WaitingConfirmation
            | Self::WaitingInterval => false,
            Self::Succeeded | Self::Failed | Self::Aborted | Self::SystemFailed => true,
        }
    }
}

/// As in the database and in events.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The step of an order that the executor is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing was changed yet.
    Start,
    /// The Deployment gets another number of pods.
    Resize,
    /// The Deployment is being deleted, with its ReplicaSets and pods.
    Delete,
    /// The Deployment is being created.
    Create,
    /// New pods of the batch come up (beside the old ones).
    BringUp,
    /// The old pods that the batch replaces go.
    ScaleDownOld,
    /// The Deployment is paused between two batches, and the order waits.
    Paused,
    /// The gate closes again, still paused, before the next batch.
    CloseGate,
    /// A step back to fewer batches: the gate keeps all pods as they are.
    StepBack,
    /// The old pods that those batches replaced come up again.
    RestoreOld,
    /// The new pods of those batches go.
    RemoveNew,
    /// The earlier version comes back.
    RollBack,
    /// The user's own settings are restored.
    RestoreSettings,
    /// The order ended half way: its Deployment is paused with the pods that it has.
    PauseInPlace,
    /// Nothing is left to do on the cluster.
    Done,
}

impl Step {
    /// Whether a release is in its batches then: it has begun with the first, and not yet
    /// given the settings back after the last. From here it can step back.
    #[must_use]
    pub fn is_in_batches(self) -> bool {
        match self {
            Self::BringUp
            | Self::ScaleDownOld
            | Self::Paused
            | Self::CloseGate
            | Self::StepBack
            | Self::RestoreOld
            | Self::RemoveNew => true,
            Self::Start
            | Self::Create
            | Self::RollBack
            | Self::RestoreSettings
            | Self::PauseInPlace
            | Self::Resize
            | Self::Delete
            | Self::Done => false,
        }
    }
}

/// As in the database and in events.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Where the template of a release comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateSource {
    /// The version before, changed.
    Change(Box<SpecChange>),
    Exact(Value),
    /// The Deployment's own template, unchanged.
    Unchanged,
    /// The version before, with a unique mark, so that all pods are replaced.
    Renewed(String),
}

/// The result that an order aims at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The version that is released. None for a rollback to a template that Sluice did
    /// not release.
    pub release: Option<ReleaseId>,
    pub source: TemplateSource,
    /// Desired number of pods; none keeps the Deployment's.
    pub replicas: Option<i32>,
    /// The number where there is no Deployment: this order creates it again. None = it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas_if_created: Option<i32>,
    /// The number when the order was accepted, if the order changes only the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas_before: Option<i32>,
    /// Uid of the Deployment that the application was adopted with: until Sluice first
    /// writes it, nothing on the Deployment names the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_uid: Option<String>,
    /// Deleted applications of this name: the Deployment may still name one of them, if it
    /// was kept when that application was deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_applications: Vec<ApplicationId>,
    /// Seconds a pod must be Ready before it counts; none keeps the Deployment's.
    pub min_ready_seconds: Option<i32>,
    /// Seconds one batch may take.
    pub batch_timeout_seconds: i64,
    /// Failure policy: how much trouble a batch tolerates.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// Pods that may be missing at once, if there is no room for more than the desired
    /// number, so that old pods go before new ones come. 0 = new pods come first.
    #[serde(default)]
    pub max_unavailable: i32,
    /// Whether old pods may go first if there is no room for both. Set if no executor could
    /// check that before the order was accepted: it is decided when the order begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allows_no_surge: bool,
    /// Who owned the fields of the Deployment's spec before the order that this one rolls
    /// back, as [`crate::template::ownership::of_spec`] lists them; null = it rolls none back.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub owners_before: Value,
    /// The template of the order that this one rolls back, as far as it is known: what may
    /// be overwritten. None = not known, or it rolls none back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Value>,
    /// What its author may ask for of the pod template; none = anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<Guardrails>,
}

/// The failure policy: how much trouble a batch tolerates, and what follows. Fixed
/// when the order is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailurePolicy {
    /// The grace: seconds that trouble which may pass by itself is tolerated: the
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

impl Target {
    /// What an order aims at that has this template, and so long for a batch. It releases
    /// no version of its own and keeps the number of pods.
    #[must_use]
    pub fn new(
        source: TemplateSource,
        batch_timeout_seconds: i64,
        failure_policy: FailurePolicy,
    ) -> Self {
        Self {
            release: None,
            source,
            replicas: None,
            replicas_if_created: None,
            replicas_before: None,
            adopted_uid: None,
            former_applications: Vec::new(),
            min_ready_seconds: None,
            batch_timeout_seconds,
            failure_policy,
            max_unavailable: 0,
            allows_no_surge: false,
            owners_before: Value::Null,
            replaces: None,
            guardrails: None,
        }
    }
}

/// A change order with everything that deciding its next step needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub id: OrderId,
    pub application: ApplicationId,
    /// The application's cluster, where the order is carried out.
    pub cluster: ClusterId,
    pub namespace: String,
    pub name: String,
    pub kind: Kind,
    /// Its state for its callers.
    pub state: State,
    /// The step that the executor is at.
    pub step: Step,
    /// The batch under way, from 0.
    pub batch: usize,
    /// How the batches follow each other.
    pub strategy: Strategy,
    /// The batches, in order.
    pub batches: Vec<Batch>,
    /// Batches confirmed by a person: those with an index below this number may begin.
    pub confirmed: usize,
    /// What keeps the next batch from beginning while the order waits, as it was told last;
    /// empty = nothing.
    pub trouble: String,
    /// The number of batches that stay, until a requested step back is done.
    pub back_to: Option<usize>,
    /// What it wrote, and what it knows of others who write its Deployment.
    pub hands: Hands,
    /// Whether a person lets it go on that somebody paused by the Deployment.
    pub goes_on: bool,
    pub target: Target,
    /// The Deployment before it; set when the first change is decided, or on
    /// creation where an earlier order left the Deployment half way.
    pub snapshot: Option<DeploymentBefore>,
    /// The latest change decided.
    pub intent: Option<Intent>,
    /// The template of this order's version as the API server stored it, with
    /// its defaults filled in; known once the first change was made.
    pub template: Option<Value>,
    /// Whether it is finalizing: it ended, but its Deployment must still be paused.
    pub finalizing: bool,
    /// The order that this one rolls back.
    pub rolls_back: Option<OrderId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the present step began.
    pub step_since: Timestamp,
    /// The time of that step during which it could not go on.
    pub outages: OutageClock,
    /// What may hold it off; none = nothing does, or it has begun.
    pub hold: Option<Box<Hold>>,
}

impl Order {
    /// Whether it changes only the number of pods, or rolls back an order that did.
    #[must_use]
    pub fn only_scales(&self) -> bool {
        self.kind.scales()
            || (self.kind == Kind::Rollback && self.target.source == TemplateSource::Unchanged)
    }

    /// Whether its Deployment must be paused if it is aborted now. A rollback found the
    /// Deployment half way, since the order that it rolls back ended without a pause.
    /// An order that changes only the number of pods needs no pause.
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

    /// Whether it changed the Deployment, or may have: while the order is finalizing, its
    /// first change may have been made and not recorded.
    #[must_use]
    pub fn changed_deployment(&self) -> bool {
        self.template.is_some() || self.finalizing
    }

    /// Whether it can still be aborted: a Deployment that is being deleted cannot be kept.
    #[must_use]
    pub fn can_be_aborted(&self) -> bool {
        self.step != Step::Delete
    }

    /// Whether it can step back now from batches that were begun.
    #[must_use]
    pub fn can_step_back(&self) -> bool {
        // Old pods come back before new ones go: that takes room, too.
        self.step.is_in_batches()
            && !self.state.is_final()
            && self.strategy.count() > 1
            && self.target.max_unavailable == 0
    }

    /// Whether its newest change is not known to be made.
    #[must_use]
    pub fn has_change_to_make(&self) -> bool {
        let unmade = self.intent.as_ref().is_some_and(|intent| intent.applied.is_none());
        // Of an order that ended only what brings its Deployment to rest.
        let wanted = !self.state.is_final()
            || (self.finalizing
                && (matches!(self.step, Step::Paused | Step::PauseInPlace | Step::Done)
                    || self.is_owed()));
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
