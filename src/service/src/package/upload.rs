//! Uploading packages: the credentials for it, what comes in, and handing it
//! out again to who knows its capability.
//!
//! An upload that was begun is brought to its end, good or bad, also when the
//! client is gone meanwhile: nothing half is left in the store ([`intake`]). A package
//! may come in parts too ([`multipart`]), each like a package ([`part`]), which are put
//! together in the end ([`completion`]). What nothing names any more goes ([`collect`]).

mod collect;
mod completion;
mod intake;
mod multipart;
mod part;

pub use crate::package::upload::collect::Collected;
pub use crate::package::upload::intake::UploadSlot;
pub use crate::package::upload::multipart::NamedUpload;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::sync::Semaphore;
use url::Url;

use crate::{Caller, Error, Service, once::Conflict};
use ::package::{Objects, PutError};
use domain::{
    CredentialId, Input, PackageId, Rejection,
    order::Target,
    package::{
        PackageAddress,
        upload::{self, Full, ObjectKey, Quota, WrongParts},
    },
};
use store::{CredentialRow, PartRefused, StoreError, Tx};

pub use store::{Completion, MultipartRow};

/// How long a credential is good for. An upload that began before goes on.
pub const CREDENTIAL_LIFETIME: Duration = Duration::from_secs(3600);

/// How long a credential that has ended is remembered, to be refused as such.
const CREDENTIAL_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Where uploaded packages are kept, and where pods fetch them.
#[derive(Debug, Clone)]
pub struct PackageStore {
    /// Where they are kept.
    pub objects: Objects,
    /// This server's address as pods reach it.
    pub url: Url,
    /// Largest package, in bytes.
    pub most_bytes: u64,
    /// What may be uploaded at all.
    pub limits: UploadLimits,
}

/// What may be uploaded, and how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Uploads that this server takes in at once, of all access keys.
    pub at_once: usize,
    /// How long another one waits for a place before it is refused.
    pub wait: Duration,
    /// How much is kept in all and by access key.
    pub quota: Quota,
    /// Time for which a package is kept although nothing names it; none = for ever.
    pub keep: Option<Duration>,
}

impl Default for UploadLimits {
    /// As the settings are where nobody makes them.
    fn default() -> Self {
        Self {
            at_once: 16,
            wait: Duration::from_secs(5),
            quota: Quota::default(),
            keep: Some(Duration::from_secs(7 * 24 * 3600)),
        }
    }
}

/// A credential for uploading packages.
#[derive(Debug, Clone)]
pub struct UploadCredential {
    pub id: CredentialId,
    /// The access key that it was given to.
    pub key_id: String,
    /// What uploads are signed with.
    pub secret: SecretString,
    /// What they show besides.
    pub token: SecretString,
    /// When it is good for nothing any more.
    pub expires_at: Timestamp,
}

impl UploadCredential {
    /// Whether `token` is its token; compared in constant time.
    #[must_use]
    pub fn shows(&self, token: &str) -> bool {
        self.token.expose_secret().as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// The prefix of the keys that it may write.
    #[must_use]
    pub fn prefix(&self) -> String {
        upload::prefix(self.id)
    }
}

/// Why an upload came to nothing.
#[derive(Debug, Error)]
pub enum UploadError {
    /// This server keeps no packages.
    #[error("this server keeps no packages")]
    NoStore,
    /// It is larger than allowed.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// The quota has no room for it.
    #[error(transparent)]
    Full(#[from] Full),
    /// As many uploads as are allowed at once are under way.
    #[error("{0} uploads are under way")]
    Busy(usize),
    /// It did not come to its end.
    #[error("it did not come to its end: {0}")]
    CutOff(String),
    /// It is not what its digest says.
    #[error("its MD5 is not the one that was announced")]
    WrongDigest,
    /// Another package was uploaded under its key.
    #[error("another package was uploaded under its key")]
    KeyTaken,
    /// There is no such upload in parts.
    #[error("there is no such upload in parts")]
    NoSuchUpload,
    /// The package is being put together from its parts.
    #[error("the package is being put together from its parts")]
    BeingCompleted,
    /// The parts do not make a package.
    #[error(transparent)]
    WrongParts(#[from] WrongParts),
    /// The store failed.
    #[error("{0}")]
    Failed(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Conflict for UploadError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl UploadError {
    /// Why a part is refused, of a package that may have `most_bytes`.
    fn of_part(refused: PartRefused, most_bytes: u64) -> Self {
        match refused {
            PartRefused::NoUpload => Self::NoSuchUpload,
            PartRefused::BeingCompleted => Self::BeingCompleted,
            PartRefused::Expired => {
                Self::CutOff("it took so long that nothing is set aside for it any more".into())
            }
            PartRefused::TooLarge => Self::TooLarge(most_bytes),
            PartRefused::Full(full) => Self::Full(full),
        }
    }
}

impl From<PutError> for UploadError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::TooLarge(most) => Self::TooLarge(most),
            PutError::CutOff(_) | PutError::Silent(_) | PutError::Slow(_) => {
                Self::CutOff(error.to_string())
            }
            PutError::Folder(_) | PutError::Store(_) => Self::Failed(error.to_string()),
        }
    }
}

/// A package on its way to a pod.
pub struct Download {
    pub bytes: u64,
    /// What it holds.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

impl Service {
    /// The same use cases, on a server that keeps packages that are uploaded.
    #[must_use]
    pub fn with_package_store(self, store: PackageStore) -> Self {
        let uploads = Arc::new(Semaphore::new(store.limits.at_once));
        Self { package_store: Some(Arc::new(store)), uploads, ..self }
    }

    /// Where uploaded packages are kept.
    ///
    /// # Errors
    /// They are not kept: the setting is missing.
    pub fn package_store(&self) -> Result<&PackageStore, Rejection> {
        self.package_store.as_deref().ok_or(Rejection::NoPackageStore)
    }

    /// A new credential for the caller. The same request again gets the same one: it is
    /// bound to the request that asked for it, by its id alone.
    ///
    /// # Errors
    /// This server keeps no packages, or the caller has as many credentials as one may.
    pub async fn create_upload_credential(
        &self,
        caller: &Caller,
    ) -> Result<UploadCredential, Error> {
        let most = self.package_store()?.limits.quota.key_credentials;
        let now = self.clock.now();
        let row = CredentialRow {
            id: CredentialId::new(),
            key_id: caller.key_id.clone(),
            secret: random().into(),
            token: random().into(),
            expires_at: now + CREDENTIAL_LIFETIME,
        };
        let id = self
            .once(caller, "create_upload_credential", |tx| {
                Box::pin(async {
                    if tx.insert_credential(&row, most, now, now - CREDENTIAL_KEPT).await? {
                        Ok(row.id)
                    } else {
                        Err(Rejection::TooManyCredentials { most }.into())
                    }
                })
            })
            .await?;
        if id != row.id {
            return Ok(self.upload_credential(id).await?.ok_or(Rejection::NonceUsed)?);
        }
        tracing::info!(credential.id = %id, "a credential for uploading packages was given");
        Ok(credential(row))
    }

    /// The credential `id`, if there is one. It may have ended.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn upload_credential(
        &self,
        id: CredentialId,
    ) -> Result<Option<UploadCredential>, Error> {
        Ok(self.store.find_credential(id).await?.map(credential))
    }

    /// The package `id`, for who knows its capability.
    ///
    /// # Errors
    /// The database or the store cannot be asked.
    pub async fn download(
        &self,
        id: PackageId,
        capability: &str,
    ) -> Result<Option<Download>, UploadError> {
        let Ok(store) = self.package_store() else { return Ok(None) };
        let Some(row) = self.store.find_package(id).await? else { return Ok(None) };
        if !bool::from(row.capability.expose_secret().as_bytes().ct_eq(capability.as_bytes())) {
            return Ok(None);
        }
        let (bytes, body) = store
            .objects
            .get(&id.to_string())
            .await
            .map_err(|error| UploadError::Failed(error.to_string()))?;
        Ok(Some(Download { bytes, body }))
    }

    /// The address that pods fetch the package from which was uploaded under a key, if one
    /// was. It holds the capability, and the checksum of what came.
    pub(crate) async fn uploaded_package(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<PackageAddress>, Error> {
        let store = self.package_store()?;
        let Some(row) = self.store.find_package_by_key(key).await? else { return Ok(None) };
        let mut url = store.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(upload::PATH.split('/').filter(|part| !part.is_empty()));
            path.extend([&row.id.to_string(), key.file_name()]);
        }
        url.query_pairs_mut().append_pair("capability", row.capability.expose_secret());
        url.set_fragment(Some(&format!("sha256={}", row.sha256)));
        let too_long = |_| {
            let why = "the name of its file is too long";
            Rejection::invalid(Input::PackageAddress, key, why)
        };
        Ok(Some(url.as_str().parse().map_err(too_long)?))
    }

    /// Keeps the uploaded packages that an order names until it is written.
    ///
    /// # Errors
    /// One of them is deleted, since nothing named it for so long.
    pub(crate) async fn hold_packages(&self, tx: &mut Tx, target: &Target) -> Result<(), Error> {
        let why = |error: serde_json::Error| StoreError::Corrupt {
            what: "target",
            why: error.to_string(),
        };
        let named = upload::stored_in(&serde_json::to_string(target).map_err(why)?);
        if named.is_empty() {
            return Ok(());
        }
        match tx.hold_packages(&named).await? {
            Some(gone) => {
                let allowed = "this uploaded package is deleted, since nothing named it any more: upload it again";
                Err(Rejection::invalid(Input::PackageAddress, gone, allowed).into())
            }
            None => Ok(()),
        }
    }
}

/// 256 bits that nobody can guess.
fn random() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

fn credential(row: CredentialRow) -> UploadCredential {
    UploadCredential {
        id: row.id,
        key_id: row.key_id,
        secret: row.secret,
        token: row.token,
        expires_at: row.expires_at,
    }
}
