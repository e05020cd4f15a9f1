//! The page at `/docs`: Swagger UI, which can call the server.
//!
//! It is the library's, but for what starts it: that signs in the browser with an
//! access key, which never leaves it.

use std::sync::LazyLock;

use axum::{Router, http::header::CONTENT_TYPE, middleware, routing::get};
use bytes::Bytes;
use utoipa_swagger_ui::SwaggerUi;

use super::security;

/// Takes the place of Swagger UI's own.
const INITIALIZER: &str = include_str!("docs/swagger-initializer.js");

/// The document as text, once: strangers may ask for it, and for many at a time.
static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| crate::openapi().to_json().unwrap_or_default().into());

/// The page, and the document that it shows.
pub(crate) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let started = get(async || ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], INITIALIZER));
    let document = get(async || ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone()));
    let page = Router::new().merge(SwaggerUi::new("/docs")).route("/openapi.json", document);
    page.route("/docs/swagger-initializer.js", started)
        .layer(middleware::map_response(async |response| security::page(response)))
}
