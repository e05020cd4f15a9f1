//! Asking, before anything is written, whether a release can work and what it
//! would do.
//!
//! The question goes to an executor through the database, and the answer comes
//! back the same way. Where no executor reaches the cluster, or none answers in
//! time, a release is accepted unjudged, as its executor judges it again when it
//! begins; only a caller who insists on a plan is then refused.

use super::deploy::Assembled;
use crate::{
    Caller, Deploy, Error, Precheck, Service,
    access::{new_application, resource_of},
    answer::ANSWER_WITHIN,
    check,
    read::EXECUTOR_SECONDS,
};
use domain::{
    ApplicationId, ClusterId, Input, Rejection, ReleaseId,
    order::{Kind, Target, TemplateSource, plan::Strategy},
    package::PackageAddress,
    precheck::{Check, Finding, PrecheckReport, Subject, proposal::Proposal},
    template::spec::SpecChange,
};
use store::{PrecheckRequestId, Tx};

impl Service {
    /// What a release would do, and whether it can. Nothing is ordered.
    ///
    /// # Errors
    /// As [`Service::deploy`], but for what the cluster has against it: that is in
    /// the report. A rejection where nobody can look at the cluster now.
    pub async fn preview(&self, caller: &Caller, request: Deploy) -> Result<PrecheckReport, Error> {
        self.check_deploy(&request)?;
        let package = self.check_package_params(&request.package).await?;
        let report = self.ask_about(&request, package).await?;
        tracing::debug!(
            request = caller.request_id,
            answered = report.is_some(),
            "looked at a release"
        );
        report.ok_or_else(|| unanswered().into())
    }

    /// Begins to look whether an application can be created or released with these
    /// settings; the answer is that of [`Service::precheck_result`].
    ///
    /// # Errors
    /// A value that is not allowed, an unknown cluster or application.
    pub async fn start_precheck(&self, request: Precheck) -> Result<(), Error> {
        check::replicas(request.replicas)?;
        check::spec(&request.spec)?;
        let proposal = if let Some(id) = request.application {
            let (application, snapshot) =
                self.discarded(|tx| Box::pin(async { tx.permitted_application(id).await })).await?;
            if request.namespace != application.namespace {
                let allowed = format!("must be that of the application, {}", application.namespace);
                return Err(Rejection::invalid(Input::Namespace, request.namespace, allowed).into());
            }
            let seconds = self.store.batch_seconds(id).await?;
            self.check_cluster_of(&application, Some(&request.cluster)).await?;
            let guardrails = self.guardrails(&resource_of(&application));
            Proposal {
                application: id,
                cluster: application.cluster,
                namespace: application.namespace,
                name: application.name,
                kind: Kind::Deploy,
                strategy: Strategy::ALL_AT_ONCE,
                target: Target {
                    guardrails,
                    ..self.new_target(
                        TemplateSource::Change(Box::new(SpecChange {
                            container: application.container,
                            ..request.spec
                        })),
                        request.replicas,
                    )
                },
                snapshot,
                allows_no_surge: false,
                batch_seconds: seconds,
            }
        } else {
            check::application_name(&request.name)?;
            self.check(&new_application(&request.namespace, &request.name))?;
            let cluster = self.known_cluster(&request.cluster).await?;
            self.known_namespace(&cluster, &request.namespace).await?;
            if request.spec.image.is_none() {
                return Err(Rejection::invalid(
                    Input::Image,
                    "",
                    "the image of an application that does not exist yet must be given",
                )
                .into());
            }
            let replicas = request.replicas.unwrap_or(1);
            self.creation(
                &cluster,
                &request.namespace,
                &request.name,
                self.new_target(TemplateSource::Change(Box::new(request.spec)), Some(replicas)),
            )
        };
        let id = PrecheckRequestId::random();
        self.store.send_precheck_request(id, &proposal, self.clock.now()).await?;
        Ok(())
    }

    /// The answer to the newest look at a Deployment; the inner none = it is still
    /// looked at.
    ///
    /// # Errors
    /// A rejection where nobody asked lately.
    pub async fn precheck_result(
        &self,
        cluster: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<PrecheckReport>, Error> {
        self.check(&new_application(namespace, name))?;
        let cluster = self.known_cluster(cluster).await?;
        let found = self.store.newest_precheck_report(&cluster, namespace, name).await?;
        found.ok_or_else(|| {
            Rejection::UnknownPrecheck { namespace: namespace.into(), name: name.into() }.into()
        })
    }

    pub(crate) fn new_target(&self, source: TemplateSource, replicas: Option<i32>) -> Target {
        let settings = &self.settings;
        let target = Target::new(source, settings.batch_timeout_seconds, settings.failure_policy);
        Target { release: Some(ReleaseId::new()), replicas, ..target }
    }

    /// An application that does not exist yet.
    pub(crate) fn creation(
        &self,
        cluster: &ClusterId,
        namespace: &str,
        name: &str,
        target: Target,
    ) -> Proposal {
        let guardrails = self.guardrails(&new_application(namespace, name));
        let target = Target { guardrails, ..target };
        Proposal {
            application: ApplicationId::new(),
            cluster: cluster.clone(),
            namespace: namespace.into(),
            name: name.into(),
            kind: Kind::Create,
            strategy: Strategy::ALL_AT_ONCE,
            target,
            snapshot: None,
            allows_no_surge: false,
            batch_seconds: None,
        }
    }

    /// Looks at a release that is asked for, where somebody sees its cluster: it is judged
    /// anyway when it is written.
    pub(crate) async fn ask_where_seen(
        &self,
        request: &Deploy,
        package: Option<PackageAddress>,
    ) -> Result<Option<PrecheckReport>, Error> {
        if request.plan_hash.is_none()
            && !self.store.is_reached(request.application, EXECUTOR_SECONDS).await?
        {
            return Ok(None);
        }
        self.ask_about(request, package).await
    }

    /// Looks at a release that is asked for, without writing any of it.
    pub(crate) async fn ask_about(
        &self,
        request: &Deploy,
        package: Option<PackageAddress>,
    ) -> Result<Option<PrecheckReport>, Error> {
        let assembled = self
            .discarded(|tx| {
                Box::pin(async {
                    let assembled = self.assemble(tx, request, package).await?;
                    self.no_open_order(tx, assembled.application.id).await?;
                    Ok(assembled)
                })
            })
            .await?;
        let batch_seconds = self.store.batch_seconds(assembled.application.id).await?;
        let proposal = Proposal {
            application: assembled.application.id,
            cluster: assembled.application.cluster,
            namespace: assembled.application.namespace,
            name: assembled.application.name,
            kind: assembled.kind,
            strategy: assembled.strategy,
            target: assembled.target,
            snapshot: assembled.snapshot,
            allows_no_surge: request.allows_no_surge,
            batch_seconds,
        };
        let report = self.ask(&proposal).await?;
        // By the cluster's number of now, where somebody sees it.
        let shown = report.as_ref().and_then(|report| report.replicas);
        proposal.strategy.fits(request.replicas.or(shown).unwrap_or(assembled.replicas))?;
        Ok(report)
    }

    /// Looks at an order that releases no version of its own, and refuses what certainly
    /// cannot work. What else there is to be known is told with releases.
    pub(crate) async fn check_order(&self, order: &Assembled) -> Result<(), Error> {
        let application = &order.application;
        self.discarded(|tx| Box::pin(self.no_open_order(tx, application.id))).await?;
        let proposal = Proposal {
            application: application.id,
            cluster: application.cluster.clone(),
            namespace: application.namespace.clone(),
            name: application.name.clone(),
            kind: order.kind,
            strategy: order.strategy,
            target: order.target.clone(),
            snapshot: order.snapshot.clone(),
            allows_no_surge: false,
            batch_seconds: None,
        };
        accept(self.ask(&proposal).await?.as_ref(), None)?;
        Ok(())
    }

    pub(crate) async fn no_open_order(
        &self,
        tx: &mut Tx,
        application: ApplicationId,
    ) -> Result<(), Error> {
        match tx.open_order(application).await? {
            Some(open) => Err(Rejection::OrderRunning { application, open }.into()),
            None => Ok(()),
        }
    }

    /// Asks, and waits for the answer; none where nobody can give one now.
    pub(crate) async fn ask(&self, proposal: &Proposal) -> Result<Option<PrecheckReport>, Error> {
        if self.store.executors(&proposal.cluster, EXECUTOR_SECONDS).await?.reaching == 0 {
            return Ok(None);
        }
        let id = PrecheckRequestId::random();
        let expected = self.answers.expect(id.uuid());
        self.store.send_precheck_request(id, proposal, self.clock.now()).await?;
        let report =
            expected.until_answered(ANSWER_WITHIN, || self.store.precheck_report(id)).await?;
        if report.is_none() {
            self.store.withdraw_precheck_request(id).await?;
            tracing::warn!(
                namespace = proposal.namespace,
                name = proposal.name,
                "no executor said in time whether the release can work"
            );
        }
        Ok(report)
    }
}

/// What a report that refuses nothing comes to.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    /// How many pods may be missing at once.
    pub max_unavailable: i32,
    /// Number of pods when it is done; none where nobody looked.
    pub replicas: Option<i32>,
    /// What somebody should know, as sentences.
    pub warnings: Vec<String>,
}

/// Refuses what the report says cannot work, or what is not the plan that was
/// agreed to.
pub(crate) fn accept(
    report: Option<&PrecheckReport>,
    agreed: Option<&str>,
) -> Result<Accepted, Rejection> {
    let Some(report) = report else {
        return if agreed.is_some() { Err(unanswered()) } else { Ok(Accepted::default()) };
    };
    if let Some(check) = report.refusal() {
        return Err(cannot_work(check));
    }
    let mut warnings = Vec::new();
    for check in report.checks.iter().filter(|check| check.finding == Finding::Warned) {
        tracing::info!(subject = check.subject.word(), "{}", check.reason);
        warnings.push(format!("{}: {}", check.subject.word(), check.reason));
    }
    let Some(plan) = &report.plan else { return Ok(Accepted { warnings, ..Accepted::default() }) };
    match agreed {
        Some(agreed) if agreed != plan.hash => {
            let allowed = "the release would do something else now: look at its plan again";
            Err(Rejection::invalid(Input::PlanHash, agreed, allowed))
        }
        _ => Ok(Accepted {
            max_unavailable: plan.max_unavailable,
            replicas: Some(plan.replicas),
            warnings,
        }),
    }
}

/// Refuses what the guardrails have against a Deployment that is taken over as it is.
pub(crate) fn accept_guarded(report: &PrecheckReport) -> Result<(), Rejection> {
    let refused = report
        .checks
        .iter()
        .find(|it| it.subject == Subject::Guardrails && it.finding == Finding::Refused);
    refused.map_or(Ok(()), |check| Err(cannot_work(check)))
}

fn cannot_work(check: &Check) -> Rejection {
    Rejection::CannotWork { subject: check.subject.word(), reason: check.reason.clone() }
}

pub(crate) fn unanswered() -> Rejection {
    Rejection::CannotWork {
        subject: "Deployment",
        reason: "nobody can look at the cluster now: try again".into(),
    }
}
