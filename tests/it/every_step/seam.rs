//! The one seam around an executor's store and cluster: everything that it writes to the
//! database and everything that it asks of the API server passes here, and is a point at
//! which it can be stopped.
//!
//! The points come from outside of the program: from the frames that it sends to Postgres
//! ([`super::wire`]), and from the requests of its `kube::Client` ([`super::line`]). So a new
//! statement or a new call is a new point by itself.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

/// When an executor is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before the call takes effect.
    Before,
    /// After it took effect, and before the executor hears of it.
    After,
}

/// A point at which an executor is stopped: the so manyth call of a name, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub name: String,
    pub turn: usize,
    pub side: Side,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{side} {} ({})", self.name, self.turn)
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Passes,
    /// It is not made, and its executor ends.
    EndsBefore,
    /// It is made, and its executor ends without an answer.
    EndsAfter,
    /// It is not made, and answered that the disk is full.
    IsRefused,
}

/// How often each call was made, by its name.
pub type Points = BTreeMap<String, usize>;

/// The seam of one executor.
pub struct Seam {
    /// None while nothing counts.
    counting: Mutex<Option<Counting>>,
    ended: watch::Sender<bool>,
    /// Of so many calls to the database one finds its disk full; 0 = none does.
    full_at: AtomicUsize,
    met: AtomicUsize,
    refused: AtomicUsize,
}

struct Counting {
    points: Points,
    stop: Option<Stop>,
}

impl Seam {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            counting: Mutex::new(None),
            ended: watch::Sender::new(false),
            full_at: AtomicUsize::new(0),
            met: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        })
    }

    /// Counts from now on, up to this stop.
    pub fn count(&self, stop: Option<Stop>) {
        *self.counting.lock().unwrap() = Some(Counting { points: Points::new(), stop });
    }

    /// Counts no longer, and gives what was counted.
    pub fn take(&self) -> Points {
        self.counting.lock().unwrap().take().map(|counting| counting.points).unwrap_or_default()
    }

    /// From now on one of so many calls to the database finds its disk full; 0 = none does.
    pub fn fill(&self, every: usize) {
        self.full_at.store(every, Ordering::Relaxed);
    }

    /// How many did.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether this one does.
    fn finds_disk_full(&self, name: &str) -> bool {
        let every = self.full_at.load(Ordering::Relaxed);
        every > 0
            && name.starts_with("database: ")
            && self.met.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
    }

    /// A call is about to be made.
    pub fn meet(&self, name: &str) -> Fate {
        if self.has_ended() {
            return Fate::EndsBefore;
        }
        if self.finds_disk_full(name) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Fate::IsRefused;
        }
        let mut counting = self.counting.lock().unwrap();
        let Some(Counting { points, stop }) = counting.as_mut() else { return Fate::Passes };
        let turn = points.entry(name.to_owned()).or_default();
        *turn += 1;
        match stop {
            Some(stop) if stop.name == name && stop.turn == *turn => match stop.side {
                Side::Before => Fate::EndsBefore,
                Side::After => Fate::EndsAfter,
            },
            _ => Fate::Passes,
        }
    }

    /// Its executor does nothing any more.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until its executor ended.
    pub async fn ended(&self) {
        // The sender lives as long as this.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}
