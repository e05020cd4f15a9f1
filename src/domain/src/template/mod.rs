//! A pod template: what a release changes in it, what stays, and who owns which part.

pub mod container;
pub mod edit;
pub mod env;
pub mod given;
pub mod graceful_start;
pub mod java;
pub mod names;
pub mod ownership;
pub mod pods;
pub mod quantity;
pub mod sameness;
pub mod selector;
pub mod settings;
pub mod share;
pub mod spec;
