//! Scaling rules: CreateApplicationScalingRule, UpdateApplicationScalingRule,
//! DescribeApplicationScalingRules, EnableApplicationScalingRule,
//! DisableApplicationScalingRule and DeleteApplicationScalingRule.
//!
//! An enabled rule is a HorizontalPodAutoscaler. Rules by time of day, or by what plain
//! Kubernetes does not measure, are refused by name.

use crate::{
    edge::call::Call,
    value::scaling::{read_behaviour, read_range},
    wire::{
        error::ApiError,
        reply::{Nothing, Reply},
    },
};

use service::{RuleUpdate, RuleView};

mod shown;

use crate::operation::application::scaling_rule::shown::show;
pub use crate::operation::application::scaling_rule::shown::{
    ScalingRuleListReply, ScalingRulePage, ScalingRuleReply,
};

/// Creates a rule by which an application is scaled with its load.
///
/// Enabled, it is a HorizontalPodAutoscaler (`autoscaling/v2`) named after the application
/// and the rule, which goes with the Deployment. It needs a metrics server, and requests of
/// the resource. One rule of an application can be enabled at a time. A release leaves the
/// number of pods to it.
#[utoipa::path(
    post, path = "/pop/v1/eam/scale/application_scaling_rule", operation_id = "CreateApplicationScalingRule", tag = "Applications",
    responses((status = 200, description = "Created.", body = Reply<ScalingRuleReply>))
)]
pub async fn create(call: Call) -> Result<Reply<ScalingRuleReply>, ApiError> {
    let rule = call.service.create_rule(&call.caller, rule_update(&call)?).await?;
    Ok(one(&call, rule, true))
}

/// Changes a scaling rule, and its HorizontalPodAutoscaler with it.
///
/// What is not given stays.
#[utoipa::path(
    put, path = "/pop/v1/eam/scale/application_scaling_rule", operation_id = "UpdateApplicationScalingRule", tag = "Applications",
    responses((status = 200, description = "Changed.", body = Reply<ScalingRuleReply>))
)]
pub async fn update(call: Call) -> Result<Reply<ScalingRuleReply>, ApiError> {
    let rule = call.service.change_rule(&call.caller, rule_update(&call)?).await?;
    Ok(one(&call, rule, true))
}

/// Lists the scaling rules of an application, by name.
///
/// A HorizontalPodAutoscaler that you made yourself is no rule and is not listed.
#[utoipa::path(
    get, path = "/pop/v1/eam/scale/application_scaling_rules", operation_id = "DescribeApplicationScalingRules", tag = "Applications",
    responses((status = 200, description = "The rules.", body = Reply<ScalingRuleListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<ScalingRuleListReply>, ApiError> {
    let application = call.application()?;
    let rules = call.service.rules(application).await?;
    let count = i64::try_from(rules.len()).unwrap_or(i64::MAX);
    let result = rules.into_iter().map(|rule| show(&application.to_string(), rule, true)).collect();
    Ok(call.success(ScalingRuleListReply {
        app_scaling_rules: ScalingRulePage {
            current_page: 1,
            page_size: count,
            total_size: count,
            result,
        },
    }))
}

/// Enables a scaling rule: writes its HorizontalPodAutoscaler.
///
/// One that is enabled is written again.
#[utoipa::path(
    put, path = "/pop/v1/eam/scale/enable_application_scaling_rule", operation_id = "EnableApplicationScalingRule", tag = "Applications",
    responses((status = 200, description = "Enabled.", body = Reply<ScalingRuleReply>))
)]
pub async fn enable(call: Call) -> Result<Reply<ScalingRuleReply>, ApiError> {
    switch(call, true).await
}

/// Disables a scaling rule: deletes its HorizontalPodAutoscaler and keeps the rule.
///
/// The number of pods stays as it is.
#[utoipa::path(
    put, path = "/pop/v1/eam/scale/disable_application_scaling_rule", operation_id = "DisableApplicationScalingRule", tag = "Applications",
    responses((status = 200, description = "Disabled.", body = Reply<ScalingRuleReply>))
)]
pub async fn disable(call: Call) -> Result<Reply<ScalingRuleReply>, ApiError> {
    switch(call, false).await
}

/// Deletes a scaling rule, and its HorizontalPodAutoscaler.
///
/// The number of pods stays as it is.
#[utoipa::path(
    delete, path = "/pop/v1/eam/scale/application_scaling_rule", operation_id = "DeleteApplicationScalingRule", tag = "Applications",
    responses((status = 200, description = "Deleted.", body = Reply<Nothing>))
)]
pub async fn delete(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service
        .delete_rule(&call.caller, call.application()?, call.params.required("ScalingRuleName")?)
        .await?;
    Ok(call.success(Nothing {}))
}

async fn switch(call: Call, enabled: bool) -> Result<Reply<ScalingRuleReply>, ApiError> {
    let name = call.params.required("ScalingRuleName")?.to_owned();
    let rule = call.service.switch_rule(&call.caller, call.application()?, name, enabled).await?;
    Ok(one(&call, rule, false))
}

fn rule_update(call: &Call) -> Result<RuleUpdate, ApiError> {
    let params = &call.params;
    if let Some(other) =
        params.text("ScalingRuleType").filter(|word| !["trigger", "metric"].contains(word))
    {
        let allowed = "allowed is trigger: rules by time of day are not offered, Kubernetes by itself has none";
        return Err(ApiError::refused("ScalingRuleType", other, allowed));
    }
    Ok(RuleUpdate {
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
