//! Answers the service's precheck requests and cluster queries, and claims object writes.
//!
//! The service has no access to the cluster. The executor reads it for the service: what
//! an application shows, what the first change of a release would be, and whether the
//! objects that it needs exist. Only reads and dry runs; [`super::object_write`] does the
//! writes.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::Executor;
use cluster::Key;
use domain::{
    KnownCluster,
    order::Order,
    precheck::{self, PrecheckReport, Subject, proposal::Proposal},
};
use store::{ClusterQuery, PrecheckRequestId, StoreError};

/// Requests of a kind that are answered at once.
const AT_ONCE: usize = 16;

/// Longest sleep between two searches for requests, should no wake-up arrive.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The requests of each kind that are being answered.
#[derive(Default)]
struct Answering {
    prechecks: JoinSet<()>,
    queries: JoinSet<()>,
    writes: JoinSet<()>,
}

impl Answering {
    fn forget_ended(&mut self) {
        for kind in [&mut self.prechecks, &mut self.queries, &mut self.writes] {
            while kind.try_join_next().is_some() {}
        }
    }
}

impl Executor {
    /// Answers requests, for ever.
    pub(super) async fn answer_requests(self: Arc<Self>) {
        let mut answering = Answering::default();
        loop {
            let asked = self.asked.notified();
            answering.forget_ended();
            if self.cluster.is_reachable()
                && let Some(cluster) = self.known()
                && let Err(error) = self.claim(&cluster, &mut answering).await
            {
                tracing::warn!(%error, "could not look for requests");
            }
            tokio::select! {
                () = asked => {}
                Some(_) = answering.prechecks.join_next(), if answering.prechecks.len() >= AT_ONCE => {}
                Some(_) = answering.queries.join_next(), if answering.queries.len() >= AT_ONCE => {}
                Some(_) = answering.writes.join_next(), if answering.writes.len() >= AT_ONCE => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Claims open requests, of each kind until there is none or enough are answered. Each is
    /// begun before the next one is claimed, which may fail.
    async fn claim(
        self: &Arc<Self>,
        cluster: &KnownCluster,
        answering: &mut Answering,
    ) -> Result<(), StoreError> {
        let most = AT_ONCE - answering.prechecks.len();
        if most > 0 {
            for claimed in self.store.claim_precheck_requests(cluster, most).await? {
                match claimed {
                    Ok((id, proposal)) => {
                        answering.prechecks.spawn(self.clone().answer(id, proposal));
                    }
                    Err(error) => tracing::warn!(%error, "a precheck request cannot be read"),
                }
            }
        }
        while answering.queries.len() < AT_ONCE
            && let Some(query) = self.store.claim_cluster_query(cluster).await?
        {
            answering.queries.spawn(self.clone().answer_query(query));
        }
        while answering.writes.len() < AT_ONCE
            && let Some(object_write) =
                self.store.claim_object_write(cluster, self.cluster.scope()).await?
        {
            answering.writes.spawn(self.clone().run_object_write(object_write));
        }
        Ok(())
    }

    async fn answer_query(self: Arc<Self>, query: ClusterQuery) {
        let key = Key { namespace: query.namespace, name: query.name };
        let seen = self.cluster.query(&key, query.kind).await.map_err(|error| error.to_string());
        if let Err(error) = self.store.answer_cluster_query(query.id, &seen).await {
            tracing::warn!(%error, "the answer to a query could not be recorded");
        }
    }

    async fn answer(self: Arc<Self>, id: PrecheckRequestId, proposal: Proposal) {
        let Some(report) = self.evaluate_with_room(proposal).await else { return };
        if let Err(error) = self.store.answer_precheck_request(id, &report, self.clock.now()).await
        {
            tracing::warn!(%error, "a precheck request could not be answered");
        }
    }

    /// The report on a release; of one for which old pods may go first, and must, on that.
    async fn evaluate_with_room(&self, mut proposal: Proposal) -> Option<PrecheckReport> {
        let report = self.evaluate(&proposal).await?;
        if !report.lacks_room || !proposal.allows_no_surge {
            return Some(report);
        }
        proposal.target.max_unavailable =
            proposal.strategy.max_unavailable(report.plan.as_ref().map_or(1, |plan| plan.replicas));
        Some(self.evaluate(&proposal).await.unwrap_or(report))
    }

    /// How many pods of an order that is about to begin may be missing at once; none while
    /// the cluster does not show enough.
    pub(super) async fn max_unavailable_of(&self, order: &Order) -> Option<i32> {
        let proposal = Proposal {
            application: order.application,
            cluster: order.cluster.clone(),
            namespace: order.namespace.clone(),
            name: order.name.clone(),
            kind: order.kind,
            strategy: order.strategy,
            target: order.target.clone(),
            snapshot: order.snapshot.clone(),
            allows_no_surge: true,
            batch_seconds: None,
        };
        let report = self.evaluate_with_room(proposal).await?;
        Some(report.plan.map_or(0, |plan| plan.max_unavailable))
    }

    /// None while the cluster does not show enough.
    async fn evaluate(&self, proposal: &Proposal) -> Option<PrecheckReport> {
        if let Some(why) = self.cluster.scope().refusal(&proposal.namespace) {
            return Some(PrecheckReport::refused(Subject::Deployment, why));
        }
        let key = Key { namespace: proposal.namespace.clone(), name: proposal.name.clone() };
        let observation = self.cluster.observe(&key);
        let first = precheck::first_change(proposal, &observation, self.clock.now())?;
        let evidence = self.cluster.gather(&key, proposal.application, &first).await;
        Some(precheck::evaluate(proposal, &first, &observation, &evidence))
    }
}
