//! The router: which handler serves which method and path, and what is around them all.

use axum::{Router, middleware};
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    edge::{self, Edge, EdgeConfig, auth, docs, document, health, response, security},
    operation::{access, application, cluster, config, network, order, package, release},
    wire::error,
};
use service::Service;

/// The whole interface: EDAS operations, health, OpenAPI document and its page.
/// Serve it with [`crate::Connections`], which tell every request its [`crate::Peer`] (without
/// it none is served) and have request lines answered that are too long.
pub fn router(service: Service, settings: EdgeConfig) -> Router {
    router_beside(service, settings, Beside::default())
}

/// What is served beside EDAS' operations, by the same program and on the same listeners.
#[derive(Debug, Default)]
pub struct Beside {
    /// Served to everybody: it says itself who may see what, and how long it may take.
    pub open: Router,
    /// Served to those who sign with an access key: a handler finds the [`service::Caller`]
    /// among its request's extensions.
    pub signed: Router,
}

/// [`router`], with something beside it.
pub fn router_beside(service: Service, settings: EdgeConfig, beside: Beside) -> Router {
    let edge = Edge::new(service, settings);
    let authenticated = middleware::from_fn_with_state(edge.clone(), auth::admit);
    let (edas, _) = edas().split_for_parts();
    let (health, _) = health().split_for_parts();
    // Also operations that are not offered, and unknown paths, are judged by `admit`.
    let edas = edas.fallback(unoffered).method_not_allowed_fallback(unoffered).layer(authenticated);
    let packages = package::oss::routes(edge.clone());
    let signed = Router::new()
        .merge(beside.signed.with_state(()))
        .layer(middleware::from_fn_with_state(edge.clone(), auth::admit_beside));
    let open = beside
        .open
        .layer(CatchPanicLayer::custom(response::caught))
        .layer(middleware::from_fn_with_state(edge.clone(), edge::let_in));
    let all =
        answered(Router::new().merge(edas).merge(health).merge(docs::pages()).merge(signed), edge)
            .merge(packages)
            .merge(open);
    // Before the routes, since they go by the path as it came.
    guarded(Router::new().fallback_service(MapRequest::new(all, package::oss::with_slashes)))
}

/// `routes` with what is around every request.
pub(crate) fn answered(routes: Router<Edge>, edge: Edge) -> Router {
    routes
        .layer(CatchPanicLayer::custom(response::caught))
        .layer(middleware::from_fn_with_state(edge.clone(), edge::answer))
        .with_state(edge)
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
    let mut document = OpenApiRouter::with_openapi(document::Frame::openapi())
        .merge(edas())
        .merge(health())
        .into_openapi();
    document::complete(&mut document);
    document
}

fn edas() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(release::deploy::deploy))
        .routes(routes!(release::deploy::insert))
        .routes(routes!(release::deploy::adopt))
        .routes(routes!(release::deploy::convert))
        .routes(routes!(application::container::get, application::container::set))
        .routes(routes!(application::logs::get))
        .routes(routes!(release::deploy::roll_back_to))
        .routes(routes!(release::resource::update))
        .routes(routes!(application::lifecycle::scale))
        .routes(routes!(application::lifecycle::stop))
        .routes(routes!(application::lifecycle::start))
        .routes(routes!(application::lifecycle::restart))
        .routes(routes!(application::lifecycle::configure))
        .routes(routes!(application::lifecycle::describe))
        .routes(routes!(application::lifecycle::delete))
        .routes(routes!(application::lifecycle::delete_any))
        .routes(routes!(order::changeorder::get_info))
        .routes(routes!(order::changeorder::list_recent))
        .routes(routes!(order::changeorder::confirm))
        .routes(routes!(order::changeorder::abort))
        .routes(routes!(order::changeorder::abort_and_roll_back))
        .routes(routes!(order::changeorder::roll_back))
        .routes(routes!(order::changeorder::step_back))
        .routes(routes!(order::changeorder::retry))
        .routes(routes!(order::hold::approve))
        .routes(routes!(order::hold::reject))
        .routes(routes!(order::hold::lift))
        .routes(routes!(order::hold::create, order::hold::list))
        .routes(routes!(order::hold::remove))
        .routes(routes!(order::lines::orders))
        .routes(routes!(order::lines::applications))
        .routes(routes!(order::watch::get))
        .routes(routes!(order::watch::watch))
        .routes(routes!(release::precheck::start, release::precheck::result))
        .routes(routes!(release::precheck::preview))
        .routes(routes!(application::list::list))
        .routes(routes!(application::list::get))
        .routes(routes!(application::k8s_application::get))
        .routes(routes!(release::history::list))
        .routes(routes!(application::status::query))
        .routes(routes!(application::instance::list))
        .routes(routes!(application::instance::deployment))
        .routes(routes!(application::deploy_group::list))
        .routes(routes!(application::java_config::start_up))
        .routes(routes!(application::java_config::web_container))
        .routes(routes!(cluster::k8s_cluster::get_clusters))
        .routes(routes!(cluster::k8s_cluster::list_namespaces))
        .routes(routes!(cluster::imported::get))
        .routes(routes!(cluster::imported::list))
        .routes(routes!(cluster::imported::import))
        .routes(routes!(cluster::imported::remove))
        .routes(routes!(cluster::region::list_regions))
        .routes(routes!(cluster::region::list_namespaces))
        .routes(routes!(cluster::region::describe, cluster::region::forget))
        .routes(routes!(application::component::list))
        .routes(routes!(application::component::list_build_packs))
        .routes(routes!(
            network::k8s_service::create,
            network::k8s_service::update,
            network::k8s_service::list,
            network::k8s_service::delete
        ))
        .routes(routes!(
            network::k8s_ingress::create,
            network::k8s_ingress::update,
            network::k8s_ingress::list,
            network::k8s_ingress::delete
        ))
        .routes(routes!(
            config::k8s_config_map::create,
            config::k8s_config_map::update,
            config::k8s_config_map::list,
            config::k8s_config_map::delete
        ))
        .routes(routes!(
            config::k8s_secret::create,
            config::k8s_secret::update,
            config::k8s_secret::list,
            config::k8s_secret::delete
        ))
        .routes(routes!(
            config::config_template::create,
            config::config_template::update,
            config::config_template::list,
            config::config_template::delete
        ))
        .routes(routes!(network::k8s_slb::bind, network::k8s_slb::update, network::k8s_slb::unbind))
        .routes(routes!(
            application::scaling_rule::create,
            application::scaling_rule::update,
            application::scaling_rule::delete
        ))
        .routes(routes!(application::scaling_rule::list))
        .routes(routes!(application::scaling_rule::enable))
        .routes(routes!(application::scaling_rule::disable))
        .routes(routes!(application::tag::tag, application::tag::untag, application::tag::list))
        .routes(routes!(package::package_storage::get_credential))
        .routes(routes!(package::package_storage::get_region_config))
        .routes(routes!(access::key::create, access::key::list_all))
        .routes(routes!(access::key::get, access::key::remove))
        .routes(routes!(access::key::enable))
        .routes(routes!(access::key::disable))
        .routes(routes!(access::key::rotate))
        .routes(routes!(access::principal::create, access::principal::list))
        .routes(routes!(access::principal::get, access::principal::remove))
        .routes(routes!(access::principal::attach, access::principal::detach))
        .routes(routes!(access::policy::create, access::policy::list))
        .routes(routes!(access::policy::get, access::policy::remove))
}

fn health() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz))
}

/// What `admit` lets through has a route; a test holds both lists together.
async fn unoffered() -> error::ApiError {
    error::ApiError::not_found()
}
