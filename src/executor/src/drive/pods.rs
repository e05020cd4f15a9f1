//! What is recorded of a batch's pods while it runs.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::Drive;
use crate::Executor;
use domain::{
    BatchId,
    observed::{Observation, failure},
    order::State,
    rollout,
};
use store::{PodState, StoreError};

/// Shortest time between two records of a batch's pods.
pub(super) const RECORD_EVERY: Duration = Duration::from_millis(250);

/// Longest time between two looks at a batch's pods, which may be in trouble for too long.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is recorded of the pods of batches.
#[derive(Default)]
pub(super) struct Pods {
    /// Names of pods that earlier batches brought.
    pub(super) earlier: HashSet<String>,
    /// The batch under way, and what is recorded of it.
    pub(super) recorded: Option<(BatchId, Vec<PodState>)>,
    pub(super) at: Option<Instant>,
    /// Whether what is recorded is not what was seen last.
    pub(super) behind: bool,
}

impl Executor {
    /// Records the pods of the batch under way where they changed: at once if the
    /// batch is about to change, at most four times a second otherwise.
    pub(super) async fn record_pods(
        &self,
        drive: &mut Drive,
        observation: &Observation,
        now: bool,
    ) -> Result<(), StoreError> {
        let Observation::Present(view) = observation else { return Ok(()) };
        let Some(batch) = drive
            .order
            .batches
            .get(drive.order.batch)
            .filter(|batch| batch.state == State::Running)
        else {
            return Ok(());
        };
        let pods = &mut drive.pods;
        match &pods.recorded {
            Some((id, _)) if *id == batch.id => {}
            other => {
                pods.earlier.extend(
                    other.iter().flat_map(|(_, pods)| pods.iter().map(|pod| pod.name.clone())),
                );
                pods.recorded = Some((batch.id, Vec::new()));
                pods.at = None;
            }
        }
        let context = rollout::judge_context(&drive.order, self.clock.now());
        let mut seen: Vec<PodState> = view
            .new
            .iter()
            .flat_map(|set| &set.pods)
            .filter(|pod| rollout::brought(&drive.order, pod) && !pods.earlier.contains(&pod.name))
            .map(|pod| PodState {
                name: pod.name.clone(),
                ip: pod.ip.clone(),
                phase: pod.phase.clone(),
                ready: pod.ready_since.is_some(),
                message: failure::judge_pod(pod, context)
                    .map(|cause| cause.sentence)
                    .unwrap_or_default(),
            })
            .collect();
        let Some((id, recorded)) = &mut pods.recorded else { return Ok(()) };
        keep_places(&mut seen, recorded);
        pods.behind = *recorded != seen;
        if !pods.behind {
            return Ok(());
        }
        if now || pods.at.is_none_or(|at| at.elapsed() >= RECORD_EVERY) {
            self.store.record_pods(drive.lease, *id, &seen, self.clock.now()).await?;
            *recorded = seen;
            pods.at = Some(Instant::now());
            pods.behind = false;
            self.changed.note(drive.lease.order);
        }
        Ok(())
    }
}

/// Puts the pods that were recorded before where they were, and new ones behind
/// them: clients walk the list by place while it grows, and would miss one.
fn keep_places(seen: &mut [PodState], recorded: &[PodState]) {
    let places: HashMap<&str, usize> =
        recorded.iter().enumerate().map(|(place, pod)| (pod.name.as_str(), place)).collect();
    seen.sort_by_key(|pod| places.get(pod.name.as_str()).copied().unwrap_or(usize::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(names: &[&str]) -> Vec<PodState> {
        let pod = |name: &&str| PodState {
            name: (*name).into(),
            ip: String::new(),
            phase: String::new(),
            ready: false,
            message: String::new(),
        };
        names.iter().map(pod).collect()
    }

    #[test]
    fn a_pod_keeps_its_place_when_others_come_and_go() {
        for (recorded, seen, kept) in [
            (&[][..], &["a", "b"][..], &["a", "b"][..]),
            (&["f", "q"], &["a", "f", "m", "q"], &["f", "q", "a", "m"]),
            (&["q", "f", "a"], &["a", "b", "q"], &["q", "a", "b"]),
        ] {
            let mut seen = pods(seen);
            keep_places(&mut seen, &pods(recorded));
            assert_eq!(seen, pods(kept));
        }
    }
}
