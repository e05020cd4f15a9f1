//! The parameters of change orders.

use super::{Parameter, boolean, integer, shared::APP_ID, text};

pub(super) const CHANGE_ORDER_ID: Parameter =
    text("ChangeOrderId").required().about("The order's id.");

pub(super) const ORDER_TO_ROLL_BACK: Parameter =
    text("ChangeOrderId").required().about("Id of the order to roll back.");

/// Of GetChangeOrderInfo.
pub const GET_CHANGE_ORDER_INFO: &[Parameter] = &[CHANGE_ORDER_ID];

/// Of ListRecentChangeOrder.
pub const LIST_RECENT_CHANGE_ORDER: &[Parameter] = &[APP_ID];

/// Of ContinuePipeline.
pub const CONTINUE_PIPELINE: &[Parameter] = &[
    text("PipelineId").required().about(
        "Id of the batch that waits, or of the one just finished \
         (PipelineInfo.PipelineId).",
    ),
    boolean("Confirm").required().about(
        "`true` (in any case): the next batch begins. `false`: the order goes on \
         waiting, and the refusal is recorded. Must be given.",
    ),
];

/// Of AbortChangeOrder.
pub const ABORT_CHANGE_ORDER: &[Parameter] = &[CHANGE_ORDER_ID];

/// Of AbortAndRollbackChangeOrder.
pub const ABORT_AND_ROLLBACK_CHANGE_ORDER: &[Parameter] = &[ORDER_TO_ROLL_BACK];

/// Of RollbackChangeOrder.
pub const ROLLBACK_CHANGE_ORDER: &[Parameter] = &[ORDER_TO_ROLL_BACK];

/// Of StepBackChangeOrder.
pub const STEP_BACK_CHANGE_ORDER: &[Parameter] = &[
    text("ChangeOrderId").required().about("The order's id. It must be under way in batches."),
    integer("Batch", 1, i32::MAX as i64).about(
        "Number of batches that stay, the canary counted; if absent, one batch less \
         than are done or under way.",
    ),
];

/// Of RetryChangeOrderTask.
pub const RETRY_CHANGE_ORDER_TASK: &[Parameter] = &[
    text("TaskId").required().about("Id of a task of the batch that failed (TaskInfoDTO.TaskId)."),
    boolean("RetryStatus").about(
        "`true` (in any case) or absent: try again. `false` is refused: there is \
         nothing that would not be tried again.",
    ),
];
