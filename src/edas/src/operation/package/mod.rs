//! Uploading packages.

pub mod oss;
pub mod package_storage;
