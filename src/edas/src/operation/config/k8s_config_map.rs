//! ConfigMaps: CreateK8sConfigMap, UpdateK8sConfigMap, ListK8sConfigMaps and
//! DeleteK8sConfigMap.
//!
//! A ConfigMap belongs to a namespace, not to an application, so there is no change
//! order: a write is done when the reply comes.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    value::config_data::read_texts,
    wire::{
        condition::Condition,
        error::ApiError,
        page::PageFromZero,
        params::Params,
        reply::{Nothing, Reply},
    },
};
use domain::object::{config_data::Held, write::ObjectKind};
use service::{Config, ConfigView, Related};

/// Reply of ListK8sConfigMaps.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigMapListReply {
    /// The page.
    pub result: ConfigMapPage,
}

/// A page of ConfigMaps.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigMapPage {
    /// How many there are on all pages.
    pub total: i64,
    /// The ConfigMaps of this page, by namespace and name; a plain list.
    pub config_maps: Vec<ListedConfigMap>,
}

/// A ConfigMap.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedConfigMap {
    /// The cluster's id.
    #[schema(example = "default")]
    pub cluster_id: String,
    /// The same.
    pub cluster_name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was created, in UTC.
    #[schema(example = "2026-11-24T06:58:10Z")]
    pub creation_time: String,
    /// Its texts; what it holds in binary form is not shown.
    pub data: Vec<ConfigEntry>,
    /// The applications whose newest version names it, if asked for with ShowRelatedApps; else empty.
    pub related_apps: Vec<RelatedApp>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigEntry {
    /// Its key.
    #[schema(example = "application.yaml")]
    pub key: String,
    /// Its value; of a Secret, in base64.
    pub value: String,
}

/// An application that names a ConfigMap or Secret.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RelatedApp {
    /// Its id.
    pub app_id: String,
    /// Its name.
    pub app_name: String,
}

/// Creates a ConfigMap.
///
/// It gets the label `app.kubernetes.io/managed-by=sluice`. Applications take it with
/// EnvFroms or ConfigMountDescs.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/k8s_config_map", operation_id = "CreateK8sConfigMap", tag = "Configuration",
    responses((status = 200, description = "Created.", body = Reply<Nothing>))
)]
pub async fn create(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.create_config(&call.caller, wanted(&call.params)?).await?;
    Ok(call.success(Nothing {}))
}

/// Replaces the entries of a ConfigMap that this server created.
///
/// Entries that are not given go. A ConfigMap of somebody else is refused. Running pods
/// see a change in mounted files after a while, and in variables once they are restarted.
#[utoipa::path(
    put, path = "/pop/v5/k8s/acs/k8s_config_map", operation_id = "UpdateK8sConfigMap", tag = "Configuration",
    responses((status = 200, description = "Changed.", body = Reply<Nothing>))
)]
pub async fn update(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.change_config(&call.caller, wanted(&call.params)?).await?;
    Ok(call.success(Nothing {}))
}

/// Lists ConfigMaps, as they are now, whoever made them.
#[utoipa::path(
    get, path = "/pop/v5/k8s/acs/k8s_config_map", operation_id = "ListK8sConfigMaps", tag = "Configuration",
    responses((status = 200, description = "The ConfigMaps.", body = Reply<ConfigMapListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<ConfigMapListReply>, ApiError> {
    let (total, page) = page_of(&call, ObjectKind::ConfigMap).await?;
    let config_maps = page.into_iter().map(show).collect();
    Ok(call.success(ConfigMapListReply { result: ConfigMapPage { total, config_maps } }))
}

/// Deletes a ConfigMap that this server created.
///
/// A ConfigMap of somebody else is refused. Whether applications still name it is not looked at.
#[utoipa::path(
    delete, path = "/pop/v5/k8s/acs/k8s_config_map", operation_id = "DeleteK8sConfigMap", tag = "Configuration",
    responses((status = 200, description = "Deleted.", body = Reply<Nothing>))
)]
pub async fn delete(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.delete_config(&call.caller, ObjectKind::ConfigMap, place(&call.params)?).await?;
    Ok(call.success(Nothing {}))
}

fn wanted(params: &Params) -> Result<Config, ApiError> {
    let (cluster, namespace, name) = place(params)?;
    let held = Held::Texts(read_texts(params)?);
    Ok(Config { cluster: cluster.into(), namespace: namespace.into(), name: name.into(), held })
}

/// Cluster, namespace and name.
pub(crate) fn place(params: &Params) -> Result<(&str, &str, &str), ApiError> {
    Ok((params.required("ClusterId")?, params.required("Namespace")?, params.required("Name")?))
}

/// How many there are in all, and those of the page that is asked for.
pub(crate) async fn page_of(
    call: &Call,
    kind: ObjectKind,
) -> Result<(i64, Vec<ConfigView>), ApiError> {
    let Call { params, service, caller } = call;
    let (condition, page) = (Condition::read(params)?, PageFromZero::read(params)?);
    let related = params.boolean("ShowRelatedApps")?.unwrap_or(false);
    let namespace = params.text("Namespace").unwrap_or_default();
    let mut found =
        service.configs(caller, kind, params.text("ClusterId"), namespace, related).await?;
    if let Some(condition) = condition {
        found.retain(|view| {
            condition.has(&text(&view.object["metadata"]["name"]), view.cluster.as_str())
        });
    }
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    Ok((total, page.of(found.into_iter())))
}

fn show(view: ConfigView) -> ListedConfigMap {
    let ConfigView { cluster, object, related } = view;
    let metadata = &object["metadata"];
    ListedConfigMap {
        cluster_id: cluster.to_string(),
        cluster_name: cluster.to_string(),
        namespace: text(&metadata["namespace"]),
        name: text(&metadata["name"]),
        creation_time: text(&metadata["creationTimestamp"]),
        data: entries(&object),
        related_apps: apps(related),
    }
}

pub(crate) fn entries(object: &Value) -> Vec<ConfigEntry> {
    let entries = object["data"].as_object().into_iter().flatten();
    entries.map(|(key, value)| ConfigEntry { key: key.clone(), value: text(value) }).collect()
}

pub(crate) fn apps(related: Vec<Related>) -> Vec<RelatedApp> {
    related
        .into_iter()
        .map(|app| RelatedApp { app_id: app.id.to_string(), app_name: app.name })
        .collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
