//! Each cause in the table, by what Kubernetes shows of it.

mod set;

use rstest::rstest;

use super::*;
use crate::observed::Warning;
use crate::template::names::PACKAGE_CONTAINER;

/// `seconds` after the order began.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn context() -> JudgeContext {
    JudgeContext {
        failure_policy: FailurePolicy {
            grace_seconds: 30,
            restarts: 1,
            ..FailurePolicy::default()
        },
        since: at(0),
        now: at(10),
    }
}

fn container(state: ContainerState) -> ContainerView {
    ContainerView {
        name: "web".into(),
        image: "shop/web:2".into(),
        is_init: false,
        state,
        last: None,
        restarts: 0,
    }
}

fn pod(container: ContainerView) -> PodView {
    PodView {
        name: "web-1".into(),
        created_at: Some(at(1)),
        unready_since: Some(at(1)),
        containers: vec![container],
        ..PodView::default()
    }
}

fn waiting(reason: &str, message: &str) -> PodView {
    pod(container(ContainerState::Waiting { reason: reason.into(), message: message.into() }))
}

fn ending(exit_code: i32, reason: &str, message: &str) -> Ending {
    Ending { exit_code, reason: reason.into(), message: message.into(), at: Some(at(3)) }
}

fn warned(mut pod: PodView, reason: &str, message: &str) -> PodView {
    pod.warnings.push(repeated(reason, message, 4, 9, 3));
    pod
}

/// A warning that came `count` times between two seconds.
fn repeated(reason: &str, message: &str, first: i64, last: i64, count: i32) -> Warning {
    let (first, at) = (Some(at(first)), Some(at(last)));
    Warning {
        reason: reason.into(),
        message: message.into(),
        first,
        at,
        before: None,
        count,
        total: count,
    }
}

const LATER: Verdict = Verdict::FatalAt(Timestamp::UNIX_EPOCH);

/// The verdict, any time of the future as the same one.
fn verdict(pod: &PodView) -> Option<Verdict> {
    judge_pod(pod, context()).map(|cause| match cause.verdict {
        Verdict::FatalAt(_) => LATER,
        other => other,
    })
}

#[rstest]
#[case("InvalidImageName", "couldn't parse image name", Some(Verdict::Fatal))]
#[case("ErrImageNeverPull", "image is not present with pull policy of Never", Some(Verdict::Fatal))]
#[case(
    "ErrImagePull",
    "failed to pull and unpack image \"shop/web:2\": not found",
    Some(Verdict::Fatal)
)]
#[case(
    "ImagePullBackOff",
    "Back-off pulling image: ErrImagePull: pull access denied, authorization failed",
    Some(Verdict::Fatal)
)]
#[case(
    "ErrImagePull",
    "unexpected status from HEAD request: 401 Unauthorized",
    Some(Verdict::Fatal)
)]
#[case("ErrImagePull", "dial tcp: lookup registry.example: no such host", Some(LATER))]
#[case("ErrImagePull", "dial tcp 192.0.2.1:443: i/o timeout", Some(LATER))]
#[case(
    "ErrImagePull",
    "toomanyrequests: You have reached your pull rate limit. denied",
    Some(LATER)
)]
#[case("ImagePullBackOff", "Back-off pulling image \"shop/web:2\"", Some(LATER))]
#[case("RegistryUnavailable", "", Some(LATER))]
#[case("CreateContainerConfigError", "configmap \"settings\" not found", Some(Verdict::Fatal))]
#[case(
    "CreateContainerConfigError",
    "couldn't find key mode in ConfigMap shop/settings",
    Some(Verdict::Fatal)
)]
#[case(
    "CreateContainerConfigError",
    "failed to sync configmap cache: timed out waiting for the condition",
    Some(LATER)
)]
#[case(
    "CreateContainerError",
    "failed to generate spec: no command specified",
    Some(Verdict::Fatal)
)]
#[case("CreateContainerError", "context deadline exceeded", Some(LATER))]
#[case("RunContainerError", "exec: \"/nothing\": no such file or directory", Some(Verdict::Fatal))]
#[case("PostStartHookError", "Exec lifecycle hook failed", Some(Verdict::Fatal))]
#[case("CrashLoopBackOff", "back-off 10s restarting failed container", Some(Verdict::Fatal))]
#[case("ContainerCreating", "", None)]
#[case("PodInitializing", "", None)]
#[case("SomethingNew", "of a later Kubernetes", None)]
fn a_waiting_container_is_judged_by_its_reason_and_text(
    #[case] reason: &str,
    #[case] text: &str,
    #[case] expected: Option<Verdict>,
) {
    assert_eq!(verdict(&waiting(reason, text)), expected);
}

#[test]
fn an_images_own_name_says_nothing_of_what_went_wrong() {
    let mut pod = waiting("ErrImagePull", "Back-off pulling image \"shop/not found:denied\": i/o");
    pod.containers[0].image = "shop/not found:denied".into();
    assert_eq!(verdict(&pod), Some(LATER));
}

#[test]
fn the_sentence_names_pod_container_reason_image_and_text() {
    let cause = |text: &str| judge_pod(&waiting("ErrImagePull", text), context()).unwrap().sentence;
    assert_eq!(
        cause("not\u{1b}[31m found\n"),
        "pod web-1, container web: ErrImagePull (image shop/web:2): not [31m found"
    );
    assert!(cause(&"x".repeat(5000)).len() < 1200);
}

#[test]
fn trouble_that_may_pass_is_fatal_when_the_grace_is_over() {
    let cause = judge_pod(&waiting("ErrImagePull", "i/o timeout"), context()).unwrap();
    assert_eq!(cause.verdict, Verdict::FatalAt(at(31)));
    // From when it was seen to begin, where that was watched: pulling takes its time.
    let later = PodView { troubled_since: Some(at(100)), ..waiting("ErrImagePull", "i/o timeout") };
    assert_eq!(judge_pod(&later, context()).unwrap().verdict, Verdict::FatalAt(at(130)));
    // A pod that was there before has the grace from the order's beginning.
    let before = PodView { created_at: Some(at(-1000)), ..waiting("ErrImagePull", "i/o timeout") };
    assert_eq!(judge_pod(&before, context()).unwrap().verdict, Verdict::FatalAt(at(30)));
}

#[test]
fn a_container_that_ended_may_be_started_again_as_often_as_is_tolerated() {
    let first = pod(container(ContainerState::Ended(ending(3, "Error", "told to crash"))));
    let cause = judge_pod(&first, context()).unwrap();
    assert_eq!(cause.verdict, Verdict::KeepWaiting);
    assert_eq!(
        cause.sentence,
        "pod web-1, container web: it ended after exit code 3, Error: told to crash (image shop/web:2)"
    );

    let again = |restarts, state| ContainerView {
        restarts,
        last: Some(ending(137, "OOMKilled", "")),
        ..container(state)
    };
    let running = ContainerState::Running { since: Some(at(5)) };
    let cause = judge_pod(&pod(again(1, running.clone())), context()).unwrap();
    assert_eq!(cause.verdict, Verdict::KeepWaiting);
    assert!(
        cause.sentence.contains("it was started again after exit code 137, OOMKilled"),
        "{}",
        cause.sentence
    );
    assert_eq!(verdict(&pod(again(2, running.clone()))), Some(Verdict::Fatal));
    assert_eq!(
        verdict(&pod(again(1, ContainerState::Ended(ending(1, "Error", ""))))),
        Some(Verdict::Fatal)
    );
    let strict = JudgeContext {
        failure_policy: FailurePolicy { restarts: 0, ..context().failure_policy },
        ..context()
    };
    assert_eq!(judge_pod(&first, strict).unwrap().verdict, Verdict::Fatal);
    let patient = JudgeContext {
        failure_policy: FailurePolicy { restarts: 5, ..context().failure_policy },
        ..context()
    };
    assert_eq!(
        judge_pod(&waiting("CrashLoopBackOff", ""), patient).unwrap().verdict,
        Verdict::KeepWaiting
    );
    // Kubernetes tells whole seconds: a pod of the order's own first second is its own.
    let begun = JudgeContext {
        since: at(1).checked_add(SignedDuration::from_millis(400)).unwrap(),
        ..context()
    };
    assert_eq!(judge_pod(&pod(again(2, running.clone())), begun).unwrap().verdict, Verdict::Fatal);
    // Restarts of a pod that was there before are none of this order's doing.
    let old = PodView { created_at: Some(at(-1000)), ..pod(again(40, running)) };
    assert_eq!(verdict(&old), Some(Verdict::KeepWaiting));
}

#[test]
fn a_liveness_probe_that_kills_is_quoted() {
    let running = ContainerState::Running { since: Some(at(9)) };
    let killed =
        ContainerView { restarts: 2, last: Some(ending(137, "Error", "")), ..container(running) };
    let pod = warned(
        pod(killed),
        "Unhealthy",
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
    );
    let cause = judge_pod(&pod, context()).unwrap();
    assert_eq!(cause.verdict, Verdict::Fatal);
    assert!(
        cause.sentence.ends_with("; Liveness probe failed: HTTP probe failed with statuscode: 500"),
        "{}",
        cause.sentence
    );
}

#[test]
fn an_init_container_that_fails_is_named_as_one_and_one_that_is_done_is_no_trouble() {
    let of = |exit_code| ContainerView {
        is_init: true,
        restarts: 1,
        ..container(ContainerState::Ended(ending(exit_code, "Error", "no database")))
    };
    let cause = judge_pod(&pod(of(1)), context()).unwrap();
    assert_eq!(cause.verdict, Verdict::Fatal);
    assert!(
        cause
            .sentence
            .contains("init container web: it ended after exit code 1, Error: no database"),
        "{}",
        cause.sentence
    );
    assert_eq!(verdict(&pod(of(0))), None);
}

#[test]
fn a_package_that_cannot_be_had_fails_at_once() {
    let text = "the package cannot be had: 404 Not Found";
    let fetch = ContainerView {
        name: PACKAGE_CONTAINER.into(),
        is_init: true,
        ..container(ContainerState::Ended(ending(4, "Error", text)))
    };
    let cause = judge_pod(&pod(fetch), context()).unwrap();
    assert_eq!(cause.verdict, Verdict::Fatal);
    assert!(
        cause.sentence.contains("init container sluice-package") && cause.sentence.contains(text),
        "{}",
        cause.sentence
    );
}

#[test]
fn a_pod_that_no_node_takes_is_told_in_the_schedulers_words() {
    let pod = PodView {
        unschedulable: Some("0/3 nodes are available: 3 Insufficient cpu.".into()),
        ..waiting("ContainerCreating", "")
    };
    let cause = judge_pod(&pod, context()).unwrap();
    assert_eq!(cause.verdict, Verdict::FatalAt(at(31)));
    assert_eq!(
        cause.sentence,
        "pod web-1 cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu."
    );
}

#[test]
fn a_volume_that_cannot_be_had_is_told_by_its_warning_while_the_pod_waits_for_it() {
    let text = "MountVolume.SetUp failed for volume \"settings\": configmap \"settings\" not found";
    let cause =
        judge_pod(&warned(waiting("ContainerCreating", ""), "FailedMount", text), context())
            .unwrap();
    assert_eq!(cause.verdict, Verdict::FatalAt(at(34)));
    assert!(
        cause.sentence.contains("pod web-1 cannot start: FailedMount: MountVolume.SetUp"),
        "{}",
        cause.sentence
    );
    let runs =
        warned(pod(container(ContainerState::Running { since: Some(at(1)) })), "FailedMount", text);
    assert!(
        !judge_pod(&runs, context()).unwrap().sentence.contains("FailedMount"),
        "what it says of the past counts no more"
    );
}

#[rstest]
#[case::once(0, 1, 59, false)]
#[case::once_and_the_grace_is_over(0, 1, 61, false)]
#[case::every_13_s(52, 5, 60, true)]
#[case::it_has_passed(10, 3, 60, false)]
fn a_warning_that_does_not_come_again_has_passed(
    #[case] last: i64,
    #[case] count: i32,
    #[case] now: i64,
    #[case] lasts: bool,
) {
    let mut pod = waiting("ContainerCreating", "");
    pod.warnings = vec![repeated("FailedMount", "MountVolume.SetUp failed", 0, last, count)];
    let context =
        JudgeContext { failure_policy: FailurePolicy::default(), since: at(0), now: at(now) };
    let cause = judge_pod(&pod, context).unwrap();
    let (verdict, says) = if lasts {
        (Verdict::FatalAt(at(60)), "pod web-1 cannot start: FailedMount: MountVolume.SetUp failed")
    } else {
        (
            Verdict::KeepWaiting,
            "pod web-1 has not started, and its last warning was FailedMount: MountVolume.SetUp failed",
        )
    };
    assert_eq!((cause.verdict, cause.sentence.as_str()), (verdict, says));
    // One that goes on counts more than one that came later and has passed.
    if lasts {
        pod.warnings.push(repeated("FailedCreatePodSandBox", "no network", 55, 55, 1));
        assert!(judge_pod(&pod, context).unwrap().sentence.contains("FailedMount"));
    }
}

#[test]
fn a_pod_that_was_ready_and_is_not_any_more_is_given_the_grace() {
    let mut pod = warned(
        pod(container(ContainerState::Running { since: Some(at(2)) })),
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
    );
    let cause = judge_pod(&pod, context()).unwrap();
    assert_eq!(cause.verdict, Verdict::KeepWaiting, "it has not been Ready yet");
    assert_eq!(
        cause.sentence,
        "pod web-1 runs and is not Ready; Readiness probe failed: HTTP probe failed with statuscode: 503"
    );
    pod.unready_since = Some(at(20));
    let cause = judge_pod(&pod, context()).unwrap();
    assert_eq!(cause.verdict, Verdict::FatalAt(at(50)));
    assert!(
        cause.sentence.starts_with("pod web-1 is not Ready any more; Readiness probe failed"),
        "{}",
        cause.sentence
    );
    let gate = "corresponding condition of pod readiness gate \"lb\" does not exist.";
    pod.gated = Some(gate.into());
    assert_eq!(
        judge_pod(&pod, context()).unwrap().sentence,
        format!("pod web-1 is not Ready any more, although its containers are: {gate}")
    );
    (pod.ready_since, pod.unready_since) = (Some(at(21)), None);
    assert_eq!(judge_pod(&pod, context()), None);
}
