//! What is recorded of the pods of batches: while one runs, and while the order waits behind
//! it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::Drive;
use crate::Executor;
use domain::{
    BatchId,
    observed::{DeploymentView, Observation, failure},
    order::{Batch, Order, State, Step},
    rollout::{self, BatchTransition},
};
use jiff::Timestamp;
use store::{BatchRow, Lease, PodState, StoreError};

/// Shortest time between two records of a batch's pods while nothing else is written.
pub(super) const RECORD_EVERY: Duration = Duration::from_secs(1);

/// Longest time between two looks at a batch's pods, which may be in trouble for too long.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Of a pod that was Ready when its batch was done, where Kubernetes does not say why it is
/// not.
const NO_MORE: &str = "it is not Ready any more";

/// What is recorded of the pods of batches.
pub(super) struct Pods {
    /// Names of pods that earlier batches brought.
    pub(super) earlier: HashSet<String>,
    /// The batch under way, and what is recorded of it.
    pub(super) recorded: Option<(BatchId, Vec<PodState>)>,
    /// When that was recorded, or the drive began.
    pub(super) at: Instant,
    /// What was seen last, where that is not what is recorded.
    pub(super) seen: Option<Vec<PodState>>,
}

impl Pods {
    /// What is recorded of the pods of each batch, where this one is under way.
    pub(super) fn of(pods: Vec<Vec<PodState>>, batches: &[Batch], under_way: usize) -> Self {
        let (mut earlier, mut recorded) = (HashSet::new(), None);
        for (index, (pods, batch)) in pods.into_iter().zip(batches).enumerate() {
            if index < under_way {
                earlier.extend(pods.into_iter().map(|pod| pod.name));
            } else if index == under_way {
                recorded = Some((batch.id, pods));
            }
        }
        Self { earlier, recorded, at: Instant::now(), seen: None }
    }

    /// What is to be recorded.
    pub(super) fn unrecorded(&self) -> Option<(BatchId, &[PodState])> {
        let (batch, _) = self.recorded.as_ref()?;
        Some((*batch, self.seen.as_deref()?))
    }

    /// That was recorded.
    pub(super) fn note_recorded(&mut self) {
        if let (Some((_, recorded)), Some(seen)) = (&mut self.recorded, self.seen.take()) {
            *recorded = seen;
            self.at = Instant::now();
        }
    }

    /// Follows the database, which keeps no pods of a batch that is to begin anew.
    pub(super) fn follow(&mut self, batches: &[Batch], moved: &[BatchTransition]) {
        let Some((id, recorded)) = &mut self.recorded else { return };
        let is_it = |index: usize| batches.get(index).is_some_and(|batch| batch.id == *id);
        if moved.iter().any(|batch| batch.state == State::Ready && is_it(batch.index)) {
            recorded.clear();
        }
    }
}

impl Executor {
    /// Looks at the pods of the batch under way. Where they changed, they are recorded with
    /// the transition that is `decided`; without one, at most once a second.
    pub(super) async fn record_pods(
        &self,
        drive: &mut Drive,
        observation: &Observation,
        decided: bool,
    ) -> Result<(), StoreError> {
        drive.pods.seen = None;
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
            }
        }
        let mut seen = brought_pods(&drive.order, view, self.clock.now());
        seen.retain(|pod| !pods.earlier.contains(&pod.name));
        let Some((id, recorded)) = &pods.recorded else { return Ok(()) };
        keep_places(&mut seen, recorded);
        if *recorded == seen {
            return Ok(());
        }
        if !decided && pods.at.elapsed() >= RECORD_EVERY {
            self.store.record_pods(drive.lease, *id, &seen, self.clock.now()).await?;
            self.changed.note(drive.lease.order);
            pods.seen = Some(seen);
            pods.note_recorded();
        } else {
            pods.seen = Some(seen);
        }
        Ok(())
    }
}

impl Executor {
    /// Records the pods of an order that rests between two batches, where they are not what
    /// is recorded: whoever looks sees a sick pod as it is.
    pub(super) async fn record_resting(
        &self,
        lease: Lease,
        order: &Order,
        observation: &Observation,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        for (batch, pods) in self.unrecorded(order, observation).await? {
            self.store.record_pods(lease, batch, &pods, now).await?;
            self.changed.note(order.id);
        }
        Ok(())
    }

    /// Batches of an order that rests whose pods are not what is recorded, with what they are.
    pub(crate) async fn unrecorded(
        &self,
        order: &Order,
        observation: &Observation,
    ) -> Result<Vec<(BatchId, Vec<PodState>)>, StoreError> {
        // Where somebody else wrote the template, there is no set of pods to compare with.
        let (Step::Paused, Observation::Present(view)) = (order.step, observation) else {
            return Ok(Vec::new());
        };
        if order.state.is_final() || view.new.is_none() {
            return Ok(Vec::new());
        }
        let mut rows = self.store.batch_rows(order.id).await?;
        rows.retain(|row| row.index <= order.batch);
        Ok(resting(&rows, brought_pods(order, view, self.clock.now())))
    }
}

/// The pods of the new version as they are.
fn brought_pods(order: &Order, view: &DeploymentView, now: Timestamp) -> Vec<PodState> {
    let context = rollout::judge_context(order, now);
    let pods = view.new.iter().flat_map(|set| &set.pods);
    let state = |pod| failure::judge_pod(pod, context).map(|cause| cause.sentence);
    pods.filter(|pod| rollout::brought(order, pod))
        .map(|pod| PodState {
            name: pod.name.clone(),
            ip: pod.ip.clone(),
            phase: pod.phase.clone(),
            ready: pod.ready_since.is_some(),
            message: state(pod).unwrap_or_default(),
        })
        .collect()
}

/// What changes of the pods of batches that are done, where these are there now. A pod stays
/// with its batch, and one that came in the place of another goes where one is missing.
fn resting(rows: &[BatchRow], seen: Vec<PodState>) -> Vec<(BatchId, Vec<PodState>)> {
    let mut by_name: HashMap<String, PodState> =
        seen.iter().map(|pod| (pod.name.clone(), pod.clone())).collect();
    let mut before = 0;
    let mut batches: Vec<(usize, Vec<PodState>)> = Vec::with_capacity(rows.len());
    for row in rows {
        let size = usize::try_from(row.target - before).unwrap_or(0);
        before = row.target;
        let stays = |was: &PodState| {
            let mut pod = by_name.remove(&was.name)?;
            let was_ready = was.ready || was.message == NO_MORE;
            if was_ready && !pod.ready && pod.message.is_empty() {
                pod.message = NO_MORE.into();
            }
            Some(pod)
        };
        batches.push((size, row.pods.iter().filter_map(stays).collect()));
    }
    for pod in seen.into_iter().filter(|pod| by_name.contains_key(&pod.name)) {
        let lacks = batches.iter().position(|(size, pods)| pods.len() < *size);
        let place = lacks.unwrap_or(batches.len().saturating_sub(1));
        if let Some((_, pods)) = batches.get_mut(place) {
            pods.push(pod);
        }
    }
    rows.iter()
        .zip(batches)
        .filter(|(row, (_, pods))| row.pods != *pods)
        .map(|(row, (_, pods))| (row.id, pods))
        .collect()
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
    fn while_an_order_waits_a_pod_stays_with_its_batch_and_another_takes_a_place_that_is_free() {
        let ready = |names: &[&str]| -> Vec<PodState> {
            pods(names).into_iter().map(|pod| PodState { ready: true, ..pod }).collect()
        };
        let at = Timestamp::UNIX_EPOCH;
        let row = |index: usize, target: i32, names: &[&str]| BatchRow {
            id: BatchId::new(),
            index,
            state: State::Succeeded,
            target,
            started_at: Some(at),
            finished_at: Some(at),
            updated_at: at,
            message: String::new(),
            pods: ready(names),
        };
        let rows = [row(0, 1, &["a"]), row(1, 3, &["b", "c"])];
        assert!(resting(&rows, ready(&["c", "b", "a"])).is_empty(), "nothing has changed");

        let mut seen = ready(&["b", "c", "d"]);
        seen[1].ready = false;
        let found = resting(&rows, seen);
        assert_eq!(found[0], (rows[0].id, ready(&["d"])), "d came for a");
        let (batch, second) = &found[1];
        assert_eq!((*batch, second[0].clone()), (rows[1].id, ready(&["b"])[0].clone()));
        assert_eq!((second[1].ready, second[1].message.as_str()), (false, NO_MORE));

        let more = resting(&rows, ready(&["a", "b", "c", "e"]));
        assert_eq!(more, [(rows[1].id, ready(&["b", "c", "e"]))], "nobody is left out");
        let rows = [row(0, 1, &["a"])];
        let starts = resting(&rows, pods(&["f"]));
        assert_eq!(starts[0].1[0].message, "", "one that came anew only starts");
        let rows = [BatchRow { pods: starts[0].1.clone(), ..row(0, 1, &[]) }];
        assert!(resting(&rows, pods(&["f"])).is_empty(), "and goes on starting");
        let rows = [BatchRow { pods: vec![second[1].clone()], ..row(0, 1, &[]) }];
        assert!(resting(&rows, pods(&["c"])).is_empty(), "and one that was Ready stays sick");
    }

    #[test]
    fn what_is_recorded_of_a_batch_that_begins_anew_is_recorded_again() {
        let batch =
            || Batch { id: BatchId::new(), state: State::Running, target: 2, started_at: None };
        let batches = [batch(), batch()];
        let to = |index, state| BatchTransition { index, state, target: None, message: "".into() };
        let after = |moved: &[BatchTransition]| {
            let recorded = Some((batches[0].id, pods(&["a", "b"])));
            let mut known = Pods { recorded, ..Pods::of(Vec::new(), &[], 0) };
            known.follow(&batches, moved);
            known.recorded.map_or(0, |(_, pods)| pods.len())
        };
        assert_eq!(after(&[to(0, State::Ready), to(0, State::Running)]), 0);
        assert_eq!(after(&[to(0, State::Succeeded), to(1, State::Running)]), 2);
        assert_eq!(after(&[to(1, State::Ready)]), 2);
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
