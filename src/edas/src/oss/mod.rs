//! Uploading a package as OSS does it, and fetching it again.
//!
//! `PUT` takes one object in one piece, signed with a credential of
//! GetPackageStorageCredential ([`claim`], R31); `GET` hands it out to pods,
//! which know its capability. Both are outside of what EDAS calls have around
//! them: bodies are large and take their time, and failures are OSS' XML.

mod claim;
mod pace;

use std::{any::Any, io, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri, header,
        header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST},
        request::Parts,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, TryStreamExt};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    Edge,
    body::discard,
    connection::prove,
    edge::{name_host, peer_of},
    error::ApiError,
    params::Params,
    signature::text_of,
};
pub use claim::Claim;
use domain::upload::{self, ObjectKey};
use service::{Service, UploadError};

/// How long a refused body may still be read.
const DISCARD_WITHIN: Duration = Duration::from_secs(10);

/// OSS' word for too many requests.
const LIMITED: &str = "QpsLimitExceeded";
/// Seconds after which a client that found no place may try again.
const RETRY_AFTER: u32 = 5;

/// The header with the request's id.
const REQUEST_ID: &str = "x-oss-request-id";

/// Why a request was not served, in OSS' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    /// Of our own words only: it is not escaped.
    message: String,
    /// Seconds after which the same may succeed; none = it will not by itself.
    retry_after: Option<u32>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    fn denied(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    fn internal() -> Self {
        let message = "The request could not be served because of an error of the server. Its log has more under this RequestId.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    fn busy(message: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY_AFTER), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message) }
    }

    fn too_large(most: u64) -> Self {
        let message = format!("A package may have at most {most} bytes (--package-limit).");
        Self::new(StatusCode::BAD_REQUEST, "EntityTooLarge", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<service::Error> for Refusal {
    fn from(error: service::Error) -> Self {
        tracing::error!(%error, "an upload cannot be judged");
        Self::internal()
    }
}

/// What limits say, which are the same for EDAS calls.
impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Gateway { message, wait: Some(_), .. } => {
                Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, LIMITED, message) }
            }
            _ => Self::internal(),
        }
    }
}

impl From<UploadError> for Refusal {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::TooLarge(most) => Self::too_large(most),
            UploadError::Full(full) if full.is_passing() => Self::busy(format!("Try again in a moment: {full}.")),
            UploadError::Full(full) => Self::denied(
                "QuotaExceeded",
                format!("There is no room for this package: {full}. Packages that nothing names go by themselves."),
            ),
            UploadError::Busy(most) => {
                Self::busy(format!("Try again in a moment: {most} uploads are under way, which is the most (--package-uploads)."))
            }
            UploadError::CutOff(why) => {
                tracing::info!(why, "an upload did not come to its end");
                Self::new(StatusCode::BAD_REQUEST, "RequestTimeout", "The package did not come to its end.")
            }
            UploadError::WrongDigest => Self::new(StatusCode::BAD_REQUEST, "InvalidDigest", "Content-MD5 is not that of what came."),
            UploadError::KeyTaken => {
                Self::new(StatusCode::CONFLICT, "FileAlreadyExists", "Another package was uploaded under this key: choose another key.")
            }
            UploadError::NoStore => Self::internal(),
            UploadError::Failed(why) => {
                tracing::error!(why, "the store of packages failed");
                Self::internal()
            }
        }
    }
}

/// The routes: keys under the bucket's own host, and behind the bucket.
pub(super) fn routes(edge: Edge) -> Router {
    let object = || put(put_object).fallback(unoffered);
    Router::new()
        .route(&format!("/{}/{{*key}}", upload::ROOT), object())
        .route(&format!("/{{bucket}}/{}/{{*key}}", upload::ROOT), object())
        .route("/sluice/v1/packages/{id}/{file}", get(get_package))
        .layer(CatchPanicLayer::custom(caught))
        .layer(middleware::from_fn_with_state(edge.clone(), counted))
        .layer(middleware::from_fn(answer))
        .with_state(edge)
}

/// Python's and Go's OSS clients write the slashes of a key as `%2F`; for OSS, and for
/// the signature, that is the same key.
pub(super) fn with_slashes(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.to_ascii_lowercase().contains(&format!("/{}%2f", upload::ROOT)) {
        let plain = path.replace("%2F", "/").replace("%2f", "/");
        let target = request.uri().query().map_or_else(|| plain.clone(), |query| format!("{plain}?{query}"));
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = target.parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Runs a request and writes out its failure, if it is one.
async fn answer(mut request: Request, next: Next) -> Response {
    name_host(&mut request);
    let id = Uuid::now_v7().hyphenated().to_string().to_uppercase();
    // Any word may be a method, and a long one.
    let method = match request.method() {
        known @ (&Method::GET | &Method::HEAD | &Method::PUT | &Method::POST | &Method::DELETE) => known.as_str(),
        _ => "other",
    };
    let span = tracing::info_span!("package", request.id = %id, method, key.id = tracing::field::Empty);
    let work = async {
        let mut response = next.run(request).await;
        let refusal = response.extensions_mut().remove::<Refusal>();
        let code = refusal.as_ref().map_or("success", |refusal| refusal.code);
        tracing::info!(status = response.status().as_u16(), code, "request answered");
        if let Some(Refusal { code, message, retry_after, .. }) = refusal {
            let xml = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId><HostId></HostId></Error>"
            );
            *response.body_mut() = Body::from(xml);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
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
async fn counted(State(edge): State<Edge>, request: Request, next: Next) -> Result<Response, Refusal> {
    edge.throttle.peer(peer_of(&request)?)?;
    Ok(next.run(request).await)
}

fn caught(panic: Box<dyn Any + Send>) -> Response {
    let _ = super::caught(panic);
    Refusal::internal().into_response()
}

async fn unoffered(method: Method) -> Refusal {
    let method: String = method.as_str().chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let message = format!("Only PUT is served here, of a whole package: upload without multipart. The method {method} is not.");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

async fn put_object(State(edge): State<Edge>, request: Request) -> Result<Response, Refusal> {
    let peer = peer_of(&request)?;
    let (parts, body) = request.into_parts();
    let turn = edge.throttle.look_up(peer).await?;
    let admitted = admit(&edge.service, &parts).await;
    drop(turn);
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            if refusal.status == StatusCode::FORBIDDEN {
                edge.throttle.failed(peer);
            }
            // What is refused is not kept while its body goes by.
            drop(parts);
            discard(body, DISCARD_WITHIN).await;
            return Err(refusal);
        }
    };
    edge.throttle.key(&admitted.key_id)?;
    prove(&parts.extensions)?;
    let slot = match edge.service.begin_upload(&admitted.key_id, admitted.announced).await {
        Ok(slot) => slot,
        Err(why) => {
            discard(body, DISCARD_WITHIN).await;
            return Err(why.into());
        }
    };
    let body = pace::kept(body.into_data_stream().map_err(io::Error::other)).boxed();
    let stored = edge.service.store_package(slot, admitted.key, admitted.uploaded_by, admitted.md5, body).await;
    let etag = format!("\"{}\"", stored?.to_uppercase());
    Ok(([(ETAG, etag)], StatusCode::OK).into_response())
}

/// An upload that may go on.
struct Admitted {
    key: ObjectKey,
    key_id: String,
    /// Bytes that it says it has.
    announced: Option<u64>,
    uploaded_by: String,
    md5: Option<String>,
}

async fn admit(service: &Service, parts: &Parts) -> Result<Admitted, Refusal> {
    let object = Object::of(parts)?;
    let claim = Claim::read(&parts.method, &parts.headers, &object)?;
    let now = service.clock().now();
    claim.check_window(now)?;
    let credential = service.upload_credential(claim.credential).await?.ok_or_else(claim::unknown)?;
    claim.verify(&credential)?;
    tracing::Span::current().record("key.id", &credential.key_id);
    let key = service.key(&credential.key_id).await?.filter(|key| key.enabled);
    let key = key.ok_or_else(|| Refusal::denied("AccessDenied", "The access key that this credential was given to is disabled."))?;
    if credential.expires_at <= now {
        let message = "The credential has expired: ask for another with GetPackageStorageCredential.";
        return Err(Refusal::denied("SecurityTokenExpired", message));
    }

    let object_key =
        ObjectKey::read(&object.key).map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, "InvalidObjectName", why.to_string()))?;
    if object_key.credential() != credential.id {
        return Err(Refusal::denied("AccessDenied", "The key does not begin with the credential's KeyPrefix."));
    }
    if parts.uri.query().is_some_and(|query| !query.is_empty()) || parts.headers.contains_key("x-oss-copy-source") {
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "Only a whole package can be uploaded."));
    }
    let announced = text_of(&parts.headers, "content-length").ok().flatten().and_then(|length| length.parse::<u64>().ok());
    let md5 = match text_of(&parts.headers, "content-md5").ok().flatten() {
        None => None,
        Some(text) => {
            let digest = STANDARD.decode(text).ok().filter(|digest| digest.len() == 16);
            let invalid = || Refusal::new(StatusCode::BAD_REQUEST, "InvalidDigest", "Content-MD5 is no MD5 in Base64.");
            Some(hex::encode(digest.ok_or_else(invalid)?))
        }
    };
    Ok(Admitted { key: object_key, key_id: credential.key_id, announced, uploaded_by: key.name, md5 })
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
    pub fn of(parts: &Parts) -> Result<Self, Refusal> {
        let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8();
        let path = path.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "InvalidObjectName", "The key is not UTF-8."))?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let host = || host_of(&parts.headers).split('.').next().unwrap_or_default().to_ascii_lowercase();
        let (bucket, key) = match path.split_once('/') {
            Some((bucket, key)) if bucket != upload::ROOT => (bucket.to_owned(), key),
            _ => (host(), path),
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

fn host_of(headers: &HeaderMap) -> &str {
    headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// Hands a package out, with GET or HEAD. Nothing in the request is told in
/// what is refused: an id and a capability that do not fit are as good as none.
async fn get_package(State(edge): State<Edge>, Path((id, _file)): Path<(String, String)>, request: Request) -> Result<Response, Refusal> {
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "NoSuchKey", "There is no such package, or its capability is another.");
    let params = Params::parse(request.uri().query().unwrap_or_default()).map_err(|_| missing())?;
    let (id, capability) = upload::package_id(&id).zip(params.text("capability")).ok_or_else(missing)?;
    let peer = peer_of(&request)?;
    let turn = edge.throttle.look_up(peer).await?;
    let download = edge.service.download(id, capability).await?;
    drop(turn);
    let download = download.ok_or_else(|| {
        edge.throttle.failed(peer);
        missing()
    })?;
    prove(request.extensions())?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_LENGTH, HeaderValue::from(download.bytes)),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, Body::from_stream(download.body)).into_response())
}
