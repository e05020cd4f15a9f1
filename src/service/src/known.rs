//! What was read lately and still holds: access keys, and orders that are polled.
//!
//! Nothing is taken from here that the database did not confirm within [`GOOD_FOR`]: a key
//! that was disabled, or an order that changed, is seen after that time at the latest,
//! whatever becomes of notifications, which only make it sooner. So nothing is taken from
//! here while the database is away, or where nobody keeps it ([`Service::keep_watches`]).
//! What a caller may do is judged anew at each request.

pub(crate) mod key;
mod order;

use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::Service;
use domain::{ApplicationId, OrderId};

use key::KnownKeys;
use order::KnownOrders;

/// How long the database's word holds.
pub(crate) const GOOD_FOR: Duration = Duration::from_secs(1);

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Nobody looks at what was not asked for in this time.
const WANTED: Duration = Duration::from_secs(3);

/// What was read lately.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) keys: KnownKeys,
    pub(crate) orders: KnownOrders,
    /// Woken when something was asked for that nobody looks at.
    missed: Notify,
}

/// What is known of something.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// This, and when the database said so.
    Known(T, Instant),
    /// Nothing: whoever reads it may say so under this number, where there is one.
    Unknown(Option<u64>),
}

impl Known {
    /// Has somebody look who rested, since nothing was asked for.
    pub(crate) fn miss(&self) {
        self.missed.notify_one();
    }

    /// Forgets what orders of these applications came to.
    pub(crate) fn changed(&self, applications: &[ApplicationId]) {
        if !applications.is_empty() {
            self.orders.forget_of(applications);
        }
    }

    /// Forgets orders that were told to have changed.
    pub(crate) fn told(&self, ids: &[OrderId]) {
        self.orders.forget(ids);
    }

    /// Forgets everything: something may have been missed.
    pub(crate) fn forget(&self) {
        self.keys.forget();
        self.orders.clear();
    }

    /// Nobody looks any more.
    pub(crate) fn end(&self) {
        self.keys.end();
        self.orders.end();
    }
}

impl Service {
    /// Looks twice a second whether what is known holds, as long as somebody asks for it: with
    /// one statement for all keys, and one for all orders.
    pub(crate) async fn look_at_known(&self) {
        self.known.orders.keep();
        loop {
            let now = Instant::now();
            let polled = self.known.orders.polled(now);
            if polled.is_empty() && !self.known.keys.are_wanted(now) {
                self.known.missed.notified().await;
            }
            tokio::join!(self.look_at_keys(), self.look_at_orders(&polled));
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn look_at_keys(&self) {
        let at = Instant::now();
        match self.store.access_version().await {
            Ok(version) => self.known.keys.looked(version, at),
            Err(error) => tracing::debug!(%error, "what is known of keys cannot be confirmed"),
        }
    }

    async fn look_at_orders(&self, polled: &[(OrderId, u64)]) {
        if polled.is_empty() {
            return;
        }
        let (at, ids) = (Instant::now(), polled.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        match self.store.whole_orders(&ids).await {
            Ok(found) => self.known.orders.looked(polled, found, at),
            Err(error) => tracing::debug!(%error, "what is known of orders cannot be confirmed"),
        }
    }
}
