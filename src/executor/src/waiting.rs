//! Watches the Deployments of orders that rest between two batches. Nobody holds such an
//! order; what is seen of its Deployment, ReplicaSets and pods wakes an executor once there
//! is something to do or to say.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{sync::watch::Receiver, time::Instant};

use super::Executor;
use cluster::Key;
use domain::{OrderId, observed::Facts, rollout};
use store::StoreError;

/// Orders that are watched at most.
const MOST: i64 = 20_000;

/// Time between two lists of the orders that rest: another executor may have given one back.
/// One that this executor gave back is watched at once.
const LIST_EVERY: Duration = Duration::from_secs(10);

/// Shortest time between two looks at one order: what is seen is recorded.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Pause between two rounds, which ask nobody.
const ROUND: Duration = Duration::from_millis(50);

/// An order that rests.
struct Resting {
    key: Key,
    changed: Receiver<u64>,
    looked: Option<Instant>,
}

impl Executor {
    pub(super) async fn watch_resting(self: Arc<Self>) {
        let mut watched: HashMap<OrderId, Resting> = HashMap::new();
        let mut listed: Option<Instant> = None;
        loop {
            for (id, key) in self.take_rested() {
                watched.entry(id).or_insert_with(|| self.watch_one(key));
            }
            if listed.is_none_or(|at| at.elapsed() >= LIST_EVERY) {
                listed = Some(Instant::now());
                match self
                    .store
                    .resting_orders(&self.settings.cluster, self.cluster.scope(), MOST)
                    .await
                {
                    Ok(orders) => self.watch_these(&mut watched, orders),
                    Err(error) => tracing::warn!(%error, "could not look for orders that wait"),
                }
            }
            for (id, resting) in &mut watched {
                let is_new = resting.looked.is_none();
                let is_soon = resting.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY);
                if is_soon || !(is_new || resting.changed.has_changed().unwrap_or(false)) {
                    continue;
                }
                resting.looked = Some(Instant::now());
                resting.changed.borrow_and_update();
                match self.look_at_resting(*id, &resting.key).await {
                    Ok(true) => {}
                    // It is looked at again.
                    Ok(false) => resting.changed.mark_changed(),
                    Err(error) => {
                        tracing::warn!(%error, order.id = %id, "an order that waits cannot be looked at");
                        resting.changed.mark_changed();
                    }
                }
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    /// Watches these orders and no others.
    fn watch_these(
        &self,
        watched: &mut HashMap<OrderId, Resting>,
        orders: Vec<(OrderId, String, String)>,
    ) {
        let mut before = std::mem::take(watched);
        for (id, namespace, name) in orders {
            let resting = before.remove(&id);
            let resting = resting.unwrap_or_else(|| self.watch_one(Key { namespace, name }));
            watched.insert(id, resting);
        }
    }

    fn watch_one(&self, key: Key) -> Resting {
        let changed = self.cluster.changes(&key);
        Resting { key, changed, looked: None }
    }

    /// Has an order watched that this executor gives back.
    pub(super) fn note_rested(&self, order: OrderId, key: &Key) {
        let mut rested = self.rested.lock().unwrap_or_else(PoisonError::into_inner);
        rested.push((order, key.clone()));
    }

    fn take_rested(&self) -> Vec<(OrderId, Key)> {
        std::mem::take(&mut *self.rested.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the order taken up, if there is something to do or to say. False if that is so
    /// and somebody holds it, who may have looked before.
    async fn look_at_resting(&self, id: OrderId, key: &Key) -> Result<bool, StoreError> {
        let Some(order) = self.store.order(id).await? else { return Ok(true) };
        let (facts, now) = (Facts { deployment: self.cluster.observe(key) }, self.clock.now());
        if !rollout::wakes(&order, &facts, now)
            && self.unrecorded(&order, &facts.deployment).await?.is_empty()
        {
            return Ok(true);
        }
        let is_due = self.store.wake_resting(&self.settings.cluster, id).await?;
        self.due.notify_one();
        Ok(is_due || !order.rests())
    }
}
