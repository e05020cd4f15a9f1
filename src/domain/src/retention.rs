//! What of an application's past may be deleted: orders that ended long ago, and versions
//! that nobody needs to go back to.
//!
//! What somebody may still need stays, however old it is. While an application has an order
//! that is open, nothing of it goes.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::{
    OrderId, ReleaseId,
    order::{Kind, State},
};

/// Fewest days for which orders are kept, where they are not kept for ever.
pub const FEWEST_DAYS: u32 = 30;

/// Fewest versions of an application that are kept, where not all are.
pub const FEWEST_VERSIONS: u32 = 10;

/// For how long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days for which an order is kept that has ended; none = for ever.
    pub order_days: Option<u32>,
    /// The newest versions of an application that are kept, at least; none = all.
    pub versions: Option<usize>,
}

/// An order, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOrder {
    pub id: OrderId,
    pub kind: Kind,
    pub state: State,
    pub created_at: Timestamp,
    /// None = it is open.
    pub finished_at: Option<Timestamp>,
    /// It has ended, and an executor has something to do for it still.
    pub finalizing: bool,
    /// Whether the last change that it decided on is known to have been made.
    pub changed: bool,
    pub rolls_back: Option<OrderId>,
    /// The version that it released.
    pub release: Option<ReleaseId>,
}

/// A version, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastVersion {
    pub id: ReleaseId,
    pub created_at: Timestamp,
    /// When a release of it last succeeded; none = none did.
    pub released_at: Option<Timestamp>,
}

/// What is on record of an application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// Its present version.
    pub current: Option<ReleaseId>,
    /// When the application was deleted together with its Deployment.
    pub gone_at: Option<Timestamp>,
    pub orders: Vec<PastOrder>,
    pub versions: Vec<PastVersion>,
}

/// What of it may be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Superfluous {
    pub orders: Vec<OrderId>,
    pub versions: Vec<ReleaseId>,
}

impl Superfluous {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.versions.is_empty()
    }
}

/// What of an application's past may be deleted, the oldest orders first and about `most`
/// of each: an order goes together with the one that rolled it back.
#[must_use]
pub fn superfluous(
    past: &Past,
    before: Option<Timestamp>,
    versions: Option<usize>,
    most: usize,
) -> Superfluous {
    if past.orders.iter().any(|order| order.finished_at.is_none() || order.finalizing) {
        return Superfluous::default();
    }
    let gone = past.gone_at.zip(before).is_some_and(|(gone, before)| gone < before);
    let orders = before.map(|before| old_orders(past, before, gone, most)).unwrap_or_default();
    let left = past.orders.iter().filter(|order| !orders.contains(&order.id));
    let named: HashSet<ReleaseId> = left.filter_map(|order| order.release).collect();
    let versions = match versions {
        _ if gone && named.is_empty() && orders.len() == past.orders.len() => {
            past.versions.iter().map(|version| version.id).take(most).collect()
        }
        Some(keep) => old_versions(past, &named, keep, most),
        None => Vec::new(),
    };
    Superfluous { orders, versions }
}

fn old_orders(past: &Past, before: Timestamp, gone: bool, most: usize) -> Vec<OrderId> {
    let needed = if gone { HashSet::new() } else { needed_orders(past) };
    let may_go = |order: &PastOrder| {
        order.finished_at.is_some_and(|at| at < before) && !needed.contains(&order.id)
    };
    let rollbacks: HashMap<OrderId, &PastOrder> =
        past.orders.iter().filter_map(|order| Some((order.rolls_back?, order))).collect();
    let mut first: Vec<&PastOrder> =
        past.orders.iter().filter(|order| order.rolls_back.is_none()).collect();
    first.sort_by_key(|order| (order.created_at, order.id));
    let mut found = HashSet::new();
    let mut going = Vec::new();
    for order in first {
        if going.len() >= most {
            break;
        }
        let together: Vec<&PastOrder> =
            std::iter::successors(Some(order), |order| rollbacks.get(&order.id).copied()).collect();
        if together.iter().all(|order| may_go(order)) {
            going.extend(together.iter().map(|order| order.id).filter(|id| found.insert(*id)));
        }
    }
    going
}

/// Orders that something of the application stands on: the newest of each kind and the newest of it
/// that succeeded, and everything since the Deployment was last changed, which names that
/// order. All, where no release has succeeded yet.
fn needed_orders(past: &Past) -> HashSet<OrderId> {
    let mut newest_first: Vec<&PastOrder> = past.orders.iter().collect();
    newest_first.sort_by_key(|order| std::cmp::Reverse((order.created_at, order.id)));
    let last_change = newest_first.iter().position(|order| order.changed);
    let Some(last_change) = last_change.filter(|_| past.current.is_some()) else {
        return newest_first.iter().map(|order| order.id).collect();
    };
    let mut seen = Vec::new();
    let mut needed = HashSet::new();
    for (place, order) in newest_first.into_iter().enumerate() {
        let of_kind = (order.kind, order.state == State::Succeeded);
        let is_newest = !seen.iter().any(|(kind, _)| *kind == order.kind);
        if place <= last_change || is_newest || (of_kind.1 && !seen.contains(&of_kind)) {
            needed.insert(order.id);
        }
        if !seen.contains(&of_kind) {
            seen.push(of_kind);
        }
    }
    needed
}

/// Versions that are neither the present one, nor among the newest that were released, nor
/// named by an order on record.
fn old_versions(
    past: &Past,
    named: &HashSet<ReleaseId>,
    keep: usize,
    most: usize,
) -> Vec<ReleaseId> {
    let keep = keep.max(FEWEST_VERSIONS as usize);
    let mut released: Vec<&PastVersion> =
        past.versions.iter().filter(|version| version.released_at.is_some()).collect();
    released.sort_by_key(|version| std::cmp::Reverse((version.released_at, version.id)));
    let newest: HashSet<ReleaseId> = released.iter().take(keep).map(|version| version.id).collect();
    // While none was released, the first says what the application is made of.
    let first = past.versions.iter().min_by_key(|version| (version.created_at, version.id));
    let first = first.filter(|_| past.current.is_none()).map(|version| version.id);
    let mut going: Vec<&PastVersion> = past
        .versions
        .iter()
        .filter(|version| {
            let id = Some(version.id);
            id != past.current
                && id != first
                && !newest.contains(&version.id)
                && !named.contains(&version.id)
        })
        .collect();
    going.sort_by_key(|version| (version.created_at, version.id));
    going.into_iter().take(most).map(|version| version.id).collect()
}

#[cfg(test)]
mod tests;
