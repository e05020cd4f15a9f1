//! Time during which an order cannot go on, since nothing of its cluster can be seen or
//! nothing can be written to it.

use jiff::{SignedDuration, Timestamp};

use super::{Kind, Order, State, Step};

/// Why nothing can be seen, or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub obstacle: Obstacle,
    /// What cannot be done, as the beginning of a sentence.
    pub what: &'static str,
    /// The words of whoever said so.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
}

/// The outages of an order's present step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutageClock {
    /// How long those were together that are over.
    pub over: SignedDuration,
    /// When the present one began, as far as it was written down.
    pub since: Option<Timestamp>,
}

impl OutageClock {
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
