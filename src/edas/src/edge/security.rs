//! Headers that tell a browser what it may do with a reply: on every one.
//!
//! Replies are data: nothing in them may run, load or be framed. The pages at
//! `/docs`, and those that are served beside the API, say by themselves what they need.

use axum::{
    http::{
        HeaderName, HeaderValue,
        header::{
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    response::Response,
};

/// For data.
const NOTHING: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// For the pages at `/docs`: scripts, styles and calls of this server only.
/// Swagger UI's style sheet has pictures in itself.
const PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// What is the same on all of them.
const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// `response` with the headers, as data unless it is a [`page`].
pub(crate) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    response
}

/// `response` as one of the pages at `/docs`, if it is one, and not what a page loads.
pub(crate) fn page(mut response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"text/html") {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE);
    }
    response
}
