//! Spans of the log as OpenTelemetry's.
//!
//! A span with the fields `trace.id` and `span.id` is that span of that trace, beneath its
//! `parent.id`: requests and drives of orders choose them, as an order keeps them from one
//! program to the next, and the log shows the same. Every other span is one of the trace of
//! the span around it. Without one around it, it is none, and neither is one that names a trace
//! and no `span.id`: its sender does not want it to be recorded.
//!
//! The lines of the log in a span are its events. They hold no secrets, as no line does. A
//! statement to Postgres is a span once it has ended, by its name and nothing else of it.

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, SystemTime},
};

use domain::TraceParent;
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor};
use tracing::{
    Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::statements::{Ended, REPORTS};

/// Most events of a span: a drive may last for days.
const MOST_EVENTS: usize = 128;

/// The statement that extends a lease, every second or so: it is a part of no step.
const HEARTBEAT: &str = "extend";

/// Most bytes of a text.
const LONGEST_TEXT: usize = 1024;

/// Takes spans as they are made, and hands them on once they end.
pub(crate) struct Spans<P> {
    to: Arc<P>,
    percent: u8,
    scope: InstrumentationScope,
}

impl<P: SpanProcessor> Spans<P> {
    pub(super) fn new(to: Arc<P>, percent: u8) -> Self {
        let scope =
            InstrumentationScope::builder("sluice").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { to, percent, scope }
    }
}

/// A span that has not ended.
struct Open {
    trace: TraceId,
    span: SpanId,
    parent: SpanId,
    is_parent_remote: bool,
    begun: SystemTime,
    fields: Fields,
    events: SpanEvents,
    failed: bool,
}

/// What is said of a span or in an event.
#[derive(Default)]
struct Fields {
    /// Of a span: its own, as far as it names one.
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
    name: Option<String>,
    /// Of an event.
    message: Option<String>,
    attributes: Vec<KeyValue>,
}

impl Fields {
    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "trace.id" => self.trace = TraceId::from_hex(&text).ok(),
            "span.id" => self.span = SpanId::from_hex(&text).ok(),
            "parent.id" => self.parent = SpanId::from_hex(&text).ok(),
            // A request is called by what it asks for.
            "otel.name" | "operation" => self.name = Some(text),
            "message" => self.message = Some(text),
            name => self.attributes.push(KeyValue::new(name, shortened(text))),
        }
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }
}

impl Open {
    /// A statement in this span that ended just now.
    fn statement(&self, ended: Ended) -> Option<Self> {
        let took = Duration::try_from_secs_f64(ended.seconds).ok()?;
        let system = KeyValue::new("db.system.name", "postgresql");
        Some(Self {
            trace: self.trace,
            span: new_span(),
            parent: self.span,
            is_parent_remote: false,
            begun: SystemTime::now().checked_sub(took)?,
            fields: Fields {
                name: Some(ended.name),
                attributes: vec![system],
                ..Fields::default()
            },
            events: SpanEvents::default(),
            failed: false,
        })
    }

    fn end(self, name: &'static str, scope: &InstrumentationScope) -> SpanData {
        let Fields { name: said, attributes, .. } = self.fields;
        SpanData {
            span_context: SpanContext::new(
                self.trace,
                self.span,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: self.parent,
            parent_span_is_remote: self.is_parent_remote,
            span_kind: match name {
                "request" | "form" => SpanKind::Server,
                "cluster_request" | "statement" => SpanKind::Client,
                _ => SpanKind::Internal,
            },
            name: said.map_or(name.into(), Into::into),
            start_time: self.begun,
            end_time: SystemTime::now(),
            attributes,
            dropped_attributes_count: 0,
            events: self.events,
            links: SpanLinks::default(),
            status: if self.failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: scope.clone(),
        }
    }
}

/// Whether a trace is among so many percent: the same everywhere, by its last bytes, which
/// are random.
fn is_chosen(trace: TraceId, percent: u8) -> bool {
    let [.., a, b, c, d] = trace.to_bytes();
    let share = (u64::from(u32::from_be_bytes([a, b, c, d])) * 100) >> 32;
    share < u64::from(percent)
}

impl<S, P> Layer<S> for Spans<P>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    P: SpanProcessor + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let around = || {
            let around = span.parent()?;
            let extensions = around.extensions();
            let open = extensions.get::<Open>()?;
            Some((open.trace, open.span))
        };
        let (trace, own, parent, is_parent_remote) = match (fields.trace, fields.span) {
            (Some(trace), Some(own)) => {
                (trace, own, fields.parent.unwrap_or(SpanId::INVALID), fields.parent.is_some())
            }
            (Some(_), None) => return,
            (None, _) => match around() {
                Some((trace, parent)) => (trace, new_span(), parent, false),
                None => return,
            },
        };
        if !is_chosen(trace, self.percent) {
            return;
        }
        let (begun, events) = (SystemTime::now(), SpanEvents::default());
        let open = Open {
            trace,
            span: own,
            parent,
            is_parent_remote,
            begun,
            fields,
            events,
            failed: false,
        };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.fields);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else { return };
        if event.metadata().target() == REPORTS {
            let ended = Ended::of(event).filter(|ended| ended.name != HEARTBEAT);
            if let Some(statement) = ended.and_then(|ended| open.statement(ended)) {
                self.to.on_end(statement.end("statement", &self.scope));
            }
            return;
        }
        open.failed |= *event.metadata().level() == Level::ERROR;
        if open.events.len() >= MOST_EVENTS {
            open.events.dropped_count += 1;
            return;
        }
        let mut said = Fields::default();
        event.record(&mut said);
        let name = shortened(said.message.unwrap_or_default());
        open.events.events.push(Event::new(name, SystemTime::now(), said.attributes, 0));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(open) = open {
            self.to.on_end(open.end(span.name(), &self.scope));
        }
    }
}

/// The id of a span that nothing else names.
fn new_span() -> SpanId {
    SpanId::from_hex(&TraceParent::new().span().to_string()).unwrap_or(SpanId::INVALID)
}
