//! One order: its state and cause, what can be done, its batches and pods, and what
//! happened.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};

use super::{Page, order_id, render};
use crate::{
    Console,
    fault::sentence,
    frame::{Frame, Place},
    page::{
        action::{Choices, choices, labels},
        channels::{self, DeliveryLine},
    },
    session::SignedIn,
    words::{self, Moment, Sign},
};
use domain::{
    access::Action,
    order::{Kind, State as OrderState},
    snapshot::{
        Action as Choosable, BatchSnapshot, PodSnapshot, Snapshot, TIMELINE, TimelineEntry,
    },
};
use service::{
    Shown,
    diff::{Line, diff},
};

/// Pods of a batch that are shown at once.
const MOST_PODS: usize = 50;

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    frame: Frame,
    id: String,
    application: String,
    name: String,
    namespace: String,
    kind: &'static str,
    version: String,
    image: String,
    description: String,
    strategy: String,
    by: String,
    source: &'static str,
    created: Moment,
    rolls_back: String,
    rolled_back_by: String,
    /// Whether the page may be kept up to date.
    is_live: bool,
    /// Whether it leads to the application.
    has_application: bool,
    notes: Vec<String>,
    /// What people were told of it.
    told: Vec<DeliveryLine>,
    lines: Vec<Line>,
    parts: Parts,
}

/// What changes of an order's page while the order goes on.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The page's title.
    pub title: String,
    /// Whether nothing will change any more.
    pub is_final: bool,
    /// The HTML of each part by its id.
    pub html: BTreeMap<&'static str, String>,
}

impl Parts {
    /// The HTML of a part.
    fn of(&self, name: &str) -> &str {
        self.html.get(name).map(String::as_str).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "part-state.html")]
struct StatePart<'a> {
    sign: Sign,
    sentence: &'a str,
    cause: &'a str,
}

#[derive(Template)]
#[template(path = "part-actions.html")]
struct ActionsPart<'a> {
    id: &'a str,
    choices: &'a Choices,
    /// What could be done by somebody who may; empty = nothing.
    withheld: &'a str,
}

#[derive(Template)]
#[template(path = "part-batches.html")]
struct BatchesPart<'a> {
    batches: &'a [BatchLine],
    pods: &'a [PodLine],
    pods_left: usize,
    width: i32,
}

#[derive(Template)]
#[template(path = "part-timeline.html")]
struct TimelinePart<'a> {
    events: &'a [EventLine],
    /// Whether there may be earlier ones.
    is_cut: bool,
}

struct BatchLine {
    number: usize,
    canary: bool,
    sign: Sign,
    size: i32,
    ready: usize,
    message: String,
    started: Option<Moment>,
    took: String,
    /// Its place in a picture whose width is that of all batches.
    x: i32,
    width: i32,
    done: i32,
}

struct PodLine {
    name: String,
    batch: usize,
    sign: Sign,
    phase: String,
    message: String,
    ip: String,
}

struct EventLine {
    at: Moment,
    actor: String,
    what: String,
    why: String,
}

pub(crate) async fn show(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Page {
    let id = order_id(&id)?;
    let console = signed_in.within(&console, Action::READ)?;
    let order = console.service.shown(id).await?;
    let parts = parts(&order)?;
    let (before, after) = console.service.order_templates(id).await?;
    let lines = match (before, after) {
        (Some(before), Some(after)) => diff(&before, &after),
        _ => Vec::new(),
    };
    let (told, now) = (console.service.told_of(id).await?, console.service.clock().now());
    let line = order.order.clone();
    let is_open = !line.state.is_final();
    let may = |action| console.service.may_on(action, &line.application);
    let is_live = is_open && may(Action::WATCH);
    let has_application = may(Action::APPLICATION);
    let mut frame = Frame::of(parts.title.clone(), &signed_in, Place::Orders);
    frame.refresh = if is_open { 5 } else { 0 };
    render(&OrderPage {
        frame,
        id: id.to_string(),
        application: line.application.id.to_string(),
        name: line.application.name,
        namespace: line.application.namespace,
        kind: words::of_kind(line.kind),
        version: line.version,
        image: line.package.unwrap_or(line.image),
        description: line.description,
        strategy: if line.kind.releases() {
            words::of_strategy(&order.strategy)
        } else {
            String::new()
        },
        by: line.created_by,
        source: words::of_source(line.source),
        created: words::clock(line.created_at),
        rolls_back: order.rolls_back.map(|id| id.to_string()).unwrap_or_default(),
        rolled_back_by: order.rolled_back_by.map(|id| id.to_string()).unwrap_or_default(),
        is_live,
        has_application,
        notes: order.notes.iter().map(|note| sentence(note)).collect(),
        told: told.iter().map(|it| channels::line(it, now)).collect(),
        lines,
        parts,
    })
}

/// The parts of an order's page: the same for all who may do the same.
pub(crate) fn parts(order: &Shown) -> Result<Parts, askama::Error> {
    let withheld = labels(order.withheld());
    let may_continue = !order.withheld().iter().any(|it| matches!(it, Choosable::Continue { .. }));
    let order: &Snapshot = order;
    let line = &order.order;
    let shown = line.id.to_string();
    let choices = choices(order);
    let (batches, pods) = (batch_lines(order, may_continue), pod_lines(order));
    let said = state_sentence(order, may_continue);
    let failed = matches!(line.state, OrderState::Failed | OrderState::SystemFailed);
    let cause = if failed { &line.message } else { &order.trouble };
    let cause = if cause.is_empty() { String::new() } else { sentence(cause) };
    let sign = words::of_state(line.state);
    let state = StatePart { sign, sentence: &said, cause: &cause }.render()?;
    let actions = ActionsPart { id: &shown, choices: &choices, withheld: &withheld }.render()?;
    let width = batches.iter().map(|batch| batch.width + 1).sum();
    let left = pods.len().saturating_sub(MOST_PODS * order.batches.len().max(1));
    let pods = &pods[..pods.len() - left];
    let lanes = BatchesPart { batches: &batches, pods, pods_left: left, width }.render()?;
    let events = event_lines(&order.timeline);
    let timeline = TimelinePart { events: &events, is_cut: events.len() >= TIMELINE }.render()?;
    let html = [("actions", actions), ("batches", lanes), ("state", state), ("timeline", timeline)];
    let (done, of) = (
        order.batches.iter().filter(|it| it.state == OrderState::Succeeded).count(),
        order.batches.len(),
    );
    let progress =
        if of > 1 && !line.state.is_final() { format!(" {done}/{of}") } else { String::new() };
    let (kind, name) = (words::of_kind(line.kind), &line.application.name);
    Ok(Parts {
        title: format!("{}{progress} · {kind} of {name}", sign.mark),
        is_final: line.state.is_final(),
        html: html.into(),
    })
}

/// Where the order stands, in a sentence that changes with its state and batch alone.
fn state_sentence(order: &Snapshot, may_continue: bool) -> String {
    let needs = if may_continue { "Needs you" } else { "Needs somebody who may continue it" };
    let next = order.batches.iter().find(|it| it.state == OrderState::WaitingConfirmation);
    let running = order.batches.iter().find(|it| it.state == OrderState::Running);
    let of = order.batches.len();
    let one = of == 1;
    match (order.order.state, next, running) {
        (OrderState::Ready, ..) if !order.order.message.is_empty() => {
            format!("Accepted; it {}.", order.order.message)
        }
        (OrderState::Ready, ..) => "Accepted; it begins at once.".into(),
        (OrderState::WaitingApproval, ..) => format!("Accepted; it {}.", order.order.message),
        (OrderState::WaitingConfirmation | OrderState::WaitingInterval, ..)
            if !order.trouble.is_empty() =>
        {
            "Waits, and does not go on while this lasts.".into()
        }
        (OrderState::WaitingConfirmation, Some(batch), _) => format!(
            "{needs}: batch {} of {of} ({}) begins when somebody continues.",
            batch.number,
            words::of_pods(batch.size)
        ),
        (OrderState::WaitingConfirmation, None, _) => format!("{needs}."),
        (OrderState::WaitingInterval, ..) => {
            "Waits between two batches; the next begins by itself.".into()
        }
        (OrderState::Running, _, Some(batch)) if !one => format!(
            "Running: batch {} of {of}{}.",
            batch.number,
            if batch.canary { ", the canary" } else { "" }
        ),
        (OrderState::Running, ..) => "Running.".into(),
        (OrderState::Succeeded, ..) => "Succeeded.".into(),
        (OrderState::Failed | OrderState::SystemFailed, ..) => match order.rolled_back_by {
            Some(_) => "Failed; the version before comes back.".into(),
            None => "Failed; it rests where it is.".into(),
        },
        (OrderState::Aborted, ..) => match order.rolled_back_by {
            Some(_) => format!("Stopped and rolled back. {}", sentence(&order.order.message)),
            None => format!("Stopped. {}", sentence(&order.order.message)),
        },
    }
}

fn batch_lines(order: &Snapshot, may_continue: bool) -> Vec<BatchLine> {
    let mut x = 0;
    let line = |batch: &BatchSnapshot| {
        let ready = batch.ready();
        let width = (batch.size.clamp(1, 200)) * 10;
        let share = i32::try_from(ready).unwrap_or(i32::MAX).min(batch.size.max(0));
        let done = match batch.state {
            OrderState::Succeeded => width,
            _ if batch.size > 0 => width * share / batch.size,
            _ => 0,
        };
        let place = x;
        x += width + 1;
        BatchLine {
            number: batch.number,
            canary: batch.canary,
            sign: match batch.started_at {
                None if order.order.state.is_final() => words::NOT_BEGUN,
                _ if batch.state == OrderState::WaitingConfirmation && !may_continue => {
                    words::NEEDS_ANOTHER
                }
                _ => words::of_batch(batch.state),
            },
            size: batch.size,
            ready,
            message: batch.message.clone(),
            started: batch.started_at.map(words::clock),
            took: match (batch.started_at, batch.finished_at) {
                (Some(from), Some(to)) => words::took(from, to),
                _ => String::new(),
            },
            x: place,
            width,
            done,
        }
    };
    let is_in_batches = order.order.kind.releases() || order.order.kind == Kind::Create;
    let batches = order.batches.iter().filter(|it| is_in_batches || it.started_at.is_some());
    batches.map(line).collect()
}

/// The pods, those first that have trouble.
fn pod_lines(order: &Snapshot) -> Vec<PodLine> {
    let pods = order.batches.iter().flat_map(|batch| batch.pods.iter().map(move |it| (batch, it)));
    let mut pods: Vec<_> = pods.collect();
    pods.sort_by_key(|(batch, pod)| {
        (pod.message.is_empty(), pod.ready, batch.number, pod.name.clone())
    });
    let line = |(batch, pod): (&BatchSnapshot, &PodSnapshot)| {
        let (word, mark, class) = if pod.ready {
            ("ready", "✓", "good")
        } else if pod.message.is_empty() && order.order.state.is_final() {
            ("not ready", "○", "ended")
        } else if pod.message.is_empty() {
            ("starts", "○", "waits")
        } else {
            ("not ready", "✗", "bad")
        };
        PodLine {
            name: pod.name.clone(),
            batch: batch.number,
            sign: Sign { word, mark, class },
            phase: pod.phase.clone(),
            message: pod.message.clone(),
            ip: pod.ip.clone(),
        }
    };
    pods.into_iter().map(line).collect()
}

/// What happened, newest first.
fn event_lines(events: &[TimelineEntry]) -> Vec<EventLine> {
    let line = |event: &TimelineEntry| EventLine {
        at: words::clock(event.at),
        actor: event.actor.clone(),
        what: words::of_event(&event.kind),
        why: event.cause.clone(),
    };
    events.iter().rev().map(line).collect()
}
