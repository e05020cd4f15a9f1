//! Going on from the batch that failed, where a release rests half way.
//!
//! An order that ended stays as it ended: another one goes on in its place, with
//! the same plan. It begins with the batch that failed, whose pods are sent away
//! first; those of the batches before it stay.

use serde_json::json;

use crate::{Caller, Error, Service};
use domain::{
    BatchId, OrderId, Rejection, ReleaseId,
    access::Resource,
    limits::BATCHES,
    order::{Kind, Order, State, Target, TemplateSource},
    template::spec::SpecChange,
};
use store::{Event, NewOrder, NewRelease, Tx};

impl Service {
    /// Opens the order that goes on from `batch`. Returns its id.
    ///
    /// # Errors
    /// An unknown batch, one that did not fail, or one of a release that was rolled
    /// back or that another order followed.
    pub async fn retry(&self, caller: &Caller, batch: BatchId) -> Result<OrderId, Error> {
        self.retry_batch(caller, None, batch).await
    }

    /// Opens the order that goes on from a batch of this order, as [`Service::retry`] does.
    ///
    /// # Errors
    /// As [`Service::retry`]; a batch of another order.
    pub async fn retry_of(
        &self,
        caller: &Caller,
        order: OrderId,
        batch: BatchId,
    ) -> Result<OrderId, Error> {
        self.retry_batch(caller, Some(order), batch).await
    }

    async fn retry_batch(
        &self,
        caller: &Caller,
        of: Option<OrderId>,
        batch: BatchId,
    ) -> Result<OrderId, Error> {
        self.once(caller, "retry", |tx| Box::pin(async {
        let (failed, index) = tx.permitted_order_of_batch(of, batch).await?;
        let id = failed.id;
        let refuse = |reason: &str| Rejection::WrongState { order: id, reason: reason.into() };
        if failed.state != State::Failed || failed.batch != index {
            return Err(refuse(&format!(
                "has no failure in batch {} that could be tried again",
                index + 1
            ))
            .into());
        }
        if tx.rollback_of(id).await?.is_some() {
            return Err(refuse("was rolled back automatically: release the version again").into());
        }
        if failed.kind == Kind::Restart {
            return Err(refuse("was a restart: restart again").into());
        }
        let releases = failed.kind.releases();
        if !releases || failed.template.is_none() || !tx.is_newest_order(&failed).await? {
            return Err(refuse("is no release that rests half way, with no other order after it: release the version again").into());
        }
        let target = self.target(tx, &failed).await?;
        if failed.strategy.batches > BATCHES {
            return Err(refuse(&format!(
                "has more than {BATCHES} batches, which is the most now: release the version again"
            ))
            .into());
        }
        let (application, resting) = tx.permitted_application(failed.application).await?;
        self.served(tx, &application).await?;
        let (order, now) = (OrderId::new(), self.clock.now());
        let description =
            caller.because(&format!("Go on with change order {id} from batch {}", index + 1));
        let row = NewOrder {
            id: order,
            application: failed.application,
            kind: failed.kind,
            strategy: failed.strategy,
            target,
            snapshot: resting.or(failed.snapshot.as_ref().map(|it| failed.leaves(it))),
            rolls_back: None,
            description: &description,
            notes: &[],
            created_by: &caller.name,
            source: caller.source,
            replicas: failed.batches.last().map_or(0, |batch| batch.target),
            resumes_at: index,
        };
        tx.insert_order(&row, now).await?;
        tx.carry_pods(id, order, index).await?;
        let detail = json!({ "request": caller.request_id, "retries": id });
        let event =
            Event { actor: &caller.name, kind: "order.accepted", cause: &description, detail };
        tx.add_event(failed.application, Some(order), now, event).await?;
        Ok(order)
        }))
        .await
    }

    /// What the new order brings about: the same version. Where the first batch
    /// failed no pod of it is worth keeping, and the same spec as a version of its
    /// own brings new ones at once, which a kubelet's back-off does not hold up.
    async fn target(&self, tx: &mut Tx, failed: &Order) -> Result<Target, Error> {
        let template = failed.template.clone().unwrap_or_default();
        let mut target = Target {
            source: TemplateSource::Exact(template),
            replicas: None,
            guardrails: self.guardrails(&Resource::Application {
                namespace: &failed.namespace,
                name: &failed.name,
                id: Some(failed.application),
            }),
            ..failed.target.clone()
        };
        if failed.batch == 0
            && let TemplateSource::Exact(template) = &target.source
        {
            let release = ReleaseId::new();
            let shown = tx.order_row(failed.id).await?;
            let (version, image, package) =
                shown.map(|row| (row.version, row.image, row.package)).unwrap_or_default();
            let row = NewRelease {
                id: release,
                application: failed.application,
                version: (!version.is_empty()).then_some(version.as_str()),
                image: &image,
                package: package.as_ref(),
                description: "",
            };
            tx.insert_release(&row, self.clock.now()).await?;
            target.source =
                TemplateSource::Exact(SpecChange::default().apply(template, &failed.name, release));
            target.release = Some(release);
        }
        Ok(target)
    }
}
