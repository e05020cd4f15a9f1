//! The identity provider: what is known of it, and the two steps of a sign-in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardErrorResponse, StandardTokenResponse, TokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
        CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use rand::TryRngCore;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    fetch,
    known::{Known, Metadata, read_keys, read_metadata},
    seal::{Pending, Seal},
    settings::Settings,
    token::{Claimed, Doubt, Expected, Others, person_of},
};
use domain::person::{Person, shown_name};

/// Longest time for the second step, all questions together.
const FINISH: Duration = Duration::from_secs(8);

/// How often the provider is asked whether it has changed, and when it did not answer.
const AGAIN: Duration = Duration::from_secs(3600);
const RETRY: Duration = Duration::from_secs(15);

/// A provider that did not answer just now is not asked again by everybody.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest code.
const LONGEST_CODE: usize = 2048;

type Fields = IdTokenFields<
    Others,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type OurClient = Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why nobody was signed in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The provider cannot be asked.
    #[error("the identity provider cannot be asked: {0}")]
    Away(String),
    /// The provider refused.
    #[error("the identity provider refused: {0}")]
    Refused(String),
    /// What came is not of this provider, or not for this sign-in.
    #[error("what the identity provider said is not good: {0}")]
    Doubtful(String),
}

/// What a browser brings back from the provider.
#[derive(Clone, Copy)]
pub struct Reply<'a> {
    pub code: &'a str,
    /// Who it comes from, where that was said.
    pub issuer: Option<&'a str>,
}

/// The provider. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Provider(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    seal: Seal,
    client: fetch::Client,
    state: watch::Sender<State>,
    /// Held by who asks the provider what it is.
    asking: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    /// Why it could not be asked when it was asked last, and when that was.
    trouble: Option<(String, Instant)>,
}

impl Provider {
    /// A provider of which nothing is known yet.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(settings: Settings, seal: Seal) -> Result<Self, Failure> {
        let client = fetch::Client::new().map_err(|why| Failure::Away(why.to_string()))?;
        let (state, asking) = (watch::Sender::new(State::default()), Mutex::new(()));
        Ok(Self(Arc::new(Inner { settings, seal, client, state, asking })))
    }

    /// What people know the provider by: its host.
    #[must_use]
    pub fn name(&self) -> String {
        let issuer = &self.0.settings.issuer;
        let host = Url::parse(issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.unwrap_or_else(|| issuer.clone())
    }

    /// Whether the provider did not answer when it was asked last.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let state = self.0.state.borrow();
        state.known.is_none() && state.trouble.is_some()
    }

    /// Keeps what is known of the provider up to date until `stop`.
    pub async fn keep_known(&self, stop: CancellationToken) {
        let work = async {
            loop {
                let wait = match self.learn().await {
                    Ok(_) => AGAIN,
                    Err(_) => RETRY,
                };
                tokio::time::sleep(wait).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    /// The first step: where to send a browser, and what it is to keep meanwhile.
    ///
    /// # Errors
    /// The provider cannot be asked.
    pub async fn begin(&self, now: Timestamp, next: &str) -> Result<(Url, String), Failure> {
        let known = self.known().await?;
        let mut random = [0; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut random)
            .map_err(|why| Failure::Away(format!("there is no randomness: {why}")))?;
        let (pending, kept) = self.0.seal.begin(&random, now, next);
        let client = self.client(&known.metadata)?;
        let (state, nonce) = (pending.state.clone(), pending.nonce.clone());
        let mut request = client.authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        for scope in self.0.settings.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let verifier = PkceCodeVerifier::new(pending.verifier);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let (url, ..) = request.set_pkce_challenge(challenge).url();
        Ok((url, kept))
    }

    /// The sign-in that this browser began, by what it kept and what came back.
    #[must_use]
    pub fn pending(&self, kept: &str, state: &str, now: Timestamp) -> Option<Pending> {
        self.0.seal.open(kept, state, now)
    }

    /// Whether a reply comes from this provider, as far as it says. Another one's would have
    /// its code sent to this one.
    ///
    /// # Errors
    /// It comes from another.
    pub async fn check_sender(&self, issuer: Option<&str>) -> Result<(), Failure> {
        let known = self.known().await?;
        let besides = known.metadata.additional_metadata();
        match issuer {
            Some(issuer) if issuer == self.0.settings.issuer => Ok(()),
            Some(_) => Err(Failure::Doubtful("it comes from another provider (iss)".into())),
            None if besides.authorization_response_iss_parameter_supported => {
                Err(Failure::Doubtful("it does not say from which provider it comes (iss)".into()))
            }
            None => Ok(()),
        }
    }

    /// The second step: who somebody is.
    ///
    /// # Errors
    /// The provider cannot be asked, refuses, or says what is not good.
    pub async fn finish(
        &self,
        pending: &Pending,
        reply: Reply<'_>,
        now: Timestamp,
    ) -> Result<Person, Failure> {
        let fits = (1..=LONGEST_CODE).contains(&reply.code.len());
        if !fits || !reply.code.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(Failure::Doubtful("there is no code in it".into()));
        }
        let work = async {
            self.check_sender(reply.issuer).await?;
            self.ask(pending, reply.code, now).await
        };
        match tokio::time::timeout(FINISH, work).await {
            Ok(person) => person,
            Err(_) => Err(Failure::Away("it does not answer in time".into())),
        }
    }

    async fn ask(&self, pending: &Pending, code: &str, now: Timestamp) -> Result<Person, Failure> {
        let known = self.known().await?;
        let token = self.token(&known.metadata, pending, code).await?;
        let settings = &self.0.settings;
        let expected = Expected {
            issuer: &settings.issuer,
            client_id: &settings.client_id,
            nonce: &pending.nonce,
            groups_claim: &settings.groups_claim,
            now,
        };
        let doubt = match person_of(&token, &known.keys, expected) {
            Ok(person) => return Ok(person),
            Err(Doubt::Wrong(why)) => return Err(Failure::Doubtful(why)),
            Err(Doubt::UnknownKey(why)) => why,
        };
        // The provider has changed its keys. It was asked for this token just now, so nobody
        // else makes this happen.
        tracing::info!(why = doubt, "the identity provider's keys are read again");
        let keys = self.keys(&known.metadata).await?;
        let metadata = known.metadata.clone();
        let fresh = Arc::new(Known { metadata, keys });
        self.0.state.send_modify(|state| state.known = Some(fresh.clone()));
        person_of(&token, &fresh.keys, expected).map_err(|doubt| match doubt {
            Doubt::Wrong(why) | Doubt::UnknownKey(why) => Failure::Doubtful(why),
        })
    }

    /// The ID token that the provider gives for a code.
    async fn token(
        &self,
        metadata: &Metadata,
        pending: &Pending,
        code: &str,
    ) -> Result<Claimed, Failure> {
        let client = self.client(metadata)?;
        let reply = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|why| Failure::Away(why.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
            .request_async(&self.0.client)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(why) => Failure::Away(why.to_string()),
                RequestTokenError::ServerResponse(refusal) => {
                    let (code, text) = (refusal.error(), refusal.error_description());
                    let text = text.map(|text| format!(": {text}")).unwrap_or_default();
                    Failure::Refused(shown_name(&format!("{}{text}", code.as_ref()), 200))
                }
                // What cannot be read may hold a token: it is not shown.
                RequestTokenError::Parse(..) => Failure::Away("its answer cannot be read".into()),
                RequestTokenError::Other(why) => Failure::Away(shown_name(&why, 200)),
            })?;
        let token = reply.id_token().cloned();
        token.ok_or_else(|| Failure::Doubtful("it gives no ID token".into()))
    }

    fn client(&self, metadata: &Metadata) -> Result<OurClient, Failure> {
        let settings = &self.0.settings;
        let secret = ClientSecret::new(settings.client_secret.expose_secret().to_owned());
        let redirect = RedirectUrl::from_url(settings.redirect.clone());
        let takes = |method| {
            let methods = metadata.token_endpoint_auth_methods_supported();
            methods.is_none_or(|methods| methods.contains(&method))
        };
        let how = match takes(CoreClientAuthMethod::ClientSecretBasic) {
            true => AuthType::BasicAuth,
            false => AuthType::RequestBody,
        };
        let id = ClientId::new(settings.client_id.clone());
        let client = Client::from_provider_metadata(metadata.clone(), id, Some(secret));
        Ok(client.set_redirect_uri(redirect).set_auth_type(how))
    }

    async fn known(&self) -> Result<Arc<Known>, Failure> {
        let found = |state: &State| match (&state.known, &state.trouble) {
            (Some(known), _) => Some(Ok(known.clone())),
            (None, Some((why, at))) if at.elapsed() < PATIENCE => {
                Some(Err(Failure::Away(why.clone())))
            }
            _ => None,
        };
        let before = found(&self.0.state.borrow());
        if let Some(before) = before {
            return before;
        }
        // Of many who come at once, one asks.
        let _turn = self.0.asking.lock().await;
        let meanwhile = found(&self.0.state.borrow());
        match meanwhile {
            Some(meanwhile) => meanwhile,
            None => self.learn().await,
        }
    }

    /// Asks the provider what it is. What was known before stays if it does not answer.
    async fn learn(&self) -> Result<Arc<Known>, Failure> {
        let learned = self.discover().await;
        let was_away = self.0.state.borrow().trouble.is_some();
        match learned {
            Ok(known) => {
                let known = Arc::new(known);
                self.0.state.send_replace(State { known: Some(known.clone()), trouble: None });
                if was_away {
                    tracing::info!("the identity provider answers again");
                }
                Ok(known)
            }
            Err(why) => {
                if !was_away {
                    tracing::warn!(%why, "people cannot sign in through the identity provider");
                }
                let Failure::Away(text) = &why else { return Err(why) };
                let trouble = Some((text.clone(), Instant::now()));
                self.0.state.send_modify(|state| state.trouble = trouble);
                Err(why)
            }
        }
    }

    async fn discover(&self) -> Result<Known, Failure> {
        let issuer = &self.0.settings.issuer;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document =
            self.0.client.get(&place).await.map_err(|why| Failure::Away(why.to_string()))?;
        let metadata = read_metadata(issuer, &document).map_err(Failure::Away)?;
        let keys = self.keys(&metadata).await?;
        Ok(Known { metadata, keys })
    }

    async fn keys(&self, metadata: &Metadata) -> Result<CoreJsonWebKeySet, Failure> {
        let place = metadata.jwks_uri().as_str();
        let document =
            self.0.client.get(place).await.map_err(|why| Failure::Away(why.to_string()))?;
        read_keys(&document).map_err(Failure::Away)
    }
}
