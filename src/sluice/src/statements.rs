//! Times of the database's statements, by their names: taken from what sqlx reports of each.

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// What sqlx reports statements as.
pub(crate) const REPORTS: &str = "sqlx::query";

/// Takes the time of every statement.
pub(crate) struct Statements;

/// A statement that ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) name: String,
    pub(crate) seconds: f64,
}

impl Ended {
    /// The statement that an event reports, if it is one of ours.
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        let mut statement = Statement::default();
        event.record(&mut statement);
        Some(Self { name: statement.name?, seconds: statement.seconds? })
    }
}

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some(Ended { name, seconds }) = Ended::of(event) {
            metrics::histogram!("sluice_database_statement_seconds", "statement" => name)
                .record(seconds);
        }
    }
}

#[derive(Default)]
struct Statement {
    name: Option<String>,
    seconds: Option<f64>,
}

impl Visit for Statement {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            self.name = name(value).map(str::to_owned);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// The name of a statement: the comment that it begins with. Those of libraries have none.
fn name(summary: &str) -> Option<&str> {
    let (name, _) = summary.strip_prefix("/* ")?.split_once(" */")?;
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_counted_by_its_comment() {
        assert_eq!(name("/* record_applied */ UPDATE …"), Some("record_applied"));
        assert_eq!(name("SELECT 1"), None);
        assert_eq!(name("/* Any thing */ SELECT"), None);
        assert_eq!(name("/* x"), None);
    }
}
