//! Keeping the log over the audit: entries are added to it apart from the changes that they
//! are about, so that those do not wait for each other.

use std::{path::Path, time::Duration};

use ::audit::{Export, Head, Signer, Tree, leaf};
use jiff::SignedDuration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{CheckpointsTo, PublishError, publish};
use crate::Service;
use store::StoreError;

/// Pause between two looks for entries.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Most entries that are added in one transaction, and read in one statement.
const AT_ONCE: u32 = 500;

/// Looks of which one begins to go through all entries, from the oldest on: those that were
/// written very late are found by it.
const WHOLE_LOOK: u64 = 3600;

/// Pages of all entries that are gone through in one look: others need the database, too.
const PAGES: usize = 20;

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
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What came of a look for entries that the log lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looked {
    /// Another program adds to the log now.
    Busy,
    /// There may be more of them.
    Full,
    /// There are no more up to the entry of this number; none = none at all.
    Through(Option<i64>),
}

impl Service {
    /// Keeps the log over the audit until `stop` is cancelled. Any number of programs may do so
    /// on one database: one of them has the log at a time.
    pub async fn keep_audit_log(&self, settings: AuditLog, stop: CancellationToken) {
        let keep = async {
            let mut page = None;
            for look in 0_u64.. {
                if look % WHOLE_LOOK == 0 {
                    page = Some(0);
                }
                if let Err(error) = self.look_after_log(&settings, &mut page, PAGES).await {
                    tracing::warn!(%error, "the log over the audit cannot be kept now");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        stop.run_until_cancelled(keep).await;
        // What was written last is in the log when the program ends in good order.
        if let Err(error) = self.look_after_log(&settings, &mut None, 0).await {
            tracing::warn!(%error, "the log over the audit lacks what was written last");
        }
    }

    /// Adds what is on record to the log, and signs a checkpoint where it is time.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn settle_audit_log(&self, settings: &AuditLog) -> Result<(), LogError> {
        self.look_after_log(settings, &mut Some(0), usize::MAX).await
    }

    /// Looks for new entries, and through at most so many pages of all: `page` is the number
    /// of the entry before the next one, and none where there are no more.
    async fn look_after_log(
        &self,
        settings: &AuditLog,
        page: &mut Option<i64>,
        pages: usize,
    ) -> Result<(), LogError> {
        while self.grow_log(None).await? == Looked::Full {}
        for _ in 0..pages {
            let Some(after) = *page else { break };
            match self.grow_log(Some(after)).await? {
                Looked::Busy => break,
                Looked::Full => {}
                Looked::Through(last) => *page = last,
            }
        }
        match &settings.signer {
            Some(signer) => self.sign_log(settings, signer).await,
            None => Ok(()),
        }
    }

    /// Adds entries to the log, of the new ones or of the page after an entry.
    async fn grow_log(&self, page: Option<i64>) -> Result<Looked, LogError> {
        let mut tx = self.store.begin().await?;
        if !tx.take_audit_log().await? {
            return Ok(Looked::Busy);
        }
        let most = i64::from(AT_ONCE);
        let (entries, last) = match page {
            None => (tx.audit_entries_to_log(most).await?, None),
            Some(after) => match tx.audit_page_after(after).await? {
                None => (Vec::new(), None),
                Some(last) => (tx.audit_entries_missed(after, last, most).await?, Some(last)),
            },
        };
        if !entries.is_empty() {
            let size = tx.audit_log_size().await?;
            let mut tree = Tree::new(size, tx.audit_nodes(&Tree::needs(size)).await?)?;
            for entry in &entries {
                tree.add(&leaf(entry))?;
            }
            let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
            tx.grow_audit_log(size, &ids, tree.grown()).await?;
        }
        // Also where nothing was written: the log is free at once, and not when the
        // connection is used again.
        tx.commit().await?;
        let is_full = entries.len() == AT_ONCE as usize;
        Ok(if is_full { Looked::Full } else { Looked::Through(last) })
    }

    async fn sign_log(&self, settings: &AuditLog, signer: &Signer) -> Result<(), LogError> {
        let now = self.clock.now();
        let newest = self.store.newest_audit_checkpoint().await?;
        if newest.is_some_and(|(_, at)| now.duration_since(at) < settings.every && now >= at) {
            return Ok(());
        }
        let Some(head) = self.head_of_log().await? else { return Ok(()) };
        if newest.is_some_and(|(size, _)| size == head.size) {
            return Ok(());
        }
        let (size, note) = (head.size, signer.sign(head)?);
        // Published before it is on record: what is on record is published. Nothing of the
        // database waits for the files. Another program that signs at the same time signs the
        // same log.
        publish(&settings.to, size, &note).await?;
        let mut tx = self.store.begin().await?;
        tx.add_audit_checkpoint(size, &note, now).await?;
        Ok(tx.commit().await?)
    }

    /// Size and hash of the whole log; none where it is empty, or another program adds to it.
    async fn head_of_log(&self) -> Result<Option<Head>, LogError> {
        let mut tx = self.store.begin().await?;
        if !tx.take_audit_log().await? {
            return Ok(None);
        }
        let size = tx.audit_log_size().await?;
        let nodes = tx.audit_nodes(&Tree::needs(size)).await?;
        tx.commit().await?;
        if size == 0 {
            return Ok(None);
        }
        Ok(Some(Head { size, root: Tree::new(size, nodes)?.root()? }))
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
