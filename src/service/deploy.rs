//! Ordering a release: a new version, or one from the history again.

use serde_json::json;

use super::{Caller, Deploy, Error, RollBackTo, Service, check};
use crate::{
    domain::{
        ApplicationId, OrderId, Rejection, ReleaseId,
        order::{Kind, Snapshot, Source, Target},
        plan::{Pace, Strategy},
        spec::SpecChange,
    },
    store::{Event, NewOrder, NewRelease, Tx},
};

/// What the two ways to order a release have in common.
struct Order<'a> {
    application: ApplicationId,
    kind: Kind,
    strategy: Strategy,
    target: Target,
    snapshot: Option<Snapshot>,
    replicas: i32,
    description: &'a str,
}

impl Service {
    /// Orders a release.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown application or version, or an
    /// order of the application that is still open.
    pub async fn deploy(&self, caller: &Caller, request: Deploy) -> Result<OrderId, Error> {
        check::replicas(request.replicas)?;
        check::spec(&request.spec, &check::DEPLOY)?;
        check::seconds("BatchTimeout", request.batch_timeout_seconds, 1)?;
        check::seconds("BatchWaitTime", request.min_ready_seconds.map(i64::from), 0)?;
        check::text("ChangeOrderDesc", &request.description, 1024)?;
        check::text("PackageVersion", request.version.as_deref().unwrap_or_default(), 256)?;
        check::one_source(&request.spec, &request.package, &check::DEPLOY)?;
        if let Some(release) = request.release
            && (request.spec != SpecChange::default() || request.package.url.is_some())
        {
            let allowed = "a version of the history is released exactly as it was: give nothing else that changes the pods";
            return Err(Rejection::invalid("PackageVersionId", release, allowed).into());
        }
        let package = match &request.package.url {
            None => None,
            Some(url) => {
                // Asking for the package takes its time, and no transaction waits for it.
                if let Some(first) = self.answered_before(caller).await? {
                    return Ok(first);
                }
                Some(self.judge_package(url).await?)
            }
        };
        let mut tx = self.store.begin().await?;
        if let Some(first) = self.answered(&mut tx, caller).await? {
            return Ok(first);
        }
        let (application, resting) = tx.lock_application(request.application).await?;
        let replicas = request.replicas.unwrap_or(application.replicas);
        let strategy = request.strategy.unwrap_or(Strategy::ALL_AT_ONCE);
        strategy.check(replicas)?;
        let mut spec = request.spec;
        let mut target = Target {
            release: request.release,
            source: Source::Change(SpecChange::default()),
            replicas: request.replicas,
            min_ready_seconds: request.min_ready_seconds,
            batch_timeout_seconds: request.batch_timeout_seconds.unwrap_or(self.settings.batch_timeout_seconds),
            tolerance: self.settings.tolerance,
        };
        let kind = if let Some(release) = request.release {
            let row = tx.find_release(application.id, Some(release), None).await?;
            target.source = Source::Exact(row.template);
            target.min_ready_seconds = target.min_ready_seconds.or(row.min_ready_seconds);
            Kind::DeployVersion
        } else {
            let release = ReleaseId::new();
            let version = request.version.as_deref().filter(|version| !version.is_empty());
            let (current_image, current) = tx.made_of(application.id, application.release).await?;
            let label = self.complete_package(&mut spec, &request.package, package, current.as_ref())?;
            let runtime = spec.java.runtime.as_ref().map(|runtime| &runtime.image);
            let image = spec.image.as_ref().or(runtime).unwrap_or(&current_image);
            let row = NewRelease {
                id: release,
                application: application.id,
                version,
                image,
                package: label.as_ref(),
                description: &request.description,
            };
            tx.insert_release(&row, self.clock.now()).await?;
            target.release = Some(release);
            target.source = Source::Change(spec);
            Kind::Deploy
        };
        let order =
            Order { application: application.id, kind, strategy, target, snapshot: resting, replicas, description: &request.description };
        self.accept(tx, caller, order).await
    }

    /// Orders the release of a version of the history, by its text.
    ///
    /// # Errors
    /// As [`Service::deploy`].
    pub async fn roll_back_to(&self, caller: &Caller, request: RollBackTo) -> Result<OrderId, Error> {
        let batches = request.batches.unwrap_or(1);
        if !(1..=5).contains(&batches) {
            return Err(Rejection::invalid("Batch", batches, "must be a number of batches from 1 to 5").into());
        }
        let wait_minutes = request.wait_minutes.unwrap_or(0);
        if wait_minutes > 5 {
            return Err(Rejection::invalid("BatchWaitTime", wait_minutes, "must be a number of minutes from 0 to 5").into());
        }
        let mut tx = self.store.begin().await?;
        if let Some(first) = self.answered(&mut tx, caller).await? {
            return Ok(first);
        }
        let (application, resting) = tx.lock_application(request.application).await?;
        let release = tx.find_release(application.id, None, Some(&request.version)).await?;
        let strategy = Strategy { canary: 0, batches, pace: Pace::Automatic { wait_minutes } };
        if strategy.check(application.replicas).is_err() {
            let allowed = format!("at most {} batches are possible, one for each instance", application.replicas.max(1));
            return Err(Rejection::invalid("Batch", batches, allowed).into());
        }
        let target = Target {
            release: Some(release.id),
            source: Source::Exact(release.template),
            replicas: None,
            min_ready_seconds: release.min_ready_seconds,
            batch_timeout_seconds: self.settings.batch_timeout_seconds,
            tolerance: self.settings.tolerance,
        };
        let order = Order {
            application: application.id,
            kind: Kind::DeployVersion,
            strategy,
            target,
            snapshot: resting,
            replicas: application.replicas,
            description: &format!("Roll back to version {}", release.version),
        };
        self.accept(tx, caller, order).await
    }

    async fn accept(&self, mut tx: Tx, caller: &Caller, order: Order<'_>) -> Result<OrderId, Error> {
        let (id, now) = (OrderId::new(), self.clock.now());
        let detail =
            json!({ "request": caller.request_id, "strategy": order.strategy, "target": order.target, "replicas": order.replicas });
        let row = NewOrder {
            id,
            application: order.application,
            kind: order.kind,
            strategy: order.strategy,
            target: order.target,
            snapshot: order.snapshot,
            undoes: None,
            description: order.description,
            created_by: &caller.name,
            source: &caller.source,
            replicas: order.replicas,
            resumes_at: 0,
        };
        tx.insert_order(&row, now).await?;
        let event = Event { actor: &caller.name, kind: "order.accepted", cause: order.description, detail };
        tx.add_event(order.application, Some(id), now, event).await?;
        self.answer(tx, caller, id).await
    }
}
