//! Who is calling: every EDAS request passes through here before its handler.
//!
//! Order of checks: the operation exists, the query can be read, the claim is well
//! formed and within the window, the way it came is good enough for it, the key exists,
//! the signature is right, the key is enabled and has not sent too much, and its policies
//! allow the operation on anything at all. All of this needs the head alone. Only then is the body kept: it can be read and has the digest
//! that was signed, and the operation is offered. What makes a
//! repeated request the same one (R25) is worked out here and judged by the
//! service, in the transaction that makes the change. Secrets and signatures
//! never reach the log.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, request::Parts},
    middleware::Next,
    response::Response,
};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use super::{
    body,
    call::Call,
    connection::{Peer, Way, prove},
};
use crate::{
    Edge,
    edge::{RequestId, TooMany, peer_of},
    wire::{
        contract,
        error::ApiError,
        offered,
        params::Params,
        signature::{Claim, Scheme, SignaturePolicy, SignatureRefusal, SignedRequest},
    },
};
use domain::{Source, access::Action, limits, rejection::shortened};
use service::{Caller, KeySecret, Permit, Refused, RequestIdentity};

/// Largest body that is accepted, in bytes.
pub const BODY_LIMIT: usize = limits::BODY;

/// How long an answer waits until its refusal is on record.
const RECORD_WITHIN: Duration = Duration::from_secs(1);

/// Lets authenticated calls of offered operations through to their handlers.
///
/// # Errors
/// Every refusal, as the reply that says so.
pub async fn admit(
    State(edge): State<Edge>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let peer = peer_of(&request)?;
    let (mut parts, mut body) = request.into_parts();
    let read = match admit_head(&edge, &parts, peer).await {
        // Held until the request is answered: what is read from it counts as well.
        Ok(sender) => edge
            .bodies
            .read(&sender.claim.key_id, &mut body)
            .await
            .map(|(bytes, taken)| (sender, bytes, taken)),
        Err(refusal) => Err(refusal),
    };
    let (sender, body, _taken) = match read {
        Ok(read) => read,
        Err(refusal) => {
            // What is refused is not kept while its body goes by.
            drop(parts);
            body::discard(body, edge.settings.time_limit / 2).await;
            return Err(refusal);
        }
    };
    let Sender { operation, mut params, claim, key, permit } = sender;
    check_body(&edge, &parts, peer, &claim, &body, operation.form).await?;
    if operation.form {
        let form = std::str::from_utf8(&body)
            .map_err(|_| ApiError::unreadable("The form in the body is not UTF-8."))?;
        params.merge(Params::parse(form)?)?;
    }
    offered::check(operation, &params)?;

    let reason = reason(operation, &params)?;
    let caller = Caller { reason, ..caller_of(claim, key.name, &parts, peer)? };
    let permit = permit.ok_or_else(ApiError::not_found)?;
    let service = edge.service.within(permit.clone());
    let refused = refused(&caller.name, &caller.key_id, &parts);
    parts.extensions.insert(Call { params, caller, service });
    let response = next.run(Request::from_parts(parts, Body::empty())).await;
    let refusal = response.extensions().get::<ApiError>();
    if let Some(error) = refusal
        && (error.is_forbidden() || permit.has_hidden())
        && !permit.is_recorded()
    {
        let refused = Refused { object: permit.shown_objects(), ..refused };
        put_on_record(&edge, peer, refused, error.label()).await;
    }
    if refusal.is_some() || is_judged(operation, &permit) {
        return Ok(response);
    }
    // No operation comes here, as a test holds: one that did would show what nobody judged.
    tracing::error!("nothing was judged for this operation: its answer is not given");
    Err(ApiError::internal())
}

/// Why something is done, where the operation takes that.
fn reason(operation: &contract::Operation, params: &Params) -> Result<String, ApiError> {
    const NAME: &str = "Reason";
    let is_read = offered::offer(&operation.name).is_some_and(|it| it.parameter(NAME).is_some());
    let reason = params.text(NAME).filter(|_| is_read).unwrap_or_default();
    let is_plain = !reason.chars().any(|it| it.is_control() && !it.is_whitespace());
    if is_plain && reason.chars().count() <= limits::REASON {
        return Ok(reason.to_owned());
    }
    let allowed =
        format!("must have at most {} characters, and none that steers a terminal", limits::REASON);
    Err(ApiError::invalid(NAME, reason, &allowed))
}

/// Whether what an operation was done to was judged.
fn is_judged(operation: &contract::Operation, permit: &Permit) -> bool {
    let by_action = offered::offer(&operation.name)
        .is_some_and(|offer| offer.object == offered::Object::Server);
    by_action || permit.was_judged()
}

/// Lets requests through to routes beside EDAS' operations that are signed with an access
/// key, as operations are. The handler finds the [`Caller`] among the request's extensions.
///
/// # Errors
/// Every refusal, as the reply that says so.
pub async fn admit_beside(
    State(edge): State<Edge>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let peer = peer_of(&request)?;
    let (mut parts, mut body) = request.into_parts();
    let query = Params::parse(parts.uri.query().unwrap_or_default())?;
    let proven = proven(&edge, &parts, peer, query.pairs(), &[]).await;
    let read = match proven {
        Ok((claim, key)) => edge
            .bodies
            .read(&claim.key_id, &mut body)
            .await
            .map(|(bytes, taken)| (claim, key, bytes, taken)),
        Err(refusal) => Err(refusal),
    };
    let (claim, key, bytes, _taken) = match read {
        Ok(read) => read,
        Err(refusal) => {
            drop(parts);
            body::discard(body, edge.settings.time_limit / 2).await;
            return Err(refusal);
        }
    };
    check_body(&edge, &parts, peer, &claim, &bytes, true).await?;
    let caller = caller_of(claim, key.name, &parts, peer)?;
    let refused = refused(&caller.name, &caller.key_id, &parts);
    parts.extensions.insert(caller);
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    // What is wrong with the request itself, and what there is not, is no refusal.
    if matches!(response.status().as_u16(), 401 | 403 | 409) {
        put_on_record(&edge, peer, refused, response.status().as_str()).await;
    }
    Ok(response)
}

/// Refuses a body that is not the one that was signed, or that may be another where
/// `is_signed` says that it must not.
async fn check_body(
    edge: &Edge,
    parts: &Parts,
    peer: Peer,
    claim: &Claim,
    body: &[u8],
    is_signed: bool,
) -> Result<(), ApiError> {
    let checked = claim.check_body(body).inspect_err(|_| edge.throttle.failed(peer));
    let checked = match checked {
        Ok(()) if is_signed && !claim.covers(body) => Err(SignatureRefusal::UnsignedBody),
        checked => checked,
    };
    let checked = checked.map_err(ApiError::from);
    if let Err(error) = &checked {
        put_on_record(edge, peer, refused("", "", parts), error.label()).await;
    }
    checked
}

/// Who calls with a proven claim.
fn caller_of(claim: Claim, name: String, parts: &Parts, peer: Peer) -> Result<Caller, ApiError> {
    let request_id = parts
        .extensions
        .get::<RequestId>()
        .map(|id| id.0.clone())
        .ok_or_else(ApiError::internal)?;
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    Ok(Caller {
        identity: Some(identity(&claim, &parts.method, path, query)),
        key_id: claim.key_id,
        principal: name.clone(),
        name,
        person: None,
        request_id,
        trace: parts.extensions.get().copied(),
        source: Source::Api,
        reason: String::new(),
        peer: Some(peer.address),
    })
}

/// Whose a request is, as far as its head shows.
struct Sender {
    operation: &'static contract::Operation,
    params: Params,
    claim: Claim,
    key: KeySecret,
    /// None of an operation that is not offered, and is refused as such.
    permit: Option<Permit>,
}

/// Everything that can be judged without the body.
async fn admit_head(edge: &Edge, parts: &Parts, peer: Peer) -> Result<Sender, ApiError> {
    let (method, path) = (&parts.method, parts.uri.path());
    let operation = contract::find(method, path).ok_or_else(ApiError::not_found)?;
    let query = Params::parse(parts.uri.query().unwrap_or_default())?;
    let params = query.of(&operation.name);
    let (claim, key) = proven(edge, parts, peer, params.pairs(), &operation.query).await?;
    let permit = offered::offer(&operation.name)
        .map(|offer| permit(edge, peer, &key, offer.action()))
        .transpose();
    if let Err(error) = &permit {
        put_on_record(edge, peer, refused(&key.name, &claim.key_id, parts), error.label()).await;
    }
    let permit = permit?;
    Ok(Sender { operation, params, claim, key, permit })
}

/// What a key may do, if it may do this to anything at all.
pub(crate) fn permit(
    edge: &Edge,
    peer: Peer,
    key: &KeySecret,
    action: Action,
) -> Result<Permit, ApiError> {
    let access = edge.service.access(&key.grants, peer.address, peer.way != Way::Plain);
    Ok(Permit::of(access, action)?.of_key(key))
}

/// The claim of a request with these pairs in its query, and the key that proves it.
/// `parameters` are those of the operation, if it is one.
async fn proven(
    edge: &Edge,
    parts: &Parts,
    peer: Peer,
    query: &[(String, String)],
    parameters: &[String],
) -> Result<(Claim, KeySecret), ApiError> {
    let (method, path) = (&parts.method, parts.uri.path());
    let signed = SignedRequest { method, path, query, headers: &parts.headers };
    let proven = match claimed(edge, signed, peer, parameters) {
        Ok(claim) => {
            key_of(edge, &claim, signed, peer, parts.extensions.get()).await.map(|key| (claim, key))
        }
        Err(error) => Err(error),
    };
    if let Err(error) = &proven {
        // What was sent as the id of an unknown key may be anything, a secret even.
        put_on_record(edge, peer, refused("", "", parts), error.label()).await;
    }
    let (claim, key) = proven?;
    edge.throttle.key(&claim.key_id)?;
    prove(&parts.extensions)?;
    Ok((claim, key))
}

/// What a request claims, before its key is looked up.
fn claimed(
    edge: &Edge,
    signed: SignedRequest<'_>,
    peer: Peer,
    parameters: &[String],
) -> Result<Claim, ApiError> {
    let policy = SignaturePolicy { hmac_sha1: edge.settings.hmac_sha1, parameters };
    let claim = Claim::read(signed, policy)?;
    claim.check_window(edge.service.clock().now())?;
    if claim.scheme == Scheme::HmacSha1 && peer.way == Way::Plain && !edge.settings.plain_hmac_sha1
    {
        return Err(SignatureRefusal::PlainHmacSha1.into());
    }
    Ok(claim)
}

/// The key that signed, which is looked up and proven to be the caller's. If it was proven
/// lately, strangers at the same address take no part in whether it is looked up.
async fn key_of(
    edge: &Edge,
    claim: &Claim,
    signed: SignedRequest<'_>,
    peer: Peer,
    too_many: Option<&TooMany>,
) -> Result<KeySecret, ApiError> {
    let is_known = edge
        .throttle
        .secret(&claim.key_id)
        .is_some_and(|secret| claim.verify(signed, &secret).is_ok());
    let turn = match too_many {
        _ if is_known => None,
        Some(TooMany(error)) => return Err(error.clone()),
        None => Some(edge.throttle.look_up(peer).await?),
    };
    let key = edge.service.key(&claim.key_id).await?;
    drop(turn);
    let checked = key.ok_or(SignatureRefusal::UnknownKey).and_then(|key| {
        // Only now: what was sent as the id of an unknown key may be anything, a secret even.
        tracing::Span::current().record("key.id", &claim.key_id);
        claim.verify(signed, &key.secret)?;
        match () {
            () if !key.enabled => Err(SignatureRefusal::DisabledKey),
            () if key.expired => Err(SignatureRefusal::ExpiredKey),
            () if !key.accepts(claim.scheme.name()) => Err(SignatureRefusal::SchemeOfKey),
            () => Ok(key),
        }
    });
    match checked {
        Ok(key) if !key.accepts_from(peer.address) => {
            edge.throttle.failed(peer);
            Err(ApiError::forbidden_network())
        }
        Ok(key) => {
            edge.throttle.remember(&claim.key_id, &key.secret);
            edge.service.note_key_use(&claim.key_id, &key);
            Ok(key)
        }
        Err(refusal) => {
            if matches!(
                refusal,
                SignatureRefusal::UnknownKey
                    | SignatureRefusal::DisabledKey
                    | SignatureRefusal::ExpiredKey
            ) {
                edge.throttle.forget(&claim.key_id);
            }
            edge.throttle.failed(peer);
            Err(refusal.into())
        }
    }
}

/// A request that may be refused, as it would be on record.
pub(crate) fn refused(principal: &str, key_id: &str, parts: &Parts) -> Refused {
    let operation = contract::find(&parts.method, parts.uri.path());
    Refused {
        principal: principal.to_owned(),
        key_id: key_id.to_owned(),
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        operation: match operation {
            Some(operation) => format!("edas:{}", operation.name),
            None => format!("{} {}", parts.method.as_str(), shortened(parts.uri.path())),
        },
        ..Refused::default()
    }
}

/// Puts a refusal on record, unless there are too many. It is answered in either case, and
/// soon: a database that is slow or away is waited for by nobody.
pub(crate) async fn put_on_record(edge: &Edge, peer: Peer, refused: Refused, why: &str) {
    let refused = Refused { why: why.to_owned(), ..refused };
    let service = edge.service.clone();
    let recording = async move {
        if let Err(error) = service.record_refusal(peer.address, refused).await {
            tracing::warn!(%error, "a refusal could not be put on record");
        }
    };
    let recording = tokio::spawn(recording.in_current_span());
    let _ = tokio::time::timeout(RECORD_WITHIN, recording).await;
}

/// What makes two requests the same one. A nonce does; without one (old Python,
/// old Go, Maven plugin) the same key, signature, date and target do: the JDK
/// sends a POST again byte for byte when the reply is lost.
fn identity(claim: &Claim, method: &Method, path: &str, query: &str) -> RequestIdentity {
    let signature = hex::encode(claim.signature());
    let digest = |fields: &[&str]| hex::encode(Sha256::digest(fields.join("\n")));
    let nonce = match &claim.nonce {
        Some(nonce) => nonce.clone(),
        None => digest(&[&claim.key_id, &signature, &claim.date, method.as_str(), path, query]),
    };
    RequestIdentity { nonce, digest: digest(&[&claim.key_id, &signature]) }
}

#[cfg(test)]
mod tests;
