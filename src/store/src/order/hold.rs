//! Orders that are held off before they begin.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{advance::SELF, event::Event, lease::Lease};
use crate::{
    Store, StoreError, Tx,
    catalog::hold_rule,
    row::{document, word},
};
use domain::{
    OrderId,
    hold::{Held, HeldBy, Hold},
    notice::{Telling, Topic},
    order::{Order, State},
};

/// What may hold an order off, as its row and the rules that fit it say.
#[derive(Deserialize)]
struct HoldNow {
    by: Option<HeldBy>,
    until: Option<Timestamp>,
    approved: bool,
    lifted: bool,
    changes: i32,
    rules: Vec<RuleNow>,
}

#[derive(Deserialize)]
struct RuleNow {
    name: String,
    held_by: HeldBy,
    reason: String,
    calendar: Option<Value>,
}

/// What may hold an order off.
pub(super) fn read(found: Value) -> Result<Box<Hold>, StoreError> {
    let HoldNow { by, until, approved, lifted, changes, rules } = document("hold", found)?;
    let rules = rules
        .into_iter()
        .map(|rule| hold_rule::rule(rule.name, rule.held_by, rule.reason, rule.calendar));
    let found = by.map(|by| Held { by, until });
    Ok(Box::new(Hold { rules: rules.collect::<Result<_, _>>()?, approved, lifted, found, changes }))
}

impl Store {
    /// Writes down what an order waits for before it begins, as its state and message, and as an
    /// event; people are told where it waits for one.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost, or the order ended meanwhile.
    pub async fn record_hold(
        &self,
        lease: Lease,
        order: &Order,
        held: Held,
        message: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state = match held.by {
            HeldBy::Approval => State::WaitingApproval,
            HeldBy::Freeze => State::Ready,
        };
        let mut tx = self.begin().await?;
        let written = sqlx::query!(
            "/* record_hold */ UPDATE change_order SET state = $3::text::order_state, held_by = $4, held_until = $5, message = $6
             WHERE id = $1 AND generation = $2 AND lease_expires_at > now() AND finished_at IS NULL AND step = 'start'",
            lease.order.0,
            lease.generation,
            word(state),
            word(held.by),
            held.until.map(|at| at.to_sqlx()) as _,
            message
        )
        .execute(tx.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Fenced { generation: lease.generation });
        }
        let detail = json!({ "by": held.by, "until": held.until, "generation": lease.generation });
        let event = Event { actor: SELF, kind: "order.held", cause: message, detail };
        let is_news = held.by == HeldBy::Approval && order.state != state;
        let told = is_news.then_some(Telling { topic: Topic::Waiting, state, batch: order.batch });
        tx.add_told_event(order.application, order.id, now, event, told).await?;
        tx.commit().await
    }

    /// Writes down that nothing holds an order off any more: its time counts from now.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost, or the order ended meanwhile.
    pub async fn end_hold(
        &self,
        lease: Lease,
        order: &Order,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let written = sqlx::query!(
            "/* end_hold */ UPDATE change_order SET state = 'ready', may_be_held = false, held_by = NULL, held_until = NULL, message = '', step_since = $3
             WHERE id = $1 AND generation = $2 AND lease_expires_at > now() AND finished_at IS NULL AND step = 'start'",
            lease.order.0,
            lease.generation,
            now.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Fenced { generation: lease.generation });
        }
        let was_held = order.hold.as_ref().is_some_and(|hold| hold.found.is_some());
        if was_held {
            let detail = json!({ "generation": lease.generation });
            let event = Event { actor: SELF, kind: "order.hold_over", cause: "", detail };
            tx.add_event(order.application, Some(order.id), now, event).await?;
        }
        tx.commit().await
    }
}

impl Tx {
    /// Who asks for what this transaction writes: the principal, and the identity provider's
    /// name for the person, if one signed in.
    pub fn acted_by(&mut self, principal: &str, person: Option<&str>) {
        self.author = Some((principal.to_owned(), person.map(str::to_owned)));
    }

    /// Who ordered an order: the principal, and the identity provider's name for the person.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn author_of(
        &mut self,
        order: OrderId,
    ) -> Result<(String, Option<String>), StoreError> {
        let row = sqlx::query!(
            r#"/* author_of */ SELECT coalesce(created_by_principal, created_by) AS "principal!", created_by_person FROM change_order WHERE id = $1"#,
            order.0
        )
        .fetch_one(self.connection())
        .await?;
        Ok((row.principal, row.created_by_person))
    }

    /// Writes down that somebody approved an order. The row must be locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn approve_order(&mut self, order: OrderId, by: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "/* approve_order */ UPDATE change_order SET approved_by = $2, hold_changes = hold_changes + 1, run_after = 'epoch' WHERE id = $1 AND finished_at IS NULL",
            order.0,
            by
        )
        .execute(self.connection())
        .await?;
        self.wake(order).await
    }

    /// Writes down that somebody lets an order through freeze windows. The row must be locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn lift_freeze(&mut self, order: OrderId, by: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "/* lift_freeze */ UPDATE change_order SET lifted_by = $2, hold_changes = hold_changes + 1, run_after = 'epoch' WHERE id = $1 AND finished_at IS NULL",
            order.0,
            by
        )
        .execute(self.connection())
        .await?;
        self.wake(order).await
    }
}
