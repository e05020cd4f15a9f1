//! The router as a whole: what is refused before a handler, and, in `database`, signed
//! calls down to a real Postgres.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE},
    middleware,
    routing::get,
};
use serde_json::{Map, Value};
use sqlx::PgPool;
use tower::ServiceExt;

use std::{sync::Arc, time::Duration};

use super::{
    edge::auth,
    router::answered,
    wire::{contract, family, offered, shape},
    *,
};
use clock::Clock;
use domain::order::FailurePolicy;
use service::{Service, ServiceConfig};
use store::Store;
use test_support::sign;

mod database;
mod forms;
mod refusal;
mod wire;

fn service_on(pool: PgPool) -> Service {
    let settings = ServiceConfig {
        cluster: "default".into(),
        region: "cn-test".into(),
        batch_timeout_seconds: 60,
        failure_policy: FailurePolicy::default(),
        guard: service::GuardConfig::default(),
    };
    Service::new(Store::on(pool, test_support::keyring::keyring()), Clock::default(), settings)
}

/// A service whose database is never asked.
pub(crate) fn service_without_database() -> Service {
    service_on(PgPool::connect_lazy("postgres://192.0.2.1/none").unwrap())
}

/// The router as it is for a client on this machine, unless a request says
/// whose it is: there is no connection here that would.
fn router(service: Service, settings: EdgeConfig) -> Router {
    crate::router(service, settings).layer(middleware::from_fn(
        async |mut request: axum::extract::Request, next: middleware::Next| {
            request.extensions_mut().get_or_insert_with(Peer::loopback);
            next.run(request).await
        },
    ))
}

fn connections() -> Connections {
    Connections::new(ConnectionSettings::default())
}

fn router_without_database() -> Router {
    router(service_without_database(), EdgeConfig::default())
}

/// A reply's status and body, after checking what every reply must have.
async fn read(response: Response<Body>) -> (StatusCode, Map<String, Value>) {
    let status = response.status();
    let id = response.headers()["x-acs-request-id"].to_str().unwrap().to_owned();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json;charset=utf-8");
    let body: Map<String, Value> =
        serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap();
    assert_eq!(body["RequestId"], id);
    assert!(id.len() == 36 && id == id.to_uppercase(), "{id}");
    if status == StatusCode::OK {
        assert!(body["Code"].is_i64(), "{body:?}");
    } else {
        assert!(body.values().all(Value::is_string), "the old Go SDK panics: {body:?}");
        assert_eq!(body.len(), 5);
    }
    (status, body)
}

async fn ask(router: &Router, method: Method, target: &str) -> (StatusCode, Map<String, Value>) {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .extension(Peer::loopback())
        .body(Body::empty())
        .unwrap();
    read(router.clone().oneshot(request).await.unwrap()).await
}
