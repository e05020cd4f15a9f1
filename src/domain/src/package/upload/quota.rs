//! How much may be uploaded: by one access key, and in all. Pure.

use thiserror::Error;

/// How much may be kept, and be under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all packages together.
    pub bytes: u64,
    pub packages: u64,
    /// Bytes of one access key's packages together.
    pub key_bytes: u64,
    /// Packages of one access key.
    pub key_packages: u64,
    /// Uploads of one access key at once, over all servers.
    pub key_uploads: u64,
    /// Uploads in parts of one access key that are begun and not ended.
    pub key_multiparts: u64,
    /// Credentials of one access key that are good at once.
    pub key_credentials: u64,
}

impl Default for Quota {
    /// As the settings are where nobody makes them.
    fn default() -> Self {
        Self {
            bytes: 200 << 30,
            packages: 10_000,
            key_bytes: 50 << 30,
            key_packages: 2_000,
            key_uploads: 8,
            key_multiparts: 20,
            key_credentials: 200,
        }
    }
}

/// What there is: packages that are kept, and what is set aside for uploads under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub packages: u64,
    /// Bytes of the access key.
    pub key_bytes: u64,
    /// Packages of the access key.
    pub key_packages: u64,
    /// Uploads of the access key that are under way; each part is one.
    pub key_uploads: u64,
    /// Uploads in parts of the access key that are begun and not ended.
    pub key_multiparts: u64,
}

/// Which limit an upload would go beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Full {
    /// All packages together.
    #[error(
        "all packages together may have at most {limit} bytes, and {free} are free (--package-store-limit)"
    )]
    Bytes {
        /// Bytes that are allowed.
        limit: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The number of packages.
    #[error("at most {0} packages are kept (--package-store-count)")]
    Packages(u64),
    /// The access key's packages together.
    #[error(
        "the packages of one access key may have at most {limit} bytes, and {free} are free (--package-key-limit)"
    )]
    KeyBytes {
        /// Bytes that are allowed.
        limit: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The number of the access key's packages.
    #[error("at most {0} packages of one access key are kept (--package-key-count)")]
    KeyPackages(u64),
    /// The access key's uploads at once.
    #[error(
        "at most {0} uploads of one access key may be under way at once (--package-key-uploads)"
    )]
    KeyUploads(u64),
    /// The access key's uploads in parts that are begun and not ended.
    #[error(
        "at most {0} uploads in parts of one access key may be begun and not ended (--package-key-multiparts)"
    )]
    KeyMultiparts(u64),
}

impl Full {
    /// Whether it passes by itself as soon as another upload ends.
    #[must_use]
    pub fn is_passing(self) -> bool {
        match self {
            Self::KeyUploads(_) => true,
            Self::Bytes { .. }
            | Self::Packages(_)
            | Self::KeyBytes { .. }
            | Self::KeyPackages(_)
            | Self::KeyMultiparts(_) => false,
        }
    }
}

impl Quota {
    /// Whether one more package of up to `bytes` has room beside `usage`.
    ///
    /// # Errors
    /// The first limit that it would go beyond.
    pub fn admit(&self, usage: &Usage, bytes: u64) -> Result<(), Full> {
        self.admit_at_once(usage)
            .and_then(|()| self.admit_package(usage))
            .and_then(|()| self.admit_bytes(usage, bytes))
    }

    /// Whether one more upload in parts may be begun beside `usage`: it is a package
    /// without bytes, so far.
    ///
    /// # Errors
    /// The first limit that it would go beyond.
    pub fn admit_multipart(&self, usage: &Usage) -> Result<(), Full> {
        if usage.key_multiparts >= self.key_multiparts {
            return Err(Full::KeyMultiparts(self.key_multiparts));
        }
        self.admit_package(usage)
    }

    /// Whether a part of up to `bytes` has room beside `usage`, in which its upload is
    /// counted as a package already.
    ///
    /// # Errors
    /// The first limit that it would go beyond.
    pub fn admit_part(&self, usage: &Usage, bytes: u64) -> Result<(), Full> {
        self.admit_at_once(usage).and_then(|()| self.admit_bytes(usage, bytes))
    }

    fn admit_at_once(&self, usage: &Usage) -> Result<(), Full> {
        if usage.key_uploads >= self.key_uploads {
            Err(Full::KeyUploads(self.key_uploads))
        } else {
            Ok(())
        }
    }

    fn admit_package(&self, usage: &Usage) -> Result<(), Full> {
        if usage.key_packages >= self.key_packages {
            Err(Full::KeyPackages(self.key_packages))
        } else if usage.packages >= self.packages {
            Err(Full::Packages(self.packages))
        } else {
            Ok(())
        }
    }

    fn admit_bytes(&self, usage: &Usage, bytes: u64) -> Result<(), Full> {
        let lacks =
            |limit: u64, used: u64| Some(limit.saturating_sub(used)).filter(|free| *free < bytes);
        if let Some(free) = lacks(self.key_bytes, usage.key_bytes) {
            Err(Full::KeyBytes { limit: self.key_bytes, free })
        } else if let Some(free) = lacks(self.bytes, usage.bytes) {
            Err(Full::Bytes { limit: self.bytes, free })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        bytes: 100,
        packages: 4,
        key_bytes: 50,
        key_packages: 3,
        key_uploads: 2,
        key_multiparts: 2,
        key_credentials: 1,
    };
    const USAGE: Usage = Usage {
        bytes: 60,
        packages: 3,
        key_bytes: 20,
        key_packages: 2,
        key_uploads: 1,
        key_multiparts: 1,
    };

    #[test]
    fn an_upload_that_goes_beyond_a_limit_is_refused_with_its_setting() {
        let (quota, usage) = (QUOTA, USAGE);
        assert_eq!(quota.admit(&usage, 30), Ok(()));
        for (usage, bytes, names) in [
            (usage, 31, "--package-key-limit"),
            (Usage { key_bytes: 0, ..usage }, 41, "--package-store-limit"),
            (Usage { bytes: 200, ..usage }, 1, "--package-store-limit"),
            (Usage { packages: 4, ..usage }, 1, "--package-store-count"),
            (Usage { key_packages: 3, ..usage }, 0, "--package-key-count"),
            (Usage { key_uploads: 2, ..usage }, 0, "--package-key-uploads"),
            (usage, u64::MAX, "--package-key-limit"),
        ] {
            let said = quota.admit(&usage, bytes).unwrap_err().to_string();
            assert!(said.contains(names), "{said}");
        }
    }

    #[test]
    fn an_upload_in_parts_is_a_package_and_each_part_an_upload() {
        let (quota, usage) = (QUOTA, USAGE);
        assert_eq!((quota.admit_multipart(&usage), quota.admit_part(&usage, 30)), (Ok(()), Ok(())));
        assert_eq!(
            quota.admit_multipart(&Usage { key_multiparts: 2, ..usage }),
            Err(Full::KeyMultiparts(2))
        );
        assert_eq!(
            quota.admit_multipart(&Usage { key_packages: 3, ..usage }),
            Err(Full::KeyPackages(3))
        );
        assert_eq!(
            quota.admit_multipart(&Usage { key_uploads: 2, ..usage }),
            Ok(()),
            "nothing comes yet"
        );
        assert_eq!(
            quota.admit_part(&Usage { packages: 4, key_packages: 3, ..usage }, 30),
            Ok(()),
            "it is counted already"
        );
        assert_eq!(quota.admit_part(&usage, 31), Err(Full::KeyBytes { limit: 50, free: 30 }));
        assert_eq!(
            quota.admit_part(&Usage { key_uploads: 2, ..usage }, 0),
            Err(Full::KeyUploads(2))
        );
    }
}
