//! Around every page: what a browser may do with it, and that no other site sends its forms.

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY,
            STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{Channel, fault::Fault};

/// Nothing inline, and nothing of another host.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

const ALWAYS: [(HeaderName, HeaderValue); 2] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// The pages' own forms say where they come from. A page whose address is a secret says no more
/// than nothing.
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");

/// Browsers keep it for a year that this host is asked by HTTPS.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Answers a request, unless another site made a browser send it.
pub(crate) async fn around(request: Request, next: Next) -> Response {
    let is_encrypted = request.extensions().get::<Channel>() == Some(&Channel::Encrypted);
    let mut response = match same_site(request.method(), request.headers()) {
        true => next.run(request).await,
        false => Fault::cross_site().into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(REFERRER_POLICY).or_insert(REFERRER);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if is_encrypted {
        headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    response
}

/// Whether a request that may change something comes from one of our own pages. Browsers
/// say so in `Sec-Fetch-Site`, and older ones in `Origin`; who says neither is refused.
fn same_site(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) {
        return true;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match (text(ORIGIN), text(HOST)) {
        (Some(origin), Some(host)) => {
            let of_origin =
                origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            of_origin == Some(host)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("POST", &[("sec-fetch-site", "same-origin")], true)]
    #[case("POST", &[("sec-fetch-site", "same-site")], false)]
    #[case("POST", &[("sec-fetch-site", "cross-site"), ("origin", "http://a:1"), ("host", "a:1")], false)]
    #[case("POST", &[("sec-fetch-site", "none")], false)]
    #[case("POST", &[("origin", "http://a:1"), ("host", "a:1")], true)]
    #[case("POST", &[("origin", "http://a.example"), ("host", "a:1")], false)]
    #[case("POST", &[("origin", "null"), ("host", "a:1")], false)]
    #[case("POST", &[("host", "a:1")], false)]
    #[case("DELETE", &[], false)]
    #[case("GET", &[("sec-fetch-site", "cross-site")], true)]
    fn only_our_own_pages_may_send_a_form(
        #[case] method: Method,
        #[case] headers: &[(&'static str, &str)],
        #[case] fits: bool,
    ) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        assert_eq!(same_site(&method, &headers), fits);
    }
}
