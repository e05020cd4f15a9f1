//! Ordering releases: InsertK8sApplication, DeployK8sApplication and
//! RollbackApplication.
//!
//! The two big calls name the same settings differently; both are read into one
//! [`SpecChange`]. On a deploy, absent keeps a setting and empty clears it (R15).
//! Rules about the application (name, image, number of batches) are the service's.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    value::{
        environment::{read_added_envs, read_args, read_command, read_envs},
        java::{read_java, read_package, read_package_type},
        lossless, pods, ports, probe,
        resource::{AmountNames, read_amounts},
        strategy,
    },
    wire::{
        error::ApiError,
        offered,
        params::Params,
        reply::{Nothing, Reply},
    },
};
use domain::{
    ApplicationId, OrderId, Rejection, ReleaseId,
    name::DEFAULT_NAMESPACE,
    template::{
        container::Known,
        graceful_start::GracefulStartChange,
        pods::PodChange,
        spec::{Field, SpecChange},
    },
};
use service::{Adopt, CreateApplication, Deploy, RollBackTo};

/// EDAS' number for an imported Kubernetes cluster.
pub(crate) const CLUSTER_TYPE: i32 = 5;

/// Reply of every operation that orders something of an application.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct OrderReply {
    /// The new order's id, for GetChangeOrderInfo.
    #[schema(example = "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")]
    pub change_order_id: String,
}

/// Reply of InsertK8sApplication.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InsertReply {
    /// The new application.
    pub application_info: ApplicationInfo,
}

/// A new application, and the order that brings it up.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ApplicationInfo {
    /// The application's id.
    pub app_id: String,
    /// Its name.
    pub app_name: String,
    /// The order that creates the Deployment.
    pub change_order_id: String,
    /// Always 5: a Kubernetes cluster.
    #[schema(example = 5)]
    pub cluster_type: i32,
    /// Always true.
    pub dockerize: bool,
    /// Name of the access key.
    pub edas_id: String,
    /// Name of the access key.
    pub owner: String,
    /// The region.
    pub region_id: String,
    /// Name of the access key.
    pub user_id: String,
}

/// Creates an application and brings up its first version.
///
/// The Deployment has the application's name. Creating it is a change order. One of
/// that name that is there already is taken over as it runs: its order is over at once,
/// and of the parameters only texts and the logical region count. Services and load
/// balancers are written as soon as the creation is accepted; each is a change order of
/// its own once it is over, which ListRecentChangeOrder shows.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/create_k8s_app", operation_id = "InsertK8sApplication", tag = "Applications",
    responses((status = 200, description = "Accepted.", body = Reply<InsertReply>))
)]
pub async fn insert(call: Call) -> Result<Reply<InsertReply>, ApiError> {
    let request = read_insert(&call.params)?;
    let region =
        request.logical_region.clone().unwrap_or_else(|| call.service.settings().region.clone());
    let name = request.name.clone();
    let (application, order) = call.service.create_application(&call.caller, request).await?;
    Ok(inserted(&call, name, &region, (application, order)))
}

fn inserted(
    call: &Call,
    name: String,
    region: &str,
    (application, order): (ApplicationId, OrderId),
) -> Reply<InsertReply> {
    let owner = &call.caller.name;
    call.success(InsertReply {
        application_info: ApplicationInfo {
            app_id: application.to_string(),
            app_name: name,
            change_order_id: order.to_string(),
            cluster_type: CLUSTER_TYPE,
            dockerize: true,
            edas_id: owner.clone(),
            owner: owner.clone(),
            region_id: region_of(region).into(),
            user_id: owner.clone(),
        },
    })
}

/// Takes a Deployment over as an application, as it runs.
///
/// Nothing is changed on the cluster: its present template becomes the first version
/// of the history. InsertK8sApplication does the same where the name's Deployment is
/// there already.
#[utoipa::path(
    post, path = "/sluice/v1/adopt", operation_id = "AdoptDeployment", tag = "Applications",
    responses((status = 200, description = "Adopted.", body = Reply<InsertReply>))
)]
pub async fn adopt(call: Call) -> Result<Reply<InsertReply>, ApiError> {
    let params = &call.params;
    let request = Adopt {
        name: params.required("AppName")?.into(),
        cluster: params.required("ClusterId")?.into(),
        namespace: params.text("Namespace").unwrap_or(DEFAULT_NAMESPACE).into(),
        logical_region: params.text("LogicalRegionId").map(Into::into),
        description: params.text("ApplicationDescription").unwrap_or_default().into(),
        version: params.text("PackageVersion").map(Into::into),
        container: params.text("ContainerName").map(Into::into),
    };
    let region =
        request.logical_region.clone().unwrap_or_else(|| call.service.settings().region.clone());
    let name = request.name.clone();
    let adopted = call.service.adopt(&call.caller, request).await?;
    Ok(inserted(&call, name, &region, adopted))
}

/// Takes a Deployment over as an application, as AdoptDeployment does; ListApplication has its id then.
#[utoipa::path(
    post, path = "/pop/v5/oam/k8s_resource_convert", operation_id = "ConvertK8sResource", tag = "Applications",
    responses((status = 200, description = "Adopted.", body = Reply<Nothing>))
)]
pub async fn convert(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let params = &call.params;
    let kind = params.required("ResourceType")?;
    if !kind.eq_ignore_ascii_case("deployment") {
        return Err(ApiError::refused(
            "ResourceType",
            kind,
            "only deployment can be an application",
        ));
    }
    let request = Adopt {
        name: params.required("ResourceName")?.into(),
        cluster: params.required("ClusterId")?.into(),
        namespace: params.required("Namespace")?.into(),
        logical_region: None,
        description: String::new(),
        version: None,
        container: None,
    };
    call.service.adopt(&call.caller, request).await?;
    Ok(call.success(Nothing {}))
}

/// Orders a release of an application.
///
/// Settings whose parameter is absent stay as they are; where the text says so,
/// an empty parameter removes the setting. Releasing the same image again makes
/// new instances.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/k8s_apps", operation_id = "DeployK8sApplication", tag = "Change orders",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn deploy(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let request = read_deploy(&call)?;
    let order = call.service.deploy(&call.caller, request).await?;
    Ok(call.success(OrderReply { change_order_id: order.to_string() }))
}

/// Orders the release of a version from the history.
#[utoipa::path(
    post, path = "/pop/v5/changeorder/co_rollback", operation_id = "RollbackApplication", tag = "Change orders",
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn roll_back_to(call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let request = read_roll_back(&call)?;
    let order = call.service.roll_back_to(&call.caller, request).await?;
    Ok(call.success(OrderReply { change_order_id: order.to_string() }))
}

/// The region of an EDAS namespace, `<region>` or `<region>:<name>`.
pub(crate) fn region_of(logical_region: &str) -> &str {
    logical_region.split(':').next().unwrap_or(logical_region)
}

/// What of a request has no effect here.
fn notes(operation: &str, params: &Params, graceful_start: &GracefulStartChange) -> Vec<String> {
    let mut notes = offered::ignored(operation, params);
    notes.extend(lossless::without_effect(graceful_start));
    notes
}

fn read_insert(params: &Params) -> Result<CreateApplication, ApiError> {
    if let Some(value) = params.text("WorkloadType").filter(|value| *value != "Deployment") {
        return Err(ApiError::refused(
            "WorkloadType",
            value,
            "only Deployment is offered by this server",
        ));
    }
    let kind = read_package_type(params)?;
    // An image is what is meant where nothing is said.
    if kind.is_some() {
        params.required("PackageUrl")?;
    } else if params.text("PackageUrl").is_none() || params.text("PackageType").is_some() {
        params.required("ImageUrl")?;
    }
    let env = read_envs(params)?;
    let has_envs = env != Field::Keep;
    let pull_secret = pods::thing(params, "SecretName")?;
    let graceful_start = lossless::read(params)?;
    Ok(CreateApplication {
        name: params.required("AppName")?.into(),
        cluster: params.required("ClusterId")?.into(),
        namespace: params.text("Namespace").map(Into::into),
        logical_region: params.text("LogicalRegionId").map(Into::into),
        description: params.text("ApplicationDescription").unwrap_or_default().into(),
        replicas: params.integer("Replicas")?,
        version: params.text("PackageVersion").map(Into::into),
        spec: SpecChange {
            image: params.text("ImageUrl").map(Into::into),
            image_tag: None,
            env,
            command: read_command(params),
            args: read_args(params, "CommandArgs")?,
            readiness: probe::read(params, "Readiness")?,
            liveness: probe::read(params, "Liveness")?,
            drain_seconds: params.integer("DrainSeconds")?,
            graceful_start,
            pods: Box::new(PodChange { pull_secret, ..pods::read(params, has_envs)? }),
            java: Box::new(read_java(params)?),
            container: Known::Nothing,
            ..read_amounts(params, &AmountNames::CREATION)?
        },
        package: read_package(params, kind),
        timeout_seconds: params.integer("Timeout")?,
        notes: notes("InsertK8sApplication", params, &graceful_start),
        services: ports::read_first_services(params)?,
    })
}

pub(crate) fn read_deploy(call: &Call) -> Result<Deploy, ApiError> {
    let params = &call.params;
    let application = call.application()?;
    let env = read_envs(params)?;
    let has_envs = env != Field::Keep;
    let graceful_start = lossless::read(params)?;
    Ok(Deploy {
        application,
        spec: SpecChange {
            image: params.text("Image").map(Into::into),
            image_tag: params.text("ImageTag").map(Into::into),
            env,
            command: read_command(params),
            args: read_args(params, "Args")?,
            readiness: probe::read(params, "Readiness")?,
            liveness: probe::read(params, "Liveness")?,
            drain_seconds: params.integer("DrainSeconds")?,
            graceful_start,
            pods: Box::new(pods::read(params, has_envs)?),
            java: Box::new(read_java(params)?),
            container: Known::Nothing,
            added_env: read_added_envs(params)?,
            ..read_amounts(params, &AmountNames::RELEASE)?
        },
        package: read_package(params, None),
        release: read_release(params, application)?,
        version: params.text("PackageVersion").map(Into::into),
        replicas: params.integer("Replicas")?,
        strategy: strategy::read(params)?,
        batch_timeout_seconds: params.integer("BatchTimeout")?,
        min_ready_seconds: params.integer("BatchWaitTime")?,
        description: params.text("ChangeOrderDesc").unwrap_or_default().into(),
        notes: notes("DeployK8sApplication", params, &graceful_start),
        plan_hash: params.text("PlanHash").map(Into::into),
        allows_no_surge: params.boolean("AllowNoSurge")?.unwrap_or(false),
        template: None,
    })
}

fn read_release(
    params: &Params,
    application: ApplicationId,
) -> Result<Option<ReleaseId>, ApiError> {
    let Some(text) = params.text("PackageVersionId") else { return Ok(None) };
    let unknown =
        || Rejection::UnknownVersion { application, version: text.chars().take(100).collect() };
    Ok(Some(text.parse().map_err(|_| unknown())?))
}

fn read_roll_back(call: &Call) -> Result<RollBackTo, ApiError> {
    let params = &call.params;
    let application = call.application()?;
    // Every group is the default one, but the documentation demands it.
    params.required("GroupId")?;
    Ok(RollBackTo {
        application,
        version: params.required("HistoryVersion")?.into(),
        batches: params.integer("Batch")?,
        wait_minutes: params.integer("BatchWaitTime")?,
    })
}

#[cfg(test)]
mod tests;
