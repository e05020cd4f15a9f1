//! Operating an application beside its releases: another number of pods.

use super::{Caller, Error, Scale, Service, check, deploy::Assembled};
use crate::domain::{
    OrderId,
    application::Application,
    order::{Kind, Source, Target},
    plan::Strategy,
};

impl Service {
    /// Orders another number of pods. How a release rests half way stays as it is.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown application, or an order of the
    /// application that is still open.
    pub async fn scale(&self, caller: &Caller, request: Scale) -> Result<OrderId, Error> {
        check::replicas(Some(request.replicas))?;
        check::seconds("Timeout", request.timeout_seconds, 1)?;
        let mut tx = self.store.begin().await?;
        if let Some(first) = self.answered(&mut tx, caller).await? {
            return Ok(first);
        }
        let (application, _) = tx.lock_application(request.application).await?;
        let description = format!("Scale from {} to {} instances", application.replicas, request.replicas);
        let order = self.sized(Kind::Scale, application, request.replicas, request.timeout_seconds);
        self.accept(tx, caller, order, &description).await
    }

    /// An order for `replicas` pods.
    fn sized(&self, kind: Kind, application: Application, replicas: i32, timeout_seconds: Option<i64>) -> Assembled {
        let target = Target {
            release: None,
            source: Source::Kept,
            replicas: Some(replicas),
            replicas_before: Some(application.replicas),
            min_ready_seconds: None,
            batch_timeout_seconds: timeout_seconds.unwrap_or(self.settings.batch_timeout_seconds),
            tolerance: self.settings.tolerance,
            most_missing: 0,
        };
        Assembled { application, kind, strategy: Strategy::ALL_AT_ONCE, target, snapshot: None, replicas, release: None }
    }
}
