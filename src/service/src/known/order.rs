//! Orders that are polled, as they were read last.
//!
//! Whoever is about to read one leaves a mark. What was read is remembered only where the
//! mark is there still: a change that was heard of meanwhile took it away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{Found, GOOD_FOR, WANTED};
use domain::{ApplicationId, OrderId};
use store::WholeOrder;

/// Most orders that are known at once.
const MOST: usize = 2000;

/// Orders that are polled.
#[derive(Debug, Default)]
pub(crate) struct KnownOrders(Mutex<Orders>);

#[derive(Debug, Default)]
struct Orders {
    /// Whether somebody looks.
    kept: bool,
    orders: HashMap<OrderId, Entry>,
    /// The number of the last mark.
    last: u64,
}

#[derive(Debug)]
struct Entry {
    /// The mark of whoever reads it, or has read it.
    mark: u64,
    asked: Instant,
    /// What was read, and when that began; none = nothing yet.
    read: Option<(Arc<WholeOrder>, Instant)>,
}

impl KnownOrders {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an order; where that is nothing, it is about to be read.
    pub(crate) fn find(&self, id: OrderId, now: Instant) -> Found<Arc<WholeOrder>> {
        let mut all = self.orders();
        if !all.kept {
            return Found::Unknown(None);
        }
        if let Some(entry) = all.orders.get_mut(&id) {
            entry.asked = now;
            if let Some((order, at)) = &entry.read
                && now.duration_since(*at) < GOOD_FOR
            {
                return Found::Known(order.clone(), *at);
            }
        } else if all.orders.len() >= MOST {
            all.orders.retain(|_, entry| now.duration_since(entry.asked) < WANTED);
            if all.orders.len() >= MOST {
                return Found::Unknown(None);
            }
        }
        all.last += 1;
        let mark = all.last;
        all.orders.insert(id, Entry { mark, asked: now, read: None });
        Found::Unknown(Some(mark))
    }

    /// An order was read, which began at `at`, by whoever was told this number; none = there
    /// is no such order.
    pub(crate) fn remember(
        &self,
        id: OrderId,
        order: Option<&Arc<WholeOrder>>,
        number: u64,
        at: Instant,
    ) {
        let mut all = self.orders();
        let Some(entry) = all.orders.get_mut(&id).filter(|entry| entry.mark == number) else {
            return;
        };
        match order {
            Some(order) => entry.read = Some((order.clone(), at)),
            None => {
                all.orders.remove(&id);
            }
        }
    }

    /// The orders that somebody asked for lately; the others are forgotten.
    pub(super) fn polled(&self, now: Instant) -> Vec<(OrderId, u64)> {
        let mut all = self.orders();
        all.orders.retain(|_, entry| now.duration_since(entry.asked) < WANTED);
        let read = all.orders.iter().filter(|(_, entry)| entry.read.is_some());
        read.map(|(id, entry)| (*id, entry.mark)).collect()
    }

    /// The database said that these are the polled orders, when it was asked at `at`.
    pub(super) fn looked(&self, polled: &[(OrderId, u64)], found: Vec<WholeOrder>, at: Instant) {
        let mut all = self.orders();
        let mut found: HashMap<_, _> = found.into_iter().map(|it| (it.view.id, it)).collect();
        for (id, mark) in polled {
            let Some(entry) = all.orders.get_mut(id).filter(|entry| entry.mark == *mark) else {
                continue;
            };
            match (found.remove(id), &mut entry.read) {
                (Some(order), Some((known, good_at))) => {
                    if **known != order {
                        *known = Arc::new(order);
                    }
                    *good_at = at;
                }
                _ => {
                    all.orders.remove(id);
                }
            }
        }
    }

    /// These were told to have changed.
    pub(crate) fn forget(&self, ids: &[OrderId]) {
        let mut all = self.orders();
        for id in ids {
            all.orders.remove(id);
        }
    }

    /// Orders of these applications changed. Nobody knows whose those are that are being read.
    pub(crate) fn forget_of(&self, applications: &[ApplicationId]) {
        self.orders().orders.retain(|_, entry| {
            let other = |(order, _): &(Arc<WholeOrder>, Instant)| {
                !applications.contains(&order.application.id)
            };
            entry.read.as_ref().is_some_and(other)
        });
    }

    pub(super) fn clear(&self) {
        self.orders().orders.clear();
    }

    pub(super) fn keep(&self) {
        self.orders().kept = true;
    }

    pub(super) fn end(&self) {
        let mut all = self.orders();
        all.kept = false;
        all.orders.clear();
    }
}
