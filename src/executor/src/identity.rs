//! Checks that the cluster that answers is the one on record under this program's id.
//!
//! The check comes before any work, and repeats: the kubeconfig may name another cluster,
//! another one may answer at the address by now, or an operator may have recorded another
//! one. The executor never works on a cluster that is not on record.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::Executor;
use domain::{ClusterId, ClusterIdentity, KnownCluster};
use store::{Recorded, Store, StoreError};

/// Time between two checks of the identity, while it is known: the check is also how an API
/// server is noticed that does not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The same while it is not known.
const LOOK_SOON: Duration = Duration::from_millis(500);

/// More seconds than pass between two heartbeats of an executor.
const SILENCE_SECONDS: f64 = 7.0;

/// Time for which nothing is seen from when on it is taken into account.
const NOTICED: SignedDuration = SignedDuration::from_secs(2);

/// When nothing of the cluster could be seen.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    /// Since when nothing can; none = it is seen.
    since: Option<Timestamp>,
    /// When that was over the last time.
    until: Option<Timestamp>,
}

/// How an executor stands to its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The identity is not known yet: why.
    Unseen(String),
    /// The cluster is the one on record.
    Known(KnownCluster),
    /// The cluster is not the one that work may be done on: both identities, and what
    /// to do.
    Other(String),
}

impl Standing {
    /// The cluster that work may be done on.
    #[must_use]
    pub fn known(&self) -> Option<&KnownCluster> {
        match self {
            Self::Known(known) => Some(known),
            Self::Unseen(_) | Self::Other(_) => None,
        }
    }
}

impl Executor {
    /// Asks which cluster it is, and what is on record of it. What was known before
    /// stays where one of the two does not answer.
    pub async fn identify(&self) -> Standing {
        let found = match self.cluster.identify().await {
            Err(error) => Err(error.to_string()),
            Ok(seen) => match self.store.record_identity(&self.settings.cluster, &seen).await {
                Err(error) => Err(error.to_string()),
                Ok(recorded) => Ok(standing_of(&self.settings.cluster, &seen, recorded)),
            },
        };
        let before = self.standing.borrow().clone();
        let now = match (found, &before) {
            (Ok(found), _) => found,
            (Err(why), Standing::Unseen(_)) => Standing::Unseen(why),
            (Err(_), Standing::Known(_) | Standing::Other(_)) => before.clone(),
        };
        if now.known() != before.known() {
            self.cluster.trust(None);
        }
        if now != before {
            match &now {
                Standing::Known(known) => {
                    tracing::info!(cluster = %known.id, identity = %known.identity, "the cluster is known")
                }
                Standing::Unseen(why) => tracing::warn!(
                    why,
                    "the cluster's identity cannot be seen; nothing is done on it until it is"
                ),
                Standing::Other(why) => tracing::error!("{why}"),
            }
            self.standing.send_replace(now.clone());
        }
        // Who is woken by this finds out what is known.
        self.cluster.trust(now.known().map(|known| &known.identity));
        self.note_sight();
        now
    }

    /// Notes whether anything of the cluster can be seen.
    pub(super) fn note_sight(&self) {
        let is_blind = self.cluster.blindness().is_some();
        let now = self.clock.now();
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match (is_blind, unseen.since) {
            (true, None) => {
                unseen.since = Some(now);
                true
            }
            (false, Some(since)) => {
                if now.duration_since(since) >= NOTICED {
                    unseen.until = Some(now);
                }
                unseen.since = None;
                true
            }
            _ => false,
        };
        if changed {
            self.stand_changed.notify_one();
        }
    }

    /// Whether the cluster is seen, and has been for so many seconds since nothing was: what
    /// happened meanwhile may not be reported yet.
    pub(super) fn sees_for(&self, seconds: i64) -> bool {
        let unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = unseen.until.is_none_or(|until| {
            self.clock.now().duration_since(until) >= SignedDuration::from_secs(seconds)
        });
        self.cluster.is_reachable() && is_over
    }

    /// Repeats the check for ever.
    pub(super) async fn keep_identity(self: Arc<Self>) {
        loop {
            let pause =
                if self.identify().await.known().is_some() { LOOK_AGAIN } else { LOOK_SOON };
            tokio::select! {
                () = self.cluster.identity_doubted() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The cluster, where work may be done on it.
    pub(super) fn known(&self) -> Option<KnownCluster> {
        self.standing.borrow().known().cloned()
    }

    /// Why nothing can be done on the cluster now.
    pub(super) fn trouble(&self) -> String {
        match &*self.standing.borrow() {
            Standing::Other(why) => why.clone(),
            Standing::Unseen(why) => {
                format!("no executor reaches the cluster: its identity is not seen yet: {why}")
            }
            Standing::Known(_) => {
                let why = self.cluster.blindness().map(|(_, why)| why).unwrap_or_default();
                format!("no executor reaches the cluster: {why}")
            }
        }
    }
}

fn standing_of(id: &ClusterId, seen: &ClusterIdentity, recorded: Recorded) -> Standing {
    match recorded {
        Recorded::Known(known) => Standing::Known(known),
        Recorded::Other(recorded) => Standing::Other(format!(
            "the cluster that answers is not the cluster {id}: its identity, the UID of its namespace kube-system, is {seen}, and that of {id} is {recorded}. \
             Nothing is done on it. Start with the kubeconfig of {id}, or give this cluster an id of its own (--cluster-id). \
             If it takes the place of {id}, since that was built anew: `sluice cluster replace --cluster-id {id} --identity {seen}`"
        )),
        Recorded::Named(other) => Standing::Other(format!(
            "the cluster that answers, with the identity {seen} (the UID of its namespace kube-system), is known as the cluster {other} already, and cannot be {id} too. \
             Nothing is done on it. Start with --cluster-id {other}, or with the kubeconfig of another cluster"
        )),
    }
}

/// Puts a cluster on record that lives in this program's memory, in place of one that
/// ended with the program before it; what was still to be done on that one ends with it.
/// One that another program still drives stays, and so does a real one: this one is then
/// found to be another.
///
/// # Errors
/// [`StoreError::Sql`], or [`StoreError::Corrupt`].
pub async fn succeed(
    store: &Store,
    id: &ClusterId,
    identity: &ClusterIdentity,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(before) = store
        .identity(id)
        .await?
        .filter(|before| before.as_str().starts_with(domain::cluster::SIMULATED))
    else {
        return Ok(());
    };
    let mut last = f64::INFINITY;
    while let Some(silence) = store.silence(id).await?.filter(|silence| *silence < SILENCE_SECONDS)
    {
        if silence < last && last.is_finite() {
            return Ok(());
        }
        last = silence;
        tokio::time::sleep(LOOK_SOON).await;
    }
    let mut tx = store.begin().await?;
    if tx.lock_identity(id).await?.flatten() == Some(before) {
        tx.let_go(id, "the simulated cluster ended with the program that it lived in", now).await?;
        tx.replace_identity(id, identity).await?;
        tx.commit().await?;
    }
    Ok(())
}
