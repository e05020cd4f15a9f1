//! Uploading a package as OSS does it, and fetching it again.
//!
//! An object comes in one piece or in parts ([`operation`], [`multipart`]), signed with
//! a credential of GetPackageStorageCredential ([`claim`], R31); `GET` hands it out to
//! pods, which know its capability. Both are outside of what EDAS calls have around
//! them: bodies are large and take their time, and failures are OSS' XML.

mod answer;
mod claim;
mod header_case;
mod multipart;
pub mod operation;
mod pace;
pub mod part_list;
mod refusal;

use std::{any::Any, io, net::IpAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri, header,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST},
        request::Parts,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, TryStreamExt};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use uuid::Uuid;

use crate::operation::package::oss::answer::AnswerPlace;
pub use crate::operation::package::oss::claim::OssClaim;
pub use crate::operation::package::oss::operation::{Operation, Query};
pub use crate::operation::package::oss::refusal::OssRefusal;
use crate::{
    Edge, Peer,
    edge::{
        RequestId,
        auth::{put_on_record, refused},
        body::discard,
        connection::prove,
        name_host, peer_of,
    },
    operation::package::package_storage::BUCKET,
    wire::{params::Params, signature::text_of},
};
use domain::package::upload::{self, ObjectKey};
use service::{KeySecret, NamedUpload, Service, UploadCredential};

/// How long a refused body may still be read.
const DISCARD_WITHIN: Duration = Duration::from_secs(10);

/// The header with the request's id.
const REQUEST_ID: &str = "x-oss-request-id";

/// The routes: keys under the bucket's own host, and behind the bucket.
pub(crate) fn routes(edge: Edge) -> Router {
    Router::new()
        .route(&format!("/{}/{{*key}}", upload::ROOT), any(of_object))
        .route(&format!("/{{bucket}}/{}/{{*key}}", upload::ROOT), any(of_object))
        .route(&format!("/{}", upload::ROOT), any(of_bucket))
        .route(&format!("/{{bucket}}/{}", upload::ROOT), any(of_bucket))
        .route("/sluice/v1/packages/{id}/{file}", get(get_package))
        .layer(CatchPanicLayer::custom(caught))
        .layer(middleware::from_fn_with_state(edge.clone(), counted))
        .layer(middleware::from_fn(answer))
        .layer(middleware::map_response(header_case::spell))
        .with_state(edge)
}

/// Python's and Go's OSS clients write the slashes of a key as `%2F`; for OSS, and for
/// the signature, that is the same key. What they ask of a bucket as a whole has no key:
/// it gets a path of its own, so that no EDAS call is taken for it.
pub(crate) fn with_slashes(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.to_ascii_lowercase().contains(&format!("/{}%2f", upload::ROOT)) {
        let plain = path.replace("%2F", "/").replace("%2f", "/");
        move_to(&mut request, &plain);
    } else if is_of_bucket(&request) {
        let within = format!("{}/{}", path.trim_end_matches('/'), upload::ROOT);
        move_to(&mut request, &within);
    }
    request
}

/// Whether an OSS client means a bucket: its root, or its name in the path. EDAS calls
/// may have such paths too, and are signed in other ways.
fn is_of_bucket(request: &Request) -> bool {
    let name = request.uri().path().trim_matches('/');
    let signed = request
        .headers()
        .get(AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(b"OSS "));
    signed && !name.contains('/') && name != upload::ROOT
}

fn move_to(request: &mut Request, path: &str) {
    let target =
        request.uri().query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = target.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Runs a request and writes out its failure, if it is one.
async fn answer(mut request: Request, next: Next) -> Response {
    name_host(&mut request);
    let id = Uuid::now_v7().hyphenated().to_string().to_uppercase();
    request.extensions_mut().insert(RequestId(id.clone()));
    // Any word may be a method, and a long one.
    let method = match request.method() {
        known @ (&Method::GET | &Method::HEAD | &Method::PUT | &Method::POST | &Method::DELETE) => {
            known.as_str()
        }
        _ => "other",
    };
    let span =
        tracing::info_span!("package", request.id = %id, method, key.id = tracing::field::Empty);
    let work = async {
        let mut response = next.run(request).await;
        let refusal = response.extensions_mut().remove::<OssRefusal>();
        let code = refusal.as_ref().map_or("success", |refusal| refusal.code);
        tracing::info!(status = response.status().as_u16(), code, "request answered");
        if let Some(OssRefusal { code, message, retry_after, .. }) = refusal {
            let xml = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId><HostId></HostId></Error>"
            );
            *response.body_mut() = Body::from(xml);
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            response.headers_mut().remove(CONTENT_LENGTH);
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    };
    work.instrument(span).await
}

/// Before anything of it is read: whether the peer may send another request.
async fn counted(
    State(edge): State<Edge>,
    request: Request,
    next: Next,
) -> Result<Response, OssRefusal> {
    edge.throttle.peer(peer_of(&request)?)?;
    Ok(next.run(request).await)
}

fn caught(panic: Box<dyn Any + Send>) -> Response {
    let _ = crate::edge::response::caught(panic);
    OssRefusal::internal().into_response()
}

/// A method that nothing is served for.
fn unoffered(method: &Method) -> OssRefusal {
    let method: String =
        method.as_str().chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let message = format!(
        "Only uploads are served here: PUT of a whole package, and uploads in parts. The method {method} is not."
    );
    OssRefusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

async fn of_object(State(edge): State<Edge>, request: Request) -> Result<Response, OssRefusal> {
    serve(edge, request, false).await
}

async fn of_bucket(State(edge): State<Edge>, request: Request) -> Result<Response, OssRefusal> {
    serve(edge, request, true).await
}

async fn serve(edge: Edge, request: Request, of_bucket: bool) -> Result<Response, OssRefusal> {
    let peer = peer_of(&request)?;
    let (parts, body) = request.into_parts();
    let (object, query, operation) = match wanted(&parts, of_bucket) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            discard(body, DISCARD_WITHIN).await;
            return Err(refusal);
        }
    };
    let turn = edge.throttle.look_up(peer).await?;
    let admitted = admit(&edge.service, &parts, &object, &query).await;
    drop(turn);
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            if refusal.status == StatusCode::FORBIDDEN {
                edge.throttle.failed(peer);
                put_on_record(&edge, peer, refused("", "", &parts), refusal.code).await;
            }
            // What is refused is not kept while its body goes by.
            drop(parts);
            discard(body, DISCARD_WITHIN).await;
            return Err(refusal);
        }
    };
    edge.throttle.key(&admitted.credential.key_id)?;
    prove(&parts.extensions)?;
    if let Operation::ListUploads(wanted) = &operation {
        return multipart::list_uploads(&edge, &admitted.credential, &object.bucket, wanted).await;
    }
    let key = match own_key(&object, &admitted.credential) {
        Ok(key) => key,
        Err(refusal) => {
            let by = refused(&admitted.uploaded_by, &admitted.credential.key_id, &parts);
            put_on_record(&edge, peer, by, refusal.code).await;
            discard(body, DISCARD_WITHIN).await;
            return Err(refusal);
        }
    };
    let place = |is_escaped| AnswerPlace { bucket: &object.bucket, key: &object.key, is_escaped };
    let named = |id| NamedUpload { id, key: key.clone() };
    match operation {
        Operation::Put => put_object(&edge, key, admitted, body).await,
        Operation::Initiate { is_escaped } => {
            multipart::initiate(&edge, &admitted.credential, &key, place(is_escaped)).await
        }
        Operation::PutPart { upload, number } => {
            multipart::put_part(&edge, &named(upload), number, admitted, body).await
        }
        Operation::Complete { upload, is_escaped } => {
            multipart::complete(&edge, named(upload), admitted, (&object, &parts, is_escaped), body)
                .await
        }
        Operation::Abort { upload } => {
            edge.service.abort_multipart(&named(upload)).await?;
            Ok(answer::aborted())
        }
        Operation::ListParts { upload, after, most, is_escaped } => {
            multipart::list_parts(&edge, &named(upload), after, most, place(is_escaped)).await
        }
        Operation::ListUploads(_) => Err(unoffered(&parts.method)),
    }
}

fn wanted(parts: &Parts, of_bucket: bool) -> Result<(Object, Query, Operation), OssRefusal> {
    let mut object = Object::of(parts)?;
    if of_bucket {
        object.key.clear();
    }
    let query = Query::read(parts.uri.query())?;
    let operation = query.operation(&parts.method, of_bucket)?;
    Ok((object, query, operation))
}

async fn put_object(
    edge: &Edge,
    key: ObjectKey,
    admitted: Admitted,
    body: Body,
) -> Result<Response, OssRefusal> {
    let slot =
        match edge.service.begin_upload(&admitted.credential.key_id, admitted.announced).await {
            Ok(slot) => slot,
            Err(why) => {
                discard(body, DISCARD_WITHIN).await;
                return Err(why.into());
            }
        };
    let body = pace::kept(body.into_data_stream().map_err(io::Error::other)).boxed();
    let stored =
        edge.service.store_package(slot, key, admitted.uploaded_by, admitted.md5, body).await?;
    Ok(answer::stored(&stored.md5.to_uppercase(), stored.crc64))
}

/// A request that may go on.
struct Admitted {
    credential: UploadCredential,
    /// Bytes that it says it has.
    announced: Option<u64>,
    uploaded_by: String,
    md5: Option<String>,
}

async fn admit(
    service: &Service,
    parts: &Parts,
    object: &Object,
    query: &Query,
) -> Result<Admitted, OssRefusal> {
    let claim = OssClaim::read(&parts.method, &parts.headers, object, query)?;
    let now = service.clock().now();
    claim.check_window(now)?;
    let credential =
        service.upload_credential(claim.credential).await?.ok_or_else(claim::unknown)?;
    claim.verify(&credential)?;
    tracing::Span::current().record("key.id", &credential.key_id);
    let key = service.key(&credential.key_id).await?.filter(KeySecret::is_good);
    let key = key.ok_or_else(|| {
        OssRefusal::denied(
            "AccessDenied",
            "The access key that this credential was given to is disabled or has expired.",
        )
    })?;
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.address);
    if !peer.is_some_and(|address| key.accepts_from(address)) {
        let message =
            "The access key that this credential was given to may not be used from your address.";
        return Err(OssRefusal::denied("AccessDenied", message));
    }
    if credential.expires_at <= now {
        let message =
            "The credential has expired: ask for another with GetPackageStorageCredential.";
        return Err(OssRefusal::denied("SecurityTokenExpired", message));
    }
    if parts.headers.contains_key("x-oss-copy-source") {
        return Err(OssRefusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "No package can be copied: upload it.",
        ));
    }
    let announced = text_of(&parts.headers, "content-length")
        .ok()
        .flatten()
        .and_then(|length| length.parse::<u64>().ok());
    let md5 = match text_of(&parts.headers, "content-md5").ok().flatten() {
        None => None,
        Some(text) => {
            let digest = STANDARD.decode(text).ok().filter(|digest| digest.len() == 16);
            let invalid = || {
                OssRefusal::new(
                    StatusCode::BAD_REQUEST,
                    "InvalidDigest",
                    "Content-MD5 is no MD5 in Base64.",
                )
            };
            Some(hex::encode(digest.ok_or_else(invalid)?))
        }
    };
    Ok(Admitted { credential, announced, uploaded_by: key.name, md5 })
}

/// The key that an object has, if the credential may write it.
fn own_key(object: &Object, credential: &UploadCredential) -> Result<ObjectKey, OssRefusal> {
    let key = ObjectKey::read(&object.key).map_err(|why| {
        OssRefusal::new(StatusCode::BAD_REQUEST, "InvalidObjectName", why.to_string())
    })?;
    if key.credential() != credential.id {
        return Err(OssRefusal::denied(
            "AccessDenied",
            "The key does not begin with the credential's KeyPrefix.",
        ));
    }
    Ok(key)
}

/// What an upload names: a bucket and a key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    bucket: String,
    key: String,
}

impl Object {
    /// Reads what the path and the host of a request name.
    ///
    /// # Errors
    /// A path that is not UTF-8.
    pub fn of(parts: &Parts) -> Result<Self, OssRefusal> {
        let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8();
        let path = path.map_err(|_| {
            OssRefusal::new(StatusCode::BAD_REQUEST, "InvalidObjectName", "The key is not UTF-8.")
        })?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = match path.split_once('/') {
            Some((bucket, key)) if bucket != upload::ROOT => (bucket.to_owned(), key),
            _ => (bucket_of(host_of(&parts.headers)), path),
        };
        Ok(Self { bucket, key: key.into() })
    }

    /// Its key, as it is meant: nothing in it is escaped.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As it is signed.
    fn resource(&self) -> String {
        format!("/{}/{}", self.bucket, self.key)
    }
}

/// The bucket that stands before a host. Where the host is an address none can stand
/// there, and OSS' client for Java puts it nowhere: it signs the one that it was given.
fn bucket_of(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        // An address of the newer kind has colons of its own, and brackets where a port follows.
        Some((name, _)) if !name.contains(':') || name.ends_with(']') => name,
        _ => host,
    };
    if name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return BUCKET.to_owned();
    }
    name.split('.').next().unwrap_or_default().to_ascii_lowercase()
}

fn host_of(headers: &HeaderMap) -> &str {
    headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// Hands a package out, with GET or HEAD. Nothing in the request is told in
/// what is refused: an id and a capability that do not fit are as good as none.
async fn get_package(
    State(edge): State<Edge>,
    Path((id, _file)): Path<(String, String)>,
    request: Request,
) -> Result<Response, OssRefusal> {
    let missing = || {
        OssRefusal::new(
            StatusCode::NOT_FOUND,
            "NoSuchKey",
            "There is no such package, or its capability is another.",
        )
    };
    let params = Params::parse(request.uri().query().unwrap_or_default()).map_err(|_| missing())?;
    let (id, capability) =
        upload::package_id(&id).zip(params.text("capability")).ok_or_else(missing)?;
    let peer = peer_of(&request)?;
    let turn = edge.throttle.look_up(peer).await?;
    let download = edge.service.download(id, capability).await?;
    drop(turn);
    let (parts, _) = request.into_parts();
    let Some(download) = download else {
        edge.throttle.failed(peer);
        let refusal = missing();
        put_on_record(&edge, peer, refused("", "", &parts), refusal.code).await;
        return Err(refusal);
    };
    prove(&parts.extensions)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_LENGTH, HeaderValue::from(download.bytes)),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, Body::from_stream(download.body)).into_response())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::of_the_host("Packages.example.com:8080", "packages")]
    #[case::of_no_domain("localhost:8080", "localhost")]
    #[case::of_an_address("10.1.2.3:8080", "sluice")]
    #[case::of_an_address_without_a_port("10.1.2.3", "sluice")]
    #[case::of_an_address_of_the_newer_kind("[2001:db8::1]:8080", "sluice")]
    #[case::of_such_an_address_without_a_port("[2001:db8::1]", "sluice")]
    fn the_bucket_is_the_hosts_first_name_or_the_one_that_was_given(
        #[case] host: &str,
        #[case] bucket: &str,
    ) {
        assert_eq!(bucket_of(host), bucket);
    }
}
