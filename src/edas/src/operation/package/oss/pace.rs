//! The least speed of an upload.
//!
//! A client that sends a byte now and then is never silent for long, and would
//! hold its connection for ever.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};

/// How long an upload is watched before it is judged.
const WATCHED: Duration = Duration::from_secs(60);

/// Bytes that must have come meanwhile: about 1 KiB a second.
const LEAST: usize = 64 << 10;

/// `body`, which fails when too little comes.
pub(in crate::operation::package::oss) fn kept(
    body: impl Stream<Item = io::Result<Bytes>>,
) -> impl Stream<Item = io::Result<Bytes>> {
    kept_at(body, WATCHED, LEAST)
}

fn kept_at(
    body: impl Stream<Item = io::Result<Bytes>>,
    watched: Duration,
    least: usize,
) -> impl Stream<Item = io::Result<Bytes>> {
    let (mut since, mut seen) = (Instant::now(), 0);
    body.map(move |part| {
        let part = part?;
        seen += part.len();
        if since.elapsed() >= watched {
            if seen < least {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("only {seen} bytes came in {} s", since.elapsed().as_secs()),
                ));
            }
            (since, seen) = (Instant::now(), 0);
        }
        Ok(part)
    })
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    async fn parts_taken(size: usize, watched: Duration) -> usize {
        let body = stream::repeat_with(move || Ok(Bytes::from(vec![0; size]))).take(5);
        kept_at(body, watched, 10).take_while(|part| std::future::ready(part.is_ok())).count().await
    }

    #[tokio::test]
    async fn an_upload_that_trickles_does_not_go_on() {
        assert_eq!(parts_taken(9, Duration::ZERO).await, 0);
        assert_eq!(parts_taken(10, Duration::ZERO).await, 5);
        assert_eq!(
            parts_taken(1, Duration::from_secs(3600)).await,
            5,
            "it is not judged before its time"
        );
    }
}
