//! The two Alibaba request signatures: reading a request's claim, and checking it.
//!
//! Pure functions over method, path, parameters, headers and body; the current
//! time and the secret come in as arguments. A request is first read into a
//! [`Claim`] (whose key, which scheme, signed when), which needs no secret and costs
//! little, and then verified: only then is anything hashed. Both schemes sign the body
//! by a digest in the head, so the head alone shows whose request it is; that the body
//! has this digest is checked when it is there. Knows nothing of where keys are kept, nor of replays.
//!
//! Checked against recorded requests of seven SDKs in `tests/clients/captures`.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use md5::Md5;
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

mod acs3;
mod refusal;
mod roa;
mod sign;

pub use crate::wire::signature::{
    refusal::SignatureRefusal,
    sign::{Signer, query},
};

use domain::{limits::NONCE, rejection::shortened};

/// How far a request's date may be from the server's clock, either way.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(15);

/// A request's head, as far as signatures cover it.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    pub method: &'a Method,
    /// Path exactly as sent, without the query.
    pub path: &'a str,
    /// The query's pairs, decoded once as a form (K3), in the order sent.
    pub query: &'a [(String, String)],
    pub headers: &'a HeaderMap,
}

/// What is accepted beyond a correct signature.
#[derive(Debug, Clone, Copy)]
pub struct SignaturePolicy<'a> {
    /// Whether the older scheme HMAC-SHA1 is accepted at all (K20).
    pub hmac_sha1: bool,
    /// Documented parameters of the operation called, sorted: in HMAC-SHA1 no value may
    /// look as if it held another of them (K20).
    pub parameters: &'a [String],
}

/// A signature scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: acs <key id>:<base64>`, string to sign with decoded values.
    HmacSha1,
    /// `Authorization: ACS3-HMAC-SHA256 Credential=…`, canonical request.
    Acs3HmacSha256,
}

impl Scheme {
    /// Its name, as access keys are bound to it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::Acs3HmacSha256 => "acs3-hmac-sha256",
        }
    }
}

/// What the head of a request says of its body.
#[derive(Clone, PartialEq, Eq)]
enum BodyDigest {
    /// Its SHA-256 in hex.
    Sha256(String),
    /// Its MD5 in Base64.
    Md5(String),
    /// Nothing: it is not signed, or there is none.
    None,
}

/// Who a request says it is from, and what would prove it. Not verified yet.
#[derive(Clone)]
pub struct Claim {
    pub key_id: String,
    pub scheme: Scheme,
    /// When it was signed, by the client's clock.
    pub signed_at: Timestamp,
    /// The date as sent; part of what makes a request without a nonce the same one.
    pub date: String,
    /// The signature nonce; old Python and old Go send none (K8).
    pub nonce: Option<String>,
    body: BodyDigest,
    signature: Vec<u8>,
    /// Names of the headers that are signed, sorted; with HMAC-SHA1, of the `x-acs-*` ones.
    signed_headers: Vec<String>,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the signature nor the parameters belong into a log.
        f.debug_struct("Claim")
            .field("key_id", &self.key_id)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

impl Claim {
    /// Reads the claim of a request. Hashes nothing and builds nothing of it.
    ///
    /// # Errors
    /// Everything that can be refused without knowing the key: no or a malformed
    /// `Authorization`, an algorithm that is not offered, signed headers past their
    /// limits, an unreadable date, an ambiguous HMAC-SHA1 query.
    pub fn read(
        request: SignedRequest<'_>,
        policy: SignaturePolicy<'_>,
    ) -> Result<Self, SignatureRefusal> {
        let Some(authorization) = text_of(request.headers, "authorization")? else {
            return Err(SignatureRefusal::incomplete(
                "the Authorization header is missing: sign the request with ACS3-HMAC-SHA256 or HMAC-SHA1",
            ));
        };
        let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
        match algorithm {
            "acs" if policy.hmac_sha1 => roa::read(request, rest.trim(), policy.parameters),
            "acs" => Err(SignatureRefusal::Method {
                found: "HMAC-SHA1".into(),
                accepted: "ACS3-HMAC-SHA256",
            }),
            acs3::ALGORITHM => acs3::read(request, rest.trim()),
            other => Err(SignatureRefusal::Method {
                found: other.chars().take(40).collect(),
                accepted: if policy.hmac_sha1 {
                    "ACS3-HMAC-SHA256 and HMAC-SHA1"
                } else {
                    "ACS3-HMAC-SHA256"
                },
            }),
        }
    }

    /// Checks that the request was signed within [`WINDOW`] of `now`.
    ///
    /// # Errors
    /// [`SignatureRefusal::DateExpired`].
    pub fn check_window(&self, now: Timestamp) -> Result<(), SignatureRefusal> {
        if self.signed_at.duration_since(now).abs() > WINDOW {
            return Err(SignatureRefusal::DateExpired { signed_at: self.signed_at, now });
        }
        Ok(())
    }

    /// Checks the signature of `request`, which this was read from, against the key's
    /// secret, in constant time. With it the body's digest is proven, but not yet the body.
    ///
    /// # Errors
    /// [`SignatureRefusal::Mismatch`] with the string that should have been signed.
    pub fn verify(
        &self,
        request: SignedRequest<'_>,
        secret: &SecretString,
    ) -> Result<(), SignatureRefusal> {
        let secret = secret.expose_secret().as_bytes();
        let matches = |text: &String| match self.scheme {
            Scheme::HmacSha1 => matches_mac::<Hmac<Sha1>>(secret, text, &self.signature),
            Scheme::Acs3HmacSha256 => matches_mac::<Hmac<Sha256>>(secret, text, &self.signature),
        };
        let strings_to_sign = self.strings_to_sign(request)?;
        if strings_to_sign.iter().any(matches) {
            return Ok(());
        }
        Err(SignatureRefusal::Mismatch {
            string_to_sign: strings_to_sign.into_iter().next().unwrap_or_default(),
        })
    }

    /// Checks that the body is the one that the head speaks of.
    ///
    /// # Errors
    /// A body that differs from its digest header.
    pub fn check_body(&self, body: &[u8]) -> Result<(), SignatureRefusal> {
        match &self.body {
            BodyDigest::Sha256(digest) if *digest != hex::encode(Sha256::digest(body)) => {
                Err(SignatureRefusal::BodyDigest { header: "ContentSha256" })
            }
            BodyDigest::Md5(digest) if *digest != STANDARD.encode(Md5::digest(body)) => {
                Err(SignatureRefusal::BodyDigest { header: "ContentMD5" })
            }
            _ => Ok(()),
        }
    }

    /// Whether the signature covers `body`, or there is none.
    #[must_use]
    pub fn covers(&self, body: &[u8]) -> bool {
        body.is_empty() || self.body != BodyDigest::None
    }

    /// The text that was signed. HMAC-SHA1 has two where a value is empty (K4).
    fn strings_to_sign(&self, request: SignedRequest<'_>) -> Result<Vec<String>, SignatureRefusal> {
        match self.scheme {
            Scheme::HmacSha1 => roa::strings_to_sign(self, request),
            Scheme::Acs3HmacSha256 => acs3::string_to_sign(self, request).map(|text| vec![text]),
        }
    }

    /// The signature's bytes: what tells two requests of one nonce apart.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

pub(crate) fn matches_mac<M: Mac + KeyInit>(secret: &[u8], text: &str, signature: &[u8]) -> bool {
    // HMAC takes keys of every length, so an error means no match can be had.
    <M as KeyInit>::new_from_slice(secret)
        .is_ok_and(|mac| mac.chain_update(text).verify_slice(signature).is_ok())
}

/// A header's only value, as text.
pub(crate) fn text_of<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> Result<Option<&'a str>, SignatureRefusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(SignatureRefusal::incomplete(format!(
            "the header {} is there more than once",
            shortened(name)
        )));
    }
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(SignatureRefusal::incomplete(format!(
            "the header {} is not UTF-8",
            shortened(name)
        ))),
    }
}

/// Names of all `x-acs-*` headers.
fn acs_headers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-acs-"))
}

/// The signature nonce, if one was sent.
fn nonce_of(headers: &HeaderMap) -> Result<Option<String>, SignatureRefusal> {
    match text_of(headers, "x-acs-signature-nonce")? {
        Some(nonce) if nonce.len() > NONCE => Err(SignatureRefusal::incomplete(format!(
            "x-acs-signature-nonce has more than {NONCE} characters"
        ))),
        Some("") | None => Ok(None),
        Some(nonce) => Ok(Some(nonce.to_owned())),
    }
}

/// Reads `x-acs-date` (ISO 8601 in UTC) or `Date` (RFC 1123).
pub(crate) fn instant_of(
    header: &'static str,
    value: Option<&str>,
) -> Result<Timestamp, SignatureRefusal> {
    let value = value.unwrap_or_default();
    let instant = if header == "date" {
        rfc2822::parse(value).map(|it| it.timestamp())
    } else {
        value.parse()
    };
    instant.map_err(|_| SignatureRefusal::DateFormat {
        header,
        value: value.chars().take(60).collect(),
    })
}

#[cfg(test)]
mod tests;
