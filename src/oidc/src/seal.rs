//! A sign-in that was begun and is not finished yet. Nothing of it is kept here: the browser
//! keeps a text that it cannot make itself, so any number of strangers may begin one.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

/// How long somebody may take at the provider.
const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// Longest text that can be one.
const LONGEST: usize = 1200;

/// What a sign-in is proved by.
#[derive(Clone)]
pub struct Seal([u8; 32]);

/// A sign-in that was begun. The nonce and the verifier come from `state` and the seal, so
/// whoever reads `state` along the way knows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Pending {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    next: String,
}

impl Seal {
    /// A seal with this key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A sign-in that leads to `next`, and the text for the browser to keep.
    #[must_use]
    pub fn begin(&self, random: &[u8; 32], now: Timestamp, next: &str) -> (Pending, String) {
        let state = hex::encode(random);
        let place = URL_SAFE_NO_PAD.encode(next);
        let text = format!("{}.{state}.{place}", now.as_second());
        let proof = hex::encode(self.mac("sign-in", &text).finalize().into_bytes());
        (self.pending(state, next), format!("{text}.{proof}"))
    }

    /// The sign-in of this text and this `state`, unless it took too long.
    #[must_use]
    pub fn open(&self, text: &str, state: &str, now: Timestamp) -> Option<Pending> {
        if text.len() > LONGEST {
            return None;
        }
        let (text, proof) = text.rsplit_once('.')?;
        self.mac("sign-in", text).verify_slice(&hex::decode(proof).ok()?).ok()?;
        let mut parts = text.split('.');
        let begun = Timestamp::from_second(parts.next()?.parse().ok()?).ok()?;
        let age = now.duration_since(begun);
        let next = (parts.next()? == state).then_some(parts.next()?)?;
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        let is_good = age <= LIFETIME && age >= -LIFETIME;
        is_good.then(|| self.pending(state.to_owned(), &next))
    }

    fn pending(&self, state: String, next: &str) -> Pending {
        let of = |what: &str| hex::encode(self.mac(what, &state).finalize().into_bytes());
        let (nonce, verifier) = (of("nonce"), of("verifier"));
        Pending { nonce, verifier, state, next: next.to_owned() }
    }

    fn mac(&self, what: &str, text: &str) -> Hmac<Sha256> {
        // A shorter key is filled up with zeros, as HMAC itself does.
        let mut key = [0; 64];
        key[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(what.as_bytes());
        mac.update(b":");
        mac.update(text.as_bytes());
        mac
    }
}

impl Pending {
    /// Where somebody wanted to go.
    #[must_use]
    pub fn next(&self) -> &str {
        &self.next
    }

    /// What no other sign-in has.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seal(not shown)")
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pending").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_sign_in_is_good_for_ten_minutes_and_in_one_browser() {
        let seal = Seal::new([7; 32]);
        let (begun, text) = seal.begin(&[1; 32], at(0), "/console/orders/1?a=b");
        let state = begun.state().to_owned();
        for seconds in [0, 600, -30] {
            assert_eq!(seal.open(&text, &state, at(seconds)), Some(begun.clone()), "{seconds}");
        }
        assert_eq!(begun.next(), "/console/orders/1?a=b");
        assert_eq!(seal.open(&text, &state, at(601)), None, "too late");
        let (_, other) = seal.begin(&[2; 32], at(0), "/console");
        assert_eq!(seal.open(&other, &state, at(0)), None, "another browser's");
        assert_eq!(seal.open(&text, "", at(0)), None);
        assert_eq!(Seal::new([8; 32]).open(&text, &state, at(0)), None, "another server's");
    }

    #[test]
    fn nobody_makes_or_changes_one() {
        let seal = Seal::new([7; 32]);
        let (begun, text) = seal.begin(&[1; 32], at(0), "/console");
        let moved =
            text.replace(&URL_SAFE_NO_PAD.encode("/console"), &URL_SAFE_NO_PAD.encode("//evil"));
        let later = text.replacen("1800000000", "1800000500", 1);
        for wrong in
            [moved, later, String::new(), "....".into(), "x".repeat(5000), format!("{text}0")]
        {
            assert_ne!(wrong, text);
            assert_eq!(seal.open(&wrong, begun.state(), at(0)), None, "{wrong}");
        }
    }

    #[test]
    fn what_proves_a_sign_in_is_neither_in_the_browser_nor_in_a_log() {
        let (begun, text) = Seal::new([7; 32]).begin(&[1; 32], at(0), "/console");
        assert!(begun.verifier.len() == 64 && begun.nonce != begun.verifier);
        for secret in [&begun.verifier, &begun.nonce] {
            assert!(!text.contains(secret.as_str()));
            assert!(!format!("{begun:?} {:?}", Seal::new([7; 32])).contains(secret.as_str()));
        }
    }
}
