//! What a person may do to an order that is open: end it, roll it back, or let
//! its next batch begin. Each takes effect in the transaction that answers.

use serde_json::json;

use crate::{Caller, Error, Service};
use domain::{
    Advice, BatchId, Input, OrderId, Rejection,
    notice::Telling,
    order::{Order, State},
};
use store::{Event, Tx};

/// The kind of the event that an order was ended by a person.
const ABORTED: &str = "order.aborted";

/// The kind of the event that a second person did not approve an order, which ended it.
pub(super) const REJECTED: &str = "order.rejected";

impl Service {
    /// Ends an order where it is: no further batch begins. An order that was
    /// aborted before is left as it is.
    ///
    /// # Errors
    /// An unknown order, or one that ended otherwise.
    pub async fn abort(&self, caller: &Caller, id: OrderId) -> Result<OrderId, Error> {
        self.once(caller, "abort", |tx| {
            Box::pin(async {
                let order = tx.permitted_order(id).await?;
                if order.state != State::Aborted {
                    refuse_ended(&order)?;
                    if !order.can_be_aborted() {
                        let reason = "has deleted the Deployment already: wait for its end".into();
                        return Err(Rejection::WrongState { order: id, reason }.into());
                    }
                    let now = self.clock.now();
                    let message = format!("aborted by {}", caller.name);
                    tx.abort_order(&order, order.rests_on_abort(), &message, now).await?;
                    if let (true, Some(snapshot)) = (order.rests_on_abort(), &order.snapshot) {
                        let left = order.leaves(snapshot);
                        tx.keep_resting_snapshot(order.application, Some(&left)).await?;
                    }
                    self.note(tx, caller, &order, ABORTED, &message).await?;
                }
                Ok(id)
            })
        })
        .await
    }

    /// Opens the order that rolls another one back, which ends if it is still open:
    /// in one transaction. Returns the new order's id; also where it was opened
    /// before. An order that ended can be rolled back while it is the newest.
    ///
    /// # Errors
    /// An unknown order, one with nothing before it, or one that another followed.
    pub async fn roll_back(&self, caller: &Caller, id: OrderId) -> Result<OrderId, Error> {
        self.once(caller, "roll_back", |tx| Box::pin(async {
        let order = tx.permitted_order(id).await?;
        if let Some(rolled_back_by) = tx.rollback_of(id).await? {
            let rollback = tx.permitted_order(rolled_back_by).await?;
            // One that ended so is still made, where that was not possible.
            let went_wrong = match rollback.state {
                State::Failed | State::SystemFailed => Some("failed"),
                State::Aborted => Some("was aborted"),
                _ => None,
            };
            if let Some(ended) = went_wrong.filter(|_| !rollback.finalizing) {
                let reason = format!(
                    "was to be rolled back by the change order {rolled_back_by}, which {ended}: {}",
                    Advice::ReleaseEarlier
                );
                return Err(Rejection::WrongState { order: id, reason }.into());
            }
            return Ok(rolled_back_by);
        }
        let is_newest = tx.is_newest_order(&order).await?;
        if !Order::can_be_rolled_back(
            order.kind,
            order.state,
            order.changed_deployment(),
            is_newest,
            false,
        ) {
            let reason = if !order.kind.releases() && !order.kind.scales() {
                "has no earlier version to go back to: only a release of a version on top of another can be rolled back"
            } else if is_newest {
                "changed nothing that could be rolled back"
            } else if order.kind.scales() {
                "is not the newest of its application: scale it instead"
            } else {
                &format!("is not the newest of its application: {}", Advice::ReleaseEarlier)
            };
            return Err(Rejection::WrongState { order: id, reason: reason.into() }.into());
        }
        let (application, _) = tx.permitted_application(order.application).await?;
        self.served(tx, &application).await?;
        let now = self.clock.now();
        if order.state.is_final() {
            self.note(
                tx,
                caller,
                &order,
                "order.rolled_back",
                &format!("rolled back by {}", caller.name),
            )
            .await?;
        } else {
            let message = format!("aborted and rolled back by {}", caller.name);
            // The rollback order takes over at once, so nothing is left to bring to rest.
            tx.abort_order(&order, false, &message, now).await?;
            self.note(tx, caller, &order, ABORTED, &message).await?;
        }
        let rollback = tx.open_rollback(&order, &caller.name, caller.source, now).await?;
        Ok(rollback)
        }))
        .await
    }

    /// Goes back within a release: its first `stay` batches stay, the pods of those
    /// begun after them give way to old ones, and a person says when to go on. None =
    /// one batch back: the one under way, or the one that was done last.
    ///
    /// # Errors
    /// An unknown order, one that is not under way in batches, or a number of batches
    /// beyond those begun; going back to none is what a rollback is for.
    pub async fn step_back(
        &self,
        caller: &Caller,
        id: OrderId,
        stay: Option<i32>,
    ) -> Result<OrderId, Error> {
        self.once(caller, "step_back", |tx| Box::pin(async {
        let order = tx.permitted_order(id).await?;
        refuse_ended(&order)?;
        if !order.can_step_back() {
            let reason = "is not between two of its batches, or in one of several: there is nothing to step back on".into();
            return Err(Rejection::WrongState { order: id, reason }.into());
        }
        let begun = i32::try_from(order.batch).unwrap_or(i32::MAX);
        let stay = stay.unwrap_or(begun);
        let Some(stay) = usize::try_from(stay).ok().filter(|stay| (1..=order.batch).contains(stay))
        else {
            let allowed = if order.batch == 0 {
                "no batch is done that could stay; roll the order back to return to the version before".to_owned()
            } else {
                format!(
                    "must be from 1 to {begun}, the batches that may stay; roll the order back to return to the version before"
                )
            };
            return Err(Rejection::invalid(Input::Batches, stay, allowed).into());
        };
        tx.step_back(id, stay).await?;
        self.note(
            tx,
            caller,
            &order,
            "order.step_back_requested",
            &format!("back to batch {stay} by {}", caller.name),
        )
        .await?;
        Ok(id)
        }))
        .await
    }

    /// Confirms (or, with false, does not confirm) the batch after the one that
    /// is done. Accepts the id of the batch just done and of the one that waits,
    /// since clients read the documentation both ways. Refusing leaves the order
    /// waiting, and is recorded.
    ///
    /// # Errors
    /// An unknown batch, or one that does not wait.
    pub async fn confirm(
        &self,
        caller: &Caller,
        batch: BatchId,
        confirm: bool,
    ) -> Result<(), Error> {
        self.confirm_batch(caller, None, batch, confirm).await
    }

    /// Lets the next batch of this order begin, as [`Service::confirm`] does.
    ///
    /// # Errors
    /// As [`Service::confirm`]; a batch of another order.
    pub async fn confirm_of(
        &self,
        caller: &Caller,
        order: OrderId,
        batch: BatchId,
    ) -> Result<(), Error> {
        self.confirm_batch(caller, Some(order), batch, true).await
    }

    async fn confirm_batch(
        &self,
        caller: &Caller,
        of: Option<OrderId>,
        batch: BatchId,
        confirm: bool,
    ) -> Result<(), Error> {
        let refused = self.once(caller, "confirm", |tx| Box::pin(async {
        let (order, index) = tx.permitted_order_of_batch(of, batch).await?;
        let id = order.id;
        refuse_ended(&order)?;
        let waits = matches!(order.state, State::WaitingConfirmation | State::WaitingInterval);
        if !waits || !(order.batch..=order.batch + 1).contains(&index) {
            let reason = format!("does not wait for a confirmation of batch {}", index + 1);
            return Err(Rejection::WrongState { order: id, reason }.into());
        }
        let next = order.batch + 1;
        if let (true, Some(stay)) = (confirm, order.back_to) {
            let reason = format!(
                "is about to go back to batch {stay}: confirm the next batch once it waits there"
            );
            return Err(Rejection::WrongState { order: id, reason }.into());
        }
        if confirm && !order.trouble.is_empty() {
            let reason = format!("cannot go on now: {}", order.trouble);
            return Err(Rejection::WrongState { order: id, reason }.into());
        }
        if confirm && let Some(by) = &order.hands.paused_by {
            tx.go_on(id).await?;
            let cause = format!("{} lets it go on, although {by} paused the Deployment", caller.name);
            self.note(tx, caller, &order, "batch.confirmed", &cause).await?;
        } else if confirm {
            tx.confirm_batches(id, next + 1).await?;
            self.note(
                tx,
                caller,
                &order,
                "batch.confirmed",
                &format!("batch {} confirmed by {}", next + 1, caller.name),
            )
            .await?;
        } else {
            self.note(
                tx,
                caller,
                &order,
                "batch.refused",
                &format!("batch {} not confirmed by {}", next + 1, caller.name),
            )
            .await?;
        }
        Ok((!confirm).then_some(id))
        }))
        .await?;
        // No executor has anything to do with it, but those who follow the order have.
        if let Some(order) = refused {
            self.store.tell_changed(&[order]).await?;
        }
        Ok(())
    }

    pub(super) async fn note(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        order: &Order,
        kind: &str,
        cause: &str,
    ) -> Result<(), Error> {
        let cause = &caller.because(cause);
        let event = Event {
            actor: &caller.name,
            kind,
            cause,
            detail: json!({ "request": caller.request_id }),
        };
        let told = [ABORTED, REJECTED].contains(&kind).then(|| Telling::aborted(order));
        Ok(tx.add_told_event(order.application, order.id, self.clock.now(), event, told).await?)
    }
}

pub(super) fn refuse_ended(order: &Order) -> Result<(), Rejection> {
    let how = match order.state {
        State::Ready
        | State::WaitingApproval
        | State::Running
        | State::WaitingConfirmation
        | State::WaitingInterval => return Ok(()),
        State::Succeeded => "ended well already",
        State::Failed => "failed already",
        State::Aborted => "was aborted already",
        State::SystemFailed => "ended already by a failure of the system",
    };
    Err(Rejection::WrongState { order: order.id, reason: how.into() })
}
