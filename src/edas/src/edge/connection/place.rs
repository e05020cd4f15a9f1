//! The places that connections have: in all, and of one peer.
//!
//! Where all are taken, a connection that is not needed makes room for the new
//! one: the oldest of those on which nobody has proven who it is, else the one of
//! a known client that has been idle the longest. Who opens connections and says
//! nothing on them, or begins requests that never end, takes the places of its own
//! kind, and keeps nobody out for long. One with a request in hand whose sender is
//! known is never closed for another. A peer with all its connections makes room
//! among its own.
//!
//! The same line bounds what connections have in memory before anybody is known:
//! where their buffers together are too large, the first with a large one goes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{future::poll_fn, task::AtomicWaker};
use ipnet::IpNet;
use std::task::Poll;
use tokio::time::Instant;

use super::Times;

/// Bytes of a connection's read buffer that are not counted. Usual requests need no more.
const SMALL: usize = 16 << 10;

/// Which places are all taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge::connection) enum NoPlace {
    /// All that there are, by requests in hand.
    All,
    /// Those of the peer, by its requests in hand.
    OfPeer,
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "there are as many connections as the server may have",
            Self::OfPeer => "there are as many connections of this peer as one may have",
        })
    }
}

impl std::error::Error for NoPlace {}

/// What is closed first for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nobody has proven yet who it is: it is silent, has a part of a request, or
    /// has requests of strangers in hand.
    Unproven,
    /// Of a known client, all of whose proven requests are answered.
    Idle,
}

/// Where a connection stands among those that may be closed: less is sooner.
type Turn = (Rank, u64);

/// All places.
#[derive(Debug)]
pub(in crate::edge::connection) struct Places {
    most: usize,
    most_of_peer: usize,
    /// Bytes that the buffers of connections that may be closed have together, past [`SMALL`] each.
    most_buffered: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_peers: HashMap<IpNet, OfPeer>,
    /// Connections that may be closed for another.
    spare: BTreeMap<Turn, Arc<Seat>>,
    /// Those of them whose buffers are large.
    large: BTreeSet<Turn>,
    /// Bytes of these buffers, past [`SMALL`] each.
    buffered: usize,
    turns: u64,
}

#[derive(Debug, Default)]
struct OfPeer {
    all: usize,
    /// Those that may be closed for another.
    spare: BTreeSet<Turn>,
}

impl Taken {
    fn line_up(&mut self, rank: Rank, seat: &Arc<Seat>, at: &mut At) {
        self.turns += 1;
        let turn = (rank, self.turns);
        self.spare.insert(turn, seat.clone());
        if let Some(of_peer) = seat.peer.and_then(|peer| self.of_peers.get_mut(&peer)) {
            of_peer.spare.insert(turn);
        }
        if at.buffer > SMALL {
            self.large.insert(turn);
            self.buffered += at.buffer - SMALL;
        }
        at.turn = Some(turn);
    }

    fn leave_line(&mut self, seat: &Seat, at: &mut At) {
        let Some(turn) = at.turn.take() else { return };
        self.spare.remove(&turn);
        if let Some(of_peer) = seat.peer.and_then(|peer| self.of_peers.get_mut(&peer)) {
            of_peer.spare.remove(&turn);
        }
        if self.large.remove(&turn) {
            self.buffered -= at.buffer - SMALL;
        }
    }

    fn enter(&mut self, peer: Option<IpNet>) {
        self.all += 1;
        if let Some(peer) = peer {
            self.of_peers.entry(peer).or_default().all += 1;
        }
    }

    fn leave(&mut self, peer: Option<IpNet>) {
        self.all -= 1;
        let Some(peer) = peer else { return };
        if let Some(of_peer) = self.of_peers.get_mut(&peer) {
            of_peer.all -= 1;
            if of_peer.all == 0 {
                self.of_peers.remove(&peer);
            }
        }
    }

    /// Closes the connection that has this turn for another.
    fn close(&mut self, turn: Turn) {
        let Some(seat) = self.spare.get(&turn).cloned() else { return };
        let mut at = locked(&seat.at);
        self.leave_line(&seat, &mut at);
        at.is_over = true;
        drop(at);
        self.leave(seat.peer);
        seat.waker.wake();
    }

    /// Closes connections with large buffers until all of these are within `most` bytes.
    fn fit(&mut self, most: usize) {
        while self.buffered > most
            && let Some(turn) = self.large.first().copied()
        {
            self.close(turn);
        }
    }
}

/// A lock that was held in a panic guards nothing but counts.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    pub(in crate::edge::connection) fn new(
        most: usize,
        most_of_peer: usize,
        most_buffered: usize,
    ) -> Self {
        Self { most, most_of_peer, most_buffered, taken: Mutex::default() }
    }

    /// How many are taken.
    pub(in crate::edge::connection) fn count(&self) -> usize {
        locked(&self.taken).all
    }

    /// Takes a place, one of `peer`'s if it is counted.
    pub(in crate::edge::connection) fn take(
        self: &Arc<Self>,
        peer: Option<IpNet>,
    ) -> Result<Place, NoPlace> {
        let mut taken = locked(&self.taken);
        let full_of_peer = peer
            .and_then(|peer| taken.of_peers.get(&peer))
            .filter(|of_peer| of_peer.all >= self.most_of_peer);
        if let Some(of_peer) = full_of_peer {
            let turn = of_peer.spare.first().copied().ok_or(NoPlace::OfPeer)?;
            taken.close(turn);
        }
        if taken.all >= self.most {
            let turn = taken.spare.keys().next().copied().ok_or(NoPlace::All)?;
            taken.close(turn);
        }
        taken.enter(peer);
        let at = At {
            turn: None,
            requests: 0,
            proven: 0,
            replies: 0,
            since: Instant::now(),
            head: None,
            head_bytes: 0,
            buffer: SMALL,
            is_stuck: false,
            is_new: true,
            is_http2: false,
            is_over: false,
        };
        let seat = Arc::new(Seat {
            places: self.clone(),
            peer,
            at: Mutex::new(at),
            waker: AtomicWaker::new(),
        });
        taken.line_up(Rank::Unproven, &seat, &mut locked(&seat.at));
        Ok(Place(seat))
    }
}

/// A connection's place, which is free again when this is dropped.
#[derive(Debug)]
pub(in crate::edge::connection) struct Place(Arc<Seat>);

impl Place {
    pub(in crate::edge::connection) fn seat(&self) -> Arc<Seat> {
        self.0.clone()
    }

    /// Done when another connection has got this place.
    pub(in crate::edge::connection) async fn is_taken_away(&self) {
        poll_fn(|context| {
            self.0.waker.register(context.waker());
            if locked(&self.0.at).is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl std::ops::Deref for Place {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = locked(&self.0.places.taken);
        let mut at = locked(&self.0.at);
        // One that was closed for another has left already.
        if !at.is_over {
            at.is_over = true;
            taken.leave_line(&self.0, &mut at);
            taken.leave(self.0.peer);
        }
    }
}

/// What a connection is at. Locked after [`Places::taken`], where both are.
#[derive(Debug)]
struct At {
    /// Where it stands among those that may be closed, if it may.
    turn: Option<Turn>,
    /// Requests whose reply has not been given yet, or not to its end.
    requests: u32,
    /// Those of them whose sender is known.
    proven: u32,
    /// Replies of which there is more to give.
    replies: u32,
    /// When it came to what it is at, or last moved on with it.
    since: Instant,
    /// When the first bytes of a head came.
    head: Option<Instant>,
    /// Bytes that came since there was a request in hand.
    head_bytes: usize,
    /// Bytes that its read buffer has, or once had: it is not made smaller again.
    buffer: usize,
    /// Bytes of a reply cannot go now: the client does not take them.
    is_stuck: bool,
    is_new: bool,
    is_http2: bool,
    /// It is to be closed.
    is_over: bool,
}

/// What a connection's parts know of each other: the stream, and the requests on it.
#[derive(Debug)]
pub(in crate::edge::connection) struct Seat {
    places: Arc<Places>,
    peer: Option<IpNet>,
    at: Mutex<At>,
    /// Of the task that the connection runs in.
    pub(in crate::edge::connection) waker: AtomicWaker,
}

/// When a connection's time for what it is at is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge::connection) enum End {
    /// Not by time: a request is being worked on.
    Open,
    At(Instant),
    Now,
}

impl Seat {
    /// When the connection is to end.
    pub(in crate::edge::connection) fn end(&self, times: &Times) -> End {
        let at = locked(&self.at);
        let allowed = match &*at {
            At { is_over: true, .. } => return End::Now,
            At { replies: 1.., .. } | At { is_stuck: true, .. } => {
                at.since.checked_add(times.reply)
            }
            At { requests: 1.., .. } => None,
            At { head: Some(begun), .. } => begun.checked_add(times.head),
            At { is_new: true, .. } => at.since.checked_add(times.head),
            At { .. } => at.since.checked_add(times.idle),
        };
        allowed.map_or(End::Open, End::At)
    }

    /// Before so many bytes more are read at once: they have room in the read buffer. False:
    /// the connection is to be closed.
    pub(in crate::edge::connection) fn reads(&self, bytes: usize) -> bool {
        let at = locked(&self.at);
        let buffer = at.head_bytes + bytes;
        if at.is_over || buffer <= at.buffer {
            return !at.is_over;
        }
        drop(at);
        let mut taken = locked(&self.places.taken);
        let mut at = locked(&self.at);
        let more = buffer - at.buffer;
        at.buffer = buffer;
        if let Some(turn) = at.turn {
            taken.large.insert(turn);
            taken.buffered += more;
        }
        drop(at);
        taken.fit(self.places.most_buffered);
        !locked(&self.at).is_over
    }

    /// So many bytes came. Between requests they are the next one's head; of HTTP/2 they may be anything.
    pub(in crate::edge::connection) fn came(&self, bytes: usize) {
        let mut at = locked(&self.at);
        if at.requests == 0 {
            at.head_bytes += bytes;
            if !at.is_new && !at.is_http2 {
                at.head.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Bytes went. Of HTTP/2 they may be anything.
    pub(in crate::edge::connection) fn went(&self) {
        let mut at = locked(&self.at);
        at.is_stuck = false;
        if !at.is_new && !at.is_http2 {
            at.since = Instant::now();
        }
    }

    /// No bytes can go now.
    pub(in crate::edge::connection) fn is_stuck(&self) {
        let mut at = locked(&self.at);
        if !at.is_stuck {
            (at.is_stuck, at.since) = (true, Instant::now());
        }
    }

    /// Takes a request in hand, of somebody who has not proven anything with it yet. None:
    /// the connection is closed for another.
    pub(in crate::edge::connection) fn request(self: &Arc<Self>, is_http2: bool) -> Option<InHand> {
        let mut at = locked(&self.at);
        if at.is_over {
            return None;
        }
        at.requests += 1;
        (at.is_new, at.head, at.head_bytes, at.is_http2) = (false, None, 0, is_http2);
        let standing = RequestSeat { seat: self.clone(), is_settled: Arc::default() };
        Some(InHand { standing, is_replying: false })
    }
}

/// How a request in hand stands with its connection.
#[derive(Debug, Clone)]
pub(in crate::edge::connection) struct RequestSeat {
    seat: Arc<Seat>,
    /// It was proven, or its reply is given. Changed under the seat's lock.
    is_settled: Arc<AtomicBool>,
}

impl RequestSeat {
    /// The request's sender is known: until it is answered, its connection is closed for no
    /// other. False: it has been closed already.
    pub(in crate::edge::connection) fn prove(&self) -> bool {
        let mut taken = locked(&self.seat.places.taken);
        let mut at = locked(&self.seat.at);
        if at.is_over {
            return false;
        }
        if !self.is_settled.swap(true, Ordering::Relaxed) {
            at.proven += 1;
            taken.leave_line(&self.seat, &mut at);
        }
        true
    }
}

/// A request in hand, until this is dropped.
#[derive(Debug)]
pub(in crate::edge::connection) struct InHand {
    standing: RequestSeat,
    is_replying: bool,
}

impl InHand {
    /// For those who learn whose it is.
    pub(in crate::edge::connection) fn standing(&self) -> RequestSeat {
        self.standing.clone()
    }

    /// The reply is there, or more of it was taken.
    pub(in crate::edge::connection) fn replies(&mut self) {
        let mut at = locked(&self.standing.seat.at);
        if !std::mem::replace(&mut self.is_replying, true) {
            at.replies += 1;
        }
        at.since = Instant::now();
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let seat = &self.standing.seat;
        let mut taken = locked(&seat.places.taken);
        let mut at = locked(&seat.at);
        at.requests -= 1;
        if self.is_replying {
            at.replies -= 1;
        }
        if at.requests == 0 {
            at.since = Instant::now();
        }
        if self.standing.is_settled.swap(true, Ordering::Relaxed) {
            at.proven -= 1;
            if at.proven == 0 && !at.is_over {
                taken.line_up(Rank::Idle, seat, &mut at);
            }
        }
        let is_http2 = at.is_http2;
        drop(at);
        taken.fit(seat.places.most_buffered);
        drop(taken);
        if is_http2 {
            // There a reply ends in a task of its own; that of the connection may wait for another end.
            seat.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
