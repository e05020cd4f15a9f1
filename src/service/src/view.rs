//! What callers get to see: read models, in our own words.

use jiff::Timestamp;

pub use store::PodState;

use domain::{
    ApplicationId, BatchId, OrderId, ReleaseId, Source,
    order::{Kind, State, Step, plan::Strategy},
    package::Label,
};

/// A change order with its batches.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderView {
    pub id: OrderId,
    pub application: ApplicationId,
    pub kind: Kind,
    pub state: State,
    pub step: Step,
    /// How the batches follow each other.
    pub strategy: Strategy,
    /// The batches, in order. Empty in lists.
    pub batches: Vec<BatchView>,
    pub batch_count: usize,
    /// Desired number of pods, where it sets one.
    pub replicas: Option<i32>,
    /// The number before, where it changes nothing else.
    pub replicas_before: Option<i32>,
    pub description: String,
    /// What of the request has no effect, and what the checks before it warned of.
    pub notes: Vec<String>,
    /// Version text of what it releases, empty if it is none of the history.
    pub version: String,
    /// Image it releases, empty until that is known.
    pub image: String,
    /// Package it releases; none = an image.
    pub package: Option<Label>,
    /// Why it ended as it did, or what it waits for; may be empty.
    pub message: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
    /// Name of the access key that ordered it; `sluice` for an automatic rollback.
    pub created_by: String,
    /// What it came by.
    pub source: Source,
    /// The order that this one rolls back.
    pub rolls_back: Option<OrderId>,
    /// The order that rolls this one back.
    pub rolled_back_by: Option<OrderId>,
    /// Whether it can be rolled back now: while it is open, and after its end while
    /// no other order of its application followed.
    pub can_roll_back: bool,
}

/// A batch of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchView {
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
    /// When anything of it changed last.
    pub updated_at: Timestamp,
    /// Why it failed, or what it waits for; may be empty.
    pub message: String,
    /// The pods of the new version that it brought, as last seen.
    pub pods: Vec<PodState>,
}

/// A version in an application's history.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseView {
    pub id: ReleaseId,
    pub application: ApplicationId,
    pub version: String,
    /// Its image; of a package, the one that it runs on.
    pub image: String,
    /// Its package; none = an image.
    pub package: Option<Label>,
    /// Description of the order that released it.
    pub description: String,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it was last released to its end.
    pub released_at: Timestamp,
}

/// The cluster that this server drives, as its executor last saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterView {
    pub id: String,
    pub region: String,
    /// Kubernetes version, empty until an executor has seen it.
    pub version: String,
    /// Names of its Kubernetes namespaces, sorted.
    pub namespaces: Vec<String>,
    /// Whether an executor reached it lately.
    pub reachable: bool,
    /// Whether a client removed it, and none imported it again.
    pub removed: bool,
}

/// The version that an application runs, for reading it back.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentSpec {
    /// The version, if one was released to its end.
    pub release: Option<ReleaseView>,
    /// The pod template of that version (of the one being created, if none), as JSON.
    pub template: serde_json::Value,
}
