//! What ReplicaSets tell: pods that fail one after the other, and pods that cannot be made.

use rstest::rstest;

use super::*;

/// A ReplicaSet whose pods failed: when each was made, and when it failed.
fn failing(pods: &[(i64, i64)]) -> DeploymentView {
    let failed = pods.iter().zip(1..).map(|((created, failed), number)| FailedPod {
        name: format!("web-{number}"),
        reason: "SysctlForbidden".into(),
        message: "forbidden sysctl: \"kernel.x\" not allowlisted".into(),
        created_at: Some(at(*created)),
        at: Some(at(*failed)),
    });
    let set = ReplicaSetView {
        resource_version: 1,
        desired: 2,
        min_ready_seconds: 0,
        status_replicas: 2,
        available: 0,
        observed: true,
        name: "web-5d4f".into(),
        created_at: None,
        uid: "set".into(),
        template: std::sync::Arc::default(),
        create_failure: None,
        pods: Vec::new(),
        failed_count: pods.len(),
        failed: failed.collect(),
    };
    DeploymentView { new: Some(set), ..DeploymentView::default() }
}

#[rstest]
#[case::one_was_evicted(&[(1, 2)], 60, Verdict::KeepWaiting)]
#[case::both_were_evicted_at_once(&[(1, 4), (1, 4)], 60, Verdict::KeepWaiting)]
#[case::the_next_one_fails_too(&[(1, 2), (2, 13), (13, 24)], 25, Verdict::FatalAt(at(32)))]
#[case::as_fast_as_they_come(&[(1, 1), (1, 1), (2, 2), (2, 2), (29, 29), (30, 30)], 31, Verdict::FatalAt(at(31)))]
#[case::it_has_passed(&[(1, 2), (2, 4)], 31, Verdict::KeepWaiting)]
fn pods_that_fail_one_after_the_other_are_given_the_grace(
    #[case] pods: &[(i64, i64)],
    #[case] now: i64,
    #[case] expected: Verdict,
) {
    let cause = judge(&failing(pods), JudgeContext { now: at(now), ..context() }).unwrap();
    assert_eq!(cause.verdict, expected, "{}", cause.sentence);
    let says = format!(
        "pod web-{} failed: SysctlForbidden: forbidden sysctl: \"kernel.x\" not allowlisted",
        pods.len()
    );
    assert!(cause.sentence.starts_with(&says), "{}", cause.sentence);
    assert_eq!(
        cause.sentence.ends_with("pods of the ReplicaSet web-5d4f have failed"),
        pods.len() > 1
    );
    // Those from before the order are none of its doing.
    assert_eq!(judge(&failing(&[(-9, -8), (-8, -7), (-2, 3)]), context()), None);
}

#[rstest]
#[case(
    "pods \"web-1\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=12, limited: pods=12",
    LATER
)]
#[case(
    "pods \"web-1\" is forbidden: error looking up service account shop/web: serviceaccount \"web\" not found",
    LATER
)]
#[case(
    "Internal error occurred: failed calling webhook \"check.example\": connection refused",
    LATER
)]
#[case("admission webhook \"check.example\" denied the request: no owner label", Verdict::Fatal)]
#[case(
    "pods \"web-1\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false",
    Verdict::Fatal
)]
fn what_keeps_pods_from_being_created_is_told_in_the_api_servers_words(
    #[case] message: &str,
    #[case] expected: Verdict,
) {
    let failure = CreateFailure { message: message.into(), since: Some(at(5)) };
    let cause = judge_set("web-5d4f", &failure, context());
    assert_eq!(cause.sentence, format!("the ReplicaSet web-5d4f cannot create pods: {message}"));
    assert_eq!(cause.verdict, if expected == LATER { Verdict::FatalAt(at(35)) } else { expected });
}

#[test]
fn room_that_pods_on_their_way_out_make_is_waited_for() {
    let full = CreateFailure {
        message: "forbidden: exceeded quota: few, requested: pods=1".into(),
        since: Some(at(5)),
    };
    let set = ReplicaSetView {
        name: "web-1".into(),
        create_failure: Some(full),
        ..ReplicaSetView::default()
    };
    let view = DeploymentView { new: Some(set), ..DeploymentView::default() };
    let verdict = |view: &DeploymentView| judge(view, context()).unwrap().verdict;
    assert_eq!(verdict(&view), Verdict::FatalAt(at(35)));
    let going = DeploymentView { leaving_nearby: 2, ..view.clone() };
    let cause = judge(&going, context()).unwrap();
    assert_eq!(cause.verdict, Verdict::KeepWaiting);
    assert!(
        cause.sentence.ends_with("; 2 pods are on their way out, and are waited for"),
        "{}",
        cause.sentence
    );
    // The ReplicaSet controller may have asked last long before they were gone.
    assert_eq!(
        verdict(&DeploymentView { left_at: Some(at(105)), ..view.clone() }),
        Verdict::FatalAt(at(205))
    );
    assert_eq!(
        verdict(&DeploymentView { left_at: Some(at(-50)), ..view.clone() }),
        Verdict::FatalAt(at(35))
    );
    // What no room helps is not waited for.
    let mut denied = going;
    denied.new.as_mut().unwrap().create_failure.as_mut().unwrap().message =
        "serviceaccount \"web\" not found".into();
    assert_eq!(verdict(&denied), Verdict::FatalAt(at(35)));

    let pod = PodView {
        unschedulable: Some("0/3 nodes are available: no free ports".into()),
        ..waiting("ContainerCreating", "")
    };
    let set = ReplicaSetView { pods: vec![pod], ..ReplicaSetView::default() };
    let view = DeploymentView { new: Some(set), ..DeploymentView::default() };
    assert_eq!(verdict(&view), Verdict::FatalAt(at(31)));
    assert_eq!(
        verdict(&DeploymentView { leaving: 1, leaving_nearby: 1, ..view.clone() }),
        Verdict::KeepWaiting
    );
    assert_eq!(
        verdict(&DeploymentView { leaving_nearby: 1, ..view }),
        Verdict::FatalAt(at(31)),
        "of others nothing is known"
    );
}
