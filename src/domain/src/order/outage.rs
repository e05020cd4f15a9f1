//! Time during which an order cannot go on, since nothing of its cluster can be seen or
//! nothing can be written to it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Kind, Order, State, Step};

/// Why nothing can be seen, or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// No answer comes.
    Unanswered,
    /// The API server answers that it cannot do it now, or a webhook of it.
    Failing,
    /// A right is missing, or the credential does not count.
    Denied,
}

/// What is known of an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// What is in the way, and since when.
    pub met: Met,
    /// What cannot be done, as the beginning of a sentence.
    pub what: &'static str,
    /// The words of whoever said so.
    pub why: String,
}

/// An obstacle, as the program that drives the order meets it. Each kind has its own time,
/// and that passes only while somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met {
    pub obstacle: Obstacle,
    /// Since when it is this one.
    pub since: Timestamp,
    /// Since when there is any.
    pub any_since: Timestamp,
}

impl Met {
    /// The same once `obstacle` is met.
    #[must_use]
    pub fn then(self, obstacle: Obstacle, now: Timestamp) -> Self {
        if self.obstacle == obstacle { self } else { Self { obstacle, since: now, ..self } }
    }

    /// The same where the time until now does not count.
    #[must_use]
    pub fn anew(self, now: Timestamp) -> Self {
        Self { since: now, any_since: now, ..self }
    }

    /// For how long it is this one.
    #[must_use]
    pub fn lasts(self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.since).max(SignedDuration::ZERO)
    }
}

/// The outages of an order's present step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutageClock {
    /// How long those were together that are over.
    pub over: SignedDuration,
    /// When the present one began, as far as it was written down.
    pub since: Option<Timestamp>,
    /// What was in the way last in the present one, and for how long.
    pub obstacle: Option<(Obstacle, SignedDuration)>,
}

impl OutageClock {
    /// `obstacle`, for a program that did not meet it before: time in which none looked does
    /// not make it older.
    #[must_use]
    pub fn meet(&self, obstacle: Obstacle, now: Timestamp) -> Met {
        let lasted = self.obstacle.filter(|(before, _)| *before == obstacle).map(|(_, it)| it);
        let since = now.checked_sub(lasted.unwrap_or_default()).unwrap_or(now);
        Met { obstacle, since, any_since: since }
    }

    /// The same once the present one is over.
    #[must_use]
    pub fn ended(self, now: Timestamp) -> Self {
        let last = self.since.map_or(SignedDuration::ZERO, |since| now.duration_since(since));
        let over = self.over.saturating_add(last.max(SignedDuration::ZERO));
        Self { over, since: None, obstacle: None }
    }

    /// `at`, later by the time that does not count.
    #[must_use]
    pub fn put_off(&self, at: Timestamp) -> Timestamp {
        at.checked_add(self.over).unwrap_or(Timestamp::MAX)
    }
}

impl Order {
    /// Whether it is a way back that ended since its cluster could not be reached, and that
    /// is still to be made.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.kind == Kind::Rollback
            && self.state == State::Failed
            && self.finalizing
            && self.step != Step::PauseInPlace
    }
}
