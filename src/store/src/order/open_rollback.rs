//! Opens the order that rolls another one back.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{NewOrder, guarded::beyond_guardrails};
use crate::{Event, StoreError, Tx};
use domain::{
    ApplicationId, OrderId, ReleaseId,
    order::{DeploymentBefore, Kind, Order, Target, TemplateSource, plan::Strategy},
    template::spec::release_of,
};

impl Tx {
    /// The version of the history that a Deployment had, by its template's annotation.
    async fn release_of(
        &mut self,
        application: ApplicationId,
        snapshot: Option<&DeploymentBefore>,
    ) -> Result<Option<ReleaseId>, StoreError> {
        let Some(named) = snapshot.and_then(|snapshot| release_of(&snapshot.template)) else {
            return Ok(None);
        };
        let row = sqlx::query!(
            "/* known_release */ SELECT id FROM release WHERE id = $1 AND application_id = $2 AND released_at IS NOT NULL",
            named.0,
            application.0
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| ReleaseId(row.id)))
    }

    /// Opens the order that rolls `order` back; that one must have ended in this
    /// transaction.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn open_rollback(
        &mut self,
        order: &Order,
        actor: &str,
        source: domain::Source,
        now: Timestamp,
    ) -> Result<OrderId, StoreError> {
        let id = OrderId::new();
        // What it left behind is known where it wrote anything.
        let left = |before: DeploymentBefore| match order.template {
            Some(_) => order.leaves(&before),
            None => before,
        };
        let snapshot = order.snapshot.clone().map(left);
        let (release, template) = if order.only_scales() {
            (None, TemplateSource::Unchanged)
        } else {
            let template =
                snapshot.as_ref().map_or(Value::Null, |snapshot| snapshot.template.clone());
            (
                self.release_of(order.application, snapshot.as_ref()).await?,
                TemplateSource::Exact(template),
            )
        };
        let notes: Vec<String> = beyond_guardrails(order, &template).into_iter().collect();
        // Only where the order itself changed the number; a scaler's choice stays.
        let replicas =
            order.target.replicas.and(snapshot.as_ref().map(|snapshot| snapshot.replicas));
        let target = Target {
            release,
            replicas,
            replicas_before: order.target.replicas_before.and(order.target.replicas),
            max_unavailable: order.target.max_unavailable,
            replaces: order.template.clone().filter(|_| !order.only_scales()),
            ..Target::new(template, order.target.batch_timeout_seconds, order.target.failure_policy)
        };
        let replicas = replicas.or(order.batches.last().map(|batch| batch.target)).unwrap_or(0);
        let rollback = NewOrder {
            id,
            application: order.application,
            kind: Kind::Rollback,
            strategy: Strategy::ALL_AT_ONCE,
            target,
            snapshot,
            rolls_back: Some(order.id),
            description: &format!("Roll back change order {}", order.id),
            notes: &notes,
            created_by: actor,
            source,
            replicas,
            resumes_at: 0,
        };
        let target_fingerprint = self.fingerprint(&rollback.target)?;
        self.insert_order(&rollback, now).await?;
        let event = Event {
            actor,
            kind: "order.accepted",
            cause: &format!("rolls back order {}", order.id),
            detail: json!({ "rolls_back": order.id, "target": target_fingerprint }),
        };
        self.add_event(order.application, Some(id), now, event).await?;
        Ok(id)
    }
}
