//! Signing in and out, and who is signed in.

use std::{net::IpAddr, sync::Arc};

use askama::Template;
use axum::{
    Extension, Json,
    extract::{FromRequestParts, Path, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, COOKIE, REFERRER_POLICY, SET_COOKIE, USER_AGENT},
        request::Parts,
    },
    response::{Html, IntoResponse, Redirect, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use crate::{
    Channel, Console, Visitor,
    fault::Fault,
    form::{Asked, Form, Posted},
    frame::{Frame, Leads, Place},
};
use domain::{
    Source, TraceParent,
    access::{Access, Action},
};
use service::{Caller, Permit, RequestIdentity, SessionRow, SessionToken, Visit, acting_name};

/// Most bytes of a nonce of a form.
const NONCE: usize = 64;

/// Who is signed in. A handler that asks for it is reached by nobody else.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn(pub SessionRow, String, Arc<Access>, IpAddr, Option<TraceParent>);

impl SignedIn {
    /// The caller's name: a person's with that of the key, or the key's.
    pub(crate) fn name(&self) -> &str {
        &self.1
    }

    /// Whether there may be anything that whoever is signed in may do this to.
    pub(crate) fn may(&self, action: Action) -> bool {
        self.2.may(action)
    }

    /// The console for whoever is signed in, about their own keys and sessions.
    pub(crate) fn own(&self, console: &Console) -> Console {
        let permit = Permit::own(self.2.clone());
        Console { service: console.service.within(permit), ..console.clone() }
    }

    /// The console for whoever is signed in, who does this and nothing else.
    pub(crate) fn within(&self, console: &Console, action: Action) -> Result<Console, Fault> {
        let permit = Permit::of(self.2.clone(), action)?;
        Ok(Console { service: console.service.within(permit), ..console.clone() })
    }

    /// Who asks with a form that may be sent twice: it has a nonce.
    pub(crate) fn caller(&self, path: &str, form: &Form) -> Result<Caller, Fault> {
        let nonce = form.given("nonce").filter(|nonce| nonce.len() <= NONCE);
        let Some(nonce) = nonce else {
            return Err(Fault::unreadable("The form has no nonce: load its page again."));
        };
        // A page is the same for all who look at it, and so are its nonces.
        let nonce = format!("console-{}-{nonce}", self.0.id.simple());
        let identity = RequestIdentity { nonce, digest: form.digest(path) };
        Ok(Caller { reason: form.reason()?, identity: Some(identity), ..self.reader() })
    }

    /// Who reads.
    pub(crate) fn reader(&self) -> Caller {
        Caller {
            key_id: self.0.key_id.clone(),
            name: self.1.clone(),
            principal: self.0.name.clone(),
            person: self.0.person.as_ref().map(|person| person.subject.clone()),
            request_id: Uuid::now_v7().to_string(),
            trace: self.4,
            source: Source::Console,
            reason: String::new(),
            peer: Some(self.3),
            identity: None,
        }
    }
}

impl Frame {
    /// For somebody, whom it leads where they may go.
    pub(crate) fn of(title: impl Into<String>, signed_in: &SignedIn, place: Place) -> Self {
        Self {
            who: signed_in.name().to_owned(),
            place,
            leads: Leads {
                applications: signed_in.may(Action::LIST_APPLICATIONS),
                application: signed_in.may(Action::APPLICATION),
                orders: signed_in.may(Action::LIST),
                order: signed_in.may(Action::READ),
                channels: signed_in.may(Action::MANAGE_ACCESS),
                holds: signed_in.may(Action::LIST_HOLDS),
            },
            ..Self::new(title)
        }
    }
}

impl FromRequestParts<Console> for SignedIn {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Fault> {
        let channel = parts.extensions.get::<Channel>().copied().unwrap_or(Channel::Open);
        if channel == Channel::Open {
            return Err(Fault::unencrypted());
        }
        if let Some(token) = token_of(channel, &parts.headers)
            && let Some(Visitor(peer)) = parts.extensions.get().copied()
            && let Some(found) = console.service.session(&token, peer).await?
        {
            // Of the ways on which anybody is signed in, nobody can read along.
            let access = console.service.access(&found.grants, peer, true);
            let name = acting_name(found.session.person.as_ref(), &found.session.name);
            let trace = parts.extensions.get().copied();
            return Ok(Self(found.session, name, access, peer, trace));
        }
        // A page leads to the form to sign in; what a script or a form asks for does not.
        let is_page = parts.method == Method::GET
            && parts
                .headers
                .get(ACCEPT)
                .and_then(|it| it.to_str().ok())
                .is_some_and(|it| it.contains("text/html"))
            && !parts.headers.contains_key("x-sluice-part");
        let here = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        Err(Fault::signed_out(is_page.then_some(here)))
    }
}

/// The token in the cookie of this way.
fn token_of(channel: Channel, headers: &HeaderMap) -> Option<SessionToken> {
    SessionToken::read(only_cookie(channel.cookie()?, headers)?)
}

/// The cookie of this name.
pub(crate) fn only_cookie<'a>(name: &str, headers: &'a HeaderMap) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut found = cookies
        .flat_map(|line| line.split(';').take(64))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name);
    // Of two, one is from somebody else: another program on this machine can set one.
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

/// The cookie of a session, which is good for no longer than a session is.
pub(crate) fn session_cookie(channel: Channel, token: &str) -> Option<String> {
    Some(channel.set_cookie(channel.cookie()?, token, 12 * 3600))
}

pub(crate) fn visit(visitor: Visitor, headers: &HeaderMap) -> Visit {
    let agent = headers.get(USER_AGENT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    Visit { peer: visitor.0.to_string(), agent: agent.to_owned() }
}

/// Where to go after signing in: a page of the console, and nothing else.
pub(crate) fn next_of(text: &str) -> &str {
    let is_own =
        text == "/console" || text.starts_with("/console/") || text.starts_with("/console?");
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own && is_plain && text.len() <= 500 && !text.starts_with("/console/sign-") {
        text
    } else {
        "/console"
    }
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
    is_open: bool,
    provider: Option<ProviderLine>,
}

/// The identity provider, where there is one.
struct ProviderLine {
    name: String,
    /// The next page, as an address has it.
    next: String,
    is_away: bool,
}

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    frame: Frame,
    token: String,
}

pub(crate) async fn sign_in_page(
    State(console): State<Console>,
    Extension(channel): Extension<Channel>,
    Asked(asked): Asked,
) -> Result<Html<String>, Fault> {
    let next = next_of(asked.text("next"));
    let provider = console.people.as_ref().map(|people| ProviderLine {
        name: people.name(),
        next: utf8_percent_encode(next, NON_ALPHANUMERIC).to_string(),
        is_away: people.is_away(),
    });
    let page = SignInPage {
        frame: Frame::new("Sign in"),
        next: next.to_owned(),
        is_open: channel == Channel::Open,
        provider,
    };
    Ok(Html(page.render()?))
}

/// Opens a session for an access key that was proven by a signature.
pub(crate) async fn sign_in(
    State(console): State<Console>,
    Extension(channel): Extension<Channel>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Result<Response, Fault> {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Err(Fault::signed_out(None));
    };
    if channel == Channel::Open {
        return Err(Fault::unencrypted());
    }
    let caller = Caller { source: Source::Console, ..caller };
    let opened = console.service.open_session(&caller, &visit(visitor, request.headers())).await?;
    let Some(cookie) = session_cookie(channel, opened.token.expose()) else {
        return Err(Fault::unencrypted());
    };
    tracing::info!(by = opened.name, session = %opened.id, "signed in at the console");
    let told = Json(serde_json::json!({ "session": opened.id.to_string() }));
    Ok(([(SET_COOKIE, cookie)], told).into_response())
}

/// Makes a link for whoever was proven to have an access key: its path.
pub(crate) async fn make_link(
    State(console): State<Console>,
    Extension(channel): Extension<Channel>,
    request: Request,
) -> Result<Response, Fault> {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Err(Fault::signed_out(None));
    };
    // Whoever reads along could be quicker.
    if channel == Channel::Open {
        return Err(Fault::unencrypted());
    }
    let link = console.service.make_link_of_key(&caller).await?;
    tracing::info!(by = caller.name, "made a link to the console");
    let path = format!("/console/link/{}", link.expose());
    let told = Json(serde_json::json!({ "Code": 200, "Path": path }));
    Ok(([(CACHE_CONTROL, "no-store")], told).into_response())
}

/// Shows a link, which is used by its button: what looks at links in messages before
/// people do does not press it.
pub(crate) async fn link_page(Path(token): Path<String>) -> Result<Response, Fault> {
    let token = SessionToken::read(&token).ok_or_else(Fault::not_found)?;
    let page = LinkPage { frame: Frame::new("Sign in"), token: token.expose().to_owned() };
    // The address of this page is what signs in: no request names it as where it comes from.
    let told = [(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    Ok((told, Html(page.render()?)).into_response())
}

pub(crate) async fn use_link(
    State(console): State<Console>,
    Extension(channel): Extension<Channel>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Posted(form): Posted,
) -> Result<Response, Fault> {
    if channel == Channel::Open {
        return Err(Fault::unencrypted());
    }
    let link = SessionToken::read(form.text("token")).ok_or_else(Fault::not_found)?;
    let opened = console.service.open_linked_session(&link, &visit(visitor, &headers)).await?;
    tracing::info!(by = opened.name, session = %opened.id, "signed in at the console with a link");
    let cookie = session_cookie(channel, opened.token.expose()).unwrap_or_default();
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/console")).into_response())
}

pub(crate) async fn sign_out(
    State(console): State<Console>,
    Extension(channel): Extension<Channel>,
    signed_in: SignedIn,
) -> Result<Response, Fault> {
    console.service.end_session(&signed_in.reader(), signed_in.0.id).await?;
    let cookie = channel.cookie().map(|name| channel.set_cookie(name, "", 0)).unwrap_or_default();
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie)], Redirect::to("/console/sign-in"))
        .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/console/orders/1?a=b", "/console/orders/1?a=b")]
    #[case("/console?q=web", "/console?q=web")]
    #[case("//evil.example", "/console")]
    #[case("https://evil.example/console/", "/console")]
    #[case("/console/\\evil", "/console")]
    #[case("/consoles", "/console")]
    #[case("/console/sign-out", "/console")]
    #[case("/pop/v5/x", "/console")]
    fn after_signing_in_one_stays_in_the_console(#[case] asked: &str, #[case] goes: &str) {
        assert_eq!(next_of(asked), goes);
    }

    #[test]
    fn each_way_has_a_cookie_of_its_own() {
        let token = "a".repeat(64);
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("x=1; sluice={token}").parse().unwrap());
        assert!(token_of(Channel::Local, &headers).is_some());
        assert!(token_of(Channel::Encrypted, &headers).is_none());
        assert!(token_of(Channel::Open, &headers).is_none());
        let set = session_cookie(Channel::Encrypted, "v").unwrap();
        assert!(set.starts_with("__Host-sluice=v; Path=/;") && set.ends_with("; Secure"), "{set}");
        let set = session_cookie(Channel::Local, "v").unwrap();
        assert!(set.starts_with("sluice=v; Path=/console;"), "{set}");
        assert!(session_cookie(Channel::Open, "v").is_none());
        // One of them is another program's.
        let two = format!("sluice={token}; sluice={}", "b".repeat(64));
        headers.insert(COOKIE, two.parse().unwrap());
        assert!(token_of(Channel::Local, &headers).is_none());
    }
}
