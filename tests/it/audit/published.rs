//! Checkpoints in a bucket: a small server of our own that speaks as much S3 as they need, and
//! takes nothing without a checksum, as a bucket with object lock does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use package::Objects;

use super::*;

type Bucket = Arc<Mutex<BTreeMap<String, Bytes>>>;

async fn answer(
    State(bucket): State<Bucket>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut objects = bucket.lock().unwrap();
    let (name, of_now) = (uri.path().to_owned(), [("etag", "\"1\"")]);
    if method == Method::PUT {
        if !headers.contains_key("x-amz-checksum-sha256") {
            return StatusCode::BAD_REQUEST.into_response();
        }
        let is_new = headers.get("if-none-match").is_some_and(|it| it == "*");
        if !is_new || objects.contains_key(&name) {
            return StatusCode::PRECONDITION_FAILED.into_response();
        }
        objects.insert(name, body);
        return (StatusCode::OK, of_now).into_response();
    }
    match (method, objects.get(&name)) {
        (Method::GET, Some(found)) => {
            let last_modified = ("last-modified", "Sat, 28 Nov 2026 00:00:00 GMT");
            (StatusCode::OK, [("etag", "\"1\""), last_modified], found.clone()).into_response()
        }
        (Method::GET, None) => StatusCode::NOT_FOUND.into_response(),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn checkpoints_are_kept_in_a_bucket_and_none_is_written_over(pool: PgPool) {
    let bucket = Bucket::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(bucket.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let settings = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "not secret"),
        ("AWS_CHECKSUM_ALGORITHM", "SHA256"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let objects = Objects::open("s3://audit/shop", settings).unwrap();

    let app = App::start(pool.clone()).await;
    let folder = TempDir::new().unwrap();
    let (log, verifier) = signed(folder.path());
    let log = AuditLog { to: CheckpointsTo::Bucket(objects), ..log };
    app.create("web", 2).await;
    app.service.settle_audit_log(&log).await.unwrap();
    let kept = bucket.lock().unwrap().clone();
    let (name, note) = kept.first_key_value().unwrap();
    let size = count(&pool, "audit_entry").await;
    assert_eq!(name, &format!("/audit/shop/checkpoint-{size:020}"));
    let export = folder.path().join("export");
    app.service.export_audit_log(&export).await.unwrap();
    audit::verify(&export, &verifier, &[note.to_vec()]).unwrap();

    // Nothing new: nothing is asked of the bucket. Something else under the next name stays.
    app.service.settle_audit_log(&log).await.unwrap();
    app.create("other", 2).await;
    let next = format!("/audit/shop/checkpoint-{:020}", count(&pool, "audit_entry").await);
    bucket.lock().unwrap().insert(next.clone(), Bytes::from_static(b"another log"));
    let refused = app.service.settle_audit_log(&log).await.unwrap_err().to_string();
    assert!(refused.contains("is there already and says something else"), "{refused}");
    assert_eq!(bucket.lock().unwrap()[&next], "another log");
    serving.abort();
}
