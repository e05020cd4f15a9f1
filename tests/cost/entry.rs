//! The table: each reader of bytes from outside, with its worst input at its limits.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use edas::wire::params::Params;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::measure::Job;

/// What becomes of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Accepted,
    /// It is past a limit, or is not what is expected.
    Refused,
}

/// One way to make readers work as much as they can be made to.
pub struct Entry {
    /// What the input is.
    pub name: &'static str,
    /// The functions that read it, each with its module.
    pub reads: &'static [&'static str],
    /// How large the input may become, in units of its own.
    pub most: usize,
    /// What becomes of the largest.
    pub outcome: Expected,
    /// Makes an input of a size.
    pub prepare: fn(usize) -> Job,
}

/// An entry whose largest input is accepted.
pub const fn accepted(
    name: &'static str,
    reads: &'static [&'static str],
    most: usize,
    prepare: fn(usize) -> Job,
) -> Entry {
    Entry { name, reads, most, outcome: Expected::Accepted, prepare }
}

/// An entry whose largest input is refused.
pub const fn refused(
    name: &'static str,
    reads: &'static [&'static str],
    most: usize,
    prepare: fn(usize) -> Job,
) -> Entry {
    Entry { name, reads, most, outcome: Expected::Refused, prepare }
}

/// A job that reads `text`.
pub fn text_job(text: String, read: fn(&str) -> bool) -> Job {
    Box::new(move || read(&text))
}

/// A job that reads these parameters.
pub fn params_job(pairs: &[(&str, &str)], read: fn(&Params) -> bool) -> Job {
    let params = params(pairs);
    Box::new(move || read(&params))
}

/// Parameters, as if they had been sent.
pub fn params(pairs: &[(&str, &str)]) -> Params {
    Params::parse(&encoded(pairs)).expect("a test's own parameters can be read")
}

/// Parameters in the form of a query.
pub fn encoded(pairs: &[(&str, &str)]) -> String {
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// Headers; a name that is there more than once has all its values.
pub fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::try_from(name).expect("a header's name"),
            HeaderValue::try_from(value).expect("a header's value"),
        );
    }
    headers
}

/// A list of `count` items, as JSON.
pub fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    format!("[{}]", (0..count).map(item).collect::<Vec<_>>().join(","))
}
