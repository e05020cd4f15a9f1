//! What a change order is and what happens next: the rules of the product.
//!
//! Everything here is a pure function or plain data: no I/O, no clock, no
//! async. Times come in as arguments, the cluster comes in as an
//! [`observed::Observation`], and what to do comes out as a
//! [`rollout::Decision`]. It knows nothing of HTTP, SQL or the Kubernetes client,
//! and uses no other crate of this repository.

pub mod access;
pub mod action;
pub mod advice;
pub mod application;
pub mod audit;
pub mod cluster;
pub mod config_template;
pub mod guard;
pub mod id;
pub mod input;
pub mod limits;
pub mod name;
pub mod notation;
pub mod notice;
pub mod object;
pub mod observed;
pub mod order;
pub mod package;
pub mod pattern;
pub mod person;
pub mod precheck;
pub mod rejection;
pub mod retention;
pub mod rights;
pub mod rollout;
pub mod snapshot;
pub mod source;
pub mod template;
pub mod trace;

pub use advice::Advice;
pub use cluster::{ClusterId, ClusterIdentity, KnownCluster};
pub use id::{
    ApplicationId, BatchId, CredentialId, InstallationId, MultipartId, OrderId, PackageId,
    ReleaseId,
};
pub use input::Input;
pub use order::hold;
pub use rejection::Rejection;
pub use source::Source;
pub use trace::TraceParent;
