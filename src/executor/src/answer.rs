//! Answering what the service asks: about releases that are not ordered yet, and
//! what is to be seen of an application.
//!
//! The service cannot look at the cluster; an executor that can does it for it:
//! what would be done first, and whether what that stands on is there. Reads and
//! dry runs only; what is to be written is taken up here and done in [`super::errand`].

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::Executor;
use cluster::Key;
use domain::{
    KnownCluster,
    precheck::{self, Report},
    proposal::Proposal,
};
use store::{InquiryId, Sighting, StoreError};

/// Inquiries answered at once.
const AT_ONCE: usize = 16;

/// Longest sleep between two looks for inquiries, should no wake-up arrive.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Executor {
    /// Answers inquiries, for ever.
    pub(super) async fn answer_inquiries(self: Arc<Self>) {
        let mut running = JoinSet::new();
        loop {
            let asked = self.asked.notified();
            while running.len() < AT_ONCE
                && self.cluster.is_reachable()
                && let Some(cluster) = self.known()
            {
                match self.claim(&cluster, &mut running).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(%error, "could not look for inquiries");
                        break;
                    }
                }
            }
            tokio::select! {
                () = asked => {}
                Some(_) = running.join_next(), if !running.is_empty() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Takes up what is asked, one of each kind; false = nothing is.
    async fn claim(self: &Arc<Self>, cluster: &KnownCluster, running: &mut JoinSet<()>) -> Result<bool, StoreError> {
        let inquiry = self.store.claim_inquiry(cluster).await?;
        let sighting = self.store.claim_sighting(cluster).await?;
        let errand = self.store.claim_errand(cluster).await?;
        let any = inquiry.is_some() || sighting.is_some() || errand.is_some();
        if let Some((id, proposal)) = inquiry {
            running.spawn(self.clone().answer(id, proposal));
        }
        if let Some(sighting) = sighting {
            running.spawn(self.clone().look(sighting));
        }
        if let Some(errand) = errand {
            running.spawn(self.clone().run_errand(errand));
        }
        Ok(any)
    }

    async fn look(self: Arc<Self>, sighting: Sighting) {
        let key = Key { namespace: sighting.namespace, name: sighting.name };
        let seen = self.cluster.look(&key, sighting.wanted).await.map_err(|error| error.to_string());
        if let Err(error) = self.store.answer_sighting(sighting.id, &seen).await {
            tracing::warn!(%error, "what was looked for could not be told");
        }
    }

    async fn answer(self: Arc<Self>, id: InquiryId, mut proposal: Proposal) {
        let Some(mut report) = self.judge(&proposal).await else { return };
        if report.lacks_room && proposal.allows_no_surge {
            proposal.target.most_missing = proposal.strategy.most_missing(report.plan.as_ref().map_or(1, |plan| plan.replicas));
            if let Some(without_surge) = self.judge(&proposal).await {
                report = without_surge;
            }
        }
        if let Err(error) = self.store.answer_inquiry(id, &report, self.clock.now()).await {
            tracing::warn!(%error, "an inquiry could not be answered");
        }
    }

    /// None while the cluster does not show enough.
    async fn judge(&self, proposal: &Proposal) -> Option<Report> {
        let key = Key { namespace: proposal.namespace.clone(), name: proposal.name.clone() };
        let observation = self.cluster.observe(&key);
        let look = precheck::look(proposal, &observation, self.clock.now())?;
        let evidence = self.cluster.gather(&key, proposal.application, &look).await;
        Some(precheck::judge(proposal, &look, &observation, &evidence))
    }
}
