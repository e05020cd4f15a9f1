//! Putting a package together from its parts.
//!
//! One request does it at a time, on whichever server: it holds the upload, and lets
//! others wait for what becomes of it. The package's row is written in the transaction
//! that ends the upload, after all of the object is in the store. So a server that dies
//! leaves an upload that can be completed again, and an object without a row.

use std::{io, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use super::{
    NamedUpload, PackageStore, UploadError,
    intake::{SET_ASIDE, package_row},
};
use crate::Service;
use ::package::{Objects, Stored, joined_crc64};
use domain::{
    PackageId,
    limits::PARTS,
    package::upload::{
        NamedPart, Part,
        parts::{chosen, etag},
    },
};
use store::{Completion, Hold, StoredPackage};

/// How long an upload is held when nothing more is heard of who holds it.
const HELD: Duration = Duration::from_secs(60);

/// Time between two words that it is still held.
const RENEWED: Duration = Duration::from_secs(15);

/// How long a request waits for another one to complete the same upload. Clients give up
/// after 50 s.
const COMPLETION_WAIT: Duration = Duration::from_secs(30);

/// Time between two looks at what became of it.
const PAUSE: Duration = Duration::from_millis(200);

impl Service {
    /// Makes a package of the parts that are named. The same again answers the same.
    ///
    /// # Errors
    /// There is no such upload, the parts do not make a package, another package has its
    /// key, or another request is completing it for too long. All but the package is as
    /// before then.
    pub async fn complete_multipart(
        &self,
        upload: NamedUpload,
        uploaded_by: String,
        named: Vec<NamedPart>,
    ) -> Result<Completion, UploadError> {
        let service = self.clone();
        // Brought to its end also when the client is gone: it will ask again.
        let work = async move { service.complete(&upload, &uploaded_by, &named).await };
        tokio::spawn(work).await.unwrap_or_else(|error| Err(UploadError::Failed(error.to_string())))
    }

    async fn complete(
        &self,
        upload: &NamedUpload,
        uploaded_by: &str,
        named: &[NamedPart],
    ) -> Result<Completion, UploadError> {
        let (holder, end) = (Uuid::now_v7(), Instant::now() + COMPLETION_WAIT);
        loop {
            let now = self.clock.now();
            match self.store.hold_multipart(upload.id, &upload.key, holder, now, now + HELD).await?
            {
                Hold::Held => break,
                Hold::Completed(first) if first.etag == etag(named) => return Ok(first),
                Hold::Completed(_) | Hold::Gone => return Err(UploadError::NoSuchUpload),
                Hold::Busy if Instant::now() >= end => return Err(UploadError::BeingCompleted),
                Hold::Busy => tokio::time::sleep(PAUSE).await,
            }
        }
        let ended = self.compose_held(upload, uploaded_by, named, holder).await;
        match &ended {
            Ok(_) => self.delete_parts_later(upload.id),
            Err(_) => self.store.let_multipart_go(upload.id, holder).await?,
        }
        ended
    }

    /// Composes, and says meanwhile that the upload is still held.
    async fn compose_held(
        &self,
        upload: &NamedUpload,
        uploaded_by: &str,
        named: &[NamedPart],
        holder: Uuid,
    ) -> Result<Completion, UploadError> {
        let work = self.compose(upload, uploaded_by, named, holder);
        tokio::pin!(work);
        let mut renewal = tokio::time::interval_at(Instant::now() + RENEWED, RENEWED);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = &mut work => return ended,
                _ = renewal.tick() => match self.store.hold_multipart_on(upload.id, holder, self.clock.now() + HELD).await {
                    Ok(true) => {}
                    Ok(false) => return Err(UploadError::Failed("another request completes this upload meanwhile".into())),
                    Err(error) => tracing::warn!(upload.id = %upload.id, %error, "could not say that an upload is still held"),
                },
            }
        }
    }

    async fn compose(
        &self,
        upload: &NamedUpload,
        uploaded_by: &str,
        named: &[NamedPart],
        holder: Uuid,
    ) -> Result<Completion, UploadError> {
        let store = self.package_store().map_err(|_| UploadError::NoStore)?;
        let parts = chosen(
            named,
            self.store.parts(upload.id, 0, i64::from(PARTS)).await?,
            store.most_bytes,
        )?;
        let _place = self.place(COMPLETION_WAIT).await?;
        let id = PackageId::new();
        self.store.begin_composition(id, upload.id, self.clock.now() + SET_ASIDE).await?;
        let made = self.make(store, id, &parts).await;
        let ended = match made {
            Ok(stored) => {
                let completion = Completion { etag: etag(named), crc64: stored.crc64 };
                self.keep_composition(upload, uploaded_by, id, &stored, &completion, holder)
                    .await
                    .map(|is_new| (completion, stored, is_new))
            }
            Err(why) => Err(why),
        };
        // Where the database failed the row may be there: what has none goes with the leftovers.
        if !matches!(ended, Ok((_, _, true)) | Err(UploadError::Failed(_) | UploadError::Store(_)))
        {
            let deleted = store.objects.delete(&id.to_string()).await;
            if let Err(error) = deleted {
                tracing::warn!(package.id = %id, %error, "a package that is not kept could not be deleted");
            }
        }
        let (completion, stored, is_new) = match ended {
            Ok(ended) => ended,
            Err(why) => {
                self.store.end_upload(id).await?;
                return Err(why);
            }
        };
        if is_new {
            tracing::info!(package.id = %id, bytes = stored.bytes, parts = parts.len(), sha256 = stored.sha256, "a package was uploaded in parts");
        }
        Ok(completion)
    }

    /// Writes the parts one behind the other into an object of their own.
    async fn make(
        &self,
        store: &PackageStore,
        id: PackageId,
        parts: &[Part],
    ) -> Result<Stored, UploadError> {
        let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        let crc64 = joined_crc64(parts.iter().map(|part| (part.crc64, part.bytes)));
        let (objects, names) = (
            store.objects.clone(),
            parts.iter().map(|part| part.id.to_string()).collect::<Vec<_>>(),
        );
        let body =
            stream::iter(names).then(move |name| read(objects.clone(), name)).try_flatten().boxed();
        let stored = store
            .objects
            .put(&id.to_string(), body, bytes)
            .await
            .map_err(|error| UploadError::Failed(error.to_string()))?;
        if (stored.bytes, stored.crc64) != (bytes, crc64) {
            let deleted = store.objects.delete(&id.to_string()).await;
            return Err(UploadError::Failed(format!(
                "a part is not in the store any more as it came; deleted: {deleted:?}"
            )));
        }
        Ok(stored)
    }

    /// Writes down what was put together and that its upload ended. False if the same
    /// package was there before.
    async fn keep_composition(
        &self,
        upload: &NamedUpload,
        uploaded_by: &str,
        id: PackageId,
        stored: &Stored,
        completion: &Completion,
        holder: Uuid,
    ) -> Result<bool, UploadError> {
        let (row, now) = (package_row(id, stored), self.clock.now());
        self.transaction("complete_multipart", |tx| {
            Box::pin(async {
                if !tx.complete_multipart(upload.id, holder, completion, now).await? {
                    return Err(UploadError::BeingCompleted);
                }
                let is_new = match tx.insert_package(&upload.key, &row, uploaded_by, now).await? {
                    StoredPackage::Whole => true,
                    StoredPackage::KeyTaken => {
                        let first = tx.find_package_by_key(&upload.key).await?;
                        if first.is_none_or(|first| first.sha256 != row.sha256) {
                            return Err(UploadError::KeyTaken);
                        }
                        false
                    }
                    StoredPackage::Expired => {
                        return Err(UploadError::CutOff(
                            "it took so long that nothing is set aside for it any more".into(),
                        ));
                    }
                };
                Ok(is_new)
            })
        })
        .await
    }
}

async fn read(
    objects: Objects,
    name: String,
) -> io::Result<stream::BoxStream<'static, io::Result<bytes::Bytes>>> {
    objects.get(&name).await.map(|(_, body)| body).map_err(io::Error::other)
}
