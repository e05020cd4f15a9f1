//! Change orders: accepted, steered, and asked about before there are any.

pub(crate) mod abort;
mod change;
pub(crate) mod configure;
pub(crate) mod create;
pub(crate) mod deploy;
pub(crate) mod edit;
pub(crate) mod hold;
pub(crate) mod operate;
pub(crate) mod precheck;
pub(crate) mod retry;
