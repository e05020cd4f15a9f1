//! An order as a terminal shows it: pure functions of a snapshot, the time and the width.

use domain::{
    order::{Kind, State},
    snapshot::{Action, BatchSnapshot, Snapshot},
};
use jiff::Timestamp;

use crate::{
    paint::{Line, Tone},
    table::{cut, wrapped},
};

/// Pods of a batch that are shown by name: those in trouble first.
const PODS: usize = 8;

/// The whole picture, each line at most `width` columns.
pub(crate) fn render(snapshot: &Snapshot, now: Timestamp, width: usize) -> Vec<Line> {
    let order = &snapshot.order;
    let id = order.id.to_string();
    let heading = format!(
        "{}/{}   {} {}{}   order {}   by {}   {}",
        order.application.namespace,
        order.application.name,
        word(order.kind),
        order.version,
        target(snapshot),
        short(&id),
        order.created_by,
        span(order.created_at, order.finished_at.unwrap_or(now))
    );
    let mut lines = vec![Line::new(Tone::Strong, heading)];
    for batch in &snapshot.batches {
        let is_over = order.state.is_final();
        let line = batch_line(batch, snapshot.batches.len(), is_over, now);
        lines.push(Line::new(tone(batch.state), line));
        if batch.state.is_final() && batch.state != State::Failed {
            continue;
        }
        let mut pods: Vec<_> = batch.pods.iter().filter(|pod| !pod.ready).collect();
        pods.sort_by_key(|pod| pod.message.is_empty());
        for pod in pods.iter().take(PODS) {
            let (tone, mark) =
                if pod.message.is_empty() { (Tone::Faint, '·') } else { (Tone::Bad, '✗') };
            let text = format!("      {mark} {}   {} {}", pod.name, pod.phase, pod.message);
            lines.push(Line::new(tone, text));
        }
        if pods.len() > PODS {
            let text = format!("      and {} more that are not ready", pods.len() - PODS);
            lines.push(Line::new(Tone::Faint, text));
        }
    }
    let last = match sentence(snapshot) {
        text if text.is_empty() => format!("  {}", word(order.state)),
        text => format!("  {}: {text}", word(order.state)),
    };
    for line in &mut lines {
        line.text = cut(line.text.trim_end(), width);
    }
    // Why it stands as it does is never cut.
    let last = wrapped(&last, width, 4).into_iter();
    lines.extend(last.map(|text| Line::new(tone(order.state), text)));
    lines
}

/// The picture of an order that is not followed: with all that it notes, and its whole id.
pub(crate) fn whole(snapshot: &Snapshot, now: Timestamp, width: usize) -> Vec<Line> {
    let mut lines = render(snapshot, now, width);
    lines.extend(snapshot.notes.iter().map(|note| Line::plain(format!("  note: {note}"))));
    lines.push(Line::new(Tone::Faint, format!("  id: {}", snapshot.order.id)));
    lines
}

/// The same, now.
pub(crate) fn whole_now(snapshot: &Snapshot, width: usize) -> Vec<Line> {
    whole(snapshot, Timestamp::now(), width)
}

fn tone(state: State) -> Tone {
    match state {
        State::Succeeded => Tone::Good,
        State::Failed | State::SystemFailed => Tone::Bad,
        State::WaitingApproval
        | State::Running
        | State::WaitingConfirmation
        | State::WaitingInterval => Tone::Busy,
        State::Ready | State::Aborted => Tone::Plain,
    }
}

/// A picture within a number of rows: its first line, and as many of its last ones as fit.
pub(crate) fn fit(mut lines: Vec<Line>, rows: usize) -> Vec<Line> {
    let most = rows.max(4);
    if lines.len() > most {
        let left_out = lines.len() - most + 1;
        let gap = Line::new(Tone::Faint, format!("  … {left_out} lines are left out"));
        lines.splice(1..=left_out, [gap]);
    }
    lines
}

/// What a snapshot says that the one before did not, a line each.
pub(crate) fn changes(before: Option<&Snapshot>, snapshot: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    let order = &snapshot.order;
    let count = snapshot.batches.len();
    for batch in &snapshot.batches {
        let was = before.and_then(|it| it.batches.iter().find(|other| other.id == batch.id));
        let moved = was.map_or(batch.state != State::Ready, |was| was.state != batch.state);
        let ready = was.map_or(0, BatchSnapshot::ready);
        if moved || (batch.ready() != ready && batch.state == State::Running) {
            lines.push(format!(
                "batch {}/{count} {} {}/{} ready {}",
                batch.number,
                word(batch.state),
                batch.ready(),
                batch.size,
                batch.message
            ));
        }
        for pod in batch.pods.iter().filter(|pod| !pod.message.is_empty()) {
            let known = was.is_some_and(|was| {
                was.pods.iter().any(|it| it.name == pod.name && it.message == pod.message)
            });
            if !known {
                // A cause names its pod already.
                lines.push(if pod.message.contains(&pod.name) {
                    pod.message.clone()
                } else {
                    format!("pod {}: {}", pod.name, pod.message)
                });
            }
        }
    }
    let said = |it: &Snapshot| (it.order.state, it.order.message.clone());
    if before.map(said) != Some(said(snapshot)) {
        lines.push(format!(
            "order {} {}: {}",
            short(&order.id.to_string()),
            word(order.state),
            sentence(snapshot)
        ));
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The word of a state or a kind, as the API has it, with spaces.
pub(crate) fn word(value: impl serde::Serialize) -> String {
    let word = serde_json::to_value(value).unwrap_or_default();
    word.as_str().unwrap_or_default().replace('_', " ")
}

/// As much of an id as tells it apart for people.
pub(crate) fn short(id: &str) -> String {
    // Ids begin with the time: those of one minute share eight digits.
    id.chars().take(13).collect()
}

fn target(snapshot: &Snapshot) -> String {
    let order = &snapshot.order;
    match (&order.package, snapshot.replicas_before, snapshot.replicas) {
        (Some(package), ..) => format!(" → {package}"),
        (None, Some(before), Some(after)) => format!(" {before} → {after} pods"),
        _ if order.image.is_empty() => String::new(),
        _ => format!(" → {}", order.image),
    }
}

fn batch_line(batch: &BatchSnapshot, count: usize, is_over: bool, now: Timestamp) -> String {
    let mark = match batch.state {
        State::Succeeded => '●',
        State::Failed | State::SystemFailed => '✗',
        State::Aborted => '■',
        State::Running => '◐',
        State::Ready
        | State::WaitingApproval
        | State::WaitingConfirmation
        | State::WaitingInterval => '○',
    };
    let canary = if batch.canary { " canary" } else { "" };
    let size = usize::try_from(batch.size).unwrap_or(0);
    let full = (batch.ready() * 10).checked_div(size).unwrap_or(0).min(10);
    let time = match batch.started_at {
        Some(at) => span(at, batch.finished_at.unwrap_or(now)),
        None if is_over => "not begun".into(),
        None => String::new(),
    };
    let starting = batch.pods.iter().filter(|pod| !pod.ready && pod.message.is_empty()).count();
    let starting = if starting > 0 { format!("   {starting} starting") } else { String::new() };
    format!(
        "  {mark} batch {}/{count}{canary:<7}   [{}{}]   {}/{size} new ready{starting}   {time}",
        batch.number,
        "#".repeat(full),
        "·".repeat(10 - full),
        batch.ready()
    )
}

/// Why the order stands as it does, or what can be done.
fn sentence(snapshot: &Snapshot) -> String {
    let next = snapshot.actions.iter().find_map(|action| match action {
        Action::Continue { number, pods, .. } => Some(format!(
            "batch {number} ({pods} {}) waits for `sluice continue`",
            if *pods == 1 { "pod" } else { "pods" }
        )),
        _ => None,
    });
    let may_approve = snapshot.actions.contains(&Action::Approve);
    match (snapshot.order.state, next) {
        (State::WaitingApproval, _) if may_approve => {
            format!("{}: `sluice approve`", snapshot.order.message)
        }
        (State::WaitingConfirmation, Some(next)) => next,
        (State::WaitingConfirmation, None) if !snapshot.trouble.is_empty() => {
            snapshot.trouble.clone()
        }
        (State::Succeeded, _) if snapshot.order.message.is_empty() => match snapshot.order.kind {
            Kind::Rollback => "the version before runs again".into(),
            _ => "done".into(),
        },
        _ => snapshot.order.message.clone(),
    }
}

fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
pub(crate) mod tests;
