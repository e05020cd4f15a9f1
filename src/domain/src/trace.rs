//! Which trace something belongs to, as W3C's Trace Context has it
//! (<https://www.w3.org/TR/trace-context/>): a request may name the trace of its sender, and
//! an order keeps that of the request that wrote it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of `00-<trace>-<span>-<flags>`, the form of version 00.
const LENGTH: usize = 55;

/// The flag of those who record their spans of the trace.
const SAMPLED: u8 = 1;

/// A span, and the trace that it is part of: the value of a header `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    trace: TraceId,
    span: SpanId,
    flags: u8,
}

/// The id of a trace, never zero. Prints as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

/// The id of a span, never zero. Prints as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(u64);

impl TraceParent {
    /// The first span of a new trace, which is recorded.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { trace: TraceId(Uuid::now_v7().as_u128()), span: SpanId::new(), flags: SAMPLED }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span: SpanId::new(), ..self }
    }

    /// The value of a header; none where it has not the form, which W3C has ignored. Of a
    /// later version that is read which version 00 has.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (known, more) = text.as_bytes().split_at_checked(LENGTH)?;
        let version = hex(known.get(..2)?)?;
        let may_go_on = version != 0 && more.first() == Some(&b'-');
        let is_divided = [2, 35, 52].into_iter().all(|at| known.get(at) == Some(&b'-'));
        if version == 0xff || !is_divided || !(more.is_empty() || may_go_on) {
            return None;
        }
        let trace = TraceId(hex(known.get(3..35)?)?);
        let span = SpanId(u64::try_from(hex(known.get(36..52)?)?).ok()?);
        let flags = u8::try_from(hex(known.get(53..)?)?).ok()?;
        (trace.0 != 0 && span.0 != 0).then_some(Self { trace, span, flags })
    }

    /// The trace.
    #[must_use]
    pub fn trace(self) -> TraceId {
        self.trace
    }

    /// The span.
    #[must_use]
    pub fn span(self) -> SpanId {
        self.span
    }

    /// The span, where whoever began the trace wants spans of it to be recorded.
    #[must_use]
    pub fn recorded_span(self) -> Option<SpanId> {
        (self.flags & SAMPLED != 0).then_some(self.span)
    }
}

impl SpanId {
    fn new() -> Self {
        // The half of the id that is not its time; its first bits are never zero.
        let (_, id) = Uuid::now_v7().as_u64_pair();
        Self(id)
    }
}

/// The value of lower-case hexadecimal digits, of which there are 32 at most.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((value << 4) | u128::from(digit))
    })
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.to_string()
    }
}

impl TryFrom<String> for TraceParent {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(&text).ok_or("no traceparent")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_a_header_says_is_read_and_said_again() {
        let read = TraceParent::read(GIVEN).unwrap();
        assert_eq!(read.to_string(), GIVEN);
        assert_eq!(read.trace().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(read.span().to_string(), "b7ad6b7169203331");
        assert_eq!(read.recorded_span(), Some(read.span()));
        let stored = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<TraceParent>(&stored).unwrap(), read);
        assert!(serde_json::from_str::<TraceParent>("\"00\"").is_err());
    }

    #[rstest]
    #[case::not_recorded("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false)]
    #[case::other_flags("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03", true)]
    #[case::later("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true)]
    #[case::later_and_longer("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", true)]
    fn whether_spans_are_recorded_is_a_flag(#[case] text: &str, #[case] is_recorded: bool) {
        let read = TraceParent::read(text).unwrap();
        assert_eq!(read.recorded_span().is_some(), is_recorded);
        assert!(read.to_string().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    }

    #[rstest]
    #[case::empty("")]
    #[case::short("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0")]
    #[case::longer("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x")]
    #[case::later_runs_on("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x")]
    #[case::capitals("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01")]
    #[case::sign("00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    #[case::no_trace("00-00000000000000000000000000000000-b7ad6b7169203331-01")]
    #[case::no_span("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01")]
    #[case::forbidden_version("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    #[case::version("0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    #[case::flags("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g")]
    #[case::divided("00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01")]
    #[case::space(" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    #[case::in_a_letter("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0é")]
    fn what_has_not_the_form_is_nothing(#[case] text: &str) {
        assert_eq!(TraceParent::read(text), None);
    }

    #[test]
    fn a_child_is_another_span_of_the_trace() {
        let first = TraceParent::new();
        let child = first.child();
        assert_eq!(child.trace(), first.trace());
        assert_ne!(child.span(), first.span());
        assert_ne!(TraceParent::new().trace(), first.trace());
        assert_eq!(TraceParent::read(&child.to_string()), Some(child));
        assert!(
            TraceParent::read(GIVEN.replace("-01", "-00").as_str())
                .unwrap()
                .child()
                .recorded_span()
                .is_none()
        );
    }
}
