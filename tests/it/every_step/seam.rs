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
    sync::{Arc, Mutex},
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
}

/// How often each call was made, by its name.
pub type Points = BTreeMap<String, usize>;

/// The seam of one executor.
pub struct Seam {
    /// None while nothing counts.
    counting: Mutex<Option<Counting>>,
    ended: watch::Sender<bool>,
}

struct Counting {
    points: Points,
    stop: Option<Stop>,
}

impl Seam {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { counting: Mutex::new(None), ended: watch::Sender::new(false) })
    }

    /// Counts from now on, up to this stop.
    pub fn count(&self, stop: Option<Stop>) {
        *self.counting.lock().unwrap() = Some(Counting { points: Points::new(), stop });
    }

    /// Counts no longer, and gives what was counted.
    pub fn take(&self) -> Points {
        self.counting.lock().unwrap().take().map(|counting| counting.points).unwrap_or_default()
    }

    /// A call is about to be made.
    pub fn meet(&self, name: &str) -> Fate {
        if self.has_ended() {
            return Fate::EndsBefore;
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
