//! The newer scheme, ACS3-HMAC-SHA256 over a canonical request.
//!
//! The header list of the request decides which headers are signed (K5:
//! Python signs all, Node only some), but host, date, body digest and every
//! `x-acs-*` header must be among them. Values are taken exactly as sent,
//! `host` above all (K6). The body is always covered, through its digest.

use hex::encode as hex_of;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::{Claim, Refusal, Scheme, SignedRequest, instant_of, nonce_of, roa::acs_headers, text_of};

/// The scheme's name, as in `Authorization`.
pub(super) const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// RFC 3986: everything but the unreserved characters is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Reads the claim from `Credential=…,SignedHeaders=…,Signature=…`.
pub(super) fn read(request: SignedRequest<'_>, credentials: &str) -> Result<Claim, Refusal> {
    let headers = request.headers;
    let malformed = || Refusal::Incomplete {
        reason: format!("Authorization must read `{ALGORITHM} Credential=<key id>,SignedHeaders=<a;b;…>,Signature=<64 hex digits>`"),
    };
    let field = |name: &str| {
        let mut fields = credentials.split(',').map(str::trim).filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value).ok_or_else(malformed)
    };
    let (key_id, signed_headers) = (field("Credential")?, field("SignedHeaders")?);
    let signature = hex::decode(field("Signature")?).map_err(|_| malformed())?;

    let listed: Vec<&str> = signed_headers.split(';').collect();
    let must = ["host", "x-acs-date", "x-acs-content-sha256"].into_iter().chain(acs_headers(headers));
    for name in must {
        if !listed.contains(&name) {
            return Err(Refusal::Incomplete { reason: format!("SignedHeaders must contain {name}") });
        }
    }
    let date = text_of(headers, "x-acs-date")?;
    let signed_at = instant_of("x-acs-date", date)?;
    let body_digest = hex_of(Sha256::digest(request.body));
    if text_of(headers, "x-acs-content-sha256")? != Some(&body_digest) {
        return Err(Refusal::BodyDigest { header: "ContentSha256" });
    }
    let canonical = canonical_request(request, &listed, signed_headers, &body_digest)?;
    Ok(Claim {
        key_id: key_id.to_owned(),
        scheme: Scheme::Acs3HmacSha256,
        signed_at,
        date: date.unwrap_or_default().to_owned(),
        nonce: nonce_of(headers)?,
        body_signed: true,
        signature,
        strings_to_sign: vec![format!("{ALGORITHM}\n{}", hex_of(Sha256::digest(canonical)))],
    })
}

fn canonical_request(request: SignedRequest<'_>, listed: &[&str], signed_headers: &str, body_digest: &str) -> Result<String, Refusal> {
    let path = if request.path.is_empty() { "/" } else { request.path };
    let mut pairs: Vec<_> = request.query.iter().collect();
    pairs.sort();
    let query: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    let mut lines = String::new();
    for name in listed {
        lines.push_str(&format!("{name}:{}\n", canonical_value(request, name)?));
    }
    Ok(format!("{}\n{path}\n{}\n{lines}\n{signed_headers}\n{body_digest}", request.method, query.join("&")))
}

/// A header's value, trimmed; several are sorted and joined.
fn canonical_value(request: SignedRequest<'_>, name: &str) -> Result<String, Refusal> {
    let mut values = Vec::new();
    for value in request.headers.get_all(name) {
        let text = std::str::from_utf8(value.as_bytes());
        values.push(text.map_err(|_| Refusal::Incomplete { reason: format!("the header {name} is not UTF-8") })?.trim());
    }
    values.sort_unstable();
    Ok(values.join(","))
}

fn escape(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}
