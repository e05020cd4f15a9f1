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
        Err(_) => Err(ClusterError::Transient(format!(
            "no answer within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(match status.code {
            404 => ClusterError::Gone,
            // Overload, time-outs, write conflicts and a credential that is being
            // renewed pass; every other refusal is meant.
            401 | 408 | 429 => ClusterError::Transient(status.message.clone()),
            409 if status.reason != "AlreadyExists" => {
                ClusterError::Transient(status.message.clone())
            }
            400..=499 => ClusterError::Refused(refusal::redact(&status.message)),
            _ => ClusterError::Transient(status.message.clone()),
        }),
        Ok(Err(error)) => Err(ClusterError::Transient(error.to_string())),
    }
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
