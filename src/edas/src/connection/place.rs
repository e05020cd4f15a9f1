//! The places that connections have: in all, and of one peer.
//!
//! Where all are taken, a connection that is not needed makes room for the new
//! one: the oldest of those that never sent a whole request, else the one that
//! has been idle the longest. So who opens connections and says nothing on them
//! takes the places of its own kind, and keeps nobody out for long. One with a
//! request in hand is never closed for another.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{future::poll_fn, task::AtomicWaker};
use ipnet::IpNet;
use std::task::Poll;
use tokio::time::Instant;

use super::Times;

/// Which places are all taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// All that there are, by requests in hand.
    All,
    /// Those of the peer.
    OfPeer,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "there are as many connections as the server may have",
            Self::OfPeer => "there are as many connections of this peer as one may have",
        })
    }
}

impl std::error::Error for Full {}

/// What is closed first for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// No whole request came on it yet.
    HalfOpen,
    /// All its requests are answered.
    Idle,
}

/// Where a connection stands among those that may be closed: less is sooner.
type Turn = (Rank, u64);

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_of_peer: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_peers: HashMap<IpNet, usize>,
    /// Connections that may be closed for another.
    spare: BTreeMap<Turn, Arc<Seat>>,
    turns: u64,
}

impl Taken {
    fn line_up(&mut self, rank: Rank, seat: &Arc<Seat>) -> Turn {
        self.turns += 1;
        self.spare.insert((rank, self.turns), seat.clone());
        (rank, self.turns)
    }

    fn leave(&mut self, peer: Option<IpNet>) {
        self.all -= 1;
        let Some(Entry::Occupied(mut count)) = peer.map(|peer| self.of_peers.entry(peer)) else { return };
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// A lock that was held in a panic guards nothing but counts.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    pub(super) fn new(most: usize, most_of_peer: usize) -> Self {
        Self { most, most_of_peer, taken: Mutex::default() }
    }

    /// How many are taken.
    pub(super) fn count(&self) -> usize {
        locked(&self.taken).all
    }

    /// Takes a place, one of `peer`'s if it is counted.
    pub(super) fn take(self: &Arc<Self>, peer: Option<IpNet>) -> Result<Place, Full> {
        let mut taken = locked(&self.taken);
        if peer.is_some_and(|peer| taken.of_peers.get(&peer).is_some_and(|count| *count >= self.most_of_peer)) {
            return Err(Full::OfPeer);
        }
        if taken.all >= self.most {
            let (_, other) = taken.spare.pop_first().ok_or(Full::All)?;
            taken.leave(other.peer);
            other.close();
        }
        taken.all += 1;
        if let Some(peer) = peer {
            *taken.of_peers.entry(peer).or_default() += 1;
        }
        let at = At {
            turn: None,
            requests: 0,
            replies: 0,
            since: Instant::now(),
            head: None,
            is_stuck: false,
            is_new: true,
            is_http2: false,
            is_over: false,
        };
        let seat = Arc::new(Seat { places: self.clone(), peer, at: Mutex::new(at), waker: AtomicWaker::new() });
        let turn = taken.line_up(Rank::HalfOpen, &seat);
        locked(&seat.at).turn = Some(turn);
        Ok(Place(seat))
    }
}

/// A connection's place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Seat>);

impl Place {
    pub(super) fn seat(&self) -> Arc<Seat> {
        self.0.clone()
    }

    /// Done when another connection has got this place.
    pub(super) async fn is_taken_away(&self) {
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
            if let Some(turn) = at.turn.take() {
                taken.spare.remove(&turn);
            }
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
    /// Replies of which there is more to give.
    replies: u32,
    /// When it came to what it is at, or last moved on with it.
    since: Instant,
    /// When the first bytes of a head came.
    head: Option<Instant>,
    /// Bytes of a reply cannot go now: the client does not take them.
    is_stuck: bool,
    is_new: bool,
    is_http2: bool,
    /// It is to be closed.
    is_over: bool,
}

/// What a connection's parts know of each other: the stream, and the requests on it.
#[derive(Debug)]
pub(super) struct Seat {
    places: Arc<Places>,
    peer: Option<IpNet>,
    at: Mutex<At>,
    /// Of the task that the connection runs in.
    pub(super) waker: AtomicWaker,
}

/// When a connection's time for what it is at is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Not by time: a request is being worked on.
    Open,
    /// Then.
    At(Instant),
    /// It is.
    Now,
}

impl Seat {
    /// For another connection; the lock on the places is held.
    fn close(&self) {
        let mut at = locked(&self.at);
        (at.is_over, at.turn) = (true, None);
        drop(at);
        self.waker.wake();
    }

    /// When the connection is to end.
    pub(super) fn end(&self, times: &Times) -> End {
        let at = locked(&self.at);
        let allowed = match &*at {
            At { is_over: true, .. } => return End::Now,
            At { replies: 1.., .. } | At { is_stuck: true, .. } => at.since.checked_add(times.reply),
            At { requests: 1.., .. } => None,
            At { head: Some(begun), .. } => begun.checked_add(times.head),
            At { is_new: true, .. } => at.since.checked_add(times.head),
            At { .. } => at.since.checked_add(times.idle),
        };
        allowed.map_or(End::Open, End::At)
    }

    /// Bytes came. Between requests they are the next one's head; of HTTP/2 they may be anything.
    pub(super) fn came(&self) {
        let mut at = locked(&self.at);
        if at.requests == 0 && !at.is_new && !at.is_http2 {
            at.head.get_or_insert_with(Instant::now);
        }
    }

    /// Bytes went. Of HTTP/2 they may be anything.
    pub(super) fn went(&self) {
        let mut at = locked(&self.at);
        at.is_stuck = false;
        if !at.is_new && !at.is_http2 {
            at.since = Instant::now();
        }
    }

    /// No bytes can go now.
    pub(super) fn is_stuck(&self) {
        let mut at = locked(&self.at);
        if !at.is_stuck {
            (at.is_stuck, at.since) = (true, Instant::now());
        }
    }

    /// Takes a request in hand. None: the connection is closed for another.
    pub(super) fn request(self: &Arc<Self>, is_http2: bool) -> Option<InHand> {
        let mut taken = locked(&self.places.taken);
        let mut at = locked(&self.at);
        if at.is_over {
            return None;
        }
        if let Some(turn) = at.turn.take() {
            taken.spare.remove(&turn);
        }
        at.requests += 1;
        (at.is_new, at.head, at.is_http2) = (false, None, is_http2);
        Some(InHand { seat: self.clone(), is_replying: false })
    }
}

/// A request in hand, until this is dropped.
#[derive(Debug)]
pub(super) struct InHand {
    seat: Arc<Seat>,
    is_replying: bool,
}

impl InHand {
    /// The reply is there, or more of it was taken.
    pub(super) fn replies(&mut self) {
        let mut at = locked(&self.seat.at);
        if !std::mem::replace(&mut self.is_replying, true) {
            at.replies += 1;
        }
        at.since = Instant::now();
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut taken = locked(&self.seat.places.taken);
        let mut at = locked(&self.seat.at);
        at.requests -= 1;
        if self.is_replying {
            at.replies -= 1;
        }
        if at.requests == 0 && !at.is_over {
            at.since = Instant::now();
            at.turn = Some(taken.line_up(Rank::Idle, &self.seat));
        }
        let is_http2 = at.is_http2;
        drop((at, taken));
        if is_http2 {
            // There a reply ends in a task of its own; that of the connection may wait for another end.
            self.seat.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> Option<IpNet> {
        Some(IpNet::from(std::net::IpAddr::from([192, 0, 2, number])))
    }

    fn is_over(place: &Place) -> bool {
        locked(&place.at).is_over
    }

    #[test]
    fn a_peer_cannot_take_more_than_its_places_and_gets_them_back() {
        let places = Arc::new(Places::new(10, 2));
        let first = places.take(peer(1)).unwrap();
        let _second = places.take(peer(1)).unwrap();
        assert_eq!(places.take(peer(1)).unwrap_err(), Full::OfPeer);
        let other = places.take(peer(2)).unwrap();
        drop(first);
        let _third = places.take(peer(1)).unwrap();
        drop(other);
        assert_eq!(locked(&places.taken).of_peers.len(), 1, "a peer without connections is forgotten");
        let proxies: Vec<Place> = (0..5).map(|_| places.take(None).unwrap()).collect();
        assert_eq!(places.count(), 2 + proxies.len(), "a proxy has no limit as a peer");
    }

    #[test]
    fn the_oldest_half_open_one_makes_room_and_none_with_a_request_does() {
        let places = Arc::new(Places::new(3, 3));
        let (busy, idle, half_open) = (places.take(peer(1)).unwrap(), places.take(peer(1)).unwrap(), places.take(peer(2)).unwrap());
        let in_hand = busy.seat().request(false).unwrap();
        drop(idle.seat().request(false).unwrap());

        let second = places.take(peer(3)).unwrap();
        assert!(is_over(&half_open) && half_open.seat().request(false).is_none());
        let third = places.take(peer(3)).unwrap();
        assert!(is_over(&second) && !is_over(&idle), "half-open before idle");
        let _in_hand_too = third.seat().request(false).unwrap();
        let fourth = places.take(peer(3)).unwrap();
        assert!(is_over(&idle));
        let _and_this = fourth.seat().request(false).unwrap();
        assert_eq!(places.take(peer(4)).unwrap_err(), Full::All);
        assert!(!is_over(&busy));

        drop((half_open, second, idle));
        assert_eq!(places.count(), 3, "who made room is not counted twice");
        drop(in_hand);
        let _fifth = places.take(peer(4)).unwrap();
        assert!(is_over(&busy));
    }

    #[test]
    fn all_places_are_free_when_all_are_gone() {
        let places = Arc::new(Places::new(2, 2));
        for round in 0..3 {
            let held: Vec<Place> = (0..4).map(|number| places.take(peer(number)).unwrap()).collect();
            let requests: Vec<_> = held.iter().map(|place| place.seat().request(round == 1)).collect();
            drop(held);
            drop(requests);
            let taken = locked(&places.taken);
            assert!(taken.all == 0 && taken.of_peers.is_empty() && taken.spare.is_empty(), "{taken:?}");
        }
    }
}
