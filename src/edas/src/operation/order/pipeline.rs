//! The batches of an order as EDAS shows them: pipelines, stages, instances.
//!
//! The build plugins walk this tree in order and step on only where a status is
//! 2; a stage without a result crashes them, and stages of a batch that has not
//! begun would start their time-outs (R27). Scripts wait for a last stage
//! `Process Complete` whose message is `Success`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::{
    reply::wrapped,
    time::{iso, milliseconds},
};
use domain::{limits::INSTANCES, order::State};
use service::{BatchView, PodState};

/// EDAS' number of a state: the same for orders, batches, stages and instances.
/// 4 and 5 do not occur; 7 (partly successful) is never given, since clients
/// take it for "nothing is running" or poll for ever.
#[must_use]
pub fn status(state: State) -> i32 {
    match state {
        // Clients know no other number for what has not begun: one of them ends with an error.
        State::Ready | State::WaitingApproval => 0,
        State::Running => 1,
        State::Succeeded => 2,
        State::Failed => 3,
        State::Aborted => 6,
        State::WaitingConfirmation => 8,
        State::WaitingInterval => 9,
        State::SystemFailed => 10,
    }
}

wrapped! {
    /// The batches of an order, in order.
    PipelineInfoList, "PipelineInfo": PipelineInfo
}

/// One batch.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PipelineInfo {
    /// The batch's id, for ContinuePipeline.
    pub pipeline_id: String,
    /// `Batch: 1`; the canary is marked.
    #[schema(example = "Batch: 1")]
    pub pipeline_name: String,
    /// 0 not begun, 1 running, 2 done, 3 failed, 6 aborted, 8 waits for a person, 9 waits for its time, 10 system error.
    #[schema(example = 2)]
    pub pipeline_status: i32,
    /// When it began, in milliseconds since 1970, as text; empty before.
    #[schema(example = "1795474690793")]
    pub start_time: String,
    /// When it changed last, in the same form.
    #[schema(example = "1795474690793")]
    pub update_time: String,
    /// What the batch does, with its instances; empty before it begins.
    pub stage_list: StageList,
    /// The same by tasks, with the error of a failed batch; empty before it begins.
    pub stage_detail_list: StageDetailList,
}

wrapped! {
    /// Stages of a batch.
    StageList, "StageInfoDTO": StageInfo
}

/// One stage of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StageInfo {
    /// Its id.
    pub stage_id: String,
    /// `Process Start`, `Scale Out` (`Scale In` where instances only go) or `Process Complete`.
    #[schema(example = "Scale Out")]
    pub stage_name: String,
    /// As PipelineStatus.
    pub status: i32,
    /// Its result; always there.
    #[serde(rename = "StageResultDTO")]
    pub stage_result: StageResult,
}

/// What came out of a stage.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StageResult {
    /// For stages that concern the batch as a whole; `{}` otherwise.
    pub service_stage: ServiceStage,
    /// For stages that concern instances.
    #[serde(rename = "InstanceDTOList")]
    pub instances: InstanceList,
}

/// The result of a stage that concerns the batch as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceStage {
    /// Its id; clients wait for the stage only if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_id: Option<String>,
    /// As in the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_name: Option<String>,
    /// As PipelineStatus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// `Success`, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

wrapped! {
    /// Instances (pods) that a batch brings.
    InstanceList, "InstanceDTO": Instance
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// The pod's name.
    pub instance_name: String,
    /// The pod's address; empty while it has none.
    pub instance_ip: String,
    /// The pod's name.
    pub pod_name: String,
    /// The pod's phase in Kubernetes.
    #[schema(example = "Running")]
    pub pod_status: String,
    /// As PipelineStatus.
    pub status: i32,
    /// What happened to it.
    #[serde(rename = "InstanceStageDTOList")]
    pub stages: InstanceStageList,
}

wrapped! {
    /// Stages of one instance.
    InstanceStageList, "InstanceStageDTO": InstanceStage
}

/// One stage of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceStage {
    /// Its id.
    pub stage_id: String,
    /// `Start Instance`.
    #[schema(example = "Start Instance")]
    pub stage_name: String,
    /// As PipelineStatus.
    pub status: i32,
    /// Why the instance is not ready, in Kubernetes' words; else empty.
    pub stage_message: String,
    /// When the batch began, ISO 8601 in UTC.
    #[schema(example = "2026-11-24T06:58:10Z")]
    pub start_time: String,
    /// When the batch ended; empty before.
    pub finish_time: String,
}

wrapped! {
    /// Stages of a batch, by tasks.
    StageDetailList, "StageDetailDTO": StageDetail
}

/// One stage of a batch, by tasks.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StageDetail {
    /// Its id.
    pub stage_id: String,
    /// Its name.
    pub stage_name: String,
    /// As PipelineStatus.
    pub stage_status: i32,
    /// Its tasks.
    pub task_list: TaskList,
}

wrapped! {
    /// Tasks of a stage.
    TaskList, "TaskInfoDTO": TaskInfo
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TaskInfo {
    /// Its id.
    pub task_id: String,
    /// Its name.
    pub task_name: String,
    /// As PipelineStatus, but as text.
    #[schema(example = "2")]
    pub task_status: String,
    /// How far it is, or what it waits for.
    pub task_message: String,
    /// `BatchFailed` if the batch failed, else empty.
    pub task_error_code: String,
    /// Why the batch failed: pod, container, reason and Kubernetes' own text; else empty.
    pub task_error_message: String,
    /// Always 0: a failure is not tolerated.
    pub task_error_ignorance: i32,
    /// Always 0: tasks are not tried again by themselves.
    pub retry_type: i32,
    /// Always false.
    pub show_manual_ignorance: bool,
}

/// The batches as EDAS shows them; `stage` names what they do to instances. What the order
/// waits for stands behind the result of the newest batch: a batch that has not begun has
/// no task yet.
///
/// Of more than [`INSTANCES`] instances, those that are well are left out first, and
/// those of earlier batches before those of later ones. How many there are stands in
/// the tasks.
#[must_use]
pub fn pipelines(batches: &[BatchView], stage: &str, waits: &str) -> PipelineInfoList {
    let troubled = batches
        .iter()
        .map(|batch| batch.pods.iter().filter(|pod| !is_well(batch, pod)).count())
        .sum();
    let mut room =
        Room { troubled: INSTANCES.min(troubled), well: INSTANCES.saturating_sub(troubled) };
    let mut items: Vec<PipelineInfo> =
        batches.iter().rev().map(|batch| pipeline(batch, stage, &mut room)).collect();
    items.reverse();
    let newest = items.iter_mut().rev().find_map(|it| it.stage_detail_list.items.first_mut());
    if let (false, Some(stage)) = (waits.is_empty(), newest) {
        for task in &mut stage.task_list.items {
            task.task_message = format!("{}; {waits}", task.task_message);
        }
    }
    PipelineInfoList { items }
}

/// How many instances more a reply may show.
struct Room {
    troubled: usize,
    well: usize,
}

impl Room {
    /// Whether there is room for an instance, which then takes it.
    fn take(&mut self, is_well: bool) -> bool {
        let left = if is_well { &mut self.well } else { &mut self.troubled };
        let has_room = *left > 0;
        *left = left.saturating_sub(1);
        has_room
    }
}

/// The batch may have ended well, whatever became of the pod later.
fn is_well(batch: &BatchView, pod: &PodState) -> bool {
    pod.ready || batch.state == State::Succeeded
}

fn pipeline(batch: &BatchView, stage: &str, room: &mut Room) -> PipelineInfo {
    let began = batch.started_at.is_some();
    PipelineInfo {
        pipeline_id: batch.id.to_string(),
        pipeline_name: format!(
            "Batch: {}{}",
            batch.number,
            if batch.canary { " (canary)" } else { "" }
        ),
        pipeline_status: status(batch.state),
        start_time: milliseconds(batch.started_at),
        update_time: milliseconds(began.then_some(batch.updated_at)),
        stage_list: StageList {
            items: if began { stages(batch, stage, room) } else { Vec::new() },
        },
        stage_detail_list: StageDetailList {
            items: if began { vec![detail(batch, stage)] } else { Vec::new() },
        },
    }
}

/// State of the stage in which the instances come up.
fn rollout_state(batch: &BatchView) -> State {
    match batch.state {
        // Waiting is what an order does between batches; what it did is done.
        State::Ready
        | State::WaitingApproval
        | State::Running
        | State::WaitingConfirmation
        | State::WaitingInterval => State::Running,
        State::Succeeded | State::Failed | State::Aborted | State::SystemFailed => batch.state,
    }
}

fn stages(batch: &BatchView, stage: &str, room: &mut Room) -> Vec<StageInfo> {
    let rollout = rollout_state(batch);
    let complete = if rollout.is_final() { rollout } else { State::Ready };
    let pods = batch.pods.iter().filter(|pod| room.take(is_well(batch, pod)));
    let instances = InstanceList { items: pods.map(|pod| instance(batch, pod, rollout)).collect() };
    vec![
        whole_stage(batch, 1, "Process Start", State::Succeeded),
        StageInfo {
            stage_id: format!("{}@2", batch.id),
            stage_name: stage.into(),
            status: status(rollout),
            stage_result: StageResult { service_stage: ServiceStage::default(), instances },
        },
        whole_stage(batch, 3, "Process Complete", complete),
    ]
}

fn whole_stage(batch: &BatchView, number: u8, name: &str, state: State) -> StageInfo {
    let service_stage = ServiceStage {
        stage_id: Some(format!("{}@{number}0", batch.id)),
        stage_name: Some(name.into()),
        status: Some(status(state)),
        message: Some(match state {
            State::Succeeded => "Success".into(),
            State::Failed | State::SystemFailed | State::Aborted => batch.message.clone(),
            State::Ready
            | State::WaitingApproval
            | State::Running
            | State::WaitingConfirmation
            | State::WaitingInterval => String::new(),
        }),
    };
    StageInfo {
        stage_id: format!("{}@{number}", batch.id),
        stage_name: name.into(),
        status: status(state),
        stage_result: StageResult { service_stage, instances: InstanceList::default() },
    }
}

fn instance(batch: &BatchView, pod: &PodState, rollout: State) -> Instance {
    let state = match rollout {
        _ if is_well(batch, pod) => State::Succeeded,
        State::Failed | State::SystemFailed if pod.message.is_empty() => State::Aborted,
        _ => rollout,
    };
    let stage = InstanceStage {
        stage_id: format!("{}@2-{}", batch.id, pod.name),
        stage_name: "Start Instance".into(),
        status: status(state),
        stage_message: pod.message.clone(),
        start_time: iso(batch.started_at),
        finish_time: iso(batch.finished_at),
    };
    Instance {
        instance_name: pod.name.clone(),
        instance_ip: pod.ip.clone(),
        pod_name: pod.name.clone(),
        pod_status: pod.phase.clone(),
        status: status(state),
        stages: InstanceStageList { items: vec![stage] },
    }
}

fn detail(batch: &BatchView, stage: &str) -> StageDetail {
    let rollout = rollout_state(batch);
    let failed = matches!(rollout, State::Failed | State::SystemFailed);
    let ready = batch.pods.iter().filter(|pod| pod.ready).count();
    let progress = format!("{ready} of {} new instances are ready", batch.size);
    let task = TaskInfo {
        task_id: format!("{}@2-1", batch.id),
        task_name: stage.into(),
        task_status: status(rollout).to_string(),
        task_message: if failed || batch.message.is_empty() {
            progress
        } else {
            batch.message.clone()
        },
        task_error_code: if failed { "BatchFailed".into() } else { String::new() },
        task_error_message: if failed { batch.message.clone() } else { String::new() },
        task_error_ignorance: 0,
        retry_type: 0,
        show_manual_ignorance: false,
    };
    StageDetail {
        stage_id: format!("{}@2", batch.id),
        stage_name: stage.into(),
        stage_status: status(rollout),
        task_list: TaskList { items: vec![task] },
    }
}
