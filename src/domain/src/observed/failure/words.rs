//! The words of causes: what probes, endings and Kubernetes itself say, as parts of a sentence.

use crate::observed::{ContainerView, Ending, PodView, Warning};

/// Longest part of Kubernetes' own text that a message repeats, in characters.
const LONGEST_TEXT: usize = 1000;

/// What a probe said last, as the end of a sentence.
pub(super) fn probe(pod: &PodView) -> String {
    said_by_probe(pod, |_| true)
}

/// The same of those probes for which the kubelet ends a container.
pub(super) fn killing_probe(pod: &PodView) -> String {
    said_by_probe(pod, |text| text.starts_with("Liveness") || text.starts_with("Startup"))
}

fn said_by_probe(pod: &PodView, counts: impl Fn(&str) -> bool) -> String {
    let unhealthy = pod
        .warnings
        .iter()
        .rev()
        .find(|Warning { reason, message, .. }| reason == "Unhealthy" && counts(message));
    unhealthy.map(|warning| format!("; {}", sanitize(&warning.message))).unwrap_or_default()
}

pub(super) fn how(ending: &Ending) -> String {
    let reason = if ending.reason.is_empty() { "no reason given" } else { ending.reason.as_str() };
    let said = if ending.message.is_empty() {
        String::new()
    } else {
        format!(": {}", sanitize(&ending.message))
    };
    format!("exit code {}, {reason}{said}", ending.exit_code)
}

pub(super) fn kind(container: &ContainerView) -> &'static str {
    if container.is_init { "init container" } else { "container" }
}

pub(super) fn says(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Kubernetes' text without control characters (K21), cut to a readable length.
pub(super) fn sanitize(text: &str) -> String {
    let mut shown: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_TEXT).collect();
    if text.chars().count() > LONGEST_TEXT {
        shown.push('…');
    }
    shown.trim().to_owned()
}
