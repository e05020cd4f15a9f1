//! A transition as one statement: the order's row, its batches, the event, and what people
//! are told of it.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    advance::SELF,
    progress::{Progress, ProgressRow},
};
use crate::{
    Lease, NOTIFICATION_CHANNEL, PodState, Store, StoreError,
    row::{json as document, number, word},
    sealed::{INTENT, SNAPSHOT},
};
use domain::{
    BatchId,
    notice::Telling,
    order::{Kind, Order, State},
    rollout::{BatchTransition, Transition},
};

/// A transition that is about to be written, with what of it is sealed.
pub(super) struct StepOf<'a> {
    lease: Lease,
    order: &'a Order,
    transition: &'a Transition,
    snapshot: Option<Vec<u8>>,
    intent: Option<Vec<u8>>,
    /// The uploaded packages that these name.
    packages: Vec<Uuid>,
    batches: Batches,
    detail: Value,
}

impl Store {
    pub(super) fn step_of<'a>(
        &self,
        lease: Lease,
        order: &'a Order,
        transition: &'a Transition,
        pods: Option<(BatchId, &[PodState])>,
    ) -> Result<StepOf<'a>, StoreError> {
        let snapshot =
            self.keyring.seal_document_of(SNAPSHOT, order.id, transition.snapshot.as_ref())?;
        let intent = self.keyring.seal_document_of(INTENT, order.id, transition.effect.as_ref())?;
        let change = transition.effect.as_ref().map(|effect| {
            effect.with_template_as(|template| self.keyring.fingerprint_of(INTENT, template))
        });
        let detail = json!({
            "state": transition.state, "step": transition.step, "batch": transition.batch + 1, "generation": lease.generation,
            "change": change.transpose()?,
        });
        let mut batches = Batches::default();
        if let Some((id, pods)) = pods {
            batches.see(id, document("pods", &pods)?);
        }
        for moved in &transition.batches {
            if let Some(batch) = order.batches.get(moved.index) {
                batches.move_to(batch.id, moved);
            }
        }
        Ok(StepOf {
            lease,
            order,
            transition,
            packages: [snapshot.packages, intent.packages].concat(),
            snapshot: snapshot.bytes,
            intent: intent.bytes,
            batches,
            detail,
        })
    }
}

impl StepOf<'_> {
    /// Whether more than the order, its batches and its events is to be written with it, or it
    /// ends the order: a request that has locked the application relies on how it is.
    pub(super) fn touches_more(&self) -> bool {
        let to = self.transition;
        to.state.is_final() || to.guarded || to.roll_back
    }

    /// Whether the way back failed, or was not wanted: the Deployment of before is kept.
    pub(super) fn keeps_way_back(&self) -> bool {
        let is_way_back = self.order.kind == Kind::Rollback && !self.order.only_scales();
        self.transition.state == State::Failed && (is_way_back || self.transition.finalizes)
    }

    /// Writes it, and returns what the order is now; none if nothing was written, since a
    /// step back was requested.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        now: Timestamp,
    ) -> Result<Option<Progress>, StoreError> {
        let (lease, order, transition) = (self.lease, self.order, self.transition);
        let finalizing =
            transition.state.is_final() && (transition.effect.is_some() || transition.finalizes);
        let told = Telling::of(order, transition);
        let Batches { ids, states, targets, messages, anew, ended, pods } = &self.batches;
        let written = sqlx::query_as!(
            ProgressRow,
            r#"/* advance */ WITH advanced AS (
                 UPDATE change_order SET
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
                     AND back_to IS NOT DISTINCT FROM $13
                 RETURNING *
             ), moved AS (
                 UPDATE batch SET state = coalesce(m.state::order_state, batch.state), target = coalesce(m.target, batch.target),
                     message = coalesce(m.message, batch.message), updated_at = $5,
                     started_at = CASE WHEN m.state = 'ready' THEN NULL WHEN m.state = 'running' THEN coalesce(CASE WHEN NOT m.anew THEN batch.started_at END, $5)
                         WHEN NOT m.anew THEN batch.started_at END,
                     pods = CASE WHEN m.anew THEN '[]' ELSE coalesce(m.pods, batch.pods) END,
                     finished_at = CASE WHEN m.state IS NULL THEN batch.finished_at WHEN m.ended THEN coalesce(CASE WHEN NOT m.anew THEN batch.finished_at END, $5) END
                 FROM advanced, unnest($18::uuid[], $19::text[], $20::int[], $21::text[], $22::boolean[], $23::boolean[], $24::jsonb[])
                     AS m (id, state, target, message, anew, ended, pods)
                 WHERE batch.id = m.id AND batch.order_id = advanced.id
                 RETURNING batch.id, batch.state, batch.target, batch.started_at
             ), happened AS (
                 INSERT INTO event (at, application_id, order_id, actor, kind, cause, detail)
                 SELECT $5, application_id, id, $25, $26, $7, $27 FROM advanced
             ), told AS (
                 INSERT INTO notification (channel_id, order_id, topic, state, batch, cause, happened_at)
                 SELECT c.id, advanced.id, $28, $29::text::order_state, $30, left($7, 2000), $5
                 FROM advanced JOIN application a ON a.id = advanced.application_id,
                     -- One that is being removed is told nothing, and holds nothing up.
                     (SELECT id, namespaces, applications FROM notification_channel WHERE enabled AND $28::text = ANY (topics) FOR KEY SHARE SKIP LOCKED) c
                 WHERE fits_any(c.namespaces, a.namespace) AND fits_any(c.applications, a.name)
                 RETURNING pg_notify($31, '')
             )
             SELECT state::text AS "state!", step::text AS "step!", step_since AS "step_since!", batch AS "batch!", confirmed AS "confirmed!", back_to, finalizing AS "finalizing!",
                 trouble AS "trouble!", hands AS "hands!", goes_on AS "goes_on!", outage_since, outage_ms AS "outage_ms!", obstacle, obstacle_ms AS "obstacle_ms!",
                 (SELECT coalesce(jsonb_agg(jsonb_build_object('id', b.id, 'state', coalesce(m.state, b.state), 'target', coalesce(m.target, b.target),
                      'started_at', CASE WHEN m.id IS NULL THEN b.started_at ELSE m.started_at END) ORDER BY b.index), '[]')
                  FROM batch b LEFT JOIN moved m ON m.id = b.id
                  WHERE b.order_id = advanced.id) AS "batches!"
             FROM advanced"#,
            order.id.0,
            lease.generation,
            word(transition.state),
            word(transition.step),
            now.to_sqlx() as _,
            number("batch", transition.batch)?,
            transition.message,
            transition.state.is_final(),
            finalizing,
            self.snapshot,
            self.intent,
            transition.completes_step_back,
            order.back_to.map(|stay| number("back_to", stay)).transpose()?,
            transition.hands.as_ref().map(|hands| document("hands", hands)).transpose()?,
            transition.clears_go_on,
            transition.told(order),
            &self.packages,
            ids,
            states as _,
            targets as _,
            messages as _,
            anew,
            ended,
            pods as _,
            SELF,
            format!("order.{}", word(transition.step)),
            self.detail,
            told.as_ref().map(|told| word(told.topic)),
            told.as_ref().map(|told| word(told.state)),
            told.as_ref().map(|told| number("batch", told.batch)).transpose()?,
            NOTIFICATION_CHANNEL
        )
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = written {
            return Ok(Some(row.try_into()?));
        }
        if step_back_changed(connection, lease, order).await? {
            return Ok(None);
        }
        Err(StoreError::Fenced { generation: lease.generation })
    }
}

/// What becomes of batches, of each in one row.
#[derive(Debug, Default, PartialEq)]
struct Batches {
    ids: Vec<Uuid>,
    /// None = it stays what it is, and only its pods are other ones.
    states: Vec<Option<String>>,
    targets: Vec<Option<i32>>,
    messages: Vec<Option<String>>,
    /// Whether it begins anew: what was of it before counts no more.
    anew: Vec<bool>,
    ended: Vec<bool>,
    pods: Vec<Option<Value>>,
}

impl Batches {
    fn place(&mut self, id: BatchId) -> usize {
        if let Some(place) = self.ids.iter().position(|it| *it == id.0) {
            return place;
        }
        self.ids.push(id.0);
        self.states.push(None);
        self.targets.push(None);
        self.messages.push(None);
        self.anew.push(false);
        self.ended.push(false);
        self.pods.push(None);
        self.ids.len() - 1
    }

    /// These are its pods.
    fn see(&mut self, id: BatchId, pods: Value) {
        let place = self.place(id);
        self.pods[place] = Some(pods);
    }

    /// It gets this state; a second time, after the one before.
    fn move_to(&mut self, id: BatchId, to: &BatchTransition) {
        let place = self.place(id);
        self.states[place] = Some(word(to.state));
        self.targets[place] = to.target.or(self.targets[place]);
        self.messages[place] = Some(to.message.clone());
        self.anew[place] |= to.state == State::Ready;
        self.ended[place] = to.state.is_final();
    }
}

/// Whether the lease is valid, and only the requested step back has changed.
async fn step_back_changed(
    connection: &mut PgConnection,
    lease: Lease,
    order: &Order,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"/* step_back_changed */ SELECT back_to FROM change_order
           WHERE id = $1 AND generation = $2 AND lease_expires_at > now() AND (finished_at IS NULL OR finalizing)"#,
        lease.order.0,
        lease.generation
    )
    .fetch_optional(connection)
    .await?;
    let seen = order.back_to.map(|stay| number("back_to", stay)).transpose()?;
    Ok(row.is_some_and(|row| row.back_to != seen))
}
