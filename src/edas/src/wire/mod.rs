//! EDAS on the wire: how requests are signed and read, and how replies are written.

pub mod condition;
pub mod contract;
#[cfg(test)]
pub(crate) mod differences;
pub mod error;
pub mod family;
pub mod input;
pub mod offered;
pub mod page;
pub mod parameter;
pub mod params;
pub mod quantity;
pub mod reply;
#[cfg(test)]
pub(crate) mod shape;
pub mod signature;
pub mod time;
