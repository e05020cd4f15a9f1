//! Refusals on record, few enough of each address that nobody fills the database with them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::{Error, Service};
use domain::{
    Source,
    audit::{NewEntry, Outcome},
};

/// Refusals of one address that are on record, in each [`WINDOW`].
const OF_PEER: u32 = 10;

/// Refusals of all addresses that are on record, in each [`WINDOW`].
const OF_ALL: u32 = 300;

const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// A request that was refused for who sent it.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// The name of the access key, where it was proven.
    pub principal: String,
    /// The id of the access key that was named.
    pub key_id: String,
    pub request_id: String,
    /// What was asked for: the method and the path.
    pub operation: String,
    /// What it was about, as far as that was judged.
    pub object: String,
    /// Why, in a word.
    pub why: String,
}

/// How many refusals are on record of whom.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    until: Option<Timestamp>,
    all: u32,
    of: HashMap<IpAddr, u32>,
}

impl Refusals {
    /// Whether another one of this address is to be on record.
    fn admit(&self, peer: IpAddr, now: Timestamp) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.until.is_none_or(|until| now >= until || until > now + WINDOW) {
            *window = Window { until: Some(now + WINDOW), ..Window::default() };
        }
        if window.all >= OF_ALL {
            return false;
        }
        let of = window.of.entry(peer).or_default();
        if *of >= OF_PEER {
            return false;
        }
        *of += 1;
        window.all += 1;
        true
    }
}

impl Service {
    /// Puts on record that a request was refused for who sent it: at most ten a minute of one
    /// address, and 300 of all.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn record_refusal(&self, peer: IpAddr, refused: Refused) -> Result<(), Error> {
        let now = self.clock.now();
        if !self.refusals.admit(peer, now) {
            return Ok(());
        }
        let entry = NewEntry {
            principal: refused.principal,
            key_id: refused.key_id,
            peer: peer.to_string(),
            request_id: refused.request_id,
            source: Source::Api,
            operation: refused.operation,
            object: format!("{} {}", refused.why, refused.object).trim_end().to_owned(),
            outcome: Outcome::Refused,
            asked: None,
            before: None,
            after: None,
        };
        Ok(self.store.add_audit_entry(entry, now).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_ten_places_a_minute_and_all_of_them_three_hundred() {
        let refusals = Refusals::default();
        let now = Timestamp::UNIX_EPOCH;
        let from = |number: u8| IpAddr::from([192, 0, 2, number]);
        let admitted = |peer, now| (0..50).filter(|_| refusals.admit(peer, now)).count();
        assert_eq!(admitted(from(1), now), 10);
        assert_eq!(admitted(from(1), now + SignedDuration::from_secs(59)), 0);
        let all: usize = (2..=255).map(|number| admitted(from(number), now)).sum();
        assert_eq!(all, 290);
        assert_eq!(admitted(from(1), now + WINDOW), 10);
        // A clock that was set back does not stop it.
        assert_eq!(admitted(from(1), now - WINDOW), 10);
    }
}
