//! What is kept for callers beside applications: access keys, EDAS namespaces, config templates.

pub(crate) mod access_key;
pub(crate) mod config_template;
pub(crate) mod hold_rule;
pub(crate) mod ingress_host;
pub(crate) mod logical_region;
pub(crate) mod principal;
