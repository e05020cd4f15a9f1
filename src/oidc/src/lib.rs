//! Signs people in through an identity provider: OpenID Connect's authorization code flow,
//! with PKCE, `state` and `nonce`.
//!
//! [`Provider`] sends a browser to the provider, and learns from what the provider answers
//! who somebody is. What a token must be like is the library's and [`token`]'s to judge. It
//! knows nothing of pages, keys or sessions.

mod fetch;
mod known;
mod provider;
mod seal;
mod settings;
#[cfg(test)]
mod tests;
mod token;

pub use known::{read_keys, read_metadata};
pub use provider::{Failure, Provider, Reply};
pub use seal::{Pending, Seal};
pub use settings::{Settings, issuer, site};
pub use token::{Claimed, Expected, person_of};
