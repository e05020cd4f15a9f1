//! The one way in which the use cases write.
//!
//! A use case hands its work to [`Service::once`], which begins the transaction, claims the
//! request, stores the answer with what was written, and commits. The same request again
//! gets that answer (R25), as long as it is remembered and has an identity: without one,
//! each request is another. The work cannot commit by itself.
//!
//! The compiler does not keep a use case from [`Service::transaction`], which claims no
//! request, or from a statement of the store outside of any transaction. A test reads the
//! source: each public use case with a caller must get here.
//!
//! Work is a closure that returns a boxed future, and no async closure: the compiler (1.95)
//! does not see that the future of an async closure can be sent to another thread.

use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
};

use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use tracing::Instrument;

use crate::{Caller, Error, Permit, Service, audit::by_program};
use domain::{Input, audit::Outcome};
use store::{StoreError, Tx};

/// How often a transaction is tried that Postgres ends in favour of another one.
const TRIES: u32 = 3;

/// A transaction in the hands of a use case, which cannot end it. `'a` is how long what
/// the work borrows lives: longer than the work, as the compiler knows by this type.
pub(crate) struct Work<'a> {
    tx: Tx,
    permit: Permit,
    borrowed: PhantomData<&'a ()>,
}

impl Work<'_> {
    /// What the caller may do.
    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }
}

impl Deref for Work<'_> {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for Work<'_> {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

/// What of who may do what is to be changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessChange<'a> {
    /// The use case.
    pub(crate) name: &'static str,
    /// What is changed: an access key, a principal or a policy.
    pub(crate) input: Input,
    /// Which of them.
    pub(crate) value: &'a str,
}

/// What a request is about, as far as its transaction goes by that.
enum Kind<'a> {
    Usual,
    /// Its entry of the audit is another one's.
    Recorded,
    /// Who may do what.
    Access(AccessChange<'a>),
}

/// What is done outside the database for a request.
pub(crate) struct Deed<'a> {
    pub(crate) caller: &'a Caller,
    /// The use case.
    pub(crate) name: &'static str,
    is_handed_over: AtomicBool,
}

impl Deed<'_> {
    /// Notes that whoever does it has its entry of the audit, and puts that on record with
    /// what came of it, also where the client goes away meanwhile.
    pub(crate) fn hand_over(&self) {
        self.is_handed_over.store(true, Ordering::Relaxed);
    }

    fn is_handed_over(&self) -> bool {
        self.is_handed_over.load(Ordering::Relaxed)
    }
}

/// What the work of a use case comes to, once it is awaited.
pub(crate) type UseCaseFuture<'t, T, E = Error> = BoxFuture<'t, Result<T, E>>;

/// An error of a transaction, which may say that Postgres ended it in favour of another.
pub(crate) trait Conflict: From<StoreError> {
    /// Whether nothing lasts of the transaction, and the same one may succeed at once.
    fn is_conflict(&self) -> bool;
}

impl Conflict for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl Service {
    /// Does `work` once for a request, in one transaction with the answer to it. The same
    /// request again gets the first answer, and nothing is done. `name` is that of the use
    /// case, for the log.
    ///
    /// The work runs again, in a new transaction, where Postgres ends the one before in
    /// favour of another: it must do nothing but write into its transaction.
    ///
    /// # Errors
    /// Those of `work`, [`domain::Rejection::NonceUsed`], or [`Error::Store`]. Nothing was
    /// written then.
    pub(crate) async fn once<'a, T>(
        &self,
        caller: &Caller,
        name: &'static str,
        work: impl for<'t> Fn(&'t mut Work<'a>) -> UseCaseFuture<'t, T> + Send + Sync,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send,
    {
        self.claimed(caller, name, Kind::Usual, work).await
    }

    /// [`Service::once`] for a change of who may do what. Its caller is judged before the
    /// request is claimed: what it was answered may hold the secret of a key.
    ///
    /// # Errors
    /// As [`Service::once`]; a caller who may not, or that nobody is left who may.
    pub(crate) async fn once_for_access<'a, T>(
        &self,
        caller: &Caller,
        change: AccessChange<'_>,
        work: impl for<'t> Fn(&'t mut Work<'a>) -> UseCaseFuture<'t, T> + Send + Sync,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send,
    {
        self.claimed(caller, change.name, Kind::Access(change), work).await
    }

    /// [`Service::once`], of this kind.
    async fn claimed<'a, T>(
        &self,
        caller: &Caller,
        name: &'static str,
        kind: Kind<'_>,
        work: impl for<'t> Fn(&'t mut Work<'a>) -> UseCaseFuture<'t, T> + Send + Sync,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send,
    {
        tried(name, || async {
            // Before a connection is taken: this may need one, too. What was handed over was
            // judged before.
            if !matches!(kind, Kind::Recorded) {
                self.check_key_holds(caller).await?;
            }
            let mut tx = self.begin().await?;
            tx.acted_by(&caller.principal, caller.person.as_deref());
            tx.traced(caller.trace);
            if let Kind::Access(change) = &kind {
                self.begin_access_change(&mut tx, caller, change).await?;
            }
            if let Some(first) = self.claim(&mut tx, caller).await? {
                tracing::debug!("the request was answered before");
                return Ok(first);
            }
            let outcome = work(&mut tx).await?;
            if let Kind::Access(change) = &kind {
                self.end_access_change(&mut tx, change).await?;
            }
            let document = serde_json::to_value(&outcome).map_err(unreadable)?;
            let answer = caller.identity.as_ref().map(|it| (it.nonce.as_str(), &document));
            match answer {
                _ if !matches!(kind, Kind::Recorded) => {
                    let entry = self.entry_of(caller, name, Outcome::Done);
                    tx.add_audit_entry(entry, answer, self.clock.now()).await?;
                }
                Some(answer) => tx.remember_answer(&caller.key_id, answer).await?,
                None => {}
            }
            let committed = self.commit(tx).await;
            if matches!(kind, Kind::Access(_)) {
                self.known.keys.forget();
            }
            committed.map(|()| outcome).map_err(Error::from)
        })
        .await
    }

    /// Does `work` of the program itself on something of this name, as policies name it, in
    /// one transaction with its entry of the audit. It runs again as in [`Service::once`].
    ///
    /// # Errors
    /// Those of `work` or the database's. Nothing was written then.
    pub(crate) async fn on_record<'a, T: Send>(
        &self,
        name: &'static str,
        object: &str,
        work: impl for<'t> Fn(&'t mut Work<'a>) -> UseCaseFuture<'t, T> + Send + Sync,
    ) -> Result<T, Error> {
        tried(name, || async {
            let mut tx = self.begin().await?;
            let outcome = work(&mut tx).await?;
            tx.add_audit_entry(by_program(name, object, Outcome::Done), None, self.clock.now())
                .await?;
            self.commit(tx).await?;
            Ok(outcome)
        })
        .await
    }

    /// Does `work` for a request unless it was answered before. For work that asks the
    /// cluster or other servers, which no transaction waits for; it must end in
    /// [`Service::once`], where the request is claimed.
    ///
    /// # Errors
    /// As [`Service::once`].
    pub(crate) fn unless_answered<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        work: impl Future<Output = Result<T, Error>>,
    ) -> impl Future<Output = Result<T, Error>> {
        // A future within another takes its place twice: it is put on the heap before.
        let work = Box::pin(work);
        async move {
            let outcome = match self.answered(caller).await? {
                Some(first) => return Ok(first),
                None => match work.await {
                    // The same request may have been answered while this one looked at what
                    // the first one had changed by then.
                    Err(refusal @ Error::Rejected(_)) if caller.identity.is_some() => {
                        self.answered(caller).await?.ok_or(refusal)
                    }
                    outcome => outcome,
                },
            };
            if let Err(error) = &outcome
                && self.is_guarded(error)
            {
                self.record_guarded(caller).await;
            }
            outcome
        }
    }

    /// What is about to be done outside for a request. `name` is that of the use case.
    pub(crate) fn deed<'a>(&self, caller: &'a Caller, name: &'static str) -> Deed<'a> {
        Deed { caller, name, is_handed_over: AtomicBool::new(false) }
    }

    /// Does `work` for a request unless it was answered before, and then remembers its
    /// outcome as the answer. For work that is done outside the database, and that may be
    /// done again.
    ///
    /// # Errors
    /// As [`Service::once`].
    pub(crate) fn once_outside<T>(
        &self,
        deed: &Deed<'_>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> impl Future<Output = Result<T, Error>>
    where
        T: Serialize + DeserializeOwned + Clone + Send + Sync,
    {
        let work = Box::pin(work);
        let Deed { caller, name, .. } = *deed;
        self.unless_answered(caller, async move {
            let outcome = match work.await {
                Ok(outcome) => outcome,
                Err(error) => {
                    // What was tried outside is on record, also where it came to nothing.
                    // Refusals are by whoever answers them, if there are not too many.
                    if !deed.is_handed_over() && !self.is_refused(&error) {
                        let entry = self.entry_of(caller, name, Outcome::Failed);
                        self.store.add_audit_entry(entry, self.clock.now()).await?;
                    }
                    return Err(error);
                }
            };
            let kind = if deed.is_handed_over() { Kind::Recorded } else { Kind::Usual };
            self.claimed(caller, name, kind, |_| Box::pin(async { Ok(outcome.clone()) })).await
        })
    }

    /// Runs `work` in a transaction and commits what it wrote, where no request is to be
    /// claimed. It runs again as in [`Service::once`].
    ///
    /// # Errors
    /// Those of `work` or the database's. Nothing was written then.
    pub(crate) async fn transaction<'a, T: Send, E: Conflict + Send>(
        &self,
        name: &'static str,
        work: impl for<'t> Fn(&'t mut Work<'a>) -> UseCaseFuture<'t, T, E> + Send + Sync,
    ) -> Result<T, E> {
        tried(name, || async {
            let mut tx = self.begin().await?;
            let outcome = work(&mut tx).await?;
            self.commit(tx).await?;
            Ok(outcome)
        })
        .await
    }

    /// Runs `work` in a transaction that leaves nothing: what it reads fits together.
    ///
    /// # Errors
    /// Those of `work` or the database's.
    pub(crate) async fn discarded<'a, T>(
        &self,
        work: impl for<'t> FnOnce(&'t mut Work<'a>) -> UseCaseFuture<'t, T> + Send,
    ) -> Result<T, Error> {
        work(&mut self.begin().await?).await
    }

    async fn begin<'a>(&self) -> Result<Work<'a>, StoreError> {
        Ok(Work {
            tx: self.store.begin().await?,
            permit: self.permit.clone(),
            borrowed: PhantomData,
        })
    }

    /// Commits it. What was known of what it changed is forgotten, also where nobody knows
    /// whether it was committed.
    async fn commit(&self, mut work: Work<'_>) -> Result<(), StoreError> {
        let touched = work.tx.take_touched();
        let committed = work.tx.commit().await;
        self.known.changed(&touched);
        committed
    }

    /// The first answer to this request, if it was answered before.
    async fn claim<T: DeserializeOwned>(
        &self,
        tx: &mut Tx,
        caller: &Caller,
    ) -> Result<Option<T>, Error> {
        let Some(identity) = &caller.identity else { return Ok(None) };
        let outcome = tx
            .claim_request(&caller.key_id, &identity.nonce, &identity.digest, self.clock.now())
            .await?;
        outcome.map(|outcome| self.answer_again(outcome)).transpose()
    }

    /// The same, where nothing is claimed: one that is at work still is not waited for.
    async fn answered<T: DeserializeOwned>(&self, caller: &Caller) -> Result<Option<T>, Error> {
        let Some(identity) = &caller.identity else { return Ok(None) };
        let outcome =
            self.store.first_answer(&caller.key_id, &identity.nonce, &identity.digest).await?;
        outcome.map(|outcome| self.answer_again(outcome)).transpose()
    }

    fn answer_again<T: DeserializeOwned>(&self, outcome: serde_json::Value) -> Result<T, Error> {
        // It was judged when it was answered.
        self.permit.judged_by_action();
        Ok(serde_json::from_value(outcome).map_err(unreadable)?)
    }
}

/// Tries a transaction again, as long as Postgres ends it in favour of another one.
async fn tried<T, E: Conflict, F>(name: &'static str, one: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let work = async {
        for tries in 1..TRIES {
            match one().await {
                Err(error) if error.is_conflict() => {
                    tracing::info!(tries, "a transaction gave way to another one: again");
                }
                ended => return ended,
            }
        }
        one().await
    };
    work.instrument(tracing::info_span!("transaction", transaction = name)).await
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::Corrupt { what: "answer", why: error.to_string() }
}
