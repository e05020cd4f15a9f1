//! A build that sends no traces.

use std::time::Duration;

use anyhow::{Result, bail};
use sluice::config::TraceServing;
use tracing_subscriber::layer::Identity;

/// Never there.
pub(crate) enum Traces {}

impl Traces {
    /// Refuses to send any.
    pub(crate) fn begin(settings: &TraceServing) -> Result<Option<Self>> {
        if settings.otlp_endpoint.is_some() {
            bail!(
                "--otlp-endpoint: this program was built without the feature otel, and sends no traces"
            );
        }
        Ok(None)
    }

    pub(crate) fn layer(&self) -> Identity {
        match *self {}
    }

    pub(crate) async fn end(self, _: Duration) {
        match self {}
    }
}
