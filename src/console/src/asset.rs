//! The style sheet, the script and the icon.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

use crate::Console;

const STYLE: &str = include_str!("../assets/console.css");
const SCRIPT: &str = include_str!("../assets/console.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// Their addresses change with what is in them, so that browsers may keep them.
pub(crate) static STYLE_PATH: LazyLock<String> =
    LazyLock::new(|| format!("/console/console.css?v={}", digest(STYLE)));
pub(crate) static SCRIPT_PATH: LazyLock<String> =
    LazyLock::new(|| format!("/console/console.js?v={}", digest(SCRIPT)));

fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..6])
}

pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/console.css", get(async || asset(STYLE, "text/css; charset=utf-8")))
        .route("/console/console.js", get(async || asset(SCRIPT, "text/javascript; charset=utf-8")))
        .route("/console/icon.svg", get(async || asset(ICON, "image/svg+xml")))
}

fn asset(text: &'static str, kind: &'static str) -> Response {
    let kept = HeaderValue::from_static("public, max-age=3600");
    ([(CONTENT_TYPE, HeaderValue::from_static(kind)), (CACHE_CONTROL, kept)], text).into_response()
}
