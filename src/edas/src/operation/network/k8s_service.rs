//! Services in front of an application: CreateK8sService, UpdateK8sService,
//! GetK8sServices and DeleteK8sService.
//!
//! Writes are done when the reply comes; the change order that it names has ended
//! then. Refusals leave none.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    operation::release::deploy::OrderReply,
    value::ports,
    wire::{error::ApiError, params::Params, reply::Reply},
};
use domain::{
    OrderId,
    object::service::{Reach, TrafficPolicy},
};
use service::Expose;

/// Reply of GetK8sServices.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ServicesReply {
    /// The Services, by name; a plain list.
    pub services: Vec<ListedService>,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedService {
    /// Its name.
    #[schema(example = "web")]
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or another of Kubernetes' words.
    #[schema(example = "ClusterIP")]
    pub r#type: String,
    /// Its address within the cluster; empty if it has none.
    #[serde(rename = "ClusterIP")]
    #[schema(example = "10.96.12.34")]
    pub cluster_ip: String,
    /// Its ports; a plain list.
    pub service_ports: Vec<ListedPort>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedPort {
    /// Where it listens.
    #[schema(example = 80)]
    pub port: i64,
    /// The container's port: its number or its name.
    #[schema(example = "8080")]
    pub target_port: String,
    /// `TCP`, `UDP` or `SCTP`.
    #[schema(example = "TCP")]
    pub protocol: String,
    /// The port on every node; 0 if it has none.
    pub node_port: i64,
}

/// Creates a Service in front of an application's instances.
///
/// It finds them as the application's Deployment does, whatever version they are. The
/// order that is named has ended when the reply comes.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/k8s_service", operation_id = "CreateK8sService", tag = "Network",
    responses((status = 200, description = "Created.", body = Reply<OrderReply>))
)]
pub async fn create(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    call.params.required("Type")?;
    call.params.required("ServicePorts")?;
    let order = call.service.create_service(&call.caller, wanted(&call)?).await?;
    Ok(done(&call, order))
}

/// Changes a Service that was created for an application.
///
/// What is absent stays; ServicePorts replaces all ports. A port that stays keeps its
/// port on the nodes. Services that were not made by this server are refused.
#[utoipa::path(
    put, path = "/pop/v5/k8s/acs/k8s_service", operation_id = "UpdateK8sService", tag = "Network",
    responses((status = 200, description = "Changed.", body = Reply<OrderReply>))
)]
pub async fn update(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let order = call.service.change_service(&call.caller, wanted(&call)?).await?;
    Ok(done(&call, order))
}

/// Lists the Services of an application, as they are now.
///
/// All that find its instances, whoever made them, and those that this server made for it.
#[utoipa::path(
    get, path = "/pop/v5/k8s/acs/k8s_service", operation_id = "GetK8sServices", tag = "Network",
    responses((status = 200, description = "The Services.", body = Reply<ServicesReply>))
)]
pub async fn list(call: Call) -> Result<Reply<ServicesReply>, ApiError> {
    let services = call.service.services(call.application()?).await?;
    Ok(call.success(ServicesReply { services: services.iter().map(show).collect() }))
}

/// Deletes a Service that was created for an application.
///
/// Services that were not made by this server are refused.
#[utoipa::path(
    delete, path = "/pop/v5/k8s/acs/k8s_service", operation_id = "DeleteK8sService", tag = "Network",
    responses((status = 200, description = "Deleted.", body = Reply<OrderReply>))
)]
pub async fn delete(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let order = call
        .service
        .delete_service(&call.caller, call.application()?, call.params.required("Name")?)
        .await?;
    Ok(done(&call, order))
}

fn wanted(call: &Call) -> Result<Expose, ApiError> {
    let params = &call.params;
    Ok(Expose {
        application: call.application()?,
        name: params.required("Name")?.into(),
        reach: reach(params)?,
        policy: policy(params)?,
        ports: ports::read(params, "ServicePorts")?,
    })
}

fn reach(params: &Params) -> Result<Option<Reach>, ApiError> {
    match params.text("Type") {
        None => Ok(None),
        Some(word) if word.eq_ignore_ascii_case("ClusterIP") => Ok(Some(Reach::ClusterIp)),
        Some(word) if word.eq_ignore_ascii_case("NodePort") => Ok(Some(Reach::NodePort)),
        Some(other) => Err(ApiError::refused(
            "Type",
            other,
            "must be ClusterIP or NodePort; BindK8sSlb makes one with a load balancer",
        )),
    }
}

fn policy(params: &Params) -> Result<Option<TrafficPolicy>, ApiError> {
    match params.text("ExternalTrafficPolicy") {
        None => Ok(None),
        Some(word) if word.eq_ignore_ascii_case("Local") => Ok(Some(TrafficPolicy::Local)),
        Some(word) if word.eq_ignore_ascii_case("Cluster") => Ok(Some(TrafficPolicy::Cluster)),
        Some(other) => {
            Err(ApiError::refused("ExternalTrafficPolicy", other, "must be Local or Cluster"))
        }
    }
}

fn show(service: &Value) -> ListedService {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let port = |port: &Value| ListedPort {
        port: port["port"].as_i64().unwrap_or(0),
        target_port: port["targetPort"]
            .as_i64()
            .map_or_else(|| text(&port["targetPort"]), |number| number.to_string()),
        protocol: text(&port["protocol"]),
        node_port: port["nodePort"].as_i64().unwrap_or(0),
    };
    ListedService {
        name: text(&service["metadata"]["name"]),
        r#type: text(&service["spec"]["type"]),
        cluster_ip: text(&service["spec"]["clusterIP"]),
        service_ports: ports.iter().map(port).collect(),
    }
}

pub(crate) fn done(call: &Call, order: OrderId) -> Reply<OrderReply> {
    call.success(OrderReply { change_order_id: order.to_string() })
}
