//! The cluster's clock: calendar time that moves with tokio's.
//!
//! Tests that pause or advance tokio's time move the time stamps in the objects
//! with it. Time stamps have whole seconds, as `metav1.Time` has: a pod that
//! became Ready at 12:00:00.9 counts as Ready since 12:00:00, and availability
//! (`minReadySeconds`) is reckoned from that, as in Kubernetes.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Calendar time tied to tokio's time at the start of the cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
    at: Timestamp,
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), at: Timestamp::now() }
    }

    /// Moves the calendar forward; tokio's time stays.
    pub(super) fn advance(&mut self, by: SignedDuration) {
        self.at = self.at.saturating_add(by).unwrap_or(self.at);
    }

    /// The time on the calendar.
    pub(super) fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        self.at.saturating_add(passed).unwrap_or(self.at)
    }

    /// The time as objects carry it: RFC 3339, UTC, whole seconds.
    pub(super) fn stamp(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// How long ago a time stamp was; negative when it lies ahead, none when it
    /// is not a time stamp.
    pub(super) fn since(&self, stamp: &str) -> Option<SignedDuration> {
        let then: Timestamp = stamp.parse().ok()?;
        Some(self.now().duration_since(then))
    }
}
