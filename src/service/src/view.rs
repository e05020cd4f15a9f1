//! What callers get to see: read models, in our own words.

use jiff::Timestamp;

pub use store::{BatchView, OrderView, PodState};

use domain::{ApplicationId, ReleaseId, package::Label};

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
