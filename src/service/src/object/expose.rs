//! Services in front of an application's pods, plain ones and those that bind it to a
//! load balancer. Each write is a change order that ends as soon as it is done; no pod
//! hears of it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Caller, Error, Service, check::object_name, object::write::owner, once::Deed};
use domain::template::names::{APPLICATION_LABEL, OWNER, OWNER_LABEL};
use domain::{
    ApplicationId, Input, OrderId, Rejection,
    application::Application,
    object::{
        load_balancer::{Binding, binding},
        service::{self, Balancer, Listener, Network, Port, Reach, Speech, TrafficPolicy},
        write::{Action, ObjectKind, ObjectWrite},
    },
    observed::cluster_state::QueryKind,
};

/// A Service that is wanted; on a change, none leaves it as it is.
#[derive(Debug, Clone)]
pub struct Expose {
    pub application: ApplicationId,
    pub name: String,
    /// From where it is reached.
    pub reach: Option<Reach>,
    /// Which pods get what comes from outside.
    pub policy: Option<TrafficPolicy>,
    pub ports: Option<Vec<Port>>,
}

/// A binding to a load balancer that is wanted.
#[derive(Debug, Clone)]
pub struct Bind {
    pub application: ApplicationId,
    /// The cluster's id, where it was given.
    pub cluster: Option<String>,
    /// The network that it is reached from.
    pub network: Network,
    /// Name of the binding, where it was given.
    pub name: Option<String>,
    /// What is wanted of the load balancer.
    pub balancer: Balancer,
}

impl Service {
    /// Creates a Service in front of the application's pods.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown application, one without a Deployment, or
    /// what the cluster has against it, as a name that is taken.
    pub async fn create_service(&self, caller: &Caller, request: Expose) -> Result<OrderId, Error> {
        object_name(Input::ObjectName, &request.name)?;
        check_policy(&request)?;
        let ports = request.ports.as_deref().unwrap_or_default();
        check_ports(
            Input::ServicePorts,
            ports.iter().map(|port| (port.port, port.transport == service::Transport::Udp)),
        )?;
        let reach = request.reach.unwrap_or(Reach::ClusterIp);
        let deed = self.deed(caller, "create_service");
        self.once_outside(&deed, async {
            let application = self.living_application(request.application).await?;
            let selector = self.selector(&application).await?;
            let object = service::service(&selector, reach, request.policy, ports);
            self.write_service(
                &deed,
                &application,
                request.name,
                Action::Create(object),
                "Create Service",
            )
            .await
        })
        .await
    }

    /// Changes a Service that was created for the application.
    ///
    /// # Errors
    /// As [`Service::create_service`], or a Service that is not the application's.
    pub async fn change_service(&self, caller: &Caller, request: Expose) -> Result<OrderId, Error> {
        object_name(Input::ObjectName, &request.name)?;
        check_policy(&request)?;
        if let Some(ports) = &request.ports {
            check_ports(
                Input::ServicePorts,
                ports.iter().map(|port| (port.port, port.transport == service::Transport::Udp)),
            )?;
        }
        let parts = service::service_parts(request.reach, request.policy, request.ports.as_deref());
        if parts.is_empty() {
            return Err(Rejection::invalid_beside(
                Input::ServicePorts,
                "",
                "must be given, or {} or {}: nothing else can be changed",
                &[Input::ServiceType, Input::TrafficPolicy],
            )
            .into());
        }
        let deed = self.deed(caller, "change_service");
        self.once_outside(&deed, async {
            let application = self.living_application(request.application).await?;
            self.write_service(
                &deed,
                &application,
                request.name,
                Action::Set(parts),
                "Update Service",
            )
            .await
        })
        .await
    }

    /// Deletes a Service that was created for the application.
    ///
    /// # Errors
    /// As [`Service::change_service`].
    pub async fn delete_service(
        &self,
        caller: &Caller,
        application: ApplicationId,
        name: &str,
    ) -> Result<OrderId, Error> {
        object_name(Input::ObjectName, name)?;
        let deed = self.deed(caller, "delete_service");
        self.once_outside(&deed, async {
            let application = self.permitted_application(application).await?;
            self.write_service(&deed, &application, name.into(), Action::Delete, "Delete Service")
                .await
        })
        .await
    }

    /// The Services that find the application's pods, and those that were created for it;
    /// by name.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`] or [`Rejection::Unseen`].
    pub async fn services(&self, id: ApplicationId) -> Result<Vec<Value>, Error> {
        let application = self.permitted_application(id).await?;
        let deployment = self
            .query(&application, QueryKind::Deployment)
            .await?
            .and_then(|state| state.deployment);
        let mut found = self
            .objects(
                &application.cluster,
                ObjectKind::Service,
                &application.namespace,
                "",
                Default::default(),
            )
            .await?;
        let own = id.to_string();
        found.retain(|service| {
            let finds =
                deployment.as_ref().is_some_and(|deployment| service::finds(service, deployment));
            finds || service["metadata"]["labels"][APPLICATION_LABEL] == own.as_str()
        });
        Ok(found)
    }

    /// Binds the application to a load balancer.
    ///
    /// # Errors
    /// As [`Service::create_service`].
    pub async fn bind(&self, caller: &Caller, request: Bind) -> Result<OrderId, Error> {
        self.check_binding(&request)?;
        check_listeners(request.balancer.listeners.as_deref().unwrap_or_default())?;
        let deed = self.deed(caller, "bind");
        self.once_outside(&deed, async {
            let application = self.living_application(request.application).await?;
            self.check_cluster_of(&application, request.cluster.as_deref()).await?;
            let name = binding_name(&application, &request)?;
            let selector = self.selector(&application).await?;
            let object =
                service::binding(&selector, request.network, &overriding(request.balancer));
            self.write_service(
                &deed,
                &application,
                name,
                Action::Create(object),
                "Bind the load balancer",
            )
            .await
        })
        .await
    }

    /// Changes how the application is bound to a load balancer.
    ///
    /// # Errors
    /// As [`Service::change_service`].
    pub async fn change_binding(&self, caller: &Caller, request: Bind) -> Result<OrderId, Error> {
        self.check_binding(&request)?;
        if let Some(listeners) = &request.balancer.listeners {
            check_listeners(listeners)?;
        }
        let parts = service::binding_parts(&request.balancer);
        if parts.is_empty() {
            let allowed = "must be given, or {} with {}, {}, {} or {}: nothing else can be changed";
            let others = &[
                Input::LoadBalancerPort,
                Input::TargetPort,
                Input::LoadBalancerSize,
                Input::LoadBalancerScheduler,
                Input::KeepsListeners,
            ];
            let input = Input::LoadBalancerPorts;
            return Err(Rejection::invalid_beside(input, "", allowed, others).into());
        }
        let deed = self.deed(caller, "change_binding");
        self.once_outside(&deed, async {
            let application = self.living_application(request.application).await?;
            self.check_cluster_of(&application, request.cluster.as_deref()).await?;
            let name = binding_name(&application, &request)?;
            self.write_service(
                &deed,
                &application,
                name,
                Action::Set(parts),
                "Update the load balancer",
            )
            .await
        })
        .await
    }

    /// Takes a load balancer from the application.
    ///
    /// # Errors
    /// As [`Service::change_service`].
    pub async fn unbind(&self, caller: &Caller, request: Bind) -> Result<OrderId, Error> {
        self.check_binding(&request)?;
        let deed = self.deed(caller, "unbind");
        self.once_outside(&deed, async {
            let application = self.permitted_application(request.application).await?;
            self.check_cluster_of(&application, request.cluster.as_deref()).await?;
            let name = binding_name(&application, &request)?;
            self.write_service(
                &deed,
                &application,
                name,
                Action::Delete,
                "Unbind the load balancer",
            )
            .await
        })
        .await
    }

    /// The load balancers that the application is bound to, as they are now; by name.
    /// None where no executor can look: what else is known of an application is not held
    /// back for that.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn bindings(&self, application: &Application) -> Result<Vec<Binding>, Error> {
        if !self.store.has_object_writes(application.id).await? {
            return Ok(Vec::new());
        }
        let ours =
            [(OWNER_LABEL, OWNER.to_owned()), (APPLICATION_LABEL, application.id.to_string())];
        let labels = ours.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match self
            .objects(&application.cluster, ObjectKind::Service, &application.namespace, "", labels)
            .await
        {
            Ok(found) => {
                Ok(found.iter().filter_map(|service| binding(service, &application.name)).collect())
            }
            Err(Error::Rejected(Rejection::Unseen(_))) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn write_service(
        &self,
        deed: &Deed<'_>,
        application: &Application,
        name: String,
        action: Action,
        what: &str,
    ) -> Result<OrderId, Error> {
        let description = format!("{what} {name}");
        let object_write = ObjectWrite {
            kind: ObjectKind::Service,
            name,
            owner: Some(owner(application)),
            action,
        };
        self.run_recorded(deed, application, &object_write, description).await
    }

    /// An application that is not on its way out.
    pub(crate) async fn living_application(&self, id: ApplicationId) -> Result<Application, Error> {
        let application = self.permitted_application(id).await?;
        if application.is_going() {
            return Err(Rejection::WrongApplicationState {
                application: id,
                reason: "is being deleted".into(),
            }
            .into());
        }
        Ok(application)
    }

    async fn selector(
        &self,
        application: &Application,
    ) -> Result<serde_json::Map<String, Value>, Error> {
        let deployment = self.deployment(application.id).await?;
        service::selector(&deployment)
            .map_err(|reason| Rejection::CannotWork { subject: "Deployment", reason }.into())
    }

    fn check_binding(&self, request: &Bind) -> Result<(), Rejection> {
        let balancer = &request.balancer;
        for (input, value) in [
            (Input::LoadBalancer, &balancer.id),
            (Input::LoadBalancerSize, &balancer.specification),
        ] {
            check_cloud_text(input, value.as_ref())?;
        }
        self.check_balancer(balancer.id.as_deref())
    }
}

/// A load balancer that exists has listeners of before, which must give way.
pub(crate) fn overriding(balancer: Balancer) -> Balancer {
    let overrides = balancer.overrides.or(balancer.id.as_ref().map(|_| true));
    Balancer { overrides, ..balancer }
}

pub(crate) fn check_cloud_text(input: Input, value: Option<&String>) -> Result<(), Rejection> {
    let fits = |value: &String| {
        value.len() <= 128 && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match value.filter(|value| !fits(value)) {
        Some(value) => Err(Rejection::invalid(
            input,
            value,
            "must have at most 128 letters, digits, '-', '_' and '.'",
        )),
        None => Ok(()),
    }
}

fn binding_name(application: &Application, request: &Bind) -> Result<String, Rejection> {
    let name = request.network.service_of(&application.name);
    match &request.name {
        Some(given) if *given != name => Err(Rejection::invalid(
            Input::LoadBalancerName,
            given,
            format!(
                "must be {name}, the {} load balancer of {}",
                request.network.word(),
                application.name
            ),
        )),
        _ => Ok(name),
    }
}

fn check_policy(request: &Expose) -> Result<(), Rejection> {
    match (request.reach, request.policy) {
        (Some(Reach::ClusterIp), Some(policy)) => {
            let allowed =
                "must be left out with the Type ClusterIP: it is for the Type NodePort only";
            Err(Rejection::invalid(Input::TrafficPolicy, format!("{policy:?}"), allowed))
        }
        _ => Ok(()),
    }
}

/// At least one port, and none twice.
pub(crate) fn check_ports(
    input: Input,
    ports: impl Iterator<Item = (u16, bool)>,
) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for (port, is_udp) in ports {
        if !seen.insert((port, is_udp)) {
            return Err(Rejection::invalid(input, port, "each port may be given only once"));
        }
    }
    if seen.is_empty() {
        Err(Rejection::invalid(input, "", "must have at least one port"))
    } else {
        Ok(())
    }
}

fn check_listeners(listeners: &[Listener]) -> Result<(), Rejection> {
    check_ports(Input::LoadBalancerPorts, listeners.iter().map(|listener| (listener.port, false)))?;
    let certificates: BTreeSet<&str> = listeners
        .iter()
        .filter_map(|listener| match &listener.speech {
            Speech::Https(certificate) => Some(certificate.as_str()),
            Speech::Tcp | Speech::Http => None,
        })
        .collect();
    match certificates.iter().nth(1) {
        Some(second) => Err(Rejection::invalid(
            Input::LoadBalancerPorts,
            second,
            "all HTTPS ports of a load balancer must have the same certificate",
        )),
        None => Ok(()),
    }
}
