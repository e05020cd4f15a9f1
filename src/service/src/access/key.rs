//! Access keys: how requests are judged by them, and how they come and go.

use std::{net::IpAddr, sync::Arc, time::Instant};

use jiff::{SignedDuration, Timestamp};
use rand::TryRngCore;
use secrecy::SecretString;

use super::is_from;
use crate::{
    Caller, Error, Service,
    known::{Found, GOOD_FOR},
    once::Work,
};
use domain::{
    Input, Rejection,
    access::{Grant, Network},
};
use store::{KeyRow, ListedKey, NewKey, StoreError};

/// That a key is in use is noted no more often.
const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Most keys of a principal that may be used: the second one takes the first one's place.
const MOST_KEYS: i64 = 2;

/// Most keys, principals or policies in a list.
pub(super) const MOST_LISTED: i64 = 1000;

/// Most networks that a key may be used from.
const MOST_NETWORKS: usize = 50;

/// Longest name of a key or a principal.
const LONGEST_NAME: usize = 100;

/// An access key as authentication needs it.
#[derive(Debug, Clone)]
pub struct KeySecret {
    /// The name of the principal that it is a key of.
    pub name: String,
    pub secret: SecretString,
    /// Whether somebody has not disabled it.
    pub enabled: bool,
    /// Whether its time is over.
    pub expired: bool,
    pub last_used_at: Option<Timestamp>,
    /// Signature schemes that it may be used with; empty = all.
    pub schemes: Vec<String>,
    networks: Vec<String>,
    /// What is granted to its principal.
    pub grants: Arc<[Grant]>,
    pub(super) seen: SeenKey,
}

/// A key as it was at a time.
#[derive(Debug, Clone)]
pub(super) struct SeenKey {
    row: Arc<KeyRow>,
    at: Instant,
}

impl SeenKey {
    /// Whether the database's word of it holds still.
    fn is_new(&self) -> bool {
        self.at.elapsed() < GOOD_FOR
    }

    /// Whether the same may be done with another one, in the same way.
    fn is_as_good_as(&self, other: &KeySecret) -> bool {
        let (was, is) = (&*self.row, &*other.seen.row);
        other.is_good()
            && (&was.name, &was.schemes, &was.networks, &was.grants)
                == (&is.name, &is.schemes, &is.networks, &is.grants)
    }
}

impl KeySecret {
    /// Whether it may be used at all now.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.enabled && !self.expired
    }

    /// Whether it may be used with a signature scheme of this name.
    #[must_use]
    pub fn accepts(&self, scheme: &str) -> bool {
        self.schemes.is_empty() || self.schemes.iter().any(|it| it == scheme)
    }

    /// Whether it may be used from an address.
    #[must_use]
    pub fn accepts_from(&self, peer: IpAddr) -> bool {
        is_from(&self.networks, peer)
    }
}

/// A key that is wanted.
#[derive(Debug, Clone, Default)]
pub struct WantedKey {
    /// Its name; none = the principal's, with a number where that is taken.
    pub name: Option<String>,
    /// The principal that it is a key of; none = one of the key's own name.
    pub principal: Option<String>,
    /// Whether a principal that is not there yet is a person.
    pub person: bool,
    /// What is granted to the principal; none leaves it as it is.
    pub role: Option<Grant>,
    /// A policy that is attached to the principal.
    pub policy: Option<String>,
    pub expires_at: Option<Timestamp>,
    /// Signature schemes that it may be used with; empty = all.
    pub schemes: Vec<String>,
    /// Networks that it may be used from; empty = all.
    pub networks: Vec<Network>,
}

/// A key that was created.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    pub id: String,
    pub secret: SecretString,
    pub name: String,
    pub principal: String,
    /// Whether its principal may do everything only because nobody said what it is for.
    pub assumed: bool,
}

impl Service {
    /// The access key `id`; none if there is no such key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn key(&self, id: &str) -> Result<Option<KeySecret>, Error> {
        let at = Instant::now();
        let number = match self.known.keys.find(id, at) {
            Found::Known(row, at) => return Ok(Some(self.key_secret(SeenKey { row, at }))),
            Found::Unknown(number) => number,
        };
        self.known.miss();
        let Some(row) = self.store.find_key(id).await?.map(Arc::new) else { return Ok(None) };
        if let Some(number) = number {
            self.known.keys.remember(id, &row, number, at);
        }
        Ok(Some(self.key_secret(SeenKey { row, at })))
    }

    fn key_secret(&self, seen: SeenKey) -> KeySecret {
        let row = &*seen.row;
        KeySecret {
            name: row.name.clone(),
            secret: row.secret.clone(),
            enabled: row.enabled,
            expired: row.expires_at.is_some_and(|at| at <= self.clock.now()),
            last_used_at: row.last_used_at,
            schemes: row.schemes.clone(),
            networks: row.networks.clone(),
            grants: row.grants.clone(),
            seen,
        }
    }

    /// Refuses a change on what a key might do when its request came, where that is another
    /// thing now: a request may take its time.
    ///
    /// # Errors
    /// [`Rejection::NotAllowed`], or [`Error::Store`].
    pub(crate) async fn check_key_holds(&self, caller: &Caller) -> Result<(), Error> {
        let Some(seen) = self.permit.key.as_ref().filter(|seen| !seen.is_new()) else {
            return Ok(());
        };
        let key = self.key(&caller.key_id).await?;
        if key.is_some_and(|key| seen.is_as_good_as(&key)) {
            return Ok(());
        }
        let action = self.permit.shown_action().unwrap_or_default();
        Err(Rejection::NotAllowed { action, resource: None }.into())
    }

    /// Notes that a key is in use, beside the request that it is used for, and no more often
    /// than once a minute.
    pub fn note_key_use(&self, id: &str, key: &KeySecret) {
        let now = self.clock.now();
        let before = now.checked_sub(NOTED_EVERY).unwrap_or(Timestamp::MIN);
        if key.last_used_at.is_some_and(|at| at >= before) {
            return;
        }
        self.known.keys.note_use(id, now);
        let (store, id) = (self.store.clone(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = store.note_key_use(&id, now, before).await {
                tracing::debug!(%error, "that an access key is in use could not be noted");
            }
        });
    }

    /// Creates a key, and its principal if there is none of the name.
    ///
    /// # Errors
    /// A name that is not allowed or is taken, an unknown policy, or a principal that has as
    /// many keys as it may.
    pub async fn create_key(&self, wanted: &WantedKey) -> Result<CreatedKey, Error> {
        let principal = wanted.principal.as_ref().or(wanted.name.as_ref());
        let principal = principal.map_or("", String::as_str);
        check_name(principal)?;
        check_name(wanted.name.as_deref().unwrap_or(principal))?;
        if wanted.networks.len() > MOST_NETWORKS {
            let allowed = format!("a key may be used from at most {MOST_NETWORKS} networks");
            return Err(Rejection::invalid(Input::AccessKey, wanted.networks.len(), allowed).into());
        }
        let (id, secret) = (format!("sluice{}", random(10)?), SecretString::from(random(20)?));
        let kind = if wanted.person { "person" } else { "program" };
        let networks: Vec<String> = wanted.networks.iter().map(ToString::to_string).collect();
        let now = self.clock.now();
        self.on_record("create_key", &format!("principal/{principal}"), |tx| {
            Box::pin(async {
                let there = tx.lock_principal(principal).await?;
                let of = match there {
                    Some(of) => of,
                    None => tx.insert_principal(principal, kind, now).await?.ok_or_else(|| {
                        let allowed = "is being created by somebody else: try again";
                        Rejection::invalid(Input::AccessKey, principal, allowed)
                    })?,
                };
                if tx.usable_keys(of, "", now).await? >= MOST_KEYS {
                    return Err(too_many_keys(principal).into());
                }
                let assumed = self.grant_wanted(tx, of, wanted, there.is_none()).await?;
                let names: Vec<String> = match &wanted.name {
                    Some(name) => vec![name.clone()],
                    None => std::iter::once(principal.to_owned())
                        .chain((2..100).map(|number| format!("{principal}-{number}")))
                        .collect(),
                };
                for name in names {
                    let key = NewKey {
                        id: &id,
                        secret: &secret,
                        name: &name,
                        expires_at: wanted.expires_at,
                        schemes: &wanted.schemes,
                        networks: &networks,
                    };
                    if tx.insert_key(of, &key, now).await? {
                        return Ok(CreatedKey {
                            id: id.clone(),
                            secret: secret.clone(),
                            name,
                            principal: principal.to_owned(),
                            assumed,
                        });
                    }
                }
                let name = wanted.name.as_deref().unwrap_or(principal);
                let allowed = format!("there is a key named {name} already");
                Err(Rejection::invalid(Input::AccessKey, name, allowed).into())
            })
        })
        .await
    }

    /// Grants what is wanted with a key. True if everything was assumed, since nothing is.
    async fn grant_wanted(
        &self,
        tx: &mut Work<'_>,
        principal: uuid::Uuid,
        wanted: &WantedKey,
        is_new: bool,
    ) -> Result<bool, Error> {
        let now = self.clock.now();
        if let Some(grant) = &wanted.role {
            tx.add_grant(principal, grant, now).await?;
        }
        if let Some(policy) = &wanted.policy {
            super::policy::attach(tx, principal, policy, now).await?;
        }
        let assumed = is_new && wanted.role.is_none() && wanted.policy.is_none();
        if assumed {
            tx.assume_admin(principal, now).await?;
        }
        Ok(assumed)
    }

    /// A second key for the principal of the one with this id or name, which may be used with
    /// what the first one may be used with. The first one ends at `until`; none leaves it.
    ///
    /// # Errors
    /// An unknown key, or a principal that has two keys already.
    pub async fn rotate_key(
        &self,
        key: &str,
        until: Option<Timestamp>,
    ) -> Result<CreatedKey, Error> {
        let found = self.listed_key(key).await?;
        let networks = found.networks.iter().filter_map(|text| text.parse().ok()).collect();
        // The new key lasts as long as the old one was made for.
        let expires_at = found.expires_at.map(|end| {
            let now = self.clock.now();
            now.checked_add(end.duration_since(found.created_at)).unwrap_or(end)
        });
        let wanted = WantedKey {
            expires_at,
            principal: Some(found.principal.clone()),
            schemes: found.schemes.clone(),
            networks,
            ..WantedKey::default()
        };
        let created = self.create_key(&wanted).await?;
        if let Some(until) = until {
            self.on_record("expire_key", &format!("key/{key}"), |tx| {
                Box::pin(async { Ok(tx.expire_key(&found.id, until).await?) })
            })
            .await?;
        }
        Ok(created)
    }

    /// Enables or disables the key with this id or name.
    ///
    /// # Errors
    /// An unknown key, or a principal that has two keys that may be used already.
    pub async fn switch_key(&self, key: &str, enabled: bool) -> Result<(), Error> {
        let now = self.clock.now();
        let name = if enabled { "enable_key" } else { "disable_key" };
        self.on_record(name, &format!("key/{key}"), |tx| {
            Box::pin(async {
                let found = tx.principal_of_key(key).await?;
                let (principal, id) = found.ok_or_else(|| unknown(key))?;
                if enabled && tx.usable_keys(principal, &id, now).await? >= MOST_KEYS {
                    return Err(too_many_keys(key).into());
                }
                Ok(tx.switch_key(&id, enabled).await?)
            })
        })
        .await
    }

    /// Removes the key with this id or name. What was done with it stays on record.
    ///
    /// # Errors
    /// An unknown key.
    pub async fn remove_key(&self, key: &str) -> Result<(), Error> {
        self.on_record("remove_key", &format!("key/{key}"), |tx| {
            Box::pin(async {
                let found = tx.principal_of_key(key).await?;
                let (_, id) = found.ok_or_else(|| unknown(key))?;
                Ok(tx.remove_key(&id).await?)
            })
        })
        .await
    }

    /// The access keys, without their secrets.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn all_keys(&self) -> Result<Vec<ListedKey>, Error> {
        Ok(self.store.listed_keys(None, MOST_LISTED).await?)
    }

    /// The key with this id or name.
    ///
    /// # Errors
    /// An unknown key.
    pub async fn listed_key(&self, key: &str) -> Result<ListedKey, Error> {
        let keys = self.all_keys().await?;
        let found = keys.iter().find(|it| it.id == key).or(keys.iter().find(|it| it.name == key));
        found.cloned().ok_or_else(|| unknown(key).into())
    }
}

/// Checks the name of a key or a principal.
pub(super) fn check_name(name: &str) -> Result<(), Rejection> {
    let fits = !name.trim().is_empty()
        && name.chars().count() <= LONGEST_NAME
        && !name.chars().any(char::is_control);
    let allowed = format!("a name must have 1 to {LONGEST_NAME} characters");
    if fits { Ok(()) } else { Err(Rejection::invalid(Input::AccessKey, name, allowed)) }
}

fn unknown(key: &str) -> Rejection {
    Rejection::UnknownKey(key.into())
}

fn too_many_keys(principal: &str) -> Rejection {
    let allowed = format!(
        "the principal has {MOST_KEYS} keys that may be used, which is the most: disable or remove one first"
    );
    Rejection::invalid(Input::AccessKey, principal, allowed)
}

/// So many random bytes, as hexadecimal digits.
fn random(bytes: usize) -> Result<String, Error> {
    let mut random = vec![0; bytes];
    rand::rngs::OsRng.try_fill_bytes(&mut random).map_err(|error| {
        Error::Store(StoreError::Corrupt { what: "randomness", why: error.to_string() })
    })?;
    Ok(hex::encode(random))
}
