//! Signatures: the head of a request, before anybody is known to have sent it.

use axum::http::{HeaderMap, Method};
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::limits::{BODY, PARAMETERS, SIGNED_HEADER_BYTES, SIGNED_HEADERS, TARGET};
use edas::wire::{
    contract,
    signature::{Claim, SignaturePolicy, SignedRequest},
};
use sha2::{Digest, Sha256};

use crate::{
    entry::{Entry, accepted, headers, refused},
    measure::Job,
};

const CLAIM: &[&str] = &[
    "edas::wire::signature::Claim::read",
    "edas::wire::signature::instant_of",
    "edas::wire::signature::matches_mac",
];
const ACS3: &[&str] = &[
    "edas::wire::signature::acs3::read",
    "edas::wire::signature::acs3::string_to_sign",
    "edas::wire::signature::Claim::check_body",
];
const ROA: &[&str] =
    &["edas::wire::signature::roa::read", "edas::wire::signature::roa::strings_to_sign"];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted(
            "ACS3: a claim on as many headers, parameters and bytes as may be",
            ACS3,
            SIGNED_HEADERS - 3,
            |n| {
                let mut sent = acs3_headers(&body(n));
                sent.extend(fillers(n));
                job(sent, parameters(n), body(n), |_| {})
            },
        ),
        accepted(
            "ACS3: one header with all values that may be signed",
            CLAIM,
            SIGNED_HEADERS - 3,
            |n| {
                let mut sent = acs3_headers(&[]);
                sent.extend((0..n).map(|at| ("x-h", format!("{:0>300}", n - at))));
                job(sent, Vec::new(), Vec::new(), |_| {})
            },
        ),
        refused("ACS3: one long header, named ten thousand times", ACS3, 10_000, |n| {
            let mut sent = acs3_headers(&[]);
            sent.push(("a", "x".repeat(40_000)));
            let listed = format!("a;host;x-acs-content-sha256;x-acs-date{}", ";a".repeat(n));
            job(sent, Vec::new(), Vec::new(), move |authorization| *authorization = acs3(&listed))
        }),
        refused("ACS3: a list of names that nobody sent", ACS3, 20_000, |n| {
            let listed = (0..n).map(|at| format!("h{at:06}")).collect::<Vec<_>>().join(";");
            job(acs3_headers(&[]), Vec::new(), Vec::new(), move |authorization| {
                *authorization = acs3(&listed)
            })
        }),
        refused("ACS3: an Authorization of commas", ACS3, 60_000, |n| {
            job(acs3_headers(&[]), Vec::new(), Vec::new(), move |authorization| {
                *authorization = format!("ACS3-HMAC-SHA256 {}", ",".repeat(n))
            })
        }),
        accepted(
            "HMAC-SHA1: a claim on as many headers and parameters as may be",
            ROA,
            SIGNED_HEADERS - 1,
            |n| {
                let mut sent = roa_headers();
                sent.extend(fillers(n));
                job(sent, parameters(n), Vec::new(), |_| {})
            },
        ),
        accepted(
            "HMAC-SHA1: values of ampersands, each of which could begin another parameter",
            ROA,
            TARGET / 2,
            |n| {
                job(
                    roa_headers(),
                    vec![("ChangeOrderDesc".into(), "&a".repeat(n))],
                    Vec::new(),
                    |_| {},
                )
            },
        ),
        refused("HMAC-SHA1: an endless signature", ROA, 60_000, |n| {
            job(roa_headers(), Vec::new(), Vec::new(), move |authorization| {
                *authorization = format!("acs key:{}", "A".repeat(n))
            })
        }),
    ]
}

/// Headers beside the usual ones, which together have all bytes that may be signed.
fn fillers(count: usize) -> impl Iterator<Item = (&'static str, String)> {
    let each = (SIGNED_HEADER_BYTES - 1000) / SIGNED_HEADERS - 16;
    FILLERS.iter().take(count).map(move |name| (*name, "v".repeat(each)))
}

/// Names of headers, since a header's name lives as long as the program here.
static FILLERS: std::sync::LazyLock<Vec<&'static str>> = std::sync::LazyLock::new(|| {
    (0..SIGNED_HEADERS).map(|at| &*format!("x-acs-{at:04}").leak()).collect()
});

fn body(scale: usize) -> Vec<u8> {
    vec![b'b'; BODY * scale / SIGNED_HEADERS]
}

fn parameters(scale: usize) -> Vec<(String, String)> {
    let count = PARAMETERS * scale / SIGNED_HEADERS;
    // In the wrong order, since they are signed in order.
    (0..count)
        .rev()
        .map(|at| (format!("Name{at:06}"), "v".repeat(TARGET / PARAMETERS - 16)))
        .collect()
}

fn acs3_headers(body: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("host", "sluice.example".into()),
        ("x-acs-content-sha256", hex::encode(Sha256::digest(body))),
        ("x-acs-date", "2026-11-24T06:58:10Z".into()),
    ]
}

fn roa_headers() -> Vec<(&'static str, String)> {
    vec![("host", "sluice.example".into()), ("date", "Tue, 24 Nov 2026 06:58:10 GMT".into())]
}

fn acs3(listed: &str) -> String {
    format!("ACS3-HMAC-SHA256 Credential=key,SignedHeaders={listed},Signature={}", "0".repeat(64))
}

/// A job that reads and verifies the claim of a request; accepted = there is a claim, which
/// nobody signed.
fn job(
    sent: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    body: Vec<u8>,
    alter: impl Fn(&mut String),
) -> Job {
    let mut listed: Vec<&str> = sent.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    listed.dedup();
    let is_old = sent.iter().any(|(name, _)| *name == "date");
    let mut authorization = if is_old {
        format!("acs key:{}", STANDARD.encode([0; 20]))
    } else {
        acs3(&listed.join(";"))
    };
    alter(&mut authorization);
    let headers: HeaderMap = headers(sent.into_iter().chain([("authorization", authorization)]));
    Box::new(move || {
        let path = "/pop/v5/k8s/acs/k8s_apps";
        let request =
            SignedRequest { method: &Method::POST, path, query: &query, headers: &headers };
        let operation = contract::find(&Method::POST, path).expect("DeployK8sApplication");
        let Ok(claim) =
            Claim::read(request, SignaturePolicy { hmac_sha1: true, parameters: &operation.query })
        else {
            return false;
        };
        assert!(claim.verify(request, &"secret".into()).is_err(), "nobody signed it");
        assert!(claim.check_body(&body).is_ok(), "the digest is that of the body");
        true
    })
}
