//! The record of who did what: how it is kept, exported and verified.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Subcommand};

use super::Database;

/// How the record is kept by a program that serves.
#[derive(Debug, Args)]
pub struct AuditServing {
    /// File with the key that checkpoints of the audit are signed with, as `sluice audit key` writes one. Without it nothing is signed.
    #[arg(long, env = "SLUICE_AUDIT_KEY_FILE")]
    pub audit_key_file: Option<PathBuf>,
    /// Where signed checkpoints go beside the database: a folder, `s3://bucket/prefix`, or `log`. A bucket's region, endpoint and credentials are in the variables AWS_*.
    #[arg(long, env = "SLUICE_AUDIT_CHECKPOINTS", default_value = "log")]
    pub audit_checkpoints: CheckpointsTarget,
    /// Shortest time between two checkpoints, such as 10s or 5m (from 1s to 24h).
    #[arg(long, env = "SLUICE_AUDIT_CHECKPOINT_EVERY", default_value = "60s", value_parser = between_checkpoints)]
    pub audit_checkpoint_every: Duration,
}

/// Where signed checkpoints go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointsTarget {
    /// The program's log.
    Log,
    /// Files in a folder.
    Folder(PathBuf),
    /// Objects in a bucket that speaks S3.
    Bucket(String),
}

impl FromStr for CheckpointsTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "log" => Ok(Self::Log),
            bucket if bucket.starts_with("s3://") => Ok(Self::Bucket(bucket.into())),
            other if other.is_empty() || other.contains("://") => {
                Err("it must be a folder, s3://bucket/prefix, or `log`")
            }
            folder => Ok(Self::Folder(folder.into())),
        }
    }
}

/// What can be done with the record.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Make a key that signs checkpoints: it is written to a file, and its public key is printed. Keep that one: it is needed to verify.
    Key {
        /// Name of the log, such as the host that serves: no blanks and no '+'.
        #[arg(long, default_value = "sluice")]
        name: String,
        /// The file to write, which must not be there yet. Nobody else can read it.
        #[arg(long)]
        to: PathBuf,
    },
    /// Write the record, its hashes and its checkpoints into a folder, where they can be verified without the database.
    Export {
        /// The folder, which must have no other export.
        #[arg(long)]
        to: PathBuf,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// Verify an export, and name the first entry that was altered, dropped or moved.
    Verify {
        /// The folder of the export.
        folder: PathBuf,
        /// The public key that `sluice audit key` printed.
        #[arg(long, env = "SLUICE_AUDIT_PUBLIC_KEY")]
        key: String,
        /// A checkpoint that was kept elsewhere, which must agree too.
        #[arg(long)]
        checkpoint: Vec<PathBuf>,
    },
}

fn between_checkpoints(text: &str) -> Result<Duration, String> {
    let pause = super::duration(text)?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    if allowed.contains(&pause) { Ok(pause) } else { Err("must be from 1s to 24h".into()) }
}
