//! What a release would do, before it is ordered: its batches with their pods.
//!
//! The same arithmetic as the release itself uses ([`Strategy`]), in numbers. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    order::plan::{BatchGate, Strategy},
    template::settings::BorrowedSettings,
};

/// A release that is not ordered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Number of pods when it is done.
    pub replicas: i32,
    /// Most pods there are at once, of both versions.
    pub peak_pods: i32,
    pub batches: Vec<PreviewBatch>,
}

/// One batch of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewBatch {
    /// Its number, from 1.
    pub number: usize,
    pub canary: bool,
    /// Pods of the new version that it adds.
    pub added: i32,
    /// Pods of the old version that go for them.
    pub removed: i32,
    /// Pods of the new version after it.
    pub new_pods: i32,
    /// Pods of the old version after it.
    pub old_pods: i32,
    /// What is waited for before the next.
    pub batch_gate: BatchGate,
}

/// Pods of both versions at one of the moments when there are most of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodCount {
    /// Of the new version.
    pub new: i32,
    /// Of the old one.
    pub old: i32,
}

/// The release of `replicas` pods by `strategy` to a Deployment that has `before`
/// pods and these settings of its user's own.
#[must_use]
pub fn preview(
    strategy: &Strategy,
    settings: &BorrowedSettings,
    before: i32,
    replicas: i32,
) -> Preview {
    let (mut new_pods, mut old_pods) = (0, before);
    let batches = (0..strategy.count()).map(|index| {
        let done = strategy.cumulative(index, replicas);
        let (added, left) = (done - new_pods, replicas - done);
        let removed = (old_pods - left).max(0);
        (new_pods, old_pods) = (done, left);
        let canary = index == 0 && strategy.canary > 0;
        PreviewBatch {
            number: index + 1,
            canary,
            added,
            removed,
            new_pods,
            old_pods,
            batch_gate: strategy.batch_gate_after(index),
        }
    });
    let batches = batches.collect();
    let peak_pods = peaks(strategy, settings, replicas)
        .iter()
        .map(|peak| peak.new + peak.old)
        .max()
        .unwrap_or(replicas);
    Preview { replicas, peak_pods, batches }
}

/// The moments of a release when there are most pods.
#[must_use]
pub fn peaks(strategy: &Strategy, settings: &BorrowedSettings, replicas: i32) -> Vec<PodCount> {
    if strategy.count() > 1 {
        // A batch's new pods are beside every old one that no earlier batch replaced.
        let peak = |index| {
            let new = strategy.cumulative(index, replicas);
            PodCount { new, old: replicas - (new - strategy.size(index, replicas)) }
        };
        return (0..strategy.count()).map(peak).collect();
    }
    let surge = settings.surge(replicas).min(replicas);
    vec![PodCount { new: surge, old: replicas }, PodCount { new: replicas, old: surge }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::order::plan::Pace;
    use proptest::{prop_assert, prop_assert_eq, prop_assume, proptest};
    use rstest::rstest;

    fn settings(strategy: Value) -> BorrowedSettings {
        BorrowedSettings {
            min_ready_seconds: 0,
            progress_deadline_seconds: 600,
            paused: false,
            strategy,
        }
    }

    fn rolling(surge: Value) -> BorrowedSettings {
        settings(json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge } }))
    }

    #[test]
    fn ten_pods_in_three_batches_after_a_canary() {
        let plan = Strategy { canary: 1, batches: 3, pace: Pace::Automatic { wait_minutes: 2 } };
        let preview = preview(&plan, &rolling(json!("25%")), 10, 10);
        assert_eq!((preview.replicas, preview.peak_pods), (10, 13));
        let told: Vec<_> = preview
            .batches
            .iter()
            .map(|it| (it.number, it.canary, it.added, it.removed, it.new_pods, it.old_pods))
            .collect();
        assert_eq!(
            told,
            [
                (1, true, 1, 1, 1, 9),
                (2, false, 3, 3, 4, 6),
                (3, false, 3, 3, 7, 3),
                (4, false, 3, 3, 10, 0)
            ]
        );
        let gates: Vec<_> = preview.batches.iter().map(|it| it.batch_gate).collect();
        assert_eq!(
            gates,
            [BatchGate::Confirmation, BatchGate::Pause(2), BatchGate::Pause(2), BatchGate::None]
        );
    }

    #[rstest]
    #[case(rolling(json!("25%")), 10, 13)]
    #[case(rolling(json!(1)), 10, 11)]
    #[case(rolling(json!(0)), 10, 10)]
    #[case(rolling(Value::Null), 1, 2)]
    #[case(settings(json!({ "type": "Recreate" })), 4, 4)]
    #[case(rolling(json!("100%")), 4, 8)]
    fn all_at_once_surges_as_the_deployment_says(
        #[case] settings: BorrowedSettings,
        #[case] replicas: i32,
        #[case] peak: i32,
    ) {
        assert_eq!(preview(&Strategy::ALL_AT_ONCE, &settings, replicas, replicas).peak_pods, peak);
    }

    proptest! {
        #[test]
        fn batches_add_up_and_the_peak_is_never_below_what_is_wanted(
            before in 0..60i32, replicas in 1..60i32, batches in 1..10i32, canary in 0..20i32,
        ) {
            let plan = Strategy { canary, batches, pace: Pace::Manual };
            prop_assume!(plan.fits(replicas).is_ok());
            let preview = preview(&plan, &rolling(json!("25%")), before, replicas);
            prop_assert_eq!(preview.batches.iter().map(|it| it.added).sum::<i32>(), replicas);
            prop_assert!(preview.batches.iter().all(|it| it.removed >= 0 && it.new_pods + it.old_pods == replicas));
            prop_assert!(preview.peak_pods > replicas || replicas == 0);
            let last = preview.batches.last().unwrap();
            prop_assert_eq!((last.new_pods, last.old_pods), (replicas, 0));
        }
    }
}
