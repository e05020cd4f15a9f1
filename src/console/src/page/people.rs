//! Access keys and sessions.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{Page, nonce, render};
use crate::{
    Console,
    fault::Fault,
    form::Posted,
    frame::{Frame, Place},
    session::SignedIn,
    words::{self, Moment},
};
use service::acting_name;

#[derive(Template)]
#[template(path = "keys.html")]
struct Keys {
    frame: Frame,
    rows: Vec<KeyLine>,
}

struct KeyLine {
    id: String,
    name: String,
    is_enabled: bool,
    is_own: bool,
    created: Moment,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions {
    frame: Frame,
    rows: Vec<SessionLine>,
}

struct SessionLine {
    id: String,
    name: String,
    /// The identity provider's name for a person; empty where it was not asked.
    subject: String,
    nonce: String,
    peer: String,
    agent: String,
    is_own: bool,
    created: Moment,
    seen: Moment,
}

pub(crate) async fn keys(State(console): State<Console>, signed_in: SignedIn) -> Page {
    let console = signed_in.own(&console);
    let now = console.service.clock().now();
    let rows = console.service.keys(&signed_in.reader()).await?.into_iter().map(|key| KeyLine {
        is_own: key.id == signed_in.0.key_id,
        id: key.id,
        name: key.name,
        is_enabled: key.enabled && key.expires_at.is_none_or(|end| end > now),
        created: words::since(key.created_at, now),
    });
    let frame = Frame::of("Access keys", &signed_in, Place::Keys);
    render(&Keys { frame, rows: rows.collect() })
}

pub(crate) async fn sessions(State(console): State<Console>, signed_in: SignedIn) -> Page {
    let console = signed_in.own(&console);
    let now = console.service.clock().now();
    let rows = console.service.sessions(&signed_in.reader()).await?.into_iter().map(|session| {
        SessionLine {
            is_own: session.id == signed_in.0.id,
            id: session.id.to_string(),
            name: acting_name(session.person.as_ref(), &session.name),
            subject: session.person.map(|person| person.subject).unwrap_or_default(),
            nonce: nonce(),
            peer: session.peer,
            agent: session.agent,
            created: words::since(session.created_at, now),
            seen: words::since(session.seen_at, now),
        }
    });
    let frame = Frame::of("Sessions", &signed_in, Place::Sessions);
    render(&Sessions { frame, rows: rows.collect() })
}

pub(crate) async fn end(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Posted(form): Posted,
) -> Result<Response, Fault> {
    let path = format!("/console/sessions/{id}/end");
    let session: Uuid = id.parse().map_err(|_| Fault::not_found())?;
    let console = signed_in.own(&console);
    console.service.end_session(&signed_in.caller(&path, &form)?, session).await?;
    Ok(Redirect::to("/console/sessions").into_response())
}
