//! Reading: orders, versions, applications, the clusters, keys.

use std::collections::BTreeSet;

use super::{
    ClusterView, CurrentSpec, Error, OrderView, ReleaseView, Service, access::resource_of,
};
use domain::{ApplicationId, OrderId, Rejection, access::Resource, application::Application};
use store::{ReleaseRow, SeenCluster};

/// How many orders a list shows at most.
const RECENT_ORDERS: i64 = 200;

/// Seconds after which an executor without a heartbeat counts as gone.
pub(super) const EXECUTOR_SECONDS: f64 = 15.0;

impl Service {
    /// One order with its batches, as it was at most a second ago.
    ///
    /// # Errors
    /// [`Rejection::UnknownOrder`].
    pub async fn order(&self, id: OrderId) -> Result<OrderView, Error> {
        Ok(self.permitted_view(id).await?.view.clone())
    }

    /// The orders of an application, newest first (R17), without their batches.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn recent_orders(&self, application: ApplicationId) -> Result<Vec<OrderView>, Error> {
        self.permitted_application(application).await?;
        Ok(self.store.recent_orders(application, RECENT_ORDERS).await?)
    }

    /// The newest order that changes the application's Deployment, without its batches.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
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
    /// [`Rejection::UnknownApplication`].
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
    /// [`Rejection::UnknownApplication`].
    pub async fn application(&self, id: ApplicationId) -> Result<Application, Error> {
        self.permitted_application(id).await
    }

    /// What an application runs.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn current_spec(&self, id: ApplicationId) -> Result<CurrentSpec, Error> {
        let application = self.permitted_application(id).await?;
        let rows = self.store.history(id).await?;
        let release = rows.into_iter().find(|row| Some(row.id) == application.release);
        let template = self.store.current_template(id).await?.unwrap_or_default();
        Ok(CurrentSpec { release: release.map(|row| release_view(id, row)), template })
    }

    /// The Kubernetes namespaces of all clusters that the caller may do something in, sorted.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn namespaces(&self) -> Result<Vec<String>, Error> {
        let all = self.store.clusters(EXECUTOR_SECONDS).await?;
        let all: BTreeSet<String> = all.into_iter().flat_map(|it| it.namespaces).collect();
        Ok(self.of_reach(all.into_iter().collect()))
    }

    fn of_reach(&self, namespaces: Vec<String>) -> Vec<String> {
        self.permit.judged_by_action();
        namespaces.into_iter().filter(|it| self.sees_namespace(it)).collect()
    }

    /// The clusters that the caller may do this to, by their ids.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn clusters(&self) -> Result<Vec<ClusterView>, Error> {
        self.permit.judged_by_action();
        let all = self.store.clusters(EXECUTOR_SECONDS).await?;
        let seen = |it: &SeenCluster| self.permit.allows(&Resource::Cluster(it.id.as_str()));
        Ok(all.into_iter().filter(seen).map(|it| self.cluster_view(it)).collect())
    }

    /// A cluster: that of the server's settings if none is named.
    ///
    /// # Errors
    /// [`Rejection::UnknownCluster`], or one that the caller may not do this to.
    pub async fn cluster(&self, id: Option<&str>) -> Result<ClusterView, Error> {
        let id = id.unwrap_or(self.settings.cluster.as_str());
        self.check(&Resource::Cluster(id))?;
        let all = self.store.clusters(EXECUTOR_SECONDS).await?;
        let found = all.into_iter().find(|it| it.id.as_str() == id);
        let found = found.ok_or_else(|| Rejection::UnknownCluster(id.into()))?;
        Ok(self.cluster_view(found))
    }

    fn cluster_view(&self, seen: SeenCluster) -> ClusterView {
        ClusterView {
            id: seen.id.to_string(),
            region: self.settings.region.clone(),
            version: seen.version,
            namespaces: self.of_reach(seen.namespaces),
            reachable: seen.executors.reaching > 0,
            removed: seen.removed,
        }
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
