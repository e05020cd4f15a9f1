//! What the service asks the executors, and their answers.

pub(crate) mod cluster_query;
pub(crate) mod object_write;
pub(crate) mod precheck_request;
