//! The store of uploaded packages: a folder, or a bucket that speaks S3.
//!
//! An object is there whole or not at all, under a name of ours. What came is
//! counted and summed up on its way, and an upload that ends in any other way
//! than well leaves nothing.

use std::{
    io,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use md5::Md5;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart, local::LocalFileSystem, parse_url_opts, path::Path, prefix::PrefixStore};
use sha2::{Digest, Sha256};
use thiserror::Error;
use url::Url;

/// Longest silence of a client in the middle of an upload.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Bytes that are handed to the store at once; S3 wants 5 MiB or more.
const PART: usize = 8 << 20;

/// Parts that are on their way to the store at once.
const PARTS_AT_ONCE: usize = 4;

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
    /// The store failed.
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its size.
    pub bytes: u64,
    /// Its MD5, in lower-case hex.
    pub md5: String,
    /// Its SHA-256, in lower-case hex.
    pub sha256: String,
}

/// A store of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    longest_silence: Duration,
}

impl Objects {
    /// The store at `place`; for S3 with the `AWS_*` variables among `environment`.
    ///
    /// # Errors
    /// Why it cannot be used. Whether a bucket can be reached shows later.
    pub fn open(place: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, Unusable> {
        let Some((scheme, _)) = place.split_once("://") else {
            return Self::folder(FilePath::new(place));
        };
        let url = Url::parse(place).map_err(|_| Unusable::Unknown)?;
        match scheme {
            "file" => Self::folder(&url.to_file_path().map_err(|()| Unusable::Unknown)?),
            "s3" if url.host_str().is_some_and(|bucket| !bucket.is_empty()) && url.username().is_empty() && url.query().is_none() => {
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
        std::fs::create_dir_all(folder).map_err(|error| Unusable::Folder { folder: folder.into(), error })?;
        Ok(Self::on(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)))
    }

    fn on(store: impl ObjectStore) -> Self {
        Self { store: Arc::new(store), longest_silence: LONGEST_SILENCE }
    }

    /// Stores all of `body` under `name`, if it has at most `most_bytes`.
    ///
    /// # Errors
    /// Why not; nothing is left then.
    pub async fn put(&self, name: &str, body: BoxStream<'static, io::Result<Bytes>>, most_bytes: u64) -> Result<Stored, PutError> {
        let upload = self.store.put_multipart(&Path::from(name)).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        match self.write(&mut upload, body, most_bytes).await {
            Ok(stored) => {
                upload.finish().await?;
                Ok(stored)
            }
            Err(why) => {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "parts of an upload that failed could not be taken back");
                }
                Err(why)
            }
        }
    }

    async fn write(
        &self,
        upload: &mut WriteMultipart,
        mut body: BoxStream<'static, io::Result<Bytes>>,
        most_bytes: u64,
    ) -> Result<Stored, PutError> {
        let (mut bytes, mut md5, mut sha256) = (0, Md5::new(), Sha256::new());
        while let Some(part) =
            tokio::time::timeout(self.longest_silence, body.next()).await.map_err(|_| PutError::Silent(self.longest_silence))?
        {
            let part = part.map_err(PutError::CutOff)?;
            bytes += part.len() as u64;
            if bytes > most_bytes {
                return Err(PutError::TooLarge(most_bytes));
            }
            md5.update(&part);
            sha256.update(&part);
            upload.wait_for_capacity(PARTS_AT_ONCE).await?;
            upload.put(part);
        }
        Ok(Stored { bytes, md5: hex::encode(md5.finalize()), sha256: hex::encode(sha256.finalize()) })
    }

    /// The size and the bytes of what is stored under `name`.
    ///
    /// # Errors
    /// The store fails, or has no such object.
    pub async fn get(&self, name: &str) -> Result<(u64, BoxStream<'static, io::Result<Bytes>>), object_store::Error> {
        let found = self.store.get(&Path::from(name)).await?;
        Ok((found.meta.size, found.into_stream().map(|part| part.map_err(io::Error::other)).boxed()))
    }

    /// Takes away what is stored under `name`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delete(&self, name: &str) -> Result<(), object_store::Error> {
        self.store.delete(&Path::from(name)).await
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tempfile::TempDir;

    use super::*;

    fn body(parts: Vec<io::Result<Bytes>>) -> BoxStream<'static, io::Result<Bytes>> {
        stream::iter(parts).boxed()
    }

    fn files(folder: &TempDir) -> usize {
        std::fs::read_dir(folder.path()).unwrap().count()
    }

    fn open(folder: &TempDir) -> Objects {
        Objects::open(folder.path().to_str().unwrap(), []).unwrap()
    }

    #[tokio::test]
    async fn what_is_put_is_got_back_and_goes_when_it_is_deleted() {
        let folder = TempDir::new().unwrap();
        let objects = open(&folder);
        let large = Bytes::from(vec![7; PART + 1]);
        let stored = objects.put("a", body(vec![Ok(Bytes::from_static(b"PK")), Ok(large.clone())]), 1 << 30).await.unwrap();
        let whole = [b"PK", &large[..]].concat();
        assert_eq!(stored.bytes, whole.len() as u64);
        assert_eq!((stored.md5, stored.sha256), (hex::encode(Md5::digest(&whole)), hex::encode(Sha256::digest(&whole))));
        let (size, parts) = objects.get("a").await.unwrap();
        let got: Vec<Bytes> = parts.map(Result::unwrap).collect().await;
        assert!(size == whole.len() as u64 && got.concat() == whole);
        objects.delete("a").await.unwrap();
        assert!(objects.get("a").await.is_err());
    }

    #[tokio::test]
    async fn what_is_too_large_or_breaks_off_leaves_nothing() {
        let folder = TempDir::new().unwrap();
        let objects = open(&folder);
        let part = || Ok(Bytes::from(vec![7; PART]));
        let too_large = objects.put("a", body(vec![part(), part()]), PART as u64 * 2 - 1).await;
        assert!(matches!(too_large, Err(PutError::TooLarge(_))));
        let cut_off = objects.put("a", body(vec![part(), Err(io::Error::other("gone"))]), 1 << 30).await;
        assert!(matches!(cut_off, Err(PutError::CutOff(_))));
        assert_eq!(files(&folder), 0);
        assert_eq!(objects.put("a", body(vec![part(), part()]), PART as u64 * 2).await.unwrap().bytes, PART as u64 * 2);
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_any_more_is_given_up() {
        let folder = TempDir::new().unwrap();
        let silent = stream::iter([Ok(Bytes::from_static(b"PK"))]).chain(stream::pending()).boxed();
        let objects = Objects { longest_silence: Duration::from_millis(20), ..open(&folder) };
        assert!(matches!(objects.put("a", silent, 100).await, Err(PutError::Silent(_))));
        assert_eq!(files(&folder), 0);
    }

    #[test]
    fn a_store_is_a_folder_or_a_bucket() {
        let folder = TempDir::new().unwrap();
        let inner = folder.path().join("new folder");
        assert!(Objects::open(Url::from_file_path(&inner).unwrap().as_str(), []).is_ok());
        assert!(inner.is_dir());
        let region = [("AWS_REGION".to_owned(), "eu-1".to_owned()), ("TOKEN".to_owned(), "not meant".to_owned())];
        assert!(Objects::open("s3://bucket/prefix", region).is_ok());
        for wrong in ["s3://", "gs://bucket", "http://host/path", "s3://key:secret@bucket", "file://host/folder"] {
            assert!(matches!(Objects::open(wrong, []), Err(Unusable::Unknown)), "{wrong}");
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(Objects::open(file.to_str().unwrap(), []), Err(Unusable::Folder { .. })));
    }
}
