//! The stages of a pod's life and the status each leaves behind.
//!
//! Which stage comes next follows from the pod and its behaviour alone, as with
//! the selectors of `tests/testbed/stages.yaml`; conditions are merged by type
//! and container statuses replaced, as the API server does with the patches of
//! the fake nodes there. Pure: nothing here writes or waits.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::event;
use super::super::field::{condition, items, text};
use super::shape::{
    HOST, containers, crashed, drop_address, image, not_ready, restarts, running, say, start,
    unready, waiting,
};

/// How pods behave: the words of `sluice.test/behaviour` and of image tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// `ready`: running and Ready.
    Ready,
    /// `never-ready`: running, never Ready.
    NeverReady,
    /// `fails-later`: Ready, then running and not Ready.
    FailsLater,
    /// `image-pull-error`: `ErrImagePull`, then `ImagePullBackOff` for good.
    ImagePullError,
    /// `crash-loop`: running, exit 1, `CrashLoopBackOff`, running again ...
    CrashLoop,
    /// `registry-down`: `ImagePullBackOff` for good, since the registry does not answer.
    RegistryDown,
    /// `config-error`: `CreateContainerConfigError` for good: a ConfigMap is missing.
    ConfigError,
    /// `run-error`: `RunContainerError` for good: the command does not exist.
    RunError,
    /// `stuck`: `ContainerCreating` for good.
    Stuck,
    /// `fail`: phase Failed, exit 1.
    Fail,
}

impl Behaviour {
    /// What the pod itself says; none for a word that no stage knows, which
    /// leaves the pod pending, as on the test bed.
    pub(super) fn of(pod: &Value) -> Option<Self> {
        let annotated = pod["metadata"]["annotations"]["sluice.test/behaviour"].as_str();
        let tagged = text(pod, "/spec/containers/0/image").and_then(|i| i.split("--").nth(1));
        match annotated.or(tagged).unwrap_or("ready") {
            "ready" => Some(Self::Ready),
            "never-ready" => Some(Self::NeverReady),
            "fails-later" => Some(Self::FailsLater),
            "image-pull-error" => Some(Self::ImagePullError),
            "crash-loop" => Some(Self::CrashLoop),
            "registry-down" => Some(Self::RegistryDown),
            "config-error" => Some(Self::ConfigError),
            "run-error" => Some(Self::RunError),
            "stuck" => Some(Self::Stuck),
            "fail" => Some(Self::Fail),
            _ => None,
        }
    }
}

/// One step in a pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    BecomesReady,
    RunsUnready,
    LosesReadiness,
    Crashes,
    Restarts,
    CannotPull,
    BacksOffPulling,
    WaitsForRegistry,
    LacksConfig,
    CannotRun,
    IsStuck,
    Fails,
    Gone,
}

/// The stage that a pod is due for, if there is one.
pub(super) fn next(pod: &Value, behaviour: Option<Behaviour>) -> Option<Stage> {
    if text(pod, "/metadata/deletionTimestamp").is_some() {
        return Some(Stage::Gone);
    }
    match text(pod, "/status/containerStatuses/0/state/waiting/reason") {
        Some("CrashLoopBackOff") => return Some(Stage::Restarts),
        Some("ErrImagePull") => return Some(Stage::BacksOffPulling),
        _ => {}
    }
    let pending = text(pod, "/status/phase") == Some("Pending");
    let started = !items(pod, "/status/containerStatuses").is_empty();
    let runs = pod.pointer("/status/containerStatuses/0/state/running").is_some();
    let ready = condition(pod, "Ready").is_some_and(|c| text(c, "/status") == Some("True"));
    match behaviour? {
        Behaviour::Ready | Behaviour::FailsLater if pending => Some(Stage::BecomesReady),
        Behaviour::FailsLater if ready => Some(Stage::LosesReadiness),
        Behaviour::NeverReady | Behaviour::CrashLoop if pending => Some(Stage::RunsUnready),
        Behaviour::CrashLoop if runs => Some(Stage::Crashes),
        Behaviour::ImagePullError if !started => Some(Stage::CannotPull),
        Behaviour::RegistryDown if !started => Some(Stage::WaitsForRegistry),
        Behaviour::ConfigError if !started => Some(Stage::LacksConfig),
        Behaviour::RunError if !started => Some(Stage::CannotRun),
        Behaviour::Stuck if !started => Some(Stage::IsStuck),
        Behaviour::Fail if pending => Some(Stage::Fails),
        Behaviour::Ready
        | Behaviour::FailsLater
        | Behaviour::NeverReady
        | Behaviour::CrashLoop
        | Behaviour::ImagePullError
        | Behaviour::RegistryDown
        | Behaviour::ConfigError
        | Behaviour::RunError
        | Behaviour::Stuck
        | Behaviour::Fail => None,
    }
}

impl Stage {
    /// The annotation with which a pod sets the time before this stage.
    pub(super) fn annotation(self) -> &'static str {
        match self {
            Stage::BecomesReady
            | Stage::RunsUnready
            | Stage::CannotPull
            | Stage::WaitsForRegistry
            | Stage::LacksConfig
            | Stage::CannotRun => "sluice.test/starts-after",
            Stage::LosesReadiness | Stage::Crashes | Stage::Fails => "sluice.test/fails-after",
            Stage::Restarts | Stage::BacksOffPulling => "sluice.test/retries-after",
            Stage::Gone => "sluice.test/stops-after",
            Stage::IsStuck => "",
        }
    }

    /// Whether this is how a pod starts, which takes the time of the settings.
    pub(super) fn is_start(self) -> bool {
        self.annotation() == "sluice.test/starts-after"
    }

    /// The time before this stage when the pod does not say.
    pub(super) fn default_delay(self) -> Duration {
        match self {
            Stage::BecomesReady
            | Stage::RunsUnready
            | Stage::CannotPull
            | Stage::WaitsForRegistry
            | Stage::LacksConfig
            | Stage::CannotRun => Duration::from_millis(100),
            Stage::LosesReadiness | Stage::Crashes | Stage::Fails => Duration::from_secs(1),
            Stage::Restarts | Stage::BacksOffPulling => Duration::from_secs(3),
            Stage::IsStuck | Stage::Gone => Duration::ZERO,
        }
    }

    /// The event that goes with it.
    pub(super) fn event(self) -> Option<(event::Type, &'static str, &'static str)> {
        use event::Type::{Normal, Warning};
        match self {
            Stage::LosesReadiness => Some((
                Warning,
                "Unhealthy",
                "Readiness probe failed: HTTP probe failed with statuscode: 503",
            )),
            Stage::Crashes => Some((Warning, "BackOff", "Back-off restarting failed container")),
            Stage::CannotPull => Some((Warning, "Failed", "Failed to pull image: not found")),
            Stage::BacksOffPulling => Some((Normal, "BackOff", "Back-off pulling image")),
            Stage::WaitsForRegistry | Stage::LacksConfig | Stage::CannotRun => {
                let (_, message) = self.trouble();
                Some((Warning, "Failed", message))
            }
            Stage::BecomesReady
            | Stage::RunsUnready
            | Stage::Restarts
            | Stage::IsStuck
            | Stage::Fails
            | Stage::Gone => None,
        }
    }

    /// What a container waits for that will never start, and the kubelet's text.
    fn trouble(self) -> (&'static str, &'static str) {
        match self {
            Stage::WaitsForRegistry => (
                "ImagePullBackOff",
                "Back-off pulling image: ErrImagePull: dial tcp 192.0.2.1:443: i/o timeout",
            ),
            Stage::LacksConfig => {
                ("CreateContainerConfigError", "configmap \"settings\" not found")
            }
            _ => (
                "RunContainerError",
                "failed to create containerd task: exec: \"/missing\": no such file or directory",
            ),
        }
    }

    /// The pod's status after this stage.
    pub(super) fn status(self, pod: &Value, now: &str) -> Value {
        let mut status = pod["status"].clone();
        match self {
            Stage::BecomesReady => {
                start(&mut status, pod, "Running", now);
                let all = ["PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"];
                for kind in all {
                    say(&mut status, kind, "True", None, now);
                }
                for gate in items(pod, "/spec/readinessGates") {
                    let kind = text(gate, "/conditionType").unwrap_or_default();
                    say(&mut status, kind, "True", None, now);
                }
                containers(&mut status, pod, |c, _| running(c, pod, true, 0, now));
            }
            Stage::RunsUnready => {
                start(&mut status, pod, "Running", now);
                not_ready(&mut status, pod, now);
                containers(&mut status, pod, |c, _| running(c, pod, false, 0, now));
            }
            Stage::LosesReadiness => {
                unready(&mut status, pod, now);
                containers(&mut status, pod, |c, was| {
                    let since = text(was, "/state/running/startedAt").unwrap_or(now);
                    running(c, pod, false, restarts(was), since)
                });
            }
            Stage::Crashes => containers(&mut status, pod, |c, was| crashed(c, pod, was, now)),
            Stage::Restarts => containers(&mut status, pod, |c, was| {
                let mut status = running(c, pod, false, restarts(was) + 1, now);
                status["lastState"] = was["lastState"].clone();
                status
            }),
            Stage::CannotPull => {
                start(&mut status, pod, "Pending", now);
                drop_address(&mut status);
                not_ready(&mut status, pod, now);
                containers(&mut status, pod, |c, _| {
                    let why = format!("failed to pull and unpack image {:?}: not found", image(c));
                    waiting(c, "ErrImagePull", Some(why))
                });
            }
            Stage::BacksOffPulling => containers(&mut status, pod, |c, _| {
                let image = image(c);
                let why = format!(
                    "Back-off pulling image {image:?}: ErrImagePull: failed to pull and unpack \
                     image {image:?}: not found"
                );
                waiting(c, "ImagePullBackOff", Some(why))
            }),
            Stage::WaitsForRegistry | Stage::LacksConfig | Stage::CannotRun => {
                start(&mut status, pod, "Pending", now);
                drop_address(&mut status);
                not_ready(&mut status, pod, now);
                let (reason, message) = self.trouble();
                containers(&mut status, pod, |c, _| waiting(c, reason, Some(message.into())));
            }
            Stage::IsStuck => {
                status["startTime"] = now.into();
                status["hostIP"] = HOST.into();
                containers(&mut status, pod, |c, _| waiting(c, "ContainerCreating", None));
            }
            Stage::Fails => {
                status["phase"] = "Failed".into();
                status["startTime"] = now.into();
                for kind in ["ContainersReady", "Ready"] {
                    say(&mut status, kind, "False", Some(("PodFailed", None)), now);
                }
                containers(&mut status, pod, |c, _| {
                    let mut status = waiting(c, "", None);
                    status["imageID"] = image(c).into();
                    status["state"] = json!({"terminated": {
                        "exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now,
                    }});
                    status
                });
            }
            Stage::Gone => {}
        }
        status
    }
}

/// Reads a Go duration (`1.5s`, `300ms`, `1m30s`); none when it is not one.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    (!text.trim().is_empty()).then(|| Duration::try_from_secs_f64(total).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1s", Some(1000))]
    #[case("1.5s", Some(1500))]
    #[case("300ms", Some(300))]
    #[case("1m30s", Some(90_000))]
    #[case("0", Some(0))]
    #[case("0s", Some(0))]
    #[case("", None)]
    #[case("5", None)]
    #[case("1x", None)]
    fn a_duration_is_read_as_go_writes_it(#[case] text: &str, #[case] millis: Option<u64>) {
        assert_eq!(duration(text), millis.map(Duration::from_millis));
    }

    fn pod(image: &str) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [{"name": "c", "image": image}]},
            "status": {"phase": "Pending"},
        })
    }

    #[rstest]
    #[case("shop/web:1", Some(Behaviour::Ready))]
    #[case("shop/web:2.0--crash-loop", Some(Behaviour::CrashLoop))]
    #[case("shop/web:2.0--what", None)]
    fn the_tag_says_what_a_pod_does(#[case] image: &str, #[case] expected: Option<Behaviour>) {
        assert_eq!(Behaviour::of(&pod(image)), expected);
    }

    #[test]
    fn an_annotation_goes_before_the_tag() {
        let mut pod = pod("shop/web:1--crash-loop");
        pod["metadata"]["annotations"] = json!({"sluice.test/behaviour": "never-ready"});
        assert_eq!(Behaviour::of(&pod), Some(Behaviour::NeverReady));
    }

    /// Walks a pod through its first stages.
    fn walk(image: &str, steps: usize) -> Vec<Stage> {
        let mut pod = pod(image);
        let mut stages = Vec::new();
        while stages.len() < steps {
            let Some(stage) = next(&pod, Behaviour::of(&pod)) else {
                break;
            };
            pod["status"] = stage.status(&pod, "2026-01-01T00:00:00Z");
            stages.push(stage);
        }
        stages
    }

    #[test]
    fn each_behaviour_takes_its_stages() {
        use Stage::*;
        assert_eq!(walk("w:1", 9), [BecomesReady]);
        assert_eq!(walk("w:1--never-ready", 9), [RunsUnready]);
        assert_eq!(walk("w:1--fails-later", 9), [BecomesReady, LosesReadiness]);
        assert_eq!(walk("w:1--image-pull-error", 9), [CannotPull, BacksOffPulling]);
        assert_eq!(walk("w:1--crash-loop", 5), [RunsUnready, Crashes, Restarts, Crashes, Restarts]);
        assert_eq!(walk("w:1--registry-down", 9), [WaitsForRegistry]);
        assert_eq!(walk("w:1--config-error", 9), [LacksConfig]);
        assert_eq!(walk("w:1--run-error", 9), [CannotRun]);
        assert_eq!(walk("w:1--stuck", 9), [IsStuck]);
        assert_eq!(walk("w:1--fail", 9), [Fails]);
    }

    #[test]
    fn a_restart_is_counted_and_the_last_exit_is_kept() {
        let mut pod = pod("w:1--crash-loop");
        for _ in 0..3 {
            let stage = next(&pod, Behaviour::of(&pod)).unwrap();
            pod["status"] = stage.status(&pod, "2026-01-01T00:00:00Z");
        }
        let status = &pod["status"]["containerStatuses"][0];
        assert_eq!(status["restartCount"], 1);
        assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
        assert!(status["state"].get("running").is_some());
    }
}
