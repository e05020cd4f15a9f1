//! Creating an application, with the order that brings up its first version.

use serde_json::json;

use super::precheck;
use crate::{
    Adopt, Caller, CreateApplication, Error, Service, access::new_application,
    catalog::region::check_logical_region, check,
};
use domain::{
    ApplicationId, ClusterId, Input, OrderId, Rejection, ReleaseId,
    name::DEFAULT_NAMESPACE,
    object::write::Owner,
    order::{Kind, Target, TemplateSource, plan::Strategy},
    template::container::Known,
};
use store::{Event, NewApplication, NewOrder, NewRelease};

/// Seconds that creating an application may take (R23).
const CREATE_TIMEOUT_SECONDS: i64 = 1800;

impl Service {
    /// Creates an application and the order that brings up its first version. A
    /// Deployment of the name that is there already is taken over as it runs, and
    /// nothing of `request` but its texts is applied.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown cluster, or a name that is taken.
    pub async fn create_application(
        &self,
        caller: &Caller,
        request: CreateApplication,
    ) -> Result<(ApplicationId, OrderId), Error> {
        // What is there already has a name of Kubernetes' rule; what is made, of EDAS' too.
        if check::present_name(&request.name).is_err() {
            check::application_name(&request.name)?;
        }
        check::replicas(request.replicas)?;
        check::spec(&request.spec)?;
        check::seconds(Input::Timeout, request.timeout_seconds, 1)?;
        check::graceful_start(
            &request.spec.graceful_start,
            request.timeout_seconds.unwrap_or(CREATE_TIMEOUT_SECONDS),
            Input::Timeout,
        )?;
        check::text(Input::ApplicationDescription, &request.description, 1024)?;
        check::text(Input::Version, request.version.as_deref().unwrap_or_default(), 256)?;
        check::one_source(&request.spec, &request.package)?;
        check_logical_region(request.logical_region.as_deref())?;
        self.check_first_services(&request.name, &request.services)?;
        if request.spec.image.is_none() && request.package.url.is_none() {
            let allowed =
                "an application is created from an image or a package, whose address must be given";
            return Err(Rejection::invalid(Input::Image, "", allowed).into());
        }
        let cluster = self.known_cluster(&request.cluster).await?;
        let named = request.namespace.as_deref().filter(|name| !name.is_empty());
        self.check(&new_application(named.unwrap_or(DEFAULT_NAMESPACE), &request.name))?;
        self.known_namespace(&cluster, named.unwrap_or(DEFAULT_NAMESPACE)).await?;
        self.unless_answered(caller, self.create_new(caller, &request, &cluster, named)).await
    }

    /// Packages and the cluster are asked first, since no transaction waits for them.
    async fn create_new(
        &self,
        caller: &Caller,
        request: &CreateApplication,
        cluster: &ClusterId,
        named: Option<&str>,
    ) -> Result<(ApplicationId, OrderId), Error> {
        let namespace = named.unwrap_or(DEFAULT_NAMESPACE);
        let package = self.check_package_params(&request.package).await?;
        let mut spec = request.spec.clone();
        let label = self.complete_package(&mut spec, &request.package, package, None)?;
        let runtime = spec.java.runtime.as_ref().map(|runtime| &runtime.image);
        let image = spec.image.as_ref().or(runtime).cloned().unwrap_or_default();
        let (release, replicas) = (ReleaseId::new(), request.replicas.unwrap_or(1));
        let target = Target {
            release: Some(release),
            replicas: Some(replicas),
            guardrails: self.guardrails(&new_application(namespace, &request.name)),
            ..Target::new(
                TemplateSource::Change(Box::new(spec)),
                request.timeout_seconds.unwrap_or(CREATE_TIMEOUT_SECONDS),
                self.settings.failure_policy,
            )
        };
        let adopt = Adopt {
            name: request.name.clone(),
            cluster: request.cluster.clone(),
            namespace: namespace.into(),
            logical_region: request.logical_region.clone(),
            description: request.description.clone(),
            version: request.version.clone(),
            container: None,
        };
        self.name_is_free(&adopt).await?;
        let report =
            self.ask(&self.creation(cluster, namespace, &request.name, target.clone())).await?;
        if report.as_ref().is_none_or(|report| report.existing.is_none()) {
            check::application_name(&request.name)?;
        }
        let accepted = precheck::accept(report.as_ref(), None)?;
        let notes: Vec<String> = request.notes.iter().cloned().chain(accepted.warnings).collect();
        if let Some(existing) = report.and_then(|report| report.existing) {
            if !request.services.is_empty() {
                let reason = format!(
                    "the Deployment {} is there already and is taken over as it runs: leave the load balancers and Services out, and create them afterwards",
                    request.name
                );
                return Err(Rejection::CannotWork { subject: "Deployment", reason }.into());
            }
            return self.take_over(caller, adopt, existing, notes).await;
        }

        self.first_services_are_free((cluster, namespace), &request.name, &request.services)
            .await?;

        let now = self.clock.now();
        self.once(caller, "create_application", |tx| Box::pin(async {
        self.hold_packages(tx, &target).await?;
        let (application, order) = (ApplicationId::new(), OrderId::new());
        let row = NewApplication {
            id: application,
            cluster,
            namespace,
            namespace_named: named.is_some(),
            name: &request.name,
            logical_region: request
                .logical_region
                .as_deref()
                .filter(|region| !region.is_empty())
                .unwrap_or(&self.settings.region),
            description: &request.description,
            owner: &caller.name,
            // Its first container bears its name.
            container: &Known::Found(request.name.clone()),
            replicas,
        };
        tx.insert_application(&row, now).await?;
        let version = request.version.as_deref().filter(|version| !version.is_empty());
        let row = NewRelease {
            id: release,
            application,
            version,
            image: &image,
            package: label.as_ref(),
            description: "",
        };
        tx.insert_release(&row, now).await?;
        let row = NewOrder {
            id: order,
            application,
            kind: Kind::Create,
            strategy: Strategy::ALL_AT_ONCE,
            target: target.clone(),
            snapshot: None,
            rolls_back: None,
            description: "",
            notes: &notes,
            created_by: &caller.name,
            source: caller.source,
            replicas,
            resumes_at: 0,
        };
        tx.insert_order(&row, now).await?;
        let detail = json!({ "request": caller.request_id, "image": image, "package": label, "replicas": replicas, "target": tx.fingerprint(&target)? });
        let cause = format!("create application {} in namespace {namespace}", request.name);
        let event = Event { actor: &caller.name, kind: "order.accepted", cause: &cause, detail };
        tx.add_event(application, Some(order), now, event).await?;
        let owner = Owner { id: application, name: request.name.clone() };
        self.add_first_services(tx, caller, (cluster, namespace, &owner), &request.services).await?;
        Ok((application, order))
        }))
        .await
    }
}
