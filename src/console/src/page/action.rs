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
    BatchId, Rejection,
    order::{Kind, State as OrderState},
};
use service::{OrderEvent, OrderView};

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

/// What can be done to `order` now. `stay` is how many of its batches may stay if it steps
/// back. A form that is sent twice is one request, until something happens to the order.
pub(crate) fn choices(
    order: &OrderView,
    stay: usize,
    events: &[OrderEvent],
    session: &str,
) -> Choices {
    let newest = events.last().map_or(0, |event| event.number);
    let nonce = |action: &str| {
        let text = format!("{session} {} {action} {newest} {:?}", order.id, order.state);
        hex::encode(&Sha256::digest(text)[..16])
    };
    let choice = |action: &'static str, label: String, effect: String| Choice {
        nonce: nonce(action),
        action,
        label,
        effect,
        is_main: false,
        is_grave: false,
        batch: String::new(),
        stay: Vec::new(),
    };
    let mut choices = Vec::new();
    let is_open = !order.state.is_final();
    let waits =
        |state| matches!(state, OrderState::WaitingConfirmation | OrderState::WaitingInterval);
    let next = order.batches.iter().find(|batch| waits(batch.state));
    if waits(order.state)
        && let Some(batch) = next
    {
        let pods = words::of_pods(batch.size);
        let label = format!("Continue with batch {} ({pods})", batch.number);
        let effect =
            format!("Adds {pods} of the new version; as many of the old one go when these serve.");
        let batch = batch.id.to_string();
        choices.push(Choice { batch, is_main: true, ..choice("continue", label, effect) });
    }
    if let Some(failed) = order.batches.iter().find(|batch| batch.state == OrderState::Failed)
        && order.state == OrderState::Failed
        && order.can_roll_back
        && order.kind.releases()
        && order.kind != Kind::Restart
    {
        let label = format!("Retry from batch {}", failed.number);
        let pods = words::of_pods(failed.size);
        let effect = format!(
            "Opens an order that goes on with batch {} ({pods}); the pods of the batches before it stay.",
            failed.number
        );
        let batch = failed.id.to_string();
        choices.push(Choice { batch, is_main: true, ..choice("retry", label, effect) });
    }
    let new: usize = order.batches.iter().map(|batch| batch.pods.len()).sum();
    let new = words::of_pods(i32::try_from(new).unwrap_or(i32::MAX));
    if stay > 0 {
        let effect = "The first batches stay as you say. The new pods of those after them go, once as many old ones are back; then the order waits for you.".into();
        let stay = (1..=stay).rev().collect();
        choices.push(Choice { stay, ..choice("step-back", "Step back".into(), effect) });
    }
    if is_open && order.kind != Kind::Delete {
        let effect = if order.kind.releases() {
            format!(
                "No further batch begins. {new} of the new version stay beside the old ones, until you retry, release or roll back."
            )
        } else {
            "Nothing further is done. What was changed stays.".into()
        };
        choices.push(Choice { is_grave: true, ..choice("abort", "Stop here".into(), effect) });
    }
    if order.can_roll_back {
        let label = if is_open { "Stop and roll back" } else { "Roll back" };
        let effect = if order.kind.releases() {
            format!("{new} of this version go, and those of the version before come back.")
        } else {
            "The number of pods goes back to what it was before.".into()
        };
        choices.push(Choice { is_grave: true, ..choice("roll-back", label.into(), effect) });
    }
    choices
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
    let service = &console.service;
    let batch = || -> Result<BatchId, Fault> {
        let text = form.text("batch");
        text.parse().map_err(|_| Rejection::UnknownBatch(text.into()).into())
    };
    let shown = match action.as_str() {
        "continue" => {
            service.confirm(&caller, batch()?, true).await?;
            order
        }
        "step-back" => {
            let stay = form.number("stay", "The number of batches that stay");
            service.step_back(&caller, order, stay.map_err(Fault::unreadable)?).await?
        }
        "abort" => service.abort(&caller, order).await?,
        "roll-back" => service.roll_back(&caller, order).await?,
        "retry" => service.retry(&caller, batch()?).await?,
        _ => return Err(Fault::not_found()),
    };
    Ok(Redirect::to(&format!("/console/orders/{shown}")).into_response())
}
