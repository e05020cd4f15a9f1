//! Clusters, regions and namespaces.

pub mod imported;
pub mod k8s_cluster;
pub mod region;
