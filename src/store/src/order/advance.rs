//! Writes the executor's transitions under its lease.
//!
//! A transition is one database transaction: the order's state, its batches, the intended
//! change, an event, and the rollback order of a failure. Most are one statement. Every statement
//! names the generation of the lease; if the order has another one by now, nothing is written. The
//! executor records afterwards that it made the change.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};

use super::progress::{Progress, ProgressRow};
use crate::{
    Event, Lease, Store, StoreError,
    row::{json as document, word},
    sealed::{ORDER_TEMPLATE, TARGET},
    view::PodState,
};
use domain::{
    BatchId, OrderId,
    order::intent::Applied,
    order::{Order, State, Step, Target},
    rollout::Transition,
};

/// The actor of events that nobody requested.
pub(crate) const SELF: &str = "sluice";

/// What became of a transition.
#[derive(Debug, Clone, PartialEq)]
pub enum Advanced {
    /// It was written.
    Written {
        /// What the order is now.
        progress: Box<Progress>,
        /// The rollback order that it opened.
        opened: Option<OrderId>,
    },
    /// Nothing was written: a step back was requested since the order was loaded.
    Outdated,
}

/// An effect that was made on the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Made<'a> {
    /// What the objects are afterwards.
    pub applied: Applied,
    /// The Deployment's template afterwards; none if only a ReplicaSet was written.
    pub template: Option<&'a Value>,
}

impl Store {
    /// Notes how many pods of `order`, which `lease` is for, may be missing at once, where
    /// that was to be decided when it begins. Nothing else changes an order's target.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost, or the order ended meanwhile.
    pub async fn decide_room(
        &self,
        lease: Lease,
        order: &Order,
        max_unavailable: i32,
    ) -> Result<(), StoreError> {
        let target = Target { max_unavailable, allows_no_surge: false, ..order.target.clone() };
        let written = sqlx::query!(
            "/* decide_room */ UPDATE change_order SET target = $3
             WHERE id = $1 AND generation = $2 AND lease_expires_at > now() AND finished_at IS NULL",
            lease.order.0,
            lease.generation,
            self.keyring.seal_json(TARGET, lease.order, &target)?
        )
        .execute(&self.pool)
        .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Fenced { generation: lease.generation });
        }
        Ok(())
    }

    /// Writes a transition of the order that `lease` is for, with the pods of a batch where
    /// these are not what is on record. If a step back was requested since `order` was
    /// loaded, nothing is written, and the executor must decide again.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost, or the order ended meanwhile.
    pub async fn advance(
        &self,
        lease: Lease,
        order: &Order,
        transition: &Transition,
        pods: Option<(BatchId, &[PodState])>,
        now: Timestamp,
    ) -> Result<Advanced, StoreError> {
        let step = self.step_of(lease, order, transition, pods)?;
        if !step.touches_more() {
            let mut connection = self.pool.acquire().await?;
            let written = step.write(&mut connection, now).await?;
            return written.map_or(Ok(Advanced::Outdated), |progress| {
                Ok(Advanced::Written { progress: Box::new(progress), opened: None })
            });
        }
        let mut tx = self.begin().await?;
        if transition.state.is_final() || transition.roll_back {
            tx.lock_application_of(order.id).await?;
        }
        let Some(progress) = step.write(tx.connection(), now).await? else {
            return Ok(Advanced::Outdated);
        };
        let set_since =
            transition.snapshot.as_ref().filter(|_| transition.step == Step::PauseInPlace);
        match (transition.state, set_since) {
            (_, Some(before)) => tx.renew_resting_snapshot(order, before).await?,
            (State::Succeeded, _) => tx.note_success(order, now).await?,
            // What somebody else released stays, and what comes next builds on it.
            (State::Failed, _) if step.keeps_way_back() || transition.gives_back() => {
                let snapshot = transition.snapshot.as_ref().or(order.snapshot.as_ref());
                let is_left = transition.gives_back();
                let kept = snapshot.filter(|_| !is_left).map(|it| order.leaves(it));
                if kept.is_some() || is_left {
                    tx.keep_resting_snapshot(order.application, kept.as_ref()).await?;
                }
            }
            _ => {}
        }
        if transition.guarded {
            tx.record_guarded(order, now).await?;
        }
        let mut opened = None;
        if transition.roll_back {
            opened = Some(tx.open_rollback(order, SELF, domain::Source::System, now).await?);
        }
        tx.commit().await?;
        Ok(Advanced::Written { progress: Box::new(progress), opened })
    }

    /// Writes down what keeps the next batch of an order that waits from beginning (empty =
    /// nothing any more), as its message and as an event.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost, or the order ended meanwhile.
    pub async fn note_trouble(
        &self,
        lease: Lease,
        order: &Order,
        trouble: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let written = sqlx::query!(
            "/* note_trouble */ UPDATE change_order SET trouble = $3,
                 message = CASE WHEN $3 = '' THEN coalesce((SELECT message FROM batch WHERE order_id = $1 AND index = change_order.batch + 1), '') ELSE $3 END
             WHERE id = $1 AND generation = $2 AND lease_expires_at > now() AND finished_at IS NULL",
            lease.order.0,
            lease.generation,
            trouble
        )
        .execute(tx.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Fenced { generation: lease.generation });
        }
        let kind = if trouble.is_empty() { "order.trouble_over" } else { "order.trouble" };
        let detail = json!({ "generation": lease.generation });
        let event = Event { actor: SELF, kind, cause: trouble, detail };
        tx.add_event(order.application, Some(order.id), now, event).await?;
        tx.commit().await
    }

    /// Records that the change decided last was made. Returns what the order is now.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    pub async fn record_applied(
        &self,
        lease: Lease,
        order: &Order,
        made: &Made<'_>,
        now: Timestamp,
    ) -> Result<Progress, StoreError> {
        let template = self.keyring.seal_document_of(ORDER_TEMPLATE, order.id, made.template)?;
        let detail = json!({ "resourceVersion": made.applied, "generation": lease.generation });
        let row = sqlx::query_as!(
            ProgressRow,
            r#"/* record_applied */ WITH recorded AS (
                 UPDATE change_order SET applied = $3, template = coalesce($4, template), finalizing = finalizing AND step <> 'done',
                     step_since = CASE WHEN finished_at IS NULL THEN step_since ELSE $5 END,
                     outage_ms = CASE WHEN finished_at IS NULL THEN outage_ms + greatest(0, coalesce(extract(epoch FROM $5::timestamptz - outage_since) * 1000, 0))::bigint ELSE 0 END,
                     outage_since = NULL, message = coalesce(message_before_outage, message), message_before_outage = NULL,
                     packages = CASE WHEN packages @> $6 THEN packages ELSE packages || $6 END
                 WHERE id = $1 AND generation = $2 AND (finished_at IS NULL OR finalizing)
                 RETURNING *
             ), happened AS (
                 INSERT INTO event (at, application_id, order_id, actor, kind, cause, detail)
                 SELECT $5, application_id, id, $7, 'change.made', $8, $9 FROM recorded
             )
             SELECT state::text AS "state!", step::text AS "step!", step_since AS "step_since!", batch AS "batch!", confirmed AS "confirmed!", back_to, finalizing AS "finalizing!",
                 trouble AS "trouble!", hands AS "hands!", goes_on AS "goes_on!", outage_since, outage_ms AS "outage_ms!", obstacle, obstacle_ms AS "obstacle_ms!",
                 (SELECT coalesce(jsonb_agg(jsonb_build_object('id', b.id, 'state', b.state, 'target', b.target, 'started_at', b.started_at) ORDER BY b.index), '[]')
                  FROM batch b WHERE b.order_id = recorded.id) AS "batches!"
             FROM recorded"#,
            order.id.0,
            lease.generation,
            document("applied", &made.applied)?,
            template.bytes,
            now.to_sqlx() as _,
            &template.packages,
            SELF,
            format!("for step {}", word(order.step)),
            detail
        )
        .fetch_optional(&self.pool)
        .await?;
        let row = row.ok_or(StoreError::Fenced { generation: lease.generation })?;
        row.try_into()
    }

    /// Records the pods of a batch as they are seen.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    pub async fn record_pods(
        &self,
        lease: Lease,
        batch: BatchId,
        pods: &[PodState],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let written = sqlx::query!(
            "/* record_pods */ UPDATE batch SET pods = $3, updated_at = $4
             FROM change_order WHERE batch.id = $1 AND change_order.id = batch.order_id AND change_order.generation = $2",
            batch.0,
            lease.generation,
            document("pods", &pods)?,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        if written.rows_affected() == 0 {
            Err(StoreError::Fenced { generation: lease.generation })
        } else {
            Ok(())
        }
    }
}
