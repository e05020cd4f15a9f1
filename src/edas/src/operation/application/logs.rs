//! GetApplicationLogs, of our own: what an application's pods have printed.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{error::ApiError, reply::Reply},
};
use domain::observed::cluster_state::PodLog as Found;
use service::WantedLogs;

/// Reply of GetApplicationLogs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct LogsReply {
    /// The logs; those of pods that are not Ready come first.
    pub logs: Vec<PodLog>,
    /// Further pods of the application, whose logs were not read.
    pub unread_pods: usize,
}

/// What a container of a pod has printed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PodLog {
    /// The pod.
    #[schema(example = "web-7c9f-x2lmq")]
    pub pod: String,
    /// The container.
    #[schema(example = "web")]
    pub container: String,
    /// Its last lines, at most 64 KiB of them.
    pub text: String,
    /// Why nothing can be read, in Kubernetes' words; empty = it could.
    pub unread: String,
}

/// Shows what the pods of an application have printed, without following it.
///
/// The rights are in the ClusterRole `sluice-logs`; without them the reply says so.
#[utoipa::path(
    get, path = "/sluice/v1/logs", operation_id = "GetApplicationLogs", tag = "Applications",
    responses((status = 200, description = "The logs.", body = Reply<LogsReply>))
)]
pub async fn get(call: Call) -> Result<Reply<LogsReply>, ApiError> {
    let params = &call.params;
    let named = |name, fits: fn(&str) -> bool| {
        let given = params.text(name).filter(|text| !text.is_empty());
        let wrong = given.filter(|text| !fits(text));
        match wrong {
            Some(text) => Err(ApiError::refused(name, text, "must be a name as Kubernetes has it")),
            None => Ok(given.map(str::to_owned)),
        }
    };
    let wanted = WantedLogs {
        pod: named("PodName", domain::name::is_subdomain)?,
        container: named("ContainerName", domain::name::is_label)?,
        previous: params.boolean("Previous")?.unwrap_or(false),
        lines: params.integer("Lines")?,
    };
    let pod = wanted.pod.clone();
    let found = call.service.logs(call.application()?, wanted).await?;
    if let (Some(pod), true) = (pod, found.logs.is_empty()) {
        let allowed = "a pod with this name does not exist in the application";
        return Err(ApiError::refused("PodName", pod, allowed));
    }
    Ok(call.success(LogsReply {
        logs: found.logs.into_iter().map(log).collect(),
        unread_pods: found.unread_pods,
    }))
}

fn log(found: Found) -> PodLog {
    let Found { pod, container, text, unread } = found;
    PodLog { pod, container, text, unread }
}
