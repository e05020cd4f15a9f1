//! The cluster as one that was imported into EDAS: GetCluster, ListCluster,
//! ImportK8sCluster and DeleteCluster.
//!
//! Clusters are added by the operator, and are imported from then on. Clients poll
//! GetCluster for that, and match `does not exist` where it is none of them, or removed.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    operation::{
        cluster::k8s_cluster::{SUB_TYPE, described},
        release::deploy::{CLUSTER_TYPE, region_of},
    },
    wire::{
        error::ApiError,
        reply::{Reply, wrapped},
    },
};
use domain::{Input, Rejection};
use service::{ClusterView, check_region};

/// Reply of GetCluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ImportedReply {
    /// The cluster.
    pub cluster: ImportedCluster,
}

/// A cluster that was imported.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ImportedCluster {
    /// Always 1: imported.
    pub cluster_import_status: i32,
    /// Always `ManagedKubernetes`.
    #[schema(example = "ManagedKubernetes")]
    pub sub_cluster_type: String,
    /// The fields that lists have too.
    #[serde(flatten)]
    pub common: ListedCluster,
}

/// Reply of ListCluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ClusterListReply {
    /// The clusters.
    pub cluster_list: ListedClusters,
}

wrapped! {
    /// Clusters.
    ListedClusters, "Cluster": ListedCluster
}

/// A cluster in a list. What is not counted (processors, memory, nodes) is absent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedCluster {
    /// Its id, for InsertK8sApplication.
    #[schema(example = "default")]
    pub cluster_id: String,
    /// Its id.
    pub cluster_name: String,
    /// Its id.
    pub cs_cluster_id: String,
    /// Always 5.
    #[schema(example = 5)]
    pub cluster_type: i32,
    /// Kubernetes version, where it is known.
    #[schema(example = "Kubernetes v1.33.0")]
    pub description: String,
    /// The server's region.
    pub region_id: String,
    /// Always 1.
    pub network_mode: i32,
    /// Always empty.
    pub vpc_id: String,
}

/// Reply of ImportK8sCluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ImportReply {
    /// The cluster's id.
    #[schema(example = "default")]
    pub data: String,
}

/// Reply of DeleteCluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RemovalReply {
    /// Always true.
    pub data: bool,
}

/// Shows a cluster.
#[utoipa::path(
    get, path = "/pop/v5/resource/cluster", operation_id = "GetCluster", tag = "Clusters",
    responses((status = 200, description = "The cluster.", body = Reply<ImportedReply>))
)]
pub async fn get(call: Call) -> Result<Reply<ImportedReply>, ApiError> {
    let cluster = call.service.cluster(Some(call.params.required("ClusterId")?)).await?;
    if cluster.removed {
        return Err(Rejection::RemovedCluster(cluster.id).into());
    }
    let cluster = ImportedCluster {
        cluster_import_status: 1,
        sub_cluster_type: SUB_TYPE.into(),
        common: show(&cluster),
    };
    Ok(call.success(ImportedReply { cluster }))
}

/// Lists the clusters.
#[utoipa::path(
    post, path = "/pop/v5/resource/cluster_list", operation_id = "ListCluster", tag = "Clusters",
    responses((status = 200, description = "The clusters.", body = Reply<ClusterListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<ClusterListReply>, ApiError> {
    let region = call.params.text("LogicalRegionId").map(region_of);
    let matches = |it: &&ClusterView| !it.removed && region.is_none_or(|name| name == it.region);
    let items = call.service.clusters().await?.iter().filter(matches).map(show).collect();
    Ok(call.success(ClusterListReply { cluster_list: ListedClusters { items } }))
}

/// Accepts a cluster that the operator added, and no other; nothing is to be done for it.
#[utoipa::path(
    post, path = "/pop/v5/import_k8s_cluster", operation_id = "ImportK8sCluster", tag = "Clusters",
    responses((status = 200, description = "The cluster is imported.", body = Reply<ImportReply>))
)]
pub async fn import(call: Call) -> Result<Reply<ImportReply>, ApiError> {
    let cluster = call.service.cluster(Some(call.params.required("ClusterId")?)).await?;
    call.params.integer::<i32>("Mode")?;
    if let Some(namespace) = call.params.text("NamespaceId") {
        check_region(Input::LogicalRegion, namespace)?;
    }
    call.service.import_cluster(&call.caller, &cluster.id).await?;
    Ok(call.success(ImportReply { data: cluster.id }))
}

/// Removes a cluster from what clients see.
///
/// GetCluster says then that it does not exist, and lists leave it out, until
/// ImportK8sCluster or the next application that is created on it brings it back.
/// Nothing changes on the cluster. Refused while applications are on it.
#[utoipa::path(
    delete, path = "/pop/v5/resource/cluster", operation_id = "DeleteCluster", tag = "Clusters",
    responses((status = 200, description = "The cluster is removed.", body = Reply<RemovalReply>))
)]
pub async fn remove(call: Call) -> Result<Reply<RemovalReply>, ApiError> {
    call.params.integer::<i32>("Mode")?;
    call.service.remove_cluster(&call.caller, call.params.required("ClusterId")?).await?;
    Ok(call.success(RemovalReply { data: true }))
}

fn show(cluster: &ClusterView) -> ListedCluster {
    ListedCluster {
        cluster_id: cluster.id.clone(),
        cluster_name: cluster.id.clone(),
        cs_cluster_id: cluster.id.clone(),
        cluster_type: CLUSTER_TYPE,
        description: described(cluster),
        region_id: cluster.region.clone(),
        network_mode: 1,
        vpc_id: String::new(),
    }
}
