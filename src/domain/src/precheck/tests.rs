//! One table: what the cluster shows, and which check says what.

use std::collections::BTreeSet;

use rstest::rstest;

use super::{
    evidence::{Reference, Right},
    *,
};
use crate::{
    ApplicationId, ReleaseId,
    observed::ReplicaSetView,
    order::{
        FailurePolicy, Target, TemplateSource,
        plan::{Pace, Strategy},
    },
    template::spec::SpecChange,
};

fn base() -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{
            "name": "web", "image": "web:1", "readinessProbe": { "tcpSocket": { "port": 80 } },
            "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
        }] },
    })
}

fn view(strategy: Value) -> DeploymentView {
    DeploymentView {
        uid: "uid".into(),
        application: None,
        resource_version: 7,
        observed: true,
        replicas: 4,
        settings: BorrowedSettings {
            min_ready_seconds: 0,
            progress_deadline_seconds: 600,
            paused: false,
            strategy,
        },
        borrowed: None,
        template: base(),
        fence: Some(1),
        status_replicas: 4,
        status_updated: 4,
        new: Some(ReplicaSetView { uid: "set".into(), ..ReplicaSetView::default() }),
        ..DeploymentView::default()
    }
}

fn rolling() -> Value {
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } })
}

fn proposal(batches: i32) -> Proposal {
    Proposal {
        application: ApplicationId::new(),
        cluster: "default".into(),
        namespace: "shop".into(),
        name: "web".into(),
        kind: Kind::Deploy,
        strategy: Strategy { canary: 0, batches, pace: Pace::Automatic { wait_minutes: 1 } },
        target: Target {
            release: Some(ReleaseId::new()),
            source: TemplateSource::Change(Box::new(SpecChange {
                image: Some("web:2".into()),
                ..SpecChange::default()
            })),
            replicas: None,
            min_ready_seconds: None,
            batch_timeout_seconds: 60,
            failure_policy: FailurePolicy::default(),
            max_unavailable: 0,
            allows_no_surge: false,
            owners_before: serde_json::Value::Null,
            replaces: None,
            replicas_before: None,
            replicas_if_created: None,
            adopted_uid: None,
            former_applications: Vec::new(),
            guardrails: None,
        },
        snapshot: None,
        allows_no_surge: false,
        batch_seconds: Some(10),
    }
}

fn judged(proposal: &Proposal, view: DeploymentView, evidence: &Evidence) -> PrecheckReport {
    let observation = Observation::Present(Box::new(view));
    let first =
        first_change(proposal, &observation, Timestamp::UNIX_EPOCH).expect("it is decided at once");
    evaluate(proposal, &first, &observation, evidence)
}

/// What the subject's check says.
fn said(report: &PrecheckReport, subject: Subject) -> (Finding, &str) {
    let check =
        report.checks.iter().find(|check| check.subject == subject).expect("it was looked at");
    (check.finding, &check.reason)
}

fn named(kind: ReferenceKind, key: Option<&str>, presence: Presence) -> Evidence {
    let reference =
        Reference { kind, name: "it".into(), key: key.map(Into::into), optional: false };
    Evidence { named: vec![(reference, presence)], ..Evidence::none() }
}

fn there(keys: &[&str], spec: Value) -> Presence {
    Presence::There { keys: keys.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), spec }
}

fn claim(modes: &[&str]) -> Evidence {
    named(ReferenceKind::PersistentVolumeClaim, None, there(&[], json!({ "accessModes": modes })))
}

fn right(verb: &'static str, needed: bool, given: Option<bool>) -> Evidence {
    Evidence {
        rights: vec![(Right { verb, group: "apps", resource: "deployments", needed }, given)],
        ..Evidence::none()
    }
}

/// A quota of pods, and the four of the application.
fn pods_quota(hard: &str, used: &str) -> Evidence {
    let pod = json!({ "metadata": { "ownerReferences": [{ "controller": true, "uid": "set" }] } });
    let quota = json!({ "metadata": { "name": "team" }, "spec": {}, "status": { "hard": { "pods": hard }, "used": { "pods": used } } });
    Evidence {
        quotas: ClusterList::Seen(vec![quota]),
        pods: ClusterList::Seen(vec![pod; 4]),
        ..Evidence::none()
    }
}

fn wants(rule: Value) -> Evidence {
    let mut spec = json!({ "selector": { "matchLabels": { "app": "web" } } });
    spec.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
    Evidence {
        budgets: ClusterList::Seen(vec![json!({ "metadata": { "name": "calm" }, "spec": spec })]),
        ..Evidence::none()
    }
}

fn scales(name: &str) -> Evidence {
    let scaler = json!({ "metadata": { "name": "by-load" }, "spec": { "scaleTargetRef": { "kind": "Deployment", "name": name } } });
    Evidence { scalers: ClusterList::Seen(vec![scaler]), ..Evidence::none() }
}

#[rstest]
#[case(
    Subject::References,
    named(ReferenceKind::ConfigMap, None, Presence::Missing),
    Finding::Refused,
    "the ConfigMap it does not exist"
)]
#[case(Subject::References, named(ReferenceKind::Secret, Some("db"), there(&["web"], Value::Null)), Finding::Refused, "the Secret it has no key db")]
#[case(Subject::References, named(ReferenceKind::Secret, Some("db"), there(&["db"], Value::Null)), Finding::Passed, "")]
#[case(
    Subject::References,
    named(ReferenceKind::ServiceAccount, None, Presence::Missing),
    Finding::Refused,
    "the ServiceAccount it does not exist"
)]
#[case(Subject::References, named(ReferenceKind::Secret, None, Presence::Unseen("forbidden".into())), Finding::Unseen, "the Secret it was not looked at: forbidden")]
#[case(Subject::Volumes, claim(&["ReadWriteOnce"]), Finding::Warned, "only one node may have the PersistentVolumeClaim it at a time")]
#[case(Subject::Volumes, claim(&["ReadWriteOncePod"]), Finding::Refused, "only one pod may have the PersistentVolumeClaim it (ReadWriteOncePod), so batches are not possible")]
#[case(Subject::Volumes, claim(&["ReadWriteOnce", "ReadWriteMany"]), Finding::Passed, "")]
#[case(
    Subject::Rights,
    right("patch", true, Some(false)),
    Finding::Refused,
    "Sluice lacks rights in the namespace: patch deployments.apps"
)]
#[case(
    Subject::Rights,
    right("patch", false, Some(false)),
    Finding::Warned,
    "Sluice lacks rights in the namespace that a release can do without"
)]
#[case(Subject::Rights, right("patch", true, Some(true)), Finding::Passed, "")]
#[case(Subject::Rights, right("patch", true, None), Finding::Unseen, "the cluster does not say")]
#[case(Subject::Quota, pods_quota("6", "4"), Finding::Passed, "")]
#[case(
    Subject::Quota,
    pods_quota("5", "4"),
    Finding::Refused,
    "the quota team allows 5 of pods and 0 are used by others: the release needs 6 at once; allow old pods to go first"
)]
#[case(Subject::Quota, Evidence { quotas: ClusterList::Unseen("forbidden".into()), ..Evidence::none() }, Finding::Unseen, "resourcequotas were not looked at: forbidden")]
#[case(Subject::DisruptionBudget, wants(json!({ "minAvailable": 5 })), Finding::Passed, "")]
#[case(Subject::Quota, Evidence { pods: ClusterList::Unseen("forbidden".into()), ..pods_quota("5", "4") }, Finding::Unseen, "the pods of the namespace, which a quota counts, were not looked at: forbidden")]
#[case(Subject::DisruptionBudget, wants(json!({ "minAvailable": "100%" })), Finding::Passed, "")]
#[case(Subject::DisruptionBudget, wants(json!({ "maxUnavailable": 0 })), Finding::Passed, "")]
#[case(Subject::Admission, Evidence { change: Tried::Refused("denied by policy".into()), ..Evidence::none() }, Finding::Refused, "the cluster would refuse the change: denied by policy")]
#[case(Subject::PodAdmission, Evidence { pod: Tried::Refused("maximum memory is 1Gi".into()), ..Evidence::none() }, Finding::Refused, "the cluster would refuse its pods: maximum memory is 1Gi")]
#[case(Subject::PodAdmission, Evidence { pod: Tried::Refused("exceeded quota: few".into()), ..Evidence::none() }, Finding::Unseen, "not tried: exceeded quota")]
#[case(Subject::PodAdmission, Evidence { pod: Tried::Refused("admission webhook \"w\" does not support dry run".into()), ..Evidence::none() }, Finding::Unseen, "not tried: admission webhook")]
#[case(Subject::Admission, Evidence { change: Tried::Refused("admission webhook \"w\" does not support dry run".into()), ..Evidence::none() }, Finding::Unseen, "not tried: admission webhook")]
#[case(
    Subject::Autoscaler,
    scales("web"),
    Finding::Warned,
    "the HorizontalPodAutoscaler by-load scales the Deployment; batches follow"
)]
#[case(Subject::Autoscaler, scales("api"), Finding::Passed, "")]
#[case(Subject::Readiness, Evidence::none(), Finding::Passed, "")]
#[case(Subject::Drain, Evidence::none(), Finding::Passed, "")]
fn each_thing_is_told_by_its_own_check(
    #[case] subject: Subject,
    #[case] evidence: Evidence,
    #[case] finding: Finding,
    #[case] says: &str,
) {
    let report = judged(&proposal(2), view(rolling()), &evidence);
    let (found, reason) = said(&report, subject);
    assert!(
        found == finding && reason.starts_with(says) && (reason.is_empty() == says.is_empty()),
        "{found:?} {reason}"
    );
    let others = report.checks.iter().filter(|check| check.subject != subject);
    assert!(
        others.clone().all(|check| check.finding <= Finding::Unseen),
        "{:?}",
        others.collect::<Vec<_>>()
    );
    assert_eq!(report.refusal().is_some(), finding == Finding::Refused);
}

const BARE: &str = "pods \"web-x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: only the controller makes pods";

#[rstest]
#[case::by_who_asks(BARE, Tried::Refused(BARE.replace("web-x", "web-y")), Finding::Warned)]
#[case::by_what_is_new(BARE, Tried::Accepted(Value::Null), Finding::Refused)]
#[case::by_somebody_else(BARE, Tried::Refused("pods \"a\" is forbidden: violates PodSecurity \"x\"".into()), Finding::Refused)]
#[case::where_none_runs_to_compare_with(BARE, Tried::Untried(String::new()), Finding::Warned)]
#[case::whoever_asks(
    "pods \"web-x\" is forbidden: violates PodSecurity \"restricted\"",
    Tried::Untried(String::new()),
    Finding::Refused
)]
fn a_pod_that_is_refused_to_sluice_need_not_be_refused_to_its_controller(
    #[case] why: &str,
    #[case] present_pod: Tried,
    #[case] expected: Finding,
) {
    let evidence = Evidence { pod: Tried::Refused(why.into()), present_pod, ..Evidence::none() };
    let report = judged(&proposal(2), view(rolling()), &evidence);
    let (finding, reason) = said(&report, Subject::PodAdmission);
    assert_eq!(finding, expected, "{reason}");
    assert!(reason.contains(why), "{reason}");
}

#[test]
fn without_pods_nothing_that_they_need_stands_in_the_way() {
    let empty = DeploymentView { replicas: 0, ..view(rolling()) };
    let missing = named(ReferenceKind::ConfigMap, None, Presence::Missing);
    let refused = Evidence { pod: Tried::Refused("maximum memory is 1Gi".into()), ..missing };
    let report = judged(&proposal(2), empty.clone(), &refused);
    for (subject, says) in [
        (Subject::References, "the ConfigMap it does not exist"),
        (Subject::PodAdmission, "maximum memory is 1Gi"),
    ] {
        let (finding, reason) = said(&report, subject);
        assert!(finding == Finding::Warned && reason.contains(says), "{finding:?} {reason}");
    }
    // With the pods that the release brings they are needed.
    let mut grown = proposal(2);
    grown.target.replicas = Some(4);
    assert!(judged(&grown, empty, &refused).refusal().is_some());
}

#[test]
fn a_claim_of_one_pod_is_a_matter_of_room_in_one_batch() {
    let report = judged(&proposal(1), view(rolling()), &claim_of_one());
    assert!(report.lacks_room, "{report:?}");
    assert!(report.refusal().unwrap().reason.contains("allow old pods to go first"));
    let mut without_surge = proposal(1);
    without_surge.target.max_unavailable = 4;
    assert_eq!(judged(&without_surge, view(rolling()), &claim_of_one()).refusal(), None);
    assert!(!judged(&proposal(2), view(rolling()), &claim_of_one()).lacks_room);
}

#[rstest]
#[case::no_room(
    "5",
    6,
    Some("the quota team allows 5 of pods and 0 are used by others: its pods need 6 at once")
)]
#[case::room("6", 6, None)]
#[case::fewer_pods("3", 2, None)]
fn pods_are_added_where_a_quota_has_room_for_them(
    #[case] hard: &str,
    #[case] replicas: i32,
    #[case] says: Option<&str>,
) {
    let mut more = proposal(1);
    (more.kind, more.target.source) = (Kind::Scale, TemplateSource::Unchanged);
    (more.target.replicas, more.target.release) = (Some(replicas), None);
    let report = judged(&more, view(rolling()), &pods_quota(hard, "4"));
    assert_eq!(report.refusal().map(|check| check.reason.as_str()), says);
}

#[test]
fn what_the_state_machine_refuses_is_refused_before_anything_is_written() {
    let report = judged(&proposal(2), view(json!({ "type": "Recreate" })), &Evidence::none());
    let (finding, reason) = said(&report, Subject::Deployment);
    assert!(finding == Finding::Refused && reason.contains("release in one batch"), "{reason}");
    assert_eq!(report.plan, None);
    let all_at_once = judged(&proposal(1), view(json!({ "type": "Recreate" })), &claim_of_one());
    assert_eq!(all_at_once.refusal(), None, "{all_at_once:?}");
}

fn claim_of_one() -> Evidence {
    claim(&["ReadWriteOncePod"])
}

#[test]
fn a_deployment_that_is_not_there_is_named_by_what_there_is_in_its_place() {
    let first = first_change(&proposal(2), &Observation::Absent, Timestamp::UNIX_EPOCH).unwrap();
    let says = |other_workload| {
        let evidence = Evidence { other_workload, ..Evidence::none() };
        evaluate(&proposal(2), &first, &Observation::Absent, &evidence)
            .refusal()
            .unwrap()
            .reason
            .clone()
    };
    assert!(says(None).contains("the Deployment web does not exist in namespace shop"));
    assert_eq!(
        says(Some("StatefulSet")),
        "web is a StatefulSet, and only Deployments are released"
    );
}

#[test]
fn a_template_without_probe_and_drain_is_warned_about() {
    let mut plain = view(rolling());
    plain.template = json!({ "spec": { "containers": [{ "name": "web" }] } });
    let report = judged(&proposal(2), plain, &Evidence::none());
    assert_eq!(
        (said(&report, Subject::Readiness).0, said(&report, Subject::Drain).0),
        (Finding::Warned, Finding::Warned)
    );
    assert_eq!(report.refusal(), None);
}

#[test]
fn a_plan_counts_pods_and_time_and_its_hash_is_of_what_would_be_done() {
    let report = judged(&proposal(2), view(rolling()), &Evidence::none());
    let plan = report.plan.unwrap();
    assert_eq!(
        (plan.replicas, plan.peak_pods, plan.max_unavailable, plan.expected_seconds),
        (4, 6, 0, Some(80))
    );
    let pods: Vec<_> = plan
        .batches
        .iter()
        .map(|batch| (batch.added, batch.removed, batch.new_pods, batch.old_pods))
        .collect();
    assert_eq!(pods, [(2, 2, 2, 2), (2, 2, 4, 0)]);

    let hash =
        |proposal: &Proposal, view| judged(proposal, view, &Evidence::none()).plan.unwrap().hash;
    // Another version's id is no other plan.
    assert_eq!(hash(&proposal(2), view(rolling())), plan.hash);
    let scaled = DeploymentView { replicas: 5, ..view(rolling()) };
    let mut other_image = proposal(2);
    other_image.target.source = TemplateSource::Change(Box::new(SpecChange {
        image: Some("web:3".into()),
        ..SpecChange::default()
    }));
    let mut edited = view(rolling());
    edited.template["spec"]["hostNetwork"] = json!(true);
    let others = [
        hash(&proposal(2), scaled),
        hash(&other_image, view(rolling())),
        hash(&proposal(4), view(rolling())),
        hash(&proposal(2), edited),
    ];
    assert!(others.iter().all(|other| *other != plan.hash));
}

#[test]
fn where_only_the_surge_has_no_room_old_pods_may_go_first() {
    let report = judged(&proposal(2), view(rolling()), &pods_quota("4", "4"));
    assert!(report.lacks_room && report.refusal().is_some());
    let mut without_surge = proposal(2);
    without_surge.target.max_unavailable = 2;
    let report = judged(&without_surge, view(rolling()), &pods_quota("4", "4"));
    assert_eq!(report.refusal(), None, "{report:?}");
    let plan = report.plan.unwrap();
    assert_eq!((plan.peak_pods, plan.max_unavailable), (4, 2));
    // A budget stands against nothing: Kubernetes asks none when a Deployment lets pods go.
    let report = judged(&without_surge, view(rolling()), &wants(json!({ "minAvailable": 3 })));
    let says = "the PodDisruptionBudget calm wants 3 pods available, and the release leaves 2 of 4: meanwhile no node with its pods can be drained";
    assert_eq!(
        (said(&report, Subject::DisruptionBudget), report.refusal()),
        ((Finding::Warned, says), None)
    );
    // Room that is missing for the desired number itself is no matter of surge.
    assert!(!judged(&proposal(2), view(rolling()), &pods_quota("3", "3")).lacks_room);
}

#[test]
fn what_the_caller_may_not_ask_for_is_refused_by_name_and_what_is_kept_is_told() {
    let mut proposal = proposal(1);
    proposal.target.guardrails = Some(crate::guard::Guardrails::default());
    let report = judged(&proposal, view(rolling()), &Evidence::none());
    assert_eq!(said(&report, Subject::Guardrails).0, Finding::Passed);
    let mut kept = view(rolling());
    kept.template["spec"]["hostNetwork"] = true.into();
    let report = judged(&proposal, kept.clone(), &Evidence::none());
    let (finding, reason) = said(&report, Subject::Guardrails);
    assert_eq!(finding, Finding::Warned);
    assert!(reason.contains("spec.hostNetwork"), "{reason}");
    let mut template = kept.template;
    template["spec"]["hostPID"] = true.into();
    proposal.target.source = TemplateSource::Exact(template);
    let report = judged(&proposal, view(rolling()), &Evidence::none());
    let (finding, reason) = said(&report, Subject::Guardrails);
    assert_eq!(finding, Finding::Refused);
    assert!(reason.contains("spec.hostPID is true"), "{reason}");
    assert!(report.plan.is_some(), "what it would do is shown all the same");
    // Who takes a Deployment over answers for all of it.
    proposal.kind = Kind::Create;
    let mut found = view(rolling());
    found.template["spec"]["hostNetwork"] = true.into();
    let report = judged(&proposal, found, &Evidence::none());
    assert_eq!(said(&report, Subject::Guardrails).0, Finding::Refused);
}
