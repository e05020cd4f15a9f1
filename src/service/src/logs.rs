//! What an application's pods have printed.
//!
//! It passes through the database once, as every answer of the cluster does, and is deleted
//! with the reading.

use super::{Error, Service};
use domain::{
    ApplicationId,
    observed::cluster_state::{LOGGED_LINES, LogQuery, PodLog, QueryKind},
};

/// Last lines that are read where the request does not say.
const LINES: u32 = 200;

/// Which logs are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WantedLogs {
    /// Only of this pod.
    pub pod: Option<String>,
    /// Of this container; none = of the application's.
    pub container: Option<String>,
    /// Of the container that ended before the present one.
    pub previous: bool,
    /// Last lines of each.
    pub lines: Option<u32>,
}

/// Logs of pods.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logs {
    /// Those of pods that are not Ready come first.
    pub logs: Vec<PodLog>,
    /// Pods whose logs were not read, since they are too many.
    pub unread_pods: usize,
}

impl Service {
    /// The logs of an application's pods; none where the application has no such pod.
    ///
    /// # Errors
    /// [`domain::Rejection::UnknownApplication`] or [`domain::Rejection::Unseen`].
    pub async fn logs(&self, id: ApplicationId, wanted: WantedLogs) -> Result<Logs, Error> {
        let application = self.permitted_application(id).await?;
        let query = LogQuery {
            pod: wanted.pod,
            container: wanted.container,
            known: application.container.clone(),
            previous: wanted.previous,
            lines: wanted.lines.unwrap_or(LINES).clamp(1, LOGGED_LINES),
        };
        let seen = self.query(&application, QueryKind::Logs(query)).await?;
        let state = seen.unwrap_or_default();
        Ok(Logs { logs: state.logs, unread_pods: state.unread_pods })
    }
}
