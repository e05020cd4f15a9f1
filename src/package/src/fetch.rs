//! Downloading a package: whole and checked, or not at all.
//!
//! Into a temporary file beside the target, which is renamed when all of it is
//! there. Passing trouble is tried again, with growing pauses; what is final is
//! not. However it ends, no temporary file is left.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::StreamExt;
use md5::Md5;
use sha2::{Digest, Sha256};
use tokio::{fs, io::AsyncWriteExt};

use super::{
    Client, Failure, Reason,
    request::{Ask, check_status, failure},
};
use domain::package::{Checksum, PackageAddress};

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A download.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    pub url: &'a PackageAddress,
    pub target: &'a Path,
    /// What it must be.
    pub checksum: Option<&'a Checksum>,
    /// Longest time for all attempts together.
    pub timeout: Duration,
    /// Attempts at the most.
    pub attempts: u32,
    /// Pause after the first attempt; it doubles with each.
    pub pause: Duration,
}

/// A package that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    pub bytes: u64,
    /// Attempts that it took.
    pub attempts: u32,
}

impl Client {
    /// Downloads a package.
    ///
    /// # Errors
    /// Why it cannot be had; nothing is left behind then.
    pub async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Fetched, Failure> {
        let mut last: Option<Failure> = None;
        let work = async {
            let mut pause = fetch.pause;
            for attempt in 1.. {
                match self.attempt(fetch).await {
                    Ok(bytes) => return Ok(Fetched { bytes, attempts: attempt }),
                    Err(failure) if failure.reason.is_passing() && attempt < fetch.attempts => {
                        tracing::debug!(attempt, %failure, "trying again");
                        last = Some(failure);
                    }
                    Err(mut failure) => {
                        if attempt > 1 {
                            failure
                                .what
                                .push_str(&format!(" (attempt {attempt} of {})", fetch.attempts));
                        }
                        return Err(failure);
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            unreachable!("the last attempt returns")
        };
        match tokio::time::timeout(fetch.timeout, work).await {
            Ok(ended) => ended,
            Err(_) => {
                let before =
                    last.map(|last| format!("; before that: {}", last.what)).unwrap_or_default();
                let what =
                    format!("it was not there within {} s{before}", fetch.timeout.as_secs_f64());
                Err(Failure::new(Reason::TimedOut, fetch.url, what))
            }
        }
    }

    async fn attempt(&self, fetch: &Fetch<'_>) -> Result<u64, Failure> {
        let url = fetch.url;
        let answer = self.send(url, Ask::Whole).await?;
        check_status(url, answer.status())?;
        if let Some(bytes) = answer.content_length().filter(|bytes| *bytes > self.most_bytes) {
            return Err(self.too_large(url, Some(bytes)));
        }
        let cannot = |error: io::Error| {
            Failure::new(Reason::CannotWrite, url, format!("{}: {error}", fetch.target.display()))
        };
        let temporary = Temporary::beside(fetch.target);
        let mut file = fs::File::create(&temporary.0).await.map_err(cannot)?;
        let mut hash = Hash::of(fetch.checksum);
        let mut bytes = 0;
        let mut body = answer.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| failure(url, &error))?;
            bytes += chunk.len() as u64;
            if bytes > self.most_bytes {
                return Err(self.too_large(url, None));
            }
            hash.update(&chunk);
            file.write_all(&chunk).await.map_err(cannot)?;
        }
        file.flush().await.map_err(cannot)?;
        hash.check(url)?;
        fs::rename(&temporary.0, fetch.target).await.map_err(cannot)?;
        Ok(bytes)
    }

    pub(super) fn too_large(&self, url: &PackageAddress, bytes: Option<u64>) -> Failure {
        let size = bytes.map(|bytes| format!("it has {bytes} bytes, and ")).unwrap_or_default();
        Failure::new(
            Reason::TooLarge,
            url,
            format!("{size}at most {} are allowed (--package-limit)", self.most_bytes),
        )
    }
}

/// A file that goes with this value. After it was renamed there is none to go.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(target: &Path) -> Self {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".part");
        Self(target.with_file_name(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The checksum of what came, beside the one that is wanted.
enum Hash<'a> {
    None,
    Sha256(Sha256, &'a str),
    Md5(Md5, &'a str),
}

impl<'a> Hash<'a> {
    fn of(checksum: Option<&'a Checksum>) -> Self {
        match checksum {
            None => Self::None,
            Some(Checksum::Sha256(wanted)) => Self::Sha256(Sha256::new(), wanted),
            Some(Checksum::Md5(wanted)) => Self::Md5(Md5::new(), wanted),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Sha256(hash, _) => hash.update(bytes),
            Self::Md5(hash, _) => hash.update(bytes),
        }
    }

    fn check(self, url: &PackageAddress) -> Result<(), Failure> {
        let (name, found, wanted) = match self {
            Self::None => return Ok(()),
            Self::Sha256(hash, wanted) => ("SHA-256", hex::encode(hash.finalize()), wanted),
            Self::Md5(hash, wanted) => ("MD5", hex::encode(hash.finalize()), wanted),
        };
        if found == wanted {
            return Ok(());
        }
        Err(Failure::new(
            Reason::WrongChecksum,
            url,
            format!("its {name} is {found}, and should be {wanted}"),
        ))
    }
}
