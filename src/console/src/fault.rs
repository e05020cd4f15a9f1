//! A page in place of one that cannot be shown.

use askama::Template;
use axum::{
    http::{StatusCode, header::LOCATION},
    response::{Html, IntoResponse, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::frame::Frame;
use domain::Rejection;
use service::{Error, WatchError};

/// Why a page cannot be shown, or a form did nothing.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    title: &'static str,
    text: String,
    /// Where somebody who is not signed in wanted to go.
    sign_in: Option<String>,
}

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    frame: Frame,
    text: String,
}

impl Fault {
    fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self { status, title, text: text.into(), sign_in: None }
    }

    pub(crate) fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Refused",
            "This was sent by another site, or by a program. Nothing was done. Open the console and use its own buttons.",
        )
    }

    pub(crate) fn unreadable(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "This cannot be read", text)
    }

    pub(crate) fn unencrypted() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Not over plain HTTP",
            "Nobody is signed in over plain HTTP from another machine, since others could read along. Open the console over HTTPS, or on the server itself as http://127.0.0.1.",
        )
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is no such page",
            "Perhaps the address was cut off.",
        )
    }

    /// Nobody is signed in. A page leads to the one to sign in at, and from there to `next`.
    pub(crate) fn signed_out(next: Option<String>) -> Self {
        let mut fault = Self::new(
            StatusCode::UNAUTHORIZED,
            "You are not signed in",
            "You are signed out. Nothing was done. Sign in again.",
        );
        fault.sign_in = next;
        fault
    }

    /// A sign-in that this browser did not begin, or that is over.
    pub(crate) fn unknown_sign_in() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This sign-in is not known",
            "It was begun in another browser or more than ten minutes ago, or it was used already. Nobody was signed in. Sign in again.",
        )
    }

    pub(crate) fn too_many_sign_ins() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many sign in now",
            "Nobody was signed in. Wait a moment, and sign in again.",
        )
    }

    pub(crate) fn provider_away(provider: &str) -> Self {
        let text = format!(
            "{provider} does not answer now, so it cannot say who you are. Try again later, or sign in with an access key or a link."
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The identity provider is away", text)
    }

    pub(crate) fn provider_refused(provider: &str, code: &str) -> Self {
        let text = format!("{provider} did not sign you in: {code}. Sign in again.");
        Self::new(StatusCode::FORBIDDEN, "Not signed in", text)
    }

    pub(crate) fn provider_doubtful(provider: &str, why: &str) -> Self {
        let text = format!(
            "What {provider} said of you is not good, so nobody was signed in: {}",
            sentence(why)
        );
        Self::new(StatusCode::FORBIDDEN, "Not signed in", text)
    }

    /// No access key is for this person.
    pub(crate) fn nobody(name: &str, groups: &[&str], has_others: bool) -> Self {
        let groups = match groups {
            [] => String::new(),
            groups => {
                format!(" Members of these groups may use this console: {}.", groups.join(", "))
            }
        };
        let others = if has_others { " Some people may use it by their own name." } else { "" };
        let text = format!(
            "You are {name}, and no access key is for you.{groups}{others} Ask an administrator."
        );
        Self::new(StatusCode::FORBIDDEN, "You may not use this console", text)
    }

    pub(crate) fn no_such_key(name: &str, key: &str) -> Self {
        let text = format!(
            "You are {name}, who is to work with the access key {key}, but no key of this name may be used. Ask an administrator."
        );
        Self::new(StatusCode::FORBIDDEN, "You may not use this console", text)
    }

    pub(crate) fn too_many() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many pages are open",
            "Close some of them, or load this one again.",
        )
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let (status, title) = match &rejection {
            Rejection::UnknownApplication(_)
            | Rejection::UnknownOrder(_)
            | Rejection::UnknownBatch(_)
            | Rejection::UnknownVersion { .. } => (StatusCode::NOT_FOUND, "Not found"),
            Rejection::NotAllowed { .. } => (StatusCode::FORBIDDEN, "Not allowed"),
            Rejection::NoSession => (StatusCode::UNAUTHORIZED, "Not signed in"),
            Rejection::Invalid(_) => (StatusCode::BAD_REQUEST, "This cannot be read"),
            Rejection::Unseen(_) => (StatusCode::SERVICE_UNAVAILABLE, "Not now"),
            _ => (StatusCode::CONFLICT, "Nothing was done"),
        };
        Self::new(status, title, sentence(&rejection.to_string()))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Rejected(rejection) => rejection.into(),
            Error::Store(error) => {
                tracing::error!(%error, "a page cannot be shown");
                let text =
                    "The server cannot reach its database now. Nothing was changed. Try again.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", text)
            }
        }
    }
}

impl From<WatchError> for Fault {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Rejected(rejection) => rejection.into(),
            WatchError::TooMany => Self::too_many(),
            error @ WatchError::Unavailable => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", sentence(&error.to_string()))
            }
        }
    }
}

impl From<askama::Error> for Fault {
    fn from(error: askama::Error) -> Self {
        tracing::error!(%error, "a page cannot be rendered");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Not now", "This page cannot be shown.")
    }
}

/// A rejection as a sentence of its own.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        if let Some(next) = self.sign_in {
            let next = utf8_percent_encode(&next, NON_ALPHANUMERIC);
            let place = format!("/console/sign-in?next={next}");
            return (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response();
        }
        let page = FaultPage { frame: Frame::new(self.title), text: self.text };
        match page.render() {
            Ok(html) => (self.status, Html(html)).into_response(),
            Err(_) => self.status.into_response(),
        }
    }
}

pub(crate) async fn unknown() -> Fault {
    Fault::not_found()
}
