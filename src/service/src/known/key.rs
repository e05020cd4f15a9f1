//! The access keys that were read lately, with what is granted to their principals.
//!
//! All of them hold as long as the version of access in the database is the same. Only keys
//! that exist get in here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Found, GOOD_FOR, WANTED};
use store::KeyRow;

/// Most keys that are known at once.
const MOST: usize = 1000;

/// A key is read again after this time, whether anything changed or not.
const KEPT: Duration = Duration::from_secs(60);

/// Keys that were read lately. Their secrets are not shown in a log.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    /// With the time at which each was read.
    keys: HashMap<String, (Arc<KeyRow>, Instant)>,
    /// The version of access under which they were read.
    version: Option<Uuid>,
    /// When the database said that this is the version; none = nobody looks.
    good_at: Option<Instant>,
    /// Another number each time all were forgotten: what was read before is not remembered.
    round: u64,
    /// When any was asked for last.
    asked: Option<Instant>,
}

impl KnownKeys {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a key.
    pub(crate) fn find(&self, id: &str, now: Instant) -> Found<Arc<KeyRow>> {
        let mut keys = self.keys();
        keys.asked = Some(now);
        let Some(good_at) = keys.good_at.filter(|at| now.duration_since(*at) < GOOD_FOR) else {
            return Found::Unknown(None);
        };
        match keys.keys.get(id).filter(|(_, read)| now.duration_since(*read) < KEPT) {
            Some((row, read)) => Found::Known(row.clone(), good_at.max(*read)),
            None => Found::Unknown(Some(keys.round)),
        }
    }

    /// A key was read, by whoever was told this number.
    pub(crate) fn remember(&self, id: &str, row: &Arc<KeyRow>, number: u64, now: Instant) {
        let mut keys = self.keys();
        if keys.round != number {
            return;
        }
        if keys.keys.len() >= MOST {
            keys.keys.retain(|_, (_, read)| now.duration_since(*read) < KEPT);
        }
        if keys.keys.len() < MOST {
            keys.keys.insert(id.to_owned(), (row.clone(), now));
        }
    }

    /// A key was noted to be in use.
    pub(crate) fn note_use(&self, id: &str, at: Timestamp) {
        if let Some((row, _)) = self.keys().keys.get_mut(id) {
            Arc::make_mut(row).last_used_at = Some(at);
        }
    }

    /// The database said that this is the version of access, when it was asked at `at`.
    pub(super) fn looked(&self, version: Uuid, at: Instant) {
        let mut keys = self.keys();
        if keys.version.replace(version) != Some(version) {
            keys.forget();
        }
        keys.good_at = Some(at);
    }

    /// Something changed of who may do what.
    pub(crate) fn forget(&self) {
        self.keys().forget();
    }

    pub(super) fn are_wanted(&self, now: Instant) -> bool {
        self.keys().asked.is_some_and(|at| now.duration_since(at) < WANTED)
    }

    pub(super) fn end(&self) {
        let mut keys = self.keys();
        keys.forget();
        keys.good_at = None;
    }
}

impl Keys {
    fn forget(&mut self) {
        self.keys.clear();
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Arc<KeyRow> {
        Arc::new(KeyRow {
            name: name.into(),
            secret: "not to be shown".into(),
            enabled: true,
            expires_at: None,
            last_used_at: None,
            schemes: Vec::new(),
            networks: Vec::new(),
            grants: Arc::default(),
        })
    }

    fn known(keys: &KnownKeys, id: &str, now: Instant) -> Option<String> {
        match keys.find(id, now) {
            Found::Known(row, at) => {
                assert!(now.duration_since(at) < GOOD_FOR);
                Some(row.name.clone())
            }
            Found::Unknown(_) => None,
        }
    }

    fn number(keys: &KnownKeys, now: Instant) -> Option<u64> {
        match keys.find("nobody", now) {
            Found::Unknown(number) => number,
            Found::Known(row, _) => panic!("{}", row.name),
        }
    }

    #[test]
    fn a_key_is_known_only_while_the_database_confirms_it() {
        let (keys, begin) = (KnownKeys::default(), Instant::now());
        let after = |milliseconds| begin + Duration::from_millis(milliseconds);
        assert_eq!(number(&keys, begin), None, "nobody looks");
        keys.looked(Uuid::from_u128(1), begin);
        keys.remember("a", &row("ci"), number(&keys, begin).unwrap(), begin);
        assert_eq!(known(&keys, "a", after(999)).as_deref(), Some("ci"));
        assert_eq!(known(&keys, "a", after(1000)), None, "the database may be away");
        keys.looked(Uuid::from_u128(1), after(1500));
        assert_eq!(known(&keys, "a", after(1600)).as_deref(), Some("ci"), "nothing changed");
        keys.looked(Uuid::from_u128(2), after(2000));
        assert_eq!(known(&keys, "a", after(2000)), None);
        keys.end();
        assert_eq!(number(&keys, after(2000)), None);
        assert!(!format!("{keys:?}").contains("shown"), "no secret gets into a log");
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let (keys, now) = (KnownKeys::default(), Instant::now());
        keys.looked(Uuid::from_u128(1), now);
        let number_before = number(&keys, now).unwrap();
        keys.forget();
        keys.remember("a", &row("ci"), number_before, now);
        assert_eq!(known(&keys, "a", now), None);
    }

    #[test]
    fn keys_are_read_again_in_the_end_and_are_not_too_many() {
        let (keys, begin) = (KnownKeys::default(), Instant::now());
        keys.looked(Uuid::from_u128(1), begin);
        for id in 0..2 * MOST {
            keys.remember(&id.to_string(), &row("ci"), number(&keys, begin).unwrap(), begin);
        }
        assert_eq!(keys.keys().keys.len(), MOST);
        keys.looked(Uuid::from_u128(1), begin + KEPT);
        assert_eq!(known(&keys, "0", begin + KEPT), None);
        let number = number(&keys, begin + KEPT).unwrap();
        keys.remember("new", &row("ci"), number, begin + KEPT);
        assert_eq!(keys.keys().keys.len(), 1, "others made room");
    }
}
