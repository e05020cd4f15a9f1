//! Scaling rules: signed calls after which an autoscaler is on the simulated cluster or
//! is not, and what is refused without a trace.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{Api, api::PostParams};
use serde_json::json;

use super::{network::refused, reading::Live, *};

const RULE: &str = "/pop/v1/eam/scale/application_scaling_rule";
const RULES: &str = "/pop/v1/eam/scale/application_scaling_rules";
const ENABLE: &str = "/pop/v1/eam/scale/enable_application_scaling_rule";
const DISABLE: &str = "/pop/v1/eam/scale/disable_application_scaling_rule";
const TRIGGER: &str = r#"{"minReplicas":2,"maxReplicas":6,"triggers":[{"name":"busy","type":"cpu","metaData":{"type":"Utilization","value":"60"}}]}"#;
const BEHAVIOUR: &str = r#"{"scaleUp":{"stabilizationWindowSeconds":"0","selectPolicy":"Max","policies":[{"type":"Pods","value":5,"periodSeconds":15}]}}"#;

async fn called(
    live: &Live,
    operation: &str,
    (method, path): (&str, &str),
    parameters: &[(&str, &str)],
) -> Value {
    let reply: Value = live.server.call(method, path, parameters).await.into();
    assert_eq!(reply["Code"], 200, "{operation}: {reply}");
    shape::check(operation, &reply);
    reply["AppScalingRule"].clone()
}

fn autoscalers(live: &Live) -> Api<HorizontalPodAutoscaler> {
    Api::namespaced(live.client(), "default")
}

async fn rules_kept(live: &Live) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM scaling_rule")
        .fetch_one(&live.server.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_rule_is_created_changed_disabled_enabled_and_deleted(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let rule = [("AppId", application.as_str()), ("ScalingRuleName", "busy")];
    let autoscalers = autoscalers(&live);
    let spec = async || {
        serde_json::to_value(autoscalers.get("web-busy").await.unwrap()).unwrap()["spec"].clone()
    };

    let wish = [
        ("ScalingRuleType", "trigger"),
        ("ScalingRuleTrigger", TRIGGER),
        ("ScalingBehaviour", BEHAVIOUR),
    ];
    let made =
        called(&live, "CreateApplicationScalingRule", ("POST", RULE), &[&rule[..], &wish].concat())
            .await;
    assert_eq!(
        (&made["ScaleRuleName"], &made["ScaleRuleEnabled"], &made["LastDisableTime"]),
        (&json!("busy"), &json!(true), &json!(0))
    );
    assert_eq!(
        made["Trigger"]["Triggers"],
        json!([{ "Name": "busy", "Type": "cpu", "MetaData": r#"{"type":"Utilization","value":"60"}"# }])
    );
    assert_eq!(
        made["Metric"]["Metrics"],
        json!([{ "MetricType": "CPU", "MetricTargetAverageUtilization": 60 }])
    );
    assert_eq!(
        made["Behaviour"]["ScaleUp"]["Policies"],
        json!([{ "Type": "Pods", "Value": "5", "PeriodSeconds": 15 }])
    );
    let object = serde_json::to_value(autoscalers.get("web-busy").await.unwrap()).unwrap();
    assert_eq!(object["metadata"]["labels"]["sluice.dev/application"], application.as_str());
    assert_eq!(
        object["metadata"]["ownerReferences"][0]["kind"], "Deployment",
        "it goes with the Deployment"
    );
    assert_eq!(
        object["spec"]["scaleTargetRef"],
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" })
    );
    assert_eq!(
        (&object["spec"]["minReplicas"], &object["spec"]["maxReplicas"]),
        (&json!(2), &json!(6))
    );

    // A release is made beside it, and leaves it.
    live.release(&application, "shop/web:2").await;
    assert_eq!(spec().await, object["spec"]);

    let metric = r#"{"minReplicas":1,"maxReplicas":9,"metrics":[{"metricType":"MEMORY","metricTargetAverageUtilization":70}]}"#;
    called(
        &live,
        "UpdateApplicationScalingRule",
        ("PUT", RULE),
        &[&rule[..], &[("ScalingRuleMetric", metric)]].concat(),
    )
    .await;
    let changed = spec().await;
    assert_eq!(
        (&changed["maxReplicas"], &changed["metrics"][0]["resource"]["name"]),
        (&json!(9), &json!("memory"))
    );
    assert_eq!(changed["behavior"]["scaleUp"]["policies"][0]["value"], 5, "what is not said stays");

    for _ in 0..2 {
        let off = called(&live, "DisableApplicationScalingRule", ("PUT", DISABLE), &rule).await;
        assert!(
            off["ScaleRuleEnabled"] == false && off["LastDisableTime"].as_i64().unwrap() > 0,
            "{off}"
        );
        assert!(autoscalers.get_opt("web-busy").await.unwrap().is_none());
    }
    // While it is disabled, another one may be enabled, and then this one not.
    let night = [("AppId", application.as_str()), ("ScalingRuleName", "night")];
    let wish = [("ScalingRuleTrigger", TRIGGER)];
    called(&live, "CreateApplicationScalingRule", ("POST", RULE), &[&night[..], &wish].concat())
        .await;
    let says = "601 parameter ScalingRuleEnable has the value true: the rule night is enabled";
    refused(&live, "PUT", ENABLE, &[(&rule, says)], false).await;
    called(&live, "DeleteApplicationScalingRule", ("DELETE", RULE), &night).await;
    for _ in 0..2 {
        called(&live, "EnableApplicationScalingRule", ("PUT", ENABLE), &rule).await;
        assert_eq!(spec().await["maxReplicas"], 9);
    }
    let listed: Value = live.server.call("GET", RULES, &[("AppId", &application)]).await.into();
    shape::check("DescribeApplicationScalingRules", &listed);
    assert_eq!(
        (
            &listed["AppScalingRules"]["TotalSize"],
            &listed["AppScalingRules"]["Result"][0]["MaxReplicas"]
        ),
        (&json!(1), &json!(9))
    );

    called(&live, "DeleteApplicationScalingRule", ("DELETE", RULE), &rule).await;
    assert!(autoscalers.list(&Default::default()).await.unwrap().items.is_empty());
    assert_eq!(rules_kept(&live).await, 0);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_cannot_be_a_rule_is_refused_by_name_and_leaves_nothing(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let (app, name, trigger) = (
        ("AppId", application.as_str()),
        ("ScalingRuleName", "busy"),
        ("ScalingRuleTrigger", TRIGGER),
    );
    let unknown = ("AppId", "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e");
    let cron = r#"{"minReplicas":1,"maxReplicas":6,"triggers":[{"type":"cron","metaData":{"start":"0 8 * * *"}}]}"#;
    let none = r#"{"minReplicas":0,"maxReplicas":6,"triggers":[{"type":"cpu","metaData":{"value":"60"}}]}"#;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[name, trigger], "MissingAppId"),
        (&[app, trigger], "MissingScalingRuleName"),
        (
            &[unknown, name, trigger],
            "601 the application 01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e does not exist",
        ),
        (&[app, name], "601 parameter ScalingRuleTrigger has the value (empty)"),
        (
            &[app, ("ScalingRuleName", "Busy"), trigger],
            "601 parameter ScalingRuleName has the value Busy: must begin with",
        ),
        (
            &[app, ("ScalingRuleName", "a23456789012345678901234567890123"), trigger],
            "at most 32 characters",
        ),
        (&[app, name, ("ScalingRuleTrigger", cron)], "a rule by cron is not offered"),
        (
            &[app, name, ("ScalingRuleTrigger", none)],
            "601 parameter ScalingRuleTrigger has the value 0: minReplicas must be",
        ),
        (
            &[app, name, trigger, ("ScalingRuleType", "timing")],
            "601 parameter ScalingRuleType has the value timing: allowed is trigger",
        ),
        (
            &[app, name, trigger, ("ScalingRuleTimer", "{\"period\":\"* * *\"}")],
            "601 The parameter ScalingRuleTimer of CreateApplicationScalingRule",
        ),
        (&[app, name, trigger, ("ScalingRuleEnable", "x")], "InvalidScalingRuleEnable"),
        (
            &[app, name, trigger, ("ScalingBehaviour", "x")],
            "601 parameter ScalingBehaviour has the value x",
        ),
    ];
    refused(&live, "POST", RULE, cases, false).await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[app, name], "601 parameter ScalingRuleTrigger has the value (empty): must be given, or"),
        (
            &[app, name, trigger],
            "601 parameter ScalingRuleName has the value busy: must be the name of one of the application's rules",
        ),
    ];
    refused(&live, "PUT", RULE, cases, false).await;
    for (method, path) in [("PUT", ENABLE), ("PUT", DISABLE), ("DELETE", RULE)] {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[app], "MissingScalingRuleName"),
            (
                &[app, name],
                "601 parameter ScalingRuleName has the value busy: must be the name of one of the application's rules",
            ),
        ];
        refused(&live, method, path, cases, false).await;
    }
    refused(&live, "GET", RULES, &[(&[], "MissingAppId"), (&[unknown], "does not exist")], false)
        .await;
    assert_eq!(rules_kept(&live).await, 0);
}

/// An autoscaler that somebody made has the name: neither it nor a row changes.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_autoscaler_of_somebody_else_is_left_alone(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let spec =
        json!({ "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "web" } });
    let theirs =
        serde_json::from_value(json!({ "metadata": { "name": "web-busy" }, "spec": spec }))
            .unwrap();
    autoscalers(&live).create(&PostParams::default(), &theirs).await.unwrap();
    let rule = [("AppId", application.as_str()), ("ScalingRuleName", "busy")];
    let wish = [&rule[..], &[("ScalingRuleTrigger", TRIGGER)]].concat();
    let says = "601 the HorizontalPodAutoscaler web-busy was not made by this server";
    refused(&live, "POST", RULE, &[(&wish, says)], true).await;
    assert_eq!(rules_kept(&live).await, 0, "the row is taken back");

    let disabled = [&wish[..], &[("ScalingRuleEnable", "false")]].concat();
    called(&live, "CreateApplicationScalingRule", ("POST", RULE), &disabled).await;
    refused(&live, "PUT", ENABLE, &[(&rule, says)], true).await;
    let listed: Value = live.server.call("GET", RULES, &[("AppId", &application)]).await.into();
    assert_eq!(listed["AppScalingRules"]["Result"][0]["ScaleRuleEnabled"], false);
    called(&live, "DeleteApplicationScalingRule", ("DELETE", RULE), &rule).await;
    assert_eq!(autoscalers(&live).get("web-busy").await.unwrap().spec.unwrap().max_replicas, 3);
}
