//! Traces that a collector gets.

use clap::Args;
use url::Url;

use super::package::plain_address;

/// Whether spans are sent, and where.
#[derive(Debug, Args)]
pub struct TraceServing {
    /// Collector that gets traces by OTLP over HTTP, such as http://collector:4318; without one none are sent. Headers for it, such as a token, are read from OTEL_EXPORTER_OTLP_HEADERS.
    #[arg(long, env = "SLUICE_OTLP_ENDPOINT", value_parser = collector)]
    pub otlp_endpoint: Option<Url>,
    /// Percent of traces that are sent. Programs with the same number send the same traces.
    #[arg(long, env = "SLUICE_OTLP_SAMPLE", default_value_t = 100, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub otlp_sample: u8,
}

fn collector(text: &str) -> Result<Url, String> {
    plain_address(text, "http://collector:4318")
}
