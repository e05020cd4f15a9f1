//! What an identity provider says, and what a browser keeps of a sign-in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use oidc::{Claimed, Expected, Seal, person_of, read_keys, read_metadata};
use serde_json::json;

use crate::{
    entry::{Entry, accepted, refused, text_job},
    measure::Job,
};

const ISSUER: &str = "https://login.example.org";

const DESCRIPTION: &[&str] = &["oidc::known::read_metadata", "oidc::known::read"];

/// Largest answer of a provider.
const ANSWER: usize = 256 << 10;

/// A description of a provider with these fields besides.
fn description(besides: &str) -> String {
    let document = json!({
        "issuer": ISSUER, "authorization_endpoint": "https://login.example.org/a",
        "token_endpoint": "https://login.example.org/t", "jwks_uri": "https://login.example.org/k",
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    let text = document.to_string();
    format!("{}{besides}}}", &text[..text.len() - 1])
}

fn described(besides: String) -> Job {
    text_job(description(&besides), |text| read_metadata(ISSUER, text.as_bytes()).is_ok())
}

/// A token with these claims besides those that each has.
fn token(besides: &str) -> Job {
    let keys = json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }] });
    let keys = read_keys(keys.to_string().as_bytes()).unwrap();
    let claims = format!(
        r#"{{"iss":"{ISSUER}","aud":"sluice","sub":"x","exp":4000000000,"iat":1800000000,"nonce":"n"{besides}}}"#
    );
    let signature = URL_SAFE_NO_PAD.encode("s".repeat(64));
    let text = format!(
        "{}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    );
    Box::new(move || {
        let Ok(token) = text.parse::<Claimed>() else { return false };
        let expected = Expected {
            issuer: ISSUER,
            client_id: "sluice",
            nonce: "n",
            groups_claim: "groups",
            now: Timestamp::from_second(1_800_000_000).unwrap(),
        };
        person_of(&token, &keys, expected).is_ok()
    })
}

fn many(n: usize) -> String {
    (0..n).map(|at| format!(",\"f{at}\":0")).collect()
}

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("a provider with as many scopes as fit", DESCRIPTION, ANSWER / 4 - 200, |n| {
            described(format!(",\"scopes_supported\":[\"x\"{}]", ",\"x\"".repeat(n)))
        }),
        accepted("a provider with as many fields as fit", DESCRIPTION, ANSWER / 12, |n| {
            described(many(n))
        }),
        refused("a provider that nests without end", DESCRIPTION, ANSWER / 2, |n| {
            described(format!(",\"x\":{}", "[".repeat(n)))
        }),
        refused(
            "a provider with as many keys as fit",
            &["oidc::known::read_keys"],
            ANSWER / 13,
            |n| {
                let keys = vec![r#"{"kty":"RSA"}"#; n].join(",");
                text_job(format!("{{\"keys\":[{keys}]}}"), |text| {
                    read_keys(text.as_bytes()).is_ok()
                })
            },
        ),
        refused(
            "a token with as many claims as fit",
            &["oidc::token::person_of"],
            ANSWER / 16,
            |n| token(&many(n)),
        ),
        refused(
            "a token with as many groups as fit",
            &["oidc::token::person_of"],
            ANSWER / 6,
            |n| token(&format!(",\"groups\":[\"x\"{}]", ",\"x\"".repeat(n))),
        ),
        refused("a token whose claims nest", &["oidc::token::person_of"], ANSWER / 2, |n| {
            token(&format!(",\"x\":{}", "[".repeat(n)))
        }),
        refused("a sign-in of dots", &["oidc::seal::Seal::open"], 1200, |n| {
            text_job(".".repeat(n), |text| {
                Seal::new([1; 32]).open(text, "x", Timestamp::UNIX_EPOCH).is_some()
            })
        }),
    ]
}
