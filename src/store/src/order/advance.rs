//! Writes the executor's transitions under its lease.
//!
//! A transition is one database transaction: the order's state, its batches, the intended
//! change, an event, and the rollback order of a failure. Every statement names the
//! generation of the lease; if the order has another one by now, nothing is written. The
//! executor records afterwards that it made the change.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};

use crate::{
    Event, Lease, NewOrder, Store, StoreError, Tx,
    order::guarded::beyond_guardrails,
    row::{json as document, number, word},
    sealed::{INTENT, ORDER_TEMPLATE, RELEASE_TEMPLATE, SNAPSHOT, TARGET},
    view::PodState,
};
use domain::{
    ApplicationId, BatchId, OrderId, ReleaseId,
    order::intent::Applied,
    order::{DeploymentBefore, Kind, Order, State, Target, TemplateSource, plan::Strategy},
    rollout::Transition,
    template::spec::release_of,
};

/// The actor of events that nobody requested.
pub(crate) const SELF: &str = "sluice";

/// What became of a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// It was written, and perhaps opened this rollback order.
    Written(Option<OrderId>),
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

    /// Writes a transition of the order that `lease` is for. If a step back was requested
    /// since `order` was loaded, nothing is written, and the executor must decide again.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost, or the order ended meanwhile.
    pub async fn advance(
        &self,
        lease: Lease,
        order: &Order,
        transition: &Transition,
        now: Timestamp,
    ) -> Result<Advanced, StoreError> {
        let mut tx = self.begin().await?;
        if transition.state.is_final() || transition.roll_back {
            tx.lock_application_of(order.id).await?;
        }
        let finalizing =
            transition.state.is_final() && (transition.effect.is_some() || transition.finalizes);
        let snapshot =
            self.keyring.seal_document_of(SNAPSHOT, order.id, transition.snapshot.as_ref())?;
        let intent = self.keyring.seal_document_of(INTENT, order.id, transition.effect.as_ref())?;
        let packages = [snapshot.packages, intent.packages].concat();
        let written = sqlx::query!(
            "/* advance */ UPDATE change_order SET
                 state = $3::text::order_state, step = $4::text::order_step, step_since = $5, batch = $6,
                 message = CASE WHEN $7 = '' AND (NOT $8 OR finished_at IS NOT NULL) THEN coalesce(message_before_outage, message) ELSE $7 END,
                 message_before_outage = NULL, outage_since = NULL,
                 outage_ms = CASE WHEN step::text = $4 AND batch = $6 THEN outage_ms + greatest(0, coalesce(extract(epoch FROM $5::timestamptz - outage_since) * 1000, 0))::bigint ELSE 0 END,
                 finished_at = CASE WHEN $8 THEN coalesce(finished_at, $5) END,
                 finalizing = $9,
                 snapshot = coalesce($10, snapshot),
                 hands = coalesce($14, hands), goes_on = goes_on AND NOT $15,
                 notes = CASE WHEN $16::text IS NULL OR cardinality(notes) >= 100 THEN notes ELSE notes || $16 END,
                 intent = coalesce($11, intent), applied = CASE WHEN $11 IS NULL THEN applied END,
                 back_to = CASE WHEN NOT $12 THEN back_to END, trouble = '',
                 packages = CASE WHEN packages @> $17 THEN packages ELSE packages || $17 END
             WHERE id = $1 AND generation = $2 AND lease_expires_at > now() AND (finished_at IS NULL OR finalizing)
                 AND back_to IS NOT DISTINCT FROM $13",
            order.id.0,
            lease.generation,
            word(transition.state),
            word(transition.step),
            now.to_sqlx() as _,
            number("batch", transition.batch)?,
            transition.message,
            transition.state.is_final(),
            finalizing,
            snapshot.bytes,
            intent.bytes,
            transition.completes_step_back,
            order.back_to.map(|stay| number("back_to", stay)).transpose()?,
            transition.hands.as_ref().map(|hands| document("hands", hands)).transpose()?,
            transition.clears_go_on,
            transition.told(order),
            &packages
        )
        .execute(tx.connection())
        .await?;
        if written.rows_affected() == 0 {
            if tx.step_back_changed(lease, order).await? {
                return Ok(Advanced::Outdated);
            }
            return Err(StoreError::Fenced { generation: lease.generation });
        }
        for batch in &transition.batches {
            let Some(id) = order.batches.get(batch.index).map(|batch| batch.id) else { continue };
            tx.move_batch(id, batch.state, batch.target, &batch.message, now).await?;
        }
        let change = transition.effect.as_ref().map(|effect| {
            effect.with_template_as(|template| self.keyring.fingerprint_of(INTENT, template))
        });
        let detail = json!({
            "state": transition.state, "step": transition.step, "batch": transition.batch + 1, "generation": lease.generation,
            "change": change.transpose()?,
        });
        let event = Event {
            actor: SELF,
            kind: &format!("order.{}", word(transition.step)),
            cause: &transition.message,
            detail,
        };
        let told = domain::notice::Telling::of(order, transition);
        tx.add_told_event(order.application, order.id, now, event, told).await?;
        match transition.state {
            State::Succeeded => tx.note_success(order, now).await?,
            // The way back failed, or was not wanted: the Deployment of before is kept.
            State::Failed
                if (order.kind == Kind::Rollback && !order.only_scales())
                    || transition.finalizes =>
            {
                let snapshot = transition.snapshot.as_ref().or(order.snapshot.as_ref());
                // What somebody else released stays, and what comes next builds on it.
                let is_left = transition.gives_back();
                let kept = snapshot.filter(|_| !is_left);
                if kept.is_some() || is_left {
                    tx.keep_resting_snapshot(order.application, kept).await?;
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
        Ok(Advanced::Written(opened))
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

    /// Records that the change decided last was made.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    pub async fn record_applied(
        &self,
        lease: Lease,
        order: &Order,
        made: &Made<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let template = self.keyring.seal_document_of(ORDER_TEMPLATE, order.id, made.template)?;
        let written = sqlx::query!(
            "/* record_applied */ UPDATE change_order SET applied = $3, template = coalesce($4, template), finalizing = finalizing AND step <> 'done',
                 step_since = CASE WHEN finished_at IS NULL THEN step_since ELSE $5 END,
                 outage_ms = CASE WHEN finished_at IS NULL THEN outage_ms + greatest(0, coalesce(extract(epoch FROM $5::timestamptz - outage_since) * 1000, 0))::bigint ELSE 0 END,
                 outage_since = NULL, message = coalesce(message_before_outage, message), message_before_outage = NULL,
                 packages = CASE WHEN packages @> $6 THEN packages ELSE packages || $6 END
             WHERE id = $1 AND generation = $2 AND (finished_at IS NULL OR finalizing)",
            order.id.0,
            lease.generation,
            document("applied", &made.applied)?,
            template.bytes,
            now.to_sqlx() as _,
            &template.packages
        )
        .execute(tx.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Fenced { generation: lease.generation });
        }
        let detail = json!({ "resourceVersion": made.applied, "generation": lease.generation });
        let event = Event {
            actor: SELF,
            kind: "change.made",
            cause: &format!("for step {}", word(order.step)),
            detail,
        };
        tx.add_event(order.application, Some(order.id), now, event).await?;
        tx.commit().await
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

impl Tx {
    /// Whether the lease is valid, and only the requested step back has changed.
    async fn step_back_changed(&mut self, lease: Lease, order: &Order) -> Result<bool, StoreError> {
        let row = sqlx::query!(
            r#"/* step_back_changed */ SELECT back_to FROM change_order
               WHERE id = $1 AND generation = $2 AND lease_expires_at > now() AND (finished_at IS NULL OR finalizing)"#,
            lease.order.0,
            lease.generation
        )
        .fetch_optional(self.connection())
        .await?;
        let seen = order.back_to.map(|stay| number("back_to", stay)).transpose()?;
        Ok(row.is_some_and(|row| row.back_to != seen))
    }

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

    async fn move_batch(
        &mut self,
        id: BatchId,
        state: State,
        target: Option<i32>,
        message: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* move_batch */ UPDATE batch SET state = $2::text::order_state, target = coalesce($3, target), message = $4, updated_at = $5,
                 started_at = CASE $2 WHEN 'running' THEN coalesce(started_at, $5) WHEN 'ready' THEN NULL ELSE started_at END,
                 pods = CASE WHEN $2 = 'ready' THEN '[]' ELSE pods END,
                 finished_at = CASE WHEN $6 THEN coalesce(finished_at, $5) END
             WHERE id = $1",
            id.0,
            word(state),
            target,
            message,
            now.to_sqlx() as _,
            state.is_final()
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn note_success(&mut self, order: &Order, now: Timestamp) -> Result<(), StoreError> {
        // Another number of pods leaves a release as it rests; a stop ends that.
        sqlx::query!(
            "/* note_success */ UPDATE application SET release_id = coalesce($2, release_id),
                 resting_snapshot = CASE WHEN $3 THEN resting_snapshot END,
                 resting_packages = CASE WHEN $3 THEN resting_packages ELSE '{}' END,
                 resting_replicas = CASE WHEN $3 THEN resting_replicas END,
                 deleted_at = CASE WHEN $4 THEN $5::timestamptz END
             WHERE id = $1",
            order.application.0,
            order.target.release.map(|release| release.0),
            order.only_scales() && order.kind != Kind::Stop,
            order.kind == Kind::Delete,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        if let Some(replicas) = order.target.replicas {
            let before = order.snapshot.as_ref().map(|snapshot| snapshot.replicas);
            self.note_replicas(order.application, replicas, before).await?;
        }
        let (Some(release), Some(template)) = (order.target.release, &order.template) else {
            return Ok(());
        };
        if order.kind == Kind::Restart {
            return Ok(());
        }
        // What was given as an image is on record already; of a tag only the whole is known now.
        let image = match &order.target.source {
            TemplateSource::Change(change) => change.container_in(template, &order.name).ok(),
            TemplateSource::Exact(_) | TemplateSource::Unchanged | TemplateSource::Renewed(_) => {
                None
            }
        };
        let image = image.and_then(|index| {
            template.pointer(&format!("/spec/containers/{index}/image"))?.as_str()
        });
        let sealed = self.keyring.seal_document(RELEASE_TEMPLATE, release, template)?;
        // What the version was first stays: a restart may have left its mark since.
        sqlx::query!(
            "/* note_release */ UPDATE release SET released_at = $2, template = coalesce(template, $3),
                 packages = CASE WHEN template IS NOT NULL OR packages @> $6 THEN packages ELSE packages || $6 END, image = coalesce($4, image), min_ready_seconds = coalesce($5, min_ready_seconds) WHERE id = $1",
            release.0,
            now.to_sqlx() as _,
            sealed.bytes,
            image,
            order.target.min_ready_seconds,
            &sealed.packages
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Notes how many pods the application has from now on, before the cluster is
    /// seen again; and how many it had, where these are none.
    async fn note_replicas(
        &mut self,
        application: ApplicationId,
        replicas: i32,
        before: Option<i32>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* note_replicas */ UPDATE application SET replicas = $2,
                 replicas_before_stop = CASE WHEN $2 = 0 THEN coalesce(nullif($3::integer, 0), nullif(replicas, 0), replicas_before_stop) END,
                 resting_replicas = CASE WHEN resting_snapshot IS NOT NULL THEN $2 END
             WHERE id = $1",
            application.0,
            replicas,
            before
        )
        .execute(self.connection())
        .await?;
        Ok(())
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
        let snapshot = order.snapshot.clone();
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
