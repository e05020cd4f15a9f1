//! A connection's stream, which ends when its time is over.
//!
//! The HTTP library can only tell how long a head takes, being idle before it
//! included. Here the time goes by what the connection is at. What is over
//! looks to the library like a client that has hung up, so it closes in good
//! order; while a reply is not taken, like a broken connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Times,
    place::{End, Place},
};

/// A stream with the place that it takes.
#[derive(Debug)]
pub struct Timed<Io> {
    io: Io,
    place: Place,
    times: Times,
    sleep: Pin<Box<Sleep>>,
}

impl<Io> Timed<Io> {
    pub(in crate::edge::connection) fn new(io: Io, place: Place, times: Times) -> Self {
        Self { io, place, times, sleep: Box::pin(sleep_until(Instant::now() + times.head)) }
    }

    /// Whether the time is over; if not, the task is woken when it may be.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.place.waker.register(context.waker());
        loop {
            let end = match self.place.end(&self.times) {
                End::Now => return true,
                End::Open => return false,
                End::At(end) => end,
            };
            // A later end is seen when the earlier one has come.
            if end < self.sleep.deadline() || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(end);
            }
            if self.sleep.as_mut().poll(context).is_pending() {
                return false;
            }
            if end <= Instant::now() {
                return true;
            }
        }
    }

    fn unless_over<T>(
        &mut self,
        context: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_pending() && self.is_over(context) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the connection's time is over",
            )));
        }
        done
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Timed<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Also while more comes: who made room for another is not read from any more.
        if !self.place.reads(buffer.remaining()) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        let came = buffer.filled().len() - before;
        if came > 0 {
            self.place.came(came);
        }
        // Nothing read is the end, as if the client had closed.
        if read.is_pending() && self.is_over(context) { Poll::Ready(Ok(())) } else { read }
    }
}

impl<Io: AsyncWrite + Unpin> Timed<Io> {
    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(1..)) => self.place.went(),
            Poll::Pending => self.place.is_stuck(),
            Poll::Ready(_) => {}
        }
        self.unless_over(context, written)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Timed<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, parts);
        self.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.unless_over(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(context);
        self.unless_over(context, shut)
    }
}
