//! The clusters: GetK8sCluster and ListK8sNamespaces.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    operation::release::deploy::CLUSTER_TYPE,
    wire::{
        error::ApiError,
        page::Page,
        reply::{Reply, wrapped},
    },
};
use service::ClusterView;

/// The kind of Kubernetes cluster that clients expect behind type 5.
pub(crate) const SUB_TYPE: &str = "ManagedKubernetes";

/// Reply of GetK8sCluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ClusterReply {
    /// A page of the list.
    pub cluster_page: ClusterPage,
}

/// A page of the list of clusters.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ClusterPage {
    /// The clusters on it.
    pub cluster_list: ClusterList,
    /// Its number, from 1.
    pub current_page: i32,
    /// Clusters on a page.
    pub page_size: i32,
    /// Clusters on all pages.
    pub total_size: i32,
}

wrapped! {
    /// Clusters.
    ClusterList, "Cluster": Cluster
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Cluster {
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
    /// Always `ManagedKubernetes`.
    #[schema(example = "ManagedKubernetes")]
    pub sub_cluster_type: String,
    /// 1 reachable, 2 not.
    #[schema(example = 1)]
    pub cluster_status: i32,
    /// `running` or `unavailable`.
    #[schema(example = "running")]
    pub cs_cluster_status: String,
    /// Always 1: imported.
    pub cluster_import_status: i32,
    /// Kubernetes version, where it is known.
    #[schema(example = "Kubernetes v1.33.0")]
    pub description: String,
    /// The server's region.
    pub region_id: String,
    /// Always 0: not counted.
    pub cpu: i32,
    /// Always 0: not counted.
    pub mem: i32,
    /// Always 0: not counted.
    pub node_num: i32,
    /// Always 1.
    pub network_mode: i32,
    /// Always empty.
    pub sub_net_cidr: String,
    /// Always empty.
    pub vpc_id: String,
    /// Always empty.
    pub vswitch_id: String,
}

/// Reply of ListK8sNamespaces.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NamespaceReply {
    /// The Kubernetes namespaces, sorted; a plain list.
    pub data: Vec<Namespace>,
}

/// A Kubernetes namespace.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Namespace {
    /// Its name.
    #[schema(example = "default")]
    pub namespace: String,
}

/// Lists the clusters.
#[utoipa::path(
    post, path = "/pop/v5/k8s_clusters", operation_id = "GetK8sCluster", tag = "Clusters",
    responses((status = 200, description = "The clusters.", body = Reply<ClusterReply>))
)]
pub async fn get_clusters(call: Call) -> Result<Reply<ClusterReply>, ApiError> {
    let params = &call.params;
    params.required("RegionTag")?;
    let page = Page::read(params, 1000)?;
    let kind = params.integer("ClusterType")?.unwrap_or(CLUSTER_TYPE);
    let matches =
        kind == CLUSTER_TYPE && params.text("SubClusterType").is_none_or(|it| it == SUB_TYPE);
    let clusters = call.service.clusters().await?;
    let found: Vec<Cluster> =
        clusters.iter().filter(|it| matches && !it.removed).map(show).collect();
    Ok(call.success(ClusterReply {
        cluster_page: ClusterPage {
            current_page: page.number,
            page_size: page.size,
            total_size: i32::try_from(found.len()).unwrap_or(i32::MAX),
            cluster_list: ClusterList { items: page.of(found.into_iter()) },
        },
    }))
}

/// Lists the Kubernetes namespaces of a cluster.
#[utoipa::path(
    get, path = "/pop/v5/k8s/acs/k8s_namespace", operation_id = "ListK8sNamespaces", tag = "Clusters",
    responses((status = 200, description = "The namespaces.", body = Reply<NamespaceReply>))
)]
pub async fn list_namespaces(call: Call) -> Result<Reply<NamespaceReply>, ApiError> {
    let cluster = call.service.cluster(call.params.text("ClusterId")).await?;
    let data = cluster.namespaces.into_iter().map(|namespace| Namespace { namespace }).collect();
    Ok(call.success(NamespaceReply { data }))
}

/// What it is, in a few words; empty until that is known.
pub(crate) fn described(cluster: &ClusterView) -> String {
    if cluster.version.is_empty() {
        String::new()
    } else {
        format!("Kubernetes {}", cluster.version)
    }
}

fn show(cluster: &ClusterView) -> Cluster {
    Cluster {
        cluster_id: cluster.id.clone(),
        cluster_name: cluster.id.clone(),
        cs_cluster_id: cluster.id.clone(),
        cluster_type: CLUSTER_TYPE,
        sub_cluster_type: SUB_TYPE.into(),
        cluster_status: if cluster.reachable { 1 } else { 2 },
        cs_cluster_status: if cluster.reachable { "running".into() } else { "unavailable".into() },
        cluster_import_status: 1,
        description: described(cluster),
        region_id: cluster.region.clone(),
        network_mode: 1,
        ..Cluster::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::shape;

    #[test]
    fn the_cluster_is_shown_as_an_imported_one_of_type_5() {
        let view = ClusterView {
            id: "default".into(),
            region: "cn-hangzhou".into(),
            version: "v1.37.2".into(),
            namespaces: vec!["default".into()],
            reachable: false,
            removed: false,
        };
        let reply = json!(ClusterReply {
            cluster_page: ClusterPage {
                cluster_list: ClusterList { items: vec![show(&view)] },
                current_page: 1,
                page_size: 1000,
                total_size: 1
            }
        });
        shape::check("GetK8sCluster", &reply);
        let cluster = &reply["ClusterPage"]["ClusterList"]["Cluster"][0];
        assert_eq!((&cluster["ClusterType"], &cluster["ClusterStatus"]), (&json!(5), &json!(2)));
        shape::check(
            "ListK8sNamespaces",
            &json!(NamespaceReply { data: vec![Namespace { namespace: "default".into() }] }),
        );
    }
}
