//! Signing in through an identity provider: to it, and back.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Extension,
    extract::State,
    http::{
        HeaderMap, HeaderValue,
        header::{REFERRER_POLICY, SET_COOKIE},
    },
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    Channel, Console, Visitor,
    fault::Fault,
    form::{Asked, Form},
    session::{next_of, only_cookie, session_cookie, visit},
};
use domain::{
    Rejection,
    person::{Mapping, Mappings, Person, shown_name},
};
use oidc::{Failure, Pending, Provider, Reply};
use service::{Error, Opened};

/// Most sign-ins that the provider is asked about at once, by all and by one address.
const AT_ONCE: usize = 32;
const AT_ONCE_OF_ONE: usize = 4;

/// Seconds for which a browser keeps a sign-in that was begun.
const KEPT: u32 = 600;

/// The provider, and who works as which key.
#[derive(Debug, Clone)]
pub struct People {
    provider: Provider,
    mappings: Arc<Mappings>,
    places: Arc<Places>,
}

impl People {
    #[must_use]
    pub fn new(provider: Provider, mappings: Mappings) -> Self {
        Self { provider, mappings: Arc::new(mappings), places: Arc::default() }
    }

    /// What people know the provider by.
    pub(crate) fn name(&self) -> String {
        self.provider.name()
    }

    /// Whether the provider did not answer when it was asked last.
    pub(crate) fn is_away(&self) -> bool {
        self.provider.is_away()
    }
}

/// Who has the provider asked now.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

struct Place(Arc<Places>, IpAddr);

impl Places {
    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.entry(peer).or_default();
        if all >= AT_ONCE || *own >= AT_ONCE_OF_ONE {
            // One that was made here and stays empty is taken out with the next that goes.
            return None;
        }
        *own += 1;
        drop(taken);
        Some(Place(self.clone(), peer))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.1) {
            *own -= 1;
        }
        taken.retain(|_, own| *own > 0);
    }
}

/// Sends a browser to the provider. A link leads here, and no form: the policy of the pages
/// lets no form lead to another host.
pub(crate) async fn begin(
    State(console): State<Console>,
    Extension(channel): Extension<Channel>,
    Asked(asked): Asked,
) -> Result<Response, Fault> {
    let people = console.people.as_ref().ok_or_else(Fault::not_found)?;
    let name = channel.sign_in_cookie().ok_or_else(Fault::unencrypted)?;
    let next = next_of(asked.text("next"));
    let begun = people.provider.begin(console.service.clock().now(), next).await;
    let (url, kept) = begun.map_err(|why| failed(people, &why))?;
    let cookie = channel.set_cookie(name, &kept, KEPT);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(url.as_str())).into_response())
}

/// Where the provider sends a browser back to. Whatever comes of it, the sign-in is over.
pub(crate) async fn back(
    State(console): State<Console>,
    Extension(channel): Extension<Channel>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Asked(asked): Asked,
) -> Result<Response, Fault> {
    let name = channel.sign_in_cookie().ok_or_else(Fault::unencrypted)?;
    let signed_in = finish(&console, channel, visitor, &headers, &asked).await;
    let mut response = signed_in.unwrap_or_else(Fault::into_response);
    if let Ok(over) = HeaderValue::from_str(&channel.set_cookie(name, "", 0)) {
        response.headers_mut().append(SET_COOKIE, over);
    }
    // The address of this page has the code in it.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

async fn finish(
    console: &Console,
    channel: Channel,
    visitor: Visitor,
    headers: &HeaderMap,
    asked: &Form,
) -> Result<Response, Fault> {
    let people = console.people.as_ref().ok_or_else(Fault::not_found)?;
    let now = console.service.clock().now();
    let kept = channel.sign_in_cookie().and_then(|name| only_cookie(name, headers));
    let pending = kept.and_then(|kept| people.provider.pending(kept, asked.text("state"), now));
    let pending = pending.ok_or_else(Fault::unknown_sign_in)?;
    let person = ask(people, visitor, &pending, asked, now).await?;
    let opened = open(console, people, &person, &pending, visitor, headers).await?;
    tracing::info!(by = opened.name, session = %opened.id, "signed in at the console through the identity provider");
    let cookie = session_cookie(channel, opened.token.expose()).ok_or_else(Fault::unencrypted)?;
    Ok(([(SET_COOKIE, cookie)], Redirect::to(next_of(pending.next()))).into_response())
}

/// Who somebody is.
async fn ask(
    people: &People,
    visitor: Visitor,
    pending: &Pending,
    asked: &Form,
    now: jiff::Timestamp,
) -> Result<Person, Fault> {
    let issuer = asked.given("iss");
    if let Some(error) = asked.given("error") {
        people.provider.check_sender(issuer).await.map_err(|why| failed(people, &why))?;
        tracing::info!(error = shown_name(error, 100), "the identity provider refused a sign-in");
        return Err(Fault::provider_refused(&people.name(), known_error(error)));
    }
    let _place = people.places.take(visitor.0).ok_or_else(Fault::too_many_sign_ins)?;
    let reply = Reply { code: asked.text("code"), issuer };
    let person = people.provider.finish(pending, reply, now).await;
    person.map_err(|why| failed(people, &why))
}

/// A session of the key as which this person works.
async fn open(
    console: &Console,
    people: &People,
    person: &Person,
    pending: &Pending,
    visitor: Visitor,
    headers: &HeaderMap,
) -> Result<Opened, Fault> {
    let Some(key) = people.mappings.key_of(person) else {
        let groups: Vec<&str> = people.mappings.groups.iter().map(|it| it.of.as_str()).collect();
        tracing::info!(person.name, person.subject, groups = ?person.groups, "no access key is for this person");
        return Err(Fault::nobody(&person.name, &groups, has_others(&people.mappings)));
    };
    let visit = visit(visitor, headers);
    let opened = console.service.open_persons_session(key, person, pending.state(), &visit).await;
    opened.map_err(|error| match error {
        Error::Rejected(Rejection::UnknownKey(_) | Rejection::NoSession) => {
            tracing::warn!(key, "a person is mapped to an access key that may not be used");
            Fault::no_such_key(&person.name, key)
        }
        Error::Rejected(Rejection::NonceUsed) => Fault::unknown_sign_in(),
        error => error.into(),
    })
}

fn has_others(mappings: &Mappings) -> bool {
    let is_empty = |all: &[Mapping]| all.is_empty();
    !is_empty(&mappings.emails) || !is_empty(&mappings.subjects)
}

/// The protocol's own words alone: whoever makes a link can write anything else there.
fn known_error(error: &str) -> &'static str {
    const KNOWN: [&str; 10] = [
        "access_denied",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_response_type",
        "server_error",
        "temporarily_unavailable",
        "login_required",
        "consent_required",
        "interaction_required",
    ];
    KNOWN.into_iter().find(|known| *known == error).unwrap_or("another error")
}

fn failed(people: &People, why: &Failure) -> Fault {
    tracing::warn!(%why, "a sign-in through the identity provider failed");
    match why {
        Failure::Away(_) => Fault::provider_away(&people.name()),
        Failure::Refused(code) => {
            Fault::provider_refused(&people.name(), code.split(':').next().unwrap_or_default())
        }
        Failure::Doubtful(why) => Fault::provider_doubtful(&people.name(), why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_take_all_places() {
        let places = Arc::new(Places::default());
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let own: Vec<_> = (0..AT_ONCE_OF_ONE).map(|_| places.take(address(1)).unwrap()).collect();
        assert!(places.take(address(1)).is_none());
        let mut others: Vec<_> = (0..AT_ONCE - AT_ONCE_OF_ONE)
            .map(|at| places.take(address(10 + at as u8)).unwrap())
            .collect();
        assert!(places.take(address(2)).is_none(), "all are taken");
        others.pop();
        assert!(places.take(address(2)).is_some());
        drop((own, others));
        assert!(places.0.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn only_the_protocols_own_words_reach_a_page() {
        assert_eq!(known_error("access_denied"), "access_denied");
        assert_eq!(known_error("Call 555-0100 to unlock"), "another error");
    }
}
