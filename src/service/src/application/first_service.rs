//! Services that a new application is created with: accepted together with it, written
//! as soon as an executor can, and each on record, in the audit and as a change order, when it
//! is over, also where it could not be done, since nobody waits for that.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    Caller, Error, Service,
    access::beside,
    check::object_name,
    object::expose::{check_cloud_text, check_ports, overriding},
};
use domain::template::names::APPLICATION_LABEL;
use domain::{
    ClusterId, Input, OrderId, Rejection,
    audit::{NewEntry, Outcome},
    object::{
        service::{self, Balancer, Network, Port, Reach, Transport},
        write::{Action, ObjectKind, ObjectWrite, Owner, Record},
    },
};
use store::{Kept, ObjectWriteId, Tx};

/// A Service that a new application is created with.
#[derive(Debug, Clone)]
pub enum FirstService {
    Plain {
        name: String,
        /// From where it is reached.
        reach: Reach,
        ports: Vec<Port>,
    },
    /// One with a load balancer.
    Balanced {
        /// The network that it is reached from.
        network: Network,
        /// What is wanted of the load balancer.
        balancer: Balancer,
    },
}

impl FirstService {
    fn name(&self, application: &str) -> String {
        match self {
            Self::Plain { name, .. } => name.clone(),
            Self::Balanced { network, .. } => network.service_of(application),
        }
    }

    fn object(&self, selector: &Map<String, Value>) -> Value {
        match self {
            Self::Plain { reach, ports, .. } => service::service(selector, *reach, None, ports),
            Self::Balanced { network, balancer } => {
                service::binding(selector, *network, &overriding(balancer.clone()))
            }
        }
    }
}

impl Service {
    /// Refuses Services that a new application cannot have.
    pub(crate) fn check_first_services(
        &self,
        application: &str,
        services: &[FirstService],
    ) -> Result<(), Rejection> {
        let mut names = BTreeSet::new();
        for service in services {
            match service {
                FirstService::Plain { name, ports, .. } => {
                    object_name(Input::FirstServices, name)?;
                    check_ports(
                        Input::FirstServices,
                        ports.iter().map(|port| (port.port, port.transport == Transport::Udp)),
                    )?;
                }
                FirstService::Balanced { network: Network::Internet, balancer } => {
                    check_cloud_text(Input::InternetLoadBalancer, balancer.id.as_ref())?;
                    self.check_balancer(balancer.id.as_deref())?;
                }
                FirstService::Balanced { network: Network::Intranet, balancer } => {
                    check_cloud_text(Input::IntranetLoadBalancer, balancer.id.as_ref())?;
                    self.check_balancer(balancer.id.as_deref())?;
                }
            }
            let name = service.name(application);
            if !names.insert(name.clone()) {
                return Err(Rejection::invalid(
                    Input::FirstServices,
                    name,
                    "each Service needs a name of its own",
                ));
            }
        }
        Ok(())
    }

    /// Refuses names that are taken, as far as the cluster can be looked at now.
    pub(crate) async fn first_services_are_free(
        &self,
        (cluster, namespace): (&ClusterId, &str),
        application: &str,
        services: &[FirstService],
    ) -> Result<(), Error> {
        for service in services {
            let name = service.name(application);
            match self
                .objects(cluster, ObjectKind::Service, namespace, &name, Default::default())
                .await
            {
                Ok(found) if found.is_empty() => {}
                Ok(_) => {
                    return Err(Rejection::ClusterRefused(format!(
                        "the Service {name} exists already in namespace {namespace}"
                    ))
                    .into());
                }
                // Then it is judged when it is written.
                Err(Error::Rejected(Rejection::Unseen(_))) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has Services of a new application written as soon as somebody can; each has a
    /// change order when it is over.
    pub(crate) async fn add_first_services(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        (cluster, namespace, owner): (&ClusterId, &str, &Owner),
        services: &[FirstService],
    ) -> Result<(), Error> {
        let selector =
            Map::from_iter([(APPLICATION_LABEL.to_owned(), owner.id.to_string().into())]);
        for service in services {
            let name = service.name(&owner.name);
            let record = Record {
                order: OrderId::new(),
                application: owner.id,
                description: format!("Create Service {name}"),
                created_by: caller.name.clone(),
                source: caller.source,
                refusals: true,
                trace: caller.trace,
            };
            let action = Action::Create(service.object(&selector));
            let object_write =
                ObjectWrite { kind: ObjectKind::Service, name, owner: Some(owner.clone()), action };
            let resource = beside(ObjectKind::Service, namespace, &object_write.name);
            let entry = NewEntry {
                object: resource.shown(),
                ..self.entry_of(caller, "add_first_service", Outcome::Done)
            };
            let id = ObjectWriteId(Uuid::now_v7());
            tx.add_object_write(
                id,
                (cluster, namespace),
                &object_write,
                Kept { record: Some(&record), entry: Some(&entry), rule: None },
                self.clock.now(),
            )
            .await?;
        }
        Ok(())
    }
}
