//! Printing what was read.

use std::io::Write;

use domain::snapshot::{ApplicationLine, OrderLine, Snapshot};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    command::Format,
    render::{render, short, table, word},
};

/// A line on standard output. Nobody is told if whoever reads it has gone. What would steer
/// a terminal is left out: texts come from clusters.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{}", plain(line));
}

/// The same on standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(line));
}

fn plain(line: &str) -> String {
    line.chars().filter(|it| *it == '\n' || !it.is_control()).collect()
}

/// Prints `all` as JSON, or what `text` makes of them.
pub(crate) fn list<T: Serialize>(format: Format, all: &[T], text: impl Fn(&[T]) -> String) {
    match format {
        Format::Text => say(&text(all)),
        Format::Json => say(&serde_json::to_string_pretty(all).unwrap_or_default()),
        Format::Jsonl => {
            for one in all {
                say(&serde_json::to_string(one).unwrap_or_default());
            }
        }
    }
}

/// Prints one thing.
pub(crate) fn one<T: Serialize>(format: Format, it: &T, text: impl Fn(&T) -> String) {
    match format {
        Format::Text => say(&text(it)),
        Format::Json => say(&serde_json::to_string_pretty(it).unwrap_or_default()),
        Format::Jsonl => say(&serde_json::to_string(it).unwrap_or_default()),
    }
}

pub(crate) fn applications(lines: &[ApplicationLine]) -> String {
    let row = |it: &ApplicationLine| {
        let order = it.last_order.as_ref();
        vec![
            it.application.namespace.clone(),
            it.application.name.clone(),
            format!("{}/{}", it.ready, it.replicas),
            it.version.clone(),
            it.image.clone(),
            order
                .map(|order| format!("{} {}", word(order.kind), word(order.state)))
                .unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    table(&["NAMESPACE", "NAME", "READY", "VERSION", "IMAGE", "LAST ORDER"], &rows)
}

pub(crate) fn orders(lines: &[OrderLine]) -> String {
    let row = |it: &OrderLine| {
        let time = it.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        vec![
            short(&it.id.to_string()),
            format!("{}/{}", it.application.namespace, it.application.name),
            word(it.kind),
            word(it.state) + if it.needs_person() { " !" } else { "" },
            it.version.clone(),
            it.created_by.clone(),
            time,
        ]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    table(&["ORDER", "APPLICATION", "KIND", "STATE", "VERSION", "BY", "ACCEPTED"], &rows)
}

pub(crate) fn order(snapshot: &Snapshot) -> String {
    let mut lines = render(snapshot, Timestamp::now(), usize::MAX);
    lines.extend(snapshot.notes.iter().map(|note| format!("  note: {note}")));
    lines.push(format!("  id: {}", snapshot.order.id));
    lines.join("\n")
}

pub(crate) fn events(snapshot: &Snapshot) -> String {
    let rows: Vec<_> = snapshot
        .timeline
        .iter()
        .map(|it| {
            let at = it.at.strftime("%H:%M:%S%.3f").to_string();
            vec![at, it.actor.clone(), it.kind.clone(), it.cause.clone()]
        })
        .collect();
    table(&["AT", "WHO", "WHAT", "WHY"], &rows)
}

pub(crate) fn pods(snapshot: &Snapshot) -> String {
    let rows: Vec<_> = snapshot
        .batches
        .iter()
        .flat_map(|batch| batch.pods.iter().map(move |pod| (batch.number, pod)))
        .map(|(number, pod)| {
            let ready = if pod.ready { "yes" } else { "no" };
            vec![
                number.to_string(),
                pod.name.clone(),
                pod.phase.clone(),
                ready.into(),
                pod.ip.clone(),
                pod.message.clone(),
            ]
        })
        .collect();
    table(&["BATCH", "POD", "PHASE", "READY", "ADDRESS", "WHY"], &rows)
}
