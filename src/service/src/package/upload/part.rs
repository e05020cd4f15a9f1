//! Taking a part of a package in: as an upload of its own, for which a client waits
//! longer, since several of them come at once and none is asked for again.

use std::io;

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::time::Instant;

use super::{
    NamedUpload, PackageStore, UploadError,
    intake::{Coming, SET_ASIDE, UploadSlot},
};
use crate::Service;
use ::package::Stored;
use domain::{PackageId, package::upload::Full};
use store::{NewPart, PartRefused, WrittenPart};

/// How many times as long as a package a part waits for a place: 30 s by default.
const WAITS_OF_A_PART: u32 = 6;

/// Time between two looks whether the access key may send another part.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

impl Service {
    /// A place for the part `number` of an upload, which announces its number of bytes or
    /// may have as many as the package may still have.
    ///
    /// # Errors
    /// There is no such upload, the package would become too large, the quota has no room
    /// for it, or too many uploads are under way for too long.
    pub async fn begin_part(
        &self,
        upload: &NamedUpload,
        number: u32,
        announced: Option<u64>,
    ) -> Result<UploadSlot, UploadError> {
        let store = self.package_store().map_err(|_| UploadError::NoStore)?;
        let (limits, most_bytes) = (store.limits, store.most_bytes);
        if announced.is_some_and(|bytes| bytes > most_bytes) {
            return Err(UploadError::TooLarge(most_bytes));
        }
        if !self.store.has_multipart(upload.id, &upload.key).await? {
            return Err(UploadError::NoSuchUpload);
        }
        let end = Instant::now() + limits.wait * WAITS_OF_A_PART;
        let place = self.place(limits.wait * WAITS_OF_A_PART).await?;
        let mut slot = UploadSlot {
            id: PackageId::new(),
            bytes: 0,
            is_announced: announced.is_some(),
            what: Coming::Part,
            store: self.store.clone(),
            is_held: true,
            place: Some(place),
        };
        loop {
            let now = self.clock.now();
            let (id, key) = (slot.id, &upload.key);
            let new = NewPart {
                id,
                upload: upload.id,
                key,
                number,
                announced,
                most_bytes,
                expires_at: now + SET_ASIDE,
            };
            match self.store.admit_part(new, &limits.quota, now).await? {
                Ok(room) => {
                    slot.bytes = room;
                    return Ok(slot);
                }
                Err(PartRefused::Full(full @ Full::KeyUploads(_)))
                    if full.is_passing() && Instant::now() < end =>
                {
                    // Meanwhile others upload in its place.
                    slot.place = None;
                    tokio::time::sleep(PAUSE).await;
                    let left = end.saturating_duration_since(Instant::now());
                    slot.place = Some(self.place(left).await?);
                }
                Err(refused) => {
                    slot.keep();
                    return Err(UploadError::of_part(refused, most_bytes));
                }
            }
        }
    }

    /// Stores `body` as a part, and returns what came. It replaces one of the same number.
    ///
    /// # Errors
    /// Why not; nothing is left then.
    pub async fn store_part(
        &self,
        slot: UploadSlot,
        md5: Option<String>,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Stored, UploadError> {
        let service = self.clone();
        let work = async move {
            let store = service.package_store().map_err(|_| UploadError::NoStore)?;
            let (id, most_bytes) = (slot.id, store.most_bytes);
            match store.objects.put(&id.to_string(), body, slot.bytes).await {
                Ok(stored) => {
                    let ended = service.keep_part(store, id, md5.as_deref(), stored).await;
                    // Where it could not be stored its object and its row went together, or will.
                    slot.keep();
                    ended
                }
                Err(error) => {
                    let refused = slot.refused(error, most_bytes);
                    slot.give_back().await;
                    Err(refused)
                }
            }
        };
        tokio::spawn(work).await.unwrap_or_else(|error| Err(UploadError::Failed(error.to_string())))
    }

    async fn keep_part(
        &self,
        store: &PackageStore,
        id: PackageId,
        md5: Option<&str>,
        stored: Stored,
    ) -> Result<Stored, UploadError> {
        let kept = if md5.is_some_and(|md5| md5 != stored.md5) {
            Err(UploadError::WrongDigest)
        } else {
            let part =
                WrittenPart { id, bytes: stored.bytes, md5: &stored.md5, crc64: stored.crc64 };
            // Where the database failed the part may be there: what stands for nothing goes when it expires.
            self.store
                .finish_part(part, self.clock.now())
                .await?
                .map_err(|refused| UploadError::of_part(refused, store.most_bytes))
        };
        let gone = kept.as_ref().map_or_else(|_| vec![id], Clone::clone);
        for id in gone {
            if let Err(error) = self.delete_part(store, id).await {
                tracing::warn!(part.id = %id, %error, "a part that stands for nothing could not be deleted yet");
            }
        }
        kept.map(|_| stored)
    }
}
