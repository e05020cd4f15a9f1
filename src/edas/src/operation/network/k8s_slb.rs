//! Load balancers in front of an application: BindK8sSlb, UpdateK8sSlb and UnbindK8sSlb.
//!
//! A binding is a Service of the type LoadBalancer. What of it is about load balancers of
//! Alibaba Cloud is told to its cloud controller in annotations; other clusters' own
//! controllers do not read them.

use super::k8s_service::done;
use crate::{
    edge::call::Call,
    operation::release::deploy::OrderReply,
    value::ports,
    wire::{error::ApiError, reply::Reply},
};
use domain::object::service::{Balancer, Network};
use service::Bind;

/// Binds an application to a load balancer.
///
/// Creates a Service of the type LoadBalancer, named `<application>-internet` or
/// `<application>-intranet`, with annotations `service.beta.kubernetes.io/alibaba-cloud-loadbalancer-*`
/// for Alibaba Cloud's cloud controller. An application has at most one of each Type.
/// The order that is named has ended when the reply comes; the load balancer itself
/// comes up after that.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/k8s_slb_binding", operation_id = "BindK8sSlb", tag = "Network",
    responses((status = 200, description = "Bound.", body = Reply<OrderReply>))
)]
pub async fn bind(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let request = wanted(&call)?;
    if request.balancer.listeners.is_none() {
        return Err(ApiError::missing("ServicePortInfos"));
    }
    let order = call.service.bind(&call.caller, request).await?;
    Ok(done(&call, order))
}

/// Changes how an application is bound to a load balancer.
///
/// What is absent stays; ports are replaced as a whole.
#[utoipa::path(
    put, path = "/pop/v5/k8s/acs/k8s_slb_binding", operation_id = "UpdateK8sSlb", tag = "Network",
    responses((status = 200, description = "Changed.", body = Reply<OrderReply>))
)]
pub async fn update(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let order = call.service.change_binding(&call.caller, wanted(&call)?).await?;
    Ok(done(&call, order))
}

/// Takes a load balancer from an application.
///
/// Deletes the Service; what becomes of the load balancer is the cloud controller's: one
/// that it made goes, one that SlbId named stays.
#[utoipa::path(
    delete, path = "/pop/v5/k8s/acs/k8s_slb_binding", operation_id = "UnbindK8sSlb", tag = "Network",
    responses((status = 200, description = "Unbound.", body = Reply<OrderReply>))
)]
pub async fn unbind(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let order = call.service.unbind(&call.caller, wanted(&call)?).await?;
    Ok(done(&call, order))
}

/// What Terraform sends for every cluster when it changes a binding: the parameter's name.
const ANY_CLUSTER: &str = "ClusterId";

fn wanted(call: &Call) -> Result<Bind, ApiError> {
    let params = &call.params;
    let network = match params.required("Type")? {
        word if word.eq_ignore_ascii_case("internet") => Network::Internet,
        word if word.eq_ignore_ascii_case("intranet") => Network::Intranet,
        other => {
            return Err(ApiError::refused("Type", other, "must be internet or intranet"));
        }
    };
    let scheduler = params.text("Scheduler").map(str::to_lowercase);
    if let Some(other) = scheduler.as_ref().filter(|word| !matches!(word.as_str(), "rr" | "wrr")) {
        return Err(ApiError::refused(
            "Scheduler",
            other,
            "must be rr (in turn) or wrr (by weight)",
        ));
    }
    Ok(Bind {
        application: call.application()?,
        cluster: params.text("ClusterId").filter(|id| *id != ANY_CLUSTER).map(Into::into),
        network,
        name: params.text("SlbName").map(Into::into),
        balancer: Balancer {
            id: params.text("SlbId").map(Into::into),
            specification: params.text("Specification").map(Into::into),
            scheduler,
            overrides: params.boolean("DisableForceOverride")?.map(|disabled| !disabled),
            listeners: ports::read_listeners(params)?,
        },
    })
}
