//! The orders of all applications, newest first.

use askama::Template;
use axum::extract::State;

use super::{
    OPEN, OrderLine, Page,
    applications::{Choice, address},
    before, place, render,
};
use crate::{
    Console,
    form::{Asked, Form},
    frame::{Frame, Place},
    session::SignedIn,
};
use domain::access::Action;
use domain::order::State as OrderState;
use service::WantedOrders;

#[derive(Template)]
#[template(path = "orders.html")]
struct Orders {
    frame: Frame,
    namespace: String,
    text: String,
    states: Vec<Choice>,
    rows: Vec<OrderLine>,
    next: String,
}

const STATES: &[(&str, &str)] = &[
    ("", "any state"),
    ("open", "open"),
    ("needs", "needs you"),
    ("succeeded", "succeeded"),
    ("failed", "failed"),
    ("stopped", "stopped"),
];

pub(crate) async fn list(
    State(console): State<Console>,
    signed_in: SignedIn,
    Asked(asked): Asked,
) -> Page {
    let console = signed_in.within(&console, Action::LIST)?;
    let listed = console.service.listed_orders(&filter_of(&asked)).await?;
    let now = console.service.clock().now();
    let may_continue = signed_in.may(Action::CONFIRM);
    let next = match listed.rows.last().filter(|_| listed.has_more) {
        Some(last) => {
            let kept = ["namespace", "state", "q"];
            address("/console/orders", &asked, &kept, "before", &place(last))
        }
        None => String::new(),
    };
    render(&Orders {
        frame: Frame::of("Change orders", &signed_in, Place::Orders),
        namespace: asked.text("namespace").to_owned(),
        text: asked.text("q").to_owned(),
        states: Choice::all(STATES, asked.text("state")),
        rows: listed.rows.iter().map(|row| OrderLine::of(row, now, may_continue)).collect(),
        next,
    })
}

fn filter_of(asked: &Form) -> WantedOrders {
    let states = match asked.text("state") {
        "open" => OPEN.to_vec(),
        "needs" => vec![OrderState::WaitingApproval, OrderState::WaitingConfirmation],
        "succeeded" => vec![OrderState::Succeeded],
        "failed" => vec![OrderState::Failed, OrderState::SystemFailed],
        "stopped" => vec![OrderState::Aborted],
        _ => Vec::new(),
    };
    WantedOrders {
        application: None,
        namespace: asked.given("namespace").map(str::to_owned),
        text: asked.text("q").to_owned(),
        states,
        before: before(asked),
    }
}
