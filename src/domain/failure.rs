//! From what Kubernetes shows of a container to what it means for a release.
//!
//! A container that waits for one of the reasons here will not start by itself
//! in any time a release should take: the batch has failed now, not when its
//! deadline comes. Everything else keeps waiting.

use super::observation::{PodView, Waiting};

/// Longest part of Kubernetes' own text that a message repeats, in characters.
const LONGEST_TEXT: usize = 1000;

/// Reasons for which a waiting container is given up at once, in the kubelet's words.
const FATAL: [&str; 13] = [
    // The image: its name, its registry, or the right to pull it.
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    // A ConfigMap, Secret or key that the container names does not exist.
    "CreateContainerConfigError",
    // The runtime cannot make or start the container.
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PostStartHookError",
    // It started, and ended, again and again.
    "CrashLoopBackOff",
];

/// Why the pod cannot become Ready, as a sentence that names pod, container,
/// reason, image and Kubernetes' own text; none while it still may.
#[must_use]
pub fn verdict(pod: &PodView) -> Option<String> {
    let waiting = pod.waiting.iter().find(|waiting| FATAL.contains(&waiting.reason.as_str()))?;
    let Waiting { container, image, reason, message } = waiting;
    let text = if message.is_empty() { String::new() } else { format!(": {}", clean(message)) };
    Some(format!("pod {}, container {container}: {reason} (image {image}){text}", pod.name))
}

/// Kubernetes' text without control characters (K21), cut to a readable length.
fn clean(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_TEXT).collect();
    if text.chars().count() > LONGEST_TEXT {
        shown.push('…');
    }
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn pod(reason: &str, message: &str) -> PodView {
        let waiting = Waiting { container: "web".into(), image: "shop/web:2".into(), reason: reason.into(), message: message.into() };
        PodView { name: "web-1".into(), ip: String::new(), phase: "Pending".into(), ready_since: None, waiting: vec![waiting] }
    }

    #[rstest]
    #[case("ErrImagePull", true)]
    #[case("CrashLoopBackOff", true)]
    #[case("CreateContainerConfigError", true)]
    #[case("ContainerCreating", false)]
    #[case("PodInitializing", false)]
    fn only_reasons_that_do_not_go_away_are_fatal(#[case] reason: &str, #[case] fatal: bool) {
        assert_eq!(verdict(&pod(reason, "")).is_some(), fatal);
    }

    #[test]
    fn the_sentence_names_pod_container_reason_image_and_text() {
        let sentence = verdict(&pod("ErrImagePull", "not\u{1b}[31m found\n")).unwrap();
        assert_eq!(sentence, "pod web-1, container web: ErrImagePull (image shop/web:2): not [31m found");
        assert!(verdict(&pod("ErrImagePull", &"x".repeat(5000))).unwrap().len() < 1200);
    }
}
