//! Tells those who follow orders which ones changed: a few notifications a second, whatever
//! the number of orders, and none in the transactions that change them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::Executor;
use domain::OrderId;

/// Shortest time between two notifications.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Orders that one notification names at most: Postgres takes less than 8,000 bytes.
const MOST: usize = 200;

/// Orders that changed, and of which nobody was told yet.
#[derive(Debug, Default)]
pub(super) struct Changed {
    orders: Mutex<BTreeSet<OrderId>>,
    some: Notify,
}

impl Changed {
    pub(super) fn note(&self, order: OrderId) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).insert(order);
        self.some.notify_one();
    }

    /// Takes as many as one notification may name; the rest comes with the next one.
    fn take(&self) -> Vec<OrderId> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<OrderId> = std::iter::from_fn(|| orders.pop_first()).take(MOST).collect();
        if !orders.is_empty() {
            self.some.notify_one();
        }
        taken
    }
}

impl Executor {
    /// Tells of changes, the first at once and those that follow it together.
    pub(super) async fn tell_changes(self: Arc<Self>) {
        loop {
            self.changed.some.notified().await;
            let orders = self.changed.take();
            // Who follows them reads them again after a while in any case.
            if let Err(error) = self.store.tell_changed(&orders).await {
                tracing::debug!(%error, "changes of orders could not be told");
            }
            tokio::time::sleep(TELL_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_changed_often_is_named_once_and_a_notification_has_bounds() {
        let changed = Changed::default();
        let ids: Vec<OrderId> = (0..MOST + 1).map(|_| OrderId::new()).collect();
        for id in ids.iter().chain(&ids) {
            changed.note(*id);
        }
        assert_eq!(changed.take(), ids[..MOST]);
        assert_eq!(changed.take(), ids[MOST..]);
        assert!(ids[..MOST].iter().map(|id| id.to_string().len() + 1).sum::<usize>() < 8000);
    }
}
