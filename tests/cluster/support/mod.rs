//! What the tests on a cluster share: a namespace to work in, Deployments to put
//! there, and eyes that miss no change.
//!
//! Nothing here knows which cluster it is on, but for how a `Space` begins.

mod deployment;
mod sampler;
mod space;

pub use deployment::{GATE, NO_DEADLINE, web, with};
pub use sampler::Sampler;
pub use space::Space;
