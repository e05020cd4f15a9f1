//! Lists over all applications and orders, in our own words, a page at a time.

use domain::{
    limits::EARLIEST_TIME,
    order::State as OrderState,
    snapshot::{ApplicationLine, OrderLine},
};
use jiff::Timestamp;
use serde::Serialize;
use service::{ApplicationFilter, Listed, OrderFilter};
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{error::ApiError, params::Params, reply::Reply},
};

/// Lines of a page if the request does not say.
const LINES: usize = 50;

/// Reply of ListOrders.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OrdersReply {
    /// The orders, newest first, each with what `docs/command-line.md` lists of one.
    #[schema(value_type = Vec<Object>)]
    pub orders: Vec<OrderLine>,
    /// What to send as `after` for the next page; empty = there is none.
    pub next: String,
}

/// Reply of ListApplications.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ApplicationsReply {
    /// The applications, by namespace and name, each with its newest order.
    #[schema(value_type = Vec<Object>)]
    pub applications: Vec<ApplicationLine>,
    /// What to send as `after` for the next page; empty = there is none.
    pub next: String,
}

/// Lists orders of all applications, newest first.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/orders", operation_id = "ListOrders", tag = "Change orders",
    responses((status = 200, description = "A page of orders.", body = Reply<OrdersReply>))
)]
pub async fn orders(call: Call) -> Result<Reply<OrdersReply>, ApiError> {
    let params = &call.params;
    let filter = OrderFilter {
        application: read(params, "application", "must be the id of an application")?,
        name: text(params, "name"),
        namespace: text(params, "namespace"),
        cluster: text(params, "cluster"),
        states: states(params)?,
        text: text(params, "text"),
        id: text(params, "id_prefix").map(|id| id.to_lowercase()),
        since: since(params)?,
        after: read(params, "after", "must be `next` of an earlier reply")?,
    };
    let Listed { rows: orders, has_more: more } =
        call.service.order_lines(&filter, limit(params)?).await?;
    let last = orders.last().filter(|_| more);
    let next = last.map(|order| order.id.to_string()).unwrap_or_default();
    Ok(call.success(OrdersReply { orders, next }))
}

/// Lists applications of all namespaces, with the newest order of each.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/applications", operation_id = "ListApplications", tag = "Applications",
    responses((status = 200, description = "A page of applications.", body = Reply<ApplicationsReply>))
)]
pub async fn applications(call: Call) -> Result<Reply<ApplicationsReply>, ApiError> {
    let params = &call.params;
    let filter = ApplicationFilter {
        name: text(params, "name"),
        namespace: text(params, "namespace"),
        cluster: text(params, "cluster"),
        states: states(params)?,
        text: text(params, "text"),
        after: read(params, "after", "must be `next` of an earlier reply")?,
    };
    let Listed { rows: applications, has_more: more } =
        call.service.application_lines(&filter, limit(params)?).await?;
    let last = applications.last().filter(|_| more);
    let next = last.map(|line| line.application.id.to_string()).unwrap_or_default();
    Ok(call.success(ApplicationsReply { applications, next }))
}

fn limit(params: &Params) -> Result<usize, ApiError> {
    Ok(params.integer("limit")?.unwrap_or(LINES))
}

fn text(params: &Params, name: &str) -> Option<String> {
    params.text(name).filter(|text| !text.is_empty()).map(Into::into)
}

fn read<T: std::str::FromStr>(
    params: &Params,
    name: &str,
    allowed: &str,
) -> Result<Option<T>, ApiError> {
    let value = text(params, name);
    value
        .map(|value| value.parse().map_err(|_| ApiError::refused(name, &value, allowed)))
        .transpose()
}

fn since(params: &Params) -> Result<Option<Timestamp>, ApiError> {
    let allowed = "must be a time such as 2026-11-24T00:00:00Z";
    let since = read(params, "since", allowed)?;
    if since.is_some_and(|at| at < EARLIEST_TIME) {
        return Err(ApiError::refused("since", params.text("since").unwrap_or_default(), allowed));
    }
    Ok(since)
}

const OPEN: [OrderState; 5] = [
    OrderState::Ready,
    OrderState::WaitingApproval,
    OrderState::Running,
    OrderState::WaitingConfirmation,
    OrderState::WaitingInterval,
];

/// The states that are asked for; none = all.
fn states(params: &Params) -> Result<Vec<OrderState>, ApiError> {
    let mut states = Vec::new();
    if params.boolean("needs_person")? == Some(true) {
        return Ok(vec![OrderState::WaitingApproval, OrderState::WaitingConfirmation]);
    }
    // More words than there are states say nothing.
    for word in params.text("state").unwrap_or_default().split(',').take(16).map(str::trim) {
        match word {
            "" => {}
            "open" => states.extend(OPEN),
            word => states.push(serde_json::from_value(word.into()).map_err(|_| {
                let allowed = "must be ready, waiting_approval, running, waiting_confirmation, waiting_interval, succeeded, failed, aborted, system_failed or open";
                ApiError::refused("state", word, allowed)
            })?),
        }
    }
    Ok(states)
}
