//! The trace of a request: that of its sender, or one that begins with it.

use axum::http::HeaderMap;
use domain::{
    TraceParent,
    trace::{SpanId, TraceId},
};

/// The request's own span, and its sender's.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestTrace {
    pub(super) own: TraceParent,
    pub(super) parent: Option<SpanId>,
}

impl RequestTrace {
    /// The trace of a request with this head. A header that is not W3C's, or that comes
    /// twice, is ignored, as W3C has it.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all("traceparent").iter();
        let sender = match (given.next(), given.next()) {
            (Some(only), None) => only.to_str().ok().and_then(TraceParent::read),
            _ => None,
        };
        Self {
            own: sender.map_or_else(TraceParent::new, TraceParent::child),
            parent: sender.map(TraceParent::span),
        }
    }

    pub(super) fn id(self) -> TraceId {
        self.own.trace()
    }

    /// The id of its span, where that is recorded.
    pub(super) fn span(self) -> Option<SpanId> {
        self.own.recorded_span()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(values: &[&str]) -> RequestTrace {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("traceparent", value.parse().unwrap());
        }
        RequestTrace::of(&headers)
    }

    #[test]
    fn a_request_goes_on_with_the_trace_of_its_sender() {
        let trace = of(&[GIVEN]);
        assert_eq!(trace.id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace.parent.unwrap().to_string(), "b7ad6b7169203331");
        assert_ne!(trace.span(), trace.parent);
    }

    #[test]
    fn a_request_whose_sender_names_none_or_several_begins_one() {
        for values in [&[][..], &["00-zz"], &[GIVEN, GIVEN], &["é"]] {
            let trace = of(values);
            assert_eq!(trace.parent, None, "{values:?}");
            assert_ne!(trace.id().to_string(), "0af7651916cd43dd8448eb211c80319c");
            assert!(trace.span().is_some());
        }
    }
}
