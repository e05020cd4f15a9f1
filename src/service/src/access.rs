//! What a caller may do, judged where the rows are read.
//!
//! A [`Service`] has a [`Permit`]: what its caller may do, and the action that is being
//! done. Use cases get at applications and orders by the functions here, and a test holds
//! that they do by no other. What the caller may not know of is answered as unknown.

mod change;
pub mod guard;
pub mod key;
mod policy;
pub mod principal;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use crate::{Error, Service, known::Found, once::Work};
use domain::{
    ApplicationId, BatchId, OrderId, Rejection,
    access::{Access, Action, Circumstances, Filter, Grant, Network, Resource, Site, Verdict},
    application::Application,
    object::write::ObjectKind,
    order::{DeploymentBefore, Order},
    snapshot::ApplicationName,
};

use key::{KeySecret, SeenKey};
use serde_json::Value;
use store::WholeOrder;

/// What a caller may do, and what is being done.
#[derive(Debug, Clone)]
pub struct Permit {
    access: Arc<Access>,
    /// None = whatever it is: the program itself does it.
    action: Option<Action>,
    judged: Arc<Judged>,
    /// The key that it was made from, where it was one.
    key: Option<SeenKey>,
}

/// What was judged by a permit.
#[derive(Debug, Default)]
struct Judged {
    /// Whether anything was.
    any: AtomicBool,
    /// Whether something was that the caller may not know of.
    hidden: AtomicBool,
    /// Whether something went beyond the guardrails.
    guarded: AtomicBool,
    /// Whether the refusal is on record already.
    recorded: AtomicBool,
    /// What of it the action was about, as policies name it.
    objects: Mutex<BTreeSet<String>>,
}

/// Most objects of an action that are noted.
const MOST_NOTED: usize = 8;

impl Permit {
    /// Of a caller with this access, who does this.
    ///
    /// # Errors
    /// [`Rejection::NotAllowed`] where there is nothing that it may be done to.
    pub fn of(access: Arc<Access>, action: Action) -> Result<Self, Rejection> {
        if access.may(action) {
            Ok(Self { access, action: Some(action), judged: Arc::default(), key: None })
        } else {
            Err(Rejection::NotAllowed { action: action.shown(), resource: None })
        }
    }

    /// Of the program itself.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            access: Access::everything().into(),
            action: None,
            judged: Arc::default(),
            key: None,
        }
    }

    /// Of nobody: everything is refused.
    #[must_use]
    pub fn nobody() -> Self {
        let action = Some(Action::READ);
        Self { access: Access::nothing().into(), action, judged: Arc::default(), key: None }
    }

    /// Of a caller with this access, about its own keys and sessions: nothing need be allowed
    /// for that, and no application is reached by it.
    #[must_use]
    pub fn own(access: Arc<Access>) -> Self {
        Self { access, action: Some(Action::MANAGE_ACCESS), judged: Arc::default(), key: None }
    }

    /// The same, of whoever uses this key: nothing is changed by it on rights that were taken
    /// away meanwhile.
    #[must_use]
    pub fn of_key(self, key: &KeySecret) -> Self {
        Self { key: Some(key.seen.clone()), ..self }
    }

    /// Whether anything was judged by it. An answer in which nothing was is not given,
    /// where there is something to be judged.
    #[must_use]
    pub fn was_judged(&self) -> bool {
        self.judged.any.load(Ordering::Relaxed)
    }

    /// Notes that this is about nothing that anybody owns.
    pub fn judged_by_action(&self) {
        self.judged.any.store(true, Ordering::Relaxed);
    }

    /// What comes of the action on a resource.
    fn verdict(&self, resource: &Resource<'_>) -> Verdict {
        self.judged_by_action();
        match self.action {
            Some(action) => self.access.verdict(action, resource),
            None => Verdict::Allowed,
        }
    }

    /// Whether it was answered as unknown what the caller may not know of.
    #[must_use]
    pub fn has_hidden(&self) -> bool {
        self.judged.hidden.load(Ordering::Relaxed)
    }

    /// Notes that nobody need put the refusal on record any more.
    pub(crate) fn note_recorded(&self) {
        self.judged.recorded.store(true, Ordering::Relaxed);
    }

    /// Whether the audit has, or has had enough of, the refusal that came of it.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.judged.recorded.load(Ordering::Relaxed)
    }

    /// The action, as policies name it; none where the program itself does it.
    #[must_use]
    pub fn shown_action(&self) -> Option<String> {
        self.action.map(Action::shown)
    }

    /// What the action was about so far, as policies name it; parted by blanks.
    #[must_use]
    pub fn shown_objects(&self) -> String {
        let objects = self.judged.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    fn note(&self, resource: &Resource<'_>) {
        let mut objects = self.judged.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if objects.len() < MOST_NOTED {
            objects.insert(resource.shown());
        }
    }

    /// Refuses the action on a resource by its name.
    pub(crate) fn check(&self, resource: &Resource<'_>) -> Result<(), Rejection> {
        self.note(resource);
        match self.verdict(resource) {
            Verdict::Allowed => Ok(()),
            Verdict::Refused | Verdict::Hidden => Err(self.refused(resource)),
        }
    }

    /// Refuses the action on a resource that is known by its id: as `unknown`, where the
    /// caller may not know of it.
    fn check_known(
        &self,
        resource: &Resource<'_>,
        unknown: impl FnOnce() -> Rejection,
    ) -> Result<(), Rejection> {
        self.note(resource);
        match self.verdict(resource) {
            Verdict::Allowed => Ok(()),
            Verdict::Refused => Err(self.refused(resource)),
            Verdict::Hidden => {
                self.judged.hidden.store(true, Ordering::Relaxed);
                Err(unknown())
            }
        }
    }

    /// Whether the action is allowed on a resource.
    #[must_use]
    pub fn allows(&self, resource: &Resource<'_>) -> bool {
        self.verdict(resource) == Verdict::Allowed
    }

    /// Whether the action may be allowed on something of this Kubernetes namespace.
    pub(crate) fn reaches(&self, namespace: &str) -> bool {
        self.judged_by_action();
        self.action.is_none_or(|action| self.access.reaches(action, namespace))
    }

    /// Whether applications of this Kubernetes namespace may be seen, or the action may be
    /// allowed on something of it.
    pub(crate) fn sees_namespace(&self, namespace: &str) -> bool {
        self.reaches(namespace) || self.access.reaches(Action::READ, namespace)
    }

    /// Which applications a list may show; none = all.
    pub(crate) fn filter(&self) -> Option<Filter> {
        self.judged_by_action();
        self.action.and_then(|action| self.access.filter(action))
    }

    /// Whether another action than the one that is being done is allowed.
    pub(crate) fn allows_anyway(&self, action: Action, resource: &Resource<'_>) -> bool {
        self.judged_by_action();
        self.action.is_none() || self.access.allows(action, resource)
    }

    fn refused(&self, resource: &Resource<'_>) -> Rejection {
        Rejection::NotAllowed {
            action: self.action.map(Action::shown).unwrap_or_default(),
            resource: Some(resource.shown()),
        }
    }
}

/// An application, as policies name it.
pub(crate) fn resource_of(application: &Application) -> Resource<'_> {
    Resource::Application {
        namespace: &application.namespace,
        name: &application.name,
        id: Some(application.id),
    }
}

/// The same, of its name.
pub(crate) fn resource_named(application: &ApplicationName) -> Resource<'_> {
    Resource::Application {
        namespace: &application.namespace,
        name: &application.name,
        id: Some(application.id),
    }
}

/// An application that need not be there, as policies name it.
pub(crate) fn new_application<'a>(namespace: &'a str, name: &'a str) -> Resource<'a> {
    Resource::Application { namespace, name, id: None }
}

/// An object beside the Deployments of a namespace, as policies name it.
pub(crate) fn beside<'a>(kind: ObjectKind, namespace: &'a str, name: &'a str) -> Resource<'a> {
    let kind = match kind {
        ObjectKind::ConfigMap => "configmap",
        ObjectKind::Secret => "secret",
        ObjectKind::Ingress => "ingress",
        ObjectKind::Service => "service",
        ObjectKind::HorizontalPodAutoscaler => "autoscaler",
    };
    Resource::Object { namespace, kind, name }
}

impl Service {
    /// The same use cases, for somebody who may do this and nothing else.
    #[must_use]
    pub fn within(&self, permit: Permit) -> Self {
        Self { permit, ..self.clone() }
    }

    /// What whoever has these grants may do, as requests come from there.
    #[must_use]
    pub fn access(&self, grants: &[Grant], peer: IpAddr, encrypted: bool) -> Arc<Access> {
        let site = Site {
            region: &self.settings.region,
            cluster: self.settings.cluster.as_str(),
            protected: &self.settings.guard.protected_namespaces,
        };
        let circumstances = Circumstances { peer, encrypted, now: self.clock.now() };
        match Grant::access(grants, &site, &circumstances) {
            Ok(access) => access.into(),
            Err((policy, why)) => {
                tracing::error!(policy, error = %why, "a policy cannot be read: nothing is allowed to those who have it");
                Access::nothing().into()
            }
        }
    }

    /// Refuses what may not be done to a resource.
    pub(crate) fn check(&self, resource: &Resource<'_>) -> Result<(), Rejection> {
        self.permit.check(resource)
    }

    /// Whether the caller may do this to something of a Kubernetes namespace.
    pub(crate) fn reaches(&self, namespace: &str) -> bool {
        self.permit.reaches(namespace)
    }

    /// Whether the caller may see anything of a Kubernetes namespace.
    pub(crate) fn sees_namespace(&self, namespace: &str) -> bool {
        self.permit.sees_namespace(namespace)
    }

    /// Refuses a Kubernetes namespace to nothing of which the caller may do this.
    pub(crate) fn check_reaches(&self, namespace: &str) -> Result<(), Rejection> {
        if self.reaches(namespace) {
            return Ok(());
        }
        Err(self.permit.refused(&beside(ObjectKind::ConfigMap, namespace, "*")))
    }

    /// Keeps those objects of a kind that the caller may do this to.
    pub(crate) fn keep_permitted(&self, kind: ObjectKind, objects: &mut Vec<Value>) {
        self.permit.judged_by_action();
        objects.retain(|object| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            self.permit.allows(&beside(kind, text("namespace"), text("name")))
        });
    }

    /// Whether the caller may see and end what belongs to other keys.
    pub(crate) fn manages_access(&self) -> bool {
        self.permit.allows_anyway(
            Action::MANAGE_ACCESS,
            &Resource::Shared { kind: "access", name: "sessions" },
        )
    }

    /// Whether the caller may do something else to an application, by its name.
    #[must_use]
    pub fn may_on(&self, action: Action, application: &ApplicationName) -> bool {
        self.permit.allows_anyway(action, &resource_named(application))
    }

    /// Whether the caller may do something else to an application.
    #[must_use]
    pub fn may(&self, action: Action, application: &Application) -> bool {
        self.permit.allows_anyway(action, &resource_of(application))
    }

    /// An application that the caller may do this to.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`] or [`Rejection::NotAllowed`].
    pub(crate) async fn permitted_application(
        &self,
        id: ApplicationId,
    ) -> Result<Application, Error> {
        let application = self.store.application(id).await?;
        self.permit.check_known(&resource_of(&application), || unknown_application(id))?;
        Ok(application)
    }

    /// An order to whose application the caller may do this, as it is now.
    ///
    /// # Errors
    /// [`Rejection::UnknownOrder`] or [`Rejection::NotAllowed`].
    pub(crate) async fn permitted_order_now(&self, id: OrderId) -> Result<WholeOrder, Error> {
        let order = self.store.whole_order(id).await?.ok_or_else(|| unknown_order(id))?;
        self.permit.check_known(&resource_named(&order.application), || unknown_order(id))?;
        Ok(order)
    }

    /// The same, as it was lately: whoever polls need not ask the database.
    ///
    /// # Errors
    /// As [`Service::permitted_order_now`].
    pub(crate) async fn permitted_view(&self, id: OrderId) -> Result<Arc<WholeOrder>, Error> {
        let at = Instant::now();
        let order = match self.known.orders.find(id, at) {
            Found::Known(order, _) => order,
            Found::Unknown(number) => {
                self.known.miss();
                let order = self.store.whole_order(id).await?.map(Arc::new);
                if let Some(number) = number {
                    self.known.orders.remember(id, order.as_ref(), number, at);
                }
                order.ok_or_else(|| unknown_order(id))?
            }
        };
        self.permit.check_known(&resource_named(&order.application), || unknown_order(id))?;
        Ok(order)
    }

    /// The application of an order, to which the caller may do this.
    ///
    /// # Errors
    /// [`Rejection::UnknownOrder`] or [`Rejection::NotAllowed`].
    pub(crate) async fn permit_order(&self, id: OrderId) -> Result<ApplicationName, Error> {
        let found = self.store.application_of(id).await?.ok_or_else(|| unknown_order(id))?;
        self.permit.check_known(&resource_named(&found), || unknown_order(id))?;
        Ok(found)
    }
}

impl Work<'_> {
    /// Locks an application that the caller may do this to.
    ///
    /// # Errors
    /// As [`Service::permitted_application`].
    pub(crate) async fn permitted_application(
        &mut self,
        id: ApplicationId,
    ) -> Result<(Application, Option<DeploymentBefore>), Error> {
        let (application, snapshot) = self.lock_application(id).await?;
        self.permit().check_known(&resource_of(&application), || unknown_application(id))?;
        // The version says what its pods are made from.
        let Application { release, replicas, replicas_before_stop, .. } = &application;
        self.note_before(&(release, replicas, replicas_before_stop))?;
        Ok((application, snapshot))
    }

    /// Locks an order, if the caller may do this to its application.
    ///
    /// # Errors
    /// As [`Service::permit_order`].
    pub(crate) async fn permitted_order(&mut self, id: OrderId) -> Result<Order, Error> {
        let order = self.lock_order(id).await?;
        self.permit_order(&order, || unknown_order(id))?;
        Ok(order)
    }

    /// Locks the order of a batch, which must be this one if it is said, with the batch's index.
    ///
    /// # Errors
    /// [`Rejection::UnknownBatch`] or [`Rejection::NotAllowed`].
    pub(crate) async fn permitted_order_of_batch(
        &mut self,
        of: Option<OrderId>,
        batch: BatchId,
    ) -> Result<(Order, usize), Error> {
        let (id, index) = self.batch_of(of, batch).await?;
        let order = self.lock_order(id).await?;
        self.permit_order(&order, || Rejection::UnknownBatch(batch.to_string()))?;
        Ok((order, index))
    }

    fn permit_order(
        &self,
        order: &Order,
        unknown: impl FnOnce() -> Rejection,
    ) -> Result<(), Rejection> {
        let resource = Resource::Application {
            namespace: &order.namespace,
            name: &order.name,
            id: Some(order.application),
        };
        self.permit().check_known(&resource, unknown)
    }
}

/// Whether an address is in one of the networks that a key may be used from.
pub(crate) fn is_from(networks: &[String], peer: IpAddr) -> bool {
    let fits = |text: &String| text.parse::<Network>().is_ok_and(|it| it.contains(peer));
    networks.is_empty() || networks.iter().any(fits)
}

fn unknown_application(id: ApplicationId) -> Rejection {
    Rejection::UnknownApplication(id.to_string())
}

fn unknown_order(id: OrderId) -> Rejection {
    Rejection::UnknownOrder(id.to_string())
}
