//! The cluster as clients import and remove it.
//!
//! Which clusters servers drive, their operator decides: nothing that a client says ends
//! that. A removed cluster is one that clients do not see, until one imports it again or
//! puts an application on it.

use crate::{Caller, Error, Service};
use domain::{
    ClusterId, ClusterIdentity, Input, Rejection, access::Resource, application::Application,
    audit::Outcome, rights::Scope,
};
use store::Tx;

/// Orders that a refusal names.
const NAMED: usize = 10;

impl Service {
    /// The cluster that is meant, if it is one that is on record, whoever drives it.
    pub(crate) async fn known_cluster(&self, cluster: &str) -> Result<ClusterId, Error> {
        let id = ClusterId::from(cluster);
        match self.store.cluster(&id).await? {
            Some(_) => Ok(id),
            None => Err(Rejection::UnknownCluster(cluster.into()).into()),
        }
    }

    /// The same, and the one of the server's settings where none is named.
    pub(crate) async fn named_cluster(&self, cluster: Option<&str>) -> Result<ClusterId, Error> {
        self.known_cluster(cluster.unwrap_or(self.settings.cluster.as_str())).await
    }

    /// Refuses a cluster that is not the application's.
    pub(crate) async fn check_cluster_of(
        &self,
        application: &Application,
        given: Option<&str>,
    ) -> Result<(), Error> {
        let Some(given) = given.filter(|given| *given != application.cluster.as_str()) else {
            return Ok(());
        };
        let other = self.known_cluster(given).await?;
        Err(Rejection::invalid(
            Input::Cluster,
            other,
            format!("must be that of the application, {}", application.cluster),
        )
        .into())
    }

    /// Checks that the cluster has this Kubernetes namespace, as far as is known.
    pub(crate) async fn known_namespace(
        &self,
        cluster: &ClusterId,
        namespace: &str,
    ) -> Result<(), Error> {
        let row = self.store.cluster(cluster).await?;
        if let Some(allowed) = row.as_ref().and_then(|it| self.unserved(it.scope(), namespace)) {
            return Err(Rejection::invalid(Input::Namespace, namespace, allowed).into());
        }
        let known = row.map(|cluster| cluster.namespaces).unwrap_or_default();
        if known.is_empty() || known.iter().any(|name| name == namespace) {
            return Ok(());
        }
        let known: Vec<&str> =
            known.iter().map(String::as_str).filter(|it| self.reaches(it)).collect();
        let allowed = format!("the cluster has no such namespace; it has {}", known.join(", "));
        Err(Rejection::invalid(Input::Namespace, namespace, allowed).into())
    }

    /// Refuses an order of an application in a namespace where no executor carries it out.
    pub(crate) async fn served(&self, tx: &mut Tx, application: &Application) -> Result<(), Error> {
        let scope = tx.scope(&application.cluster).await?;
        match self.unserved(scope, &application.namespace) {
            Some(reason) => Err(Rejection::CannotWork { subject: "Deployment", reason }.into()),
            None => Ok(()),
        }
    }

    /// Why nothing is released in a namespace, with those where it is that the caller reaches;
    /// none where it is.
    fn unserved(&self, scope: Scope, namespace: &str) -> Option<String> {
        match scope {
            Scope::Named(names) if names.iter().all(|it| it != namespace) => {
                let seen = names.into_iter().filter(|it| self.reaches(it)).collect();
                Scope::Named(seen).refusal(namespace)
            }
            Scope::Named(_) | Scope::Whole => None,
        }
    }

    /// Removes the cluster from what clients see.
    ///
    /// # Errors
    /// Another cluster, one that was removed before, or one with applications.
    pub async fn remove_cluster(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let id = &self.known_cluster(id).await?;
        self.check(&Resource::Cluster(id.as_str()))?;
        self.once(caller, "remove_cluster", |tx| {
            Box::pin(async {
                if tx.is_removed(id).await? {
                    return Err(Rejection::RemovedCluster(id.to_string()).into());
                }
                let applications = tx.remove_cluster(id, self.clock.now()).await?;
                if applications > 0 {
                    return Err(Rejection::ClusterInUse { id: id.to_string(), applications }.into());
                }
                Ok(())
            })
        })
        .await
    }

    /// Shows the cluster to clients again, where one removed it.
    ///
    /// # Errors
    /// Another cluster.
    pub async fn import_cluster(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let id = &self.known_cluster(id).await?;
        self.check(&Resource::Cluster(id.as_str()))?;
        self.transaction("import_cluster", |tx| {
            Box::pin(async {
                tx.import_cluster(id).await?;
                let entry = self.entry_of(caller, "import_cluster", Outcome::Done);
                Ok(tx.add_audit_entry(entry, None, self.clock.now()).await?)
            })
        })
        .await
    }

    /// Puts another cluster, known by its identity, behind this server's id. What is still
    /// to be done on the one before is not carried out on it: it must be over, or be let
    /// go, that is ended where it is. The applications stay on record, and what they had on
    /// the cluster before is left alone. Gives the identity that was on record.
    ///
    /// # Errors
    /// An unknown cluster, an identity that is another's, or work that is not over.
    pub async fn replace_cluster(
        &self,
        identity: &ClusterIdentity,
        let_go: bool,
    ) -> Result<Option<ClusterIdentity>, Error> {
        let id = &self.settings.cluster;
        self.on_record("replace_cluster", &format!("cluster/{id}"), |tx| Box::pin(async {
        let before =
            tx.lock_identity(id).await?.ok_or_else(|| Rejection::UnknownCluster(id.to_string()))?;
        if before.as_ref() == Some(identity) {
            return Ok(before);
        }
        if let Some(other) = tx.cluster_of(identity).await? {
            let allowed = format!(
                "it is the identity of the cluster {other} already, and a cluster has one id"
            );
            return Err(Rejection::invalid(Input::ClusterIdentity, identity, allowed).into());
        }
        let open = tx.open_work(id).await?;
        if !let_go && (!open.orders.is_empty() || open.object_writes > 0) {
            let named: Vec<String> =
                open.orders.iter().take(NAMED).map(ToString::to_string).collect();
            let more = if open.orders.len() > NAMED { ", …" } else { "" };
            let allowed = format!(
                "{} change orders ({}{more}) and {} other writes were begun on the cluster before, and are not carried out on another: \
                 let them end or abort them there, or end them where they are with --let-orders-go",
                open.orders.len(),
                named.join(", "),
                open.object_writes
            );
            return Err(Rejection::invalid(Input::ClusterIdentity, identity, allowed).into());
        }
        let was = before.as_ref().map_or_else(|| "no identity".to_owned(), ToString::to_string);
        let why =
            format!("let go: another cluster took the place of {id} ({identity}, before it {was})");
        tx.let_go(id, &why, self.clock.now()).await?;
        tx.replace_identity(id, identity).await?;
        Ok(before)
        }))
        .await
    }
}
