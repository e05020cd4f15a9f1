//! Operating an application beside its releases: ScaleK8sApplication,
//! StopK8sApplication, StartK8sApplication, RestartK8sApplication,
//! UpdateK8sApplicationConfig, UpdateK8sApplicationBaseInfo, DeleteK8sApplication and
//! DeleteApplication.
//!
//! Each but UpdateK8sApplicationBaseInfo answers with a change order, which is followed
//! as a release is.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    operation::release::deploy::OrderReply,
    value::resource::{AmountNames, read_amounts},
    wire::{
        error::ApiError,
        reply::{Reply, SUCCESS},
    },
};
use domain::{
    OrderId,
    template::{pods::PodChange, spec::SpecChange},
};
use service::{Configure, Describe, Scale, Start};

/// Changes the number of instances.
///
/// The order is done when exactly so many instances are there and ready. One that
/// fails says which instance cannot start, and leaves those that run; nothing is
/// rolled back automatically. AbortAndRollbackChangeOrder brings the number before back.
#[utoipa::path(
    put, path = "/pop/v5/k8s/acs/k8s_apps", operation_id = "ScaleK8sApplication", tag = "Applications",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn scale(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let application = call.application()?;
    call.params.required("Replicas")?;
    let replicas = call.params.integer("Replicas")?.unwrap_or_default();
    let request = Scale { application, replicas, timeout_seconds: call.params.integer("Timeout")? };
    let order = call.service.scale(&call.caller, request).await?;
    Ok(ordered(&call, order))
}

/// Lets all instances go.
///
/// The order is done when none is left. How many there were is remembered for
/// StartK8sApplication. A release that was aborted or failed half way ends with it: the
/// version before is what is started again.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/stop_k8s_app", operation_id = "StopK8sApplication", tag = "Applications",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn stop(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let timeout_seconds = call.params.integer("Timeout")?;
    let order = call.service.stop(&call.caller, call.application()?, timeout_seconds).await?;
    Ok(ordered(&call, order))
}

/// Brings instances up again after all of them went.
///
/// The order is done when all are there and ready. One that fails says which instance
/// cannot start, and leaves those that run.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/start_k8s_app", operation_id = "StartK8sApplication", tag = "Applications",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn start(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let request = Start {
        application: call.application()?,
        replicas: call.params.integer("Replicas")?,
        timeout_seconds: call.params.integer("Timeout")?,
    };
    let order = call.service.start(&call.caller, request).await?;
    Ok(ordered(&call, order))
}

/// Replaces all instances by others of the same version.
///
/// New ones come before old ones go, as in a release all at once. One that fails is
/// rolled back automatically. The history gets no new version.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/restart_k8s_app", operation_id = "RestartK8sApplication", tag = "Applications",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn restart(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let timeout_seconds = call.params.integer("Timeout")?;
    let order = call.service.restart(&call.caller, call.application()?, timeout_seconds).await?;
    Ok(ordered(&call, order))
}

/// Gives the instances other limits and requests.
///
/// A release of what runs, all at once, with instances missing at no time; where it
/// fails it is rolled back automatically. It is a version of the history of its own.
#[utoipa::path(
    put, path = "/pop/v5/k8s/acs/k8s_app_configuration", operation_id = "UpdateK8sApplicationConfig", tag = "Applications",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn configure(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let params = &call.params;
    let request = Configure {
        application: call.application()?,
        cluster: params.text("ClusterId").map(Into::into),
        spec: SpecChange {
            pods: Box::new(PodChange {
                disk_limit: params.integer("EphemeralStorageLimit")?,
                disk_request: params.integer("EphemeralStorageRequest")?,
                ..PodChange::default()
            }),
            ..read_amounts(params, &AmountNames::RELEASE)?
        },
        timeout_seconds: params.integer("Timeout")?,
    };
    let order = call.service.configure(&call.caller, request).await?;
    Ok(ordered(&call, order))
}

/// Reply of UpdateK8sApplicationBaseInfo.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeReply {
    /// `success`.
    #[schema(example = "success")]
    pub result: String,
}

/// Says something else of an application.
///
/// Takes effect at once, without an order; no instance hears of it. What is absent stays,
/// what is empty is removed.
#[utoipa::path(
    post, path = "/pop/v5/oam/update_app_basic_info", operation_id = "UpdateK8sApplicationBaseInfo", tag = "Applications",
    responses((status = 200, description = "Done.", body = Reply<DescribeReply>))
)]
pub async fn describe(call: Call) -> Result<Reply<DescribeReply>, ApiError> {
    let said = |name| call.params.raw(name).map(Into::into);
    let request = Describe {
        application: call.application()?,
        description: said("Description"),
        owner: said("Owner"),
        email: said("Email"),
        phone: said("PhoneNumber"),
    };
    call.service.describe(&call.caller, request).await?;
    Ok(call.success(DescribeReply { result: SUCCESS.into() }))
}

/// Deletes an application and its Deployment.
///
/// Instances go with it; it need not be stopped before, and its Deployment may be gone
/// already. Once the order is done the application does not exist any more, its name is
/// free, and its orders can still be read. What else belongs to it on the cluster, such
/// as Services, is left alone.
#[utoipa::path(
    delete, path = "/pop/v5/k8s/acs/k8s_apps", operation_id = "DeleteK8sApplication", tag = "Applications",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn delete(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    call.params.boolean("Force")?;
    if call.params.boolean("KeepDeployment")? == Some(true) {
        let order = call.service.forget(&call.caller, call.application()?).await?;
        return Ok(ordered(&call, order));
    }
    delete_any(call).await
}

/// Deletes an application: the same as DeleteK8sApplication.
#[utoipa::path(
    delete, path = "/pop/v5/changeorder/co_delete_app", operation_id = "DeleteApplication", tag = "Applications",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn delete_any(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let order = call.service.delete(&call.caller, call.application()?).await?;
    Ok(ordered(&call, order))
}

fn ordered(call: &Call, order: OrderId) -> Reply<OrderReply> {
    call.success(OrderReply { change_order_id: order.to_string() })
}
