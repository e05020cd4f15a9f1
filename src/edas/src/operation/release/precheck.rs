//! Asking first: StartK8sAppPrecheck, GetK8sAppPrecheckResult, and our own preview
//! of a release.
//!
//! All three tell what the same checks say. A preview takes the parameters of
//! DeployK8sApplication and shows the plan; its hash can be sent along with that.

use serde::Serialize;
use utoipa::ToSchema;

use super::deploy::read_deploy;
use crate::{
    edge::call::Call,
    value::{
        environment::read_envs,
        pods,
        resource::{AmountNames, read_amounts},
    },
    wire::{error::ApiError, input::with_names, reply::Reply},
};
use domain::{
    order::plan::BatchGate,
    precheck::{
        Check as Judged, Finding, PrecheckReport, ReleasePlan as Planned, Subject,
        preview::PreviewBatch,
    },
    template::spec::{Field, SpecChange},
};
use service::{Precheck, diff::diff};

/// Reply of StartK8sAppPrecheck.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StartReply {
    /// What is looked at.
    pub data: Jobs,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Jobs {
    /// Names of the checks, as they come in the result.
    pub jobs: Vec<String>,
}

/// Reply of GetK8sAppPrecheckResult.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ResultReply {
    /// The result so far.
    pub data: ResultData,
}

/// The result so far.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ResultData {
    /// `checking`, `pass` or `failed`.
    #[schema(example = "pass")]
    pub status: String,
    /// Why it failed; empty otherwise.
    pub reason: String,
    /// One for each check.
    pub job_results: Vec<JobResult>,
}

/// What one check says.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct JobResult {
    /// The check.
    #[schema(example = "Quota")]
    pub name: String,
    /// Whether the release can work as far as this goes.
    pub pass: bool,
    /// Why not; or a warning; or why it could not be looked at. Empty = nothing to say.
    pub reason: String,
    /// Whether it could not be looked at.
    pub interrupted: bool,
}

/// Reply of PreviewDeployment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PreviewReply {
    /// What the release would do; absent where it cannot even begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What it would change of the pod template, a line each, with some lines around; empty =
    /// nothing. Values that may be secret are not shown.
    pub difference: Vec<Line>,
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Line {
    /// `same`, `added`, `removed`, or `gap`: lines between are left out.
    #[schema(example = "added")]
    pub kind: String,
    /// The line, of the template as YAML.
    pub text: String,
}

/// What a release would do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Plan {
    /// Instances when it is done.
    pub replicas: i32,
    /// Most instances there are at once, of both versions.
    pub peak_pods: i32,
    /// Instances that may be missing at once: 0, unless old ones go first for lack of room.
    pub missing_pods: i32,
    /// Seconds that it is likely to take, from this application's earlier batches,
    /// without the time that a person takes; absent where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_seconds: Option<i64>,
    /// To be sent along with DeployK8sApplication: where the release would do
    /// something else by then, it is refused.
    pub plan_hash: String,
    /// Its batches.
    pub batches: Vec<PlannedBatch>,
}

/// One batch of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PlannedBatch {
    /// Its number, from 1.
    pub number: usize,
    /// Whether it is the canary.
    pub canary: bool,
    /// New instances that it adds.
    pub added: i32,
    /// Old instances that go for them.
    pub removed: i32,
    /// New instances after it.
    pub new_pods: i32,
    /// Old instances after it.
    pub old_pods: i32,
    /// What follows: `go_on` at once, `wait` for WaitMinutes, or `confirm` by a person.
    #[schema(example = "confirm")]
    pub next: String,
    /// Minutes until the next batch; 0 if none are waited.
    pub wait_minutes: u32,
}

/// What one check says.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Check {
    /// What was looked at.
    #[schema(example = "Quota")]
    pub name: String,
    /// `passed`, `warned`, `refused`, or `unseen`: it could not be looked at.
    #[schema(example = "passed")]
    pub verdict: String,
    /// Why; empty where it passed.
    pub reason: String,
}

/// Begins to look whether an application can be created or released like this.
///
/// The same checks as before a release or a creation. Poll GetK8sAppPrecheckResult
/// for what they say; nothing is changed.
#[utoipa::path(
    post, path = "/pop/v5/k8s/app_precheck", operation_id = "StartK8sAppPrecheck", tag = "Applications",
    responses((status = 200, description = "It is looked at.", body = Reply<StartReply>))
)]
pub async fn start(call: Call) -> Result<Reply<StartReply>, ApiError> {
    let params = &call.params;
    let application = if params.text("AppId").is_some() { Some(call.application()?) } else { None };
    let name = if application.is_some() {
        params.text("AppName").unwrap_or_default()
    } else {
        params.required("AppName")?
    };
    let env = read_envs(params)?;
    let has_envs = env != Field::Keep;
    let request = Precheck {
        cluster: params.required("ClusterId")?.into(),
        namespace: params.required("Namespace")?.into(),
        name: name.into(),
        application,
        replicas: params.integer("Replicas")?,
        spec: SpecChange {
            image: params.text("ImageUrl").map(Into::into),
            env,
            pods: Box::new(pods::read(params, has_envs)?),
            ..read_amounts(params, &AmountNames::PRECHECK)?
        },
    };
    call.service.start_precheck(request).await?;
    Ok(call.success(StartReply {
        data: Jobs { jobs: Subject::ALL.iter().map(|subject| subject.word().to_owned()).collect() },
    }))
}

/// What the newest precheck of an application says.
///
/// A check that passes and has a Reason is a warning; one that could not be looked
/// at is Interrupted and passes.
#[utoipa::path(
    get, path = "/pop/v5/k8s/app_precheck", operation_id = "GetK8sAppPrecheckResult", tag = "Applications",
    responses((status = 200, description = "The result so far.", body = Reply<ResultReply>))
)]
pub async fn result(call: Call) -> Result<Reply<ResultReply>, ApiError> {
    let params = &call.params;
    let (cluster, namespace, name) =
        (params.required("ClusterId")?, params.required("Namespace")?, params.required("AppName")?);
    let report = call.service.precheck_result(cluster, namespace, name).await?;
    Ok(call.success(ResultReply { data: result_data(report.as_ref()) }))
}

/// What a release would do, pod by pod, and whether it can. Nothing is ordered.
///
/// Takes the parameters of DeployK8sApplication.
#[utoipa::path(
    post, path = "/sluice/v1/plan", operation_id = "PreviewDeployment", tag = "Change orders",
    responses((status = 200, description = "The plan, and what was looked at for it.", body = Reply<PreviewReply>))
)]
pub async fn preview(call: Call) -> Result<Reply<PreviewReply>, ApiError> {
    let request = read_deploy(&call)?;
    let report = call.service.preview(&call.caller, request.clone()).await?;
    let (before, after) = call.service.template_change(&request).await?;
    Ok(call.success(PreviewReply {
        plan: report.plan.map(plan),
        checks: report.checks.into_iter().map(check).collect(),
        difference: diff(&before, &after).into_iter().map(line).collect(),
    }))
}

fn line(line: service::diff::Line) -> Line {
    Line { kind: line.kind.word().into(), text: line.text }
}

fn result_data(report: Option<&PrecheckReport>) -> ResultData {
    let Some(report) = report else {
        return ResultData {
            status: "checking".into(),
            reason: String::new(),
            job_results: Vec::new(),
        };
    };
    let refusal = report.refusal();
    let job = |check: &Judged| JobResult {
        name: check.subject.word().into(),
        pass: check.finding != Finding::Refused,
        reason: with_names(&check.reason),
        interrupted: check.finding == Finding::Unseen,
    };
    ResultData {
        status: if refusal.is_some() { "failed" } else { "pass" }.into(),
        reason: refusal.map(|check| with_names(&check.reason)).unwrap_or_default(),
        job_results: report.checks.iter().map(job).collect(),
    }
}

fn plan(plan: Planned) -> Plan {
    Plan {
        replicas: plan.replicas,
        peak_pods: plan.peak_pods,
        missing_pods: plan.max_unavailable,
        expected_seconds: plan.expected_seconds,
        plan_hash: plan.hash,
        batches: plan.batches.into_iter().map(batch).collect(),
    }
}

fn batch(batch: PreviewBatch) -> PlannedBatch {
    let (next, wait_minutes) = match batch.batch_gate {
        BatchGate::None => ("go_on", 0),
        BatchGate::Pause(minutes) => ("wait", minutes),
        BatchGate::Confirmation => ("confirm", 0),
    };
    PlannedBatch {
        number: batch.number,
        canary: batch.canary,
        added: batch.added,
        removed: batch.removed,
        new_pods: batch.new_pods,
        old_pods: batch.old_pods,
        next: next.into(),
        wait_minutes,
    }
}

fn check(check: Judged) -> Check {
    let verdict = match check.finding {
        Finding::Passed => "passed",
        Finding::Unseen => "unseen",
        Finding::Warned => "warned",
        Finding::Refused => "refused",
    };
    Check {
        name: check.subject.word().into(),
        verdict: verdict.into(),
        reason: with_names(&check.reason),
    }
}
