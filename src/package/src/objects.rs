//! The store of uploaded packages: a folder, or a bucket that speaks S3.
//!
//! An object is there whole or not at all, under a name of ours. What came is
//! counted and summed up on its way, and an upload that ends in any other way
//! than well leaves nothing. Of an upload to a bucket two parts are in memory at the
//! most, of one to a folder a small buffer.

use std::{
    io,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum_combine};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use md5::Md5;
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutOptions, WriteMultipart, local::LocalFileSystem,
    parse_url_opts, path::Path, prefix::PrefixStore,
};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::time::Instant;
use url::Url;

mod folder;

use folder::Draft;

use domain::PackageId;

/// Longest silence of a client in the middle of an upload.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Longest time for all of an upload.
pub const LONGEST_UPLOAD: Duration = Duration::from_secs(3600);

/// Bytes of a part, at the least: S3 wants no smaller ones.
const PART: u64 = 5 << 20;

/// Most parts that S3 takes, and a few less.
const MOST_PARTS: u64 = 9_000;

/// Parts that are on their way to a bucket while the next one fills.
const PARTS_AT_ONCE: usize = 1;

/// The name of the object that says whose store it is.
const MARK: &str = "sluice-store";

/// Bytes of it that are read: a UUID.
const LONGEST_MARK: u64 = 36;

/// Why the store cannot be used at all.
#[derive(Debug, Error)]
pub enum Unusable {
    /// It is no place that is known here.
    #[error("must be a folder, file:///folder, or s3://bucket/prefix")]
    Unknown,
    /// The folder cannot be made or used.
    #[error("{}: {error}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The store says no.
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// Why nothing was stored.
#[derive(Debug, Error)]
pub enum PutError {
    /// More came than is allowed.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// What came broke off.
    #[error("it broke off: {0}")]
    CutOff(io::Error),
    /// Nothing came for too long.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// It took too long, although something came all the time.
    #[error("it was not there within {} s", .0.as_secs())]
    Slow(Duration),
    /// The folder cannot be written.
    #[error("the folder cannot be written: {0}")]
    Folder(io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// Why a text is not kept.
#[derive(Debug, Error)]
pub enum KeepError {
    /// Another one was kept under the name before.
    #[error("something else is there already")]
    Differs,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub bytes: u64,
    /// Its MD5, in lower-case hex.
    pub md5: String,
    /// Its SHA-256, in lower-case hex.
    pub sha256: String,
    /// Its CRC-64, of the kind that OSS uses.
    pub crc64: u64,
}

/// The CRC-64 of texts one behind the other, each given by its own and its size.
pub fn joined_crc64(parts: impl IntoIterator<Item = (u64, u64)>) -> u64 {
    parts.into_iter().fold(0, |joined, (crc64, bytes)| {
        checksum_combine(CrcAlgorithm::Crc64Xz, joined, crc64, bytes)
    })
}

/// An object as a list of them shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    pub name: String,
    /// When it was written.
    pub written_at: Timestamp,
}

impl StoredObject {
    /// The package that it is, or that it was to become.
    #[must_use]
    pub fn package(&self) -> Option<PackageId> {
        folder::package_of(&self.name)
    }
}

/// A store of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The folder, where it is one: files are written into it here.
    folder: Option<Arc<FilePath>>,
    longest_silence: Duration,
    longest_upload: Duration,
}

/// Where the bytes of an upload go.
enum Sink {
    Bucket(Box<WriteMultipart>),
    Folder(Draft),
}

/// What came of an upload so far.
struct Sum {
    bytes: u64,
    md5: Md5,
    sha256: Sha256,
    crc64: crc_fast::Digest,
}

impl Objects {
    /// The store at `place`; for S3 with the `AWS_*` variables among `environment`.
    ///
    /// # Errors
    /// Why it cannot be used. Whether a bucket can be reached shows later.
    pub fn open(
        place: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Unusable> {
        let Some((scheme, _)) = place.split_once("://") else {
            return Self::folder(FilePath::new(place));
        };
        let url = Url::parse(place).map_err(|_| Unusable::Unknown)?;
        match scheme {
            "file" => Self::folder(&url.to_file_path().map_err(|()| Unusable::Unknown)?),
            "s3" if url.host_str().is_some_and(|bucket| !bucket.is_empty())
                && url.username().is_empty()
                && url.query().is_none() =>
            {
                // An error says that there is a provider already.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let settings = environment.into_iter().filter(|(name, _)| name.starts_with("AWS_"));
                let (store, prefix) = parse_url_opts(&url, settings)?;
                Ok(Self::on(PrefixStore::new(store, prefix)))
            }
            _ => Err(Unusable::Unknown),
        }
    }

    fn folder(folder: &FilePath) -> Result<Self, Unusable> {
        folder::prepare(folder)
            .map_err(|error| Unusable::Folder { folder: folder.into(), error })?;
        let store = LocalFileSystem::new_with_prefix(folder)?;
        Ok(Self { folder: Some(folder.into()), ..Self::on(store) })
    }

    fn on(store: impl ObjectStore) -> Self {
        Self {
            store: Arc::new(store),
            folder: None,
            longest_silence: LONGEST_SILENCE,
            longest_upload: LONGEST_UPLOAD,
        }
    }

    /// Stores all of `body` under `name`, if it has at most `most_bytes`.
    ///
    /// # Errors
    /// Why not; nothing is left then.
    pub async fn put(
        &self,
        name: &str,
        body: BoxStream<'static, io::Result<Bytes>>,
        most_bytes: u64,
    ) -> Result<Stored, PutError> {
        let mut sink = match &self.folder {
            Some(folder) => {
                Sink::Folder(Draft::begin(folder, name).await.map_err(PutError::Folder)?)
            }
            None => {
                let upload = self.store.put_multipart(&Path::from(name)).await?;
                let part = usize::try_from(PART.max(most_bytes / MOST_PARTS)).unwrap_or(usize::MAX);
                Sink::Bucket(Box::new(WriteMultipart::new_with_chunk_size(upload, part)))
            }
        };
        match self.write(&mut sink, body, most_bytes).await {
            Ok(stored) => {
                sink.finish().await?;
                Ok(stored)
            }
            Err(why) => {
                sink.abort().await;
                Err(why)
            }
        }
    }

    async fn write(
        &self,
        sink: &mut Sink,
        mut body: BoxStream<'static, io::Result<Bytes>>,
        most_bytes: u64,
    ) -> Result<Stored, PutError> {
        let mut sum = Sum {
            bytes: 0,
            md5: Md5::new(),
            sha256: Sha256::new(),
            crc64: crc_fast::Digest::new(CrcAlgorithm::Crc64Xz),
        };
        let end = Instant::now() + self.longest_upload;
        loop {
            let silent = Instant::now() + self.longest_silence;
            let part =
                tokio::time::timeout_at(silent.min(end), body.next()).await.map_err(|_| {
                    if end < silent {
                        PutError::Slow(self.longest_upload)
                    } else {
                        PutError::Silent(self.longest_silence)
                    }
                })?;
            let Some(part) = part else { break };
            let part = part.map_err(PutError::CutOff)?;
            sum.bytes += part.len() as u64;
            if sum.bytes > most_bytes {
                return Err(PutError::TooLarge(most_bytes));
            }
            sum.md5.update(&part);
            sum.sha256.update(&part);
            sum.crc64.update(&part);
            sink.write(&part).await?;
        }
        let (md5, sha256) = (hex::encode(sum.md5.finalize()), hex::encode(sum.sha256.finalize()));
        Ok(Stored { bytes: sum.bytes, md5, sha256, crc64: sum.crc64.finalize() })
    }

    /// The size and the bytes of what is stored under `name`.
    ///
    /// # Errors
    /// The store fails, or has no such object.
    pub async fn get(
        &self,
        name: &str,
    ) -> Result<(u64, BoxStream<'static, io::Result<Bytes>>), object_store::Error> {
        let found = self.store.get(&Path::from(name)).await?;
        Ok((
            found.meta.size,
            found.into_stream().map(|part| part.map_err(io::Error::other)).boxed(),
        ))
    }

    /// Takes away what is stored under `name`, if there is something.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delete(&self, name: &str) -> Result<(), object_store::Error> {
        match self.store.delete(&Path::from(name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            ended => ended,
        }
    }

    /// Marks the store with `mark`, if nobody did. Returns whose mark it has.
    ///
    /// # Errors
    /// The store fails.
    pub async fn mark(&self, mark: &str) -> Result<String, object_store::Error> {
        let create = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&Path::from(MARK), mark.to_owned().into(), create).await {
            Ok(_) => {
                if let Some(folder) = &self.folder {
                    folder::restrict(&folder.join(MARK), 0o600);
                }
                return Ok(mark.to_owned());
            }
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
        let found = self.store.get_range(&Path::from(MARK), 0..LONGEST_MARK).await?;
        Ok(String::from_utf8_lossy(&found).trim().to_owned())
    }

    /// Keeps a short text under `name`, which is never written over.
    ///
    /// # Errors
    /// [`KeepError`].
    pub async fn keep(&self, name: &str, text: &str) -> Result<(), KeepError> {
        let (path, create) = (Path::from(name), PutOptions::from(PutMode::Create));
        match self.store.put_opts(&path, text.to_owned().into(), create).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let found = self.store.get(&path).await?;
        if found.meta.size != text.len() as u64 || found.bytes().await? != text.as_bytes() {
            return Err(KeepError::Differs);
        }
        Ok(())
    }

    /// Takes away what is stored under `name`, and in a folder also what broke off with
    /// its server before it had that name.
    ///
    /// # Errors
    /// The store fails.
    pub async fn discard(&self, name: &str) -> Result<(), object_store::Error> {
        if self.folder.is_some() {
            self.delete(&folder::unfinished(name)).await?;
        }
        self.delete(name).await
    }

    /// Everything that is stored, in no certain order; also uploads to a folder that
    /// broke off with their server, as `<name>.part`.
    pub fn list(&self) -> BoxStream<'static, Result<StoredObject, object_store::Error>> {
        let listed = self.store.list(None).map_ok(|object| StoredObject {
            name: object.location.to_string(),
            written_at: Timestamp::from_second(object.last_modified.timestamp())
                .unwrap_or(Timestamp::MAX),
        });
        listed.boxed()
    }
}

impl Sink {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), PutError> {
        match self {
            Self::Bucket(upload) => {
                upload.wait_for_capacity(PARTS_AT_ONCE).await?;
                // Copied: a small piece may keep all of the buffer that it came in.
                upload.write(bytes);
                Ok(())
            }
            Self::Folder(draft) => draft.write(bytes).await.map_err(PutError::Folder),
        }
    }

    async fn finish(self) -> Result<(), PutError> {
        match self {
            Self::Bucket(upload) => Ok(upload.finish().await.map(drop)?),
            Self::Folder(draft) => draft.finish().await.map_err(PutError::Folder),
        }
    }

    async fn abort(self) {
        match self {
            Self::Bucket(upload) => {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "parts of an upload that failed could not be taken back");
                }
            }
            Self::Folder(draft) => drop(draft),
        }
    }
}

#[cfg(test)]
mod tests;
