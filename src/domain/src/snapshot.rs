//! An order as those see it who follow it: one value with all that a page or a terminal
//! shows, in our own words. The server writes it as JSON, and the command line reads it.
//!
//! Names of fields and words stay as they are: programs read them. New ones may come.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ApplicationId, BatchId, OrderId, Source,
    order::{Kind, State, Step, plan::Strategy},
};

/// Events that a snapshot holds at most.
pub const TIMELINE: usize = 100;

/// An order, complete. Each one replaces the one before; none adds to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(flatten)]
    pub order: OrderLine,
    pub step: Step,
    /// How the batches follow each other.
    pub strategy: Strategy,
    /// Desired number of pods, where it sets one.
    pub replicas: Option<i32>,
    /// The number before, where it changes nothing else.
    pub replicas_before: Option<i32>,
    pub batches: Vec<BatchSnapshot>,
    /// What of the request has no effect, and what the checks before it warned of.
    pub notes: Vec<String>,
    /// What keeps the next batch from beginning while the order waits; empty = nothing.
    #[serde(default)]
    pub trouble: String,
    /// The order that this one rolls back.
    pub rolls_back: Option<OrderId>,
    /// The order that rolls this one back.
    pub rolled_back_by: Option<OrderId>,
    /// Its last events, at most [`TIMELINE`], the oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// What a person can do now.
    pub actions: Vec<Action>,
}

/// An order as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    pub id: OrderId,
    pub application: ApplicationName,
    pub kind: Kind,
    pub state: State,
    /// Text of the version that it releases; empty if it is none of the history.
    pub version: String,
    /// Image that it releases; empty until that is known.
    pub image: String,
    /// Address of the package that it releases; none = an image.
    pub package: Option<String>,
    pub description: String,
    /// Why it ended as it did, or what it waits for; may be empty.
    pub message: String,
    /// Name of the access key that ordered it; `sluice` for an automatic rollback.
    pub created_by: String,
    /// Through what it was ordered.
    pub source: Source,
    pub created_at: Timestamp,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
}

impl OrderLine {
    /// Whether nothing goes on before a person says so.
    #[must_use]
    pub fn needs_person(&self) -> bool {
        matches!(self.state, State::WaitingApproval | State::WaitingConfirmation)
    }
}

/// Which application something is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationName {
    pub id: ApplicationId,
    pub name: String,
    pub namespace: String,
    /// Id of its cluster.
    pub cluster: String,
}

/// An application as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplicationLine {
    #[serde(flatten)]
    pub application: ApplicationName,
    pub replicas: i32,
    /// Pods that are Ready.
    pub ready: i32,
    /// Whether there is no Deployment on the cluster; a server of before does not say it.
    #[serde(default)]
    pub deployment_missing: bool,
    /// Text of the version that was last released to its end; empty before the first.
    pub version: String,
    /// Its image.
    pub image: String,
    /// The newest order that changes its Deployment.
    pub last_order: Option<LastOrder>,
}

impl ApplicationLine {
    /// Whether it has no Deployment, and no order is open that may be about to create one.
    #[must_use]
    pub fn lacks_deployment(&self) -> bool {
        self.deployment_missing && self.last_order.as_ref().is_none_or(|it| it.state.is_final())
    }
}

/// The newest order of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOrder {
    pub id: OrderId,
    pub kind: Kind,
    pub state: State,
    /// Why it ended as it did, or what it waits for; may be empty.
    pub message: String,
}

/// A batch of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchSnapshot {
    pub id: BatchId,
    /// Its number, from 1.
    pub number: usize,
    pub canary: bool,
    pub state: State,
    /// Pods of the new version that it adds.
    pub size: i32,
    /// Pods of the new version when it is done.
    pub target: i32,
    pub started_at: Option<Timestamp>,
    /// When it ended, well or not.
    pub finished_at: Option<Timestamp>,
    /// Why it failed, or what it waits for; may be empty.
    pub message: String,
    /// The pods of the new version that it brought, as last seen.
    pub pods: Vec<PodSnapshot>,
}

impl BatchSnapshot {
    /// How many of its pods are Ready.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.pods.iter().filter(|pod| pod.ready).count()
    }
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSnapshot {
    pub name: String,
    /// Its address; empty while it has none.
    pub ip: String,
    /// Kubernetes' word for where it is.
    pub phase: String,
    pub ready: bool,
    /// Why it is not Ready; empty while it starts, and once it is Ready.
    pub message: String,
}

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// Its number; later ones have higher numbers.
    pub id: i64,
    pub at: Timestamp,
    /// Name of an access key, or `sluice`.
    pub actor: String,
    /// What happened, as a word with dots: `order.accepted`, `order.bring_up`, `change.made`, …
    pub kind: String,
    /// Why, for people.
    pub cause: String,
}

/// What a person can do with an order now. The answer decides: it may have gone on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// Let the next batch begin.
    Continue {
        /// The batch that waits.
        batch: BatchId,
        /// Its number, from 1.
        number: usize,
        /// Pods of the new version that it adds.
        pods: i32,
    },
    /// Give the pods of the newest batches back; from one up to so many batches can stay.
    StepBack { most: usize },
    /// Let it begin, as a second person.
    Approve,
    /// End it before it begins, as a second person.
    Reject,
    /// Let it begin although a freeze window is closed.
    LiftFreeze,
    /// End it where it is.
    Abort,
    /// Return to the version before; an open order ends.
    RollBack,
    /// Go on from the batch that failed.
    Retry {
        batch: BatchId,
        /// Its number, from 1.
        number: usize,
    },
}
