//! One order: its state and cause, what can be done, its batches and pods, and what
//! happened.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use sha2::{Digest, Sha256};

use super::{Page, order_id, render};
use crate::{
    Console,
    diff::{Line, diff},
    fault::{Fault, sentence},
    frame::{Frame, Place},
    page::action::{Choices, choices},
    session::SignedIn,
    words::{self, Moment, Sign},
};
use domain::{
    OrderId,
    order::{Kind, State as OrderState},
};
use service::{BatchView, Error, OrderEvent, OrderView, Service};

/// Pods of a batch that are shown at once.
const MOST_PODS: usize = 50;

/// Events that are shown.
const MOST_EVENTS: usize = 200;

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
    is_open: bool,
    notes: Vec<String>,
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
    /// Another one where a part is.
    pub(crate) fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for (name, html) in &self.html {
            digest.update(name);
            digest.update(html);
        }
        hex::encode(&digest.finalize()[..12])
    }

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

/// What the database has of an order, from which its parts are made.
#[derive(Debug, PartialEq)]
pub(crate) struct Reading {
    order: OrderView,
    events: Vec<OrderEvent>,
    /// How many batches may stay if it steps back.
    stay: usize,
    /// Its application's.
    namespace: String,
    name: String,
}

impl Reading {
    pub(crate) fn is_final(&self) -> bool {
        self.order.state.is_final()
    }
}

/// Reads an order as it is now.
pub(crate) async fn read(service: &Service, id: OrderId) -> Result<Reading, Error> {
    let order = service.order(id).await?;
    let (namespace, name) = service.named_application(order.application).await?;
    let stay = service.batches_that_may_stay(id).await?;
    Ok(Reading { events: service.order_events(id).await?, order, stay, namespace, name })
}

pub(crate) async fn show(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Page {
    let id = order_id(&id)?;
    let reading = read(&console.service, id).await?;
    let parts = parts(&reading, &signed_in)?;
    let Reading { order, namespace, name, .. } = reading;
    let (before, after) = console.service.order_templates(id).await?;
    let lines = match (before, after) {
        (Some(before), Some(after)) => diff(&before, &after),
        _ => Vec::new(),
    };
    let mut frame = Frame::new(parts.title.clone(), signed_in.name(), Place::Orders);
    frame.refresh = if order.state.is_final() { 0 } else { 5 };
    render(&OrderPage {
        frame,
        id: id.to_string(),
        application: order.application.to_string(),
        name,
        namespace,
        kind: words::of_kind(order.kind),
        version: order.version,
        image: order.package.map_or(order.image, |package| package.address),
        description: order.description,
        strategy: if order.kind.releases() {
            words::of_strategy(&order.strategy)
        } else {
            String::new()
        },
        by: order.created_by,
        source: words::of_source(order.source),
        created: words::clock(order.created_at),
        rolls_back: order.rolls_back.map(|id| id.to_string()).unwrap_or_default(),
        rolled_back_by: order.rolled_back_by.map(|id| id.to_string()).unwrap_or_default(),
        is_open: !order.state.is_final(),
        notes: order.notes.iter().map(|note| sentence(note)).collect(),
        lines,
        parts,
    })
}

/// The parts of an order's page, as they are for somebody.
pub(crate) fn parts(reading: &Reading, signed_in: &SignedIn) -> Result<Parts, Fault> {
    let Reading { order, events, stay, name, .. } = reading;
    let shown = order.id.to_string();
    let choices = choices(order, *stay, events, &signed_in.0.id.to_string());
    let (batches, pods) = (batch_lines(order), pod_lines(order));
    let said = state_sentence(order);
    let failed = matches!(order.state, OrderState::Failed | OrderState::SystemFailed);
    let cause = if failed { sentence(&order.message) } else { String::new() };
    let state = StatePart { sign: words::of_state(order.state), sentence: &said, cause: &cause }
        .render()?;
    let actions = ActionsPart { id: &shown, choices: &choices }.render()?;
    let width = batches.iter().map(|batch| batch.width + 1).sum();
    let left = pods.len().saturating_sub(MOST_PODS * order.batches.len().max(1));
    let pods = &pods[..pods.len() - left];
    let lanes = BatchesPart { batches: &batches, pods, pods_left: left, width }.render()?;
    let timeline = TimelinePart { events: &event_lines(events) }.render()?;
    let html = [("actions", actions), ("batches", lanes), ("state", state), ("timeline", timeline)];
    let sign = words::of_state(order.state);
    let done = order.batches.iter().filter(|it| it.state == OrderState::Succeeded).count();
    let progress = if order.batch_count > 1 && !order.state.is_final() {
        format!(" {done}/{}", order.batch_count)
    } else {
        String::new()
    };
    Ok(Parts {
        title: format!("{}{progress} · {} of {name}", sign.mark, words::of_kind(order.kind)),
        is_final: order.state.is_final(),
        html: html.into(),
    })
}

/// Where the order stands, in a sentence that changes with its state and batch alone.
fn state_sentence(order: &OrderView) -> String {
    let next = order.batches.iter().find(|it| it.state == OrderState::WaitingConfirmation);
    let running = order.batches.iter().find(|it| it.state == OrderState::Running);
    let of = order.batch_count;
    let one = order.batch_count == 1;
    match (order.state, next, running) {
        (OrderState::Ready, ..) => "Accepted; it begins at once.".into(),
        (OrderState::WaitingConfirmation, Some(batch), _) => format!(
            "Needs you: batch {} of {of} ({}) begins when somebody continues.",
            batch.number,
            words::of_pods(batch.size)
        ),
        (OrderState::WaitingConfirmation, None, _) => "Needs you.".into(),
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
            Some(_) => format!("Stopped and rolled back. {}", sentence(&order.message)),
            None => format!("Stopped. {}", sentence(&order.message)),
        },
    }
}

fn batch_lines(order: &OrderView) -> Vec<BatchLine> {
    let mut x = 0;
    let line = |batch: &BatchView| {
        let ready = batch.pods.iter().filter(|pod| pod.ready).count();
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
            sign: words::of_batch(batch.state),
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
    let is_in_batches = order.kind.releases() || order.kind == Kind::Create;
    let batches = order.batches.iter().filter(|it| is_in_batches || it.started_at.is_some());
    batches.map(line).collect()
}

/// The pods, those first that have trouble.
fn pod_lines(order: &OrderView) -> Vec<PodLine> {
    let pods = order.batches.iter().flat_map(|batch| batch.pods.iter().map(move |it| (batch, it)));
    let mut pods: Vec<_> = pods.collect();
    pods.sort_by_key(|(batch, pod)| {
        (pod.message.is_empty(), pod.ready, batch.number, pod.name.clone())
    });
    let line = |(batch, pod): (&BatchView, &service::PodState)| {
        let (word, mark, class) = if pod.ready {
            ("ready", "✓", "good")
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
fn event_lines(events: &[OrderEvent]) -> Vec<EventLine> {
    let line = |event: &OrderEvent| EventLine {
        at: words::clock(event.at),
        actor: event.actor.clone(),
        what: words::of_event(&event.kind),
        why: event.cause.clone(),
    };
    events.iter().rev().take(MOST_EVENTS).map(line).collect()
}
