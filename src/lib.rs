//! Sluice: change orders for Kubernetes, speaking the EDAS API.
//!
//! *`http` asks `service`, `service` obeys `domain`, `store` remembers,
//! `executor` drives, `cluster` does*; `simulated` stands in for Kubernetes.
//! The README draws the picture.

pub mod clock;
pub mod cluster;
pub mod config;
pub mod domain;
pub mod executor;
pub mod http;
pub mod service;
pub mod simulated;
pub mod store;
