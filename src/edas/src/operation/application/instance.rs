//! What Kubernetes itself says of an application: DescribeAppInstanceList (its
//! pods) and GetAppDeployment (its Deployment).
//!
//! Looked at when the call comes in; where nobody can look, the reply says so. The
//! objects are given as JSON text, without `managedFields` and without what is
//! secret in a package's address.

use serde::Serialize;
use utoipa::ToSchema;

use super::deploy_group::{GROUP_NAME, id_of_group};
use crate::{
    edge::call::Call,
    wire::{error::ApiError, reply::Reply},
};
use domain::ApplicationId;
use service::InstanceView;

/// Reply of DescribeAppInstanceList.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceListReply {
    /// The instances, by name; a plain list.
    pub instance_list: Vec<ListedInstance>,
}

/// An instance: a pod.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedInstance {
    /// The application's id.
    pub app_id: String,
    /// Its instance group: always the default one, the application's id.
    pub group_id: String,
    /// Always `_DEFAULT_GROUP`.
    #[schema(example = "_DEFAULT_GROUP")]
    pub group_name: String,
    /// Whether it is a canary of an order that is open.
    pub canary: bool,
    /// Text of the version that it was made from; empty if it does not say.
    #[schema(example = "2.0")]
    pub version: String,
    /// Name of its node; empty while it has none.
    pub node_name: String,
    /// Labels of its node, as JSON text; empty without WithNodeInfo, or if they may not be seen.
    pub node_labels: String,
    /// The pod, as JSON text.
    pub pod_raw: String,
}

/// Reply of GetAppDeployment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeploymentReply {
    /// The Deployment, as JSON text.
    pub data: String,
}

/// Lists the instances (pods) of an application, as they are now.
///
/// Pods on their way out are not among them. Where no executor can look at the
/// cluster, the reply is a business error.
#[utoipa::path(
    get, path = "/pop/v5/oam/app_instance_list", operation_id = "DescribeAppInstanceList", tag = "Applications",
    responses((status = 200, description = "The instances.", body = Reply<InstanceListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<InstanceListReply>, ApiError> {
    let id = call.application()?;
    let nodes = call.params.boolean("WithNodeInfo")?.unwrap_or(false);
    let instances = call.service.instances(id, true, nodes).await?;
    Ok(call.success(InstanceListReply {
        instance_list: instances.into_iter().map(|it| show(id, it)).collect(),
    }))
}

/// Shows the Deployment of an application, as it is now.
///
/// Where there is none, or no executor can look at the cluster, the reply is a
/// business error.
#[utoipa::path(
    get, path = "/pop/v5/oam/app_deployment", operation_id = "GetAppDeployment", tag = "Applications",
    responses((status = 200, description = "The Deployment.", body = Reply<DeploymentReply>))
)]
pub async fn deployment(call: Call) -> Result<Reply<DeploymentReply>, ApiError> {
    let deployment = call.service.deployment(call.application()?).await?;
    Ok(call.success(DeploymentReply { data: deployment.to_string() }))
}

fn show(application: ApplicationId, instance: InstanceView) -> ListedInstance {
    let text =
        |object: Option<serde_json::Value>| object.map(|it| it.to_string()).unwrap_or_default();
    ListedInstance {
        app_id: application.to_string(),
        group_id: id_of_group(application),
        group_name: GROUP_NAME.into(),
        canary: instance.canary,
        version: instance.version,
        node_name: instance.pod.node,
        node_labels: text(instance.node_labels),
        pod_raw: text(instance.pod.object),
    }
}
