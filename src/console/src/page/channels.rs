//! Channels of notifications, and what was told of an order.

use askama::Template;
use axum::extract::State;
use jiff::Timestamp;

use super::{Page, render};
use crate::{
    Console,
    frame::{Frame, Place},
    session::SignedIn,
    words::{self, Moment, Sign},
};
use domain::access::Action;
use service::{Delivery, Ending};

#[derive(Template)]
#[template(path = "channels.html")]
struct Channels {
    frame: Frame,
    rows: Vec<ChannelLine>,
}

struct ChannelLine {
    name: String,
    kind: String,
    is_enabled: bool,
    topics: String,
    of: String,
    waiting: u64,
    last: Option<DeliveryLine>,
}

/// A delivery, as a list shows it.
#[derive(Debug)]
pub(crate) struct DeliveryLine {
    pub channel: String,
    pub topic: String,
    pub sign: Sign,
    pub why: String,
    pub at: Moment,
}

pub(crate) fn line(delivery: &Delivery, now: Timestamp) -> DeliveryLine {
    let (word, mark, class) = match delivery.outcome {
        Some(Ending::Delivered) => ("delivered", "✓", "good"),
        Some(Ending::GivenUp) => ("given up", "✗", "bad"),
        None if delivery.error.is_empty() => ("waits", "○", "waits"),
        None => ("tried again", "▲", "asks"),
    };
    let is_over = delivery.outcome.is_some();
    DeliveryLine {
        channel: delivery.channel.clone(),
        topic: delivery.topic.to_string().replace('_', " "),
        sign: Sign { word, mark, class },
        why: delivery.error.clone(),
        at: words::since(if is_over { delivery.at } else { delivery.happened_at }, now),
    }
}

pub(crate) async fn list(State(console): State<Console>, signed_in: SignedIn) -> Page {
    let console = signed_in.within(&console, Action::MANAGE_ACCESS)?;
    let now = console.service.clock().now();
    let rows = console.service.channels().await?.into_iter().map(|row| {
        let all = |what: &str, patterns: &[String]| match patterns {
            [] => format!("all {what}"),
            patterns => format!("{what} {}", patterns.join(", ")),
        };
        let topics = row.channel.topics.iter();
        let topics: Vec<String> = topics.map(|topic| topic.to_string().replace('_', " ")).collect();
        ChannelLine {
            of: format!(
                "{}, {}",
                all("namespaces", &row.channel.namespaces),
                all("applications", &row.channel.applications)
            ),
            name: row.channel.name,
            kind: row.channel.kind.to_string(),
            is_enabled: row.enabled,
            topics: topics.join(", "),
            waiting: row.waiting,
            last: row.last.map(|last| line(&last, now)),
        }
    });
    let frame = Frame::of("Channels", &signed_in, Place::Channels);
    render(&Channels { frame, rows: rows.collect() })
}
