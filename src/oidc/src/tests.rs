//! Sign-ins at a provider that says what a test wants.

mod described;
mod signed;

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
