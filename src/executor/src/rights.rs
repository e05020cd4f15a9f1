//! Says what an executor lacks on its cluster and what it has too much, beside all work:
//! nothing waits for it, and nothing ends by it.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::Executor;
use cluster::ClusterError;

/// Pause until an API server is asked again that did not answer; doubles up to the longest.
const ASK_AGAIN: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Time after which rights are looked at anew: somebody may have changed them.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// Texts that are handed on.
const MOST_WARNINGS: usize = 10;

impl Executor {
    /// Looks at the rights, now and then.
    pub(super) async fn review_rights(self: Arc<Self>) {
        let mut unanswered = ASK_AGAIN;
        loop {
            let pause = match self.cluster.review_rights().await {
                Ok(review) => {
                    let told = review.told();
                    for note in &told.notes {
                        tracing::info!("{note}");
                    }
                    self.keep_warnings(
                        told.warnings.into_iter().chain(self.not_served().await).collect(),
                    );
                    LOOK_AGAIN
                }
                // It has no such question, as the simulated one.
                Err(ClusterError::Gone) => {
                    self.keep_warnings(self.not_served().await.into_iter().collect());
                    LOOK_AGAIN
                }
                Err(error) => {
                    tracing::debug!(%error, "the rights on the cluster cannot be asked for");
                    let pause = unanswered;
                    unanswered = (unanswered * 2).min(LONGEST_PAUSE);
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// What the next heartbeats say.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut all = self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (namespace, why) in self.cluster.unseen() {
            let why: String = why.chars().take(300).collect();
            all.push(format!(
                "the namespace {namespace} cannot be seen, and no order is carried out there: {why}"
            ));
        }
        all.truncate(MOST_WARNINGS);
        all
    }

    /// Keeps and logs what was not known before.
    fn keep_warnings(&self, now: Vec<String>) {
        let mut known = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in now.iter().filter(|it| !known.contains(it)) {
            tracing::warn!("{warning}");
        }
        *known = now;
        drop(known);
        self.stand_changed.notify_one();
    }

    /// That there are applications outside of the namespaces that are named.
    async fn not_served(&self) -> Option<String> {
        let names = self.cluster.scope().names()?;
        let (count, some) = match self.store.not_served(&self.settings.cluster, names).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "applications elsewhere cannot be counted");
                return None;
            }
        };
        (count > 0).then(|| {
            format!(
                "applications in namespaces that --namespaces does not name are left alone: {count}, in {}",
                some.join(", ")
            )
        })
    }
}
