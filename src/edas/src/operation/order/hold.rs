//! Our own operations about what holds orders off before they begin: approving, rejecting, and
//! the rules of approval and freeze windows.

use serde::Serialize;
use utoipa::ToSchema;

use super::changeorder::{AbortReply, abort_reply};
use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        reply::{Nothing, Reply},
    },
};
use domain::hold::{HeldBy, WrittenRule};
use service::HoldRuleRow;

/// Reply of ListHoldRules.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct HoldRulesReply {
    /// The rules, by name.
    pub hold_rules: Vec<ListedHoldRule>,
}

/// A rule that holds orders off before they begin.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedHoldRule {
    /// Its name.
    #[schema(example = "four-eyes")]
    pub name: String,
    /// `approval`: somebody else must approve. `freeze`: nothing begins while a period lasts.
    #[schema(example = "approval")]
    pub held_by: String,
    /// Why there is the rule.
    pub description: String,
    /// Patterns of the Kubernetes namespaces that it is for; none is all.
    pub namespaces: Vec<String>,
    /// Patterns of the names of applications that it is for; none is all.
    pub applications: Vec<String>,
    /// What it holds off: `create`, `deploy`, `configure`, `delete`, `restart`, `scale`, `stop`, `start`.
    pub kinds: Vec<String>,
    /// IANA name of the time zone by whose clock the periods go; empty for a rule of approval.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// When nothing begins.
    pub periods: Vec<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    #[schema(example = "2026-11-24T00:00:00Z")]
    pub created_at: String,
}

/// Lets an order begin that waits for a second person.
///
/// Not in EDAS. Whoever ordered it cannot: another principal must, or another person who is
/// signed in. Before it begins, an order may still wait for the end of a freeze window.
#[utoipa::path(
    put, path = "/sluice/v1/approve", operation_id = "ApproveChangeOrder", tag = "Change orders",
    responses((status = 200, description = "Approved.", body = Reply<AbortReply>))
)]
pub async fn approve(call: Call) -> Result<Reply<AbortReply>, ApiError> {
    let order = call.service.approve(&call.caller, call.order()?).await?;
    Ok(call.success(abort_reply(&call, order.to_string())))
}

/// Ends an order that waits for a second person.
///
/// Not in EDAS. Nothing was changed by it.
#[utoipa::path(
    put, path = "/sluice/v1/reject", operation_id = "RejectChangeOrder", tag = "Change orders",
    responses((status = 200, description = "Ended.", body = Reply<AbortReply>))
)]
pub async fn reject(call: Call) -> Result<Reply<AbortReply>, ApiError> {
    let order = call.service.reject(&call.caller, call.order()?).await?;
    Ok(call.success(abort_reply(&call, order.to_string())))
}

/// Lets an order begin although a freeze window is closed.
///
/// Not in EDAS. It approves nothing: an order that also waits for a second person goes on
/// waiting.
#[utoipa::path(
    put, path = "/sluice/v1/lift_freeze", operation_id = "LiftFreeze", tag = "Change orders",
    responses((status = 200, description = "It is let through.", body = Reply<AbortReply>))
)]
pub async fn lift(call: Call) -> Result<Reply<AbortReply>, ApiError> {
    let order = call.service.lift_freeze(&call.caller, call.order()?).await?;
    Ok(call.success(abort_reply(&call, order.to_string())))
}

/// Makes a rule that holds orders off before they begin.
///
/// Not in EDAS. A rollback, and the return to a version of the history, are never held off.
#[utoipa::path(
    post, path = "/sluice/v1/holds", operation_id = "CreateHoldRule", tag = "Change orders",
    responses((status = 200, description = "Made.", body = Reply<Nothing>))
)]
pub async fn create(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let params = &call.params;
    let by = match params.required("HeldBy")? {
        "approval" => HeldBy::Approval,
        "freeze" => HeldBy::Freeze,
        other => return Err(ApiError::refused("HeldBy", other, "must be approval or freeze")),
    };
    let text = |name: &str| params.text(name).unwrap_or_default().to_owned();
    let written = WrittenRule {
        name: params.required("Name")?.to_owned(),
        reason: text("Description"),
        namespaces: params.list("Namespaces"),
        applications: params.list("Applications"),
        kinds: params.list("Kinds"),
        time_zone: text("TimeZone"),
        periods: params.list("Periods"),
    };
    call.service.create_hold_rule(&call.caller, by, &written).await?;
    Ok(call.success(Nothing {}))
}

/// Lists the rules that hold orders off before they begin.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/holds", operation_id = "ListHoldRules", tag = "Change orders",
    responses((status = 200, description = "The rules.", body = Reply<HoldRulesReply>))
)]
pub async fn list(call: Call) -> Result<Reply<HoldRulesReply>, ApiError> {
    let hold_rules = call.service.hold_rules().await?.into_iter().map(show).collect();
    Ok(call.success(HoldRulesReply { hold_rules }))
}

/// Deletes a rule that holds orders off.
///
/// Not in EDAS. What it held off begins, unless another rule fits.
#[utoipa::path(
    delete, path = "/sluice/v1/hold", operation_id = "DeleteHoldRule", tag = "Change orders",
    responses((status = 200, description = "Deleted.", body = Reply<Nothing>))
)]
pub async fn remove(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.delete_hold_rule(&call.caller, call.params.required("Name")?).await?;
    Ok(call.success(Nothing {}))
}

fn show(row: HoldRuleRow) -> ListedHoldRule {
    let HoldRuleRow { rule, created_by, created_at } = row;
    let calendar = rule.calendar();
    ListedHoldRule {
        held_by: rule.by().to_string(),
        time_zone: calendar.map(|it| it.time_zone().to_owned()).unwrap_or_default(),
        periods: calendar.map(|it| it.periods()).unwrap_or_default(),
        kinds: rule.kinds.iter().map(ToString::to_string).collect(),
        created_by,
        created_at: created_at.to_string(),
        namespaces: rule.namespaces,
        applications: rule.applications,
        name: rule.rule.name,
        description: rule.rule.reason,
    }
}
