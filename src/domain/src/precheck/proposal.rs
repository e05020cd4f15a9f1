//! A release that a precheck request asks about.
//!
//! It becomes an [`Order`] that is never written to the database, so that the code that
//! carries out releases also decides what this one would do. Plain data; it travels from the
//! service to an executor through the database.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ApplicationId, BatchId, ClusterId, OrderId,
    order::{
        Batch, DeploymentBefore, Kind, Order, State, Step, Target, TemplateSource, hands::Hands,
        outage::OutageClock, plan::Strategy,
    },
    template::container::{Known, container_of},
};

/// A release that is asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The application; of one that does not exist yet, the id it would have.
    pub application: ApplicationId,
    pub cluster: ClusterId,
    pub namespace: String,
    pub name: String,
    pub kind: Kind,
    /// How its batches follow each other.
    pub strategy: Strategy,
    pub target: Target,
    /// The Deployment before it, where an earlier order left it half way.
    pub snapshot: Option<DeploymentBefore>,
    /// Whether old pods may go before new ones came, where there is no room for both.
    pub allows_no_surge: bool,
    /// Seconds that a batch of this application took lately; none = it had none.
    pub batch_seconds: Option<i64>,
}

impl Proposal {
    /// The application's container in `template`; none where it is in doubt which one it is.
    #[must_use]
    pub fn container_of<'a>(&self, template: &'a Value) -> Option<&'a Map<String, Value>> {
        let known = match &self.target.source {
            TemplateSource::Change(change) => &change.container,
            TemplateSource::Exact(_) | TemplateSource::Unchanged | TemplateSource::Renewed(_) => {
                &Known::Nothing
            }
        };
        container_of(template, known, &self.name)
    }

    /// The order that it would be, nothing of it done, when the Deployment is to
    /// have `replicas` pods.
    #[must_use]
    pub fn order(&self, replicas: i32) -> Order {
        let batch = |index| Batch {
            id: BatchId::new(),
            state: State::Ready,
            target: self.strategy.cumulative(index, replicas),
            started_at: None,
        };
        Order {
            hands: Hands::default(),
            goes_on: false,
            id: OrderId::new(),
            application: self.application,
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            kind: self.kind,
            state: State::Ready,
            step: Step::Start,
            batch: 0,
            strategy: self.strategy,
            batches: (0..self.strategy.count()).map(batch).collect(),
            confirmed: 1,
            back_to: None,
            target: self.target.clone(),
            snapshot: self.snapshot.clone(),
            intent: None,
            template: None,
            finalizing: false,
            trouble: String::new(),
            rolls_back: None,
            // Long ago: nothing is waited for.
            created_at: Timestamp::UNIX_EPOCH,
            step_since: Timestamp::UNIX_EPOCH,
            outages: OutageClock::default(),
            hold: None,
        }
    }
}
