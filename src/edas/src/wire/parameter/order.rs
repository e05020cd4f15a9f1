//! The parameters of change orders.

use super::{
    Parameter, boolean, integer,
    shared::{APP_ID, REASON},
    text,
};

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
    REASON,
];

/// Of AbortChangeOrder.
pub const ABORT_CHANGE_ORDER: &[Parameter] = &[CHANGE_ORDER_ID, REASON];

/// Of AbortAndRollbackChangeOrder.
pub const ABORT_AND_ROLLBACK_CHANGE_ORDER: &[Parameter] = &[ORDER_TO_ROLL_BACK, REASON];

/// Of RollbackChangeOrder.
pub const ROLLBACK_CHANGE_ORDER: &[Parameter] = &[ORDER_TO_ROLL_BACK, REASON];

/// Of StepBackChangeOrder.
pub const STEP_BACK_CHANGE_ORDER: &[Parameter] = &[
    text("ChangeOrderId").required().about("The order's id. It must be under way in batches."),
    integer("Batch", 1, i32::MAX as i64).about(
        "Number of batches that stay, the canary counted; if absent, one batch less \
         than are done or under way.",
    ),
    REASON,
];

/// Of ApproveChangeOrder.
pub const APPROVE_CHANGE_ORDER: &[Parameter] = &[CHANGE_ORDER_ID, REASON];

/// Of RejectChangeOrder.
pub const REJECT_CHANGE_ORDER: &[Parameter] = &[CHANGE_ORDER_ID, REASON];

/// Of LiftFreeze.
pub const LIFT_FREEZE: &[Parameter] = &[CHANGE_ORDER_ID, REASON];

const RULE: Parameter = text("Name")
    .required()
    .about("The rule's name: 1 to 63 lower-case letters, digits and `-`.")
    .example("four-eyes");

/// Of CreateHoldRule.
pub const CREATE_HOLD_RULE: &[Parameter] = &[
    RULE,
    text("HeldBy").required().about(
        "`approval`: a second person must approve orders. `freeze`: none begins while a period \
         lasts.",
    ),
    text("Description").about("Why there is the rule, in at most 200 characters."),
    text("Namespaces").about(
        "Kubernetes namespaces that it is for, `*` for any characters; several with commas, at \
         most 50; all if absent.",
    ),
    text("Applications").about(
        "Names of applications that it is for, `*` for any characters; several with commas, at \
         most 50; all if absent.",
    ),
    text("Kinds").about(
        "What it holds off, with commas: `create`, `deploy`, `configure` and `delete` (these if \
         absent), `restart`, `scale`, `stop`, `start`.",
    ),
    text("TimeZone")
        .about("IANA name of the time zone by whose clock the periods go; UTC if absent.")
        .example("Europe/Berlin"),
    text("Periods")
        .about(
            "Of a freeze window: when nothing begins. `2026-12-24T18:00/2027-01-04T08:00`, \
             `fri 18:00/mon 08:00` or `daily 22:00/06:00`; several with commas, at most 20.",
        )
        .example("fri 18:00/mon 08:00"),
];

/// Of ListHoldRules.
pub const LIST_HOLD_RULES: &[Parameter] = &[];

/// Of DeleteHoldRule.
pub const DELETE_HOLD_RULE: &[Parameter] = &[RULE];

/// Of RetryChangeOrderTask.
pub const RETRY_CHANGE_ORDER_TASK: &[Parameter] = &[
    text("TaskId").required().about("Id of a task of the batch that failed (TaskInfoDTO.TaskId)."),
    boolean("RetryStatus").about(
        "`true` (in any case) or absent: try again. `false` is refused: there is \
         nothing that would not be tried again.",
    ),
    REASON,
];

const ORDER_IN_PATH: Parameter = text("id").required().about("The order's id.");
const NAMESPACE: Parameter =
    text("namespace").about("Only of this Kubernetes namespace.").example("shop");
const CLUSTER: Parameter = text("cluster").about("Only on the cluster with this id.");
const NAME: Parameter = text("name").about("Only of applications with exactly this name.");
const NEEDS_PERSON: Parameter =
    boolean("needs_person").about("`true`: only those that wait for a person.");
const LIMIT: Parameter = integer("limit", 1, 200).about("Most lines in the reply; 50 if absent.");
const AFTER: Parameter =
    text("after").about("`next` of the reply before: the list goes on behind it.");

/// Of GetOrder.
pub const GET_ORDER: &[Parameter] = &[ORDER_IN_PATH];

/// Of WatchOrder.
pub const WATCH_ORDER: &[Parameter] = &[ORDER_IN_PATH];

/// Of ListOrders.
pub const LIST_ORDERS: &[Parameter] = &[
    NAMESPACE,
    CLUSTER,
    NAME,
    text("application").about("Only of the application with this id."),
    text("state").about(
        "Only in these states: `ready`, `waiting_approval`, `running`, `waiting_confirmation`, `waiting_interval`, `succeeded`, \
         `failed`, `aborted`, `system_failed`, or `open` for the first four; several with commas.",
    ),
    text("text").about("Part of a name, a version, a description or a message, in any case."),
    text("id_prefix").about("How the order's id begins."),
    text("since").about("Accepted then or later, such as 2026-11-24T00:00:00Z."),
    NEEDS_PERSON,
    LIMIT,
    AFTER,
];

/// Of ListApplications.
pub const LIST_APPLICATIONS: &[Parameter] = &[
    NAMESPACE,
    CLUSTER,
    NAME,
    text("state").about("Only with a newest order in these states, as in ListOrders."),
    text("text").about("Part of a name, a version or an image, in any case."),
    NEEDS_PERSON,
    LIMIT,
    AFTER,
];
