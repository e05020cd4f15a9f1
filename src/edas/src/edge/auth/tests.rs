//! What makes two requests the same one.
//!
//! Signatures themselves are tested beside `signature`; whole calls, with keys
//! from a database, in `http/tests/signed.rs`.

use axum::http::HeaderMap;

use super::*;
use crate::wire::params::Params;

/// The identity of an HMAC-SHA1 request; its signature is not checked here.
fn identity_of(nonce: Option<&str>, date: &str, query: &str, signature: &str) -> RequestIdentity {
    let mut headers = HeaderMap::new();
    headers.insert("date", date.parse().unwrap());
    headers.insert("authorization", format!("acs key:{signature}").parse().unwrap());
    if let Some(nonce) = nonce {
        headers.insert("x-acs-signature-nonce", nonce.parse().unwrap());
    }
    let params = Params::parse(query).unwrap();
    let request = SignedRequest {
        method: &Method::POST,
        path: "/p",
        query: params.pairs(),
        headers: &headers,
    };
    let claim = Claim::read(request, SignaturePolicy { hmac_sha1: true, parameters: &[] }).unwrap();
    identity(&claim, &Method::POST, "/p", query)
}

const NOW: &str = "Mon, 23 Nov 2026 06:54:25 GMT";
const LATER: &str = "Mon, 23 Nov 2026 06:54:26 GMT";

#[test]
fn a_nonce_is_the_identity_and_the_signature_tells_its_requests_apart() {
    let first = identity_of(Some("n"), NOW, "A=1", "AAAA");
    assert_eq!(first.nonce, "n");
    assert_eq!(first, identity_of(Some("n"), NOW, "A=1", "AAAA"));
    let other = identity_of(Some("n"), NOW, "A=2", "BBBB");
    assert!(other.nonce == first.nonce && other.digest != first.digest);
}

#[test]
fn without_a_nonce_signature_date_and_target_are_the_identity() {
    let first = identity_of(None, NOW, "A=1", "AAAA");
    assert_eq!(first, identity_of(None, NOW, "A=1", "AAAA"));
    for other in [
        identity_of(None, LATER, "A=1", "AAAA"),
        identity_of(None, NOW, "A=2", "AAAA"),
        identity_of(None, NOW, "A=1", "BBBB"),
    ] {
        assert_ne!(first.nonce, other.nonce);
    }
}

#[test]
fn neither_signature_nor_secret_is_in_the_identity() {
    let identity = identity_of(None, NOW, "A=1", "AAAA");
    assert!(identity.nonce.len() == 64 && identity.digest.len() == 64);
    assert!(!format!("{identity:?}").contains("AAAA"));
}
