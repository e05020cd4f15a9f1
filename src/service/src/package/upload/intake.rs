//! Taking an upload in: a place among those at once, room in the quota, and the bytes.
//!
//! Both are had before a byte is read, and given back however it ends. Where the
//! server dies in between, what was set aside expires.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use super::{UploadError, random};
use crate::Service;
use ::package::{LONGEST_UPLOAD, PutError, Stored};
use domain::{PackageId, package::upload::ObjectKey};
use store::{NewUpload, PackageRow, Store, StoreError, StoredPackage};

/// How long room stays set aside for an upload that is never heard of again.
pub(in crate::package::upload) const SET_ASIDE: Duration =
    Duration::from_secs(2 * LONGEST_UPLOAD.as_secs());

/// A place for an upload, with room for it. Dropping it gives both back.
#[derive(Debug)]
pub struct UploadSlot {
    pub(in crate::package::upload) id: PackageId,
    pub(in crate::package::upload) bytes: u64,
    /// Whether the client said how many bytes come.
    pub(in crate::package::upload) is_announced: bool,
    pub(in crate::package::upload) what: Coming,
    pub(in crate::package::upload) store: Store,
    pub(in crate::package::upload) is_held: bool,
    pub(in crate::package::upload) place: Option<OwnedSemaphorePermit>,
}

/// What an upload is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::package::upload) enum Coming {
    Package,
    /// A part of one.
    Part,
}

impl UploadSlot {
    pub(in crate::package::upload) async fn give_back(mut self) {
        self.is_held = false;
        if let Err(error) = end(&self.store, self.id, self.what).await {
            tracing::warn!(package.id = %self.id, %error, "what is set aside for an upload stays so until it expires");
        }
    }

    /// What was set aside is used for good.
    pub(in crate::package::upload) fn keep(mut self) {
        self.is_held = false;
    }

    /// Why nothing was stored: what is larger than its announced size did not come as said.
    pub(in crate::package::upload) fn refused(
        &self,
        error: PutError,
        most_bytes: u64,
    ) -> UploadError {
        match error {
            PutError::TooLarge(most) if self.is_announced && most < most_bytes => {
                UploadError::CutOff(format!("more came than the {most} bytes announced"))
            }
            PutError::TooLarge(_) => UploadError::TooLarge(most_bytes),
            error => error.into(),
        }
    }
}

impl Drop for UploadSlot {
    fn drop(&mut self) {
        // Only where its request was given up before anything of it was read.
        if let (true, Ok(runtime)) = (self.is_held, Handle::try_current()) {
            let (store, id, what) = (self.store.clone(), self.id, self.what);
            runtime.spawn(async move { end(&store, id, what).await });
        }
    }
}

async fn end(store: &Store, id: PackageId, what: Coming) -> Result<(), StoreError> {
    match what {
        Coming::Package => store.end_upload(id).await,
        Coming::Part => store.forget_part(id).await,
    }
}

impl Service {
    /// A place for an upload of the access key `key_id`, which announces its number of
    /// bytes or may have as many as are allowed.
    ///
    /// # Errors
    /// It is too large, the quota has no room for it, or too many are under way.
    pub async fn begin_upload(
        &self,
        key_id: &str,
        announced: Option<u64>,
    ) -> Result<UploadSlot, UploadError> {
        let store = self.package_store().map_err(|_| UploadError::NoStore)?;
        let (limits, bytes) = (store.limits, announced.unwrap_or(store.most_bytes));
        if bytes > store.most_bytes {
            return Err(UploadError::TooLarge(store.most_bytes));
        }
        let place = self.place(limits.wait).await?;
        let now = self.clock.now();
        let mut slot = UploadSlot {
            id: PackageId::new(),
            bytes,
            is_announced: announced.is_some(),
            what: Coming::Package,
            store: self.store.clone(),
            is_held: true,
            place: Some(place),
        };
        let upload = NewUpload { id: slot.id, key_id, bytes, expires_at: now + SET_ASIDE };
        match self.store.admit_upload(upload, &limits.quota, now).await? {
            Ok(()) => Ok(slot),
            Err(full) => {
                slot.is_held = false;
                Err(full.into())
            }
        }
    }

    /// A place among the uploads that this server takes in at once.
    pub(in crate::package::upload) async fn place(
        &self,
        wait: Duration,
    ) -> Result<OwnedSemaphorePermit, UploadError> {
        let most = self.package_store().map_err(|_| UploadError::NoStore)?.limits.at_once;
        let place = tokio::time::timeout(wait, self.uploads.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or(UploadError::Busy(most))
    }

    /// Stores `body` as the package `key`, and returns what came. The same again under
    /// the same key changes nothing.
    ///
    /// # Errors
    /// Why not; nothing is left then.
    pub async fn store_package(
        &self,
        slot: UploadSlot,
        key: ObjectKey,
        uploaded_by: String,
        md5: Option<String>,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Stored, UploadError> {
        let service = self.clone();
        let work = async move {
            let ended = service.take_in(&slot, &key, &uploaded_by, md5.as_deref(), body).await;
            slot.give_back().await;
            ended
        };
        tokio::spawn(work).await.unwrap_or_else(|error| Err(UploadError::Failed(error.to_string())))
    }

    async fn take_in(
        &self,
        slot: &UploadSlot,
        key: &ObjectKey,
        uploaded_by: &str,
        md5: Option<&str>,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Stored, UploadError> {
        let store = self.package_store().map_err(|_| UploadError::NoStore)?;
        let (id, name) = (slot.id, slot.id.to_string());
        let stored = store
            .objects
            .put(&name, body, slot.bytes)
            .await
            .map_err(|error| slot.refused(error, store.most_bytes))?;
        let row = package_row(id, &stored);
        let kept = self.keep(key, uploaded_by, md5, &row).await;
        // Where the database failed the row may be there: what has none goes with the leftovers.
        if !matches!(kept, Ok(true) | Err(UploadError::Failed(_) | UploadError::Store(_)))
            && let Err(error) = store.objects.delete(&name).await
        {
            tracing::warn!(package.id = %id, %error, "an uploaded package that is not kept could not be deleted");
        }
        if kept? {
            tracing::info!(package.id = %id, bytes = row.bytes, sha256 = row.sha256, "a package was uploaded");
        }
        Ok(stored)
    }

    /// Writes down what is stored. False if the same was there before.
    async fn keep(
        &self,
        key: &ObjectKey,
        uploaded_by: &str,
        md5: Option<&str>,
        row: &PackageRow,
    ) -> Result<bool, UploadError> {
        if md5.is_some_and(|md5| md5 != row.md5) {
            return Err(UploadError::WrongDigest);
        }
        match self.store.insert_package(key, row, uploaded_by, self.clock.now()).await? {
            StoredPackage::Whole => return Ok(true),
            StoredPackage::Expired => {
                return Err(UploadError::CutOff(
                    "it took so long that nothing is set aside for it any more".into(),
                ));
            }
            StoredPackage::KeyTaken => {}
        }
        match self.store.find_package_by_key(key).await? {
            Some(first) if first.sha256 == row.sha256 => Ok(false),
            Some(_) | None => Err(UploadError::KeyTaken),
        }
    }
}

/// The row of what is stored, with a new capability.
pub(in crate::package::upload) fn package_row(id: PackageId, stored: &Stored) -> PackageRow {
    PackageRow {
        id,
        bytes: stored.bytes,
        md5: stored.md5.clone(),
        sha256: stored.sha256.clone(),
        capability: random().into(),
    }
}
