//! Objects beside an application's Deployment: what they hold, and how they are written.

pub mod autoscaling;
pub mod config_data;
pub mod ingress;
pub mod load_balancer;
pub mod service;
pub mod write;
