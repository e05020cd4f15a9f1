//! OSS' signature, version 1: pure functions.
//!
//! `Authorization: OSS <id>:<base64>`, HMAC-SHA1 over method, Content-MD5,
//! Content-Type, Date, every `x-oss-*` header, bucket and key, the key as it is
//! meant and not as it is escaped, and the query's sub-resources ([`Query::signed`]). The credential's token comes along in
//! `x-oss-security-token`, and is signed with the rest.

use axum::http::{HeaderMap, Method, StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::Hmac;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha1::Sha1;

use super::{Object, OssRefusal, Query};
use crate::wire::signature::{WINDOW, instant_of, matches_mac, text_of};
use domain::{
    CredentialId,
    limits::{SIGNED_HEADER_BYTES, SIGNED_HEADERS},
};
use service::UploadCredential;

/// Longest signature that is decoded, in characters; 20 bytes have 28.
const LONGEST_SIGNATURE: usize = 64;

/// Who a request says it is from, and what would prove it. Not verified yet.
pub struct OssClaim {
    pub(in crate::operation::package::oss) credential: CredentialId,
    signature: Vec<u8>,
    token: String,
    signed_at: Timestamp,
    string_to_sign: String,
}

/// No such credential.
pub(in crate::operation::package::oss) fn unknown() -> OssRefusal {
    OssRefusal::denied(
        "InvalidAccessKeyId",
        "There is no such credential: ask for one with GetPackageStorageCredential.",
    )
}

impl OssClaim {
    /// Reads the claim of a request.
    ///
    /// # Errors
    /// No `Authorization` of this scheme, a date that cannot be read, or more signed
    /// headers than may be.
    pub fn read(
        method: &Method,
        headers: &HeaderMap,
        object: &Object,
        query: &Query,
    ) -> Result<Self, OssRefusal> {
        let text = |name: &'static str| {
            let read = text_of(headers, name);
            read.map_err(|_| {
                OssRefusal::new(
                    StatusCode::BAD_REQUEST,
                    "InvalidArgument",
                    format!("The header {name} cannot be read."),
                )
            })
        };
        let unsigned = || {
            OssRefusal::denied(
                "AccessDenied",
                "Sign the request with OSS' signature version 1: Authorization: OSS id:signature.",
            )
        };
        let authorization =
            text("authorization")?.and_then(|it| it.strip_prefix("OSS ")).ok_or_else(unsigned)?;
        let (id, signature) = authorization.trim().split_once(':').ok_or_else(unsigned)?;
        if signature.len() > LONGEST_SIGNATURE {
            return Err(mismatch());
        }
        let date = text("date")?;
        Ok(Self {
            credential: id.parse().map_err(|_| unknown())?,
            signature: STANDARD.decode(signature).map_err(|_| mismatch())?,
            token: text("x-oss-security-token")?.unwrap_or_default().into(),
            signed_at: instant_of("date", date).map_err(|_| {
                OssRefusal::denied(
                    "AccessDenied",
                    "The header Date must be there, as RFC 1123 writes it.",
                )
            })?,
            string_to_sign: string_to_sign(method, headers, object, query)?,
        })
    }

    /// Checks the date: before the credential is looked up.
    ///
    /// # Errors
    /// A date that is more than [`WINDOW`] off.
    pub fn check_window(&self, now: Timestamp) -> Result<(), OssRefusal> {
        if self.signed_at.duration_since(now).abs() > WINDOW {
            return Err(OssRefusal::denied(
                "RequestTimeTooSkewed",
                "The header Date is more than 15 minutes off.",
            ));
        }
        Ok(())
    }

    /// Checks signature and token.
    ///
    /// # Errors
    /// Says which of the two is wrong.
    pub fn verify(&self, credential: &UploadCredential) -> Result<(), OssRefusal> {
        if !matches_mac::<Hmac<Sha1>>(
            credential.secret.expose_secret().as_bytes(),
            &self.string_to_sign,
            &self.signature,
        ) {
            return Err(mismatch());
        }
        if !credential.shows(&self.token) {
            return Err(OssRefusal::denied(
                "InvalidSecurityToken",
                "x-oss-security-token is not the credential's SecurityToken.",
            ));
        }
        Ok(())
    }
}

fn mismatch() -> OssRefusal {
    OssRefusal::denied(
        "SignatureDoesNotMatch",
        "The signature is not that of the request: check AccessKeySecret, bucket and key.",
    )
}

/// The standard headers that are signed, in the order in which they are.
const STANDARD_HEADERS: [&str; 3] = ["content-md5", "content-type", "date"];

fn string_to_sign(
    method: &Method,
    headers: &HeaderMap,
    object: &Object,
    query: &Query,
) -> Result<String, OssRefusal> {
    let value = |name: &str| {
        let read = text_of(headers, name).map(|text| text.unwrap_or_default().trim());
        read.map_err(|_| {
            OssRefusal::new(
                StatusCode::BAD_REQUEST,
                "InvalidArgument",
                "A header that is signed cannot be read.",
            )
        })
    };
    let names = headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-oss-"));
    let mut names: Vec<&str> = names.take(SIGNED_HEADERS + 1).collect();
    let mut bytes = 0;
    for name in STANDARD_HEADERS.iter().chain(&names) {
        bytes += name.len() + value(name)?.len();
    }
    if names.len() > SIGNED_HEADERS || bytes > SIGNED_HEADER_BYTES {
        let message = format!(
            "At most {SIGNED_HEADERS} headers x-oss-… are signed, and all signed headers together may have {SIGNED_HEADER_BYTES} bytes."
        );
        return Err(OssRefusal::new(StatusCode::BAD_REQUEST, "InvalidArgument", message));
    }
    names.sort_unstable();
    let mut text = format!("{method}\n");
    for name in STANDARD_HEADERS {
        text.push_str(value(name)?);
        text.push('\n');
    }
    for name in names {
        for part in [name, ":", value(name)?, "\n"] {
            text.push_str(part);
        }
    }
    text.push_str(&object.resource());
    text.push_str(&query.signed());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_by_the_thousand_and_without_end_are_refused() {
        let (object, query) =
            (Object { bucket: "b".into(), key: "k".into() }, Query::read(None).unwrap());
        let mut headers = HeaderMap::new();
        let mut set = |name: String, value: &str| {
            headers.insert(axum::http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            string_to_sign(&Method::PUT, &headers, &object, &query)
                .map(|text| text.len())
                .map_err(|refusal| refusal.message)
        };
        let said: Vec<_> =
            (0..=SIGNED_HEADERS).map(|number| set(format!("x-oss-{number}"), "1")).collect();
        assert!(said[..SIGNED_HEADERS].iter().all(Result::is_ok));
        assert!(said[SIGNED_HEADERS].as_ref().unwrap_err().contains("At most 100 headers"));
        let mut headers = HeaderMap::new();
        headers.insert("x-oss-meta-a", "x".repeat(SIGNED_HEADER_BYTES).parse().unwrap());
        assert!(string_to_sign(&Method::PUT, &headers, &object, &query).is_err());
    }

    /// As the Maven plugin's OSS SDK 2.8.3 signed it, with the secret `osssecret`.
    #[test]
    fn a_recorded_upload_has_the_signature_that_its_sdk_made() {
        let key = "pkg/1000/apps/11111111-2222-3333-4444-555555555500/fa6ab91b-88e3-4d20-b45d-332e34076eca/demo-app-1.0.jar";
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-oss-security-token", "oss-token"),
            ("date", "Mon, 23 Nov 2026 23:14:02 GMT"),
            ("content-type", "application/x-java-archive"),
            ("host", "edas-packages.oss.test.internal:18500"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let object = Object { bucket: "edas-packages".into(), key: key.into() };
        let text =
            string_to_sign(&Method::PUT, &headers, &object, &Query::read(None).unwrap()).unwrap();
        let signature = STANDARD.decode("vCOVCpyq0j9bMR7xlqLPJrmUUyI=").unwrap();
        assert!(matches_mac::<Hmac<Sha1>>(b"osssecret", &text, &signature));
        assert!(!matches_mac::<Hmac<Sha1>>(b"osssecret ", &text, &signature));
    }
}
