//! Scaling rules: CreateApplicationScalingRule, UpdateApplicationScalingRule,
//! DescribeApplicationScalingRules, EnableApplicationScalingRule,
//! DisableApplicationScalingRule and DeleteApplicationScalingRule.
//!
//! An enabled rule is a HorizontalPodAutoscaler. Rules by time of day, or by what plain
//! Kubernetes does not measure, are refused by name.

use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Edge,
    call::Call,
    error::ApiError,
    reply::{Nothing, Reply},
    value::scaling::{read_behaviour, read_range},
};
use crate::{
    domain::{
        Rejection,
        autoscaling::{Pace, SelectPolicy, StepUnit},
    },
    service::{RuleView, RuleWish},
};

/// A reply with one rule.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingRuleReply {
    /// The rule, as it is now.
    pub app_scaling_rule: AppScalingRule,
}

/// Reply of DescribeApplicationScalingRules.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingRuleListReply {
    /// The rules.
    pub app_scaling_rules: ScalingRulePage,
}

/// All rules of an application, on one page.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingRulePage {
    /// Always 1.
    pub current_page: i64,
    /// How many there are.
    pub page_size: i64,
    /// How many there are.
    pub total_size: i64,
    /// The rules, by name; a plain list.
    pub result: Vec<AppScalingRule>,
}

/// A scaling rule.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AppScalingRule {
    /// The application's id.
    pub app_id: String,
    /// The rule's name.
    pub scale_rule_name: String,
    /// Always `trigger`.
    #[schema(example = "trigger")]
    pub scale_rule_type: String,
    /// Whether it is enabled: whether its HorizontalPodAutoscaler is on the cluster.
    pub scale_rule_enabled: bool,
    /// Fewest pods.
    pub min_replicas: i32,
    /// Most pods.
    pub max_replicas: i32,
    /// What it goes by.
    pub trigger: ScalingTrigger,
    /// The same, as the parameter ScalingRuleMetric says it.
    pub metric: ScalingMetric,
    /// How fast; absent where it is as Kubernetes does by itself, and in the replies of
    /// EnableApplicationScalingRule and DisableApplicationScalingRule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<ScalingBehaviour>,
    /// When it was created, in milliseconds since 1970.
    pub create_time: i64,
    /// When it last changed, in milliseconds since 1970.
    pub update_time: i64,
    /// When it was last disabled, in milliseconds since 1970; 0 if never.
    pub last_disable_time: i64,
}

/// What a rule goes by.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingTrigger {
    /// Fewest pods.
    pub min_replicas: i32,
    /// Most pods.
    pub max_replicas: i32,
    /// The triggers; a plain list.
    pub triggers: Vec<ScalingTriggerItem>,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingTriggerItem {
    /// Its name.
    pub name: String,
    /// `cpu` or `memory`.
    #[schema(example = "cpu")]
    pub r#type: String,
    /// What it aims at, as JSON text.
    #[schema(example = r#"{"type":"Utilization","value":"60"}"#)]
    pub meta_data: String,
}

/// What a rule goes by, in the older form.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingMetric {
    /// Fewest pods.
    pub min_replicas: i32,
    /// Most pods.
    pub max_replicas: i32,
    /// The metrics; a plain list.
    pub metrics: Vec<ScalingMetricItem>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingMetricItem {
    /// `CPU` or `MEMORY`.
    #[schema(example = "CPU")]
    pub metric_type: String,
    /// The use by the pods on average that is aimed at, in percent of what they request.
    pub metric_target_average_utilization: i32,
}

/// How fast a rule is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingBehaviour {
    /// Adding pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingPace>,
    /// Taking pods away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingPace>,
}

/// How fast it goes in one direction.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingPace {
    /// How long what was asked for before still counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stabilization_window_seconds: Option<i32>,
    /// `Max`, `Min` or `Disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<String>,
    /// The steps that are allowed; a plain list.
    pub policies: Vec<ScalingPolicy>,
}

/// A step that is allowed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingPolicy {
    /// `Pods` or `Percent`.
    pub r#type: String,
    /// How many.
    #[schema(example = "5")]
    pub value: String,
    /// Within how many seconds.
    pub period_seconds: i32,
}

/// Creates a rule by which an application is scaled with its load.
///
/// Enabled, it is a HorizontalPodAutoscaler (`autoscaling/v2`) named after the application
/// and the rule, which goes with the Deployment. It needs a metrics server, and requests of
/// the resource. One rule of an application can be enabled at a time. A release leaves the
/// number of pods to it.
#[utoipa::path(
    post, path = "/pop/v1/eam/scale/application_scaling_rule", operation_id = "CreateApplicationScalingRule", tag = "Applications",
    params(
        ("AppId" = String, Query, description = "The application's id."),
        ("ScalingRuleName" = String, Query, description = "The rule's name: a lower-case letter, then lower-case letters, digits and `-`, at most 32."),
        ("ScalingRuleType" = Option<String>, Query, description = "`trigger`, which it is if absent; `metric` means the same."),
        ("ScalingRuleTrigger" = Option<String>, Query, description = "What it goes by: JSON with `minReplicas` (1 or more), `maxReplicas` (at most 1000) and `triggers` of the types `cpu` and `memory`, each with the average use in percent that is aimed at. This or ScalingRuleMetric is needed.", example = r#"{"minReplicas":2,"maxReplicas":10,"triggers":[{"name":"busy","type":"cpu","metaData":{"type":"Utilization","value":"60"}}]}"#),
        ("ScalingRuleMetric" = Option<String>, Query, description = "The same in the older form.", example = r#"{"minReplicas":2,"maxReplicas":10,"metrics":[{"metricType":"CPU","metricTargetAverageUtilization":60}]}"#),
        ("ScalingBehaviour" = Option<String>, Query, description = "How fast it adds pods and takes them away: JSON as the `behavior` of a HorizontalPodAutoscaler.", example = r#"{"scaleUp":{"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[{"type":"Pods","value":5,"periodSeconds":15}]}}"#),
        ("ScalingRuleEnable" = Option<bool>, Query, description = "Whether it is enabled; yes if absent."),
    ),
    responses((status = 200, description = "Created.", body = Reply<ScalingRuleReply>))
)]
pub async fn create(State(edge): State<Edge>, call: Call) -> Result<Reply<ScalingRuleReply>, ApiError> {
    let rule = edge.service.create_rule(&call.caller, wish(&call)?).await?;
    Ok(one(&call, rule, true))
}

/// Changes a scaling rule, and its HorizontalPodAutoscaler with it.
///
/// What is not given stays.
#[utoipa::path(
    put, path = "/pop/v1/eam/scale/application_scaling_rule", operation_id = "UpdateApplicationScalingRule", tag = "Applications",
    params(
        ("AppId" = String, Query, description = "The application's id."),
        ("ScalingRuleName" = String, Query, description = "The rule's name."),
        ("ScalingRuleType" = Option<String>, Query, description = "As in CreateApplicationScalingRule."),
        ("ScalingRuleTrigger" = Option<String>, Query, description = "As in CreateApplicationScalingRule; it replaces range and triggers."),
        ("ScalingRuleMetric" = Option<String>, Query, description = "The same in the older form."),
        ("ScalingBehaviour" = Option<String>, Query, description = "As in CreateApplicationScalingRule; empty or `{}` leaves it to Kubernetes."),
        ("ScalingRuleEnable" = Option<bool>, Query, description = "Whether it is enabled."),
    ),
    responses((status = 200, description = "Changed.", body = Reply<ScalingRuleReply>))
)]
pub async fn update(State(edge): State<Edge>, call: Call) -> Result<Reply<ScalingRuleReply>, ApiError> {
    let rule = edge.service.change_rule(&call.caller, wish(&call)?).await?;
    Ok(one(&call, rule, true))
}

/// Lists the scaling rules of an application, by name.
///
/// A HorizontalPodAutoscaler that you made yourself is no rule and is not listed.
#[utoipa::path(
    get, path = "/pop/v1/eam/scale/application_scaling_rules", operation_id = "DescribeApplicationScalingRules", tag = "Applications",
    params(("AppId" = String, Query, description = "The application's id.")),
    responses((status = 200, description = "The rules.", body = Reply<ScalingRuleListReply>))
)]
pub async fn list(State(edge): State<Edge>, call: Call) -> Result<Reply<ScalingRuleListReply>, ApiError> {
    let application = call.application()?;
    let rules = edge.service.rules(application).await?;
    let count = i64::try_from(rules.len()).unwrap_or(i64::MAX);
    let result = rules.into_iter().map(|rule| show(&application.to_string(), rule, true)).collect();
    Ok(call.success(ScalingRuleListReply {
        app_scaling_rules: ScalingRulePage { current_page: 1, page_size: count, total_size: count, result },
    }))
}

/// Enables a scaling rule: writes its HorizontalPodAutoscaler.
///
/// One that is enabled is written again.
#[utoipa::path(
    put, path = "/pop/v1/eam/scale/enable_application_scaling_rule", operation_id = "EnableApplicationScalingRule", tag = "Applications",
    params(
        ("AppId" = String, Query, description = "The application's id."),
        ("ScalingRuleName" = String, Query, description = "The rule's name."),
    ),
    responses((status = 200, description = "Enabled.", body = Reply<ScalingRuleReply>))
)]
pub async fn enable(State(edge): State<Edge>, call: Call) -> Result<Reply<ScalingRuleReply>, ApiError> {
    switch(edge, call, true).await
}

/// Disables a scaling rule: deletes its HorizontalPodAutoscaler and keeps the rule.
///
/// The number of pods stays as it is.
#[utoipa::path(
    put, path = "/pop/v1/eam/scale/disable_application_scaling_rule", operation_id = "DisableApplicationScalingRule", tag = "Applications",
    params(
        ("AppId" = String, Query, description = "The application's id."),
        ("ScalingRuleName" = String, Query, description = "The rule's name."),
    ),
    responses((status = 200, description = "Disabled.", body = Reply<ScalingRuleReply>))
)]
pub async fn disable(State(edge): State<Edge>, call: Call) -> Result<Reply<ScalingRuleReply>, ApiError> {
    switch(edge, call, false).await
}

/// Deletes a scaling rule, and its HorizontalPodAutoscaler.
///
/// The number of pods stays as it is.
#[utoipa::path(
    delete, path = "/pop/v1/eam/scale/application_scaling_rule", operation_id = "DeleteApplicationScalingRule", tag = "Applications",
    params(
        ("AppId" = String, Query, description = "The application's id."),
        ("ScalingRuleName" = String, Query, description = "The rule's name."),
    ),
    responses((status = 200, description = "Deleted.", body = Reply<Nothing>))
)]
pub async fn delete(State(edge): State<Edge>, call: Call) -> Result<Reply<Nothing>, ApiError> {
    edge.service.delete_rule(&call.caller, call.application()?, call.params.required("ScalingRuleName")?).await?;
    Ok(call.success(Nothing {}))
}

async fn switch(edge: Edge, call: Call, enabled: bool) -> Result<Reply<ScalingRuleReply>, ApiError> {
    let name = call.params.required("ScalingRuleName")?.to_owned();
    let rule = edge.service.switch_rule(&call.caller, call.application()?, name, enabled).await?;
    Ok(one(&call, rule, false))
}

fn wish(call: &Call) -> Result<RuleWish, ApiError> {
    let params = &call.params;
    if let Some(other) = params.text("ScalingRuleType").filter(|word| !["trigger", "metric"].contains(word)) {
        let allowed = "allowed is trigger: rules by time of day are not offered, Kubernetes by itself has none";
        return Err(Rejection::invalid("ScalingRuleType", other, allowed).into());
    }
    Ok(RuleWish {
        application: call.application()?,
        name: params.required("ScalingRuleName")?.into(),
        range: read_range(params)?,
        behaviour: read_behaviour(params)?,
        enabled: params.boolean("ScalingRuleEnable")?,
    })
}

fn one(call: &Call, rule: RuleView, with_behaviour: bool) -> Reply<ScalingRuleReply> {
    let application = call.params.text("AppId").unwrap_or_default();
    call.success(ScalingRuleReply { app_scaling_rule: show(application, rule, with_behaviour) })
}

fn show(application: &str, row: RuleView, with_behaviour: bool) -> AppScalingRule {
    let rule = row.rule;
    let (min_replicas, max_replicas) = (rule.min_replicas, rule.max_replicas);
    let metrics = rule.triggers.iter().map(|trigger| ScalingMetricItem {
        metric_type: trigger.resource.word().to_ascii_uppercase(),
        metric_target_average_utilization: trigger.percent,
    });
    let triggers = rule.triggers.iter().map(|trigger| ScalingTriggerItem {
        name: trigger.name.clone(),
        r#type: trigger.resource.word().into(),
        meta_data: json!({ "type": "Utilization", "value": trigger.percent.to_string() }).to_string(),
    });
    AppScalingRule {
        app_id: application.into(),
        scale_rule_name: row.name,
        scale_rule_type: "trigger".into(),
        scale_rule_enabled: row.enabled,
        min_replicas,
        max_replicas,
        metric: ScalingMetric { min_replicas, max_replicas, metrics: metrics.collect() },
        trigger: ScalingTrigger { min_replicas, max_replicas, triggers: triggers.collect() },
        behaviour: rule
            .behaviour
            .filter(|_| with_behaviour)
            .map(|it| ScalingBehaviour { scale_up: it.scale_up.map(show_pace), scale_down: it.scale_down.map(show_pace) }),
        create_time: row.created_at.as_millisecond(),
        update_time: row.updated_at.as_millisecond(),
        last_disable_time: row.disabled_at.map_or(0, |at| at.as_millisecond()),
    }
}

fn show_pace(pace: Pace) -> ScalingPace {
    let policies = pace.policies.into_iter().map(|step| ScalingPolicy {
        r#type: match step.r#type {
            StepUnit::Pods => "Pods".into(),
            StepUnit::Percent => "Percent".into(),
        },
        value: step.value.to_string(),
        period_seconds: step.period_seconds,
    });
    let select = |policy| match policy {
        SelectPolicy::Max => "Max",
        SelectPolicy::Min => "Min",
        SelectPolicy::Disabled => "Disabled",
    };
    ScalingPace {
        stabilization_window_seconds: pace.stabilization_window_seconds,
        select_policy: pace.select_policy.map(|policy| select(policy).into()),
        policies: policies.collect(),
    }
}
