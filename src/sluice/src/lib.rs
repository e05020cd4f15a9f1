//! Sluice: change orders for Kubernetes, speaking the EDAS API.
//!
//! *`edas` asks `service`, `service` obeys `domain`, `store` remembers,
//! `executor` drives, `cluster` does*; `package` asks for the packages that are
//! to be released, and `simulated` stands in for Kubernetes. Each is a crate. This one
//! is the program that puts them together: its settings, and what runs in an init
//! container. `docs/how-it-works.md` draws the picture.

pub mod beside;
pub mod config;
pub mod fetch;
pub mod rights;
