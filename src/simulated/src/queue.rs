//! What the controllers have to look at: keys, each at most once, now or later.
//!
//! Works like a controller's work queue in Kubernetes: an item is a thing to
//! look at, never an event, so looking twice does no harm and looking once is
//! enough. Parts of it can be frozen. Knows nothing of what is done with an item.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use rand::Rng;
use tokio::time::Instant;

use super::objects::Key;

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    Deployment(Key),
    ReplicaSet(Key),
    Pod(Key),
    /// The dependents of an owner that is gone, by uid.
    Collect(String),
    /// An owner that waits for its dependents.
    Foreground(Key),
    /// A namespace that goes away.
    Namespace(String),
}

/// A group of controllers that can be frozen together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The Deployment and ReplicaSet controllers, the garbage collector and the
    /// namespace controller: what kube-controller-manager runs.
    Controllers,
    /// The scheduler and the nodes: pods neither start, fail nor end.
    Nodes,
}

impl Work {
    fn part(&self) -> Part {
        match self {
            Work::Pod(_) => Part::Nodes,
            Work::Deployment(_)
            | Work::ReplicaSet(_)
            | Work::Collect(_)
            | Work::Foreground(_)
            | Work::Namespace(_) => Part::Controllers,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: VecDeque<Work>,
    queued: HashSet<Work>,
    later: BTreeMap<(Instant, u64), Work>,
    due: HashMap<Work, (Instant, u64)>,
    tries: HashMap<Work, u32>,
    serial: u64,
    frozen: HashSet<Part>,
}

/// What the queue has to offer.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Now(Work),
    At(Instant),
    Nothing,
}

impl Queue {
    /// To be looked at as soon as possible.
    pub(super) fn add(&mut self, work: Work) {
        if self.queued.insert(work.clone()) {
            self.ready.push_back(work);
        }
    }

    /// To be looked at at this time; the earliest of several times counts.
    pub(super) fn add_at(&mut self, work: Work, at: Instant) {
        if let Some(known) = self.due.get(&work) {
            if known.0 <= at {
                return;
            }
            let known = *known;
            self.later.remove(&known);
        }
        self.serial += 1;
        self.due.insert(work.clone(), (at, self.serial));
        self.later.insert((at, self.serial), work);
    }

    /// To be looked at again after a failure: 5 ms, then twice as long each
    /// time, 10 s at most.
    pub(super) fn retry(&mut self, work: Work, now: Instant) {
        let tries = self.tries.entry(work.clone()).or_default();
        let pause = std::time::Duration::from_millis(5 << (*tries).min(11));
        *tries += 1;
        self.add_at(work, now + pause.min(std::time::Duration::from_secs(10)));
    }

    /// It went well: the next failure is the first one again.
    pub(super) fn succeed(&mut self, work: &Work) {
        self.tries.remove(work);
    }

    /// The next item. With `shuffle` any of those that are ready, else the one
    /// that waits longest.
    pub(super) fn next(&mut self, now: Instant, shuffle: Option<&mut impl Rng>) -> Next {
        while let Some((&(at, serial), _)) = self.later.first_key_value() {
            if at > now {
                break;
            }
            if let Some(work) = self.later.remove(&(at, serial)) {
                self.due.remove(&work);
                self.add(work);
            }
        }
        let awake: Vec<usize> = self
            .ready
            .iter()
            .enumerate()
            .filter(|(_, work)| !self.frozen.contains(&work.part()))
            .map(|(i, _)| i)
            .take(if shuffle.is_some() { usize::MAX } else { 1 })
            .collect();
        let chosen = match shuffle {
            Some(rng) if awake.len() > 1 => Some(awake[rng.random_range(0..awake.len())]),
            _ => awake.first().copied(),
        };
        match chosen.and_then(|i| self.ready.remove(i)) {
            Some(work) => {
                self.queued.remove(&work);
                Next::Now(work)
            }
            None => {
                self.later.first_key_value().map_or(Next::Nothing, |(&(at, _), _)| Next::At(at))
            }
        }
    }

    /// Stops handing out a part's items; they wait.
    pub(super) fn freeze(&mut self, part: Part) {
        self.frozen.insert(part);
    }

    /// Hands them out again.
    pub(super) fn thaw(&mut self, part: Part) {
        self.frozen.remove(&part);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::rngs::StdRng;

    use super::super::kind::Kind;
    use super::*;

    fn pod(name: &str) -> Work {
        Work::Pod(Key::new(Kind::Pod, "default", name))
    }

    fn next(queue: &mut Queue, now: Instant) -> Next {
        queue.next(now, None::<&mut StdRng>)
    }

    #[test]
    fn an_item_waits_only_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(pod("a"));
        queue.add(pod("b"));
        queue.add(pod("a"));
        assert_eq!(next(&mut queue, now), Next::Now(pod("a")));
        assert_eq!(next(&mut queue, now), Next::Now(pod("b")));
        assert_eq!(next(&mut queue, now), Next::Nothing);
    }

    #[test]
    fn of_several_times_the_earliest_counts() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let second = Duration::from_secs(1);
        queue.add_at(pod("a"), now + 2 * second);
        queue.add_at(pod("a"), now + second);
        queue.add_at(pod("a"), now + 3 * second);
        assert_eq!(next(&mut queue, now), Next::At(now + second));
        assert_eq!(next(&mut queue, now + second), Next::Now(pod("a")));
        assert_eq!(next(&mut queue, now + 4 * second), Next::Nothing);
    }

    #[test]
    fn a_frozen_part_waits_and_the_other_goes_on() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let deployment = Work::Deployment(Key::new(Kind::Deployment, "default", "web"));
        queue.freeze(Part::Controllers);
        queue.add(deployment.clone());
        queue.add(pod("a"));
        assert_eq!(next(&mut queue, now), Next::Now(pod("a")));
        assert_eq!(next(&mut queue, now), Next::Nothing);
        queue.thaw(Part::Controllers);
        assert_eq!(next(&mut queue, now), Next::Now(deployment));
    }
}
