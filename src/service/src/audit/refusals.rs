//! Refusals on record, few enough of each sender that nobody fills the database with them,
//! or hides those of others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::{Caller, Error, Service};
use domain::{
    Source,
    audit::{NewEntry, Outcome},
};

/// Refusals of one sender that are on record, in each [`WINDOW`].
const OF_ONE: u32 = 10;

/// Refusals of all who have proven no key that are on record, in each [`WINDOW`].
const OF_STRANGERS: u32 = 300;

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
    strangers: u32,
    of: HashMap<Sender, u32>,
}

/// Who has a share of what is on record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Sender {
    /// Whoever has proven an access key, by its id: there are not more of them than keys.
    Key(String),
    /// Whoever has proven nothing, by the network that one customer has.
    Network(IpAddr),
}

impl Sender {
    fn stranger(peer: IpAddr) -> Self {
        let network = match peer.to_canonical() {
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
            address => address,
        };
        Self::Network(network)
    }
}

impl Refusals {
    /// Whether another one of this sender is to be on record.
    fn admit(&self, sender: Sender, now: Timestamp) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.until.is_none_or(|until| now >= until || until > now + WINDOW) {
            *window = Window { until: Some(now + WINDOW), ..Window::default() };
        }
        let is_stranger = matches!(sender, Sender::Network(_));
        if is_stranger && window.strangers >= OF_STRANGERS {
            return false;
        }
        let of = window.of.entry(sender).or_default();
        if *of >= OF_ONE {
            return false;
        }
        *of += 1;
        window.strangers += u32::from(is_stranger);
        true
    }
}

impl Service {
    /// Puts on record that a request was refused for who sent it: at most ten a minute of one
    /// key that was proven, or of one network, and 300 of all networks.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn record_refusal(&self, peer: IpAddr, refused: Refused) -> Result<(), Error> {
        let now = self.clock.now();
        let sender = match refused.principal.is_empty() {
            true => Sender::stranger(peer),
            false => Sender::Key(refused.key_id.clone()),
        };
        if !self.refusals.admit(sender, now) {
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

    /// Puts on record that the guardrails refused something, unless there is too much of the
    /// caller. It is answered in either case.
    pub(crate) async fn record_guarded(&self, caller: &Caller) {
        // One use case may be part of another.
        if self.permit.is_recorded() {
            return;
        }
        self.permit.note_recorded();
        let now = self.clock.now();
        if !self.refusals.admit(Sender::Key(caller.key_id.clone()), now) {
            return;
        }
        let entry = self.entry_of(caller, "guard", Outcome::Refused);
        let object = format!("Guardrails {}", entry.object).trim_end().to_owned();
        if let Err(error) = self.store.add_audit_entry(NewEntry { object, ..entry }, now).await {
            tracing::warn!(%error, "a refusal could not be put on record");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(refusals: &Refusals, sender: &Sender, now: Timestamp) -> usize {
        (0..50).filter(|_| refusals.admit(sender.clone(), now)).count()
    }

    #[test]
    fn one_network_takes_ten_places_a_minute_and_all_of_them_three_hundred() {
        let refusals = Refusals::default();
        let now = Timestamp::UNIX_EPOCH;
        let from = |number: u8| Sender::stranger(IpAddr::from([192, 0, 2, number]));
        let admitted = |peer: &Sender, now| admitted(&refusals, peer, now);
        assert_eq!(admitted(&from(1), now), 10);
        assert_eq!(admitted(&from(1), now + SignedDuration::from_secs(59)), 0);
        let all: usize = (2..=255).map(|number| admitted(&from(number), now)).sum();
        assert_eq!(all, 290);
        assert_eq!(admitted(&from(1), now + WINDOW), 10);
        // A clock that was set back does not stop it.
        assert_eq!(admitted(&from(1), now - WINDOW), 10);
    }

    #[test]
    fn the_addresses_of_one_customer_share_ten_places() {
        let refusals = Refusals::default();
        let from = |address: &str| Sender::stranger(address.parse().unwrap());
        let admitted = |address: &str| admitted(&refusals, &from(address), Timestamp::UNIX_EPOCH);
        assert_eq!(admitted("2001:db8::1"), 10);
        assert_eq!(admitted("2001:db8::2"), 0);
        assert_eq!(admitted("2001:db8::ffff:0:0:1"), 0);
        assert_eq!(admitted("2001:db8:0:1::1"), 10);
        assert_eq!(admitted("::ffff:192.0.2.1"), 10);
        assert_eq!((admitted("192.0.2.1"), admitted("192.0.2.2")), (0, 10));
    }

    #[test]
    fn a_proven_key_has_a_share_that_strangers_do_not_use_up() {
        let refusals = Refusals::default();
        let now = Timestamp::UNIX_EPOCH;
        for number in 0..=255 {
            admitted(&refusals, &Sender::stranger(IpAddr::from([192, 0, 2, number])), now);
        }
        let stranger = Sender::stranger(IpAddr::from([198, 51, 100, 1]));
        assert_eq!(admitted(&refusals, &stranger, now), 0);
        let key = |id: &str| Sender::Key(id.into());
        assert_eq!(admitted(&refusals, &key("ci"), now), 10);
        assert_eq!(admitted(&refusals, &key("ops"), now), 10);
    }
}
