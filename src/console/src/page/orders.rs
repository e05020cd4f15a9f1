//! The orders of all applications, newest first.

use askama::Template;
use axum::extract::State;

use super::{
    OrderLine, Page,
    applications::{Choice, address},
    render,
};
use crate::{
    Console,
    form::{Asked, Form},
    frame::{Frame, Place},
    session::SignedIn,
};
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
    let listed = console.service.listed_orders(&filter_of(&asked)).await?;
    let now = console.service.clock().now();
    let next = match listed.rows.last().filter(|_| listed.has_more) {
        Some(last) => {
            let before = format!("{},{}", last.created_at, last.id);
            address("/console/orders", &asked, &["namespace", "state", "q"], "before", &before)
        }
        None => String::new(),
    };
    render(&Orders {
        frame: Frame::new("Change orders", signed_in.name(), Place::Orders),
        namespace: asked.text("namespace").to_owned(),
        text: asked.text("q").to_owned(),
        states: Choice::all(STATES, asked.text("state")),
        rows: listed.rows.iter().map(|row| OrderLine::of(row, now)).collect(),
        next,
    })
}

fn filter_of(asked: &Form) -> WantedOrders {
    let states = match asked.text("state") {
        "open" => vec![
            OrderState::Ready,
            OrderState::Running,
            OrderState::WaitingConfirmation,
            OrderState::WaitingInterval,
        ],
        "needs" => vec![OrderState::WaitingConfirmation],
        "succeeded" => vec![OrderState::Succeeded],
        "failed" => vec![OrderState::Failed, OrderState::SystemFailed],
        "stopped" => vec![OrderState::Aborted],
        _ => Vec::new(),
    };
    let before = || {
        let (at, id) = asked.text("before").split_once(',')?;
        let at = at.parse().ok().filter(|at| *at >= domain::limits::EARLIEST_TIME)?;
        Some((at, id.parse().ok()?))
    };
    WantedOrders {
        namespace: asked.given("namespace").map(str::to_owned),
        text: asked.text("q").to_owned(),
        states,
        before: before(),
    }
}
