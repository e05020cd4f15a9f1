//! The guardrails of a caller, and what of them is judged where requests come in.

use crate::{Error, Permit, Service};
use domain::{
    Input, Rejection,
    access::{Action, Pattern, Resource},
    application::Application,
    guard::{Guardrails, Version, helm_release, is_plain_ingress_annotation},
    object::{
        ingress::{IngressRule, Texts, hosts, shares_host},
        write::ObjectKind,
    },
    observed::cluster_state::QueryKind,
    rollout::belongs_to_helm,
    template::names::APPLICATION_ANNOTATION,
};

use super::resource_of;

/// What of the guardrails is a setting of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardConfig {
    /// The version of Kubernetes whose Pod Security is meant.
    pub pod_security: Version,
    /// Kubernetes namespaces in which only those may do something whose policies name them.
    pub protected_namespaces: Vec<Pattern>,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { pod_security: Version::LATEST, protected_namespaces: vec![Pattern::new("kube-*")] }
    }
}

impl Permit {
    /// Whether no guardrail holds: for the program itself, and those who may do everything.
    fn is_unbounded(&self) -> bool {
        self.action.is_none() || self.access.is_unbounded()
    }

    fn may_exceed(&self, action: Action, resource: &Resource<'_>) -> bool {
        self.is_unbounded() || self.access.allows(action, resource)
    }

    /// Refuses what goes beyond the guardrails, and no policy allows.
    fn check_exceeds(&self, action: Action, resource: &Resource<'_>) -> Result<(), Rejection> {
        if self.may_exceed(action, resource) {
            return Ok(());
        }
        Err(Rejection::NotAllowed { action: action.shown(), resource: Some(resource.shown()) })
    }
}

impl Service {
    /// What the caller may ask for of the pods of an application; none = anything.
    pub(crate) fn guardrails(&self, application: &Resource<'_>) -> Option<Guardrails> {
        self.permit.action?;
        self.permit.access.guardrails(application, self.settings.guard.pod_security)
    }

    /// Refuses a load balancer of the cloud that the caller may not use.
    pub(crate) fn check_balancer(&self, id: Option<&str>) -> Result<(), Rejection> {
        let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(()) };
        let balancer = Resource::Shared { kind: "loadbalancer", name: id };
        self.permit.check_exceeds(Action::USE_LOAD_BALANCER, &balancer)
    }

    /// Refuses to delete the Deployment of an application that was adopted, where no policy
    /// allows it, and one that belongs to Helm whoever asks.
    pub(crate) async fn check_deletion(
        &self,
        application: &Application,
        adopted_uid: &str,
    ) -> Result<(), Error> {
        self.permit.check_exceeds(Action::DELETE_ADOPTED, &resource_of(application))?;
        let live = match self.deployment_of(application, QueryKind::Whole).await {
            Ok(live) => live,
            // Then it is judged when the order begins.
            Err(Error::Rejected(Rejection::NoDeployment { .. } | Rejection::Unseen(_))) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let named = live["metadata"]["annotations"][APPLICATION_ANNOTATION].as_str();
        let is_ours = live["metadata"]["uid"] == adopted_uid
            || named == Some(application.id.to_string().as_str());
        match helm_release(&live).filter(|_| is_ours) {
            Some(release) => Err(Rejection::CannotWork {
                subject: "Guardrails",
                reason: belongs_to_helm(&application.name, &release),
            }
            .into()),
            None => Ok(()),
        }
    }

    /// Refuses annotations of an Ingress that its controller may obey, and no policy allows.
    pub(crate) fn check_ingress_annotations(&self, annotations: &Texts) -> Result<(), Rejection> {
        let given = annotations.iter().filter(|(_, text)| text.is_some()).map(|(key, _)| key);
        for key in given.filter(|key| !is_plain_ingress_annotation(key)) {
            let annotation = Resource::Shared { kind: "annotation", name: key };
            self.permit.check_exceeds(Action::USE_INGRESS_ANNOTATION, &annotation)?;
        }
        Ok(())
    }

    /// Refuses hosts that an Ingress of another namespace has. The others are this
    /// namespace's for as long as the write may take, so that two cannot take one at once.
    pub(crate) async fn take_hosts(
        &self,
        namespace: &str,
        rules: &[IngressRule],
    ) -> Result<(), Error> {
        let wanted: Vec<String> = hosts(rules)
            .into_iter()
            .filter(|host| {
                let resource = Resource::Shared { kind: "ingresshost", name: host };
                !self.permit.may_exceed(Action::USE_INGRESS_HOST, &resource)
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let cluster = &self.settings.cluster;
        self.check_hosts(namespace, &wanted).await?;
        let claimed =
            self.store.claim_ingress_hosts(cluster, namespace, &wanted, self.clock.now()).await?;
        if let Some(host) = wanted.iter().find(|host| !claimed.contains(host)) {
            return Err(host_taken(host).into());
        }
        // Somebody who claimed a host before may have written it by now.
        self.check_hosts(namespace, &wanted).await
    }

    async fn check_hosts(&self, namespace: &str, wanted: &[String]) -> Result<(), Error> {
        let cluster = &self.settings.cluster;
        let ingresses =
            self.objects(cluster, ObjectKind::Ingress, "", "", Default::default()).await?;
        let others =
            ingresses.iter().filter(|ingress| ingress["metadata"]["namespace"] != namespace);
        match shares_host(wanted, others) {
            Some(host) => Err(host_taken(&host).into()),
            None => Ok(()),
        }
    }
}

fn host_taken(host: &str) -> Rejection {
    let action = Action::USE_INGRESS_HOST.shown();
    let allowed = format!(
        "an Ingress of another namespace has the host: choose another one; a policy that allows {action} on ingresshost/{} permits it",
        domain::rejection::shortened(host)
    );
    Rejection::invalid(Input::IngressRules, host, allowed)
}
