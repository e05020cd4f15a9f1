//! Traces: the spans of the program's own crates, sent to a collector by OTLP.
//!
//! Which trace a request and an order belong to is decided where they are ([`domain::trace`]),
//! whether or not anything is sent. Sending is a part of the build with the feature `otel`.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod spans;

#[cfg(not(feature = "otel"))]
pub(crate) use absent::Traces;
#[cfg(feature = "otel")]
pub(crate) use export::Traces;
