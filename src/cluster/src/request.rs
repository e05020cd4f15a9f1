//! One request to the API server, within its time.

use std::time::Duration;

use kube::api::{DynamicObject, ListParams, ObjectList};
use serde_json::Value;

use super::{ClusterError, refusal};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn bounded<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Err(_) => Err(ClusterError::Unanswered(format!(
            "no answer within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error_of(&error)),
    }
}

/// What an error of the client means.
pub(super) fn error_of(error: &kube::Error) -> ClusterError {
    let kube::Error::Api(status) = error else {
        return ClusterError::Unanswered(in_full(error));
    };
    let why = refusal::redact(&status.message);
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    match status.code {
        404 => ClusterError::Gone,
        401 => ClusterError::Denied { why, is_credential: true },
        403 if is_right(&why) => ClusterError::Denied { why, is_credential: false },
        // Overload, time-outs and write conflicts pass; every other refusal is meant.
        429 | 500.. if seconds > 0 => ClusterError::Busy { why, seconds },
        408 | 429 => ClusterError::Transient(why),
        409 if status.reason != "AlreadyExists" => ClusterError::Transient(why),
        400..=499 => ClusterError::Refused(why),
        _ => ClusterError::Transient(why),
    }
}

/// Whether a refusal is about a right, in the API server's own words. Admission refuses
/// with the same status, and means it.
fn is_right(why: &str) -> bool {
    why.contains(" cannot ") && why.contains(" resource \"") && why.contains("forbidden: ")
}

/// An error with what it comes from, which says more.
fn in_full(error: &kube::Error) -> String {
    let (mut text, mut next) = (error.to_string(), std::error::Error::source(error));
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = source.source();
    }
    refusal::redact(&text)
}

pub(super) fn value(object: DynamicObject) -> Result<Value, ClusterError> {
    serde_json::to_value(object).map_err(|error| ClusterError::Transient(error.to_string()))
}

/// Objects of one kind in one answer.
const PAGE: u32 = 500;

/// Objects of one kind that are read at most: more than a large cluster has nodes.
pub(super) const MOST_OBJECTS: usize = 20_000;

/// The pages of a list, until its end; each is handed to `take`. False: there are more
/// than [`MOST_OBJECTS`], and what was taken is not all.
///
/// # Errors
/// [`ClusterError`], where one of the pages cannot be read.
pub(super) async fn pages<T, F>(
    selected: ListParams,
    page: impl Fn(ListParams) -> F,
    mut take: impl FnMut(Vec<T>) -> Result<(), ClusterError>,
) -> Result<bool, ClusterError>
where
    T: Clone,
    F: Future<Output = Result<ObjectList<T>, kube::Error>>,
{
    let (mut selected, mut read) = (selected.limit(PAGE), 0);
    loop {
        let list = bounded(page(selected.clone())).await?;
        read += list.items.len();
        take(list.items)?;
        match list.metadata.continue_.filter(|more| !more.is_empty()) {
            None => return Ok(true),
            Some(_) if read >= MOST_OBJECTS => return Ok(false),
            Some(more) => selected = selected.continue_token(&more),
        }
    }
}

/// All objects of a list.
///
/// # Errors
/// As [`pages`], or there are more than [`MOST_OBJECTS`].
pub(super) async fn all<T, F>(
    selected: ListParams,
    page: impl Fn(ListParams) -> F,
) -> Result<Vec<T>, ClusterError>
where
    T: Clone,
    F: Future<Output = Result<ObjectList<T>, kube::Error>>,
{
    let mut found = Vec::new();
    let is_whole = pages(selected, page, |items| {
        found.extend(items);
        Ok(())
    })
    .await?;
    if is_whole { Ok(found) } else { Err(too_many()) }
}

/// There are more objects than are read.
pub(super) fn too_many() -> ClusterError {
    ClusterError::Refused(format!("there are more than {MOST_OBJECTS} objects of the kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of so many numbers, in pages of as many as are asked for.
    fn list(length: u32, asked: &ListParams) -> ObjectList<u32> {
        let begin: u32 = asked.continue_token.as_ref().map_or(0, |token| token.parse().unwrap());
        let end = length.min(begin + asked.limit.unwrap());
        let mut list: ObjectList<u32> =
            serde_json::from_value(serde_json::json!({ "metadata": {}, "items": [] })).unwrap();
        list.items = (begin..end).collect();
        list.metadata.continue_ = (end < length).then(|| end.to_string());
        list
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end_page_by_page() {
        for length in [0, 1, PAGE, PAGE + 1, 3 * PAGE] {
            let asked = std::sync::Mutex::new(0);
            let found = all(ListParams::default(), async |page| {
                *asked.lock().unwrap() += 1;
                Ok(list(length, &page))
            });
            assert_eq!(found.await.unwrap(), (0..length).collect::<Vec<_>>());
            assert_eq!(*asked.lock().unwrap(), length.div_ceil(PAGE).max(1), "{length}");
        }
    }

    #[tokio::test]
    async fn a_list_past_the_bound_is_no_list() {
        let most = u32::try_from(MOST_OBJECTS).unwrap();
        for (length, is_whole) in [(most, true), (most + 1, false), (u32::MAX, false)] {
            let mut read = 0;
            let page = async |page| Ok(list(length, &page));
            let whole = pages(ListParams::default(), page, |items| {
                read += items.len();
                Ok(())
            });
            assert_eq!(whole.await.unwrap(), is_whole);
            assert!(read <= MOST_OBJECTS);
        }
        let error = all(ListParams::default(), async |page| Ok(list(u32::MAX, &page))).await;
        assert!(error.unwrap_err().to_string().contains("more than 20000"));
    }
}
