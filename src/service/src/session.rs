//! People at the console: sessions that begin with an access key that was proven, or with
//! a link that an administrator made, and end with the key.

use std::{fmt, net::IpAddr};

use jiff::{SignedDuration, Timestamp};
use rand::TryRngCore;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Caller, Error, Service, access::is_from, request::RequestIdentity};
use domain::{Rejection, Source, person::Person};
use store::{
    FoundSession, GoodSince, ListedKey, NewSession, SessionPerson, SessionRow, StoreError,
    WantedKeys,
};

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
        Ok(Self(hex::encode(random()?)))
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
    /// Who is signed in by it.
    pub name: String,
}

impl Service {
    /// Opens a session for whoever proved an access key.
    ///
    /// # Errors
    /// [`Rejection::NonceUsed`] if the request was sent before; a key that may not be used.
    pub async fn open_session(&self, caller: &Caller, visit: &Visit) -> Result<Opened, Error> {
        self.open(caller, visit, None).await
    }

    /// Opens a session for a person whom an identity provider vouches for, who works as the
    /// access key of this name. `sign_in` is what no other sign-in has.
    ///
    /// # Errors
    /// [`Rejection::NonceUsed`] if this sign-in began a session before; a name that no key has
    /// that may be used.
    pub async fn open_persons_session(
        &self,
        key_name: &str,
        person: &Person,
        sign_in: &str,
        visit: &Visit,
    ) -> Result<Opened, Error> {
        let key_id = self.store.key_named(key_name).await?;
        let key_id = key_id.ok_or_else(|| Rejection::UnknownKey(key_name.into()))?;
        let person = SessionPerson { subject: person.subject.clone(), name: person.name.clone() };
        let name = acting_name(Some(&person), key_name);
        let principal = key_name.to_owned();
        let caller = Caller {
            principal,
            person: Some(person.subject.clone()),
            ..by_sign_in(key_id, name, sign_in, visit)
        };
        self.open(&caller, visit, Some(&person)).await
    }

    async fn open(
        &self,
        caller: &Caller,
        visit: &Visit,
        person: Option<&SessionPerson>,
    ) -> Result<Opened, Error> {
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
                        person,
                    };
                    if tx.insert_session(&session, self.clock.now()).await? {
                        let subject = person.map(|person| person.subject.as_str());
                        tx.end_oldest_sessions(&caller.key_id, subject, MOST_OF_KEY).await?;
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
        Ok(Opened { id, token, name: caller.name.clone() })
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
        let (key_id, name) = self
            .transaction("take_link", |tx| {
                Box::pin(async { Ok::<_, Error>(tx.take_link(&hash, self.clock.now()).await?) })
            })
            .await?
            .ok_or(Rejection::NoSession)?;
        // The link was taken once, so this is asked once.
        let caller = by_sign_in(key_id, name, &Uuid::now_v7().to_string(), visit);
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

    /// Makes such a link for the access key of this id, and for no other of its name.
    ///
    /// # Errors
    /// A key that may not be used until the link ends, or [`Rejection::NonceUsed`] if the same
    /// request made one before.
    pub async fn make_link_of_key(&self, caller: &Caller) -> Result<SessionToken, Error> {
        let (id, token) = (Uuid::now_v7(), SessionToken::random()?);
        let (hash, until) = (token.hash(), self.clock.now() + LINK_LIFETIME);
        let key = &caller.key_id;
        let made: Uuid = self
            .once(caller, "make_link", |tx| {
                Box::pin(async {
                    if tx.insert_link_of_key(&hash, key, until).await? {
                        Ok(id)
                    } else {
                        Err(Rejection::UnknownKey(key.clone()).into())
                    }
                })
            })
            .await?;
        // The same request again gets the first answer, which is of a link that it is not told.
        if made == id { Ok(token) } else { Err(Rejection::NonceUsed.into()) }
    }

    /// The session of this token, if it is good, and its key may be used from there.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn session(
        &self,
        token: &SessionToken,
        peer: IpAddr,
    ) -> Result<Option<FoundSession>, Error> {
        let found = self.store.find_session(&token.hash(), self.good_sessions()).await?;
        let found = found.filter(|found| is_from(&found.networks, peer));
        let now = self.clock.now();
        if let Some(FoundSession { session, .. }) = &found
            && now.duration_since(session.seen_at) > NOTED_EVERY
        {
            self.store.touch_session(session.id, now).await?;
        }
        Ok(found)
    }

    /// The sessions that are good, newest first: the caller's, or all where the caller may
    /// see them.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionRow>, Error> {
        let key = (!self.manages_access()).then_some(caller.key_id.as_str());
        Ok(self.store.sessions(self.good_sessions(), key, MOST_LISTED).await?)
    }

    /// Ends a session: one of the caller's key, or any where the caller may see them.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn end_session(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        let key = (!self.manages_access()).then_some(caller.key_id.as_str());
        self.once(caller, "end_session", |tx| {
            Box::pin(async { Ok(tx.end_session(id, key).await?) })
        })
        .await?;
        tracing::info!(by = caller.name, session = %id, "a session was ended");
        Ok(())
    }

    /// The access keys, without their secrets: those of the caller's principal, or all where
    /// the caller may see them.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn keys(&self, caller: &Caller) -> Result<Vec<ListedKey>, Error> {
        if self.manages_access() {
            let all = WantedKeys { most: MOST_LISTED, ..WantedKeys::default() };
            return Ok(self.store.listed_keys(all).await?);
        }
        let principal = self.key(&caller.key_id).await?.map(|key| key.name).unwrap_or_default();
        let own =
            WantedKeys { principal: Some(&principal), most: MOST_LISTED, ..WantedKeys::default() };
        Ok(self.store.listed_keys(own).await?)
    }

    /// What the servers of this database prove their sign-ins with.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn console_seal(&self) -> Result<[u8; 32], Error> {
        let candidate: [u8; 32] = random()?;
        let seal = self.store.console_seal(&candidate).await?;
        let wrong = |_| StoreError::Corrupt { what: "console seal", why: "its length".into() };
        Ok(seal.try_into().map_err(wrong)?)
    }

    /// Those of these names that no access key has that may be used.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn unusable_keys<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, Error> {
        let mut unusable = Vec::new();
        for name in names {
            if self.store.key_named(name).await?.is_none() {
                unusable.push(*name);
            }
        }
        Ok(unusable)
    }

    pub(crate) fn good_sessions(&self) -> GoodSince {
        let now = self.clock.now();
        let since = |age| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        GoodSince { created: since(LONGEST), seen: since(IDLE), now }
    }
}

fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
        Error::Store(StoreError::Corrupt { what: "randomness", why: error.to_string() })
    })?;
    Ok(bytes)
}

/// Who begins a session, by what no other sign-in has.
fn by_sign_in(key_id: String, name: String, sign_in: &str, visit: &Visit) -> Caller {
    Caller {
        key_id,
        principal: name.clone(),
        name,
        person: None,
        request_id: String::new(),
        trace: None,
        source: Source::Console,
        reason: String::new(),
        peer: visit.peer.parse().ok(),
        identity: Some(RequestIdentity {
            nonce: format!("sign-in-{sign_in}"),
            digest: String::new(),
        }),
    }
}

/// The name under which somebody acts: a person's, with the key as which they work.
#[must_use]
pub fn acting_name(person: Option<&SessionPerson>, key_name: &str) -> String {
    match person {
        Some(person) => format!("{} ({key_name})", person.name),
        None => key_name.to_owned(),
    }
}

/// At most so many characters of `text`.
fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}
