//! Printing what was read.

use std::io::Write;

use domain::snapshot::{ApplicationLine, OrderLine, Snapshot};
use serde::Serialize;
use serde_json::Value;

use crate::{
    command::{Format, Reach},
    paint::{self, Line, Tone},
    render::{short, word},
    table::{cut, table, toned, wrapped},
};
use domain::order::State;

/// How a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    pub(crate) colours: bool,
    /// Longest line of a table; without a terminal there is no such bound.
    width: usize,
}

impl Printer {
    pub(crate) fn of(reach: &Reach) -> Self {
        Self {
            format: reach.output,
            colours: paint::has_colours(reach.color),
            width: match reach.output {
                Format::Wide => usize::MAX,
                _ => columns().unwrap_or(usize::MAX),
            },
        }
    }

    /// Prints `all` as JSON, or what `text` makes of them within a width.
    pub(crate) fn list<T: Serialize>(self, all: &[T], text: impl Fn(&[T], usize) -> Vec<Line>) {
        match self.format {
            Format::Text | Format::Wide => self.lines(&text(all, self.width)),
            Format::Json => say(&serde_json::to_string_pretty(all).unwrap_or_default()),
            Format::Jsonl => {
                for one in all {
                    say(&serde_json::to_string(one).unwrap_or_default());
                }
            }
        }
    }

    /// Prints one thing.
    pub(crate) fn one<T: Serialize>(self, it: &T, text: impl Fn(&T, usize) -> Vec<Line>) {
        match self.format {
            Format::Text | Format::Wide => self.lines(&text(it, self.width)),
            Format::Json => say(&serde_json::to_string_pretty(it).unwrap_or_default()),
            Format::Jsonl => say(&serde_json::to_string(it).unwrap_or_default()),
        }
    }

    pub(crate) fn lines(self, lines: &[Line]) {
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.written(self.colours));
            text.push('\n');
        }
        // Nobody is told if whoever reads it has gone.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

/// Columns of the terminal that is printed to; none = it is no terminal.
pub(crate) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).map(|it| if (20..=500).contains(&it) { it } else { 80 })
}

/// Rows of the terminal that is printed to.
pub(crate) fn rows() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 0).unwrap_or(24)
}

/// A line on standard output. Nobody is told if whoever reads it has gone.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{}", plain(line));
}

/// The same on standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(line));
}

/// An error or a warning that a runner of GitHub shows beside its job.
pub(crate) fn annotate(level: &str, message: &str) {
    let message = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let message: String = message.chars().filter(|it| !it.is_control()).collect();
    let _ = writeln!(std::io::stderr(), "::{level}::{message}");
}

/// A text without what would steer a terminal or a runner: texts come from clusters.
fn plain(text: &str) -> String {
    let on_github = paint::is_on_github();
    let text: String =
        text.chars().filter(|it| matches!(it, '\n' | '\t') || !it.is_control()).collect();
    let lines: Vec<String> = text.split('\n').map(|it| paint::defused(it, on_github)).collect();
    lines.join("\n")
}

fn tone(state: State) -> Tone {
    match state {
        State::Failed | State::SystemFailed => Tone::Bad,
        State::WaitingApproval | State::WaitingConfirmation => Tone::Busy,
        _ => Tone::Plain,
    }
}

pub(crate) fn applications(lines: &[ApplicationLine], width: usize) -> Vec<Line> {
    let row = |it: &ApplicationLine| {
        let order = it.last_order.as_ref();
        let cells = vec![
            it.application.namespace.clone(),
            it.application.name.clone(),
            match it.lacks_deployment() {
                true => "no Deployment".into(),
                false => format!("{}/{}", it.ready, it.replicas),
            },
            order
                .map(|order| format!("{} {}", word(order.kind), word(order.state)))
                .unwrap_or_default(),
            it.version.clone(),
            it.image.clone(),
        ];
        let of_order = order.map(|order| tone(order.state)).unwrap_or_default();
        (if it.lacks_deployment() { Tone::Bad } else { of_order }, cells)
    };
    let rows = lines.iter().map(row).collect();
    toned(&["NAMESPACE", "NAME", "READY", "LAST ORDER", "VERSION", "IMAGE"], rows, width)
}

/// One application with its newest orders.
pub(crate) fn application(
    application: &ApplicationLine,
    newest: &[OrderLine],
    width: usize,
) -> Vec<Line> {
    let mut lines = applications(std::slice::from_ref(application), width);
    if application.lacks_deployment() {
        lines.push(Line::default());
        // The way out is never cut.
        let said = without_deployment(application);
        lines.extend(wrapped(&said, width, 0).into_iter().map(|it| Line::new(Tone::Bad, it)));
    }
    lines.push(Line::default());
    lines.extend(orders(newest, width));
    lines
}

/// What brings the Deployment back.
fn without_deployment(it: &ApplicationLine) -> String {
    let (name, namespace) = (&it.application.name, &it.application.namespace);
    let said = format!("There is no Deployment {name} in the namespace {namespace}.");
    if it.version.is_empty() {
        return said;
    }
    let pods = if it.replicas == 1 { "1 pod".into() } else { format!("{} pods", it.replicas) };
    format!(
        "{said} `sluice rollback {namespace}/{name} --to VERSION` creates it again with {pods}, unless it was adopted: then create it again as it was created before."
    )
}

pub(crate) fn orders(lines: &[OrderLine], width: usize) -> Vec<Line> {
    let row = |it: &OrderLine| {
        let time = it.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let cells = vec![
            short(&it.id.to_string()),
            format!("{}/{}", it.application.namespace, it.application.name),
            word(it.kind),
            word(it.state) + if it.needs_person() { " !" } else { "" },
            it.version.clone(),
            it.created_by.clone(),
            time,
        ];
        (tone(it.state), cells)
    };
    let rows = lines.iter().map(row).collect();
    toned(&["ORDER", "APPLICATION", "KIND", "STATE", "VERSION", "BY", "ACCEPTED"], rows, width)
}

pub(crate) fn events(snapshot: &Snapshot, width: usize) -> Vec<Line> {
    let rows: Vec<_> = snapshot
        .timeline
        .iter()
        .map(|it| {
            let at = it.at.strftime("%H:%M:%S%.3f").to_string();
            vec![at, it.actor.clone(), it.kind.clone(), it.cause.clone()]
        })
        .collect();
    table(&["AT", "WHO", "WHAT", "WHY"], &rows, width)
}

pub(crate) fn pods(snapshot: &Snapshot, width: usize) -> Vec<Line> {
    let pods = snapshot
        .batches
        .iter()
        .flat_map(|batch| batch.pods.iter().map(move |pod| (batch.number, pod)));
    let rows = pods.map(|(number, pod)| {
        let ready = if pod.ready { "yes" } else { "no" };
        let cells = vec![
            number.to_string(),
            pod.name.clone(),
            pod.phase.clone(),
            ready.into(),
            pod.message.clone(),
            pod.ip.clone(),
        ];
        (if pod.message.is_empty() { Tone::Plain } else { Tone::Bad }, cells)
    });
    toned(&["BATCH", "POD", "PHASE", "READY", "WHY", "ADDRESS"], rows.collect(), width)
}

pub(crate) fn versions(versions: &[Value], width: usize) -> Vec<Line> {
    let cell = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    let names = ["PackageVersion", "WarUrl", "CreateTime", "Id"];
    let rows: Vec<Vec<String>> =
        versions.iter().map(|it| names.iter().map(|name| cell(it, name)).collect()).collect();
    table(&["VERSION", "IMAGE OR PACKAGE", "RELEASED", "ID"], &rows, width)
}

/// What a release would do, as a preview tells it.
pub(crate) fn plan(reply: &Value, width: usize) -> Vec<Line> {
    let cell = |it: &Value| match it {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        it => it.to_string(),
    };
    let list = |it: &Value| it.as_array().cloned().unwrap_or_default();
    let batch = |it: &Value| -> Vec<String> {
        let mut cells: Vec<String> = ["Number", "Added", "Removed", "NewPods", "OldPods"]
            .iter()
            .map(|name| cell(&it[*name]))
            .collect();
        cells.push(match it["Next"].as_str().unwrap_or_default() {
            "go_on" => "goes on".into(),
            "wait" => format!("waits {} min", it["WaitMinutes"]),
            "confirm" => "a person confirms".into(),
            other => other.into(),
        });
        cells
    };
    let batches: Vec<_> = list(&reply["Plan"]["Batches"]).iter().map(batch).collect();
    let check = |it: &Value| {
        let tone = match it["Verdict"].as_str() {
            Some("refused") => Tone::Bad,
            Some("warned") => Tone::Busy,
            _ => Tone::Plain,
        };
        (tone, ["Name", "Verdict", "Reason"].iter().map(|name| cell(&it[*name])).collect())
    };
    let checks = list(&reply["Checks"]).iter().map(check).collect();
    let headings = ["BATCH", "ADDED", "REMOVED", "NEW", "OLD", "THEN"];
    let mut lines = table(&headings, &batches, width);
    lines.push(Line::default());
    lines.extend(toned(&["CHECK", "VERDICT", "WHY"], checks, width));
    lines.push(Line::default());
    lines.push(match reply["Plan"]["PlanHash"].as_str() {
        Some(hash) => Line::plain(format!("plan hash {hash}")),
        None => Line::new(Tone::Bad, "the release cannot begin"),
    });
    lines
}

/// What a release would change of the pod template, of the same reply.
pub(crate) fn difference(reply: &Value, _: usize) -> Vec<Line> {
    let lines: Vec<&Value> = reply["Difference"].as_array().into_iter().flatten().collect();
    if lines.is_empty() {
        return vec![Line::plain("nothing of the pod template changes")];
    }
    let line = |it: &&Value| {
        let text = it["Text"].as_str().unwrap_or_default();
        let (tone, mark) = match it["Kind"].as_str().unwrap_or_default() {
            "added" => (Tone::Good, "+"),
            "removed" => (Tone::Bad, "-"),
            "gap" => return Line::new(Tone::Faint, "…"),
            _ => (Tone::Plain, " "),
        };
        Line::new(tone, format!("{mark} {text}").trim_end())
    };
    lines.iter().map(line).collect()
}

/// The same of several versions, each under its text.
pub(crate) fn differences(versions: &[Value], width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for version in versions {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        let text = version["PackageVersion"].as_str().unwrap_or_default();
        lines.push(Line::new(Tone::Strong, cut(&format!("==> {text} <=="), width)));
        lines.extend(difference(version, width));
    }
    lines
}

/// Logs, as the server gives them; a heading above each where there are several.
pub(crate) fn logs(reply: &Value, width: usize) -> Vec<Line> {
    let all: Vec<&Value> = reply["Logs"].as_array().into_iter().flatten().collect();
    let text = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for log in &all {
        if all.len() > 1 {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            let heading = format!("==> {} {} <==", text(log, "Pod"), text(log, "Container"));
            lines.push(Line::new(Tone::Strong, cut(&heading, width)));
        }
        // What was printed is not cut: it may be searched.
        lines.extend(text(log, "Text").lines().map(Line::plain));
        let why = text(log, "Unread");
        if !why.is_empty() {
            lines.push(Line::new(Tone::Bad, format!("nothing can be read: {why}")));
        }
    }
    match reply["UnreadPods"].as_u64() {
        Some(more) if more > 0 => {
            let message = format!("and {more} more pods: --pod chooses one");
            lines.push(Line::new(Tone::Faint, message));
        }
        _ => {}
    }
    lines
}
