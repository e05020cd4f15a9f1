//! Settings of how much may be uploaded, and for how long it is kept.

use std::time::Duration;

use clap::Args;

use domain::package::upload::Quota;

/// How much may be uploaded.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Packages")]
pub struct PackageUploads {
    /// Uploads that this server takes in at once; another one waits 5 s for a place. Each to a bucket has up to 10 MB in memory.
    #[arg(long, env = "SLUICE_PACKAGE_UPLOADS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub package_uploads: u32,
    /// Size of all uploaded packages together, in MB.
    #[arg(long, env = "SLUICE_PACKAGE_STORE_LIMIT", default_value_t = 204_800, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub package_store_limit: u64,
    /// Number of uploaded packages.
    #[arg(long, env = "SLUICE_PACKAGE_STORE_COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub package_store_count: u64,
    /// Size of the uploaded packages of one access key together, in MB.
    #[arg(long, env = "SLUICE_PACKAGE_KEY_LIMIT", default_value_t = 51_200, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub package_key_limit: u64,
    /// Number of uploaded packages of one access key.
    #[arg(long, env = "SLUICE_PACKAGE_KEY_COUNT", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub package_key_count: u64,
    /// Uploads of one access key at once, over all servers; each part of an upload in parts is one.
    #[arg(long, env = "SLUICE_PACKAGE_KEY_UPLOADS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub package_key_uploads: u64,
    /// Uploads in parts of one access key that are begun and not ended. Those whose credential has ended are collected.
    #[arg(long, env = "SLUICE_PACKAGE_KEY_MULTIPARTS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub package_key_multiparts: u64,
    /// Credentials for uploading of one access key that are good at once; each is good for an hour.
    #[arg(long, env = "SLUICE_PACKAGE_KEY_CREDENTIALS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub package_key_credentials: u64,
    /// Days for which an uploaded package is kept that no version of any history names; 0 = for ever. What else lies in the store under the name of a package goes too.
    #[arg(long, env = "SLUICE_PACKAGE_KEEP_DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=3650))]
    pub package_keep_days: u32,
}

impl PackageUploads {
    /// How much is kept in all and by access key.
    #[must_use]
    pub fn quota(&self) -> Quota {
        Quota {
            bytes: self.package_store_limit << 20,
            packages: self.package_store_count,
            key_bytes: self.package_key_limit << 20,
            key_packages: self.package_key_count,
            key_uploads: self.package_key_uploads,
            key_multiparts: self.package_key_multiparts,
            key_credentials: self.package_key_credentials,
        }
    }

    /// How long a package is kept that nothing names; none = for ever.
    #[must_use]
    pub fn keep(&self) -> Option<Duration> {
        (self.package_keep_days > 0)
            .then(|| Duration::from_secs(u64::from(self.package_keep_days) * 24 * 3600))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        uploads: PackageUploads,
    }

    #[test]
    fn where_nothing_is_set_the_quota_is_the_usual_one() {
        let uploads = Line::try_parse_from(["x"]).unwrap().uploads;
        assert_eq!(
            (uploads.quota(), uploads.keep()),
            (Quota::default(), Some(Duration::from_secs(604_800)))
        );
        let uploads =
            Line::try_parse_from(["x", "--package-keep-days", "0", "--package-key-limit", "3"])
                .unwrap()
                .uploads;
        assert_eq!((uploads.quota().key_bytes, uploads.keep()), (3 << 20, None));
        assert!(Line::try_parse_from(["x", "--package-uploads", "0"]).is_err());
    }
}
