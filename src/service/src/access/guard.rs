//! The guardrails of a caller, and what of them is judged where requests come in.

use std::sync::atomic::Ordering;

use crate::{Error, Permit, Service};
use domain::{
    ClusterId, Input, Rejection,
    access::{Action, Pattern, Resource},
    application::Application,
    guard::{Guardrails, Version, helm_release, is_plain_ingress_annotation},
    object::{
        ingress::{IngressRule, Texts, excluding, hosts, shares_host},
        write::ObjectKind,
    },
    observed::cluster_state::QueryKind,
    precheck::Subject,
    rollout::belongs_to_helm,
    template::names::APPLICATION_ANNOTATION,
};

use store::Tx;

use super::resource_of;

/// Hosts that one namespace can have claimed at once.
const MOST_CLAIMED: i64 = 1000;

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
        self.judged.guarded.store(true, Ordering::Relaxed);
        Err(Rejection::NotAllowed { action: action.shown(), resource: Some(resource.shown()) })
    }

    /// Refuses to delete the Deployment of an application that was adopted, where no policy
    /// allows it.
    pub(crate) fn check_deletes_adopted(&self, application: &Application) -> Result<(), Rejection> {
        self.check_exceeds(Action::DELETE_ADOPTED, &resource_of(application))
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
        self.permit.check_deletes_adopted(application)?;
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
                subject: Subject::Guardrails.word(),
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
    /// namespace's for as long as the write may take, so that two cannot take one at once,
    /// nor one a host and the other its domain. Whoever may take all hosts claims them, too.
    pub(crate) async fn take_hosts(
        &self,
        place: (&ClusterId, &str),
        rules: &[IngressRule],
    ) -> Result<(), Error> {
        let wanted = hosts(rules);
        if wanted.is_empty() {
            return Ok(());
        }
        let judged: Vec<String> = wanted
            .iter()
            .filter(|host| {
                let resource = Resource::Shared { kind: "ingresshost", name: host };
                !self.permit.may_exceed(Action::USE_INGRESS_HOST, &resource)
            })
            .cloned()
            .collect();
        self.check_hosts(place, &judged).await?;
        self.transaction("take_hosts", |tx| {
            Box::pin(async { self.claim_hosts(tx, place, &wanted, &judged).await })
        })
        .await?;
        // Somebody who claimed a host before may have written it by now.
        self.check_hosts(place, &judged).await
    }

    /// Claims hosts, of which nobody else must have claimed those that are judged.
    async fn claim_hosts(
        &self,
        tx: &mut Tx,
        (cluster, namespace): (&ClusterId, &str),
        wanted: &[String],
        judged: &[String],
    ) -> Result<(), Error> {
        let now = self.clock.now();
        tx.lock_ingress_hosts(cluster, now).await?;
        let others: Vec<String> = judged.iter().flat_map(|host| excluding(host)).collect();
        let others = tx.ingress_hosts_of_others(cluster, namespace, &others).await?;
        let is_taken = |host: &&String| excluding(host).iter().any(|it| others.contains(it));
        if let Some(host) = judged.iter().find(is_taken) {
            return Err(self.host_taken(host).into());
        }
        let claimed = tx.claim_ingress_hosts(cluster, namespace, wanted, now).await?;
        if claimed > MOST_CLAIMED {
            let allowed = format!(
                "the namespace would write {claimed} hosts within two minutes, and may write {MOST_CLAIMED}: try again later"
            );
            let host = wanted.first().map(String::as_str).unwrap_or_default();
            return Err(Rejection::invalid(Input::IngressRules, host, allowed).into());
        }
        Ok(())
    }

    async fn check_hosts(
        &self,
        (cluster, namespace): (&ClusterId, &str),
        wanted: &[String],
    ) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let ingresses =
            self.objects(cluster, ObjectKind::Ingress, "", "", Default::default()).await?;
        let others =
            ingresses.iter().filter(|ingress| ingress["metadata"]["namespace"] != namespace);
        match shares_host(wanted, others) {
            Some(host) => Err(self.host_taken(&host).into()),
            None => Ok(()),
        }
    }

    fn host_taken(&self, host: &str) -> Rejection {
        self.permit.judged.guarded.store(true, Ordering::Relaxed);
        let action = Action::USE_INGRESS_HOST.shown();
        let allowed = format!(
            "an Ingress of another namespace has the host: choose another one; a policy that allows {action} on ingresshost/{} permits it",
            domain::rejection::shortened(host)
        );
        Rejection::invalid(Input::IngressRules, host, allowed)
    }

    /// Whether an error is a refusal by the guardrails.
    pub(crate) fn is_guarded(&self, error: &Error) -> bool {
        let Error::Rejected(refusal) = error else { return false };
        match refusal {
            Rejection::CannotWork { subject, .. } => *subject == Subject::Guardrails.word(),
            Rejection::NotAllowed { .. } | Rejection::Invalid(_) => {
                self.permit.judged.guarded.load(Ordering::Relaxed)
            }
            _ => false,
        }
    }

    /// Whether an error refuses what the caller may not do, or may not know of.
    pub(crate) fn is_refused(&self, error: &Error) -> bool {
        matches!(error, Error::Rejected(Rejection::NotAllowed { .. }))
            || self.permit.has_hidden()
            || self.is_guarded(error)
    }
}
