//! One word for why an order failed, to count by.

use super::{NOT_STARTED, WAITING};

/// What sentences without a word of Kubernetes say, and the word for it.
const PHRASES: &[(&str, &str)] = &[
    ("OOMKilled", "OOMKilled"),
    ("Package", "Package"),
    ("exit code", "Error"),
    ("cannot be scheduled", "Unschedulable"),
    ("cannot create pods", "FailedCreate"),
    ("the Deployment controller cannot go on", "DeploymentController"),
    ("is not Ready any more", "Unhealthy"),
    ("was not done within", "Deadline"),
];

/// The word for what a failed order's message names: Kubernetes' own where there is one, and
/// `other` where the message names nothing known. There are few, whatever the message says.
#[must_use]
pub fn reason_of(message: &str) -> &'static str {
    let known = WAITING.iter().map(|(reason, _)| (*reason, *reason));
    let started = NOT_STARTED.iter().map(|reason| (*reason, *reason));
    // A container that waits to be started again says how it ended, which tells more.
    let tells = |(_, word): &(&str, &str)| *word != "CrashLoopBackOff";
    let mut all = known.filter(tells).chain(started).chain(PHRASES.iter().copied());
    all.find(|(words, _)| message.contains(words)).map_or("other", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("pod web-1, container web: ErrImagePull: not found", "ErrImagePull")]
    #[case("pod web-1: FailedMount: no such volume", "FailedMount")]
    #[case("container web: CrashLoopBackOff; exit code 137, OOMKilled", "OOMKilled")]
    #[case("container web: CrashLoopBackOff; exit code 3, Error", "Error")]
    #[case("init container: exit code 11: PackageNotFound", "Package")]
    #[case("pod web-1 cannot be scheduled: 0/3 nodes", "Unschedulable")]
    #[case("batch 1 was not done within 15 s", "Deadline")]
    #[case("", "other")]
    #[case("something else", "other")]
    fn a_failure_is_counted_by_one_word(#[case] message: &str, #[case] word: &str) {
        assert_eq!(reason_of(message), word);
    }
}
