//! What a change order is and what happens next: the rules of the product.
//!
//! Everything here is a pure function or plain data: no I/O, no clock, no
//! async. Times come in as arguments, the cluster comes in as an
//! [`observation::Observation`], and what to do comes out as a
//! [`machine::Decision`]. It knows nothing of HTTP, SQL or the Kubernetes client,
//! and uses no other crate of this repository.

pub mod application;
pub mod autoscaling;
pub mod binding;
pub mod cluster;
pub mod cluster_state;
pub mod config_data;
pub mod config_template;
pub mod container;
pub mod edit;
pub mod env;
pub mod exposure;
pub mod failure;
pub mod given;
pub mod graceful_start;
pub mod id;
pub mod ingress;
pub mod intent;
pub mod java;
pub mod limits;
pub mod machine;
pub mod name;
pub mod notation;
pub mod object_write;
pub mod observation;
pub mod order;
pub mod ownership;
pub mod package;
pub mod plan;
pub mod pod_template;
pub mod pods;
pub mod precheck;
pub mod preview;
pub mod proposal;
pub mod quantity;
pub mod rejection;
pub mod runtime;
pub mod selector;
pub mod share;
pub mod spec;
pub mod upload;

pub use cluster::{ClusterId, ClusterIdentity, KnownCluster};
pub use id::{ApplicationId, BatchId, CredentialId, MultipartId, OrderId, PackageId, ReleaseId};
pub use rejection::Rejection;
