//! Waiting for an executor's answer, which comes through the database.

use std::time::Duration;

use crate::Error;
use store::StoreError;

/// How long an answer is waited for, while a change is to be made.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Pause before the answer is looked for the first time; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

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
    match tokio::time::timeout(within, answered).await {
        Ok(found) => Ok(Some(found?)),
        Err(_) => Ok(None),
    }
}
