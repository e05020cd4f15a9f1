//! Having objects written on the cluster beside Deployments: sent to an executor
//! through the database, and its answer waited for.
//!
//! Where no executor reaches the cluster nothing is sent. What nobody took up in time
//! is withdrawn; what somebody is at is reported as such, and its change order shows when
//! it is done. The same request again waits for the same object write (R25). Its entry of the
//! audit goes along with it: whoever ends it puts that on record.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Caller, Error, Service,
    answer::{ANSWER_WITHIN, until_answered},
    once::Deed,
    read::EXECUTOR_SECONDS,
};
use domain::{
    ClusterId, OrderId, Rejection,
    application::Application,
    audit,
    object::write::{ObjectWrite, Owner, Record},
};
use store::{Kept, ObjectWriteId, WriteAnswer};

impl Service {
    /// Applies an object write in a namespace, for an application, whose change order is
    /// on record then. Belongs into [`Service::once_outside`], as all below.
    pub(crate) async fn run_recorded(
        &self,
        deed: &Deed<'_>,
        application: &Application,
        object_write: &ObjectWrite,
        description: String,
    ) -> Result<OrderId, Error> {
        let order = OrderId::new();
        let record = Record {
            order,
            application: application.id,
            description,
            created_by: deed.caller.name.clone(),
            source: deed.caller.source,
            refusals: false,
            trace: deed.caller.trace,
        };
        let answered = self
            .run(deed, (&application.cluster, &application.namespace), object_write, Some(&record))
            .await?;
        Ok(answered.order.unwrap_or(order))
    }

    /// Applies an object write, and waits for what comes of it. Without a record it is no
    /// change order.
    pub(crate) async fn run(
        &self,
        deed: &Deed<'_>,
        (cluster, namespace): (&ClusterId, &str),
        object_write: &ObjectWrite,
        record: Option<&Record>,
    ) -> Result<WriteAnswer, Error> {
        self.check_writable(deed, cluster).await?;
        let id = object_write_of(deed.caller);
        let entry = self.entry_of(deed.caller, deed.name, audit::Outcome::Done);
        let kept = Kept { record, entry: Some(&entry), rule: None };
        let now = self.clock.now();
        self.store.send_object_write(id, (cluster, namespace), object_write, kept, now).await?;
        self.outcome_of(deed, id, object_write).await
    }

    /// Refuses a write that nobody could make, or that whoever asks for it may not.
    pub(crate) async fn check_writable(
        &self,
        deed: &Deed<'_>,
        cluster: &ClusterId,
    ) -> Result<(), Error> {
        if self.store.executors(cluster, EXECUTOR_SECONDS).await?.reaching == 0 {
            return Err(
                Rejection::Unwritten("no executor reaches it; nothing was changed".into()).into()
            );
        }
        self.check_key_holds(deed.caller).await
    }

    /// Waits for what comes of an object write that was sent, with its entry of the audit.
    pub(crate) async fn outcome_of(
        &self,
        deed: &Deed<'_>,
        id: ObjectWriteId,
        object_write: &ObjectWrite,
    ) -> Result<WriteAnswer, Error> {
        deed.hand_over();
        let answered =
            match until_answered(ANSWER_WITHIN, || self.store.object_write_outcome(id)).await? {
                Some(answered) => answered,
                None if self.store.withdraw_object_write(id, self.clock.now()).await? => {
                    return Err(Rejection::Unwritten(
                        "no executor took it up in time; nothing was changed, try again".into(),
                    )
                    .into());
                }
                // It may have been answered just now.
                None => match self.store.object_write_outcome(id).await? {
                    Some(answered) => answered,
                    None => {
                        return Err(Rejection::Undecided {
                            kind: object_write.kind.word(),
                            name: object_write.name.clone(),
                        }
                        .into());
                    }
                },
            };
        match answered.outcome {
            Ok(_) => Ok(answered),
            Err(why) => Err(Rejection::ClusterRefused(why).into()),
        }
    }
}

/// Whose the objects of an application are.
pub(crate) fn owner(application: &Application) -> Owner {
    Owner { id: application.id, name: application.name.clone() }
}

/// The object write of a request: the same one for the same request.
pub(crate) fn object_write_of(caller: &Caller) -> ObjectWriteId {
    let Some(identity) = &caller.identity else { return ObjectWriteId(Uuid::now_v7()) };
    let mut hash = Sha256::new();
    for part in [&caller.key_id, &identity.nonce, &identity.digest] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    ObjectWriteId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
