//! When to look for due orders again. Orders come and end by the hundred in a second: one
//! look is for all that woke it within a moment, and when the next order becomes due
//! without a wake-up is asked now and then only.

use std::{sync::PoisonError, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::Executor;
use store::StoreError;

/// Longest sleep between two looks for due orders, should no wake-up arrive.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Shortest time between two looks for due orders: what wakes meanwhile is found by one.
const LOOKS_APART: Duration = Duration::from_millis(10);

/// What the database said last, and what was given back since.
#[derive(Debug, Default)]
pub(super) struct Upcoming {
    asked: Option<Instant>,
    due: Option<Timestamp>,
}

impl Upcoming {
    /// When the next order becomes due (none = not without a request); none if it must be asked:
    /// it was never, or longer than `holds` ago, or an order is due and was not taken up.
    pub(super) fn known(&self, now: Timestamp, holds: Duration) -> Option<Option<Timestamp>> {
        let asked = self.asked.filter(|asked| asked.elapsed() < holds);
        asked.filter(|_| self.due.is_none_or(|due| due > now)).map(|_| self.due)
    }

    /// It is asked now: what is given back from now on counts beside the answer.
    pub(super) fn ask(&mut self) {
        *self = Self::default();
    }

    /// The answer.
    pub(super) fn answered(&mut self, due: Option<Timestamp>) {
        self.asked = Some(Instant::now());
        self.note(due);
    }

    /// An order was given back that is due then, if it is without a request.
    pub(super) fn note(&mut self, due: Option<Timestamp>) {
        self.due = self.due.into_iter().chain(due).min();
    }
}

impl Executor {
    /// Waits until it is time to look for due orders again, after a look at that time.
    pub(super) async fn looks_again(&self, looked: Instant) {
        let pause = self.pause().await;
        tokio::select! {
            () = self.due.notified() => tokio::time::sleep_until(looked + LOOKS_APART).await,
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// How long to sleep if nothing wakes us: until the next order is due.
    async fn pause(&self) -> Duration {
        let now = self.clock.now();
        let known = self.with_upcoming(|upcoming| upcoming.known(now, LOOK_AGAIN));
        let due = match known {
            Some(due) => due,
            None => self.ask_upcoming().await.unwrap_or(None),
        };
        let Some(due) = due else { return LOOK_AGAIN };
        let wait = Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
        // Those held by us are due too, by their lease; a floor keeps that quiet.
        wait.clamp(Duration::from_millis(200), LOOK_AGAIN)
    }

    async fn ask_upcoming(&self) -> Result<Option<Timestamp>, StoreError> {
        self.with_upcoming(Upcoming::ask);
        let due = self.store.next_due(&self.settings.cluster, self.cluster.scope()).await?;
        Ok(self.with_upcoming(|upcoming| {
            upcoming.answered(due);
            upcoming.due
        }))
    }

    pub(super) fn with_upcoming<T>(&self, what: impl FnOnce(&mut Upcoming) -> T) -> T {
        what(&mut self.upcoming.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: Duration = Duration::from_secs(3600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_is_asked_once_until_an_order_is_due() {
        let mut upcoming = Upcoming::default();
        assert_eq!(upcoming.known(at(1), HOLDS), None, "it was never asked");
        upcoming.ask();
        upcoming.answered(Some(at(10)));
        assert_eq!(upcoming.known(at(9), HOLDS), Some(Some(at(10))));
        assert_eq!(upcoming.known(at(10), HOLDS), None, "an order is due");
        assert_eq!(upcoming.known(at(9), Duration::ZERO), None, "others may have given some back");
        upcoming.ask();
        upcoming.answered(None);
        assert_eq!(upcoming.known(at(11), HOLDS), Some(None));
    }

    #[test]
    fn what_is_given_back_while_it_is_asked_counts_beside_the_answer() {
        let mut upcoming = Upcoming::default();
        upcoming.note(Some(at(3)));
        upcoming.ask();
        upcoming.note(Some(at(5)));
        upcoming.note(None);
        upcoming.answered(Some(at(7)));
        assert_eq!(upcoming.known(at(4), HOLDS), Some(Some(at(5))), "the answer knew of the first");
    }
}
