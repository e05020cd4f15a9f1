//! An order's page while it is open: its parts, sent again whenever one of them changes.
//!
//! Each message is the whole of every part. Nothing is lost with a message that did not
//! arrive, and whoever comes late or reads slowly has the newest.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{Path, State},
    http::{HeaderValue, header::CACHE_CONTROL},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use crate::{
    Console,
    fault::Fault,
    page::{
        self,
        order::{Parts, Reading},
    },
    session::SignedIn,
};
use domain::OrderId;
use service::Watch;

/// Streams at once.
const STREAMS: usize = 2000;

/// Streams at once of one session.
const OF_SESSION: usize = 8;

/// After so long a stream ends, and the page asks for another one.
const LONGEST: Duration = Duration::from_secs(3600);

/// Whoever reads along is looked at again so often: a session ends with its key.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Nothing in between may keep what is sent.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store, no-transform");

/// An order is read again so often while somebody looks at it, however many do: what a
/// person does to it is no change of an executor's.
const READ_AGAIN: Duration = Duration::from_millis(500);

/// What was read of an order last; nothing yet, at the beginning.
type Newest = watch::Sender<Option<Arc<Reading>>>;

/// The streams that are open.
#[derive(Debug)]
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    of_sessions: Mutex<HashMap<Uuid, usize>>,
    /// The orders that somebody looks at.
    orders: Mutex<HashMap<OrderId, Newest>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(STREAMS)),
            of_sessions: Mutex::default(),
            orders: Mutex::default(),
        }
    }
}

/// A stream's place, given back when it ends.
struct Place {
    streams: Arc<Streams>,
    session: Uuid,
    _permit: OwnedSemaphorePermit,
}

impl Streams {
    /// Follows an order, which is read once for all who do.
    fn follow(
        self: &Arc<Self>,
        console: &Console,
        id: OrderId,
    ) -> watch::Receiver<Option<Arc<Reading>>> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = orders.get(&id) {
            return newest.subscribe();
        }
        let (newest, receiver) = watch::channel(None);
        orders.insert(id, newest);
        tokio::spawn(read_on(console.clone(), id));
        receiver
    }

    /// Forgets an order, unless somebody looks at it.
    fn forget(&self, id: OrderId, is_over: bool) -> bool {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = orders.get(&id).is_none_or(|newest| newest.receiver_count() == 0);
        if is_left || is_over {
            orders.remove(&id);
        }
        is_left || is_over
    }

    /// Tells those who look at an order, if it is another than before.
    fn tell(&self, id: OrderId, reading: Reading) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = orders.get(&id) {
            newest.send_if_modified(|known| {
                let is_new = known.as_deref() != Some(&reading);
                if is_new {
                    *known = Some(Arc::new(reading));
                }
                is_new
            });
        }
    }

    fn take(self: &Arc<Self>, session: Uuid) -> Option<Place> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        let mut open = self.of_sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(session).or_default();
        if *count >= OF_SESSION {
            return None;
        }
        *count += 1;
        Some(Place { streams: self.clone(), session, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.of_sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.session);
            }
        }
    }
}

/// Reads an order whenever it changes, until it has ended or nobody looks at it.
async fn read_on(console: Console, id: OrderId) {
    let mut changes = console.service.watch_order(id).await.ok();
    loop {
        let mut is_over = false;
        match page::order::read(&console.service, id).await {
            Ok(reading) => {
                is_over = reading.is_final();
                console.streams.tell(id, reading);
            }
            // What cannot be read now may be read later: the pages show what they have.
            Err(error) => tracing::debug!(%error, "an order cannot be read"),
        }
        if console.streams.forget(id, is_over) {
            break;
        }
        tokio::select! {
            changed = next(&mut changes) => if changed.is_none() { changes = None },
            () = tokio::time::sleep(READ_AGAIN) => {}
            () = console.stop.cancelled() => break,
        }
    }
}

/// The next change; never, where changes cannot be followed now.
async fn next(changes: &mut Option<Watch>) -> Option<()> {
    match changes {
        Some(changes) => changes.next().await.map(|_| ()),
        None => std::future::pending().await,
    }
}

/// Where a stream stands.
struct Viewer {
    console: Console,
    signed_in: SignedIn,
    newest: watch::Receiver<Option<Arc<Reading>>>,
    /// Of what was sent last.
    sent: String,
    is_over: bool,
    until: tokio::time::Instant,
    _place: Place,
}

/// Sends the parts of an order's page until the order has ended.
pub(crate) async fn follow(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let order = page::order_id(&id)?;
    // That there is such an order is said before the stream begins.
    console.service.order(order).await?;
    let place = console.streams.take(signed_in.0.id).ok_or_else(Fault::too_many)?;
    let viewer = Viewer {
        newest: console.streams.follow(&console, order),
        until: tokio::time::Instant::now() + LONGEST,
        sent: String::new(),
        is_over: false,
        _place: place,
        console,
        signed_in,
    };
    let events = stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    response.headers_mut().insert(CACHE_CONTROL, NOT_KEPT);
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Viewer {
    /// The next message; none = it ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.is_over || tokio::time::Instant::now() >= self.until {
                return None;
            }
            if !self.is_good().await {
                self.is_over = true;
                return Some(Event::default().event("signed-out").data("-"));
            }
            let reading = self.newest.borrow_and_update().clone();
            if let Some(reading) = reading
                && let Ok(parts) = page::order::parts(&reading, &self.signed_in)
                && parts.hash() != self.sent
            {
                self.sent = parts.hash();
                self.is_over = parts.is_final;
                return Some(message(&parts));
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = self.console.stop.cancelled() => return None,
            }
        }
    }

    /// Whether the session is good still.
    async fn is_good(&self) -> bool {
        // Where the database does not answer now, nothing is shown that was not before.
        self.console.service.has_session(self.signed_in.0.id).await.unwrap_or(true)
    }
}

fn message(parts: &Parts) -> Event {
    let document = serde_json::json!({
        "title": parts.title,
        "over": parts.is_final,
        "parts": parts.html,
    });
    Event::default().id(parts.hash()).data(document.to_string())
}
