//! The EDAS interface over HTTP: reading requests, asking the service, writing replies.
//!
//! The only crate with EDAS' words and with HTTP's. Every request passes
//! [`edge`] (id, log, time limit, failures); an EDAS request is then found by
//! method and path ([`contract`]), authenticated ([`auth`], [`signature`]) and
//! checked against what is offered ([`offered`]) before its handler reads the
//! parameters and asks the service. Rules about applications and orders are not
//! here.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use body::Budget;
use domain::limits;
use service::Service;
use throttle::Throttle;

pub mod application;
pub mod auth;
pub mod body;
pub mod call;
mod certificate;
pub mod changeorder;
pub mod cluster;
pub mod component;
pub mod condition;
pub mod config_template;
pub mod connection;
mod container;
pub mod contract;
pub mod deploy;
pub mod deploy_group;
#[cfg(test)]
mod differences;
mod docs;
mod document;
pub mod edge;
pub mod error;
pub mod family;
pub mod health;
pub mod history;
pub mod imported;
pub mod instance;
pub mod java_config;
pub mod k8s_application;
pub mod k8s_config_map;
pub mod k8s_ingress;
pub mod k8s_secret;
pub mod k8s_service;
pub mod k8s_slb;
pub mod lifecycle;
pub mod line;
pub mod offered;
pub mod oss;
pub mod package_storage;
pub mod page;
pub mod params;
pub mod pipeline;
pub mod precheck;
pub mod quantity;
pub mod region;
pub mod reply;
pub mod resource;
pub mod scaling_rule;
mod security;
mod serve;
#[cfg(test)]
mod shape;
pub mod signature;
mod slb_info;
pub mod status;
pub mod tag;
pub mod throttle;
pub mod time;
pub mod value;

pub use certificate::{Certificate, CertificateError};
pub use connection::{ConnectionSettings, Connections, Http2, Peer, Times, Way};
pub use throttle::Rates;

/// What the edge can be told.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Whether requests signed with HMAC-SHA1 are accepted (K20).
    pub hmac_sha1: bool,
    /// Whether they are accepted over plain HTTP from other machines too.
    pub plain_hmac_sha1: bool,
    /// How much may be sent.
    pub rates: Rates,
    /// How long a request may take. SDKs give up after 10 s (K15).
    pub time_limit: Duration,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self { hmac_sha1: true, plain_hmac_sha1: false, rates: Rates::default(), time_limit: Duration::from_secs(8) }
    }
}

/// What every request needs.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The use cases.
    pub service: Service,
    /// What the edge was told.
    pub settings: EdgeConfig,
    /// What was sent lately.
    pub throttle: Arc<Throttle>,
    /// Room for bodies that are read.
    pub bodies: Budget,
}

impl Edge {
    /// An edge to which nothing was sent yet.
    #[must_use]
    pub fn new(service: Service, settings: EdgeConfig) -> Self {
        let throttle = Arc::new(Throttle::new(settings.rates));
        Self { service, settings, throttle, bodies: Budget::new(limits::BODIES) }
    }
}

/// The whole interface: EDAS operations, health, OpenAPI document and its page.
/// Serve it with [`Connections`], which tell every request its [`Peer`] (without
/// it none is served) and have request lines answered that are too long.
pub fn router(service: Service, settings: EdgeConfig) -> Router {
    let edge = Edge::new(service, settings);
    let authenticated = middleware::from_fn_with_state(edge.clone(), auth::admit);
    let (edas, _) = edas().split_for_parts();
    let (health, _) = health().split_for_parts();
    // Also operations that are not offered, and unknown paths, are judged by `admit`.
    let edas = edas.fallback(unoffered).method_not_allowed_fallback(unoffered).layer(authenticated);
    let packages = oss::routes(edge.clone());
    let all = answered(Router::new().merge(edas).merge(health).merge(docs::pages()), edge).merge(packages);
    // Before the routes, since they go by the path as it came.
    guarded(Router::new().fallback_service(MapRequest::new(all, oss::with_slashes)))
}

/// `routes` with what is around every request.
fn answered(routes: Router<Edge>, edge: Edge) -> Router {
    routes.layer(CatchPanicLayer::custom(caught)).layer(middleware::from_fn_with_state(edge.clone(), edge::answer)).with_state(edge)
}

/// `routes` with the headers for browsers on every reply.
fn guarded(routes: Router) -> Router {
    routes.layer(middleware::map_response(async |response| security::guarded(response)))
}

/// Only `/healthz` and `/readyz`, for a program that serves no requests.
pub fn health_router(service: Service, settings: EdgeConfig) -> Router {
    let (health, _) = health().split_for_parts();
    guarded(answered(health, Edge::new(service, settings)))
}

/// The description of everything that [`router`] offers.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = OpenApiRouter::with_openapi(document::Frame::openapi()).merge(edas()).merge(health()).into_openapi();
    document::complete(&mut document);
    document
}

fn edas() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(deploy::deploy))
        .routes(routes!(deploy::insert))
        .routes(routes!(deploy::adopt))
        .routes(routes!(deploy::convert))
        .routes(routes!(container::get, container::set))
        .routes(routes!(deploy::roll_back_to))
        .routes(routes!(resource::update))
        .routes(routes!(lifecycle::scale))
        .routes(routes!(lifecycle::stop))
        .routes(routes!(lifecycle::start))
        .routes(routes!(lifecycle::restart))
        .routes(routes!(lifecycle::configure))
        .routes(routes!(lifecycle::describe))
        .routes(routes!(lifecycle::delete))
        .routes(routes!(lifecycle::delete_any))
        .routes(routes!(changeorder::get_info))
        .routes(routes!(changeorder::list_recent))
        .routes(routes!(changeorder::confirm))
        .routes(routes!(changeorder::abort))
        .routes(routes!(changeorder::abort_and_roll_back))
        .routes(routes!(changeorder::roll_back))
        .routes(routes!(changeorder::step_back))
        .routes(routes!(changeorder::retry))
        .routes(routes!(precheck::start, precheck::result))
        .routes(routes!(precheck::preview))
        .routes(routes!(application::list))
        .routes(routes!(application::get))
        .routes(routes!(k8s_application::get))
        .routes(routes!(history::list))
        .routes(routes!(status::query))
        .routes(routes!(instance::list))
        .routes(routes!(instance::deployment))
        .routes(routes!(deploy_group::list))
        .routes(routes!(java_config::start_up))
        .routes(routes!(java_config::web_container))
        .routes(routes!(cluster::get_clusters))
        .routes(routes!(cluster::list_namespaces))
        .routes(routes!(imported::get))
        .routes(routes!(imported::list))
        .routes(routes!(imported::import))
        .routes(routes!(imported::remove))
        .routes(routes!(region::list_regions))
        .routes(routes!(region::list_namespaces))
        .routes(routes!(region::describe, region::forget))
        .routes(routes!(component::list))
        .routes(routes!(component::list_build_packs))
        .routes(routes!(k8s_service::create, k8s_service::update, k8s_service::list, k8s_service::delete))
        .routes(routes!(k8s_ingress::create, k8s_ingress::update, k8s_ingress::list, k8s_ingress::delete))
        .routes(routes!(k8s_config_map::create, k8s_config_map::update, k8s_config_map::list, k8s_config_map::delete))
        .routes(routes!(k8s_secret::create, k8s_secret::update, k8s_secret::list, k8s_secret::delete))
        .routes(routes!(config_template::create, config_template::update, config_template::list, config_template::delete))
        .routes(routes!(k8s_slb::bind, k8s_slb::update, k8s_slb::unbind))
        .routes(routes!(scaling_rule::create, scaling_rule::update, scaling_rule::delete))
        .routes(routes!(scaling_rule::list))
        .routes(routes!(scaling_rule::enable))
        .routes(routes!(scaling_rule::disable))
        .routes(routes!(tag::tag, tag::untag, tag::list))
        .routes(routes!(package_storage::get_credential))
        .routes(routes!(package_storage::get_region_config))
}

fn health() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz))
}

/// What `admit` lets through has a route; a test holds both lists together.
async fn unoffered() -> error::ApiError {
    error::ApiError::not_found()
}

fn caught(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("(no text)"), "a request panicked");
    error::ApiError::internal().into_response()
}

#[cfg(test)]
mod tests;
