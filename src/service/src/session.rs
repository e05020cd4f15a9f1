//! People at the console: sessions that begin with an access key that was proven, or with
//! a link that an administrator made, and end with the key.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use rand::TryRngCore;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Caller, Error, Service, request::RequestIdentity};
use domain::{Rejection, Source};
use store::{GoodSince, ListedKey, NewSession, SessionRow, StoreError};

/// A session ends that nobody used for so long.
const IDLE: SignedDuration = SignedDuration::from_hours(1);

/// No session lasts longer.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);

/// How long a link can be used.
const LINK_LIFETIME: SignedDuration = SignedDuration::from_secs(60);

/// That a session is in use is noted no more often.
const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Most sessions of an access key: a further one ends the oldest.
const MOST_OF_KEY: i64 = 50;

/// Most sessions and keys in a list.
const MOST_LISTED: i64 = 200;

/// What proves a session, or is a link: 256 random bits. Never written down.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

impl SessionToken {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::Store`] if the system has no randomness.
    fn random() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
            Error::Store(StoreError::Corrupt { what: "randomness", why: error.to_string() })
        })?;
        Ok(Self(hex::encode(bytes)))
    }

    /// A token as somebody sent it; none if it cannot be one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let fits = text.len() == 64
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        fits.then(|| Self(text.to_owned()))
    }

    /// The token itself, for whoever is to have it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> Vec<u8> {
        Sha256::digest(&self.0).to_vec()
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionToken(not shown)")
    }
}

/// Where somebody comes from, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// Address.
    pub peer: String,
    /// What the browser calls itself.
    pub agent: String,
}

/// A session that was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    pub id: Uuid,
    pub token: SessionToken,
}

impl Service {
    /// Opens a session for whoever proved an access key.
    ///
    /// # Errors
    /// [`Rejection::NonceUsed`] if the request was sent before; a key that may not be used.
    pub async fn open_session(&self, caller: &Caller, visit: &Visit) -> Result<Opened, Error> {
        let (id, token) = (Uuid::now_v7(), SessionToken::random()?);
        let hash = token.hash();
        let opened: Uuid = self
            .once(caller, "open_session", |tx| {
                Box::pin(async {
                    let session = NewSession {
                        id,
                        token_hash: &hash,
                        key_id: &caller.key_id,
                        peer: cut(&visit.peer, 64),
                        agent: cut(&visit.agent, 200),
                    };
                    if tx.insert_session(&session, self.clock.now()).await? {
                        tx.end_oldest_sessions(&caller.key_id, MOST_OF_KEY).await?;
                        Ok(id)
                    } else {
                        Err(Rejection::NoSession.into())
                    }
                })
            })
            .await?;
        // The same request again gets the first answer, which is of a session whose token
        // nobody knows any more.
        if opened != id {
            return Err(Rejection::NonceUsed.into());
        }
        // What is over is told apart wherever it is read: it may stay until the next time.
        if let Err(error) = self.store.prune_sessions(self.good_sessions(), self.clock.now()).await
        {
            tracing::warn!(%error, "sessions that are over cannot be forgotten");
        }
        Ok(Opened { id, token })
    }

    /// Opens a session with a link, which is used up.
    ///
    /// # Errors
    /// A link that is not good: it was used, it is too old, or its key may not be used.
    pub async fn open_linked_session(
        &self,
        link: &SessionToken,
        visit: &Visit,
    ) -> Result<Opened, Error> {
        let hash = link.hash();
        let key_id = self
            .transaction("take_link", |tx| {
                Box::pin(async { Ok::<_, Error>(tx.take_link(&hash, self.clock.now()).await?) })
            })
            .await?
            .ok_or(Rejection::NoSession)?;
        let caller = Caller {
            key_id,
            name: String::new(),
            request_id: String::new(),
            source: Source::Console,
            reason: String::new(),
            // The link was taken once, so this is asked once.
            identity: Some(RequestIdentity {
                nonce: Uuid::now_v7().to_string(),
                digest: String::new(),
            }),
        };
        self.open_session(&caller, visit).await
    }

    /// Makes a link that signs somebody in as the access key of this name, once and within
    /// a minute.
    ///
    /// # Errors
    /// A name that no key has that may be used.
    pub async fn make_link(&self, key_name: &str) -> Result<SessionToken, Error> {
        let token = SessionToken::random()?;
        let until = self.clock.now() + LINK_LIFETIME;
        if self.store.insert_link(&token.hash(), key_name, until).await? {
            Ok(token)
        } else {
            Err(Rejection::UnknownKey(key_name.into()).into())
        }
    }

    /// The session of this token, if it is good.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn session(&self, token: &SessionToken) -> Result<Option<SessionRow>, Error> {
        let found = self.store.find_session(&token.hash(), self.good_sessions()).await?;
        let now = self.clock.now();
        if let Some(session) = &found
            && now.duration_since(session.seen_at) > NOTED_EVERY
        {
            self.store.touch_session(session.id, now).await?;
        }
        Ok(found)
    }

    /// The sessions that are good, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn sessions(&self) -> Result<Vec<SessionRow>, Error> {
        Ok(self.store.sessions(self.good_sessions(), MOST_LISTED).await?)
    }

    /// Ends a session, the caller's own or another's.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn end_session(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        self.once(caller, "end_session", |tx| Box::pin(async { Ok(tx.end_session(id).await?) }))
            .await?;
        tracing::info!(by = caller.name, session = %id, "a session was ended");
        Ok(())
    }

    /// The access keys, without their secrets.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn keys(&self) -> Result<Vec<ListedKey>, Error> {
        Ok(self.store.listed_keys(MOST_LISTED).await?)
    }

    pub(crate) fn good_sessions(&self) -> GoodSince {
        let now = self.clock.now();
        let since = |age| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        GoodSince { created: since(LONGEST), seen: since(IDLE) }
    }
}

/// At most so many characters of `text`.
fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}
