//! Reading: orders, versions, applications, the cluster, keys.

use super::{
    BatchView, ClusterView, CurrentSpec, Error, KeySecret, OrderView, ReleaseView, Service,
};
use domain::{ApplicationId, OrderId, Rejection, application::Application, order::Order};
use store::{BatchRow, OrderRow, ReleaseRow};

/// How many orders a list shows at most.
const RECENT_ORDERS: i64 = 200;

/// Seconds after which an executor without a heartbeat counts as gone.
pub(super) const EXECUTOR_SECONDS: f64 = 15.0;

impl Service {
    /// The access key `id`; none if there is no such key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn key(&self, id: &str) -> Result<Option<KeySecret>, Error> {
        let row = self.store.find_key(id).await?;
        Ok(row.map(|row| KeySecret { name: row.name, secret: row.secret, enabled: row.enabled }))
    }

    /// One order with its batches.
    ///
    /// # Errors
    /// [`Rejection::UnknownOrder`].
    pub async fn order(&self, id: OrderId) -> Result<OrderView, Error> {
        let row = self
            .store
            .order_row(id)
            .await?
            .ok_or_else(|| Rejection::UnknownOrder(id.to_string()))?;
        let batches = self.store.batch_rows(id).await?;
        Ok(order_view(row, batches))
    }

    /// The orders of an application, newest first (R17), without their batches.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn recent_orders(&self, application: ApplicationId) -> Result<Vec<OrderView>, Error> {
        self.store.application(application).await?;
        let rows = self.store.recent_orders(application, RECENT_ORDERS).await?;
        Ok(rows.into_iter().map(|row| order_view(row, Vec::new())).collect())
    }

    /// The newest order that changes the application's Deployment, without its batches.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn newest_order(
        &self,
        application: ApplicationId,
    ) -> Result<Option<OrderView>, Error> {
        self.store.application(application).await?;
        Ok(self.store.newest_order(application).await?.map(|row| order_view(row, Vec::new())))
    }

    /// The versions of an application that were released to their end, newest first.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn history(&self, application: ApplicationId) -> Result<Vec<ReleaseView>, Error> {
        self.store.application(application).await?;
        let rows = self.store.history(application).await?;
        Ok(rows.into_iter().map(|row| release_view(application, row)).collect())
    }

    /// All applications, oldest first, or those with exactly this name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn applications(&self, name: Option<&str>) -> Result<Vec<Application>, Error> {
        Ok(self.store.applications(name).await?)
    }

    /// One application.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn application(&self, id: ApplicationId) -> Result<Application, Error> {
        Ok(self.store.application(id).await?)
    }

    /// What an application runs.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn current_spec(&self, id: ApplicationId) -> Result<CurrentSpec, Error> {
        let application = self.store.application(id).await?;
        let rows = self.store.history(id).await?;
        let release = rows.into_iter().find(|row| Some(row.id) == application.release);
        let template = self.store.current_template(id).await?.unwrap_or_default();
        Ok(CurrentSpec { release: release.map(|row| release_view(id, row)), template })
    }

    /// The cluster that this server drives.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn cluster(&self) -> Result<ClusterView, Error> {
        let row = self.store.cluster(&self.settings.cluster).await?;
        let executors = self.store.executors(&self.settings.cluster, EXECUTOR_SECONDS).await?;
        let (version, namespaces, removed) =
            row.map(|row| (row.version, row.namespaces, row.removed)).unwrap_or_default();
        Ok(ClusterView {
            id: self.settings.cluster.to_string(),
            region: self.settings.region.clone(),
            version,
            namespaces,
            reachable: executors.reaching > 0,
            removed,
        })
    }

    /// Whether requests can be served to their end: the database answers, an
    /// executor is alive, and it reaches the cluster; and so does this program's own.
    ///
    /// # Errors
    /// Says in words what is missing.
    pub async fn readiness(&self) -> Result<(), String> {
        let silent = |_| "the database does not answer".to_owned();
        if let Some(holder) = &self.executor
            && let Some(trouble) = self.store.trouble_of(holder).await.map_err(silent)?
        {
            return Err(trouble);
        }
        let executors =
            self.store.executors(&self.settings.cluster, EXECUTOR_SECONDS).await.map_err(silent)?;
        match (executors.alive, executors.reaching) {
            (0, _) => Err("no executor is alive".into()),
            (_, 0) => {
                Err(executors.trouble.unwrap_or_else(|| "no executor reaches the cluster".into()))
            }
            _ => Ok(()),
        }
    }
}

fn order_view(row: OrderRow, batches: Vec<BatchRow>) -> OrderView {
    let mut before = row.replicas_before.unwrap_or(0);
    let batches = batches.into_iter().map(|batch| {
        let size = (batch.target - before).max(0);
        before = batch.target;
        batch_view(batch, size, row.strategy.canary > 0)
    });
    OrderView {
        batches: batches.collect(),
        id: row.id,
        application: row.application,
        kind: row.kind,
        state: row.state,
        step: row.step,
        batch_count: row.strategy.count(),
        strategy: row.strategy,
        replicas: row.replicas,
        replicas_before: row.replicas_before,
        description: row.description,
        notes: row.notes,
        version: row.version.unwrap_or_default(),
        image: row.image.unwrap_or_default(),
        package: row.package,
        message: row.message,
        created_at: row.created_at,
        finished_at: row.finished_at,
        created_by: row.created_by,
        source: row.source,
        rolls_back: row.rolls_back,
        rolled_back_by: row.rolled_back_by,
        can_roll_back: Order::can_be_rolled_back(
            row.kind,
            row.state,
            row.changed_deployment,
            row.is_newest,
            row.rolled_back_by.is_some(),
        ),
    }
}

fn batch_view(row: BatchRow, size: i32, has_canary: bool) -> BatchView {
    BatchView {
        id: row.id,
        number: row.index + 1,
        canary: has_canary && row.index == 0,
        state: row.state,
        size,
        target: row.target,
        started_at: row.started_at,
        finished_at: row.finished_at,
        updated_at: row.updated_at,
        message: row.message,
        pods: row.pods,
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
