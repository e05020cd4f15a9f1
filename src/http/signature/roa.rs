//! The older scheme, HMAC-SHA1 over a string with decoded parameter values.
//!
//! Sent by the old SDKs, aliyun-cli, Terraform and the build plugins. What is
//! signed: method, four standard headers (an absent one leaves its line empty,
//! R5), every `x-acs-*` header, path and query. Not signed: Host, the
//! `x-sdk-*` headers, and the body unless Content-MD5 is there.

use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};

use super::{Claim, Refusal, Scheme, SignedRequest, instant_of, nonce_of, text_of};

/// Reads the claim from `<key id>:<base64 signature>`.
pub(super) fn read(request: SignedRequest<'_>, credentials: &str, parameters: &[String]) -> Result<Claim, Refusal> {
    let headers = request.headers;
    let malformed = || Refusal::Incomplete { reason: "Authorization must read `acs <key id>:<base64 signature>`".into() };
    let (key_id, signature) = credentials.split_once(':').ok_or_else(malformed)?;
    let signature = STANDARD.decode(signature).map_err(|_| malformed())?;
    if let Some(method) = text_of(headers, "x-acs-signature-method")?
        && method != "HMAC-SHA1"
    {
        return Err(Refusal::Method { found: method.chars().take(40).collect(), accepted: "HMAC-SHA1 (with `Authorization: acs`)" });
    }
    // Browsers cannot set Date; x-acs-date is signed like every x-acs header.
    let date_header = if headers.contains_key("date") { "date" } else { "x-acs-date" };
    let date = text_of(headers, date_header)?;
    let signed_at = instant_of(date_header, date)?;
    refuse_ambiguity(request.query, parameters)?;
    let md5 = text_of(headers, "content-md5")?;
    if md5.is_some_and(|expected| STANDARD.encode(Md5::digest(request.body)) != expected) {
        return Err(Refusal::BodyDigest { header: "ContentMD5" });
    }
    let mut strings_to_sign = vec![string_to_sign(request, "=")?];
    if request.query.iter().any(|(_, value)| value.is_empty()) {
        strings_to_sign.push(string_to_sign(request, "")?);
    }
    Ok(Claim {
        key_id: key_id.to_owned(),
        scheme: Scheme::HmacSha1,
        signed_at,
        date: date.unwrap_or_default().to_owned(),
        nonce: nonce_of(headers)?,
        body_signed: request.body.is_empty() || md5.is_some(),
        signature,
        strings_to_sign,
    })
}

/// The string to sign; `empty` stands behind the name of a parameter whose
/// value is empty: `=` with Python and Node, nothing with Go and Java (K4).
fn string_to_sign(request: SignedRequest<'_>, empty: &str) -> Result<String, Refusal> {
    let headers = request.headers;
    let mut text = format!("{}\n", request.method);
    for name in ["accept", "content-md5", "content-type", "date"] {
        text.push_str(text_of(headers, name)?.unwrap_or_default());
        text.push('\n');
    }
    for name in acs_headers(headers) {
        text.push_str(name);
        text.push(':');
        text.push_str(text_of(headers, name)?.unwrap_or_default());
        text.push('\n');
    }
    text.push_str(request.path);
    let mut pairs: Vec<_> = request.query.iter().collect();
    pairs.sort();
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push_str(if value.is_empty() { empty } else { "=" });
        text.push_str(value);
    }
    Ok(text)
}

/// Names of all `x-acs-*` headers, sorted.
pub(super) fn acs_headers(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-acs-")).collect();
    names.sort_unstable();
    names
}

/// Values are signed without escaping, so `A=1&B=2` and a parameter A with the
/// text `1&B=2` have the same signature: whoever sits between could join or
/// split parameters. Text that could be the result of that is refused (K20).
fn refuse_ambiguity(query: &[(String, String)], parameters: &[String]) -> Result<(), Refusal> {
    for (name, value) in query {
        if name.contains(['&', '=']) {
            return Err(Refusal::Ambiguous { parameter: name.clone(), looks_like: "& or = in a name".into() });
        }
        for inner in value.split('&').skip(1) {
            let inner_name = inner.split('=').next().unwrap_or(inner);
            if parameters.iter().any(|known| known == inner_name) {
                return Err(Refusal::Ambiguous { parameter: name.clone(), looks_like: format!("&{inner_name}") });
            }
        }
    }
    Ok(())
}
