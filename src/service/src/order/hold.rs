//! What people may do to an order that is held off before it begins: approve it or not, as a
//! second person, and let it through a freeze window.

use super::abort::{REJECTED, refuse_ended};
use crate::{Caller, Error, Service, once::Work};
use domain::{
    OrderId, Rejection,
    hold::{Author, Demand, Hold},
    order::{Order, State},
};

impl Service {
    /// Lets an order begin that waits for a second person. Whoever ordered it cannot. One that
    /// was approved before is left as it is.
    ///
    /// # Errors
    /// An unknown order, one that waits for nobody's approval, or one of the caller's own.
    pub async fn approve(&self, caller: &Caller, id: OrderId) -> Result<OrderId, Error> {
        self.once(caller, "approve", |tx| {
            Box::pin(async {
                let order = tx.permitted_order(id).await?;
                refuse_ended(&order)?;
                let hold = waits_for_approval(&order)?;
                if !hold.approved {
                    is_second_person(tx, caller, id).await?;
                    tx.approve_order(id, &caller.name).await?;
                    let message = format!("approved by {}", caller.name);
                    self.note(tx, caller, &order, "order.approved", &message).await?;
                }
                Ok(id)
            })
        })
        .await
    }

    /// Ends an order that waits for a second person: it is not approved, and nothing was done.
    /// One that was ended before is left as it is.
    ///
    /// # Errors
    /// An unknown order, one that ended otherwise, or one that waits for nobody's approval.
    pub async fn reject(&self, caller: &Caller, id: OrderId) -> Result<OrderId, Error> {
        self.once(caller, "reject", |tx| {
            Box::pin(async {
                let order = tx.permitted_order(id).await?;
                if order.state != State::Aborted {
                    refuse_ended(&order)?;
                    waits_for_approval(&order)?;
                    let message = caller.because(&format!("rejected by {}", caller.name));
                    tx.abort_order(&order, false, &message, self.clock.now()).await?;
                    let message = format!("rejected by {}", caller.name);
                    self.note(tx, caller, &order, REJECTED, &message).await?;
                }
                Ok(id)
            })
        })
        .await
    }

    /// Lets an order begin although a freeze window is closed. What else it waits for, it goes
    /// on waiting for.
    ///
    /// # Errors
    /// An unknown order, or one that no freeze window holds off.
    pub async fn lift_freeze(&self, caller: &Caller, id: OrderId) -> Result<OrderId, Error> {
        self.once(caller, "lift_freeze", |tx| {
            Box::pin(async {
                let order = tx.permitted_order(id).await?;
                refuse_ended(&order)?;
                let is_freeze = |hold: &&Hold| {
                    hold.rules.iter().any(|rule| matches!(rule.demand, Demand::Freeze(_)))
                };
                let Some(hold) = order.hold.as_deref().filter(is_freeze) else {
                    let reason = "is not held off by a freeze window".into();
                    return Err(Rejection::WrongState { order: id, reason }.into());
                };
                if !hold.lifted {
                    tx.lift_freeze(id, &caller.name).await?;
                    let message = format!("let through freeze windows by {}", caller.name);
                    self.note(tx, caller, &order, "order.freeze_lifted", &message).await?;
                }
                Ok(id)
            })
        })
        .await
    }
}

/// What holds an order off that a rule of approval fits.
fn waits_for_approval(order: &Order) -> Result<&Hold, Rejection> {
    let is_approval = |hold: &&Hold| hold.rules.iter().any(|it| it.demand == Demand::Approval);
    order.hold.as_deref().filter(is_approval).ok_or_else(|| Rejection::WrongState {
        order: order.id,
        reason: "does not wait for anybody's approval".into(),
    })
}

/// Refuses whoever ordered it, or may be the same person.
async fn is_second_person(tx: &mut Work<'_>, caller: &Caller, id: OrderId) -> Result<(), Error> {
    let (principal, person) = tx.author_of(id).await?;
    let author = Author { principal: &principal, person: person.as_deref() };
    let approver = Author { principal: &caller.principal, person: caller.person.as_deref() };
    if approver.is_another_than(author) {
        return Ok(());
    }
    let reason = format!(
        "was ordered by {principal}, who cannot approve it: somebody else must, with a key of another principal or signed in as another person"
    );
    Err(Rejection::WrongState { order: id, reason }.into())
}
