//! ConfigMaps, Secrets and config templates.

pub mod config_template;
pub mod k8s_config_map;
pub mod k8s_secret;
