//! What the fuzzing does with an input: reads it with everything that reads such a thing,
//! and holds what comes of it to what must always be so.
//!
//! An input begins with a line that says what it is: `request`, `sign`, `value <parameter>`,
//! `json`, `yaml`, `xml`, `oss`, `parts`, `upload`, `url` or `quantity`.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    limits::{DEPTH, NODES, PARAMETERS, PARTS, REPEATED},
    notation,
    package::{
        PackageAddress,
        upload::{self, NamedPart, ObjectKey},
    },
    template::quantity,
};
use edas::{
    operation::package::oss::{Object, OssClaim, Query, part_list},
    wire::{
        contract,
        error::ApiError,
        offered,
        params::Params,
        signature::{Claim, SignaturePolicy, SignatureRefusal, SignedRequest},
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use service::UploadCredential;

use crate::{
    entry::{encoded, params},
    parameter,
    sign::{Key, Signed, Unsigned, Upload},
};

/// Bytes of the line that says what an input is.
pub const LONGEST_KIND: usize = 80;

/// Most bytes that one input may make anything hold.
const MOST_BYTES: u64 = 16 << 20;

/// Most characters of an error's text.
const LONGEST_ERROR: usize = 6000;

const KEY: Key<'static> = Key { id: "testid", secret: "testsecret" };
const CREDENTIAL: &str = "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e";

/// Reads an input; says whether it is one.
///
/// # Panics
/// Where something is not as it must always be.
pub fn read(data: &[u8]) -> bool {
    let Some(end) = data.iter().take(LONGEST_KIND).position(|byte| *byte == b'\n') else {
        return false;
    };
    let (Ok(kind), rest) = (std::str::from_utf8(&data[..end]), &data[end + 1..]) else {
        return false;
    };
    let mut known = false;
    let allocated = allocation_counter::measure(|| known = read_as(kind, rest).is_some());
    assert!(allocated.bytes_max <= MOST_BYTES, "{} bytes at one time", allocated.bytes_max);
    known
}

fn read_as(kind: &str, rest: &[u8]) -> Option<()> {
    match kind.split_once(' ').unwrap_or((kind, "")) {
        ("request", "") => request(rest),
        ("oss", "") => oss(rest),
        ("parts", "") => part_list(rest),
        (kind, more) => {
            let text = std::str::from_utf8(rest).ok()?;
            match (kind, more) {
                ("sign", "") => signed(text),
                ("value", name) => value(name, text),
                ("json", "") => json(text),
                ("yaml", "") => yaml(text),
                ("xml", "") => xml(text),
                ("upload", "") => uploaded(text),
                ("url", "") => url(text),
                ("quantity", "") => {
                    drop(quantity::billionths(text).map(|amount| quantity::show(amount, "memory")))
                }
                _ => return None,
            }
        }
    }
    Some(())
}

/// A request's head.
struct Head {
    method: Method,
    target: String,
    headers: HeaderMap,
}

impl Head {
    fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }
}

/// Reads a request as it is on the wire, as far as an HTTP library would let it through.
fn head(sent: &[u8]) -> Option<(Head, &[u8])> {
    let end = sent.windows(2).position(|pair| pair == b"\n\n")?;
    let mut lines = sent[..end].split(|byte| *byte == b'\n');
    let line = std::str::from_utf8(lines.next()?).ok()?;
    let mut words = line.split(' ');
    let (method, target) =
        (Method::from_bytes(words.next()?.as_bytes()).ok()?, words.next()?.to_owned());
    let mut headers = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (
            HeaderName::from_bytes(&line[..colon]).ok()?,
            HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?,
        );
        headers.append(name, value);
    }
    Some((Head { method, target, headers }, &sent[end + 2..]))
}

/// All that is done with a request before its handler runs, whatever was refused before,
/// and then every reader of a parameter.
fn request(sent: &[u8]) {
    let Some((head, body)) = head(sent) else { return };
    let (path, query) = head.path_and_query();
    let Ok(mut all) = Params::parse(query).inspect_err(check_error) else { return };
    read_again(&all);
    let operation = contract::find(&head.method, path);
    let parameters = operation.map_or(&[][..], |operation| &operation.query[..]);
    let request =
        SignedRequest { method: &head.method, path, query: all.pairs(), headers: &head.headers };
    match Claim::read(request, SignaturePolicy { hmac_sha1: true, parameters }) {
        Ok(claim) => {
            for refusal in [claim.verify(request, &KEY.secret.into()), claim.check_body(body)]
                .into_iter()
                .filter_map(Result::err)
            {
                check_refusal(refusal);
            }
        }
        Err(refusal) => check_refusal(refusal),
    }
    if let Some(Ok(form)) = std::str::from_utf8(body).ok().map(Params::parse) {
        let _ = all.merge(form).inspect_err(check_error);
    }
    if let Some(operation) = operation {
        let _ = offered::check(operation, &all).inspect_err(check_error);
        offered::ignored(&operation.name, &all);
    }
    for (_, read) in parameter::PARAMETERS {
        let _ = read(&all).inspect_err(check_error);
    }
}

/// Parameters that were read are within their limits, and are the same when they are sent again.
fn read_again(params: &Params) {
    assert!(params.pairs().len() <= PARAMETERS);
    let pairs: Vec<(&str, &str)> =
        params.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(&Params::parse(&encoded(&pairs)).expect("it was read before"), params);
}

/// Whatever is signed can be verified, and nothing else.
fn signed(text: &str) {
    let Ok(params) = Params::parse(text) else { return };
    let parameters: Vec<(&str, &str)> =
        params.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let date: Timestamp = "2026-11-24T06:58:10Z".parse().expect("a time");
    let unsigned = Unsigned {
        method: "POST",
        path: "/pop/v5/k8s/acs/k8s_apps",
        parameters: &parameters,
        date,
        nonce: Some("nonce"),
    };
    for (signed, is_ambiguous) in [
        (unsigned.acs3(KEY), false),
        (unsigned.acs3_form(KEY), false),
        (unsigned.hmac_sha1(KEY), true),
    ] {
        let (path, query) = signed.target.split_once('?').unwrap_or((&signed.target, ""));
        let query = Params::parse(query).expect("what is signed was read before");
        let headers = headers_of(&signed);
        let request =
            SignedRequest { method: &Method::POST, path, query: query.pairs(), headers: &headers };
        match Claim::read(request, SignaturePolicy { hmac_sha1: true, parameters: &[] }) {
            Ok(claim) => {
                claim
                    .check_window(date + SignedDuration::from_mins(5))
                    .expect("it is within the window");
                claim.verify(request, &KEY.secret.into()).expect("it was signed with this secret");
                claim.check_body(signed.body.as_bytes()).expect("it was signed with this body");
                assert!(
                    claim.verify(request, &"other".into()).is_err(),
                    "it was signed with another secret"
                );
            }
            Err(SignatureRefusal::Ambiguous { .. }) if is_ambiguous => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn headers_of(signed: &Signed) -> HeaderMap {
    let header = |(name, value): &(&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::try_from(value).expect("a value"))
    };
    signed.headers.iter().map(header).collect()
}

fn value(name: &str, text: &str) {
    if Params::parse(&encoded(&[(name, text)])).inspect_err(check_error).is_err() {
        return;
    }
    let params = params(&[(name, text)]);
    for (_, read) in parameter::PARAMETERS.iter().filter(|(known, _)| *known == name) {
        let _ = read(&params).inspect_err(check_error);
    }
}

fn json(text: &str) {
    let told = notation::json::<Value>(text);
    assert_eq!(told.is_ok(), notation::secret_json::<Value>(text).is_ok(), "both read the same");
    match told {
        Ok(value) => {
            assert_eq!(
                serde_json::from_str::<Value>(text).ok().as_ref(),
                Some(&value),
                "the limits change nothing"
            );
            assert!(depth(&value) <= DEPTH && nodes(&value) <= NODES && !notation::has_nul(&value));
        }
        Err(why) => check_text(&why),
    }
}

/// A YAML is read by itself, and as what it is in parameters.
fn yaml(text: &str) {
    match notation::yaml::<Value>(text) {
        Ok(value) => {
            // What an alias stands for lies where the alias is.
            assert!(
                depth(&value) <= 2 * DEPTH && nodes(&value) <= NODES + REPEATED,
                "{} levels, {} values",
                depth(&value),
                nodes(&value)
            );
        }
        Err(why) => check_text(&why),
    }
    let _ = notation::yaml_documents::<Value>(text).inspect_err(|why| check_text(why));
    let encoded = STANDARD.encode(text);
    value("SecurityContext", &encoded);
    value("Sidecars", &format!(r#"[{{"yamlEncoded":"{encoded}"}}]"#));
    value("ResourceContent", text);
}

fn xml(text: &str) {
    match notation::xml_fault(text) {
        Some(why) => check_text(&why),
        None => assert!(text.contains('<') && text.matches("</").count() <= NODES),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(|value| 1 + nodes(value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

fn oss(sent: &[u8]) {
    let Some((head, _)) = head(sent) else { return };
    let Ok(request) = Request::builder().method(head.method).uri(&head.target).body(()) else {
        return;
    };
    let (mut parts, ()) = request.into_parts();
    parts.headers = head.headers;
    let Ok(object) = Object::of(&parts) else { return };
    let Ok(query) = Query::read(parts.uri.query()) else { return };
    let _ = OssClaim::read(&parts.method, &parts.headers, &object, &query);
    let wanted = [false, true].map(|of_bucket| query.operation(&parts.method, of_bucket).is_ok());
    assert!(wanted != [true, true], "{:?} is of an object, or of a bucket", parts.uri);
    check_key(object.key());
}

/// A list of parts that is taken is within its limits, and is the same written again.
fn part_list(text: &[u8]) {
    let Ok(parts) = part_list::read(text) else { return };
    assert!(
        !parts.is_empty()
            && parts.len() <= PARTS as usize
            && parts.iter().all(|part| (1..=PARTS).contains(&part.number))
    );
    let part = |NamedPart { number, md5 }: &NamedPart| {
        format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>&quot;{}&quot;</ETag></Part>",
            hex::encode(md5)
        )
    };
    let again = format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        parts.iter().map(part).collect::<String>()
    );
    assert_eq!(part_list::read(again.as_bytes()), Ok(parts));
}

/// A key that is taken leads nowhere else.
fn check_key(text: &str) {
    let Ok(key) = ObjectKey::read(text) else { return };
    assert_eq!(key.as_str(), text);
    assert!(!text.split('/').any(|part| matches!(part, "" | "." | "..")), "{text:?}");
    assert!(!key.file_name().is_empty() && text.starts_with(&upload::prefix(key.credential())));
}

/// Whatever is signed for an upload can be verified.
fn uploaded(rest: &str) {
    let object = format!("{}/{CREDENTIAL}/{rest}", upload::ROOT);
    check_key(&object);
    if ObjectKey::read(&object).is_err() {
        return;
    }
    let date: Timestamp = "2026-11-24T06:58:10Z".parse().expect("a time");
    let key = Key { id: CREDENTIAL, secret: "geheim" };
    let upload = Upload { key, token: "token", bucket: "bucket", object: &object, date, md5: "" };
    let sent = Request::builder()
        .method(Method::PUT)
        .uri(upload.path())
        .header("host", "bucket.example.com");
    let sent =
        upload.headers().into_iter().fold(sent, |sent, (name, value)| sent.header(name, value));
    let (parts, ()) = sent.body(()).expect("a key is escaped").into_parts();
    let (Ok(named), credential) = (Object::of(&parts), credential()) else {
        panic!("{object:?} is no object")
    };
    assert_eq!(named.key(), object);
    let Ok(query) = Query::read(None) else { panic!("an empty query is none") };
    let Ok(claim) = OssClaim::read(&parts.method, &parts.headers, &named, &query) else {
        panic!("{object:?} is not claimed")
    };
    assert!(
        claim.check_window(date).is_ok() && claim.verify(&credential).is_ok(),
        "{object:?} was signed"
    );
}

fn credential() -> UploadCredential {
    UploadCredential {
        id: CREDENTIAL.parse().expect("an id"),
        key_id: "testid".into(),
        secret: "geheim".into(),
        token: "token".into(),
        expires_at: Timestamp::MAX,
    }
}

fn url(text: &str) {
    let Ok(url) = text.parse::<PackageAddress>() else { return };
    assert_eq!(
        String::from(url.clone()).parse::<PackageAddress>().as_ref(),
        Ok(&url),
        "it is kept as a text"
    );
    let name = url.file_name();
    assert!(
        !name.is_empty()
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)),
        "{name}"
    );
    let shown = url.to_string();
    assert!(!shown.contains(['?', '#']), "{shown}");
    for key in [upload::named_by(&url).ok().flatten(), upload::perhaps_named_by(&url)] {
        key.iter().for_each(|key| check_key(key.as_str()));
    }
    let _ = url.redirected(text);
}

/// Every refusal is one that EDAS' clients understand.
fn check_error(error: &ApiError) {
    match error {
        ApiError::Gateway { status, code, message, .. } => {
            assert!(status.is_client_error(), "{status}");
            assert!(
                !code.is_empty() && code.len() <= 1000 && !code.contains(char::is_control),
                "{code:?}"
            );
            check_text(message);
        }
        ApiError::Business { reason, message, .. } => {
            assert!(!reason.is_empty());
            check_text(message);
        }
    }
}

fn check_refusal(refusal: SignatureRefusal) {
    // The string to sign may be as long as the request.
    if !matches!(refusal, SignatureRefusal::Mismatch { .. }) {
        check_error(&refusal.into());
    }
}

fn check_text(text: &str) {
    assert!(
        !text.is_empty() && text.chars().take(LONGEST_ERROR + 1).count() <= LONGEST_ERROR,
        "an error of {} bytes",
        text.len()
    );
}
