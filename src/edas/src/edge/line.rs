//! Request lines that are too long, cut to a length that can be answered.
//!
//! EDAS puts everything into the query, so a big `Envs` makes a line that the
//! HTTP library answers by itself with an empty body, which no SDK can read
//! (K12). This sits between the socket and that library, lets the first part of
//! such a line through and drops the rest of its target, so that the request
//! arrives, too long still, and gets a proper answer. Everything else passes
//! unchanged, HTTP/2 too, whose library refuses longer targets; nothing is buffered.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::edge::TARGET_LIMIT;

/// Bytes of a target that are let through: more than is accepted, less than
/// the HTTP library's own limit of 65534.
const CUT: usize = TARGET_LIMIT + 8;

/// Bytes that are dropped of one line before the connection is given up.
const MOST_DROPPED: usize = 16 << 20;

/// A connection whose request lines are cut.
#[derive(Debug)]
pub struct Cutting<Io> {
    io: Io,
    line: Line,
}

impl<Io> Cutting<Io> {
    /// Cuts what comes in by `io`.
    pub fn new(io: Io) -> Self {
        Self { io, line: Line::Start }
    }
}

/// Where in a request the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Before a request, or in its method.
    Start,
    /// In the target, after so many bytes of it.
    Target(usize),
    /// In the part of the target that is dropped, after so many bytes of it.
    Dropped(usize),
    /// Behind the target, or in something that is no request.
    Passed,
    /// On a connection that speaks HTTP/2: it begins with `PRI *`.
    Frames,
}

impl Line {
    /// Something is answered: what is read after it is the next request.
    fn end(&mut self) {
        if *self != Self::Frames {
            *self = Self::Start;
        }
    }

    /// Moves the bytes that stay to the front and says how many they are.
    fn cut(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut kept = 0;
        for at in 0..bytes.len() {
            if matches!(self, Self::Passed | Self::Frames) {
                bytes.copy_within(at.., kept);
                return Ok(kept + bytes.len() - at);
            }
            let byte = bytes[at];
            *self = match (*self, byte) {
                (Self::Start, b'A'..=b'Z' | b'\r' | b'\n') => Self::Start,
                (Self::Start, b' ') => Self::Target(0),
                // `/path`, or `http://host/path` as it is sent to proxies.
                (Self::Target(0), b'/' | b'h') => Self::Target(1),
                (Self::Target(0), b'*') => Self::Frames,
                (Self::Start | Self::Target(0), _) => Self::Passed,
                (Self::Target(_) | Self::Dropped(_), b' ' | b'\n') => Self::Passed,
                (Self::Target(seen), _) if seen < CUT => Self::Target(seen + 1),
                (Self::Target(_), _) => Self::Dropped(1),
                (Self::Dropped(seen), _) if seen < MOST_DROPPED => Self::Dropped(seen + 1),
                (Self::Dropped(_), _) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the request line never ends",
                    ));
                }
                (Self::Passed, _) => Self::Passed,
                (Self::Frames, _) => Self::Frames,
            };
            if !matches!(self, Self::Dropped(_)) {
                bytes[kept] = byte;
                kept += 1;
            }
        }
        Ok(kept)
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Cutting<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
            let fresh = &mut buffer.filled_mut()[before..];
            let is_end = fresh.is_empty();
            let kept = self.line.cut(fresh)?;
            buffer.set_filled(before + kept);
            // Reading nothing would mean the end; where all was dropped, read on.
            if kept > 0 || is_end {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Cutting<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.end();
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line.end();
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_in_pieces(text: &str, piece: usize) -> String {
        let mut line = Line::Start;
        let mut kept = Vec::new();
        for chunk in text.as_bytes().chunks(piece) {
            let mut chunk = chunk.to_vec();
            let length = line.cut(&mut chunk).unwrap();
            kept.extend_from_slice(&chunk[..length]);
        }
        String::from_utf8(kept).unwrap()
    }

    #[test]
    fn a_request_of_any_size_within_the_limit_passes_unchanged() {
        let body = "X".repeat(200_000);
        for length in [1, 2, 1000, CUT] {
            let request =
                format!("POST /{} HTTP/1.1\r\nHost: a\r\n\r\n{body}", "a".repeat(length - 1));
            for piece in [1, 7, 8192, request.len()] {
                assert!(
                    cut_in_pieces(&request, piece) == request,
                    "target of {length} bytes in pieces of {piece}"
                );
            }
        }
    }

    #[test]
    fn only_the_rest_of_a_long_target_is_dropped() {
        let target = format!("/{}", "a".repeat(2_000_000));
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\nbody");
        let expected = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\nbody", &target[..CUT]);
        for piece in [1, 1000, request.len()] {
            assert!(cut_in_pieces(&request, piece) == expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_request_passes_unchanged() {
        let text = format!("PRI * HTTP/2.0\r\n\r\n{}", "A".repeat(100_000));
        assert!(cut_in_pieces(&text, 999) == text);
        let mut line = Line::Start;
        line.cut(&mut b"PRI * HTTP/2.0\r\n\r\n".to_vec()).unwrap();
        line.end();
        let frame = format!("GET /{}", "a".repeat(100_000));
        assert_eq!(
            line.cut(&mut frame.clone().into_bytes()).unwrap(),
            frame.len(),
            "whatever HTTP/2's frames hold"
        );
        let text = "\u{1}".repeat(100_000);
        assert!(cut_in_pieces(&text, 999) == text);
    }

    #[test]
    fn a_line_without_end_ends_the_connection() {
        let mut line = Line::Dropped(MOST_DROPPED);
        assert!(line.cut(&mut [b'a']).is_err());
    }
}
