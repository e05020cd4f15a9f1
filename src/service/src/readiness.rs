//! Whether requests can be served to their end, cluster by cluster.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use thiserror::Error;

use super::{Service, read::EXECUTOR_SECONDS};
use domain::{
    ClusterId,
    cluster::health::{ClusterHealth, Seen, shortcoming, trouble},
};

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

/// The executors of this program, by their clusters; they come and go while it runs. Cheap to
/// clone: all clones are one.
#[derive(Debug, Clone, Default)]
pub struct OwnExecutors(Arc<RwLock<BTreeMap<ClusterId, Result<String, String>>>>);

impl OwnExecutors {
    /// The executor of a cluster has begun; `holder` is its name.
    pub fn begun(&self, cluster: &ClusterId, holder: &str) {
        self.put(cluster, Ok(holder.to_owned()));
    }

    /// The executor of a cluster cannot begin, and why.
    pub fn failed(&self, cluster: &ClusterId, why: &str) {
        self.put(cluster, Err(why.to_owned()));
    }

    /// The program drives a cluster no more.
    pub fn ended(&self, cluster: &ClusterId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }

    fn put(&self, cluster: &ClusterId, own: Result<String, String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(cluster.clone(), own);
    }

    fn all(&self) -> BTreeMap<ClusterId, Result<String, String>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service {
    /// Whether requests can be served to their end: the database answers, and an executor
    /// reaches one of the clusters that count, as this program's own does if it has one there.
    /// Those that count are the ones that this program drives; if it drives none, all.
    ///
    /// The answer is there within a second.
    ///
    /// # Errors
    /// Says what is missing.
    pub async fn readiness(&self) -> Result<(), Unready> {
        shortcoming(&self.health().await?).map_or(Ok(()), |why| Err(Unready::Cluster(why)))
    }

    /// How it stands with each cluster that counts, by its id.
    ///
    /// The answer is there within a second.
    ///
    /// # Errors
    /// [`Unready::Database`].
    pub async fn health(&self) -> Result<Vec<ClusterHealth>, Unready> {
        let own = self.executors.all();
        let holders: Vec<String> = own.values().filter_map(|it| it.clone().ok()).collect();
        let asked = tokio::time::timeout(DATABASE_WITHIN, async {
            let troubles = match holders.is_empty() {
                true => Vec::new(),
                false => self.store.troubles_of(&holders).await?,
            };
            Ok::<_, store::StoreError>((troubles, self.store.clusters(EXECUTOR_SECONDS).await?))
        });
        let (troubles, clusters) = match asked.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(Unready::Database("the database does not answer")),
            Err(_) => {
                return Err(Unready::Database("the database does not answer within 1 s"));
            }
        };
        let counted = clusters.into_iter().filter(|it| own.is_empty() || own.contains_key(&it.id));
        let health = counted.map(|it| {
            let own = match own.get(&it.id) {
                Some(Ok(holder)) => troubles.iter().find(|(name, _)| name == holder),
                Some(Err(why)) => return ClusterHealth { id: it.id, trouble: Some(why.clone()) },
                None => None,
            };
            let seen = Seen {
                own: own.map(|(_, why)| why.as_str()),
                alive: it.executors.alive,
                reaching: it.executors.reaching,
                trouble: it.executors.trouble.as_deref(),
            };
            ClusterHealth { trouble: trouble(&seen), id: it.id }
        });
        Ok(health.collect())
    }

    /// What the executors of the clusters that count warn of, at most 20 sentences: rights that
    /// are missing or too much, namespaces that cannot be seen. None where the database does not
    /// say so within a second.
    pub async fn warnings(&self) -> Vec<String> {
        let own: Vec<String> = self.executors.all().into_keys().map(|it| it.to_string()).collect();
        let asked = self.store.warnings(&own, EXECUTOR_SECONDS);
        match tokio::time::timeout(DATABASE_WITHIN, asked).await {
            Ok(Ok(warnings)) => warnings,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }
}
