//! The other side: signing a request, with the same string to sign that is checked.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method, header::InvalidHeaderValue};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use super::{BodyDigest, Claim, Scheme, SignedRequest, acs3};

/// RFC 3986: everything but the unreserved characters is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An access key that signs requests without a body.
#[derive(Debug, Clone)]
pub struct Signer {
    pub key_id: String,
    pub secret: SecretString,
}

impl Signer {
    /// The headers of a request, signed with ACS3-HMAC-SHA256. `host` is what the request
    /// names as its Host; `nonce` must be another one each time.
    ///
    /// # Errors
    /// Key or host cannot stand in a header.
    pub fn headers(
        &self,
        method: &Method,
        path: &str,
        query: &[(String, String)],
        host: &str,
        (now, nonce): (Timestamp, &str),
    ) -> Result<HeaderMap, InvalidHeaderValue> {
        let digest = hex::encode(Sha256::digest(b""));
        let date = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", host),
            ("x-acs-content-sha256", &digest),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", nonce),
            ("x-acs-version", "2017-08-01"),
        ] {
            headers.insert(name, HeaderValue::from_str(value)?);
        }
        let mut signed_headers: Vec<String> =
            headers.keys().map(|name| name.as_str().to_owned()).collect();
        signed_headers.sort_unstable();
        let names = signed_headers.join(";");
        let claim = Claim {
            key_id: self.key_id.clone(),
            scheme: Scheme::Acs3HmacSha256,
            signed_at: now,
            date,
            nonce: Some(nonce.to_owned()),
            body: BodyDigest::Sha256(digest),
            signature: Vec::new(),
            signed_headers,
        };
        let request = SignedRequest { method, path, query, headers: &headers };
        // The headers above are text.
        let string = acs3::string_to_sign(&claim, request).unwrap_or_default();
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.secret.expose_secret().as_bytes());
        // HMAC takes keys of every length.
        let signature = mac
            .map(|mac| hex::encode(mac.chain_update(string).finalize().into_bytes()))
            .unwrap_or_default();
        let authorization = format!(
            "{} Credential={},SignedHeaders={names},Signature={signature}",
            acs3::ALGORITHM,
            self.key_id
        );
        headers.insert("authorization", HeaderValue::from_str(&authorization)?);
        Ok(headers)
    }
}

/// `pairs` as a query.
#[must_use]
pub fn query(pairs: &[(String, String)]) -> String {
    let escape = |text| utf8_percent_encode(text, ESCAPED);
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{params::Params, signature::SignaturePolicy};

    #[test]
    fn what_is_signed_here_is_accepted_here() {
        let signer = Signer { key_id: "key".into(), secret: "secret".to_owned().into() };
        let pairs = [("b c", "ä&=+ %"), ("a", "")].map(|(name, value)| (name.into(), value.into()));
        let now = Timestamp::from_second(1_764_000_000).unwrap();
        let headers =
            signer.headers(&Method::PUT, "/a/b", &pairs, "h:1", (now, "nonce-1")).unwrap();
        let read = Params::parse(&query(&pairs)).unwrap();
        let request = SignedRequest {
            method: &Method::PUT,
            path: "/a/b",
            query: read.pairs(),
            headers: &headers,
        };
        let policy = SignaturePolicy { hmac_sha1: false, parameters: &[] };
        let claim = Claim::read(request, policy).unwrap();
        claim.check_window(now).unwrap();
        claim.check_body(b"").unwrap();
        claim.verify(request, &signer.secret).unwrap();
        let other = SignedRequest { path: "/a/c", ..request };
        assert!(claim.verify(other, &signer.secret).is_err());
    }
}
