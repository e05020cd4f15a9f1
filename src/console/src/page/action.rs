//! What a person may do to an order: which buttons there are, what each would do in pods,
//! and doing it.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use sha2::{Digest, Sha256};

use super::order_id;
use crate::{Console, fault::Fault, form::Posted, session::SignedIn, words};
use domain::{
    BatchId, Rejection, access,
    snapshot::{Action, Snapshot},
};
use service::Error;

/// Something that can be done.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The last part of the form's address.
    pub action: &'static str,
    /// On the button.
    pub label: String,
    /// What it will do.
    pub effect: String,
    /// Whether it is what is waited for.
    pub is_main: bool,
    /// Whether it takes something away.
    pub is_grave: bool,
    /// The batch that it is about; empty = none.
    pub batch: String,
    /// Numbers of batches that may stay, to choose from.
    pub stay: Vec<usize>,
    pub nonce: String,
}

/// Everything that can be done.
pub(crate) type Choices = Vec<Choice>;

/// What can be done to `order` now. A form that is sent twice in one session is one request,
/// until something happens to the order.
pub(crate) fn choices(order: &Snapshot) -> Choices {
    let (line, newest) = (&order.order, order.timeline.last().map_or(0, |event| event.id));
    let choice = |action: &'static str, label: String, effect: String| {
        let text = format!("{} {action} {newest} {:?}", line.id, line.state);
        Choice {
            nonce: hex::encode(&Sha256::digest(text)[..16]),
            action,
            label,
            effect,
            is_main: false,
            is_grave: false,
            batch: String::new(),
            stay: Vec::new(),
        }
    };
    let (is_open, releases) = (!line.state.is_final(), line.kind.releases());
    let new: usize = order.batches.iter().map(|batch| batch.pods.len()).sum();
    let new = words::of_pods(i32::try_from(new).unwrap_or(i32::MAX));
    let choose = |action: &Action| match action {
        Action::Continue { batch, number, pods } => {
            let pods = words::of_pods(*pods);
            let label = format!("Continue with batch {number} ({pods})");
            let effect = format!(
                "Adds {pods} of the new version; as many of the old one go when these serve."
            );
            let batch = batch.to_string();
            Choice { batch, is_main: true, ..choice("continue", label, effect) }
        }
        Action::Retry { batch, number } => {
            let failed = order.batches.iter().find(|it| it.number == *number);
            let pods = words::of_pods(failed.map_or(0, |it| it.size));
            let effect = format!(
                "Opens an order that goes on with batch {number} ({pods}); the pods of the batches before it stay."
            );
            let batch = batch.to_string();
            let label = format!("Retry from batch {number}");
            Choice { batch, is_main: true, ..choice("retry", label, effect) }
        }
        Action::StepBack { most } => {
            let effect = "The first batches stay as you say. The new pods of those after them go, once as many old ones are back; then the order waits for you.".into();
            let stay = (1..=*most).rev().collect();
            Choice { stay, ..choice("step-back", "Step back".into(), effect) }
        }
        Action::Approve => {
            let effect =
                format!("{} ordered this. It begins once you have approved it.", line.created_by);
            Choice { is_main: true, ..choice("approve", "Approve".into(), effect) }
        }
        Action::Reject => {
            let effect = "The order ends. Nothing was changed.".into();
            Choice { is_grave: true, ..choice("reject", "Reject".into(), effect) }
        }
        Action::LiftFreeze => {
            let effect =
                "The order begins although the freeze window is closed. Say why: it is on record."
                    .into();
            Choice {
                is_grave: true,
                ..choice("lift-freeze", "Begin in spite of the freeze".into(), effect)
            }
        }
        Action::Abort => {
            let effect = if releases {
                format!(
                    "No further batch begins. {new} of the new version stay beside the old ones, until you retry, release or roll back."
                )
            } else {
                "Nothing further is done. What was changed stays.".into()
            };
            Choice { is_grave: true, ..choice("abort", "Stop here".into(), effect) }
        }
        Action::RollBack => {
            let label = if is_open { "Stop and roll back" } else { "Roll back" };
            let effect = if releases {
                format!("{new} of this version go, and those of the version before come back.")
            } else {
                "The number of pods goes back to what it was before.".into()
            };
            Choice { is_grave: true, ..choice("roll-back", label.into(), effect) }
        }
    };
    let mut choices: Choices = order.actions.iter().map(choose).collect();
    choices.sort_by_key(|choice| !choice.is_main);
    choices
}

/// What is on the buttons for these, in one text.
pub(crate) fn labels(actions: &[Action]) -> String {
    let label = |action: &Action| match action {
        Action::Continue { .. } => "continue",
        Action::StepBack { .. } => "step back",
        Action::Approve => "approve",
        Action::Reject => "reject",
        Action::LiftFreeze => "let through the freeze",
        Action::Abort => "stop",
        Action::RollBack => "roll back",
        Action::Retry { .. } => "retry",
    };
    actions.iter().map(label).collect::<Vec<_>>().join(", ")
}

/// Does what a button says.
pub(crate) async fn act(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path((id, action)): Path<(String, String)>,
    Posted(form): Posted,
) -> Result<Response, Fault> {
    let order = order_id(&id)?;
    let caller = signed_in.caller(&format!("/console/orders/{id}/{action}"), &form)?;
    let done = match action.as_str() {
        "continue" => access::Action::CONFIRM,
        "step-back" => access::Action::STEP_BACK,
        "abort" => access::Action::ABORT,
        "roll-back" => access::Action::ROLL_BACK,
        "retry" => access::Action::RETRY,
        "approve" => access::Action::APPROVE,
        "reject" => access::Action::REJECT,
        "lift-freeze" => access::Action::LIFT_FREEZE,
        _ => return Err(Fault::not_found()),
    };
    // Both operations are this button. Whoever may neither is refused by the first one.
    let others = match done {
        access::Action::ROLL_BACK => {
            signed_in.within(&console, access::Action::ABORT_AND_ROLL_BACK)
        }
        _ => Err(Fault::not_found()),
    };
    let console = match (signed_in.within(&console, done), &others) {
        (Err(_), Ok(other)) => other.clone(),
        (console, _) => console?,
    };
    let service = &console.service;
    let batch = || -> Result<BatchId, Fault> {
        let text = form.text("batch");
        text.parse().map_err(|_| Rejection::UnknownBatch(text.into()).into())
    };
    let shown = match action.as_str() {
        "continue" => {
            service.confirm_of(&caller, order, batch()?).await?;
            order
        }
        "step-back" => {
            let stay = form.number("stay", "The number of batches that stay");
            service.step_back(&caller, order, stay.map_err(Fault::unreadable)?).await?
        }
        "abort" => service.abort(&caller, order).await?,
        "approve" => service.approve(&caller, order).await?,
        "reject" => service.reject(&caller, order).await?,
        "lift-freeze" => service.lift_freeze(&caller, order).await?,
        "roll-back" => match (service.roll_back(&caller, order).await, others) {
            (Err(Error::Rejected(Rejection::NotAllowed { .. })), Ok(other)) => {
                other.service.roll_back(&caller, order).await?
            }
            (done, _) => done?,
        },
        "retry" => service.retry_of(&caller, order, batch()?).await?,
        _ => return Err(Fault::not_found()),
    };
    Ok(Redirect::to(&format!("/console/orders/{shown}")).into_response())
}
