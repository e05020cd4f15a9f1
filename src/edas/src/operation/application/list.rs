//! Reading applications: ListApplication and GetApplication.
//!
//! GetApplication gives the same object twice, under `Application` and under
//! the misspelt `Applcation` (R12), with two fields of different types: each SDK
//! generation reads one of them and refuses the other's types.

use std::collections::HashSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::slb_info;
use crate::{
    edge::call::Call,
    operation::release::deploy::{CLUSTER_TYPE, region_of},
    wire::{
        error::ApiError,
        page::Page,
        params::Params,
        reply::{Reply, wrapped},
    },
};
use domain::{
    application::{Application, Phase},
    object::{load_balancer::Binding, service::Network},
    package::PackageKind,
    template::spec::Field,
};

/// Reply of ListApplication.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ApplicationListReply {
    /// The applications.
    pub application_list: ApplicationList,
}

wrapped! {
    /// Applications, oldest first.
    ApplicationList, "Application": ListedApplication
}

/// An application in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedApplication {
    /// Its id.
    pub app_id: String,
    /// Its name.
    pub name: String,
    /// `Image`, `FatJar` or `War`.
    #[schema(example = "Image")]
    pub application_type: String,
    /// Always -1: none.
    pub build_package_id: i64,
    /// Its cluster.
    pub cluster_id: String,
    /// Always 5: a Kubernetes cluster.
    pub cluster_type: i32,
    /// When it was created, in milliseconds since 1970.
    pub create_time: i64,
    /// Desired number of instances.
    pub instances: i32,
    /// Instances that are ready.
    pub running_instance_count: i32,
    /// Its Kubernetes namespace.
    pub k8s_namespace: String,
    /// Its EDAS namespace.
    pub namespace_id: String,
    /// The same, as Jenkins compares it.
    #[schema(example = "cn-hangzhou:prod")]
    pub region_id: String,
    /// `RUNNING`, `STOPPED` (no instances wanted, or the Deployment was deleted), `DEPLOYING` (an order is open) or `DELETING`.
    #[schema(example = "RUNNING")]
    pub state: String,
    /// Always 0.
    pub port: i32,
    /// Always empty.
    pub resource_group_id: String,
    /// Always empty.
    pub slb_ip: String,
    /// Always empty.
    pub ext_slb_ip: String,
    /// Always 0.
    pub slb_port: i32,
    /// Always 0.
    pub slb_listener_port: i32,
    /// Always 0.
    pub ext_slb_listener_port: i32,
}

/// Reply of GetApplication.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ApplicationReply {
    /// The application, as newer SDKs read it.
    #[serde(rename = "Application")]
    pub application: ApplicationDetails,
    /// The same, as older SDKs read it.
    #[serde(rename = "Applcation")]
    pub twin: ApplicationTwin,
}

/// An application, as newer SDKs read it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ApplicationDetails {
    /// Always `5`: a Kubernetes cluster.
    #[schema(example = "5")]
    pub cluster_type: String,
    /// Always `true`.
    #[schema(example = "true")]
    pub have_manage_access: String,
    /// The fields of both forms.
    #[serde(flatten)]
    pub common: ApplicationCommon,
}

/// An application, as older SDKs read it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ApplicationTwin {
    /// Always 5: a Kubernetes cluster.
    #[schema(example = 5)]
    pub cluster_type: i32,
    /// Always true.
    pub have_manage_access: bool,
    /// The fields of both forms.
    #[serde(flatten)]
    pub common: ApplicationCommon,
}

/// What both forms of an application have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ApplicationCommon {
    /// Its id.
    pub app_id: String,
    /// Its name.
    pub name: String,
    /// `ready`, `progressing` (an order is open) or `failed` (the last order did not end well; changes are possible).
    #[schema(example = "ready")]
    pub app_phase: String,
    /// `Image`, `FatJar` or `War`.
    #[schema(example = "Image")]
    pub application_type: String,
    /// Always -1: none.
    pub build_package_id: i64,
    /// Its cluster.
    pub cluster_id: String,
    /// When it was created, in milliseconds since 1970.
    pub create_time: i64,
    /// Free text.
    pub description: String,
    /// Always true.
    pub dockerize: bool,
    /// Desired number of instances.
    pub instance_count: i32,
    /// Instances that are ready.
    pub running_instance_count: i32,
    /// Its Kubernetes namespace.
    pub name_space: String,
    /// Whose it is: the access key's name that created it, unless UpdateK8sApplicationBaseInfo named somebody.
    pub owner: String,
    /// Name of the access key that created it.
    pub user_id: String,
    /// Its region.
    pub region_id: String,
    /// Always `Deployment`.
    #[schema(example = "Deployment")]
    pub workload_type: String,
    /// The owner's address; empty unless UpdateK8sApplicationBaseInfo gave one.
    pub email: String,
    /// Always 0; limits are in GetK8sApplication.
    pub cpu: i32,
    /// Always 0; limits are in GetK8sApplication.
    pub memory: i32,
    /// Always 0.
    pub port: i32,
    /// Always false.
    pub enable_port_check: bool,
    /// Always false.
    pub enable_url_check: bool,
    /// Always empty.
    pub health_check_url: String,
    /// Always empty.
    pub resource_group_id: String,
    /// The load balancers that BindK8sSlb bound, as they are now: JSON list of `{name, addressType, slbId, ip,
    /// scheduler, specification, portMappings}`. Empty if there are none, or none can be looked at now.
    #[schema(example = "")]
    pub slb_info: String,
    /// Id of the one on the private network; empty if there is none, or it has none yet.
    pub slb_id: String,
    /// Its address; empty while it has none.
    pub slb_ip: String,
    /// Its name in UnbindK8sSlb.
    pub slb_name: String,
    /// Its first port; 0 if there is none.
    pub slb_port: i32,
    /// Id of the one on the Internet; empty if there is none, or it has none yet.
    pub ext_slb_id: String,
    /// Its address; empty while it has none.
    pub ext_slb_ip: String,
    /// Its name in UnbindK8sSlb.
    pub ext_slb_name: String,
}

/// Lists applications, oldest first.
///
/// Without PageSize, all of them. There is no total count in the reply, as in EDAS.
#[utoipa::path(
    post, path = "/pop/v5/app/app_list", operation_id = "ListApplication", tag = "Applications",
    responses((status = 200, description = "The applications.", body = Reply<ApplicationListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<ApplicationListReply>, ApiError> {
    let params = &call.params;
    let page = Page::read(params, i32::MAX)?;
    let ids = read_ids(params)?;
    let matches = |application: &Application| {
        let logical = application.logical_region.as_str();
        ids.as_ref().is_none_or(|ids| ids.contains(&application.id.to_string()))
            && params.text("ClusterId").is_none_or(|id| id == application.cluster.as_str())
            && params.text("LogicalRegionIdFilter").is_none_or(|filter| filter == logical)
            && params
                .text("LogicalRegionId")
                .is_none_or(|filter| filter == logical || filter == region_of(logical))
    };
    let found = call.service.applications(params.text("AppName")).await?;
    let items = page.of(found.iter().filter(|application| matches(application)).map(listed));
    Ok(call.success(ApplicationListReply { application_list: ApplicationList { items } }))
}

/// Reads `AppIds`; none = all.
///
/// # Errors
/// A business error with what is allowed.
pub fn read_ids(params: &Params) -> Result<Option<HashSet<String>>, ApiError> {
    Ok(match params.json("AppIds", r#"allowed is a JSON list of ids ["a","b"]"#)? {
        Field::Set(ids) => Some(ids),
        Field::Keep | Field::Clear => None,
    })
}

/// Shows an application.
#[utoipa::path(
    post, path = "/pop/v5/app/app_info", operation_id = "GetApplication", tag = "Applications",
    responses((status = 200, description = "The application, twice.", body = Reply<ApplicationReply>))
)]
pub async fn get(call: Call) -> Result<Reply<ApplicationReply>, ApiError> {
    let application = call.service.application(call.application()?).await?;
    let bindings = call.service.bindings(&application).await?;
    Ok(call.success(twins(&application, &bindings)))
}

fn twins(application: &Application, bindings: &[Binding]) -> ApplicationReply {
    let common = common(application, bindings);
    ApplicationReply {
        application: ApplicationDetails {
            cluster_type: CLUSTER_TYPE.to_string(),
            have_manage_access: "true".into(),
            common: common.clone(),
        },
        twin: ApplicationTwin { cluster_type: CLUSTER_TYPE, have_manage_access: true, common },
    }
}

fn common(application: &Application, bindings: &[Binding]) -> ApplicationCommon {
    let (private, public) = (on(Network::Intranet, bindings), on(Network::Internet, bindings));
    let phase = match application.phase() {
        Phase::Ready => "ready",
        Phase::Progressing => "progressing",
        Phase::Failed => "failed",
    };
    ApplicationCommon {
        app_id: application.id.to_string(),
        name: application.name.clone(),
        app_phase: phase.into(),
        application_type: type_of(application).into(),
        build_package_id: -1,
        cluster_id: application.cluster.to_string(),
        create_time: application.created_at.as_millisecond(),
        description: application.description.clone(),
        dockerize: true,
        instance_count: application.replicas,
        running_instance_count: application.ready_replicas,
        name_space: application.namespace.clone(),
        owner: application.owner.clone(),
        email: application.email.clone(),
        user_id: application.created_by.clone(),
        region_id: region_of(&application.logical_region).into(),
        workload_type: "Deployment".into(),
        slb_info: slb_info::show(bindings),
        slb_port: private.listeners.first().map_or(0, |listener| listener.port.into()),
        slb_id: private.id,
        slb_ip: private.address,
        slb_name: private.name,
        ext_slb_id: public.id,
        ext_slb_ip: public.address,
        ext_slb_name: public.name,
        ..ApplicationCommon::default()
    }
}

/// The load balancer on a network; nothing where there is none.
fn on(network: Network, bindings: &[Binding]) -> Binding {
    bindings
        .iter()
        .find(|binding| binding.network == network)
        .cloned()
        .unwrap_or_else(|| Binding::none(network))
}

/// What kind of thing an application runs, in EDAS' words.
pub(crate) fn type_of(application: &Application) -> &'static str {
    application.package.map_or("Image", PackageKind::word)
}

fn listed(application: &Application) -> ListedApplication {
    let state = match application.phase() {
        Phase::Progressing if application.is_going() => "DELETING",
        Phase::Progressing => "DEPLOYING",
        Phase::Ready | Phase::Failed
            if application.replicas == 0 || application.deployment_missing =>
        {
            "STOPPED"
        }
        Phase::Ready | Phase::Failed => "RUNNING",
    };
    ListedApplication {
        app_id: application.id.to_string(),
        name: application.name.clone(),
        application_type: type_of(application).into(),
        build_package_id: -1,
        cluster_id: application.cluster.to_string(),
        cluster_type: CLUSTER_TYPE,
        create_time: application.created_at.as_millisecond(),
        instances: application.replicas,
        running_instance_count: application.ready_replicas,
        k8s_namespace: application.namespace.clone(),
        namespace_id: application.logical_region.clone(),
        region_id: application.logical_region.clone(),
        state: state.into(),
        port: 0,
        resource_group_id: String::new(),
        slb_ip: String::new(),
        ext_slb_ip: String::new(),
        slb_port: 0,
        slb_listener_port: 0,
        ext_slb_listener_port: 0,
    }
}

#[cfg(test)]
mod tests;
