//! Operating an application beside its releases: another number of pods, none, pods
//! again, other pods of the same version, and its end.

use serde_json::json;

use super::deploy::Assembled;
use crate::{Caller, Error, Scale, Service, Start, access::resource_of, check};
use domain::{
    ApplicationId, Input, OrderId, Rejection,
    application::Application,
    order::{DeploymentBefore, Kind, Target, TemplateSource, plan::Strategy},
};
use store::{Event, NewOrder};

/// Seconds that a start may take (R23).
const START_TIMEOUT_SECONDS: i64 = 600;

impl Service {
    /// Orders another number of pods. How a release rests half way stays as it is.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown application, an order of the application
    /// that is still open, or what the cluster certainly has against it.
    pub async fn scale(&self, caller: &Caller, request: Scale) -> Result<OrderId, Error> {
        check::replicas(Some(request.replicas))?;
        check::seconds(Input::Timeout, request.timeout_seconds, 1)?;
        // The cluster is asked first, since no transaction waits for it.
        self.unless_answered(caller, async {
            let sized = |of| self.sized(Kind::Scale, of, request.replicas, request.timeout_seconds);
            self.check_order(&sized(self.permitted_application(request.application).await?))
                .await?;
            self.once(caller, "scale", |tx| {
                Box::pin(async {
                    let (application, _) = tx.permitted_application(request.application).await?;
                    let description = format!(
                        "Scale from {} to {} instances",
                        application.replicas, request.replicas
                    );
                    self.accept(tx, caller, sized(application), &description).await
                })
            })
            .await
        })
        .await
    }

    /// Orders that all pods go; how many there were is remembered. A release that rests
    /// half way ends with it: the version of before is what is started again. An
    /// application without any pod stays as it is.
    ///
    /// # Errors
    /// As [`Service::scale`].
    pub async fn stop(
        &self,
        caller: &Caller,
        application: ApplicationId,
        timeout_seconds: Option<i64>,
    ) -> Result<OrderId, Error> {
        check::seconds(Input::Timeout, timeout_seconds, 1)?;
        self.once(caller, "stop", |tx| {
            Box::pin(async {
                let (application, resting) = tx.permitted_application(application).await?;
                let snapshot = resting
                    .map(|before| DeploymentBefore { replicas: application.replicas, ..before });
                let order = Assembled {
                    snapshot,
                    ..self.sized(Kind::Stop, application, 0, timeout_seconds)
                };
                self.accept(tx, caller, order, "Stop").await
            })
        })
        .await
    }

    /// Orders pods again for an application that has none: as many as it had.
    ///
    /// # Errors
    /// As [`Service::scale`], or an application that runs.
    pub async fn start(&self, caller: &Caller, request: Start) -> Result<OrderId, Error> {
        if let Some(replicas) = request.replicas.filter(|replicas| *replicas < 1) {
            return Err(Rejection::invalid(Input::Replicas, replicas, "must be 1 or more").into());
        }
        check::seconds(Input::Timeout, request.timeout_seconds, 1)?;
        self.unless_answered(caller, async {
            let application = self.permitted_application(request.application).await?;
            self.check_order(&self.started(application, &request)?).await?;
            self.once(caller, "start", |tx| {
                Box::pin(async {
                    let (application, _) = tx.permitted_application(request.application).await?;
                    let mut order = self.started(application, &request)?;
                    // With the number of before it is theirs again who owned it.
                    order.target.owners_before =
                        tx.owners_before_stop(order.application.id, order.replicas).await?;
                    self.accept(tx, caller, order, "Start").await
                })
            })
            .await
        })
        .await
    }

    /// An order for the pods of an application that has none.
    fn started(&self, application: Application, request: &Start) -> Result<Assembled, Rejection> {
        if application.is_running() {
            let reason =
                format!("runs already, with {} instances: scale it instead", application.replicas);
            return Err(Rejection::WrongApplicationState { application: application.id, reason });
        }
        let replicas = request.replicas.unwrap_or_else(|| application.replicas_to_start());
        let timeout_seconds = request.timeout_seconds.unwrap_or(START_TIMEOUT_SECONDS);
        Ok(self.sized(Kind::Start, application, replicas, Some(timeout_seconds)))
    }

    /// Orders that all pods give way to others of the same version, all at once and with
    /// none missing meanwhile. Where a release rests half way that is the version of
    /// before. One that fails is rolled back automatically, as a release does.
    ///
    /// # Errors
    /// As [`Service::scale`], or an application that is stopped.
    pub async fn restart(
        &self,
        caller: &Caller,
        application: ApplicationId,
        timeout_seconds: Option<i64>,
    ) -> Result<OrderId, Error> {
        check::seconds(Input::Timeout, timeout_seconds, 1)?;
        self.unless_answered(caller, async {
            let (shown, snapshot) = self
                .discarded(|tx| Box::pin(async { tx.permitted_application(application).await }))
                .await?;
            self.check_order(&self.renewed(shown, snapshot, timeout_seconds)?).await?;
            self.once(caller, "restart", |tx| {
                Box::pin(async {
                    let (application, snapshot) = tx.permitted_application(application).await?;
                    let order = self.renewed(application, snapshot, timeout_seconds)?;
                    self.accept(tx, caller, order, "Restart").await
                })
            })
            .await
        })
        .await
    }

    /// An order for other pods of the same version.
    fn renewed(
        &self,
        application: Application,
        snapshot: Option<DeploymentBefore>,
        timeout_seconds: Option<i64>,
    ) -> Result<Assembled, Rejection> {
        if application.is_stopped() {
            let reason = "is stopped: there is nothing to restart, start it instead".into();
            return Err(Rejection::WrongApplicationState { application: application.id, reason });
        }
        let replicas = application.replicas;
        let target = Target {
            release: application.release,
            guardrails: self.guardrails(&resource_of(&application)),
            ..Target::new(
                TemplateSource::Renewed(self.clock.now().to_string()),
                timeout_seconds.unwrap_or(self.settings.batch_timeout_seconds),
                self.settings.failure_policy,
            )
        };
        let (kind, strategy) = (Kind::Restart, Strategy::ALL_AT_ONCE);
        Ok(Assembled {
            application,
            kind,
            strategy,
            target,
            snapshot,
            replicas,
            release: None,
            notes: Vec::new(),
        })
    }

    /// Orders that the application's Deployment goes, and with it the application: its
    /// name is free then, and its history and orders stay on record. What else belongs
    /// to it on the cluster, Services and the like, is left alone. It need not be
    /// stopped before, nor have a Deployment at all.
    ///
    /// # Errors
    /// As [`Service::scale`]; a Deployment that was adopted, where no policy allows to delete
    /// it, or one of Helm's.
    pub async fn delete(
        &self,
        caller: &Caller,
        application: ApplicationId,
    ) -> Result<OrderId, Error> {
        self.unless_answered(caller, async {
            let (shown, adopted_uid) = self
                .discarded(|tx| {
                    Box::pin(async {
                        let (shown, _) = tx.permitted_application(application).await?;
                        let adopted_uid = tx.adopted_uid(shown.id).await?;
                        Ok((shown, adopted_uid))
                    })
                })
                .await?;
            if let Some(adopted_uid) = adopted_uid {
                self.check_deletion(&shown, &adopted_uid).await?;
            }
            self.once(caller, "delete", |tx| {
                Box::pin(async {
                    let (application, _) = tx.permitted_application(application).await?;
                    let adopted_uid = tx.adopted_uid(application.id).await?;
                    if adopted_uid.is_some() {
                        tx.permit().check_deletes_adopted(&application)?;
                    }
                    let order = self.sized(Kind::Delete, application, 0, None);
                    let former_applications = tx.former_applications(&order.application).await?;
                    let target =
                        Target { replicas: None, adopted_uid, former_applications, ..order.target };
                    self.accept(tx, caller, Assembled { target, ..order }, "Delete").await
                })
            })
            .await
        })
        .await
    }

    /// Lets go of an application and leaves its Deployment as it runs: nothing is written
    /// to the cluster, and the order that says so is over. The Deployment can be adopted
    /// again, and what else was made for it stays, too.
    ///
    /// # Errors
    /// As [`Service::scale`]; a release that rests half way, or is being brought to rest,
    /// since its settings are borrowed.
    pub async fn forget(
        &self,
        caller: &Caller,
        application: ApplicationId,
    ) -> Result<OrderId, Error> {
        self.once(caller, "forget", |tx| Box::pin(async {
        let (application, _) = tx.permitted_application(application).await?;
        let (id, now, name) = (OrderId::new(), self.clock.now(), application.name.clone());
        let order = self.sized(Kind::Delete, application, 0, None);
        let row = NewOrder {
            id,
            application: order.application.id,
            kind: order.kind,
            strategy: order.strategy,
            target: Target { replicas: None, ..order.target },
            snapshot: None,
            rolls_back: None,
            description: "Delete, and keep the Deployment",
            notes: &[],
            created_by: &caller.name,
            source: caller.source,
            replicas: 0,
            resumes_at: 0,
        };
        tx.insert_order(&row, now).await?;
        if !tx.forget_application(order.application.id, now).await? {
            let reason = "a release rests half way, with settings of the Deployment borrowed: finish it or roll it back first";
            return Err(
                Rejection::CannotWork { subject: "Deployment", reason: reason.into() }.into()
            );
        }
        let message = format!(
            "the Deployment {name} was left as it runs; adopting it makes it an application again"
        );
        tx.finish_at_once(id, &message, now).await?;
        let event = Event {
            actor: &caller.name,
            kind: "application.forgotten",
            cause: &message,
            detail: json!({ "request": caller.request_id }),
        };
        tx.add_event(order.application.id, Some(id), now, event).await?;
        Ok(id)
        }))
        .await
    }

    /// An order for `replicas` pods.
    fn sized(
        &self,
        kind: Kind,
        application: Application,
        replicas: i32,
        timeout_seconds: Option<i64>,
    ) -> Assembled {
        let target = Target {
            replicas: Some(replicas),
            replicas_before: Some(application.replicas),
            ..Target::new(
                TemplateSource::Unchanged,
                timeout_seconds.unwrap_or(self.settings.batch_timeout_seconds),
                self.settings.failure_policy,
            )
        };
        Assembled {
            application,
            kind,
            strategy: Strategy::ALL_AT_ONCE,
            target,
            snapshot: None,
            replicas,
            release: None,
            notes: Vec::new(),
        }
    }
}
