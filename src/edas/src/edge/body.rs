//! Reading the bodies of EDAS calls: each within its limit, and all of them that are
//! in memory at once within a budget.
//!
//! Only bodies of known keys are kept: the head of a request shows whose it is. So
//! strangers take nothing of the budget, and one key at most a quarter of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::wire::error::ApiError;
use domain::limits;

/// How much of a body that is refused is still read, so that the client gets
/// to see the answer instead of a broken connection. It is not kept.
const DISCARD_LIMIT: usize = 16 << 20;

/// When to come again where the budget is used up.
const BUSY: Duration = Duration::from_secs(1);

/// A key may have this part of the budget.
const SHARE: usize = 4;

/// A budget of bytes for bodies in memory, shared by all requests of a server.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shares>);

#[derive(Debug)]
struct Shares {
    most: usize,
    taken: Mutex<TakenOf>,
}

#[derive(Debug, Default)]
struct TakenOf {
    all: usize,
    keys: HashMap<String, usize>,
}

impl Shares {
    fn taken(&self) -> MutexGuard<'_, TakenOf> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Shares { most: bytes, taken: Mutex::default() }))
    }

    /// Bytes that are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.most - self.0.taken().all
    }

    /// Reads a body that the access key `key` signed. What it took of the budget is given
    /// back when [`Taken`] goes.
    ///
    /// # Errors
    /// The body is cut off, or longer than [`limits::BODY`], or the budget is used up. Then
    /// nothing of it is kept, and there may be more to read.
    pub async fn read(&self, key: &str, body: &mut Body) -> Result<(Bytes, Taken), ApiError> {
        let mut taken = Taken { budget: self.clone(), key: key.to_owned(), bytes: 0 };
        let too_long = || ApiError::body_too_long(limits::BODY);
        // All of a known length at once: a request that begins to be read is read to its end.
        let announced = usize::try_from(body.size_hint().lower()).map_err(|_| too_long())?;
        if announced > limits::BODY {
            return Err(too_long());
        }
        taken.extend_to(announced)?;
        let mut kept = BytesMut::with_capacity(announced);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::body_cut_off())?;
            let Some(data) = frame.data_ref() else { continue };
            let bytes = kept.len() + data.len();
            if bytes > limits::BODY {
                return Err(too_long());
            }
            taken.extend_to(bytes)?;
            kept.extend_from_slice(data);
        }
        Ok((kept.freeze(), taken))
    }
}

/// A part of the budget, until this goes.
#[derive(Debug)]
pub struct Taken {
    budget: Budget,
    key: String,
    bytes: usize,
}

impl Taken {
    /// Takes as much more as makes it `bytes`, if it is less.
    fn extend_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return Ok(());
        };
        let most = self.budget.0.most;
        let mut taken = self.budget.0.taken();
        let of_key = taken.keys.get(&self.key).copied().unwrap_or_default() + more;
        if taken.all + more > most || of_key > most / SHARE {
            return Err(ApiError::unavailable(
                "Too many requests with bodies are under way: try again in a moment.",
            )
            .after(BUSY));
        }
        taken.all += more;
        taken.keys.insert(self.key.clone(), of_key);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.budget.0.taken();
        taken.all -= self.bytes;
        if let Entry::Occupied(mut of_key) = taken.keys.entry(std::mem::take(&mut self.key)) {
            *of_key.get_mut() -= self.bytes;
            if *of_key.get() == 0 {
                of_key.remove();
            }
        }
    }
}

/// Reads on for a while without keeping anything, so that the client gets to see the answer.
pub async fn discard(mut body: Body, within: Duration) {
    let reading = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > DISCARD_LIMIT {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(within, reading).await;
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, poll, stream};
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

    /// Begins to read endless bodies, one for each key.
    fn held<'a>(
        budget: &Budget,
        keys: &'a [&str],
        bytes: usize,
    ) -> Vec<futures::future::BoxFuture<'a, bool>> {
        keys.iter()
            .map(|key| {
                let (budget, mut body) = (budget.clone(), endless(bytes));
                async move { budget.read(key, &mut body).await.is_ok() }.boxed()
            })
            .collect()
    }

    #[tokio::test]
    async fn bodies_that_do_not_end_do_not_take_more_than_the_budget_together() {
        let budget = Budget::new(1200);
        let mut held = held(&budget, &["a", "b", "c", "d"], 280);
        for reading in &mut held {
            assert!(poll!(reading).is_pending());
        }
        assert_eq!(budget.free(), 80);
        assert!(is_refused(&budget.read("e", &mut endless(100)).await.unwrap_err()));
        assert!(budget.read("e", &mut Body::from("short")).await.is_ok(), "a short one has room");
        drop(held);
        assert_eq!(budget.free(), 1200, "all is given back");
        assert!(budget.0.taken().keys.is_empty(), "keys without a body are forgotten");
    }

    #[tokio::test]
    async fn one_key_does_not_take_what_others_need() {
        let budget = Budget::new(1200);
        let mut held = held(&budget, &["a"; 3], 100);
        for reading in &mut held {
            assert!(poll!(reading).is_pending());
        }
        assert!(is_refused(&budget.read("a", &mut Body::from("x")).await.unwrap_err()));
        assert!(budget.read("b", &mut Body::from(vec![b'a'; 300])).await.is_ok());
    }

    #[tokio::test]
    async fn what_a_body_took_is_given_back_when_its_request_ended_and_not_before() {
        let budget = Budget::new(4000);
        let (body, taken) = budget.read("a", &mut Body::from(vec![b'a'; 400])).await.unwrap();
        assert_eq!((body.len(), budget.free()), (400, 3600));
        drop(taken);
        assert_eq!(budget.free(), 4000);
    }

    #[tokio::test]
    async fn a_body_within_the_limit_is_read_whole() {
        let (budget, body) = (Budget::new(limits::BODIES), vec![b'x'; limits::BODY]);
        assert_eq!(budget.read("a", &mut Body::from(body.clone())).await.unwrap().0, body);
        let pieces = stream::iter(
            body.chunks(1000)
                .map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)))
                .collect::<Vec<_>>(),
        );
        assert_eq!(budget.read("a", &mut Body::from_stream(pieces)).await.unwrap().0, body);
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_keeps_nothing_while_the_rest_of_it_goes_by() {
        let budget = Budget::new(limits::BODIES);
        // Neither waits for what is still to come.
        for mut body in [endless(limits::BODY + 1), Body::from(vec![b'x'; limits::BODY + 1])] {
            let refused = budget.read("a", &mut body).await.unwrap_err();
            assert_eq!((refused.label(), budget.free()), ("RequestBodyTooLong", limits::BODIES));
        }
        let announced = Announced(limits::BODY);
        let mut reading = Box::pin({
            let budget = budget.clone();
            async move { budget.read("a", &mut Body::new(announced)).await.is_ok() }
        });
        assert!(poll!(&mut reading).is_pending());
        assert_eq!(
            budget.free(),
            limits::BODIES - limits::BODY,
            "what is announced is taken at once"
        );
    }

    #[tokio::test]
    async fn what_is_discarded_ends_after_its_time_and_after_its_most_bytes() {
        discard(endless(10), Duration::from_millis(10)).await;
        let piece = Bytes::from(vec![b'a'; 1 << 20]);
        discard(Body::from_stream(stream::repeat(piece).map(Ok::<_, Infallible>)), Duration::MAX)
            .await;
    }

    /// A body of so many bytes, none of which comes.
    struct Announced(usize);

    impl http_body::Body for Announced {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            std::task::Poll::Pending
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.0 as u64)
        }
    }
}
