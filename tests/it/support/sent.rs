//! The statements that a test sends to Postgres, by their names.

use std::{cell::RefCell, sync::Once};

use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt};

thread_local! {
    /// A test has a thread of its own.
    static SENT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes statements. There is one for the whole program: subscribers that come and go in
/// several threads miss events of each other.
struct Statements;

#[derive(Default)]
struct Summary(String);

impl Visit for Summary {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut summary = Summary::default();
        event.record(&mut summary);
        let named = summary.0.strip_prefix("/* ").and_then(|it| it.split_once(" */"));
        let name = named.map_or(summary.0.as_str(), |(name, _)| name).to_owned();
        SENT.with_borrow_mut(|sent| sent.push(name));
    }
}

/// Begins to count.
pub fn count() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let of_sqlx = filter_fn(|metadata| metadata.target() == "sqlx::query");
        let counting = tracing_subscriber::registry().with(Statements.with_filter(of_sqlx));
        tracing::subscriber::set_global_default(counting).unwrap();
    });
    SENT.with_borrow_mut(Vec::clear);
}

/// What was sent since then.
pub fn since() -> Vec<String> {
    SENT.with_borrow(Clone::clone)
}
