//! Pages for people: what runs, how a release goes on, and the buttons to act on it.
//!
//! Rendered here from templates, as links and forms that work without a script. What they
//! show and do comes from `service`, by the same use cases as the API's. Whoever uses them
//! has a session, which a cookie proves here and nowhere else: no other path reads it.

mod asset;
mod channel;
mod fault;
mod form;
mod frame;
mod guard;
mod live;
mod page;
mod provider;
mod session;
mod words;

pub use channel::{Channel, Visitor};
pub use form::Form;
pub use provider::People;
pub use service::diff::{Line, LineKind, diff, shown};

use std::time::Duration;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{get, post},
};
use tower_http::timeout::TimeoutLayer;

use service::{Permit, Service};

/// Longest time for a page.
const TIME_LIMIT: Duration = Duration::from_secs(9);

/// Most bytes of a form.
pub const FORM_LIMIT: usize = 64 << 10;

/// What every page needs.
#[derive(Debug, Clone)]
pub struct Console {
    /// The use cases, for somebody who may do nothing, until somebody is signed in.
    service: Service,
    /// Who signs in through an identity provider, where there is one.
    people: Option<People>,
}

/// What is served.
#[derive(Debug)]
pub struct Routes {
    /// The pages. Each request must carry its [`Channel`] and [`Visitor`].
    pub open: Router,
    /// Signing in, for whoever was proven to have an access key: the request carries the
    /// [`service::Caller`], and what the pages' requests carry.
    pub signed: Router,
}

/// The pages. Orders are followed where [`Service::keep_watches`] runs, and as long.
#[must_use]
pub fn routes(service: Service) -> Routes {
    routes_for(service, None)
}

/// The same, for people who sign in through an identity provider too.
#[must_use]
pub fn routes_for(service: Service, people: Option<People>) -> Routes {
    let console = Console { service: service.within(Permit::nobody()), people };
    let pages = Router::new()
        .route("/console", get(page::applications::begin))
        .route("/console/", get(page::applications::begin))
        .route("/console/apps", get(page::applications::list))
        .route("/console/apps/{id}", get(page::application::show))
        .route("/console/apps/{id}/operate", post(page::application::operate))
        .route("/console/apps/{id}/release", get(page::release::form).post(page::release::send))
        .route("/console/orders", get(page::orders::list))
        .route("/console/orders/{id}", get(page::order::show))
        .route("/console/orders/{id}/{action}", post(page::action::act))
        .route("/console/holds", get(page::holds::list).post(page::holds::create))
        .route("/console/holds/{name}/delete", post(page::holds::delete))
        .route("/console/keys", get(page::people::keys))
        .route("/console/channels", get(page::channels::list))
        .route("/console/sessions", get(page::people::sessions))
        .route("/console/sessions/{id}/end", post(page::people::end))
        .route("/console/sign-in", get(session::sign_in_page))
        .route("/console/sign-in/provider", get(provider::begin))
        .route("/console/sign-in/callback", get(provider::back))
        .route("/console/sign-out", post(session::sign_out))
        .route("/console/link", post(session::use_link))
        .route("/console/link/{token}", get(session::link_page))
        .route("/console/{*rest}", get(fault::unknown))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIME_LIMIT));
    let open = Router::new()
        .merge(pages)
        .merge(asset::routes())
        .route("/console/orders/{id}/live", get(live::follow))
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(middleware::from_fn(guard::around))
        .with_state(console.clone());
    let signed = Router::new()
        .route("/sluice/v1/console/session", post(session::sign_in))
        .layer(middleware::from_fn(guard::around))
        // No browser asks for it, and no cookie counts.
        .route("/sluice/v1/console/link", post(session::make_link))
        .with_state(console);
    Routes { open, signed }
}
