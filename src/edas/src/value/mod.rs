//! Parameter values with a language of their own: JSON texts and numbers with units.
//!
//! Each reader turns one or more EDAS parameters into the domain's own types,
//! and refuses what it does not understand with the parameter's name, its value
//! and what is allowed. Limits that depend on the application (more batches
//! than instances) are not known here.

pub mod config_data;
pub mod environment;
pub mod ingress;
pub mod java;
pub mod lossless;
pub mod pods;
pub mod ports;
pub mod probe;
pub mod resource;
pub mod scaling;
pub mod strategy;
