//! GetApplicationContainer and SetApplicationContainer, of our own: which container of its
//! pods is an application's.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{error::ApiError, reply::Reply},
};
use service::ContainerChoice;

/// Reply of GetApplicationContainer and SetApplicationContainer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerReply {
    /// The container.
    pub container: ApplicationContainer,
}

/// The container that is an application's.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ApplicationContainer {
    /// Its name; empty where nothing says which one it is.
    #[schema(example = "app")]
    pub name: String,
    /// Whether somebody chose it; otherwise the pod template says it.
    pub chosen: bool,
    /// The names of all containers of the pod template.
    pub all: Vec<String>,
}

/// Shows which container of an application's pods is changed by its releases.
///
/// It is the one that was chosen; the one that the pod template's annotation
/// `kubectl.kubernetes.io/default-container` names; the one that it was before; the only
/// one; or the one with the application's name. Where there are several and none of this says
/// it, a release with an image finds it by the image's repository, and every other one is refused.
#[utoipa::path(
    get, path = "/sluice/v1/container", operation_id = "GetApplicationContainer", tag = "Applications",
    responses((status = 200, description = "The container.", body = Reply<ContainerReply>))
)]
pub async fn get(call: Call) -> Result<Reply<ContainerReply>, ApiError> {
    let container = call.service.container(call.application()?).await?;
    Ok(call.success(shown(container)))
}

/// Chooses which container of an application's pods is changed by its releases. Nothing is
/// written to the cluster.
#[utoipa::path(
    put, path = "/sluice/v1/container", operation_id = "SetApplicationContainer", tag = "Applications",
    responses((status = 200, description = "Chosen.", body = Reply<ContainerReply>))
)]
pub async fn set(call: Call) -> Result<Reply<ContainerReply>, ApiError> {
    let id = call.application()?;
    call.service.choose_container(&call.caller, id, call.params.text("ContainerName")).await?;
    let container = call.service.container(id).await?;
    Ok(call.success(shown(container)))
}

fn shown(container: ContainerChoice) -> ContainerReply {
    let ContainerChoice { name, chosen, all } = container;
    ContainerReply {
        container: ApplicationContainer { name: name.unwrap_or_default(), chosen, all },
    }
}
