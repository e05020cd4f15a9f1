//! What callers name and list: clusters, EDAS namespaces, tags and config templates.

pub(crate) mod cluster;
pub(crate) mod config_template;
pub(crate) mod driven_cluster;
pub(crate) mod hold_rule;
pub(crate) mod region;
pub(crate) mod tag;
