//! Sign-ins at a provider that says what a test wants.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Form, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use openidconnect::{
    JsonWebKeyId, PrivateSigningKey,
    core::{CoreEdDsaPrivateSigningKey, CoreJsonWebKey, CoreJwsSigningAlgorithm},
};
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use url::Url;

use crate::{Failure, Provider, Reply, Seal, Settings, issuer, site};
use domain::person::Person;

const SECRET: &str = "the client's secret";

/// A provider.
#[derive(Clone)]
struct Fake(Arc<Mutex<Says>>);

/// What it says.
struct Says {
    issuer: String,
    key: CoreEdDsaPrivateSigningKey,
    /// The keys that it shows, where they are not that one.
    keys: Option<Value>,
    /// Changes of its description of itself.
    description: Value,
    /// Changes of the token's claims, and of its header.
    claims: Value,
    header: Value,
    /// How a token is signed.
    sign: fn(&Says, &[u8]) -> Vec<u8>,
    /// In place of any answer of the token endpoint, or of the description.
    token: Option<(u16, String)>,
    answer: Option<(u16, String)>,
    /// The challenge and the nonce of the sign-in that was begun.
    challenge: String,
    nonce: String,
    keys_read: usize,
    sent: BTreeMap<String, String>,
}

fn key(name: &str) -> CoreEdDsaPrivateSigningKey {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let name = JsonWebKeyId::new(name.into());
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pair.serialize_pem(), Some(name)).unwrap()
}

fn merge(into: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Says {
    fn description(&self) -> Value {
        let of = |path: &str| format!("{}{path}", self.issuer);
        let mut all = json!({
            "issuer": self.issuer, "authorization_endpoint": of("/authorize?kind=people"),
            "token_endpoint": of("/token"), "jwks_uri": of("/keys"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA", "of the future"],
        });
        merge(&mut all, &self.description);
        all
    }

    fn id_token(&self) -> String {
        let mut header = json!({ "alg": "EdDSA", "kid": "one", "typ": "JWT" });
        merge(&mut header, &self.header);
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "iss": self.issuer, "aud": "sluice", "sub": "7f3a", "exp": now + 60, "iat": now,
            "nonce": self.nonce, "email": "jane@example.org", "email_verified": true,
            "name": "Jane Doe", "groups": ["platform", "staff"],
        });
        merge(&mut claims, &self.claims);
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = URL_SAFE_NO_PAD.encode((self.sign)(self, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn signed(says: &Says, text: &[u8]) -> Vec<u8> {
    says.key.sign(&CoreJwsSigningAlgorithm::EdDsa, text).unwrap()
}

impl Fake {
    async fn start() -> (Self, Provider) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let says = Says {
            issuer: issuer.clone(),
            key: key("one"),
            keys: None,
            description: json!({}),
            claims: json!({}),
            header: json!({}),
            sign: signed,
            token: None,
            answer: None,
            challenge: String::new(),
            nonce: String::new(),
            keys_read: 0,
            sent: BTreeMap::new(),
        };
        let fake = Self(Arc::new(Mutex::new(says)));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(fake.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        (fake, provider(&issuer))
    }

    fn says(&self) -> MutexGuard<'_, Says> {
        self.0.lock().unwrap()
    }

    /// Signs somebody in, as a browser and the provider's own page do.
    async fn sign_in(&self, provider: &Provider) -> Result<Person, Failure> {
        let now = Timestamp::now();
        let (url, kept) = provider.begin(now, "/console").await?;
        let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        let (challenge, nonce) = (asked["code_challenge"].clone(), asked["nonce"].clone());
        (self.says().challenge, self.says().nonce) = (challenge, nonce);
        let pending = provider.pending(&kept, &asked["state"], now).unwrap();
        provider.finish(&pending, Reply { code: "a code", issuer: None }, now).await
    }
}

fn provider(issuer: &str) -> Provider {
    let settings = Settings {
        issuer: issuer.to_owned(),
        client_id: "sluice".into(),
        client_secret: SECRET.into(),
        scopes: vec!["email".into(), "groups".into()],
        groups_claim: "groups".into(),
        redirect: Url::parse("http://127.0.0.1:8080/console/sign-in/callback").unwrap(),
    };
    Provider::new(settings, Seal::new([3; 32])).unwrap()
}

async fn describe(State(fake): State<Fake>) -> Response {
    let says = fake.says();
    match &says.answer {
        Some((302, place)) => (StatusCode::FOUND, [(LOCATION, place.clone())]).into_response(),
        Some((status, text)) => {
            (StatusCode::from_u16(*status).unwrap(), text.clone()).into_response()
        }
        None => axum::Json(says.description()).into_response(),
    }
}

async fn keys(State(fake): State<Fake>) -> Response {
    let mut says = fake.says();
    says.keys_read += 1;
    let own = || json!({ "keys": [{ "kty": "of the future" }, says.key.as_verification_key()] });
    axum::Json(says.keys.clone().unwrap_or_else(own)).into_response()
}

async fn token(
    State(fake): State<Fake>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let mut says = fake.says();
    let verifier = form.get("code_verifier").cloned().unwrap_or_default();
    says.sent = form;
    let basic = format!("Basic {}", STANDARD.encode("sluice:the+client%27s+secret"));
    let is_client = headers.get("authorization").is_some_and(|it| *it == basic)
        || says.sent.get("client_secret").is_some_and(|it| it == SECRET);
    let refusal = |error: &str| {
        (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": error }))).into_response()
    };
    if let Some((status, text)) = &says.token {
        let json = [("content-type", "application/json")];
        return (StatusCode::from_u16(*status).unwrap(), json, text.clone()).into_response();
    }
    if !is_client {
        return refusal("invalid_client");
    }
    if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != says.challenge {
        return refusal("invalid_grant");
    }
    let reply = json!({ "access_token": "t", "token_type": "Bearer", "id_token": says.id_token() });
    axum::Json(reply).into_response()
}

#[tokio::test]
async fn somebody_signs_in_and_the_provider_says_who_it_is() {
    let (fake, provider) = Fake::start().await;
    let person = fake.sign_in(&provider).await.unwrap();
    let jane = Person {
        subject: "7f3a".into(),
        name: "jane@example.org".into(),
        email: Some("jane@example.org".into()),
        groups: vec!["platform".into(), "staff".into()],
    };
    assert_eq!(person, jane);
    let sent = fake.says().sent.clone();
    assert_eq!(sent["redirect_uri"], "http://127.0.0.1:8080/console/sign-in/callback");
    assert_eq!(
        (sent["grant_type"].as_str(), sent["code"].as_str()),
        ("authorization_code", "a code")
    );
    let (url, _) = provider.begin(Timestamp::now(), "/console").await.unwrap();
    let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("kind", "people"),
        ("response_type", "code"),
        ("client_id", "sluice"),
        ("scope", "openid email groups"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", "http://127.0.0.1:8080/console/sign-in/callback"),
    ] {
        assert_eq!(asked[name], value, "{url}");
    }
    assert!(!url.as_str().contains("secret"), "{url}");
}

#[rstest]
#[case(json!({ "email_verified": false }), "Jane Doe", None)]
#[case(json!({ "email_verified": null }), "jane@example.org", None)]
#[case(json!({ "email_verified": "true" }), "jane@example.org", Some("jane@example.org"))]
#[case(json!({ "email": null, "preferred_username": "jane" }), "jane", None)]
#[case(json!({ "email": null, "name": "\u{202e}Jane\nDoe" }), "JaneDoe", None)]
#[case(json!({ "email": null, "name": null }), "7f3a", None)]
#[case(json!({ "aud": ["sluice"], "azp": "sluice" }), "jane@example.org", Some("jane@example.org"))]
#[tokio::test]
async fn a_person_has_a_name_and_an_address_only_where_it_is_theirs(
    #[case] claims: Value,
    #[case] name: &str,
    #[case] email: Option<&str>,
) {
    let (fake, provider) = Fake::start().await;
    fake.says().claims = claims;
    let person = fake.sign_in(&provider).await.unwrap();
    assert_eq!((person.name.as_str(), person.email.as_deref()), (name, email));
}

#[rstest]
#[case(json!({ "groups": null }), &[])]
#[case(json!({ "groups": "platform" }), &["platform"])]
#[case(json!({ "groups": ["a", 1, {}, "", "b"] }), &["a", "b"])]
#[tokio::test]
async fn groups_are_read_as_providers_write_them(#[case] claims: Value, #[case] groups: &[&str]) {
    let (fake, provider) = Fake::start().await;
    fake.says().claims = claims;
    assert_eq!(fake.sign_in(&provider).await.unwrap().groups, groups);
}

#[rstest]
#[case::of_another_issuer(json!({ "iss": "https://evil.example" }), "issuer")]
#[case::for_another(json!({ "aud": "other" }), "audience")]
#[case::for_nobody(json!({ "aud": [] }), "audience")]
#[case::for_another_too(json!({ "aud": ["sluice", "other"] }), "audience")]
#[case::made_for_another(json!({ "azp": "other" }), "azp")]
#[case::over(json!({ "exp": 1_700_000_000 }), "expired")]
#[case::old(json!({ "iat": 1_700_000_000 }), "clocks")]
#[case::of_the_future(json!({ "iat": 4_000_000_000_i64, "exp": 4_000_000_060_i64 }), "clocks")]
#[case::for_another_sign_in(json!({ "nonce": "other" }), "nonce")]
#[case::for_no_sign_in(json!({ "nonce": null }), "nonce")]
#[case::about_nobody(json!({ "sub": "" }), "subject")]
#[case::about_a_long_subject(json!({ "sub": "x".repeat(256) }), "subject")]
#[case::with_other_groups(json!({ "groups": { "a": 1 } }), "no list")]
#[case::with_many_groups(json!({ "groups": vec!["x"; 2001] }), "at most 2000")]
#[tokio::test]
async fn a_token_that_does_not_say_what_it_must_signs_nobody_in(
    #[case] claims: Value,
    #[case] says: &str,
) {
    let (fake, provider) = Fake::start().await;
    fake.says().claims = claims;
    let Err(Failure::Doubtful(why)) = fake.sign_in(&provider).await else { panic!("{says}") };
    assert!(why.to_lowercase().contains(says), "{why}");
    assert_eq!(fake.says().keys_read, 1, "no key makes it better");
}

fn by_nobody(_: &Says, _: &[u8]) -> Vec<u8> {
    Vec::new()
}

fn by_the_secret(_: &Says, text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn by_the_public_key(says: &Says, text: &[u8]) -> Vec<u8> {
    let public: CoreJsonWebKey = says.key.as_verification_key();
    let public = serde_json::to_value(public).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(public["x"].as_str().unwrap().as_bytes()).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn by_another_key(_: &Says, text: &[u8]) -> Vec<u8> {
    key("one").sign(&CoreJwsSigningAlgorithm::EdDsa, text).unwrap()
}

#[rstest]
#[case::nobody(json!({ "alg": "none" }), by_nobody)]
#[case::nobody_without_a_key(json!({ "alg": "none", "kid": null }), by_nobody)]
#[case::the_secret(json!({ "alg": "HS256" }), by_the_secret)]
#[case::the_public_key(json!({ "alg": "HS256" }), by_the_public_key)]
#[case::another_key(json!({}), by_another_key)]
#[case::a_key_that_nobody_has(json!({ "kid": "two" }), signed)]
#[case::a_way_that_nobody_knows(json!({ "alg": "XX" }), signed)]
#[case::what_another_way_needs(json!({ "alg": "RS256" }), signed)]
#[case::with_a_key_of_its_own(json!({ "jwk": { "kty": "OKP" }, "kid": "two" }), by_another_key)]
#[case::what_must_be_understood(json!({ "crit": ["x"] }), signed)]
#[tokio::test]
async fn a_token_that_the_provider_did_not_sign_signs_nobody_in(
    #[case] header: Value,
    #[case] sign: fn(&Says, &[u8]) -> Vec<u8>,
) {
    let (fake, provider) = Fake::start().await;
    (fake.says().header, fake.says().sign) = (header, sign);
    let refused = fake.sign_in(&provider).await.unwrap_err();
    assert!(!refused.to_string().contains("secret"), "{refused}");
    fake.says().header = json!({});
    fake.says().sign = signed;
    fake.sign_in(&provider).await.unwrap();
}

#[tokio::test]
async fn a_provider_may_change_its_key() {
    let (fake, provider) = Fake::start().await;
    fake.sign_in(&provider).await.unwrap();
    fake.says().key = key("two");
    fake.says().header = json!({ "kid": "two" });
    fake.sign_in(&provider).await.unwrap();
    // Another key under the same name.
    fake.says().key = key("two");
    fake.sign_in(&provider).await.unwrap();
    fake.sign_in(&provider).await.unwrap();
    assert_eq!(fake.says().keys_read, 3);
    // One that it does not show any more is good no longer.
    fake.says().keys = Some(json!({ "keys": [key("three").as_verification_key()] }));
    fake.says().key = key("two");
    fake.sign_in(&provider).await.unwrap_err();
}

#[tokio::test]
async fn what_the_token_endpoint_refuses_is_named_and_what_it_breaks_is_not_shown() {
    let (fake, provider) = Fake::start().await;
    for (status, text, says) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"Code\u0007 not valid"}"#,
            "invalid_grant: Code not valid",
        ),
        (401, r#"{"error":"invalid_client"}"#, "invalid_client"),
        (200, r#"{"access_token":"geheim","token_type":"Bearer"}"#, "no ID token"),
        (
            200,
            r#"{"access_token":"geheim","token_type":"Bearer","id_token":"geheim"}"#,
            "cannot be read",
        ),
        (200, "geheim", "cannot be read"),
        (500, "", "empty"),
        (302, "geheim", "cannot be read"),
    ] {
        fake.says().token = Some((status, text.into()));
        let refused = fake.sign_in(&provider).await.unwrap_err().to_string();
        assert!(refused.contains(says) && !refused.contains("geheim"), "{refused}");
    }
    fake.says().token = Some((200, "x".repeat(crate::fetch::LARGEST_ANSWER + 1)));
    let refused = fake.sign_in(&provider).await.unwrap_err();
    assert!(matches!(&refused, Failure::Away(why) if why.contains("more than")), "{refused}");
    fake.says().token = None;
    fake.says().description =
        json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] });
    let provider = self::provider(&fake.says().issuer.clone());
    fake.sign_in(&provider).await.unwrap();
    assert_eq!(fake.says().sent["client_secret"], SECRET);
}

#[rstest]
#[case(json!({ "issuer": "https://evil.example" }), "the same to the last sign")]
#[case(json!({ "issuer": null }), "cannot be read")]
#[case(json!({ "token_endpoint": null }), "no token endpoint")]
#[case(json!({ "token_endpoint": "http://192.0.2.1/token" }), "http://192.0.2.1/token")]
#[case(json!({ "jwks_uri": "http://keys.example/" }), "must begin with https://")]
#[case(json!({ "authorization_endpoint": "javascript:alert(1)" }), "must begin with https://")]
#[tokio::test]
async fn a_provider_that_describes_itself_wrongly_is_not_asked(
    #[case] description: Value,
    #[case] says: &str,
) {
    let (fake, provider) = Fake::start().await;
    fake.says().description = description;
    let refused = provider.begin(Timestamp::now(), "/console").await.unwrap_err();
    assert!(matches!(&refused, Failure::Away(why) if why.contains(says)), "{refused}");
    assert!(provider.is_away());
}

#[test]
fn a_provider_elsewhere_does_not_name_this_machine() {
    let document = json!({
        "issuer": "https://login.example.org", "authorization_endpoint": "https://login.example.org/a",
        "token_endpoint": "http://127.0.0.1:8080/t", "jwks_uri": "https://login.example.org/k",
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    let read = |document: &Value| {
        crate::read_metadata("https://login.example.org", document.to_string().as_bytes())
    };
    assert!(read(&document).unwrap_err().contains("127.0.0.1:8080"));
    for other in ["https://login.example.org/t", "https://tokens.example.net/t"] {
        let mut document = document.clone();
        document["token_endpoint"] = other.into();
        read(&document).unwrap();
    }
}

#[rstest]
#[case(json!({ "keys": [] }), "no key")]
#[case(json!({ "keys": [{ "kty": "of the future" }] }), "no key")]
#[case(json!({ "keys": vec![key("x").as_verification_key(); 101] }), "at most 100")]
#[case(json!([]), "cannot be read")]
#[tokio::test]
async fn a_provider_without_keys_that_are_good_is_not_asked(
    #[case] keys: Value,
    #[case] says: &str,
) {
    let (fake, provider) = Fake::start().await;
    fake.says().keys = Some(keys);
    let refused = provider.begin(Timestamp::now(), "/console").await.unwrap_err();
    assert!(refused.to_string().contains(says), "{refused}");
}

#[tokio::test]
async fn a_provider_that_is_away_is_known_as_such_until_it_answers() {
    let (fake, provider) = Fake::start().await;
    assert!(!provider.is_away(), "nobody has asked it");
    for answer in [
        (500, String::new()),
        (302, format!("{}/.well-known/elsewhere", fake.says().issuer)),
        (200, "x".repeat(crate::fetch::LARGEST_ANSWER + 1)),
        (200, "[".repeat(10_000)),
    ] {
        fake.says().answer = Some(answer);
        let away = self::provider(&fake.says().issuer.clone());
        let refused = away.begin(Timestamp::now(), "/console").await.unwrap_err();
        assert!(matches!(refused, Failure::Away(_)) && away.is_away(), "{refused}");
        // It is let alone for a moment, and has the same to say to who asks then.
        fake.says().answer = None;
        assert_eq!(away.begin(Timestamp::now(), "/console").await.unwrap_err(), refused);
    }
    // One that has answered once is known, whatever comes.
    let stop = tokio_util::sync::CancellationToken::new();
    provider.begin(Timestamp::now(), "/console").await.unwrap();
    fake.says().answer = Some((500, String::new()));
    let keeping = tokio::spawn({
        let (provider, stop) = (provider.clone(), stop.clone());
        async move { provider.keep_known(stop).await }
    });
    fake.sign_in(&provider).await.unwrap();
    assert!(!provider.is_away());
    stop.cancel();
    keeping.await.unwrap();
    // Nobody listens.
    let gone = self::provider("http://127.0.0.1:1");
    assert!(matches!(gone.begin(Timestamp::now(), "/console").await, Err(Failure::Away(_))));
}

#[tokio::test]
async fn a_reply_of_another_provider_is_not_taken_to_this_one() {
    let (fake, provider) = Fake::start().await;
    let own = fake.says().issuer.clone();
    provider.check_sender(None).await.unwrap();
    provider.check_sender(Some(&own)).await.unwrap();
    assert!(provider.check_sender(Some("https://evil.example")).await.is_err());
    fake.says().description = json!({ "authorization_response_iss_parameter_supported": true });
    let strict = self::provider(&own);
    strict.check_sender(Some(&own)).await.unwrap();
    assert!(strict.check_sender(None).await.is_err(), "it always says who it is");
    let now = Timestamp::now();
    let (pending, _) = Seal::new([3; 32]).begin(&[1; 32], now, "/console");
    for (code, issuer) in [("c", Some("https://evil.example")), ("", None), ("a\nb", None)] {
        let refused = provider.finish(&pending, Reply { code, issuer }, now).await.unwrap_err();
        assert!(matches!(refused, Failure::Doubtful(_)), "{refused}");
    }
    let long = "x".repeat(2049);
    provider.finish(&pending, Reply { code: &long, issuer: None }, now).await.unwrap_err();
    assert!(fake.says().sent.is_empty(), "the token endpoint was not asked");
}

#[test]
fn an_address_is_one_on_whose_way_nobody_reads_along() {
    for good in [
        "https://login.example.org/realms/a",
        "http://127.0.0.1:5556/dex",
        "http://[::1]",
        "http://localhost/x",
    ] {
        assert_eq!(issuer(good).unwrap(), good);
    }
    for wrong in [
        "",
        "login.example.org",
        "http://login.example.org",
        "https://u:p@a.example",
        "https://a.example/?b",
        "https://a.example/#b",
        "ftp://a.example",
        "http://localhost.example.org",
    ] {
        assert!(issuer(wrong).is_err(), "{wrong}");
    }
    assert_eq!(site("https://sluice.example.org").unwrap().as_str(), "https://sluice.example.org/");
    for wrong in ["https://a.example/console", "https://a.example/?a", "http://a.example"] {
        assert!(site(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_secret_is_never_shown() {
    let provider = provider("https://login.example.org/realms/a");
    assert!(
        !format!("{provider:?}").contains("secret's") && !format!("{provider:?}").contains(SECRET)
    );
    assert_eq!(provider.name(), "login.example.org");
}
