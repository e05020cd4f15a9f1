//! Waiting for an executor's answer, which comes through the database.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::Error;
use store::StoreError;

/// How long an answer is waited for, while a change is to be made.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Pause before the answer is looked for the first time; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

/// Pause where the answer is told: the notification may be lost.
const PAUSE_WHILE_TOLD: Duration = Duration::from_millis(250);

/// The answers that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: Mutex<HashMap<Uuid, Arc<Notify>>>,
    /// Whether notifications are heard.
    heard: AtomicBool,
}

impl Answers {
    /// An answer that is about to be asked for.
    pub(crate) fn expect(&self, id: Uuid) -> Expected<'_> {
        let told = Arc::<Notify>::default();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(id, told.clone());
        Expected { answers: self, id, told }
    }

    /// An answer is there.
    pub(crate) fn told(&self, id: Uuid) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = waiting.get(&id) {
            told.notify_one();
        }
    }

    pub(crate) fn set_heard(&self, heard: bool) {
        self.heard.store(heard, Ordering::Relaxed);
    }
}

/// An answer that is waited for, until this is dropped.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    answers: &'a Answers,
    id: Uuid,
    told: Arc<Notify>,
}

impl Expected<'_> {
    /// Asks `answer` whenever it is told to be there, and now and then; none where it takes too
    /// long.
    pub(crate) async fn until_answered<T, F>(
        &self,
        within: Duration,
        answer: impl Fn() -> F,
    ) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<Option<T>, StoreError>>,
    {
        let answered = async {
            let mut unheard = FIRST_PAUSE;
            loop {
                let is_heard = self.answers.heard.load(Ordering::Relaxed);
                let pause = if is_heard { PAUSE_WHILE_TOLD } else { unheard };
                unheard = (unheard * 2).min(LONGEST_PAUSE);
                // Told or not: it is looked for.
                let _ = tokio::time::timeout(pause, self.told.notified()).await;
                if let Some(found) = answer().await? {
                    return Ok::<_, StoreError>(found);
                }
            }
        };
        in_time(within, answered).await
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.answers.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Asks `answer` again and again until there is one; none where it takes too long.
pub(crate) async fn until_answered<T, F>(
    within: Duration,
    answer: impl Fn() -> F,
) -> Result<Option<T>, Error>
where
    F: Future<Output = Result<Option<T>, StoreError>>,
{
    let answered = async {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            if let Some(found) = answer().await? {
                return Ok::<_, StoreError>(found);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    in_time(within, answered).await
}

/// The answer; none where it takes too long.
async fn in_time<T>(
    within: Duration,
    answered: impl Future<Output = Result<T, StoreError>>,
) -> Result<Option<T>, Error> {
    match tokio::time::timeout(within, answered).await {
        Ok(found) => Ok(Some(found?)),
        Err(_) => Ok(None),
    }
}
