//! The older scheme, HMAC-SHA1 over a string with decoded parameter values.
//!
//! Sent by the old SDKs, aliyun-cli, Terraform and the build plugins. What is
//! signed: method, four standard headers (an absent one leaves its line empty,
//! R5), every `x-acs-*` header, path and query. Not signed: Host, the
//! `x-sdk-*` headers, and the body unless Content-MD5 is there.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    BodyDigest, Claim, Scheme, SignatureRefusal, SignedRequest, acs_headers, instant_of, nonce_of,
    text_of,
};
use domain::{
    limits::{KEY_ID, SIGNED_HEADER_BYTES, SIGNED_HEADERS},
    rejection::shortened,
};

/// The standard headers that are signed, in the order in which they are.
const STANDARD_HEADERS: [&str; 4] = ["accept", "content-md5", "content-type", "date"];

/// Longest signature that is decoded, in characters; 20 bytes have 28.
const LONGEST_SIGNATURE: usize = 64;

/// Reads the claim from `<key id>:<base64 signature>`.
pub(in crate::wire::signature) fn read(
    request: SignedRequest<'_>,
    credentials: &str,
    parameters: &[String],
) -> Result<Claim, SignatureRefusal> {
    let headers = request.headers;
    let malformed = || {
        SignatureRefusal::incomplete("Authorization must read `acs <key id>:<base64 signature>`")
    };
    let (key_id, signature) = credentials.split_once(':').ok_or_else(malformed)?;
    if key_id.len() > KEY_ID || signature.len() > LONGEST_SIGNATURE {
        return Err(malformed());
    }
    let signature = STANDARD.decode(signature).map_err(|_| malformed())?;
    if let Some(method) = text_of(headers, "x-acs-signature-method")?
        && method != "HMAC-SHA1"
    {
        return Err(SignatureRefusal::Method {
            found: method.chars().take(40).collect(),
            accepted: "HMAC-SHA1 (with `Authorization: acs`)",
        });
    }
    // Browsers cannot set Date; x-acs-date is signed like every x-acs header.
    let date_header = if headers.contains_key("date") { "date" } else { "x-acs-date" };
    let date = text_of(headers, date_header)?;
    let signed_at = instant_of(date_header, date)?;
    let signed = signed_headers(request)?;
    refuse_ambiguity(request.query, parameters)?;
    Ok(Claim {
        key_id: key_id.to_owned(),
        scheme: Scheme::HmacSha1,
        signed_at,
        date: date.unwrap_or_default().to_owned(),
        nonce: nonce_of(headers)?,
        body: text_of(headers, "content-md5")?
            .map_or(BodyDigest::None, |digest| BodyDigest::Md5(digest.to_owned())),
        signature,
        signed_headers: signed,
    })
}

/// The names of the `x-acs-*` headers, sorted, once all that is signed is within its limits.
fn signed_headers(request: SignedRequest<'_>) -> Result<Vec<String>, SignatureRefusal> {
    let mut names: Vec<&str> = acs_headers(request.headers).take(SIGNED_HEADERS + 1).collect();
    let mut bytes = 0;
    for name in STANDARD_HEADERS.iter().chain(&names) {
        bytes += name.len() + text_of(request.headers, name)?.unwrap_or_default().len();
    }
    if names.len() > SIGNED_HEADERS || bytes > SIGNED_HEADER_BYTES {
        return Err(SignatureRefusal::incomplete(format!(
            "at most {SIGNED_HEADERS} headers x-acs-… are signed, and all signed headers together may have {SIGNED_HEADER_BYTES} bytes"
        )));
    }
    names.sort_unstable();
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// The texts that may have been signed: two where a value is empty (K4). Each is at most
/// as long as the request's head.
///
/// # Errors
/// A signed header that is not UTF-8, or is there more than once.
pub(in crate::wire::signature) fn strings_to_sign(
    claim: &Claim,
    request: SignedRequest<'_>,
) -> Result<Vec<String>, SignatureRefusal> {
    let mut strings = vec![string_to_sign(claim, request, "=")?];
    if request.query.iter().any(|(_, value)| value.is_empty()) {
        strings.push(string_to_sign(claim, request, "")?);
    }
    Ok(strings)
}

/// The string to sign; `empty` stands behind the name of a parameter whose
/// value is empty: `=` with Python and Node, nothing with Go and Java (K4).
fn string_to_sign(
    claim: &Claim,
    request: SignedRequest<'_>,
    empty: &str,
) -> Result<String, SignatureRefusal> {
    let headers = request.headers;
    let mut text = format!("{}\n", request.method);
    for name in STANDARD_HEADERS {
        text.push_str(text_of(headers, name)?.unwrap_or_default());
        text.push('\n');
    }
    for name in &claim.signed_headers {
        text.push_str(name);
        text.push(':');
        text.push_str(text_of(headers, name)?.unwrap_or_default());
        text.push('\n');
    }
    text.push_str(request.path);
    let mut pairs: Vec<_> = request.query.iter().collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push_str(if value.is_empty() { empty } else { "=" });
        text.push_str(value);
    }
    Ok(text)
}

/// Values are signed without escaping, so `A=1&B=2` and a parameter A with the text
/// `1&B=2` have the same signature: whoever sits between could join parameters into one
/// value, or cut one value into parameters (K20).
///
/// A value that may have been *joined* is refused here: one that has `&` and then a
/// documented parameter's name, alone or leading into it with dots (`&Data.2.Key=`), or
/// any name that counts a list (`&Any.2=`). Names with `&` or `=` are refused, too. So
/// nothing that a client gave apart can vanish in a value.
///
/// A value that was *cut* cannot be told here: the parameters that come of it are exactly
/// what an honest client could have sent, and their string to sign is the signed one. A
/// signed `ChangeOrderDesc` of `fix&Image=evil` can be delivered as ChangeOrderDesc and
/// Image. Against that only a transport helps in which nobody sits between, or
/// ACS3-HMAC-SHA256, which escapes. The form in a body is not concerned in either
/// direction: Content-MD5 covers it as it was sent, and without that no form is read.
fn refuse_ambiguity(
    query: &[(String, String)],
    parameters: &[String],
) -> Result<(), SignatureRefusal> {
    let ambiguous = |name: &str, looks_like: &str| SignatureRefusal::Ambiguous {
        parameter: shortened(name),
        looks_like: shortened(looks_like),
    };
    for (name, value) in query {
        if name.contains(['&', '=']) {
            return Err(ambiguous(name, "& or = in a name"));
        }
        for inner in value.split('&').skip(1) {
            let inner = inner.split('=').next().unwrap_or(inner);
            let (root, rest) = inner.split_once('.').unwrap_or((inner, ""));
            let is_known = parameters.binary_search_by(|known| known.as_str().cmp(root)).is_ok();
            if is_known || counts_a_list(root, rest) {
                return Err(ambiguous(name, &format!("&{inner}")));
            }
        }
    }
    Ok(())
}

/// Whether `root.rest` is a name such as `Data.1` or `Data.1.Key`.
fn counts_a_list(root: &str, rest: &str) -> bool {
    let number = rest.split('.').next().unwrap_or_default();
    let is_word = !root.is_empty() && root.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}
