//! Keeping the log over the audit: entries are added to it apart from the changes that they
//! are about, so that those do not wait for each other.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ::audit::{Export, Head, Signer, Tree, leaf};
use jiff::SignedDuration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::Service;
use store::StoreError;

/// Pause between two looks for entries.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Most entries that are added in one transaction, and read in one statement.
const AT_ONCE: u32 = 500;

/// Looks of which one is for all entries: those that were written very late are found by it.
const WHOLE_LOOK: u64 = 3600;

/// Name of the file that has the newest checkpoint.
const NEWEST: &str = "checkpoint";

/// Where signed checkpoints go beside the database, which whoever owns it could alter.
#[derive(Debug, Clone)]
pub enum CheckpointsTo {
    /// A line of the program's log.
    Log,
    /// Files in a folder.
    Folder(PathBuf),
}

/// How the log is kept.
#[derive(Debug, Clone)]
pub struct AuditLog {
    /// None = there are no checkpoints.
    pub signer: Option<Signer>,
    pub to: CheckpointsTo,
    /// Shortest time between two checkpoints.
    pub every: SignedDuration,
}

/// Why the log cannot be kept or exported now.
#[derive(Debug, Error)]
pub enum LogError {
    /// The database cannot be asked, or what it has cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the export cannot be written.
    #[error(transparent)]
    Export(#[from] ::audit::ExportError),
    /// The hashes of the log are not all there.
    #[error(transparent)]
    Tree(#[from] ::audit::TreeError),
    /// The key cannot sign.
    #[error(transparent)]
    Key(#[from] ::audit::KeyError),
    /// The checkpoint cannot be published.
    #[error("the checkpoint cannot be written: {0}")]
    File(#[from] std::io::Error),
}

impl Service {
    /// Keeps the log over the audit until `stop` is cancelled. Any number of programs may do so
    /// on one database: one of them has the log at a time.
    pub async fn keep_audit_log(&self, settings: AuditLog, stop: CancellationToken) {
        let keep = async {
            for look in 0_u64.. {
                if let Err(error) = self.look_after_log(&settings, look % WHOLE_LOOK == 0).await {
                    tracing::warn!(%error, "the log over the audit cannot be kept now");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        stop.run_until_cancelled(keep).await;
        // What was written last is in the log when the program ends in good order.
        if let Err(error) = self.look_after_log(&settings, false).await {
            tracing::warn!(%error, "the log over the audit lacks what was written last");
        }
    }

    /// Adds what is on record to the log, and signs a checkpoint where it is time.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn settle_audit_log(&self, settings: &AuditLog) -> Result<(), LogError> {
        self.look_after_log(settings, true).await
    }

    async fn look_after_log(&self, settings: &AuditLog, all: bool) -> Result<(), LogError> {
        while self.grow_log(all).await? == AT_ONCE as usize {}
        match &settings.signer {
            Some(signer) => self.sign_log(settings, signer).await,
            None => Ok(()),
        }
    }

    /// Adds entries to the log, and says how many.
    async fn grow_log(&self, all: bool) -> Result<usize, LogError> {
        let mut tx = self.store.begin().await?;
        if !tx.take_audit_log().await? {
            return Ok(0);
        }
        let entries = tx.audit_entries_to_log(all, i64::from(AT_ONCE)).await?;
        if entries.is_empty() {
            return Ok(0);
        }
        let size = tx.audit_log_size().await?;
        let mut tree = Tree::new(size, tx.audit_nodes(&Tree::needs(size)).await?)?;
        for entry in &entries {
            tree.add(&leaf(entry))?;
        }
        let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
        tx.grow_audit_log(size, &ids, tree.grown()).await?;
        tx.commit().await?;
        Ok(entries.len())
    }

    async fn sign_log(&self, settings: &AuditLog, signer: &Signer) -> Result<(), LogError> {
        let now = self.clock.now();
        let newest = self.store.newest_audit_checkpoint().await?;
        if newest.is_some_and(|(_, at)| now.duration_since(at) < settings.every && now >= at) {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        if !tx.take_audit_log().await? {
            return Ok(());
        }
        let size = tx.audit_log_size().await?;
        if newest.map_or(0, |(size, _)| size) == size {
            return Ok(());
        }
        let root = Tree::new(size, tx.audit_nodes(&Tree::needs(size)).await?)?.root()?;
        let note = signer.sign(Head { size, root })?;
        tx.add_audit_checkpoint(size, &note, now).await?;
        // Published before it is on record: what is on record is published.
        publish(&settings.to, size, &note).await?;
        Ok(tx.commit().await?)
    }

    /// Exports the log to a folder, and says how many entries there are.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn export_audit_log(&self, folder: &Path) -> Result<u64, LogError> {
        let mut export = Export::begin(folder)?;
        let mut from = 0;
        loop {
            let entries = self.store.logged_entries(from, AT_ONCE).await?;
            if entries.is_empty() {
                break;
            }
            from += entries.len() as u64;
            for (entry, hash) in entries {
                export.add(&entry.as_ref().map(leaf).unwrap_or_default(), hash)?;
            }
        }
        let checkpoints = self.store.audit_checkpoints().await?;
        Ok(export.finish(&checkpoints)?)
    }
}

async fn publish(to: &CheckpointsTo, size: u64, note: &str) -> Result<(), std::io::Error> {
    match to {
        CheckpointsTo::Log => tracing::info!(size, checkpoint = note, "checkpoint of the audit"),
        CheckpointsTo::Folder(folder) => {
            tokio::fs::create_dir_all(folder).await?;
            tokio::fs::write(folder.join(format!("{NEWEST}-{size:020}")), note).await?;
            let next = folder.join(format!(".{NEWEST}.next"));
            tokio::fs::write(&next, note).await?;
            tokio::fs::rename(next, folder.join(NEWEST)).await?;
        }
    }
    Ok(())
}
