//! ConfigMaps and Secrets: written for a namespace, and listed with the applications
//! that name them.
//!
//! What a Secret holds is in an object write until that is answered, and nowhere else of ours.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Caller, Error, Service, access::beside, check::object_name};
use domain::{
    ApplicationId, ClusterId, Input, Rejection,
    access::Resource,
    object::{
        config_data::Held,
        write::{Action, ObjectKind, ObjectWrite},
    },
    precheck::{evidence::ReferenceKind, template::references},
};

/// A ConfigMap or Secret that is wanted.
pub struct Config {
    pub cluster: String,
    pub namespace: String,
    pub name: String,
    /// What it holds.
    pub held: Held,
}

/// An application that names something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub id: ApplicationId,
    pub name: String,
}

/// A ConfigMap or Secret as it is on the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigView {
    /// Where it is.
    pub cluster: ClusterId,
    /// The object. The values of a Secret that this server did not create are empty.
    pub object: Value,
    /// The applications whose newest version names it; empty where that was not asked for.
    pub related: Vec<Related>,
}

impl Service {
    /// Creates a ConfigMap or a Secret.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown cluster or namespace, or what the cluster
    /// has against it, as a name that is taken.
    pub async fn create_config(&self, caller: &Caller, request: Config) -> Result<(), Error> {
        let action = Action::Create(request.held.object());
        self.write_config(caller, "create_config", request, action).await
    }

    /// Replaces what a ConfigMap or a Secret holds that was created by this server.
    ///
    /// # Errors
    /// As [`Service::create_config`], or one of somebody else.
    pub async fn change_config(&self, caller: &Caller, request: Config) -> Result<(), Error> {
        let action = Action::Set(request.held.parts());
        self.write_config(caller, "change_config", request, action).await
    }

    /// Deletes a ConfigMap or a Secret that was created by this server.
    ///
    /// # Errors
    /// As [`Service::change_config`].
    pub async fn delete_config(
        &self,
        caller: &Caller,
        kind: ObjectKind,
        (cluster, namespace, name): (&str, &str, &str),
    ) -> Result<(), Error> {
        let cluster = self.check_place(kind, cluster, namespace, name).await?;
        self.send_config(
            caller,
            "delete_config",
            (&cluster, namespace),
            ObjectWrite { kind, name: name.into(), owner: None, action: Action::Delete },
        )
        .await
    }

    /// The ConfigMaps or Secrets of a namespace, or of all where it is empty, whoever made
    /// them; with the applications that name them, where `related`.
    ///
    /// # Errors
    /// An unknown cluster or namespace, or [`Rejection::Unseen`].
    pub async fn configs(
        &self,
        caller: &Caller,
        kind: ObjectKind,
        cluster: Option<&str>,
        namespace: &str,
        related: bool,
    ) -> Result<Vec<ConfigView>, Error> {
        let cluster = self.named_cluster(cluster).await?;
        if !namespace.is_empty() {
            self.check_reaches(namespace)?;
            self.known_namespace(&cluster, namespace).await?;
        }
        let mut objects = self.objects(&cluster, kind, namespace, "", Default::default()).await?;
        self.keep_permitted(kind, &mut objects);
        if kind == ObjectKind::Secret {
            self.record_read(caller, &format!("namespace/{namespace}/secret/*")).await?;
        }
        let mut naming =
            if related { self.naming(kind, &cluster, namespace).await? } else { BTreeMap::new() };
        let view = |object: Value| {
            let text =
                |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            ConfigView {
                cluster: cluster.clone(),
                related: naming.remove(&(text("namespace"), text("name"))).unwrap_or_default(),
                object,
            }
        };
        Ok(objects.into_iter().map(view).collect())
    }

    /// Which applications name which objects of a kind, by namespace and name.
    async fn naming(
        &self,
        kind: ObjectKind,
        cluster: &ClusterId,
        namespace: &str,
    ) -> Result<BTreeMap<(String, String), Vec<Related>>, Error> {
        let wanted = if kind == ObjectKind::Secret {
            ReferenceKind::Secret
        } else {
            ReferenceKind::ConfigMap
        };
        let mut naming: BTreeMap<(String, String), Vec<Related>> = BTreeMap::new();
        let inside = Some(namespace).filter(|namespace| !namespace.is_empty());
        for application in self.store.current_templates(cluster, inside).await? {
            if !self.permit.allows(&Resource::Application {
                namespace: &application.namespace,
                name: &application.name,
                id: Some(application.application),
            }) {
                continue;
            }
            let of_kind =
                references(&application.template).into_iter().filter(|it| it.kind == wanted);
            let mut names: Vec<String> = of_kind.map(|reference| reference.name).collect();
            names.dedup();
            for name in names {
                let related =
                    Related { id: application.application, name: application.name.clone() };
                naming.entry((application.namespace.clone(), name)).or_default().push(related);
            }
        }
        Ok(naming)
    }

    async fn write_config(
        &self,
        caller: &Caller,
        use_case: &'static str,
        request: Config,
        action: Action,
    ) -> Result<(), Error> {
        if let Some(key) = request.held.missing() {
            return Err(Rejection::invalid(
                Input::ConfigData,
                "(not shown)",
                format!("a Secret of this Type needs the key {key}"),
            )
            .into());
        }
        let kind = request.held.kind();
        let cluster =
            self.check_place(kind, &request.cluster, &request.namespace, &request.name).await?;
        let object_write =
            ObjectWrite { kind: request.held.kind(), name: request.name, owner: None, action };
        self.send_config(caller, use_case, (&cluster, &request.namespace), object_write).await
    }

    async fn check_place(
        &self,
        kind: ObjectKind,
        cluster: &str,
        namespace: &str,
        name: &str,
    ) -> Result<ClusterId, Error> {
        self.check(&beside(kind, namespace, name))?;
        let cluster = self.known_cluster(cluster).await?;
        object_name(Input::ObjectName, name)?;
        self.known_namespace(&cluster, namespace).await?;
        Ok(cluster)
    }

    async fn send_config(
        &self,
        caller: &Caller,
        use_case: &'static str,
        place: (&ClusterId, &str),
        object_write: ObjectWrite,
    ) -> Result<(), Error> {
        let deed = self.deed(caller, use_case);
        self.once_outside(&deed, async {
            self.run(&deed, place, &object_write, None).await?;
            Ok(())
        })
        .await
    }
}
