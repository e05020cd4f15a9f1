//! UpdateK8sResource: an application's Deployment as a whole text.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{error::ApiError, params::Params, reply::Reply},
};
use domain::{limits::DOCUMENT, notation, rejection::NOT_SHOWN};
use service::EditDeployment;

const PARAMETER: &str = "ResourceContent";

/// Reply of UpdateK8sResource.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ResourceReply {
    /// The order that brings it about; empty where the text changes nothing.
    #[schema(example = "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")]
    pub change_order_id: String,
}

/// Orders what a Deployment's text changes of an application.
///
/// The text is that of GetAppDeployment or `kubectl get -o yaml` after an edit, or one written
/// by hand. Its pod template is taken exactly as it is: a new version of the history, released all at once as
/// DeployK8sApplication does without UpdateStrategy. `replicas` and `minReadySeconds` go with it, and where
/// only `replicas` is other, the application is scaled. A text that changes nothing is answered with
/// success, without an order.
///
/// Beside the template, what is absent stays. Fields that only the API server writes (`status`, `uid`,
/// `resourceVersion`, …) and this server's own annotations say nothing. A selector, strategy, `paused`,
/// `progressDeadlineSeconds`, `revisionHistoryLimit`, label or annotation of the Deployment
/// itself that is other than on the cluster is refused by name. Of a package, the address without its
/// credentials stands for the one with them.
#[utoipa::path(
    post, path = "/pop/v5/oam/update_k8s_resource_config", operation_id = "UpdateK8sResource", tag = "Change orders",
    responses((status = 200, description = "Ordered, or nothing to change.", body = Reply<ResourceReply>))
)]
pub async fn update(call: Call) -> Result<Reply<ResourceReply>, ApiError> {
    let params = &call.params;
    let request = EditDeployment {
        cluster: params.text("ClusterId").map(Into::into),
        namespace: params.text("Namespace").map(Into::into),
        wanted: read_object(params)?,
    };
    let order = call.service.edit_deployment(&call.caller, request).await?;
    Ok(call.success(ResourceReply {
        change_order_id: order.map(|order| order.to_string()).unwrap_or_default(),
    }))
}

/// Reads `ResourceContent`: one document of YAML or JSON.
///
/// # Errors
/// `MissingResourceContent`; a business error that gives the place, and nothing of the text.
pub fn read_object(params: &Params) -> Result<Value, ApiError> {
    let text = params.required(PARAMETER)?;
    let refuse = |why: String| ApiError::refused(PARAMETER, NOT_SHOWN, why);
    if text.len() > DOCUMENT {
        return Err(refuse(format!("must have at most {DOCUMENT} bytes")));
    }
    // Every JSON is YAML, but not for every reader of YAML.
    let value = match notation::kept_json(text) {
        Some(value) => value,
        None => notation::yaml(text).map_err(|place| {
            refuse(format!("must be one document of YAML or JSON, and is not, at {place}"))
        })?,
    };
    if notation::has_nul(&value) {
        Err(refuse("must not hold the character U+0000, which nothing can store".into()))
    } else {
        Ok(value)
    }
}
