//! The operations, by family: each reads its parameters and asks the service.

pub mod access;
pub mod application;
pub mod cluster;
pub mod config;
pub mod network;
pub mod order;
pub mod package;
pub mod release;
