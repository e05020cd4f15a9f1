//! Taking a Deployment that is there already over as an application, as it runs.
//!
//! Nothing is written to the cluster: its present template becomes the first
//! version of the history, and the order that says so is over when it is accepted.

use serde_json::json;

use crate::{
    Adopt, Caller, Error, Service, access::new_application, catalog::region::check_logical_region,
    check, order::precheck,
};
use domain::{
    ApplicationId, Input, OrderId, Rejection, ReleaseId,
    name::DEFAULT_NAMESPACE,
    order::{Kind, Target, TemplateSource, plan::Strategy},
    precheck::{Existing, controlled},
    template::container::{self, Known, image_of},
};
use store::{Event, NewApplication, NewOrder, NewRelease};

impl Service {
    /// Takes a Deployment over as an application of its name.
    ///
    /// # Errors
    /// A value that is not allowed, a name that is taken, no such Deployment, or
    /// nobody who can look at the cluster now.
    pub async fn adopt(
        &self,
        caller: &Caller,
        request: Adopt,
    ) -> Result<(ApplicationId, OrderId), Error> {
        check::present_name(&request.name)?;
        check::container(request.container.as_deref())?;
        check::text(Input::ApplicationDescription, &request.description, 1024)?;
        check::text(Input::Version, request.version.as_deref().unwrap_or_default(), 256)?;
        check_logical_region(request.logical_region.as_deref())?;
        let cluster = self.known_cluster(&request.cluster).await?;
        self.check(&new_application(&request.namespace, &request.name))?;
        self.known_namespace(&cluster, &request.namespace).await?;
        self.unless_answered(caller, async {
            self.name_is_free(&request).await?;
            let target = self.new_target(TemplateSource::Change(Box::default()), None);
            let report = self
                .ask(&self.creation(&cluster, &request.namespace, &request.name, target))
                .await?;
            let report = report.ok_or_else(precheck::unanswered)?;
            // Nothing is written, so nothing but this stands in the way.
            precheck::accept_guarded(&report)?;
            let Some(existing) = report.existing else {
                let allowed = format!(
                    "there is no such Deployment in namespace {} that could be adopted",
                    request.namespace
                );
                return Err(
                    Rejection::invalid(Input::ApplicationName, request.name, allowed).into()
                );
            };
            self.take_over(caller, request, existing, Vec::new()).await
        })
        .await
    }

    pub(crate) async fn name_is_free(&self, request: &Adopt) -> Result<(), Error> {
        let taken = self.store.applications(Some(&request.name)).await?;
        if taken.iter().any(|other| {
            other.namespace == request.namespace && other.cluster.as_str() == request.cluster
        }) {
            return Err(Rejection::NameTaken {
                name: request.name.clone(),
                namespace: request.namespace.clone(),
            }
            .into());
        }
        Ok(())
    }

    /// Writes the application, its first version and the order that is over.
    pub(crate) async fn take_over(
        &self,
        caller: &Caller,
        request: Adopt,
        existing: Existing,
        mut notes: Vec<String>,
    ) -> Result<(ApplicationId, OrderId), Error> {
        let now = self.clock.now();
        let container = known_container(&request, &existing, &mut notes)?;
        notes.extend(existing.controller.as_deref().map(controlled));
        self.once(caller, "take_over", |tx| Box::pin(async {
        let cluster = self.known_cluster(&request.cluster).await?;
        let (application, release, order) =
            (ApplicationId::new(), ReleaseId::new(), OrderId::new());
        let row = NewApplication {
            id: application,
            cluster: &cluster,
            namespace: &request.namespace,
            namespace_named: request.namespace != DEFAULT_NAMESPACE,
            name: &request.name,
            logical_region: request
                .logical_region
                .as_deref()
                .filter(|region| !region.is_empty())
                .unwrap_or(&self.settings.region),
            description: &request.description,
            owner: &caller.name,
            container: &container,
            replicas: existing.replicas,
        };
        tx.insert_application(&row, now).await?;
        let image = image_of(&existing.template, &container, &request.name).unwrap_or_default();
        let version = request.version.as_deref().filter(|version| !version.is_empty());
        let row =
            NewRelease { id: release, application, version, image, package: None, description: "" };
        tx.insert_release(&row, now).await?;
        tx.note_adoption(application, release, &existing, now).await?;
        let message = format!(
            "adopted the Deployment {} as it runs; nothing was changed, and its present template is the first version",
            request.name
        );
        let row = NewOrder {
            id: order,
            application,
            kind: Kind::Create,
            strategy: Strategy::ALL_AT_ONCE,
            target: Target {
                release: Some(release),
                adopted_uid: Some(existing.uid.clone()),
                ..self.new_target(TemplateSource::Unchanged, None)
            },
            snapshot: None,
            rolls_back: None,
            description: "",
            notes: &notes,
            created_by: &caller.name,
            source: caller.source,
            replicas: existing.replicas,
            resumes_at: 0,
        };
        tx.insert_order(&row, now).await?;
        tx.finish_at_once(order, &message, now).await?;
        let detail =
            json!({ "request": caller.request_id, "image": image, "replicas": existing.replicas });
        let event =
            Event { actor: &caller.name, kind: "application.adopted", cause: &message, detail };
        tx.add_event(application, Some(order), now, event).await?;
        Ok((application, order))
        }))
        .await
    }
}

/// What is put on record about the container of an application that is taken over.
fn known_container(
    request: &Adopt,
    existing: &Existing,
    notes: &mut Vec<String>,
) -> Result<Known, Rejection> {
    let names = container::names(&existing.template);
    if let Some(chosen) = request.container.as_deref().filter(|chosen| !chosen.is_empty()) {
        return if names.iter().any(|name| name == chosen) {
            Ok(Known::Chosen(chosen.into()))
        } else {
            Err(no_such_container(chosen, &names))
        };
    }
    Ok(match container::find(&existing.template, &Known::Nothing, &request.name, None) {
        Ok(index) => names.get(index).cloned().map_or(Known::Nothing, Known::Found),
        Err(doubt) => {
            notes.push(doubt.to_string());
            Known::Nothing
        }
    })
}

pub(crate) fn no_such_container(chosen: &str, names: &[String]) -> Rejection {
    Rejection::invalid(
        Input::ContainerName,
        chosen,
        format!("must be a container of the pod template, which has {}", names.join(", ")),
    )
}
