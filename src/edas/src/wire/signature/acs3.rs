//! The newer scheme, ACS3-HMAC-SHA256 over a canonical request.
//!
//! The header list of the request decides which headers are signed (K5:
//! Python signs all, Node only some), but host, date, body digest and every
//! `x-acs-*` header must be among them. Values are taken exactly as sent,
//! `host` above all (K6). The body is always covered, through its digest.
//!
//! The list is strictly ascending, so that no header is signed twice, and each
//! of its headers is there: what is hashed is never longer than the request's
//! head. It is hashed piece by piece, and never built.

use hex::encode as hex_of;
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::{
    BodyDigest, Claim, Scheme, SignatureRefusal, SignedRequest, acs_headers, instant_of, nonce_of,
    text_of,
};
use domain::{
    limits::{KEY_ID, SIGNED_HEADER_BYTES, SIGNED_HEADERS},
    rejection::shortened,
};

/// The scheme's name, as in `Authorization`.
pub(in crate::wire::signature) const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// RFC 3986: everything but the unreserved characters is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Fields that `Authorization` may have; three are known.
const FIELDS: usize = 8;

/// Reads the claim from `Credential=…,SignedHeaders=…,Signature=…`.
pub(in crate::wire::signature) fn read(
    request: SignedRequest<'_>,
    credentials: &str,
) -> Result<Claim, SignatureRefusal> {
    let headers = request.headers;
    let malformed = || {
        SignatureRefusal::incomplete(format!(
            "Authorization must read `{ALGORITHM} Credential=<key id>,SignedHeaders=<a;b;…>,Signature=<64 hex digits>`"
        ))
    };
    let fields: Vec<(&str, &str)> = credentials
        .splitn(FIELDS, ',')
        .map(str::trim)
        .filter_map(|field| field.split_once('='))
        .collect();
    let field = |name: &str| {
        fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value).ok_or_else(malformed)
    };
    let (key_id, signed_headers) = (field("Credential")?, field("SignedHeaders")?);
    let mut signature = [0; 32];
    hex::decode_to_slice(field("Signature")?, &mut signature).map_err(|_| malformed())?;
    if key_id.len() > KEY_ID {
        return Err(SignatureRefusal::incomplete(format!(
            "Credential has more than {KEY_ID} bytes"
        )));
    }
    let listed = read_list(signed_headers, headers)?;
    let body = text_of(headers, "x-acs-content-sha256")?.unwrap_or_default().to_owned();
    let date = text_of(headers, "x-acs-date")?;
    Ok(Claim {
        key_id: key_id.to_owned(),
        scheme: Scheme::Acs3HmacSha256,
        signed_at: instant_of("x-acs-date", date)?,
        date: date.unwrap_or_default().to_owned(),
        nonce: nonce_of(headers)?,
        body: BodyDigest::Sha256(body),
        signature: signature.to_vec(),
        signed_headers: listed,
    })
}

/// The list of signed headers, held to its limits and to the request's headers.
fn read_list(signed_headers: &str, headers: &HeaderMap) -> Result<Vec<String>, SignatureRefusal> {
    let names: Vec<&str> = signed_headers.split(';').take(SIGNED_HEADERS + 1).collect();
    if names.len() > SIGNED_HEADERS {
        return Err(SignatureRefusal::incomplete(format!(
            "SignedHeaders has more than {SIGNED_HEADERS} names"
        )));
    }
    for name in &names {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(SignatureRefusal::incomplete(format!(
                "SignedHeaders must be in lower case, and has {}",
                shortened(name)
            )));
        }
    }
    if let Some(pair) = names.windows(2).find(|pair| pair[0] >= pair[1]) {
        let name = shortened(pair[1]);
        return Err(SignatureRefusal::incomplete(format!(
            "SignedHeaders must be in ascending order without repetition, and {name} is not"
        )));
    }
    // All of these are there, or their own checks fail: a name that is not in the list is told first.
    let must =
        ["host", "x-acs-date", "x-acs-content-sha256"].into_iter().chain(acs_headers(headers));
    for name in must {
        if names.binary_search(&name).is_err() {
            return Err(SignatureRefusal::incomplete(format!(
                "SignedHeaders must contain {}",
                shortened(name)
            )));
        }
    }
    let (mut values, mut bytes) = (0, 0);
    for name in &names {
        let before = values;
        for value in headers.get_all(*name) {
            (values, bytes) = (values + 1, bytes + value.len());
            if values > SIGNED_HEADERS || bytes > SIGNED_HEADER_BYTES {
                return Err(SignatureRefusal::incomplete(format!(
                    "the headers in SignedHeaders have more than {SIGNED_HEADERS} values or {SIGNED_HEADER_BYTES} bytes"
                )));
            }
        }
        if values == before {
            return Err(SignatureRefusal::incomplete(format!(
                "SignedHeaders has {}, and there is no such header",
                shortened(name)
            )));
        }
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// The string to sign: the digest of the canonical request, with the body's digest as it
/// was sent.
///
/// # Errors
/// A header that is not UTF-8.
pub(in crate::wire::signature) fn string_to_sign(
    claim: &Claim,
    request: SignedRequest<'_>,
) -> Result<String, SignatureRefusal> {
    let mut canonical = Sha256::new();
    canonical.update(request.method.as_str());
    canonical.update("\n");
    canonical.update(if request.path.is_empty() { "/" } else { request.path });
    canonical.update("\n");
    let mut pairs: Vec<_> = request.query.iter().collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        canonical.update(if index == 0 { "" } else { "&" });
        utf8_percent_encode(name, ESCAPED).for_each(|piece| canonical.update(piece));
        canonical.update("=");
        utf8_percent_encode(value, ESCAPED).for_each(|piece| canonical.update(piece));
    }
    canonical.update("\n");
    for name in &claim.signed_headers {
        canonical.update(name);
        canonical.update(":");
        update_with_values(&mut canonical, name, request.headers)?;
        canonical.update("\n");
    }
    canonical.update("\n");
    for (index, name) in claim.signed_headers.iter().enumerate() {
        canonical.update(if index == 0 { "" } else { ";" });
        canonical.update(name);
    }
    canonical.update("\n");
    canonical.update(text_of(request.headers, "x-acs-content-sha256")?.unwrap_or_default());
    Ok(format!("{ALGORITHM}\n{}", hex_of(canonical.finalize())))
}

/// A header's value, trimmed; several are sorted and joined.
fn update_with_values(
    canonical: &mut Sha256,
    name: &str,
    headers: &HeaderMap,
) -> Result<(), SignatureRefusal> {
    let mut values = Vec::new();
    for value in headers.get_all(name) {
        let text = std::str::from_utf8(value.as_bytes());
        values.push(
            text.map_err(|_| {
                SignatureRefusal::incomplete(format!("the header {} is not UTF-8", shortened(name)))
            })?
            .trim(),
        );
    }
    values.sort_unstable();
    for (index, value) in values.into_iter().enumerate() {
        canonical.update(if index == 0 { "" } else { "," });
        canonical.update(value);
    }
    Ok(())
}
