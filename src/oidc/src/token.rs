//! Who somebody is, by an ID token: its signature, and what it must say.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jiff::{SignedDuration, Timestamp};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, ClientId, IdToken, IdTokenVerifier, IssuerUrl,
    Nonce, SignatureVerificationError,
    core::{
        CoreGenderClaim, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use domain::person::{Person, shown_name};

/// How tokens may be signed: with a key of which we have no more than the public half.
/// `none` and what is signed with a shared secret are not among these.
const SIGNED_BY: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A token is made while somebody signs in; the provider's clock may differ a little.
const OLDEST: SignedDuration = SignedDuration::from_mins(15);
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(2);

/// Most groups that are read, and longest name of one.
const MOST_GROUPS: usize = 2000;
const LONGEST_GROUP: usize = 256;

/// Longest subject, in bytes: the protocol's own limit.
const LONGEST_SUBJECT: usize = 255;

/// Longest name of a person, in characters.
const LONGEST_NAME: usize = 100;

/// The claims that are not everybody's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Others(BTreeMap<String, Value>);

impl AdditionalClaims for Others {}

/// An ID token that was not checked yet.
pub type Claimed =
    IdToken<Others, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub groups_claim: &'a str,
    pub now: Timestamp,
}

/// Why a token says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It may be signed with a key that the provider has had for a short time only.
    UnknownKey(String),
    Wrong(String),
}

/// The person that a token is about, if it is good.
///
/// # Errors
/// What is wrong with it.
pub fn person_of(
    token: &Claimed,
    keys: &CoreJsonWebKeySet,
    expected: Expected<'_>,
) -> Result<Person, Doubt> {
    let wrong = |why: &str| Doubt::Wrong(why.to_owned());
    let client = ClientId::new(expected.client_id.to_owned());
    let issuer =
        IssuerUrl::new(expected.issuer.to_owned()).map_err(|why| wrong(&why.to_string()))?;
    let now = expected.now;
    // As for a public client: nothing that is signed with a secret is good.
    let verifier =
        IdTokenVerifier::<CoreJsonWebKey>::new_public_client(client, issuer, keys.clone())
            .set_allowed_algs(SIGNED_BY)
            .set_time_fn(move || {
                let (seconds, nanos) = (now.as_second(), now.subsec_nanosecond());
                DateTime::from_timestamp(seconds, nanos.unsigned_abs())
                    .unwrap_or(DateTime::<Utc>::MAX_UTC)
            })
            .set_issue_time_verifier_fn(move |issued| is_recent(issued.timestamp(), now));
    let nonce = Nonce::new(expected.nonce.to_owned());
    let claims = token.claims(&verifier, &nonce).map_err(doubt)?;
    if claims.authorized_party().is_some_and(|party| party.as_str() != expected.client_id) {
        return Err(wrong("it was made for another client (azp)"));
    }
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > LONGEST_SUBJECT || subject.contains(char::is_control) {
        return Err(wrong("its subject is empty or too long"));
    }
    let is_theirs = claims.email_verified() == Some(true);
    // Compared as it is: what is taken out or cut could make it somebody else's.
    let email = claims.email().map(|it| it.as_str()).filter(|it| is_theirs && it.len() <= 254);
    let shown_email = email.map(|it| shown_name(it, LONGEST_NAME));
    let preferred = claims.preferred_username().map(|it| shown_name(it, LONGEST_NAME));
    let full = claims.name().and_then(|it| it.get(None)).map(|it| shown_name(it, LONGEST_NAME));
    let name = shown_email
        .or(preferred)
        .or(full)
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| shown_name(subject, LONGEST_NAME));
    Ok(Person {
        subject: subject.to_owned(),
        name,
        email: email.map(str::to_owned),
        groups: groups(claims.additional_claims(), expected.groups_claim)?,
    })
}

fn groups(claims: &Others, name: &str) -> Result<Vec<String>, Doubt> {
    let fits = |group: &str| !group.is_empty() && group.len() <= LONGEST_GROUP;
    match claims.0.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(group)) => {
            Ok(Some(group.clone()).filter(|it| fits(it)).into_iter().collect())
        }
        Some(Value::Array(all)) if all.len() > MOST_GROUPS => Err(Doubt::Wrong(format!(
            "the claim {name} has {} groups: at most {MOST_GROUPS} are read",
            all.len()
        ))),
        Some(Value::Array(all)) => Ok(all
            .iter()
            .filter_map(Value::as_str)
            .filter(|it| fits(it))
            .map(str::to_owned)
            .collect()),
        Some(_) => Err(Doubt::Wrong(format!("the claim {name} is no list of groups"))),
    }
}

fn is_recent(issued: i64, now: Timestamp) -> Result<(), String> {
    let age = now.as_second().saturating_sub(issued);
    if (-CLOCKS_DIFFER.as_secs()..=OLDEST.as_secs()).contains(&age) {
        Ok(())
    } else {
        Err("it was not made just now: compare the clocks of the provider and of this server"
            .into())
    }
}

fn doubt(error: ClaimsVerificationError) -> Doubt {
    let text = shown_name(&error.to_string(), 300);
    match error {
        // A key of the same name may be another one by now.
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
        ) => Doubt::UnknownKey(cause(&error, text)),
        _ => Doubt::Wrong(cause(&error, text)),
    }
}

/// The library names some causes no further than that there is one.
fn cause(error: &ClaimsVerificationError, text: String) -> String {
    match std::error::Error::source(error) {
        Some(deeper) => format!("{text}: {}", shown_name(&deeper.to_string(), 300)),
        None => text,
    }
}
