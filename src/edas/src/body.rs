//! Reading the bodies of EDAS calls: each within its limit, and all of them that are
//! read at once within a budget.
//!
//! A body is read before its sender is known, since the signature covers it. So what
//! strangers send counts in memory, over all connections: without a budget, requests
//! that begin and do not end would add up without a bound.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use domain::limits;

/// How much of a body that is too long is still read, so that the client gets
/// to see the answer instead of a broken connection. It is not kept.
const DISCARD_LIMIT: usize = 16 << 20;

/// When to come again where the budget is used up.
const BUSY: Duration = Duration::from_secs(1);

/// A budget of bytes for bodies in memory, shared by all requests of a server.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Bytes that are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }

    /// Reads a body. What it took of the budget is given back when [`Taken`] goes.
    ///
    /// # Errors
    /// The body is cut off, or longer than [`limits::BODY`], or the budget is used up.
    pub async fn read(&self, mut body: Body) -> Result<(Bytes, Taken), ApiError> {
        let (mut kept, mut seen, mut taken) = (BytesMut::new(), 0, Taken(None));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::body_cut_off())?;
            let Some(data) = frame.data_ref() else { continue };
            seen += data.len();
            if seen <= limits::BODY {
                taken.add(self, data.len())?;
                kept.extend_from_slice(data);
            } else if seen > DISCARD_LIMIT {
                break;
            }
        }
        if seen > limits::BODY { Err(ApiError::body_too_long(limits::BODY)) } else { Ok((kept.freeze(), taken)) }
    }
}

/// A part of the budget, until this goes.
#[derive(Debug)]
pub struct Taken(Option<OwnedSemaphorePermit>);

impl Taken {
    fn add(&mut self, budget: &Budget, bytes: usize) -> Result<(), ApiError> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = budget
            .0
            .clone()
            .try_acquire_many_owned(permits)
            .map_err(|_| ApiError::unavailable("Too many requests with bodies are under way: try again in a moment.").after(BUSY))?;
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            None => self.0 = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use std::convert::Infallible;

    use super::*;

    /// A body that begins with `bytes` and does not end.
    fn endless(bytes: usize) -> Body {
        let begin = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b'a'; bytes]))]);
        Body::from_stream(begin.chain(stream::pending()))
    }

    fn is_refused(error: &ApiError) -> bool {
        matches!(error, ApiError::Gateway { code, wait: Some(_), .. } if code == "ServiceUnavailable")
    }

    #[tokio::test]
    async fn bodies_that_do_not_end_do_not_take_more_than_the_budget_together() {
        let budget = Budget::new(1000);
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut reading = Box::pin({
                let budget = budget.clone();
                async move { budget.read(endless(300)).await.map(|_| ()) }
            });
            assert!(futures::poll!(&mut reading).is_pending());
            held.push(reading);
        }
        assert_eq!(budget.free(), 100);
        assert!(is_refused(&budget.read(endless(300)).await.unwrap_err()));
        assert!(budget.read(Body::from("short")).await.is_ok(), "a short one has room");
        drop(held);
        assert_eq!(budget.free(), 1000, "all is given back");
    }

    #[tokio::test]
    async fn what_a_body_took_is_given_back_when_its_request_ended_and_not_before() {
        let budget = Budget::new(1000);
        let (body, taken) = budget.read(Body::from(vec![b'a'; 400])).await.unwrap();
        assert_eq!((body.len(), budget.free()), (400, 600));
        drop(taken);
        assert_eq!(budget.free(), 1000);
        assert!(budget.read(Body::from(vec![b'a'; limits::BODY + 1])).await.is_err());
        assert_eq!(budget.free(), 1000);
    }
}
