//! Secrets: CreateK8sSecret, UpdateK8sSecret, ListK8sSecrets and DeleteK8sSecret.
//!
//! A Secret belongs to a namespace, not to an application, so there is no change order: a
//! write is done when the reply comes. What it holds is in no error.

use serde::Serialize;
use utoipa::ToSchema;

use super::k8s_config_map::{ConfigEntry, RelatedApp, apps, entries, page_of, place, text};
use crate::{
    edge::call::Call,
    value::config_data::read_secret,
    wire::{
        error::ApiError,
        params::Params,
        reply::{Nothing, Reply},
    },
};
use domain::object::{
    config_data::{Held, SecretKind},
    write::ObjectKind,
};
use service::{Config, ConfigView};

/// Reply of ListK8sSecrets.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SecretListReply {
    /// The page.
    pub result: SecretPage,
}

/// A page of Secrets.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SecretPage {
    /// How many there are on all pages.
    pub total: i64,
    /// The Secrets of this page, by namespace and name; a plain list.
    pub secrets: Vec<ListedSecret>,
}

/// A Secret.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedSecret {
    /// The cluster's id.
    #[schema(example = "default")]
    pub cluster_id: String,
    /// The same.
    pub cluster_name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `Opaque`, `kubernetes.io/tls`, or what else Kubernetes knows.
    #[schema(example = "Opaque")]
    pub r#type: String,
    /// When it was created, in UTC.
    #[schema(example = "2026-11-24T06:58:10Z")]
    pub creation_time: String,
    /// Always true: the values are in base64.
    pub base64_encoded: bool,
    /// Its entries. Of a Secret that this server did not create the values are empty.
    pub data: Vec<ConfigEntry>,
    /// The applications whose newest version names it, if asked for with ShowRelatedApps; else empty.
    pub related_apps: Vec<RelatedApp>,
}

/// Creates a Secret.
///
/// It gets the label `app.kubernetes.io/managed-by=sluice`. What it holds is in no log,
/// event or error.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/k8s_secret", operation_id = "CreateK8sSecret", tag = "Configuration",
    responses((status = 200, description = "Created.", body = Reply<Nothing>))
)]
pub async fn create(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let mut request = wanted(&call.params)?;
    if let Held::Secret(kind, _) = &mut request.held {
        kind.get_or_insert(SecretKind::Opaque);
    }
    call.service.create_config(&call.caller, request).await?;
    Ok(call.success(Nothing {}))
}

/// Replaces the entries of a Secret that this server created.
///
/// Entries that are not given go. A Secret of somebody else is refused. Running pods see a
/// change in mounted files after a while, and in variables once they are restarted.
#[utoipa::path(
    put, path = "/pop/v5/k8s/acs/k8s_secret", operation_id = "UpdateK8sSecret", tag = "Configuration",
    responses((status = 200, description = "Changed.", body = Reply<Nothing>))
)]
pub async fn update(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.change_config(&call.caller, wanted(&call.params)?).await?;
    Ok(call.success(Nothing {}))
}

/// Lists Secrets, as they are now, whoever made them.
///
/// Their values are in base64, and shown only where this server created the Secret.
#[utoipa::path(
    get, path = "/pop/v5/k8s/acs/k8s_secret", operation_id = "ListK8sSecrets", tag = "Configuration",
    responses((status = 200, description = "The Secrets.", body = Reply<SecretListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<SecretListReply>, ApiError> {
    let (total, page) = page_of(&call, ObjectKind::Secret).await?;
    let secrets = page.into_iter().map(show).collect();
    Ok(call.success(SecretListReply { result: SecretPage { total, secrets } }))
}

/// Deletes a Secret that this server created.
///
/// A Secret of somebody else is refused. Whether applications still name it is not looked at.
#[utoipa::path(
    delete, path = "/pop/v5/k8s/acs/k8s_secret", operation_id = "DeleteK8sSecret", tag = "Configuration",
    responses((status = 200, description = "Deleted.", body = Reply<Nothing>))
)]
pub async fn delete(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.delete_config(&call.caller, ObjectKind::Secret, place(&call.params)?).await?;
    Ok(call.success(Nothing {}))
}

fn wanted(params: &Params) -> Result<Config, ApiError> {
    let (cluster, namespace, name) = place(params)?;
    let kind = match params.text("Type") {
        None => None,
        Some(word) => {
            Some(SecretKind::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(|| {
                ApiError::refused("Type", word, "allowed are Opaque and kubernetes.io/tls")
            })?)
        }
    };
    let held = Held::Secret(kind, read_secret(params)?);
    Ok(Config { cluster: cluster.into(), namespace: namespace.into(), name: name.into(), held })
}

fn show(view: ConfigView) -> ListedSecret {
    let ConfigView { cluster, object, related } = view;
    let metadata = &object["metadata"];
    ListedSecret {
        cluster_id: cluster.to_string(),
        cluster_name: cluster.to_string(),
        namespace: text(&metadata["namespace"]),
        name: text(&metadata["name"]),
        r#type: text(&object["type"]),
        creation_time: text(&metadata["creationTimestamp"]),
        base64_encoded: true,
        data: entries(&object),
        related_apps: apps(related),
    }
}
