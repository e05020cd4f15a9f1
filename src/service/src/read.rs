//! Reading: orders, versions, applications, the cluster, keys.

use std::time::Duration;

use thiserror::Error;

use super::{
    ClusterView, CurrentSpec, Error, OrderView, ReleaseView, Service, access::resource_of,
};
use domain::{ApplicationId, OrderId, access::Resource, application::Application};
use store::ReleaseRow;

/// How many orders a list shows at most.
const RECENT_ORDERS: i64 = 200;

/// How long the database may take to answer whether it does.
const DATABASE_WITHIN: Duration = Duration::from_secs(1);

/// What a server lacks to serve requests to their end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unready {
    /// Nothing can be answered.
    #[error("{0}")]
    Database(&'static str),
    /// What needs only the database is answered; nothing is released.
    #[error("{0}")]
    Cluster(String),
}

/// Seconds after which an executor without a heartbeat counts as gone.
pub(super) const EXECUTOR_SECONDS: f64 = 15.0;

impl Service {
    /// One order with its batches, as it was at most a second ago.
    ///
    /// # Errors
    /// [`Rejection::UnknownOrder`](domain::rejection::Rejection::UnknownOrder).
    pub async fn order(&self, id: OrderId) -> Result<OrderView, Error> {
        Ok(self.permitted_view(id).await?.view.clone())
    }

    /// The orders of an application, newest first (R17), without their batches.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`](domain::rejection::Rejection::UnknownApplication).
    pub async fn recent_orders(&self, application: ApplicationId) -> Result<Vec<OrderView>, Error> {
        self.permitted_application(application).await?;
        Ok(self.store.recent_orders(application, RECENT_ORDERS).await?)
    }

    /// The newest order that changes the application's Deployment, without its batches.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`](domain::rejection::Rejection::UnknownApplication).
    pub async fn newest_order(
        &self,
        application: ApplicationId,
    ) -> Result<Option<OrderView>, Error> {
        self.permitted_application(application).await?;
        Ok(self.store.newest_order(application).await?)
    }

    /// The versions of an application that were released to their end, newest first.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`](domain::rejection::Rejection::UnknownApplication).
    pub async fn history(&self, application: ApplicationId) -> Result<Vec<ReleaseView>, Error> {
        self.permitted_application(application).await?;
        let rows = self.store.history(application).await?;
        Ok(rows.into_iter().map(|row| release_view(application, row)).collect())
    }

    /// All applications, oldest first, or those with exactly this name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn applications(&self, name: Option<&str>) -> Result<Vec<Application>, Error> {
        self.permit.judged_by_action();
        let mut found = self.store.applications(name).await?;
        found.retain(|application| self.permit.allows(&resource_of(application)));
        Ok(found)
    }

    /// One application.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`](domain::rejection::Rejection::UnknownApplication).
    pub async fn application(&self, id: ApplicationId) -> Result<Application, Error> {
        self.permitted_application(id).await
    }

    /// What an application runs.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`](domain::rejection::Rejection::UnknownApplication).
    pub async fn current_spec(&self, id: ApplicationId) -> Result<CurrentSpec, Error> {
        let application = self.permitted_application(id).await?;
        let rows = self.store.history(id).await?;
        let release = rows.into_iter().find(|row| Some(row.id) == application.release);
        let template = self.store.current_template(id).await?.unwrap_or_default();
        Ok(CurrentSpec { release: release.map(|row| release_view(id, row)), template })
    }

    /// The Kubernetes namespaces of the cluster that the caller may do something in.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn namespaces(&self) -> Result<Vec<String>, Error> {
        let row = self.store.cluster(&self.settings.cluster).await?;
        Ok(self.of_reach(row.map(|row| row.namespaces).unwrap_or_default()))
    }

    fn of_reach(&self, namespaces: Vec<String>) -> Vec<String> {
        self.permit.judged_by_action();
        namespaces.into_iter().filter(|it| self.sees_namespace(it)).collect()
    }

    /// The cluster that this server drives.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn cluster(&self) -> Result<ClusterView, Error> {
        self.check(&Resource::Cluster(self.settings.cluster.as_str()))?;
        let row = self.store.cluster(&self.settings.cluster).await?;
        let executors = self.store.executors(&self.settings.cluster, EXECUTOR_SECONDS).await?;
        let (version, namespaces, removed) =
            row.map(|row| (row.version, row.namespaces, row.removed)).unwrap_or_default();
        let namespaces = self.of_reach(namespaces);
        Ok(ClusterView {
            id: self.settings.cluster.to_string(),
            region: self.settings.region.clone(),
            version,
            namespaces,
            reachable: executors.reaching > 0,
            removed,
        })
    }

    /// What the executors of the cluster warn of, at most 20 sentences: rights that are missing
    /// or too much, namespaces that cannot be seen. None where the database does not say so
    /// within a second.
    pub async fn warnings(&self) -> Vec<String> {
        let asked = self.store.executors(&self.settings.cluster, EXECUTOR_SECONDS);
        match tokio::time::timeout(DATABASE_WITHIN, asked).await {
            Ok(Ok(executors)) => executors.warnings,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    /// Whether requests can be served to their end: the database answers, an
    /// executor is alive, and it reaches the cluster; and so does this program's own.
    ///
    /// The answer is there within a second.
    ///
    /// # Errors
    /// Says what is missing.
    pub async fn readiness(&self) -> Result<(), Unready> {
        let asked = tokio::time::timeout(DATABASE_WITHIN, async {
            let own = match &self.executor {
                Some(holder) => self.store.trouble_of(holder).await?,
                None => None,
            };
            let all = self.store.executors(&self.settings.cluster, EXECUTOR_SECONDS).await?;
            Ok::<_, store::StoreError>((own, all))
        });
        let (own, executors) = match asked.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(Unready::Database("the database does not answer")),
            Err(_) => {
                return Err(Unready::Database("the database does not answer within 1 s"));
            }
        };
        let trouble = match (own, executors.alive, executors.reaching) {
            (Some(own), ..) => own,
            (None, 0, _) => "no executor is alive".into(),
            (None, _, 0) => {
                executors.trouble.unwrap_or_else(|| "no executor reaches the cluster".into())
            }
            _ => return Ok(()),
        };
        Err(Unready::Cluster(trouble))
    }
}

fn release_view(application: ApplicationId, row: ReleaseRow) -> ReleaseView {
    ReleaseView {
        id: row.id,
        application,
        version: row.version,
        image: row.image,
        package: row.package,
        description: row.description,
        created_at: row.created_at,
        released_at: row.released_at,
    }
}
