//! Ordering a release: a new version, or one from the history again.

use serde_json::json;

use super::precheck;
use crate::{
    Caller, Deploy, Error, PackageParams, RollBackTo, Service, access::resource_of, check,
    once::Work,
};
use domain::{
    Input, OrderId, Rejection, ReleaseId,
    application::Application,
    order::{
        DeploymentBefore, Kind, Target, TemplateSource,
        plan::{Pace, Strategy},
    },
    package::{Label, PackageAddress},
    template::{
        container::{self, Known},
        java::Running,
        spec::{SpecChange, marked},
    },
};
use store::{Event, NewOrder, NewRelease, Tx};

/// What a request for a release comes to.
pub(crate) struct Assembled {
    pub application: Application,
    pub kind: Kind,
    pub strategy: Strategy,
    pub target: Target,
    pub snapshot: Option<DeploymentBefore>,
    pub replicas: i32,
    /// A new version, with its image and package; none = no new one.
    pub release: Option<(ReleaseId, String, Option<Label>)>,
    /// What the caller is to know about it.
    pub notes: Vec<String>,
}

impl Service {
    /// Orders a release.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown application or version, an order of
    /// the application that is still open, or what the cluster has against it.
    pub async fn deploy(&self, caller: &Caller, request: Deploy) -> Result<OrderId, Error> {
        self.order_release(caller, request, Kind::Deploy).await
    }

    /// The same, of a new version under this kind's name.
    pub(crate) async fn order_release(
        &self,
        caller: &Caller,
        request: Deploy,
        kind: Kind,
    ) -> Result<OrderId, Error> {
        self.check_deploy(&request)?;
        // Packages and the cluster are asked first, since no transaction waits for them.
        self.unless_answered(caller, async {
            let package = self.check_package_params(&request.package).await?;
            let report = self.ask_where_seen(&request, package.clone()).await?;
            let accepted = precheck::accept(report.as_ref(), request.plan_hash.as_deref())?;
            let notes: Vec<String> =
                request.notes.iter().cloned().chain(accepted.warnings).collect();
            self.once(caller, "order_release", |tx| {
                Box::pin(async {
                    let mut assembled = self.assemble(tx, &request, package.clone()).await?;
                    if report.is_none() {
                        assembled.strategy.fits(assembled.replicas)?;
                    }
                    assembled.target.max_unavailable = accepted.max_unavailable;
                    // Where nobody could look, whoever begins it looks.
                    assembled.target.allows_no_surge = request.allows_no_surge && report.is_none();
                    assembled.replicas = accepted.replicas.unwrap_or(assembled.replicas);
                    assembled.notes.clone_from(&notes);
                    if let Some((release, image, label)) = &assembled.release {
                        assembled.kind = kind;
                        let row = NewRelease {
                            id: *release,
                            application: assembled.application.id,
                            version: request
                                .version
                                .as_deref()
                                .filter(|version| !version.is_empty()),
                            image,
                            package: label.as_ref(),
                            description: &request.description,
                        };
                        tx.insert_release(&row, self.clock.now()).await?;
                    }
                    if let Some(container) = self.found_by_image(tx, &assembled).await? {
                        tx.note_container(assembled.application.id, &container).await?;
                    }
                    self.accept(tx, caller, assembled, &request.description).await
                })
            })
            .await
        })
        .await
    }

    /// The container that nothing but the new image says to be the application's: it is
    /// meant by later releases too, which may have no image.
    async fn found_by_image(
        &self,
        tx: &mut Tx,
        assembled: &Assembled,
    ) -> Result<Option<Known>, Error> {
        let application = &assembled.application;
        let (TemplateSource::Change(change), Known::Nothing) =
            (&assembled.target.source, &application.container)
        else {
            return Ok(None);
        };
        let template = tx.current_template(application.id).await?.unwrap_or_default();
        if change.image.is_none() || application.container_of(&template).is_some() {
            return Ok(None);
        }
        let index = change.container_in(&template, &application.name).ok();
        Ok(index
            .and_then(|index| container::names(&template).into_iter().nth(index))
            .map(Known::Found))
    }

    /// Everything of a release that can be judged without the application.
    pub(crate) fn check_deploy(&self, request: &Deploy) -> Result<(), Rejection> {
        check::replicas(request.replicas)?;
        check::spec(&request.spec)?;
        check::seconds(Input::BatchTimeout, request.batch_timeout_seconds, 1)?;
        check::seconds(Input::MinReadyTime, request.min_ready_seconds.map(i64::from), 0)?;
        let timeout = request.batch_timeout_seconds.unwrap_or(self.settings.batch_timeout_seconds);
        check::graceful_start(&request.spec.graceful_start, timeout, Input::BatchTimeout)?;
        check::text(Input::OrderDescription, &request.description, 1024)?;
        check::text(Input::Version, request.version.as_deref().unwrap_or_default(), 256)?;
        check::one_source(&request.spec, &request.package)?;
        if let Some(release) = request.release
            && (request.spec != SpecChange::default() || request.package.url.is_some())
        {
            let allowed = "a version of the history is released exactly as it was: give nothing else that changes the pods";
            return Err(Rejection::invalid(Input::Release, release, allowed));
        }
        Ok(())
    }

    /// What a request comes to for its application, which is locked until the
    /// transaction ends. Writes nothing.
    pub(crate) async fn assemble(
        &self,
        tx: &mut Work<'_>,
        request: &Deploy,
        package: Option<PackageAddress>,
    ) -> Result<Assembled, Error> {
        let (application, snapshot) = tx.permitted_application(request.application).await?;
        let replicas = request.replicas.unwrap_or(application.replicas);
        let strategy = request.strategy.unwrap_or(Strategy::ALL_AT_ONCE);
        strategy.check()?;
        let mut target = Target {
            release: request.release,
            replicas: request.replicas,
            min_ready_seconds: request.min_ready_seconds,
            guardrails: self.guardrails(&resource_of(&application)),
            ..Target::new(
                TemplateSource::Change(Box::default()),
                request.batch_timeout_seconds.unwrap_or(self.settings.batch_timeout_seconds),
                self.settings.failure_policy,
            )
        };
        if let Some(release) = request.release {
            let row = tx.find_release(application.id, Some(release), None).await?;
            target.source = TemplateSource::Exact(row.template);
            target.min_ready_seconds = target.min_ready_seconds.or(row.min_ready_seconds);
            // What somebody deletes after this order was accepted stays deleted.
            target.replicas_if_created = application.deployment_missing.then_some(replicas);
            return Ok(Assembled {
                application,
                kind: Kind::DeployVersion,
                strategy,
                target,
                snapshot,
                replicas,
                release: None,
                notes: Vec::new(),
            });
        }
        let release = ReleaseId::new();
        if let Some(template) = &request.template {
            let label = Running::of(template).map(|running| running.label());
            let image = application.image_of(template).unwrap_or_default().to_owned();
            target.release = Some(release);
            target.source = TemplateSource::Exact(marked(template, release));
            return Ok(Assembled {
                application,
                kind: Kind::Deploy,
                strategy,
                target,
                snapshot,
                replicas,
                release: Some((release, image, label)),
                notes: Vec::new(),
            });
        }
        let mut spec =
            SpecChange { container: application.container.clone(), ..request.spec.clone() };
        let (current_image, current) = tx.made_of(application.id, application.release).await?;
        let label =
            self.complete_package(&mut spec, &request.package, package, current.as_ref())?;
        let runtime = spec.java.runtime.as_ref().map(|runtime| &runtime.image);
        let image = spec.image.as_ref().or(runtime).unwrap_or(&current_image).clone();
        target.release = Some(release);
        target.source = TemplateSource::Change(Box::new(spec));
        let release = Some((release, image, label));
        Ok(Assembled {
            application,
            kind: Kind::Deploy,
            strategy,
            target,
            snapshot,
            replicas,
            release,
            notes: Vec::new(),
        })
    }

    /// Orders the release of a version of the history, by its text.
    ///
    /// # Errors
    /// As [`Service::deploy`].
    pub async fn roll_back_to(
        &self,
        caller: &Caller,
        request: RollBackTo,
    ) -> Result<OrderId, Error> {
        let batches = request.batches.unwrap_or(1);
        if !(1..=5).contains(&batches) {
            return Err(Rejection::invalid(
                Input::Batches,
                batches,
                "must be a number of batches from 1 to 5",
            )
            .into());
        }
        let wait_minutes = request.wait_minutes.unwrap_or(0);
        if wait_minutes > 5 {
            return Err(Rejection::invalid(
                Input::BatchInterval,
                wait_minutes,
                "must be a number of minutes from 0 to 5",
            )
            .into());
        }
        self.unless_answered(caller, async {
            let strategy = Strategy { canary: 0, batches, pace: Pace::Automatic { wait_minutes } };
            let release = self
                .discarded(|tx| {
                    Box::pin(async {
                        let (application, _) =
                            tx.permitted_application(request.application).await?;
                        Ok(tx.find_release(application.id, None, Some(&request.version)).await?)
                    })
                })
                .await?;
            let request = Deploy {
                application: request.application,
                spec: SpecChange::default(),
                package: PackageParams::default(),
                release: Some(release.id),
                version: None,
                replicas: None,
                strategy: Some(strategy),
                batch_timeout_seconds: None,
                min_ready_seconds: None,
                description: format!("Roll back to version {}", release.version),
                notes: Vec::new(),
                plan_hash: None,
                allows_no_surge: false,
                template: None,
            };
            match self.deploy(caller, request).await {
                Err(Error::Rejected(Rejection::Invalid(why))) if why.input == Input::Strategy => {
                    Err(Rejection::invalid(Input::Batches, batches, why.allowed).into())
                }
                other => other,
            }
        })
        .await
    }

    pub(crate) async fn accept(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        order: Assembled,
        description: &str,
    ) -> Result<OrderId, Error> {
        self.served(tx, &order.application).await?;
        self.hold_packages(tx, &order.target).await?;
        let description = &caller.because(description);
        let (id, now, application) = (OrderId::new(), self.clock.now(), order.application.id);
        // Events are kept for ever: nothing of a template is among them.
        let (image, package) = match &order.release {
            Some((_, image, package)) => (Some(image), package.as_ref()),
            None => (None, None),
        };
        let detail = json!({
            "request": caller.request_id, "strategy": order.strategy, "release": order.target.release,
            "image": image, "package": package, "replicas": order.replicas, "target": tx.fingerprint(&order.target)?,
        });
        let row = NewOrder {
            id,
            application,
            kind: order.kind,
            strategy: order.strategy,
            target: order.target,
            snapshot: order.snapshot,
            rolls_back: None,
            description,
            notes: &order.notes,
            created_by: &caller.name,
            source: caller.source,
            replicas: order.replicas,
            resumes_at: 0,
        };
        tx.insert_order(&row, now).await?;
        let event =
            Event { actor: &caller.name, kind: "order.accepted", cause: description, detail };
        tx.add_event(application, Some(id), now, event).await?;
        Ok(id)
    }
}
