//! Objects beside an application's Deployment, written on the cluster for a caller.

pub(crate) mod config_data;
pub(crate) mod expose;
pub(crate) mod ingress;
pub(crate) mod scaling_rule;
pub(crate) mod write;
