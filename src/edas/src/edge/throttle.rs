//! How many requests one peer and one access key may send.
//!
//! A peer is counted before anything of its request is read, a key when it is
//! known that the request is its owner's. Requests with an unknown key or a
//! wrong signature cost a look into the database each, and prove nothing: of
//! these a peer may send far fewer. What is signed with a key that was proven
//! lately ([`proven`]) is held to the key's limit alone. Memory is bounded by those
//! that sent something in the last seconds: what has recovered is forgotten.

use std::{
    collections::HashMap,
    hash::Hash,
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use ipnet::IpNet;
use secrecy::SecretString;
use tokio::sync::{Semaphore, SemaphorePermit};

mod proven;

use super::connection::Peer;
use crate::edge::throttle::proven::ProvenKeys;
use crate::wire::error::ApiError;

/// After so many requests what has recovered is forgotten.
const FORGET_EVERY: u32 = 4096;

/// Access keys that are looked up at once: an unknown sender cannot take the
/// connections to the database that orders need.
const LOOK_UPS: usize = 8;

/// Requests per second; twice as many may come at once. 0 = any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    pub of_peer: u32,
    /// With one access key. Hundreds of jobs may share one, and poll once a second.
    pub of_key: u32,
    /// From one peer with an unknown key or a wrong signature.
    pub failures: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { of_peer: 2000, of_key: 500, failures: 50 }
    }
}

/// What was sent lately.
#[derive(Debug)]
pub struct Throttle {
    peers: Option<Limit<IpNet>>,
    keys: Option<Limit<String>>,
    failures: Option<Limit<IpNet>>,
    /// Peers that failed too often, and until when they are not looked up.
    barred: Mutex<HashMap<IpNet, Instant>>,
    look_ups: Semaphore,
    proven: ProvenKeys,
}

impl Throttle {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            peers: Limit::per_second(rates.of_peer),
            keys: Limit::per_second(rates.of_key),
            failures: Limit::per_second(rates.failures),
            barred: Mutex::default(),
            look_ups: Semaphore::new(LOOK_UPS),
            proven: ProvenKeys::default(),
        }
    }

    /// Counts a request of `peer`.
    ///
    /// # Errors
    /// That there were too many.
    pub fn peer(&self, peer: Peer) -> Result<(), ApiError> {
        self.peers
            .as_ref()
            .map_or(Ok(()), |limit| limit.count(&peer.network()))
            .map_err(ApiError::too_many_of_peer)
    }

    /// Counts a request with the access key `id`, which was proven to be.
    ///
    /// # Errors
    /// That there were too many.
    pub fn key(&self, id: &String) -> Result<(), ApiError> {
        self.keys
            .as_ref()
            .map_or(Ok(()), |limit| limit.count(id))
            .map_err(ApiError::too_many_of_key)
    }

    /// The secret of the access key `id`, if it was proven lately.
    #[must_use]
    pub fn secret(&self, id: &str) -> Option<SecretString> {
        self.proven.secret(id)
    }

    /// The access key `id` was proven with `secret` just now.
    pub fn remember(&self, id: &str, secret: &SecretString) {
        self.proven.remember(id, secret);
    }

    /// The access key `id` is not valid any more.
    pub fn forget(&self, id: &str) {
        self.proven.forget(id);
    }

    /// Waits for the turn to look up what `peer` names, before it has proven anything.
    ///
    /// # Errors
    /// That too much from it proved wrong lately.
    pub async fn look_up(&self, peer: Peer) -> Result<SemaphorePermit<'_>, ApiError> {
        if let Some(until) =
            self.barred.lock().unwrap_or_else(PoisonError::into_inner).get(&peer.network())
        {
            let wait = until.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return Err(ApiError::too_many_failures(wait));
            }
        }
        self.look_ups.acquire().await.map_err(|_| ApiError::internal())
    }

    /// Counts a request of `peer` that proved wrong.
    pub fn failed(&self, peer: Peer) {
        let Some(wait) =
            self.failures.as_ref().and_then(|limit| limit.count(&peer.network()).err())
        else {
            return;
        };
        let now = Instant::now();
        let mut barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
        if barred.len() >= FORGET_EVERY as usize {
            barred.retain(|_, until| *until > now);
        }
        barred.insert(peer.network(), now + wait);
    }
}

/// A limit of each `K`.
#[derive(Debug)]
struct Limit<K: Clone + Eq + Hash + std::fmt::Debug> {
    limiter: RateLimiter<K, HashMapStateStore<K>, MonotonicClock, NoOpMiddleware<Instant>>,
    counted: AtomicU32,
}

impl<K: Clone + Eq + Hash + std::fmt::Debug> Limit<K> {
    fn per_second(rate: u32) -> Option<Self> {
        let rate = NonZeroU32::new(rate)?;
        Some(Self::of(
            Quota::per_second(rate)
                .allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1))),
        ))
    }

    fn of(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::hashmap_with_clock(quota, MonotonicClock),
            counted: AtomicU32::new(0),
        }
    }

    /// Err: too many; the time until one more may come.
    fn count(&self, key: &K) -> Result<(), Duration> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|not_yet| not_yet.wait_time_from(MonotonicClock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer { address: address.parse().unwrap(), ..Peer::loopback() }
    }

    /// So slow that nothing recovers while a test runs.
    fn slow<K: Clone + Eq + Hash + std::fmt::Debug>(burst: u32) -> Option<Limit<K>> {
        Some(Limit::of(
            Quota::per_hour(NonZeroU32::MIN).allow_burst(NonZeroU32::new(burst).unwrap()),
        ))
    }

    #[test]
    fn one_peer_does_not_use_up_what_another_may_send() {
        let throttle = Throttle {
            peers: slow(3),
            ..Throttle::new(Rates { of_peer: 0, of_key: 0, failures: 0 })
        };
        for _ in 0..3 {
            throttle.peer(peer("2001:db8::1")).unwrap();
        }
        let refused = throttle.peer(peer("2001:db8::2")).unwrap_err();
        assert_eq!(refused.label(), "Throttling");
        assert!(refused.wait().unwrap() > Duration::from_secs(60));
        throttle.peer(peer("2001:db8:0:1::1")).unwrap();
    }

    #[tokio::test]
    async fn who_fails_too_often_is_not_looked_up_any_more() {
        let throttle = Throttle { failures: slow(2), ..Throttle::new(Rates::default()) };
        let (wrong, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        for _ in 0..3 {
            drop(throttle.look_up(wrong).await.unwrap());
            throttle.failed(wrong);
        }
        assert_eq!(throttle.look_up(wrong).await.unwrap_err().label(), "Throttling");
        assert!(throttle.look_up(other).await.is_ok());
    }

    #[tokio::test]
    async fn a_rate_of_nothing_is_no_limit() {
        let throttle = Throttle::new(Rates { of_peer: 0, of_key: 0, failures: 0 });
        for _ in 0..20_000 {
            throttle.peer(peer("192.0.2.1")).unwrap();
            throttle.key(&"key".to_owned()).unwrap();
            throttle.failed(peer("192.0.2.1"));
        }
        assert!(throttle.look_up(peer("192.0.2.1")).await.is_ok());
    }

    #[test]
    fn peers_that_come_once_are_not_remembered_for_ever() {
        // A million a second: each has recovered at once.
        let limit: Limit<u32> = Limit::per_second(1_000_000).unwrap();
        for number in 0..10 * FORGET_EVERY {
            limit.count(&number).unwrap();
        }
        assert!(limit.limiter.len() <= 2 * FORGET_EVERY as usize, "{}", limit.limiter.len());
    }
}
