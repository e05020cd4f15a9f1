//! The checks: what Kubernetes does, as far as a release tool stands on it.
//!
//! Each check takes a `Space` (a client and a namespace of its own) and knows not
//! which cluster it is on. What it asserts was seen on Kubernetes 1.37.

pub mod api;
pub mod gate;
pub mod ownership;
pub mod patch;
pub mod pods;
pub mod rollout;
pub mod table;
pub mod watch;
