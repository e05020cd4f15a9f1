//! Taking away uploaded packages that nothing names any more, and what uploads that
//! broke off with their server left behind.
//!
//! A package's row is marked, its object deleted, and the row forgotten a while
//! later; wherever that is broken off, the next time goes on. One server does it at
//! a time, and two of them would do no harm.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{PackageStore, UploadError};
use crate::Service;
use ::package::LONGEST_UPLOAD;
use domain::{MultipartId, PackageId};

/// Time between two looks through the store, of all servers together.
const INTERVAL: Duration = Duration::from_secs(600);

/// How long a deleted package's row stays: longer than any request, so that a release
/// that saw it before finds out.
const DELETED_ROW_KEPT: SignedDuration = SignedDuration::from_hours(1);

/// How long before now an order may have been accepted that is not written yet: longer
/// than any request.
const ACCEPTED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Packages, orders and objects that are taken at once.
const PAGE: usize = 200;

/// Objects that are looked at in one go, at the most.
const MOST_OBJECTS: usize = 100_000;

/// What was taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Packages that nothing named.
    pub packages: usize,
    /// Objects that were no packages.
    pub leftovers: usize,
}

impl Service {
    /// Looks through the store again and again, until `stop` is cancelled. Does nothing
    /// where no packages are kept.
    pub async fn keep_store_clean(&self, stop: CancellationToken) {
        while !stop.is_cancelled() && self.package_store().is_ok() {
            let now = self.clock.now();
            match self.store.claim_sweep(now, now + INTERVAL).await {
                Ok(true) => self.sweep(&stop).await,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not find out whose turn it is to look through the store of packages")
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        stop.cancelled().await;
    }

    async fn sweep(&self, stop: &CancellationToken) {
        match self.collect_parts(stop).await {
            Ok(0) => {}
            Ok(parts) => tracing::info!(
                parts,
                "parts of uploads that ended or were abandoned were taken away"
            ),
            Err(error) => tracing::warn!(%error, "parts of uploads could not be taken away"),
        }
        match self.collect_packages(stop).await {
            Ok(done) if done == Collected::default() => {}
            Ok(done) => tracing::info!(
                done.packages,
                done.leftovers,
                "uploaded packages that nothing names were taken away"
            ),
            Err(error) => {
                tracing::warn!(%error, "the store of packages could not be looked through")
            }
        }
    }

    /// Gives up the uploads in parts with which nobody can go on, and takes away the
    /// parts that stand for nothing any more, until `stop` is cancelled. Returns how many.
    ///
    /// # Errors
    /// The database or the store cannot be asked; what was done until then is done.
    pub async fn collect_parts(&self, stop: &CancellationToken) -> Result<usize, UploadError> {
        let now = self.clock.now();
        self.store.expire_multiparts(now).await?;
        self.delete_parts(None, stop).await
    }

    /// Takes away the parts that stand for nothing any more, of one upload or of all.
    pub(in crate::package::upload) async fn delete_parts(
        &self,
        upload: Option<MultipartId>,
        stop: &CancellationToken,
    ) -> Result<usize, UploadError> {
        let Ok(store) = self.package_store() else { return Ok(0) };
        let mut deleted = 0;
        loop {
            let page = self.store.parts_to_delete(upload, self.clock.now(), PAGE as i64).await?;
            for id in &page {
                if stop.is_cancelled() {
                    return Ok(deleted);
                }
                self.delete_part(store, *id).await?;
                deleted += 1;
            }
            if page.len() < PAGE {
                return Ok(deleted);
            }
        }
    }

    /// Takes a part's object away, and then its row: where that is broken off, the row
    /// says what is still to be done.
    pub(in crate::package::upload) async fn delete_part(
        &self,
        store: &PackageStore,
        id: PackageId,
    ) -> Result<(), UploadError> {
        store.objects.discard(&id.to_string()).await.map_err(failed)?;
        Ok(self.store.forget_part(id).await?)
    }

    /// Takes away what nothing names and what is older than it is kept for, until
    /// `stop` is cancelled. Nothing, where packages are kept for ever.
    ///
    /// # Errors
    /// The database or the store cannot be asked; what was done until then is done.
    pub async fn collect_packages(
        &self,
        stop: &CancellationToken,
    ) -> Result<Collected, UploadError> {
        let mut done = Collected::default();
        let Ok(store) = self.package_store() else { return Ok(done) };
        let Some(keep) = store.limits.keep else { return Ok(done) };
        let now = self.clock.now();
        // What is still coming is no leftover.
        let before = now - keep.max(LONGEST_UPLOAD * 2);
        self.finish_deletions(store, now).await?;
        let named = self.packages_of_orders(before).await?;
        let mut after = None;
        loop {
            let page = self.store.unreleased_packages(before, after, PAGE as i64).await?;
            for id in page.iter().filter(|id| !named.contains(id)) {
                if stop.is_cancelled() {
                    return Ok(done);
                }
                match self.store.mark_package_deleted(*id, before, now - ACCEPTED_WITHIN, now).await
                {
                    Ok(false) => {}
                    Ok(true) => {
                        done.packages += 1;
                        tracing::info!(package.id = %id, "an uploaded package that nothing names is deleted");
                        delete(store, *id).await;
                    }
                    // The others are not to wait for this one.
                    Err(error) => {
                        tracing::warn!(package.id = %id, %error, "could not find out whether a package is still named")
                    }
                }
            }
            after = page.last().copied();
            if page.len() < PAGE {
                break;
            }
        }
        if self.owns(store).await? {
            done.leftovers = self.remove_leftovers(store, before, stop).await?;
        }
        Ok(done)
    }

    async fn packages_of_orders(
        &self,
        before: Timestamp,
    ) -> Result<HashSet<PackageId>, UploadError> {
        let (mut named, mut after) = (HashSet::new(), None);
        loop {
            let (found, last) = self.store.packages_of_orders(before, after, PAGE as i64).await?;
            named.extend(found);
            match last {
                Some(last) => after = Some(last),
                None => return Ok(named),
            }
        }
    }

    /// Deletes objects again whose packages are marked, in case it was broken off, and
    /// forgets the packages that were marked a while ago.
    async fn finish_deletions(
        &self,
        store: &PackageStore,
        now: Timestamp,
    ) -> Result<(), UploadError> {
        let mut after = None;
        loop {
            let page = self.store.deleted_packages(after, PAGE as i64).await?;
            for (id, marked_at) in &page {
                if delete(store, *id).await && now.duration_since(*marked_at) > DELETED_ROW_KEPT {
                    self.store.forget_package(*id).await?;
                }
            }
            after = page.last().map(|(id, _)| *id);
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Whether the store is this database's alone, as far as its mark tells. What has no
    /// row here may be another database's: where two share a folder or a bucket, or one
    /// was restored from an older state, nothing without a row is taken away.
    async fn owns(&self, store: &PackageStore) -> Result<bool, UploadError> {
        let ours = self.store.package_store_mark().await?.to_string();
        let mark = store.objects.mark(&ours).await.map_err(failed)?;
        if mark != ours {
            tracing::warn!(
                mark,
                ours,
                "the store of packages is another database's: what has no row here stays in it"
            );
        }
        Ok(mark == ours)
    }

    /// Removes objects that have a name of ours, no row, and were written before `before`.
    async fn remove_leftovers(
        &self,
        store: &PackageStore,
        before: Timestamp,
        stop: &CancellationToken,
    ) -> Result<usize, UploadError> {
        let mut removed = 0;
        let mut pages = store.objects.list().take(MOST_OBJECTS).chunks(PAGE);
        while let Some(page) = pages.next().await {
            let mut old: HashMap<PackageId, String> = HashMap::new();
            for listed in page {
                let listed = listed.map_err(failed)?;
                if let Some(id) = listed.package().filter(|_| listed.written_at < before) {
                    old.insert(id, listed.name);
                }
            }
            let ids: Vec<PackageId> = old.keys().copied().collect();
            for id in self.store.unknown_packages(&ids).await? {
                if stop.is_cancelled() {
                    return Ok(removed);
                }
                if let Some(name) = old.get(&id) {
                    store.objects.delete(name).await.map_err(failed)?;
                    removed += 1;
                    tracing::info!(name, "what an upload left behind is deleted");
                }
            }
        }
        Ok(removed)
    }
}

/// Deletes a package's object. Where that fails it is tried again the next time.
async fn delete(store: &PackageStore, id: PackageId) -> bool {
    let deleted = store.objects.delete(&id.to_string()).await;
    if let Err(error) = &deleted {
        tracing::warn!(package.id = %id, %error, "the object of a deleted package could not be deleted");
    }
    deleted.is_ok()
}

fn failed(error: impl ToString) -> UploadError {
    UploadError::Failed(error.to_string())
}
