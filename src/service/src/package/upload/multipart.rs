//! Uploads in parts: begun, looked at, and given up.
//!
//! One is good until its credential ends: each request is signed with that, so nobody
//! can go on with it then.

use tokio_util::sync::CancellationToken;

use super::{UploadCredential, UploadError};
use crate::Service;
use domain::{
    MultipartId,
    package::upload::{ObjectKey, Part},
};
use store::{MultipartRow, NewMultipart};

/// An upload in parts as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUpload {
    pub id: MultipartId,
    /// What its package is to be called.
    pub key: ObjectKey,
}

impl Service {
    /// Begins to upload the package `key` in parts.
    ///
    /// # Errors
    /// The quota has no room for another package, or too many are begun and not ended.
    pub async fn begin_multipart(
        &self,
        credential: &UploadCredential,
        key: &ObjectKey,
    ) -> Result<MultipartId, UploadError> {
        let quota = self.package_store().map_err(|_| UploadError::NoStore)?.limits.quota;
        let id = MultipartId::new();
        let new =
            NewMultipart { id, key_id: &credential.key_id, key, expires_at: credential.expires_at };
        self.store.begin_multipart(new, &quota, self.clock.now()).await??;
        tracing::info!(upload.id = %id, "an upload of a package in parts was begun");
        Ok(id)
    }

    /// The parts of an upload that are there, by number: up to `most` of those behind
    /// `after`, and whether there are more.
    ///
    /// # Errors
    /// There is no such upload, or the database cannot be asked.
    pub async fn parts(
        &self,
        upload: &NamedUpload,
        after: u32,
        most: usize,
    ) -> Result<(Vec<Part>, bool), UploadError> {
        if !self.store.has_multipart(upload.id, &upload.key).await? {
            return Err(UploadError::NoSuchUpload);
        }
        Ok(cut(self.store.parts(upload.id, after, one_more(most)).await?, most))
    }

    /// The uploads in parts that are neither completed nor given up, of keys that begin
    /// with `prefix`, by key and id: up to `most` of those behind `after`, and whether
    /// there are more.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn multiparts(
        &self,
        prefix: &str,
        after: (&str, Option<MultipartId>),
        most: usize,
    ) -> Result<(Vec<MultipartRow>, bool), UploadError> {
        Ok(cut(self.store.multiparts(prefix, after, one_more(most)).await?, most))
    }

    /// Gives an upload in parts up. Its parts go.
    ///
    /// # Errors
    /// There is no such upload, or it is just being completed.
    pub async fn abort_multipart(&self, upload: &NamedUpload) -> Result<(), UploadError> {
        match self.store.abort_multipart(upload.id, &upload.key, self.clock.now()).await? {
            (_, true) => {
                tracing::info!(upload.id = %upload.id, "an upload of a package in parts was given up");
                self.delete_parts_later(upload.id);
                Ok(())
            }
            (true, false) => Err(UploadError::BeingCompleted),
            (false, false) => Err(UploadError::NoSuchUpload),
        }
    }

    /// Takes the parts of an upload away that ended, while the client has its answer
    /// already. Where this server dies meanwhile, the next look through the store does it.
    pub(in crate::package::upload) fn delete_parts_later(&self, id: MultipartId) {
        let service = self.clone();
        tokio::spawn(async move {
            if let Err(error) = service.delete_parts(Some(id), &CancellationToken::new()).await {
                tracing::warn!(upload.id = %id, %error, "the parts of an upload could not be deleted yet");
            }
        });
    }
}

fn one_more(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1)
}

/// The first `most`, and whether there are more.
fn cut<T>(mut found: Vec<T>, most: usize) -> (Vec<T>, bool) {
    let has_more = found.len() > most;
    found.truncate(most);
    (found, has_more)
}
