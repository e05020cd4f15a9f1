//! Regions and EDAS namespaces: ListAliyunRegion, ListUserDefineRegion,
//! InsertOrUpdateRegion and DeleteUserDefineRegion.
//!
//! A server is one region. EDAS calls a namespace a region too: its id is
//! `<region>:<name>`, which applications name as LogicalRegionId.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    operation::release::deploy::region_of,
    wire::{
        error::ApiError,
        reply::{Reply, wrapped},
    },
};

use service::{DescribeRegion, RegionView, Service};

/// Reply of ListAliyunRegion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RegionListReply {
    /// The regions.
    pub region_entity_list: RegionEntityList,
}

wrapped! {
    /// Regions: the server's.
    RegionEntityList, "RegionEntity": RegionEntity
}

/// A region.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RegionEntity {
    /// Its id.
    #[schema(example = "cn-hangzhou")]
    pub id: String,
    /// The same.
    #[schema(example = "cn-hangzhou")]
    pub name: String,
}

/// Reply of ListUserDefineRegion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EdasNamespaceListReply {
    /// The namespaces.
    pub user_define_region_list: UserDefineRegionList,
}

wrapped! {
    /// EDAS namespaces, by id.
    UserDefineRegionList, "UserDefineRegionEntity": NamespaceWithSwitch
}

/// Reply of InsertOrUpdateRegion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EdasNamespaceReply {
    /// The namespace.
    pub user_define_region_entity: NamespaceWithSwitch,
}

/// Reply of DeleteUserDefineRegion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeletedNamespaceReply {
    /// The namespace as it was.
    pub region_define: EdasNamespace,
}

/// An EDAS namespace.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EdasNamespace {
    /// Its number; 0 where nobody described it and applications are just in it.
    pub id: i64,
    /// Its id, for LogicalRegionId.
    #[schema(example = "cn-hangzhou:prod")]
    pub region_id: String,
    /// What it is called.
    pub region_name: String,
    /// Free text.
    pub description: String,
    /// The region before the colon.
    #[schema(example = "cn-hangzhou")]
    pub belong_region: String,
    /// Name of the access key that described it; empty if nobody did.
    pub user_id: String,
}

/// An EDAS namespace, with its switch.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NamespaceWithSwitch {
    /// Always false: remote debugging is not offered.
    pub debug_enable: bool,
    /// The namespace.
    #[serde(flatten)]
    pub namespace: EdasNamespace,
}

/// Lists the region that this server is.
#[utoipa::path(
    post, path = "/pop/v5/resource/region_list", operation_id = "ListAliyunRegion", tag = "Clusters",
    responses((status = 200, description = "The region.", body = Reply<RegionListReply>))
)]
pub async fn list_regions(call: Call) -> Result<Reply<RegionListReply>, ApiError> {
    Ok(call.success(RegionListReply {
        region_entity_list: RegionEntityList { items: vec![own_region(&call.service)] },
    }))
}

/// Lists the EDAS namespaces that somebody described or that applications are in.
#[utoipa::path(
    post, path = "/pop/v5/user_region_defs", operation_id = "ListUserDefineRegion", tag = "Clusters",
    responses((status = 200, description = "The namespaces.", body = Reply<EdasNamespaceListReply>))
)]
pub async fn list_namespaces(call: Call) -> Result<Reply<EdasNamespaceListReply>, ApiError> {
    let nothing = call.params.boolean("DebugEnable")? == Some(true);
    let found = call.service.regions().await?.into_iter().filter(|_| !nothing);
    let items = found.map(with_switch).collect();
    Ok(call.success(EdasNamespaceListReply {
        user_define_region_list: UserDefineRegionList { items },
    }))
}

/// Describes an EDAS namespace, or changes what is said of one.
///
/// Applications may be in a namespace that nobody described.
#[utoipa::path(
    post, path = "/pop/v5/user_region_def", operation_id = "InsertOrUpdateRegion", tag = "Clusters",
    responses((status = 200, description = "The namespace.", body = Reply<EdasNamespaceReply>))
)]
pub async fn describe(call: Call) -> Result<Reply<EdasNamespaceReply>, ApiError> {
    let params = &call.params;
    if let Some(other) = params.text("RegistryType").filter(|registry| *registry != "default") {
        return Err(ApiError::refused(
            "RegistryType",
            other,
            "only default is offered by this server",
        ));
    }
    let request = DescribeRegion {
        id: params.integer("Id")?.filter(|id| *id != 0),
        name: params.required("RegionTag")?.into(),
        title: params.required("RegionName")?.into(),
        description: params.raw("Description").map(str::to_owned),
    };
    let described = call.service.describe_region(&call.caller, request).await?;
    Ok(call.success(EdasNamespaceReply { user_define_region_entity: with_switch(described) }))
}

/// Forgets what is said of an EDAS namespace, unless applications are in it.
#[utoipa::path(
    delete, path = "/pop/v5/user_region_def", operation_id = "DeleteUserDefineRegion", tag = "Clusters",
    responses((status = 200, description = "The namespace as it was.", body = Reply<DeletedNamespaceReply>))
)]
pub async fn forget(call: Call) -> Result<Reply<DeletedNamespaceReply>, ApiError> {
    let id = call.params.integer("Id")?.filter(|id| *id != 0);
    let name = call.params.text("RegionTag");
    if id.is_none() && name.is_none() {
        return Err(ApiError::missing("Id"));
    }
    let forgotten = call.service.forget_region(&call.caller, id, name).await?;
    Ok(call.success(DeletedNamespaceReply { region_define: show(forgotten) }))
}

fn own_region(service: &Service) -> RegionEntity {
    let region = &service.settings().region;
    RegionEntity { id: region.clone(), name: region.clone() }
}

fn show(region: RegionView) -> EdasNamespace {
    EdasNamespace {
        id: region.id.unwrap_or(0),
        belong_region: region_of(&region.name).into(),
        region_id: region.name,
        region_name: region.title,
        description: region.description,
        user_id: region.created_by,
    }
}

fn with_switch(region: RegionView) -> NamespaceWithSwitch {
    NamespaceWithSwitch { debug_enable: false, namespace: show(region) }
}
