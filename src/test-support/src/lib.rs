//! What tests of several crates share.

#![allow(missing_docs, clippy::unwrap_used, reason = "test code")]

pub mod authority;
pub mod dump;
pub mod files;
pub mod keyring;
pub mod sign;
