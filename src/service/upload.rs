//! Uploading packages: the credentials for it, what comes in, and handing it
//! out again to who knows its capability.
//!
//! An upload that was begun is brought to its end, good or bad, also when the
//! client is gone meanwhile: nothing half is left in the store.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use thiserror::Error;
use url::Url;

use super::{Caller, Error, Service};
use crate::{
    domain::{
        CredentialId, PackageId, Rejection,
        package::PackageUrl,
        upload::{self, ObjectKey},
    },
    package::{Objects, PutError},
    store::{CredentialRow, PackageRow, StoreError},
};

/// How long a credential is good for. An upload that began before goes on.
pub const CREDENTIAL_LIFETIME: Duration = Duration::from_secs(3600);

/// How long a credential that has ended is remembered, to be refused as such.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Where uploaded packages are kept, and where pods fetch them.
#[derive(Debug, Clone)]
pub struct PackageStore {
    /// Where they are kept.
    pub objects: Objects,
    /// This server's address as pods reach it.
    pub url: Url,
    /// Largest package, in bytes.
    pub most_bytes: u64,
}

/// A credential for uploading packages.
#[derive(Debug, Clone)]
pub struct UploadCredential {
    /// Its id.
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
    /// It did not come to its end.
    #[error("it did not come to its end: {0}")]
    CutOff(String),
    /// It is not what its digest says.
    #[error("its MD5 is not the one that was announced")]
    WrongDigest,
    /// Another package was uploaded under its key.
    #[error("another package was uploaded under its key")]
    KeyTaken,
    /// The store or the database failed.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<PutError> for UploadError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::TooLarge(most) => Self::TooLarge(most),
            PutError::CutOff(_) | PutError::Silent(_) => Self::CutOff(error.to_string()),
            PutError::Store(error) => Self::Failed(error.to_string()),
        }
    }
}

/// A package on its way to a pod.
pub struct Download {
    /// Its size.
    pub bytes: u64,
    /// What it holds.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

impl Service {
    /// The same use cases, on a server that keeps packages that are uploaded.
    #[must_use]
    pub fn with_package_store(self, store: PackageStore) -> Self {
        Self { package_store: Some(Arc::new(store)), ..self }
    }

    /// Where uploaded packages are kept.
    ///
    /// # Errors
    /// They are not kept: the setting is missing.
    pub fn package_store(&self) -> Result<&PackageStore, Rejection> {
        self.package_store.as_deref().ok_or(Rejection::NoPackageStore)
    }

    /// A new credential for the caller.
    ///
    /// # Errors
    /// This server keeps no packages.
    pub async fn create_upload_credential(&self, caller: &Caller) -> Result<UploadCredential, Error> {
        self.package_store()?;
        let now = self.clock.now();
        let row = CredentialRow {
            id: CredentialId::new(),
            key_id: caller.key_id.clone(),
            secret: random().into(),
            token: random().into(),
            expires_at: now + CREDENTIAL_LIFETIME,
        };
        self.store.insert_credential(&row, now - REMEMBERED).await?;
        tracing::info!(credential.id = %row.id, "a credential for uploading packages was given");
        Ok(credential(row))
    }

    /// The credential `id`, if there is one. It may have ended.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn upload_credential(&self, id: CredentialId) -> Result<Option<UploadCredential>, Error> {
        Ok(self.store.find_credential(id).await?.map(credential))
    }

    /// Stores `body` as the package `key`, and returns its MD5 in hex. The same
    /// again under the same key changes nothing.
    ///
    /// # Errors
    /// Why not; nothing is left then.
    pub async fn store_package(
        &self,
        key: ObjectKey,
        uploaded_by: String,
        md5: Option<String>,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<String, UploadError> {
        let service = self.clone();
        let work = async move { service.take_in(&key, &uploaded_by, md5.as_deref(), body).await };
        tokio::spawn(work).await.unwrap_or_else(|error| Err(UploadError::Failed(error.to_string())))
    }

    async fn take_in(
        &self,
        key: &ObjectKey,
        uploaded_by: &str,
        md5: Option<&str>,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<String, UploadError> {
        let store = self.package_store().map_err(|_| UploadError::NoStore)?;
        let id = PackageId::new();
        let name = id.to_string();
        let stored = store.objects.put(&name, body, store.most_bytes).await?;
        let row = PackageRow { id, bytes: stored.bytes, md5: stored.md5, sha256: stored.sha256, capability: random().into() };
        let kept = self.keep(key, uploaded_by, md5, &row).await;
        if !matches!(kept, Ok(true))
            && let Err(error) = store.objects.delete(&name).await
        {
            tracing::warn!(package.id = %id, %error, "an uploaded package that is not kept could not be deleted");
        }
        if kept? {
            tracing::info!(package.id = %id, bytes = row.bytes, sha256 = row.sha256, "a package was uploaded");
        }
        Ok(row.md5)
    }

    /// Writes down what is stored. False if the same was there before.
    async fn keep(&self, key: &ObjectKey, uploaded_by: &str, md5: Option<&str>, row: &PackageRow) -> Result<bool, UploadError> {
        if md5.is_some_and(|md5| md5 != row.md5) {
            return Err(UploadError::WrongDigest);
        }
        if self.store.insert_package(key, row, uploaded_by, self.clock.now()).await? {
            return Ok(true);
        }
        match self.store.find_package_by_key(key).await? {
            Some(first) if first.sha256 == row.sha256 => Ok(false),
            Some(_) | None => Err(UploadError::KeyTaken),
        }
    }

    /// The package `id`, for who knows its capability.
    ///
    /// # Errors
    /// The database or the store cannot be asked.
    pub async fn download(&self, id: PackageId, capability: &str) -> Result<Option<Download>, UploadError> {
        let Ok(store) = self.package_store() else { return Ok(None) };
        let Some(row) = self.store.find_package(id).await? else { return Ok(None) };
        if !bool::from(row.capability.expose_secret().as_bytes().ct_eq(capability.as_bytes())) {
            return Ok(None);
        }
        let (bytes, body) = store.objects.get(&id.to_string()).await.map_err(|error| UploadError::Failed(error.to_string()))?;
        Ok(Some(Download { bytes, body }))
    }

    /// The address that pods fetch the uploaded package from which `given` names.
    /// It holds the capability, and the checksum of what came.
    pub(super) async fn uploaded_package(&self, given: &PackageUrl, key: &ObjectKey) -> Result<PackageUrl, Error> {
        let refuse = |why: &str| Rejection::invalid("PackageUrl", given, why);
        let store = self.package_store()?;
        let row = self.store.find_package_by_key(key).await?;
        let row = row.ok_or_else(|| refuse("no package was uploaded to this server under this key, or not all of it"))?;
        let mut url = store.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["sluice", "v1", "packages", &row.id.to_string(), key.file_name()]);
        }
        url.query_pairs_mut().append_pair("capability", row.capability.expose_secret());
        url.set_fragment(Some(&format!("sha256={}", row.sha256)));
        Ok(url.as_str().parse().map_err(|_| refuse("the name of its file is too long"))?)
    }
}

/// 256 bits that nobody can guess.
fn random() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

fn credential(row: CredentialRow) -> UploadCredential {
    UploadCredential { id: row.id, key_id: row.key_id, secret: row.secret, token: row.token, expires_at: row.expires_at }
}
