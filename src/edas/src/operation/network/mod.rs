//! What stands in front of an application: Services, load balancers, ingress rules.

pub mod k8s_ingress;
pub mod k8s_service;
pub mod k8s_slb;
