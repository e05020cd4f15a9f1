//! Releases: ordered, asked about, and listed.

pub mod deploy;
pub mod history;
pub mod precheck;
pub mod resource;
