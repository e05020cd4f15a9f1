//! Vault's Transit engine, which wraps and unwraps keys over HTTP. It is asked when the
//! program starts, and not again.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::redirect;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

/// What a key begins with that Transit wrapped.
pub(super) const WRAPPED: &str = "vault:";

/// Longest time for one question and its whole answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Largest answer, in bytes.
const LARGEST_ANSWER: usize = 64 * 1024;

/// A key of Vault's Transit engine.
pub(super) struct Vault {
    http: reqwest::Client,
    address: Url,
    mount: String,
    key: String,
    token: SecretString,
}

impl Vault {
    pub(super) fn new(address: &Url, mount: &str, key: &str, token: SecretString) -> Result<Self> {
        // An error says that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .timeout(ANSWER)
        };
        // Without certificates of the system HTTPS says what is wrong.
        let http = builder().build().or_else(|_| builder().tls_certs_only([]).build())?;
        let (address, mount, key) = (address.clone(), mount.to_owned(), key.to_owned());
        Ok(Self { http, address, mount, key, token })
    }

    /// The line of a keyring that Transit wrapped.
    pub(super) async fn unwrap(&self, wrapped: &str) -> Result<SecretString> {
        let answer = self.ask("decrypt", json!({ "ciphertext": wrapped })).await?;
        let clear = answer.pointer("/data/plaintext").and_then(Value::as_str);
        let clear = clear.and_then(|text| STANDARD.decode(text).ok());
        let clear = clear.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(clear.context("Vault's answer holds no key of a keyring")?.into())
    }

    /// The same line, wrapped.
    pub(super) async fn wrap(&self, line: &str) -> Result<SecretString> {
        let answer = self.ask("encrypt", json!({ "plaintext": STANDARD.encode(line) })).await?;
        let wrapped = answer.pointer("/data/ciphertext").and_then(Value::as_str);
        let wrapped = wrapped.filter(|text| {
            text.starts_with(WRAPPED) && !text.contains(|it: char| it.is_whitespace() || it == '#')
        });
        Ok(wrapped.context("Vault's answer holds no wrapped key")?.to_owned().into())
    }

    async fn ask(&self, what: &str, question: Value) -> Result<Value> {
        let base = self.address.as_str().trim_end_matches('/');
        let url = format!("{base}/v1/{}/{what}/{}", self.mount, self.key);
        let mut answer = self
            .http
            .post(&url)
            .header("X-Vault-Token", self.token.expose_secret())
            .header("Content-Type", "application/json")
            .body(question.to_string())
            .send()
            .await
            .with_context(|| format!("Vault does not answer at {url}"))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.context("Vault's answer ended early")? {
            if body.len() + part.len() > LARGEST_ANSWER {
                bail!("Vault's answer has more than {LARGEST_ANSWER} bytes");
            }
            body.extend_from_slice(&part);
        }
        if !status.is_success() {
            bail!("Vault refuses to {what} with key {}: HTTP {}", self.key, status.as_u16());
        }
        serde_json::from_slice(&body).context("Vault's answer is no JSON")
    }
}
