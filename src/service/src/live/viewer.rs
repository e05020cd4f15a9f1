//! Who follows orders: how many may, and that they stop once they may not any more.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Hub;
use crate::{Error, Service};

/// Most who may follow orders in this program at once.
pub const MOST_WATCHES: usize = 3000;

/// Most of them with one access key, whatever their sessions.
pub const MOST_OF_KEY: usize = 1000;

/// Most of them in one session: a person has some pages open.
pub const MOST_OF_SESSION: usize = 8;

/// Time between two looks at whether those who follow orders still may.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// For whom an order is followed. It ends when the session or the access key does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Viewer {
    /// The access key.
    pub key_id: String,
    /// The session at the console; none where requests are signed.
    pub session: Option<Uuid>,
}

/// The places of a viewer.
#[derive(Debug, Default)]
struct Taken {
    count: usize,
    shut_out: CancellationToken,
}

/// All who follow orders.
#[derive(Debug, Default)]
pub(super) struct Viewers(BTreeMap<Viewer, Taken>);

impl Viewers {
    fn count(&self) -> usize {
        self.0.values().map(|it| it.count).sum()
    }

    fn of_key(&self, key_id: &str) -> usize {
        let first = Viewer { key_id: key_id.to_owned(), session: None };
        let of_key = self.0.range(first..).take_while(|(it, _)| it.key_id == key_id);
        of_key.map(|(_, taken)| taken.count).sum()
    }

    /// Takes a place, and says what ends it; none where there is none left.
    fn take(&mut self, viewer: &Viewer) -> Option<CancellationToken> {
        let is_full = self.count() >= MOST_WATCHES || self.of_key(&viewer.key_id) >= MOST_OF_KEY;
        let of_session = viewer.session.and_then(|_| self.0.get(viewer)).map_or(0, |it| it.count);
        if is_full || of_session >= MOST_OF_SESSION {
            return None;
        }
        let taken = self.0.entry(viewer.clone()).or_default();
        taken.count += 1;
        Some(taken.shut_out.clone())
    }

    fn leave(&mut self, viewer: &Viewer, shut_out: &CancellationToken) {
        // Whoever was shut out has no place any more, though another may have come since.
        if let Entry::Occupied(mut taken) = self.0.entry(viewer.clone())
            && !shut_out.is_cancelled()
        {
            taken.get_mut().count -= 1;
            if taken.get().count == 0 {
                taken.remove();
            }
        }
    }

    /// Ends what those follow who are not among the good ones.
    fn keep(&mut self, is_good: impl Fn(&Viewer) -> bool) {
        self.0.retain(|viewer, taken| {
            let stays = is_good(viewer);
            if !stays {
                taken.shut_out.cancel();
            }
            stays
        });
    }
}

/// A viewer's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    hub: Arc<Hub>,
    viewer: Viewer,
    /// Cancelled once the viewer may not follow orders any more.
    pub(super) shut_out: CancellationToken,
}

impl Place {
    /// A place; none where there is none left.
    pub(super) fn take(hub: &Arc<Hub>, viewer: &Viewer) -> Option<Self> {
        let shut_out = hub.viewers().take(viewer)?;
        Some(Self { hub: hub.clone(), viewer: viewer.clone(), shut_out })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.viewers().leave(&self.viewer, &self.shut_out);
    }
}

impl Service {
    /// Looks again and again at whether those who follow orders still may: all of them at
    /// once, and none where nobody does.
    pub(super) async fn look_at_viewers(&self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if let Err(error) = self.shut_out_viewers().await {
                tracing::warn!(%error, "whether keys and sessions hold cannot be read");
            }
        }
    }

    async fn shut_out_viewers(&self) -> Result<(), Error> {
        let seen: Vec<Viewer> = self.hub.viewers().0.keys().cloned().collect();
        if seen.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = seen.iter().map(|it| it.key_id.clone()).collect();
        let sessions: Vec<Uuid> = seen.iter().filter_map(|it| it.session).collect();
        let keys = self.store.enabled_keys(&keys, self.clock.now()).await?;
        let sessions = if sessions.is_empty() {
            sessions
        } else {
            self.store.sessions_that_hold(&sessions, self.good_sessions()).await?
        };
        // Whoever came meanwhile is looked at the next time.
        self.hub.viewers().keep(|viewer| {
            seen.binary_search(viewer).is_err()
                || keys.contains(&viewer.key_id)
                    && viewer.session.is_none_or(|session| sessions.contains(&session))
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(key_id: &str, session: Option<u128>) -> Viewer {
        Viewer { key_id: key_id.into(), session: session.map(Uuid::from_u128) }
    }

    #[test]
    fn no_key_and_no_session_takes_the_places_of_others() {
        let mut viewers = Viewers::default();
        let sessions = (0..125).flat_map(|number| [number; MOST_OF_SESSION]);
        let mut taken = 0;
        for session in sessions {
            taken += usize::from(viewers.take(&viewer("a", Some(session))).is_some());
            if taken < MOST_OF_KEY && taken % MOST_OF_SESSION == 0 {
                assert!(viewers.take(&viewer("a", Some(session))).is_none(), "{session}");
            }
        }
        assert_eq!(taken, MOST_OF_KEY);
        assert!(viewers.take(&viewer("a", None)).is_none());
        assert!(viewers.take(&viewer("a", Some(500))).is_none());
        let others = ["aa", "b"].into_iter().flat_map(|key| [key; MOST_OF_KEY]);
        let tokens: Vec<_> = others.map(|key| viewers.take(&viewer(key, None)).unwrap()).collect();
        assert!(viewers.take(&viewer("c", None)).is_none(), "all places are taken");
        viewers.leave(&viewer("b", None), &tokens[MOST_OF_KEY]);
        assert!(viewers.take(&viewer("c", None)).is_some());
    }

    #[test]
    fn whoever_is_shut_out_gives_back_no_place_of_whoever_came_after() {
        let mut viewers = Viewers::default();
        let (one, other) = (viewer("a", Some(1)), viewer("a", None));
        let first = viewers.take(&one).unwrap();
        let stays = viewers.take(&other).unwrap();
        viewers.keep(|it| it.session.is_none());
        assert!(first.is_cancelled() && !stays.is_cancelled());
        let again = viewers.take(&one).unwrap();
        viewers.leave(&one, &first);
        assert_eq!(viewers.of_key("a"), 2);
        viewers.leave(&one, &again);
        viewers.leave(&other, &stays);
        assert_eq!((viewers.count(), viewers.0.len()), (0, 0));
    }
}
