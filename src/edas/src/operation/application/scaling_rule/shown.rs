//! Scaling rules as replies show them, in both forms that EDAS has.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use domain::object::autoscaling::{ScalingSpeed, SelectPolicy, StepUnit};
use service::RuleView;

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

/// A rule of the application, as it is shown.
pub(in crate::operation::application::scaling_rule) fn show(
    application: &str,
    row: RuleView,
    with_behaviour: bool,
) -> AppScalingRule {
    let rule = row.rule;
    let (min_replicas, max_replicas) = (rule.min_replicas, rule.max_replicas);
    let metrics = rule.triggers.iter().map(|trigger| ScalingMetricItem {
        metric_type: trigger.resource.word().to_ascii_uppercase(),
        metric_target_average_utilization: trigger.percent,
    });
    let triggers = rule.triggers.iter().map(|trigger| ScalingTriggerItem {
        name: trigger.name.clone(),
        r#type: trigger.resource.word().into(),
        meta_data: json!({ "type": "Utilization", "value": trigger.percent.to_string() })
            .to_string(),
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
        behaviour: rule.behaviour.filter(|_| with_behaviour).map(|it| ScalingBehaviour {
            scale_up: it.scale_up.map(show_pace),
            scale_down: it.scale_down.map(show_pace),
        }),
        create_time: row.created_at.as_millisecond(),
        update_time: row.updated_at.as_millisecond(),
        last_disable_time: row.disabled_at.map_or(0, |at| at.as_millisecond()),
    }
}

fn show_pace(pace: ScalingSpeed) -> ScalingPace {
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
