//! Applications: how they come, and what is known of them beside their releases.

pub(crate) mod adopt;
pub(crate) mod container;
pub(crate) mod first_service;
