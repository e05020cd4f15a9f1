//! Deleting what is on record of applications and is older than it is kept for.
//!
//! The domain says what of an application may go. It goes in portions, each in a transaction
//! with its entry of the audit: wherever that is broken off, the next time goes on. One
//! server does it at a time, and two of them would do no harm.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::{Error, Service, audit::by_program};
use domain::{
    ApplicationId, Source,
    audit::{NewEntry, Outcome},
    retention::{Past, Retention, Superfluous, superfluous},
};
use store::Forgotten;

/// Time between two looks, of all servers together. What is kept is kept for days, and a look
/// reads the whole past of each application that has an order as old, which may be needed still.
const INTERVAL: Duration = Duration::from_secs(6 * 3600);

/// How often a server asks whether the next look is due.
const ASK_EVERY: Duration = Duration::from_secs(600);

/// Orders, and versions, that are deleted in one transaction, about.
const PORTION: usize = 100;

/// Applications that are read at once.
const PAGE: usize = 200;

impl Service {
    /// Deletes what is old again and again, until `stop` is cancelled. Nothing, where all is
    /// kept.
    pub async fn keep_retention(&self, retention: Retention, stop: CancellationToken) {
        let is_wanted = retention.order_days.is_some() || retention.versions.is_some();
        while is_wanted && !stop.is_cancelled() {
            let now = self.clock.now();
            match self.store.claim_retention(now, now + INTERVAL).await {
                Ok(true) => self.forget_and_tell(&retention, &stop).await,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not find out whose turn it is to delete what is old");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(ASK_EVERY) => {}
            }
        }
        stop.cancelled().await;
    }

    async fn forget_and_tell(&self, retention: &Retention, stop: &CancellationToken) {
        match self.forget_old(retention, stop).await {
            Ok(done) if done == Forgotten::default() => {}
            Ok(Forgotten { orders, events, versions }) => tracing::info!(
                orders,
                events,
                versions,
                "change orders and versions that are older than they are kept for were deleted"
            ),
            Err(error) => {
                tracing::warn!(%error, "what is old could not be deleted; the next look goes on");
            }
        }
    }

    /// Deletes the orders and versions that are older than they are kept for and that nobody
    /// needs, until `stop` is cancelled. Returns how many.
    ///
    /// # Errors
    /// [`Error::Store`]; what was deleted until then is deleted, and counted in the metrics.
    pub async fn forget_old(
        &self,
        retention: &Retention,
        stop: &CancellationToken,
    ) -> Result<Forgotten, Error> {
        let kept = |days: u32| SignedDuration::from_hours(i64::from(days) * 24);
        let before = retention.order_days.map(|days| self.clock.now() - kept(days));
        let versions = retention.versions.and_then(|count| i64::try_from(count).ok());
        let judge = |past: &Past| superfluous(past, before, retention.versions, PORTION);
        let (mut done, mut after) = (Forgotten::default(), None);
        loop {
            let page =
                self.store.applications_with_a_past(before, versions, after, PAGE as i64).await?;
            for application in &page {
                self.forget_of(*application, &judge, stop, &mut done).await?;
            }
            after = page.last().copied();
            if page.len() < PAGE || stop.is_cancelled() {
                return Ok(done);
            }
        }
    }

    /// Deletes what is old of an application, portion by portion.
    async fn forget_of(
        &self,
        application: ApplicationId,
        judge: &(impl Fn(&Past) -> Superfluous + Sync),
        stop: &CancellationToken,
        done: &mut Forgotten,
    ) -> Result<(), Error> {
        while !stop.is_cancelled() {
            // Most have nothing to delete, and are not locked for it.
            if judge(&self.store.past(application).await?).is_empty() {
                return Ok(());
            }
            let now = self.clock.now();
            let portion: Forgotten = self
                .transaction("forget_old", |tx| {
                    Box::pin(async move {
                        let Some((past, names)) = tx.lock_past(application).await? else {
                            return Ok::<_, Error>(Forgotten::default());
                        };
                        let gone = tx.forget(application, &judge(&past)).await?;
                        if gone != Forgotten::default() {
                            tx.add_audit_entry(entry(&names, gone), None, now).await?;
                        }
                        Ok(gone)
                    })
                })
                .await?;
            if portion == Forgotten::default() {
                return Ok(());
            }
            count(portion);
            done.orders += portion.orders;
            done.events += portion.events;
            done.versions += portion.versions;
        }
        Ok(())
    }
}

/// What is on record of a portion: whose past it was, and how much of it is gone.
fn entry([namespace, name]: &[String; 2], gone: Forgotten) -> NewEntry {
    let Forgotten { orders, events, versions } = gone;
    let object = format!(
        "namespace/{namespace}/application/{name} orders/{orders} events/{events} versions/{versions}"
    );
    NewEntry { source: Source::System, ..by_program("forget_old", &object, Outcome::Done) }
}

fn count(gone: Forgotten) {
    for (what, number) in
        [("orders", gone.orders), ("events", gone.events), ("versions", gone.versions)]
    {
        metrics::counter!("sluice_forgotten_total", "what" => what).increment(number);
    }
}
