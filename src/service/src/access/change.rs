//! Changes of who may do what. They are made one after another, by somebody who may do
//! everything, and somebody who may do everything stays.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Caller, Error, Permit, Service,
    once::{AccessChange, UseCaseFuture, Work},
};
use domain::{
    Input, Rejection,
    access::{Grant, Resource},
};

impl AccessChange<'_> {
    /// What is changed, as the audit names it.
    fn resource(&self) -> Resource<'_> {
        let kind = match self.input {
            Input::AccessKey => "key",
            Input::Policy => "policy",
            _ => "principal",
        };
        Resource::Shared { kind, name: self.value }
    }
}

impl Service {
    /// Does `work` on who may do what, as [`Service::once`] does. Over the API, its caller must
    /// be one who may do everything when the transaction begins, and such a one with a key must
    /// be left when it ends. The commands on the database need neither.
    ///
    /// # Errors
    /// Those of `work`, [`Rejection::NotAllowed`], or that nobody would be left. Nothing was
    /// written then.
    pub(super) async fn change_access<'a, T>(
        &self,
        caller: &Caller,
        change: AccessChange<'_>,
        work: impl for<'t> Fn(&'t mut Work<'a>) -> UseCaseFuture<'t, T> + Send + Sync,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send,
    {
        // The program's own permit lasts: what was noted of it is another change's.
        let asked = match self.permit.action {
            None => self.within(Permit::everything()),
            Some(_) => self.clone(),
        };
        asked.check(&change.resource())?;
        asked.once_for_access(caller, change, work).await
    }

    /// Refuses a reader of who may do what who may not do everything.
    pub(super) fn check_reads_access(&self, kind: &str, name: &str) -> Result<(), Rejection> {
        self.check(&Resource::Shared { kind, name })
    }

    /// Begins a change: no other one is made until it ends, and what its caller may do is what
    /// is granted now.
    pub(crate) async fn begin_access_change(
        &self,
        tx: &mut Work<'_>,
        caller: &Caller,
        change: &AccessChange<'_>,
    ) -> Result<(), Error> {
        tx.lock_access().await?;
        if self.permit.action.is_none() {
            return Ok(());
        }
        let grants = tx.grants_of_key(&caller.key_id, self.clock.now()).await?;
        match grants.is_some_and(|grants| Grant::are_full(&grants)) {
            true => Ok(()),
            false => Err(self.permit.refused(&change.resource()).into()),
        }
    }

    /// Refuses a change after which nobody could make another one over the API.
    pub(crate) async fn end_access_change(
        &self,
        tx: &mut Work<'_>,
        change: &AccessChange<'_>,
    ) -> Result<(), Error> {
        if self.permit.action.is_none() || tx.has_admin(self.clock.now()).await? {
            return Ok(());
        }
        let allowed = "nobody would be left who may do everything and has an access key that may be used: it must be allowed to somebody else before";
        Err(Rejection::invalid(change.input, change.value, allowed).into())
    }
}
