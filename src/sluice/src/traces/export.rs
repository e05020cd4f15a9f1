//! Spans on their way to the collector: in a queue with a bound, from which a thread of its own
//! sends them. What finds the queue full is dropped: nothing waits for a collector.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor},
};
use sluice::config::TraceServing;

use super::{collector::Collector, spans::Spans};

/// Spans that wait at the most.
const QUEUE: usize = 2048;

/// Spans in one request at the most.
const BATCH: usize = 512;

/// Longest time that a span waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// Longest time for what is left when the program ends, if so much is left of its time.
const END_WITHIN: Duration = Duration::from_secs(2);

/// What sends spans.
pub(crate) struct Traces {
    processor: Arc<BatchSpanProcessor>,
    percent: u8,
}

impl Traces {
    /// Begins to send, if a collector is named. Whether it is there is not asked.
    ///
    /// # Errors
    /// Settings of the environment (`OTEL_…`) that have no meaning here.
    pub(crate) fn begin(settings: &TraceServing) -> Result<Option<Self>> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        let endpoint = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_http_client(Collector::new()?)
            .build()
            .context("--otlp-endpoint")?;
        let bounds = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let mut processor = BatchSpanProcessor::new(exporter, bounds);
        let program = Resource::builder()
            .with_service_name("sluice")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        processor.set_resource(&program);
        Ok(Some(Self { processor: Arc::new(processor), percent: settings.otlp_sample }))
    }

    /// What takes the spans of the program as they are made.
    pub(crate) fn layer(&self) -> Spans<BatchSpanProcessor> {
        Spans::new(self.processor.clone(), self.percent)
    }

    /// Sends what is left, within this time at the most.
    pub(crate) async fn end(self, within: Duration) {
        let within = within.min(END_WITHIN);
        let last =
            tokio::task::spawn_blocking(move || self.processor.shutdown_with_timeout(within));
        if !matches!(last.await, Ok(Ok(()))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}
