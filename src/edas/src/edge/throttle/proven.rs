//! The access keys that were proven lately, with their secrets.
//!
//! Many clients share one address, and one of them may be a stranger who sends too
//! much or guesses keys. With a secret that is at hand it costs no look into the
//! database to see that a request is a known client's, and none of the limits that
//! strangers have concerns it. Only keys that exist get in here, so there are not more
//! of them. Whether a key is still enabled is judged each time by what the service knows.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};

/// How long a key is remembered after it was last proven.
const KEPT: Duration = Duration::from_secs(3600);

/// Keys that were proven lately.
#[derive(Debug, Default)]
pub(in crate::edge::throttle) struct ProvenKeys(Mutex<HashMap<String, Proven>>);

#[derive(Debug)]
struct Proven {
    secret: SecretString,
    last: Instant,
}

impl ProvenKeys {
    /// The secret of the key `id`, if it was proven lately.
    pub(in crate::edge::throttle) fn secret(&self, id: &str) -> Option<SecretString> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(id).filter(|key| key.last.elapsed() < KEPT).map(|key| key.secret.clone())
    }

    /// The key `id` was proven with `secret` just now.
    pub(in crate::edge::throttle) fn remember(&self, id: &str, secret: &SecretString) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match keys.get_mut(id) {
            Some(key) if key.secret.expose_secret() == secret.expose_secret() => {
                key.last = Instant::now()
            }
            _ => {
                keys.retain(|_, key| key.last.elapsed() < KEPT);
                keys.insert(id.to_owned(), Proven { secret: secret.clone(), last: Instant::now() });
            }
        }
    }

    /// The key `id` is not valid any more.
    pub(in crate::edge::throttle) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_with_its_newest_secret_until_it_is_not_valid_any_more() {
        let keys = ProvenKeys::default();
        let secret = |id: &str| keys.secret(id).map(|secret| secret.expose_secret().to_owned());
        assert_eq!(secret("a"), None);
        keys.remember("a", &"old".into());
        keys.remember("b", &"other".into());
        keys.remember("a", &"new".into());
        assert_eq!((secret("a").as_deref(), secret("b").as_deref()), (Some("new"), Some("other")));
        keys.forget("a");
        assert_eq!((secret("a"), secret("b").as_deref()), (None, Some("other")));
        assert!(!format!("{keys:?}").contains("other"), "no secret gets into a log");
    }
}
