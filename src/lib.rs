//! Sluice: change orders for Kubernetes, speaking the EDAS API.
//!
//! *`http` asks `service`, `service` obeys `domain`, `store` remembers,
//! `executor` drives, `cluster` does*; `package` asks for the packages that are
//! to be released, and `simulated` stands in for Kubernetes.
//! `docs/how-it-works.md` draws the picture.

#[cfg(test)]
#[path = "../tests/it/support/authority.rs"]
mod authority;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod domain;
pub mod executor;
pub mod fetch;
#[cfg(test)]
#[path = "../tests/it/support/files.rs"]
mod files;
pub mod http;
pub mod package;
pub mod service;
pub mod simulated;
pub mod store;
