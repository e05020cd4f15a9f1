//! Applications: read, operated, tagged and scaled.

pub mod component;
pub(crate) mod container;
pub mod deploy_group;
pub mod instance;
pub mod java_config;
pub mod k8s_application;
pub mod lifecycle;
pub mod list;
pub(crate) mod logs;
pub mod scaling_rule;
pub(crate) mod slb_info;
pub mod status;
pub mod tag;
