//! The parameters of clusters, regions and namespaces.

use super::{
    Parameter, boolean, integer, long,
    shared::{CLUSTER_ID, CURRENT_PAGE},
    text,
};

/// Of GetCluster.
pub const GET_CLUSTER: &[Parameter] = &[CLUSTER_ID];

/// Of ListCluster.
pub const LIST_CLUSTER: &[Parameter] = &[text("LogicalRegionId").about(
    "An EDAS namespace: the clusters serve all of their region, and are in none of \
     another region.",
)];

/// Of ImportK8sCluster.
pub const IMPORT_K8S_CLUSTER: &[Parameter] = &[
    CLUSTER_ID,
    text("NamespaceId")
        .about("An EDAS namespace, `<region>:<name>`; the cluster serves all of them anyway."),
    integer("Mode", i32::MIN as i64, i32::MAX as i64).about("Says nothing, as in EDAS."),
];

/// Of DeleteCluster.
pub const DELETE_CLUSTER: &[Parameter] = &[
    CLUSTER_ID,
    integer("Mode", i32::MIN as i64, i32::MAX as i64)
        .about("Which id ClusterId is; here both are the same."),
];

/// Of GetK8sCluster.
pub const GET_K8S_CLUSTER: &[Parameter] = &[
    text("RegionTag")
        .required()
        .about("A region; the server has only one, and shows its clusters whatever is given."),
    integer("ClusterType", 0, 100)
        .about("Only clusters of this type: 5, or 7 (self-managed), of which there are none."),
    text("SubClusterType").about(
        "Only clusters of this kind: `ManagedKubernetes`, or `Ask`, of which there are \
         none.",
    ),
    CURRENT_PAGE,
    integer("PageSize", 1, 10_000).about("Clusters on a page; 1000 if absent."),
];

/// Of ListK8sNamespaces.
pub const LIST_K8S_NAMESPACES: &[Parameter] =
    &[text("ClusterId").about("The cluster's id; that of the server's settings if absent.")];

/// Of ListAliyunRegion.
pub const LIST_ALIYUN_REGION: &[Parameter] = &[];

/// Of ListUserDefineRegion.
pub const LIST_USER_DEFINE_REGION: &[Parameter] = &[boolean("DebugEnable")
    .about("true: only those with remote debugging, of which there are none.")];

/// Of InsertOrUpdateRegion.
pub const INSERT_OR_UPDATE_REGION: &[Parameter] = &[
    text("RegionTag")
        .required()
        .about("Its id: `<region>:<name>`; it cannot be changed.")
        .example("cn-hangzhou:prod"),
    text("RegionName").required().about("What it is called; at most 63 characters."),
    text("Description").about("Free text of at most 128 characters; on a change, absent keeps it."),
    long("Id", 0, i64::MAX)
        .about("Number of the namespace to change; absent or 0 to describe another."),
    text("RegistryType").about("Only `default`."),
];

/// Of DeleteUserDefineRegion.
pub const DELETE_USER_DEFINE_REGION: &[Parameter] = &[
    long("Id", 0, i64::MAX).about("Number of the namespace; this or RegionTag must be given."),
    text("RegionTag").about("Id of the namespace: `<region>:<name>`."),
];
