//! Following orders: whoever follows one gets a [`Snapshot`] whenever it changes.
//!
//! One listener of Postgres serves all. An order is loaded only while somebody follows it,
//! and once for each change, however many follow it: they share the snapshot. Whoever is slow
//! misses snapshots and gets the newest, since each is complete. A notification that is lost
//! is made up for within [`READ_AGAIN`]. What somebody may not do is cut out of it: once for
//! all who may do the same.

mod rights;
mod snapshot;
mod stream;
mod viewer;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{Error, Service};
use domain::{
    OrderId, Rejection,
    snapshot::{Action, Snapshot},
};
use store::{ACCESS_CHANNEL, ANSWER_CHANNEL};

use rights::Rights;
pub use stream::EventForm;
pub use viewer::Viewer;
use viewer::{MOST_OF_KEY, MOST_OF_SESSION, MOST_WATCHES, Place, Viewers};

/// How often open orders that are followed are read again without a notification.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Pause before Postgres is listened to again.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// Longest wait for the first snapshot.
const FIRST_WITHIN: Duration = Duration::from_secs(5);

/// Why an order cannot be followed.
#[derive(Debug, Error)]
pub enum WatchError {
    /// There is no such order.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// As many follow orders as may.
    #[error(
        "too many follow change orders: at most {MOST_OF_SESSION} in one session, {MOST_OF_KEY} with one access key and {MOST_WATCHES} in all: try again later"
    )]
    TooMany,
    /// The server ends, or cannot read the order now.
    #[error("the change order cannot be followed now: try again")]
    Unavailable,
}

impl From<Error> for WatchError {
    fn from(error: Error) -> Self {
        match error {
            Error::Rejected(rejection) => Self::Rejected(rejection),
            Error::Store(_) => Self::Unavailable,
        }
    }
}

/// An order as it is now, for all who follow it.
#[derive(Debug)]
struct Followable {
    whole: Snapshot,
    /// What those see who have these rights, made when the first of them asks.
    views: Mutex<BTreeMap<Rights, Arc<Shown>>>,
}

impl Followable {
    fn of(whole: Snapshot) -> Self {
        Self { whole, views: Mutex::default() }
    }

    fn view(&self, rights: Rights) -> Arc<Shown> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let view = views.entry(rights).or_insert_with(|| {
            let mut snapshot = self.whole.clone();
            let withheld = rights.cut(&mut snapshot);
            Arc::new(Shown::of(snapshot, withheld))
        });
        view.clone()
    }
}

/// A snapshot that all share who may do the same.
#[derive(Debug)]
pub struct Shown {
    snapshot: Snapshot,
    /// What they may not do.
    withheld: Vec<Action>,
    event: OnceLock<Bytes>,
    page: OnceLock<Bytes>,
}

/// What stands before a snapshot in a stream of server-sent events, and behind it.
const EVENT: (&[u8], &[u8]) = (b"event: snapshot\ndata: ", b"\n\n");

impl Shown {
    fn of(snapshot: Snapshot, withheld: Vec<Action>) -> Self {
        Self { snapshot, withheld, event: OnceLock::new(), page: OnceLock::new() }
    }

    /// What could be done with the order by somebody who may.
    #[must_use]
    pub fn withheld(&self) -> &[Action] {
        &self.withheld
    }

    /// The snapshot as a server-sent event, written once for all who share it.
    #[must_use]
    pub fn event(&self) -> Bytes {
        let written = || {
            let json = serde_json::to_vec(&self.snapshot).unwrap_or_default();
            [EVENT.0, &json, EVENT.1].concat().into()
        };
        self.event.get_or_init(written).clone()
    }

    /// The snapshot as people see it, drawn once for all who share it: whoever asks first
    /// draws it.
    pub fn page(&self, draw: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.page.get_or_init(|| draw(self)).clone()
    }

    /// The snapshot as JSON: a part of the event.
    #[must_use]
    pub fn json(&self) -> Bytes {
        let event = self.event();
        event.slice(EVENT.0.len()..event.len() - EVENT.1.len())
    }
}

impl Deref for Shown {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// An order that is followed.
#[derive(Debug)]
pub struct Watch {
    receiver: watch::Receiver<Option<Arc<Followable>>>,
    rights: Rights,
    place: Place,
}

impl Watch {
    /// The next snapshot, the first one at once; those between are skipped if the caller was
    /// slow. None = there will be no other: the server ends, or whoever follows the order may
    /// not any more.
    pub async fn next(&mut self) -> Option<Arc<Shown>> {
        loop {
            tokio::select! {
                biased;
                () = self.place.shut_out.cancelled() => return None,
                changed = self.receiver.changed() => changed.ok()?,
            }
            let newest = self.receiver.borrow_and_update().clone();
            if let Some(order) = newest {
                return Some(order.view(self.rights));
            }
        }
    }

    /// Whether whoever follows the order may not any more: the key or the session ended.
    #[must_use]
    pub fn is_shut_out(&self) -> bool {
        self.place.shut_out.is_cancelled()
    }
}

/// Who follows which order.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    followed: Mutex<Followed>,
    /// Woken when an order is to be loaded.
    stale: Notify,
    viewers: Mutex<Viewers>,
    loads: AtomicU64,
}

#[derive(Debug, Default)]
struct Followed {
    orders: HashMap<OrderId, watch::Sender<Option<Arc<Followable>>>>,
    /// Those of them that are to be loaded.
    stale: BTreeSet<OrderId>,
    /// Nobody is let in any more.
    ended: bool,
}

impl Hub {
    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn viewers(&self) -> MutexGuard<'_, Viewers> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that orders changed; those that nobody follows are nobody's business.
    fn changed(&self, ids: impl Iterator<Item = OrderId>) {
        let mut followed = self.followed();
        for id in ids {
            if followed.orders.contains_key(&id) {
                followed.stale.insert(id);
            }
        }
        if !followed.stale.is_empty() {
            self.stale.notify_one();
        }
    }

    /// Forgets orders that nobody follows any more, and has the others loaded again: the
    /// open ones, or `all`.
    fn sweep(&self, all: bool) {
        let mut followed = self.followed();
        let Followed { orders, stale, .. } = &mut *followed;
        orders.retain(|_, sender| sender.receiver_count() > 0);
        for (id, sender) in orders.iter() {
            let is_open = |it: &Arc<Followable>| !it.whole.order.state.is_final();
            if all || sender.borrow().as_ref().is_none_or(is_open) {
                stale.insert(*id);
            }
        }
        self.stale.notify_one();
    }

    fn take_stale(&self) -> BTreeSet<OrderId> {
        std::mem::take(&mut self.followed().stale)
    }

    /// Hands a snapshot to all who follow the order, if it is another one than before.
    fn show(&self, id: OrderId, snapshot: Option<Snapshot>) {
        let mut followed = self.followed();
        match snapshot {
            // There is no such order: those who wait for it are told by the end of the channel.
            None => {
                followed.orders.remove(&id);
            }
            Some(snapshot) => {
                if let Some(sender) = followed.orders.get(&id) {
                    sender.send_if_modified(|shown| {
                        let is_new = shown.as_ref().map(|it| &it.whole) != Some(&snapshot);
                        if is_new {
                            *shown = Some(Arc::new(Followable::of(snapshot)));
                        }
                        is_new
                    });
                }
            }
        }
    }

    fn end(&self) {
        let mut followed = self.followed();
        followed.ended = true;
        followed.orders.clear();
    }
}

impl Service {
    /// Follows an order for `viewer`. The first snapshot is there at once.
    ///
    /// # Errors
    /// [`WatchError`]: there is no such order, too many follow orders, or the server ends.
    pub async fn watch_order(&self, id: OrderId, viewer: &Viewer) -> Result<Watch, WatchError> {
        let rights = self.rights_on(&self.permit_order(id).await?);
        let place = Place::take(&self.hub, viewer).ok_or(WatchError::TooMany)?;
        let mut receiver = {
            let mut followed = self.hub.followed();
            if followed.ended {
                return Err(WatchError::Unavailable);
            }
            match followed.orders.entry(id) {
                Entry::Occupied(entry) => entry.get().subscribe(),
                Entry::Vacant(entry) => {
                    let receiver = entry.insert(watch::Sender::new(None)).subscribe();
                    followed.stale.insert(id);
                    self.hub.stale.notify_one();
                    receiver
                }
            }
        };
        let first = async { receiver.wait_for(Option::is_some).await.map(|_| ()) };
        match tokio::time::timeout(FIRST_WITHIN, first).await {
            Ok(Ok(())) => {
                receiver.mark_changed();
                Ok(Watch { receiver, rights, place })
            }
            Ok(Err(_)) if !self.hub.followed().ended => {
                Err(Rejection::UnknownOrder(id.to_string()).into())
            }
            _ => Err(WatchError::Unavailable),
        }
    }

    /// How often an order was loaded for those who follow it.
    #[must_use]
    pub fn watched_loads(&self) -> u64 {
        self.hub.loads.load(Ordering::Relaxed)
    }

    /// Keeps those who follow orders up to date until `stop` is cancelled, which ends what
    /// they get, and what was read lately. Without it nobody gets a snapshot, and everything is
    /// read from the database.
    pub async fn keep_watches(&self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.hear_changes() => {}
            () = self.load_stale() => {}
            () = self.look_at_viewers() => {}
            () = self.look_at_known() => {}
        }
        self.known.end();
        self.hub.end();
    }

    async fn hear_changes(&self) {
        loop {
            match self.store.listen_for_changes().await {
                Ok(mut listener) => {
                    // Whatever was notified before we listened is found by reading.
                    self.known.forget();
                    self.answers.set_heard(true);
                    self.hub.sweep(true);
                    let mut again = Instant::now() + READ_AGAIN;
                    loop {
                        match tokio::time::timeout_at(again, listener.try_recv()).await {
                            Ok(Ok(Some(it))) if it.channel() == ACCESS_CHANNEL => {
                                self.known.keys.forget();
                            }
                            Ok(Ok(Some(it))) if it.channel() == ANSWER_CHANNEL => {
                                it.payload()
                                    .parse()
                                    .into_iter()
                                    .for_each(|id| self.answers.told(id));
                            }
                            Ok(Ok(Some(notification))) => {
                                let ids = notification.payload().split(' ');
                                let ids: Vec<_> = ids.filter_map(|id| id.parse().ok()).collect();
                                self.known.told(&ids);
                                self.hub.changed(ids.into_iter());
                            }
                            // The connection was made again: something may have been missed.
                            Ok(Ok(None)) => {
                                self.known.forget();
                                self.hub.sweep(true);
                            }
                            Ok(Err(error)) => {
                                tracing::warn!(%error, "listening for changes of orders failed");
                                break;
                            }
                            Err(_) => {
                                self.hub.sweep(false);
                                again = Instant::now() + READ_AGAIN;
                            }
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "changes of orders cannot be listened for"),
            }
            self.answers.set_heard(false);
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    async fn load_stale(&self) {
        loop {
            self.hub.stale.notified().await;
            for id in self.hub.take_stale() {
                self.hub.loads.fetch_add(1, Ordering::Relaxed);
                match self.whole(id).await {
                    Ok(snapshot) => self.hub.show(id, Some(snapshot)),
                    Err(Error::Rejected(_)) => self.hub.show(id, None),
                    // It is read again with the next change, or by the net beneath.
                    Err(error @ Error::Store(_)) => {
                        tracing::warn!(%error, order.id = %id, "an order that is followed cannot be read");
                    }
                }
            }
        }
    }
}
