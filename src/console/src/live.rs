//! An order's page while it is open: its parts, sent again whenever one of them changes.
//!
//! Each message is the whole of every part. Nothing is lost with a message that did not
//! arrive, and whoever comes late or reads slowly has the newest. The parts are drawn once
//! for all who look at an order and may do the same to it.

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::Response,
};
use futures::StreamExt;

use crate::{
    Console,
    fault::Fault,
    page::{self, order::Parts},
    session::SignedIn,
};
use domain::access::Action;
use service::{EventForm, Shown, Viewer};

const EVENTS: EventForm = EventForm {
    shown: |shown: &Shown| shown.page(message),
    // Each message says whether it is the last one.
    done: b"",
    shut_out: b"event: signed-out\ndata: -\n\n",
};

/// Sends the parts of an order's page until the order has ended.
pub(crate) async fn follow(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let console = signed_in.within(&console, Action::WATCH)?;
    let viewer = Viewer { key_id: signed_in.0.key_id, session: Some(signed_in.0.id) };
    let watch = console.service.watch_order(page::order_id(&id)?, &viewer).await?;
    let events = watch.events(EVENTS).map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(events));
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        // Nothing in between may keep what is sent.
        (CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn message(order: &Shown) -> Bytes {
    match page::order::parts(order) {
        Ok(Parts { title, is_final, html }) => {
            let message = serde_json::json!({ "title": title, "over": is_final, "parts": html });
            format!("data: {message}\n\n").into()
        }
        Err(error) => {
            tracing::error!(%error, "an order cannot be drawn");
            Bytes::from_static(b": not drawn\n\n")
        }
    }
}
