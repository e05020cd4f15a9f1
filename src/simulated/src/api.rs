//! The API server: a request in, an answer out.
//!
//! Carries out each verb on the world under its lock and puts writes into the
//! log. Faults set by a test strike here. Every error is a `Status` object; only a
//! lost connection is an error of the service itself.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::audit::Call;
use super::fault::Fault;
use super::field::{self, text};
use super::garbage::{self, Deleted, Deletion, Propagation};
use super::kind::Kind;
use super::objects::Key;
use super::patch::Patch;
use super::refusal::{Cause, Refusal};
use super::request::{self, Options, Route, Subresource, Target};
use super::table::Shape;
use super::watch::{Choice, Watch};
use super::world::{Half, World, Writer};
use super::{Shared, discovery, log, scale, selector, update};

type Answer = Result<(StatusCode, Value), Refusal>;

/// Answers a request. The error is a connection that breaks.
pub(super) fn answer(shared: &Arc<Shared>, request: Request<Bytes>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let route = request::route(parts.uri.path());
    let options = match Options::read(&parts.uri) {
        Ok(options) => options,
        Err(refusal) => return Ok(refuse(&refusal)),
    };
    let mut call = request::call(&parts, route.as_ref(), &options);
    let mut world = shared.lock();
    let fault = world.faults.take(&call);
    match fault {
        Some(Fault::LoseRequest) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Hang) => return Err(io::ErrorKind::TimedOut.into()),
        Some(Fault::Refuse(code)) => {
            let refusal = injected(code);
            audit(&mut world, call, code);
            return Ok(refuse(&refusal));
        }
        Some(Fault::Deny) => {
            let refusal = denied(&call);
            audit(&mut world, call, 403);
            return Ok(refuse(&refusal));
        }
        Some(Fault::Throttle(seconds)) => {
            audit(&mut world, call, 429);
            return Ok(throttle(seconds));
        }
        Some(Fault::LoseAnswer | Fault::CarryOutAndRefuse(_)) | None => {}
    }
    if call.verb == "watch"
        && let Some(Route::Resource(target)) = &route
    {
        let shape = Shape::read(&parts.headers, &options.include_object);
        return Ok(match watch(shared, &world, target, &options, shape) {
            Ok(body) => respond(StatusCode::OK, body),
            Err(refusal) => refuse(&refusal),
        });
    }
    if parts.method == Method::GET
        && let Some(Route::Resource(target)) = &route
        && target.subresource == Subresource::Log
    {
        return Ok(match log::of(&world, target, &options) {
            Ok(text) => {
                let mut response = respond(StatusCode::OK, Body::from(text));
                let plain = header::HeaderValue::from_static("text/plain");
                response.headers_mut().insert(header::CONTENT_TYPE, plain);
                response
            }
            Err(refusal) => refuse(&refusal),
        });
    }
    // Objects and lists that are read can be wanted as a table.
    let table = match &route {
        Some(Route::Resource(target))
            if parts.method == Method::GET && target.subresource != Subresource::Scale =>
        {
            Some((target.kind, Shape::read(&parts.headers, &options.include_object)))
        }
        _ => None,
    };
    let answered = match route {
        None => Err(Refusal::no_such_resource()),
        Some(Route::Fixed(_)) if parts.method != Method::GET => Err(Refusal::method_not_allowed()),
        Some(Route::Fixed(path)) => {
            return Ok(discovery::page(&path));
        }
        Some(Route::Resource(target)) => {
            carry_out(&mut world, &parts, &target, &options, &call, &body)
        }
    };
    let code = answered.as_ref().map_or_else(|refusal| refusal.code, |(code, _)| code.as_u16());
    if call.verb == "create"
        && let Ok((_, object)) = &answered
    {
        call.name = text(object, "/metadata/name").unwrap_or_default().to_owned();
    }
    audit(&mut world, call, code);
    match fault {
        Some(Fault::LoseAnswer) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::CarryOutAndRefuse(code)) => return Ok(refuse(&injected(code))),
        _ => {}
    }
    Ok(match answered {
        Ok((code, object)) => {
            let object = match table {
                Some((kind, shape)) => shape.answer(kind, &world.clock, object),
                None => object,
            };
            respond(code, Body::from(object.to_string()))
        }
        Err(refusal) => refuse(&refusal),
    })
}

fn audit(world: &mut World, call: Call, code: u16) {
    if matches!(call.verb, "create" | "update" | "patch" | "delete") {
        world.audit.record(call, code);
    }
}

fn respond(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(code, Body::from(refusal.status().to_string()))
}

/// The answer to a body that is larger than it may be.
pub(super) fn too_large() -> Response<Body> {
    refuse(&Refusal::new(
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    ))
}

fn injected(code: u16) -> Refusal {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    };
    Refusal::new(code, reason, format!("a test lets this request fail with {code}"))
}

fn denied(call: &Call) -> Refusal {
    let (resource, verb) = (&call.resource, call.verb);
    let message = format!(
        "{resource} \"{}\" is forbidden: User \"sluice\" cannot {verb} resource \"{resource}\" in the namespace \"{}\"",
        call.name, call.namespace
    );
    Refusal::new(403, "Forbidden", message)
}

fn throttle(seconds: u32) -> Response<Body> {
    let mut status = injected(429).status();
    status["details"] = json!({ "retryAfterSeconds": seconds });
    let mut response = respond(StatusCode::TOO_MANY_REQUESTS, Body::from(status.to_string()));
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

fn watch(
    shared: &Arc<Shared>,
    world: &World,
    target: &Target,
    options: &Options,
    shape: Shape,
) -> Result<Body, Refusal> {
    let choice = choose(target, options)?;
    let version = if options.begins_with_objects()? {
        None
    } else {
        Some(options.version()?.unwrap_or_else(|| world.objects.version()))
    };
    if let Some(asked) = options.version()? {
        check_reached(world, asked)?;
    }
    let watch = Watch::start(
        shared,
        world,
        (choice, shape),
        version,
        options.wants_bookmarks(),
        options.timeout_seconds,
    );
    Ok(Body::from_stream(watch.lines()))
}

fn check_reached(world: &World, asked: u64) -> Result<(), Refusal> {
    let current = world.objects.version();
    if asked > current {
        return Err(Refusal::too_large_version(asked, current));
    }
    Ok(())
}

fn choose(target: &Target, options: &Options) -> Result<Choice, Refusal> {
    Ok(Choice {
        kind: target.kind,
        namespace: target.namespace.clone(),
        labels: selector::labels(&options.label_selector)?,
        fields: selector::Fields::parse(target.kind, &options.field_selector)?,
    })
}

fn carry_out(
    world: &mut World,
    parts: &Parts,
    target: &Target,
    options: &Options,
    call: &Call,
    body: &[u8],
) -> Answer {
    let writer = Writer { manager: &call.manager, dry_run: options.is_dry_run()? };
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let Some(name) = &target.name else {
        return match parts.method {
            Method::GET => list(world, target, options),
            Method::POST if target.namespace.is_some() || !target.kind.is_namespaced() => {
                create(world, writer, target.kind, namespace, &parts.headers, body)
            }
            Method::DELETE => delete_all(world, writer, target, options, body),
            _ => Err(Refusal::method_not_allowed()),
        };
    };
    let key = Key::new(target.kind, namespace, name);
    match (&parts.method, target.subresource) {
        (&Method::GET, Subresource::Scale) => {
            let object = world.present(&key)?;
            Ok((StatusCode::OK, scale::of(&object)))
        }
        (_, Subresource::Log) => Err(Refusal::method_not_allowed()),
        (&Method::GET, _) => Ok((StatusCode::OK, Value::clone(&*world.present(&key)?))),
        (&Method::PUT, subresource) => {
            let object = parse(target.kind, &parts.headers, body)?;
            world.present(&key)?;
            check_uid(world, &key, &object)?;
            write(world, writer, &key, subresource, object)
        }
        (&Method::PATCH, subresource) => {
            let patch = Patch::read(&parts.headers, body)?;
            let object = world.present(&key)?;
            let before = match subresource {
                Subresource::Scale => scale::of(&object),
                Subresource::Whole | Subresource::Status | Subresource::Log => {
                    Value::clone(&object)
                }
            };
            let after = patch.apply(&before)?;
            write(world, writer, &key, subresource, after.clone()).map_err(|refusal| {
                // A patch to a wrong type is the patch's fault, not the request's.
                match refusal.code {
                    400 if refusal.message.contains("cannot be handled as") => Refusal::invalid(
                        "",
                        "",
                        "",
                        &[Cause::invalid("patch", &after, &refusal.message)],
                    ),
                    _ => refusal,
                }
            })
        }
        (&Method::DELETE, Subresource::Whole) => delete(world, writer, &key, options, body),
        _ => Err(Refusal::method_not_allowed()),
    }
}

fn write(
    world: &mut World,
    writer: Writer<'_>,
    key: &Key,
    subresource: Subresource,
    object: Value,
) -> Answer {
    let written = match subresource {
        Subresource::Whole => world.revise(writer, key, Half::Spec, object)?,
        Subresource::Status => world.revise(writer, key, Half::Status, object)?,
        Subresource::Log => return Err(Refusal::method_not_allowed()),
        Subresource::Scale => {
            let object = scale::apply(&*world.present(key)?, &object, &key.name)?;
            return Ok((
                StatusCode::OK,
                scale::of(&*world.revise(writer, key, Half::Spec, object)?),
            ));
        }
    };
    Ok((StatusCode::OK, Value::clone(&written)))
}

fn list(world: &World, target: &Target, options: &Options) -> Answer {
    let choice = choose(target, options)?;
    if let Some(asked) = options.version()? {
        check_reached(world, asked)?;
    }
    let items: Vec<Value> = world
        .objects
        .list(choice.kind, choice.namespace.as_deref())
        .filter(|(_, object)| choice.fits(object))
        .map(|(_, object)| {
            let mut item = Value::clone(object);
            field::remove(&mut item, "", "kind");
            field::remove(&mut item, "", "apiVersion");
            item
        })
        .collect();
    Ok((
        StatusCode::OK,
        json!({
            "kind": format!("{}List", target.kind.name()),
            "apiVersion": target.kind.api_version(),
            "metadata": {"resourceVersion": world.objects.version().to_string()},
            "items": items,
        }),
    ))
}

fn create(
    world: &mut World,
    writer: Writer<'_>,
    kind: Kind,
    namespace: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    let mut object = parse(kind, headers, body)?;
    if text(&object, "/metadata/resourceVersion").is_some_and(|version| !version.is_empty()) {
        return Err(Refusal::new(
            500,
            "",
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if let Some(given) = text(&object, "/metadata/namespace")
        && !given.is_empty()
        && given != namespace
    {
        return Err(update::other_namespace());
    }
    for key in ["managedFields", "generation", "uid", "creationTimestamp"] {
        field::remove(&mut object, "/metadata", key);
    }
    let made = world.create(writer, kind, namespace, object)?;
    Ok((StatusCode::CREATED, Value::clone(&made)))
}

/// Reads a body that is an object of a kind.
fn parse(kind: Kind, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|value| value.split(';').next()).map(str::trim);
    if media_type.is_some_and(|it| it != "application/json") {
        return Err(Refusal::unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json",
        ));
    }
    let object: Value = serde_json::from_slice(body).map_err(|why| {
        Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get \
             version/kind; json parse error: {why}",
            kind.name()
        ))
    })?;
    let given = text(&object, "/kind").unwrap_or(kind.name());
    let known = given == kind.name() || (given == "Scale" && kind.has_scale());
    if !object.is_object() || !known {
        return Err(Refusal::bad_request(format!(
            "{given} in version {:?} cannot be handled as a {}",
            kind.api_version(),
            kind.name()
        )));
    }
    Ok(object)
}

fn check_uid(world: &World, key: &Key, object: &Value) -> Result<(), Refusal> {
    let found = world.present(key)?;
    let (given, uid) = (
        text(object, "/metadata/uid").unwrap_or_default(),
        text(&found, "/metadata/uid").unwrap_or_default(),
    );
    if !given.is_empty() && given != uid {
        return Err(Refusal::conflict(
            key.kind,
            &key.name,
            &format!(
                "Precondition failed: UID in precondition: {given}, UID in object meta: {uid}"
            ),
        ));
    }
    Ok(())
}

fn delete(
    world: &mut World,
    writer: Writer<'_>,
    key: &Key,
    options: &Options,
    body: &[u8],
) -> Answer {
    let object = world.present(key)?;
    let (deletion, conditions) = deletion(options, body)?;
    for (name, pointer) in [("UID", "/uid"), ("ResourceVersion", "/resourceVersion")] {
        let wanted = text(&conditions, pointer).unwrap_or_default();
        let found = text(&object["metadata"], pointer).unwrap_or_default();
        if !wanted.is_empty() && wanted != found {
            let why = format!(
                "Precondition failed: {name} in precondition: {wanted}, {name} in object meta: \
                 {found}"
            );
            return Err(Refusal::conflict(key.kind, &key.name, &why));
        }
    }
    Ok((
        StatusCode::OK,
        match garbage::delete(world, writer, key, &deletion)? {
            Deleted::Going(object) => Value::clone(&object),
            // A pod is answered with itself, anything else with its particulars.
            Deleted::Gone(object) if key.kind == Kind::Pod => Value::clone(&object),
            Deleted::Gone(object) => {
                let mut details = json!({
                    "name": key.name,
                    "kind": key.kind.plural(),
                    "uid": object["metadata"]["uid"],
                });
                if !key.kind.group().is_empty() {
                    details["group"] = key.kind.group().into();
                }
                json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": details,
                })
            }
        },
    ))
}

/// The options of a deletion, from query and body; the preconditions come with it.
fn deletion(options: &Options, body: &[u8]) -> Result<(Deletion, Value), Refusal> {
    let body: Value = if body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(body)
            .map_err(|why| Refusal::bad_request(format!("DeleteOptions: {why}")))?
    };
    let said = match text(&body, "/propagationPolicy") {
        Some(policy) => Some(request::propagation(policy)?),
        None => None,
    };
    let propagation = options.propagation()?.or(said).unwrap_or(Propagation::Background);
    let grace = options.grace().or_else(|| field::int(&body, "/gracePeriodSeconds"));
    Ok((Deletion { propagation, grace }, body["preconditions"].clone()))
}

fn delete_all(
    world: &mut World,
    writer: Writer<'_>,
    target: &Target,
    options: &Options,
    body: &[u8],
) -> Answer {
    let choice = choose(target, options)?;
    let (deletion, _) = deletion(options, body)?;
    let keys: Vec<Key> = world
        .objects
        .list(choice.kind, choice.namespace.as_deref())
        .filter(|(_, object)| choice.fits(object))
        .map(|(key, _)| key.clone())
        .collect();
    let answer = list(world, target, options)?;
    for key in keys {
        garbage::delete(world, writer, &key, &deletion)?;
    }
    Ok(answer)
}
