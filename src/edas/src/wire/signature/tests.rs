//! The recorded requests of real SDKs, and what happens when they are altered.
//!
//! Each of them must verify with the secret it was signed with, and be refused
//! when anything that is signed is another.

use std::{collections::BTreeMap, fs, path::Path};

use axum::http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::*;
use crate::wire::params::Params;

#[derive(Deserialize)]
struct CaptureFile {
    access_key_secret: String,
    captures: Vec<Capture>,
}

#[derive(Deserialize, Clone)]
struct Capture {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    #[serde(default)]
    string_to_sign: String,
}

/// A recorded request, ready to be altered.
#[derive(Clone)]
struct Recorded {
    file: String,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Vec<u8>,
    string_to_sign: String,
}

impl Recorded {
    fn signed(&self) -> SignedRequest<'_> {
        SignedRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        }
    }

    fn strings_to_sign(&self) -> Vec<String> {
        self.claim().unwrap().strings_to_sign(self.signed()).unwrap()
    }

    fn claim(&self) -> Result<Claim, SignatureRefusal> {
        let parameters: Vec<String> = crate::wire::contract::find(&self.method, &self.path)
            .map(|it| it.query.clone())
            .unwrap_or_default();
        Claim::read(self.signed(), SignaturePolicy { hmac_sha1: true, parameters: &parameters })
    }

    fn check(&self, secret: &str) -> Result<Claim, SignatureRefusal> {
        let claim = self.claim()?;
        claim.verify(self.signed(), &secret.into())?;
        claim.check_body(&self.body)?;
        Ok(claim)
    }

    /// Checks with the secret of the key that the request names. 22 requests of
    /// the Go SDK were recorded with a key whose id and secret are both empty.
    fn check_as_signed(&self) -> Result<Claim, SignatureRefusal> {
        let key_id = self.claim()?.key_id;
        self.check(if key_id.is_empty() { "" } else { "testsecret" })
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers
            .insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
}

fn recorded() -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/captures");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Vec<Recorded> {
    let file: CaptureFile = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(file.access_key_secret, "testsecret");
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let one = |capture: Capture| {
        let (path, query) = capture.target.split_once('?').unwrap_or((&capture.target, ""));
        let mut headers = HeaderMap::new();
        for (name, value) in &capture.headers {
            headers
                .append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        }
        Recorded {
            file: name.clone(),
            method: capture.method.parse().unwrap(),
            path: path.to_owned(),
            query: Params::parse(query).unwrap().pairs().to_vec(),
            headers,
            body: capture.body.into_bytes(),
            string_to_sign: capture.string_to_sign,
        }
    };
    file.captures.into_iter().map(one).collect()
}

fn verified() -> impl Iterator<Item = Recorded> {
    recorded().into_iter().filter(|request| request.check_as_signed().is_ok())
}

#[test]
fn all_265_requests_that_were_signed_with_the_right_secret_verify() {
    let mut refusals: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut schemes = [0, 0];
    let mut nameless = 0;
    for request in recorded() {
        match request.check_as_signed() {
            Ok(claim) => {
                nameless += usize::from(claim.key_id.is_empty());
                schemes[usize::from(claim.scheme == Scheme::Acs3HmacSha256)] += 1;
                let strings_to_sign = request.strings_to_sign();
                assert!(
                    strings_to_sign.contains(&request.string_to_sign),
                    "{}: {strings_to_sign:?}",
                    request.file
                );
            }
            Err(refusal) => refusals.entry(refusal.code().1).or_default().push(request.file),
        }
    }
    assert_eq!((schemes, nameless), ([223, 42], 22), "{refusals:#?}");
    // The other five: two were signed with a wrong secret on purpose, one has a
    // bearer token and no signature, one is signed with SM3, and one is an
    // upload to the package store with that store's own scheme.
    let expected = [
        ("IncompleteSignature", vec!["tea-python-2.0.0_bearer.json"]),
        (
            "InvalidSignatureMethod",
            vec!["tea-python-2.0.0_acs3_sm3.json", "toolkit-maven-1.1.6_jar_upload.json"],
        ),
        (
            "SignatureDoesNotMatch",
            vec!["go-sdk-old-1.63.107.json", "java-sdk-old-3.26.17_core-4.7.10.json"],
        ),
    ];
    let refusals: Vec<(&str, Vec<&str>)> = refusals
        .iter()
        .map(|(code, files)| (code.as_str(), files.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(refusals, expected);
}

#[test]
fn another_secret_is_refused_with_the_string_to_sign_behind_a_colon() {
    for request in verified() {
        let refusal = request.check("another").unwrap_err();
        let expected = format!(
            "Specified signature is not matched with our calculation. server string to sign is:{}",
            request.strings_to_sign().first().unwrap()
        );
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn each_request_altered_in_one_signed_place_is_refused() {
    let mut alterations = 0;
    let mut refused = |request: &Recorded, what: &str| {
        alterations += 1;
        assert!(
            request.check_as_signed().is_err(),
            "{}: {} {} still verifies with another {what}",
            request.file,
            request.method,
            request.path
        );
    };
    for request in verified() {
        let claim = request.claim().unwrap();
        let mut other = request.clone();
        other.method = if request.method == Method::GET { Method::POST } else { Method::GET };
        refused(&other, "method");

        let mut other = request.clone();
        other.path.push('x');
        refused(&other, "path");

        for index in 0..request.query.len() {
            let mut other = request.clone();
            other.query[index].1.push('x');
            refused(&other, "value");
            let mut other = request.clone();
            other.query[index].0.push('x');
            refused(&other, "name");
            let mut other = request.clone();
            other.query.remove(index);
            refused(&other, "number of parameters");
        }
        let mut other = request.clone();
        other.query.push(("Added".into(), String::new()));
        refused(&other, "added parameter");

        for name in signed_headers(&request, claim.scheme) {
            let value = request.headers[&name].to_str().unwrap().to_owned();
            let mut other = request.clone();
            other.set(&name, &format!("{value}x"));
            refused(&other, &name);
            let mut other = request.clone();
            other.headers.remove(&name);
            refused(&other, &format!("{name}, which is gone"));
        }
        let mut other = request.clone();
        other.set("x-acs-added", "1");
        refused(&other, "added x-acs header");

        if claim.scheme == Scheme::Acs3HmacSha256 || request.headers.contains_key("content-md5") {
            let mut other = request.clone();
            other.body.push(b'x');
            refused(&other, "body");
        }
    }
    assert!(alterations > 4000, "{alterations}");
}

fn signed_headers(request: &Recorded, scheme: Scheme) -> Vec<String> {
    let present = request.headers.keys().map(|name| name.as_str().to_owned());
    match scheme {
        Scheme::HmacSha1 => present
            .filter(|name| {
                name.starts_with("x-acs-")
                    || ["accept", "content-md5", "content-type", "date"].contains(&name.as_str())
            })
            .collect(),
        Scheme::Acs3HmacSha256 => {
            let authorization = request.headers["authorization"].to_str().unwrap();
            let list =
                authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
            list.split(';').map(str::to_owned).collect()
        }
    }
}

fn first_of(scheme: Scheme) -> Recorded {
    verified()
        .find(|request| request.claim().unwrap().scheme == scheme && !request.query.is_empty())
        .unwrap()
}

#[test]
fn the_window_is_15_minutes_either_way() {
    for scheme in [Scheme::HmacSha1, Scheme::Acs3HmacSha256] {
        let claim = first_of(scheme).claim().unwrap();
        for seconds in [-900, 0, 900] {
            assert_eq!(
                claim.check_window(claim.signed_at + SignedDuration::from_secs(seconds)),
                Ok(())
            );
        }
        for seconds in [-901, 901] {
            let refusal = claim
                .check_window(claim.signed_at + SignedDuration::from_secs(seconds))
                .unwrap_err();
            assert_eq!(refusal.code().1, "InvalidTimeStamp.Expired");
        }
    }
}

#[test]
fn a_date_that_cannot_be_read_is_refused_before_the_signature() {
    for (scheme, header) in [(Scheme::HmacSha1, "date"), (Scheme::Acs3HmacSha256, "x-acs-date")] {
        let mut request = first_of(scheme);
        request.set(header, "yesterday");
        assert_eq!(request.claim().unwrap_err().code().1, "InvalidTimeStamp.Format");
    }
    let mut request = first_of(Scheme::HmacSha1);
    request.headers.remove("date");
    assert_eq!(request.claim().unwrap_err().code().1, "InvalidTimeStamp.Format");
}

#[test]
fn a_malformed_authorization_is_an_incomplete_signature_whose_message_has_a_colon() {
    for text in [
        "acs",
        "acs testid",
        "acs testid:***",
        "ACS3-HMAC-SHA256 Credential=testid",
        "ACS3-HMAC-SHA256 x",
    ] {
        let mut request = first_of(Scheme::Acs3HmacSha256);
        request.set("authorization", text);
        let refusal = request.claim().unwrap_err();
        assert_eq!(refusal.code().1, "IncompleteSignature", "{text}");
        assert!(refusal.to_string().contains("server string to sign is:"));
    }
}

#[test]
fn other_algorithms_are_named_and_refused() {
    for text in [
        "ACS3-RSA-SHA256 Credential=a,SignedHeaders=host,Signature=00",
        "ACS3-HMAC-SM3 x",
        "Bearer x",
        "OSS a:b",
    ] {
        let mut request = first_of(Scheme::HmacSha1);
        request.set("authorization", text);
        assert_eq!(request.claim().unwrap_err().code().1, "InvalidSignatureMethod", "{text}");
    }
    let mut request = first_of(Scheme::HmacSha1);
    request.set("x-acs-signature-method", "HMAC-SHA256");
    assert_eq!(request.claim().unwrap_err().code().1, "InvalidSignatureMethod");
}

#[test]
fn hmac_sha1_can_be_switched_off() {
    let request = first_of(Scheme::HmacSha1);
    let refusal =
        Claim::read(request.signed(), SignaturePolicy { hmac_sha1: false, parameters: &[] })
            .unwrap_err();
    assert_eq!(refusal.code().1, "InvalidSignatureMethod");
    assert!(
        refusal.to_string().contains("HMAC-SHA1")
            && refusal.to_string().contains("use ACS3-HMAC-SHA256"),
        "{refusal}"
    );
}

#[test]
fn headers_that_must_be_signed_cannot_be_left_out_of_the_list() {
    for name in ["host", "x-acs-date", "x-acs-content-sha256", "x-acs-action"] {
        let mut request = first_of(Scheme::Acs3HmacSha256);
        let authorization =
            request.headers["authorization"].to_str().unwrap().replace(&format!("{name};"), "");
        request.set("authorization", &authorization);
        let refusal = request.claim().unwrap_err();
        assert!(refusal.to_string().contains(&format!("must contain {name}")), "{refusal}");
    }
}

#[test]
fn a_value_that_could_be_another_parameter_is_refused_with_hmac_sha1_only() {
    // Whoever sits between can join `A=…` and `Image=…` to this without touching the signature (K20).
    for value in ["x&Image=evil:1", "x&Command", "&Image="] {
        let mut request = first_of(Scheme::HmacSha1);
        request.method = Method::POST;
        request.path = "/pop/v5/k8s/acs/k8s_apps".into();
        request.query = vec![("ChangeOrderDesc".into(), value.into())];
        let refusal = request.claim().unwrap_err();
        assert_eq!(refusal.code().1, "InvalidChangeOrderDesc");
        let mut newer = first_of(Scheme::Acs3HmacSha256);
        newer.path = request.path.clone();
        newer.query = request.query.clone();
        assert!(newer.claim().is_ok());
    }
    let mut harmless = first_of(Scheme::HmacSha1);
    harmless.path = "/pop/v5/k8s/acs/k8s_apps".into();
    harmless.query =
        vec![("Envs".into(), r#"[{"name":"URL","value":"http://192.0.2.1/?a=1&b=2"}]"#.into())];
    assert!(harmless.claim().is_ok());
    harmless.query = vec![("A&Image".into(), "x".into())];
    assert!(matches!(harmless.claim(), Err(SignatureRefusal::Ambiguous { .. })));
}

#[test]
fn a_nonce_is_known_where_one_was_sent_and_an_empty_one_counts_as_none() {
    let mut request = first_of(Scheme::Acs3HmacSha256);
    assert_eq!(request.claim().unwrap().nonce.unwrap().len(), 32);
    request.set("x-acs-signature-nonce", "");
    assert_eq!(request.claim().unwrap().nonce, None);
    request.set("x-acs-signature-nonce", &"x".repeat(257));
    assert_eq!(request.claim().unwrap_err().code().1, "IncompleteSignature");
}

#[test]
fn a_body_without_content_md5_is_known_to_be_unsigned_with_hmac_sha1() {
    let unsigned = verified()
        .filter(|request| !request.claim().unwrap().covers(&request.body))
        .map(|request| request.file);
    assert_eq!(
        unsigned.collect::<Vec<_>>(),
        ["tea-python-2.0.0_v2.json", "tea-python-2.0.0_v2.json"]
    );
}

#[test]
fn the_head_alone_shows_whose_request_it_is_and_whether_the_body_is_signed() {
    for scheme in [Scheme::Acs3HmacSha256, Scheme::HmacSha1] {
        let mut other = verified()
            .find(|it| {
                it.claim().unwrap().scheme == scheme
                    && !it.body.is_empty()
                    && it.claim().unwrap().covers(&it.body)
            })
            .unwrap();
        other.body.push(b'x');
        let claim = other.claim().unwrap();
        claim.verify(other.signed(), &"testsecret".into()).unwrap();
        let refusal = claim.check_body(&other.body).unwrap_err();
        assert!(
            matches!(refusal, SignatureRefusal::BodyDigest { .. }) && claim.covers(&other.body),
            "{refusal}"
        );
    }
}

mod bounds;
