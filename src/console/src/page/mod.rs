//! The pages.

pub(crate) mod action;
pub(crate) mod application;
pub(crate) mod applications;
pub(crate) mod channels;
pub(crate) mod holds;
pub(crate) mod order;
pub(crate) mod orders;
pub(crate) mod people;
pub(crate) mod release;

use askama::Template;
use axum::response::Html;
use uuid::Uuid;

use crate::{
    fault::Fault,
    form::Form,
    words::{self, Moment, Sign},
};
use domain::{ApplicationId, OrderId, Rejection, order::State as OrderState};
use jiff::Timestamp;
use service::ListedOrder;

/// A page as it is sent.
pub(crate) type Page = Result<Html<String>, Fault>;

pub(crate) fn render(page: &impl Template) -> Page {
    Ok(Html(page.render()?))
}

/// The order that an address names. A text that cannot be an id is one that nothing has.
pub(crate) fn order_id(text: &str) -> Result<OrderId, Fault> {
    text.parse().map_err(|_| Rejection::UnknownOrder(text.chars().take(100).collect()).into())
}

pub(crate) fn application_id(text: &str) -> Result<ApplicationId, Fault> {
    text.parse().map_err(|_| Rejection::UnknownApplication(text.chars().take(100).collect()).into())
}

/// A nonce for a form: the form is one request, however often it is sent.
pub(crate) fn nonce() -> String {
    Uuid::now_v7().simple().to_string()
}

/// The states of an order that has not ended.
pub(crate) const OPEN: [OrderState; 5] = [
    OrderState::Ready,
    OrderState::WaitingApproval,
    OrderState::Running,
    OrderState::WaitingConfirmation,
    OrderState::WaitingInterval,
];

/// The place of an order in a list, newest first.
pub(crate) fn place(order: &ListedOrder) -> String {
    format!("{},{}", order.created_at, order.id)
}

/// The place before which a list goes on.
pub(crate) fn before(asked: &Form) -> Option<(Timestamp, OrderId)> {
    let (at, id) = asked.text("before").split_once(',')?;
    let at = at.parse().ok().filter(|at| *at >= domain::limits::EARLIEST_TIME)?;
    Some((at, id.parse().ok()?))
}

/// An order in a list.
#[derive(Debug)]
pub(crate) struct OrderLine {
    pub id: String,
    pub application: String,
    pub namespace: String,
    pub name: String,
    pub kind: &'static str,
    pub sign: Sign,
    /// Which batch it is at, of how many; empty where there is but one.
    pub progress: String,
    pub version: String,
    pub message: String,
    pub at: Moment,
    /// How long it took, or goes on.
    pub took: String,
    pub by: String,
    pub source: &'static str,
}

impl OrderLine {
    /// As somebody sees it who may let batches begin, or may not.
    pub(crate) fn of(order: &ListedOrder, now: Timestamp, may_continue: bool) -> Self {
        let batches = order.strategy.count();
        let is_open = !order.state.is_final();
        Self {
            id: order.id.to_string(),
            application: order.application.to_string(),
            namespace: order.namespace.clone(),
            name: order.name.clone(),
            kind: words::of_kind(order.kind),
            sign: words::of_state_for(order.state, may_continue),
            progress: if batches > 1 && is_open {
                format!("{}/{batches}", (order.batch + 1).min(batches))
            } else {
                String::new()
            },
            version: order.version.clone(),
            message: order.message.clone(),
            at: words::since(order.created_at, now),
            took: match order.finished_at {
                Some(end) => format!("took {}", words::took(order.created_at, end)),
                None => format!("for {}", words::took(order.created_at, now)),
            },
            by: order.created_by.clone(),
            source: words::of_source(order.source),
        }
    }
}
