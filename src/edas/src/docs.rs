//! The page at `/docs`: Swagger UI, which can call the server.
//!
//! It is the library's, but for what starts it: that signs in the browser with an
//! access key, which never leaves it.

use axum::{Router, http::header::CONTENT_TYPE, middleware, routing::get};
use utoipa_swagger_ui::SwaggerUi;

use super::security;

/// Takes the place of Swagger UI's own.
const INITIALIZER: &str = include_str!("docs/swagger-initializer.js");

/// The page, and the document that it shows.
pub(super) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let started = get(async || ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], INITIALIZER));
    let page = Router::new().merge(SwaggerUi::new("/docs").url("/openapi.json", super::openapi()));
    page.route("/docs/swagger-initializer.js", started).layer(middleware::map_response(async |response| security::page(response)))
}
