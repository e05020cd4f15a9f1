//! Following and steering change orders.
//!
//! GetChangeOrderInfo, ListRecentChangeOrder, ContinuePipeline, AbortChangeOrder,
//! AbortAndRollbackChangeOrder, RollbackChangeOrder, RetryChangeOrderTask and our
//! own StepBackChangeOrder. ContinuePipeline is a GET that changes
//! something, as in EDAS; nothing may cache or repeat it.

use serde::Serialize;
use utoipa::ToSchema;

use super::pipeline::{PipelineInfoList, pipelines, status};
use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        input::with_names,
        reply::{Nothing, Reply, SUCCESS, wrapped},
        time::local,
    },
};
use domain::{
    Rejection, Source,
    hold::HeldBy,
    order::{Kind, State, plan::Pace},
};
use service::OrderView;

/// The only instance group of a Kubernetes application.
pub(crate) const GROUP: &str = "_DEFAULT_GROUP";

/// Reply of GetChangeOrderInfo.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChangeOrderInfoReply {
    /// The order. The key begins with a small letter.
    #[serde(rename = "changeOrderInfo")]
    pub info: ChangeOrderInfo,
}

/// A change order with its batches.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeOrderInfo {
    /// Its id.
    pub change_order_id: String,
    /// 0 accepted, 1 running, 2 succeeded, 3 failed, 6 aborted, 8 waits for a person, 9 waits for the next batch's time, 10 system error. 2, 3, 6 and 10 are final.
    #[schema(example = 1)]
    pub status: i32,
    /// `Create`, `Deploy`, `Rollback`, `Application Scale Out`, `Application Scale In`, `Stop`, `Start`, `Restart`, `Update Config` or `Delete`.
    #[schema(example = "Deploy")]
    pub co_type: String,
    /// `Automatic`, or `Manual` where a person confirms each batch.
    #[schema(example = "Automatic")]
    pub batch_type: String,
    /// Number of batches, the canary counted.
    #[schema(example = 3)]
    pub batch_count: i32,
    /// What is released.
    #[schema(example = "Version: 2.0 | Deployment Package: shop/web:2.0 | Deploy to: all groups")]
    pub change_order_description: String,
    /// The caller's ChangeOrderDesc; behind it, after ` | `, why the order failed or was aborted, or what it waits for. The models of EDAS' SDKs have no other field for that.
    #[schema(
        example = "New prices | waits for a person: batch 2 of 3 (2 instances) begins after ContinuePipeline"
    )]
    pub desc: String,
    /// When it was accepted, `YYYY-MM-DD hh:mm:ss` in UTC+8.
    #[schema(example = "2026-11-24 14:58:10")]
    pub create_time: String,
    /// Name of the access key that ordered it.
    pub create_user_id: String,
    /// Whether AbortAndRollbackChangeOrder is possible now: while the order is open, and after its end while it is the newest.
    pub support_rollback: bool,
    /// The instance groups it concerns: always the default one.
    pub targets: Targets,
    /// Traffic rules; empty.
    pub traffic_control: TrafficControl,
    /// The batches.
    pub pipeline_info_list: PipelineInfoList,
    /// Why the order ended as it did, or what it waits for; not in EDAS.
    pub status_message: String,
    /// What of the request has no effect on a plain cluster, and what the checks before the order warned of; not in EDAS.
    #[schema(example = json!(["Readiness: there is no readiness probe: a pod counts as Ready as soon as it runs, whether it can serve or not"]))]
    pub warnings: Vec<String>,
    /// What it waits for before it begins: `approval` by a second person, or the end of a `freeze` window; empty = nothing. Its Status is 0 meanwhile, as clients know no other for it. Not in EDAS.
    pub held_by: String,
    /// 11 while it waits for a second person's approval, 12 once it was approved, as in orders of SAE; 0 where it needs none, or is not known to yet. Not in EDAS.
    pub approval_status: i32,
    /// Who approved it; empty = nobody. Not in EDAS.
    pub approved_by: String,
    /// The order that rolls this one back, empty if there is none; not in EDAS.
    pub rolled_back_by: String,
    /// The order that this one rolls back, empty if there is none; not in EDAS.
    pub rolls_back: String,
}

wrapped! {
    /// Names of instance groups.
    Targets, "Items": String
}

/// Traffic rules of a canary release; none here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TrafficControl {
    /// JSON text of a list.
    pub routes: String,
    /// JSON text of a list.
    pub rules: String,
    /// A sentence.
    pub tips: String,
}

/// Reply of ListRecentChangeOrder.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeOrderListReply {
    /// The orders, newest first.
    pub change_order_list: ChangeOrderList,
}

wrapped! {
    /// Orders, newest first.
    ChangeOrderList, "ChangeOrder": ChangeOrder
}

/// A change order in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeOrder {
    /// Its id.
    pub change_order_id: String,
    /// Its application.
    pub app_id: String,
    /// Its instance group: always the default one.
    pub group_id: String,
    /// As in GetChangeOrderInfo.
    #[schema(example = 2)]
    pub status: i32,
    /// As in GetChangeOrderInfo.
    pub co_type: String,
    /// `CoCreateApp`, `CoDeploy`, `CoDeployHistroy` (sic), `CoRollback`, `CoScaleOut`, `CoScaleIn`, `CoStop`, `CoStart`, `CoRestartApplication`, `CoRescaleApplicationVertically`, `CoDeleteApp` or `CoUpdateK8sService` (a Service or load balancer; it has ended once it shows).
    #[schema(example = "CoDeploy")]
    pub co_type_code: String,
    /// `YYYY-MM-DD hh:mm:ss` in UTC+8.
    pub create_time: String,
    /// In the same form; empty while the order is open.
    pub finish_time: String,
    /// Name of the access key that ordered it.
    pub user_id: String,
    /// Name of the access key that ordered it.
    pub create_user_id: String,
    /// `pop` (this API), `console` (also a command of the program), or `sluice` (nobody: it rolls a failure back).
    #[schema(example = "pop")]
    pub source: String,
    /// Number of batches, the canary counted.
    pub batch_count: i32,
    /// `Automatic` or `Manual`.
    pub batch_type: String,
    /// What is released.
    pub change_order_description: String,
}

/// Reply of AbortChangeOrder and AbortAndRollbackChangeOrder.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AbortReply {
    /// The order that results.
    pub data: AbortData,
    /// `success`.
    pub error_code: String,
    /// The request's id.
    pub trace_id: String,
}

/// The order that results.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AbortData {
    /// AbortChangeOrder: the aborted order. AbortAndRollbackChangeOrder: the new order that rolls it back.
    pub change_order_id: String,
}

/// Shows an order with its batches, stages and instances.
///
/// Meant to be polled, about once a second.
#[utoipa::path(
    post, path = "/pop/v5/changeorder/change_order_info", operation_id = "GetChangeOrderInfo", tag = "Change orders",
    responses((status = 200, description = "The order.", body = Reply<ChangeOrderInfoReply>))
)]
pub async fn get_info(call: Call) -> Result<Reply<ChangeOrderInfoReply>, ApiError> {
    let order = call.service.order(call.order()?).await?;
    Ok(call.success(ChangeOrderInfoReply { info: info(&order) }))
}

/// Lists the orders of an application, newest first.
#[utoipa::path(
    post, path = "/pop/v5/changeorder/change_order_list", operation_id = "ListRecentChangeOrder", tag = "Change orders",
    responses((status = 200, description = "The orders.", body = Reply<ChangeOrderListReply>))
)]
pub async fn list_recent(call: Call) -> Result<Reply<ChangeOrderListReply>, ApiError> {
    let orders = call.service.recent_orders(call.application()?).await?;
    Ok(call.success(ChangeOrderListReply {
        change_order_list: ChangeOrderList { items: orders.iter().map(listed).collect() },
    }))
}

/// Confirms that the next batch of a waiting order may begin.
///
/// A GET that changes something: never cache or prefetch it.
#[utoipa::path(
    get, path = "/pop/v5/changeorder/pipeline_batch_confirm", operation_id = "ContinuePipeline", tag = "Change orders",
    responses((status = 200, description = "Done.", body = Reply<Nothing>))
)]
pub async fn confirm(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let batch = call.batch()?;
    let Some(confirm) = call.params.boolean("Confirm")? else {
        return Err(ApiError::refused(
            "Confirm",
            "",
            "must be true (the next batch begins) or false (it does not)",
        ));
    };
    call.service.confirm(&call.caller, batch, confirm).await?;
    Ok(call.success(Nothing {}))
}

/// Ends an order where it is.
///
/// Instances keep the version that they have now; takes effect at once.
#[utoipa::path(
    put, path = "/pop/v5/changeorder/change_order_abort", operation_id = "AbortChangeOrder", tag = "Change orders",
    responses((status = 200, description = "Aborted.", body = Reply<AbortReply>))
)]
pub async fn abort(call: Call) -> Result<Reply<AbortReply>, ApiError> {
    let aborted = call.service.abort(&call.caller, call.order()?).await?;
    Ok(call.success(abort_reply(&call, aborted.to_string())))
}

/// Ends an order and rolls it back.
///
/// The instances return to the version and settings before the order. The
/// reply has the id of a new order that does so; both can be followed. An order
/// that ended already is rolled back as well, while it is the newest of its
/// application.
#[utoipa::path(
    put, path = "/pop/v5/changeorder/change_order_abort_and_rollback", operation_id = "AbortAndRollbackChangeOrder", tag = "Change orders",
    responses((status = 200, description = "Aborted; the rollback has begun.", body = Reply<AbortReply>))
)]
pub async fn abort_and_roll_back(call: Call) -> Result<Reply<AbortReply>, ApiError> {
    let rollback = call.service.roll_back(&call.caller, call.order()?).await?;
    Ok(call.success(abort_reply(&call, rollback.to_string())))
}

/// Takes an order back: the same as AbortAndRollbackChangeOrder.
#[utoipa::path(
    put, path = "/pop/v5/oam/changeorder/rollback", operation_id = "RollbackChangeOrder", tag = "Change orders",
    responses((status = 200, description = "The rollback has begun.", body = Reply<AbortReply>))
)]
pub async fn roll_back(call: Call) -> Result<Reply<AbortReply>, ApiError> {
    abort_and_roll_back(call).await
}

/// Goes back within a release, and on from there.
///
/// Not in EDAS. The first `Batch` batches stay; the instances of those begun after
/// them give way to old ones, never with fewer ready than wanted. Then the order
/// waits, and ContinuePipeline lets it go on.
#[utoipa::path(
    put, path = "/sluice/v1/step_back", operation_id = "StepBackChangeOrder", tag = "Change orders",
    responses((status = 200, description = "It goes back.", body = Reply<AbortReply>))
)]
pub async fn step_back(call: Call) -> Result<Reply<AbortReply>, ApiError> {
    let stay = call.params.integer("Batch")?;
    let order = call.service.step_back(&call.caller, call.order()?, stay).await?;
    Ok(call.success(abort_reply(&call, order.to_string())))
}

/// Reply of RetryChangeOrderTask.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RetryReply {
    /// `success retry task`, and the id of the order that goes on.
    #[schema(example = "success retry task: change order 01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")]
    pub data: String,
}

/// Goes on from the batch that failed, where the release rests.
///
/// For a release that failed and was not rolled back (the server leaves it where it
/// is if it is told so). A new order begins with that batch, with new instances;
/// those of the batches before it stay. A GET that changes something: never cache
/// or prefetch it.
#[utoipa::path(
    get, path = "/pop/v5/changeorder/task_retry", operation_id = "RetryChangeOrderTask", tag = "Change orders",
    responses((status = 200, description = "A new order goes on.", body = Reply<RetryReply>))
)]
pub async fn retry(call: Call) -> Result<Reply<RetryReply>, ApiError> {
    let task = call.params.required("TaskId")?;
    // Tasks and stages are named by their batch.
    let batch = task.split('@').next().unwrap_or(task);
    let unknown = || {
        ApiError::business(
            "UnknownTask",
            format!("the task {} does not exist", task.chars().take(100).collect::<String>()),
        )
    };
    let batch = batch.parse().map_err(|_| unknown())?;
    if call.params.boolean("RetryStatus")? == Some(false) {
        return Err(ApiError::refused("RetryStatus", "false", "must be true or left out"));
    }
    let order = call.service.retry(&call.caller, batch).await.map_err(|error| match error {
        service::Error::Rejected(Rejection::UnknownBatch(_)) => unknown(),
        other => other.into(),
    })?;
    Ok(call.success(RetryReply { data: format!("success retry task: change order {order}") }))
}

pub(super) fn abort_reply(call: &Call, change_order_id: String) -> AbortReply {
    AbortReply {
        data: AbortData { change_order_id },
        error_code: SUCCESS.into(),
        trace_id: call.caller.request_id.clone(),
    }
}

fn info(order: &OrderView) -> ChangeOrderInfo {
    ChangeOrderInfo {
        change_order_id: order.id.to_string(),
        status: status(order.state),
        co_type: kind(order).0.into(),
        batch_type: batch_type(order).into(),
        batch_count: batch_count(order),
        change_order_description: describe(order),
        desc: desc(order),
        create_time: local(order.created_at),
        create_user_id: order.created_by.clone(),
        support_rollback: order.can_roll_back,
        targets: Targets { items: vec![GROUP.into()] },
        traffic_control: TrafficControl::default(),
        pipeline_info_list: pipelines(
            &order.batches,
            if goes_down(order) { "Scale In" } else { "Scale Out" },
            &waiting(order),
        ),
        status_message: with_names(&order.message),
        warnings: order.notes.clone(),
        held_by: order.held_by.map(|by| by.to_string()).unwrap_or_default(),
        approval_status: match (&order.approved_by, order.held_by) {
            (Some(_), _) => 12,
            (None, Some(HeldBy::Approval)) => 11,
            (None, _) => 0,
        },
        approved_by: order.approved_by.clone().unwrap_or_default(),
        rolled_back_by: order.rolled_back_by.map(|id| id.to_string()).unwrap_or_default(),
        rolls_back: order.rolls_back.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// What the caller said of an order, and what has become of it.
fn desc(order: &OrderView) -> String {
    let waits = waiting(order);
    let now = if waits.is_empty() { with_names(&order.message) } else { waits };
    let said = [order.description.clone(), now];
    said.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" | ")
}

/// What an order waits for between two batches; empty where it does not.
fn waiting(order: &OrderView) -> String {
    if order.state == State::WaitingApproval {
        return format!("{} (ApproveChangeOrder)", order.message);
    }
    let waiting = order.batches.iter().find(|batch| batch.state == State::WaitingConfirmation);
    let next = waiting.or_else(|| order.batches.iter().find(|it| it.started_at.is_none()));
    let Some(next) = next else { return String::new() };
    if next.started_at.is_some() {
        // Somebody paused the Deployment in its middle.
        return format!(
            "batch {} of {}: {}",
            next.number,
            order.batch_count,
            with_names(&order.message)
        );
    }
    let next = format!(
        "batch {} of {} ({} {})",
        next.number,
        order.batch_count,
        next.size,
        if next.size == 1 { "instance" } else { "instances" }
    );
    match order.state {
        State::WaitingConfirmation | State::WaitingInterval if !order.trouble.is_empty() => {
            format!("{next} does not begin while this lasts: {}", order.trouble)
        }
        State::WaitingConfirmation => {
            format!("waits for a person: {next} begins after ContinuePipeline")
        }
        State::WaitingInterval => format!("{next} begins by itself after the wait time"),
        _ => String::new(),
    }
}

fn listed(order: &OrderView) -> ChangeOrder {
    let (co_type, co_type_code) = kind(order);
    ChangeOrder {
        change_order_id: order.id.to_string(),
        app_id: order.application.to_string(),
        group_id: GROUP.into(),
        status: status(order.state),
        co_type: co_type.into(),
        co_type_code: co_type_code.into(),
        create_time: local(order.created_at),
        finish_time: order.finished_at.map(local).unwrap_or_default(),
        user_id: order.created_by.clone(),
        create_user_id: order.created_by.clone(),
        source: source(order.source).into(),
        batch_count: batch_count(order),
        batch_type: batch_type(order).into(),
        change_order_description: describe(order),
    }
}

/// EDAS' word for what an order was asked for through, which has none for commands.
fn source(source: Source) -> &'static str {
    match source {
        Source::Api => "pop",
        Source::Console | Source::Cli => "console",
        Source::System => "sluice",
    }
}

/// CoType, which one client compares with Create, Deploy and Stop, and CoTypeCode.
fn kind(order: &OrderView) -> (&'static str, &'static str) {
    match order.kind {
        Kind::Create => ("Create", "CoCreateApp"),
        Kind::Deploy => ("Deploy", "CoDeploy"),
        Kind::DeployVersion => ("Deploy", "CoDeployHistroy"),
        Kind::Rollback => ("Rollback", "CoRollback"),
        Kind::Scale if goes_down(order) => ("Application Scale In", "CoScaleIn"),
        Kind::Scale => ("Application Scale Out", "CoScaleOut"),
        Kind::Stop => ("Stop", "CoStop"),
        Kind::Start => ("Start", "CoStart"),
        Kind::Restart => ("Restart", "CoRestartApplication"),
        Kind::Configure => ("Update Config", "CoRescaleApplicationVertically"),
        Kind::Delete => ("Delete", "CoDeleteApp"),
        Kind::ObjectWrite => ("Update Service", "CoUpdateK8sService"),
    }
}

/// Whether all that happens to instances is that some go.
fn goes_down(order: &OrderView) -> bool {
    order.replicas_before.is_some() && order.replicas < order.replicas_before
}

fn batch_type(order: &OrderView) -> &'static str {
    match order.strategy.pace {
        Pace::Automatic { .. } => "Automatic",
        Pace::Manual => "Manual",
    }
}

fn batch_count(order: &OrderView) -> i32 {
    i32::try_from(order.batch_count).unwrap_or(i32::MAX)
}

fn describe(order: &OrderView) -> String {
    if order.kind == Kind::ObjectWrite {
        return order.description.clone();
    }
    let mut parts = Vec::new();
    if !order.version.is_empty() {
        parts.push(format!("Version: {}", order.version));
    }
    let package = order.package.as_ref().map_or(&order.image, |package| &package.address);
    if !package.is_empty() {
        parts.push(format!("Deployment Package: {package}"));
    }
    if let (Some(before), Some(after)) = (order.replicas_before, order.replicas) {
        parts.push(format!("Instances: {before} to {after}"));
    }
    parts.push(
        if order.kind == Kind::Delete { "Delete: all groups" } else { "Deploy to: all groups" }
            .into(),
    );
    parts.join(" | ")
}

#[cfg(test)]
mod tests;
