//! Principals: persons and programs, and what is granted to them.

use jiff::Timestamp;
use uuid::Uuid;

use super::key::check_name;
use crate::{
    Caller, Error, Listed, Service,
    list::one_more,
    once::{AccessChange, Work},
};
use domain::{
    Input, Rejection,
    access::{Exceptions, Grant, Scope},
};
use store::PrincipalRow;

/// Most that is granted to one principal.
const MOST_GRANTS: i64 = 20;

/// How many principals a warning names.
const NAMED: i64 = 20;

impl Service {
    /// Creates a principal, who may do nothing.
    ///
    /// # Errors
    /// A name that is not allowed, or is taken.
    pub async fn create_principal(
        &self,
        caller: &Caller,
        name: &str,
        person: bool,
    ) -> Result<(), Error> {
        check_name(Input::Principal, name)?;
        let kind = if person { "person" } else { "program" };
        let change =
            AccessChange { name: "create_principal", input: Input::Principal, value: name };
        self.change_access(caller, change, |tx| {
            Box::pin(async {
                let created = tx.insert_principal(name, kind, self.clock.now()).await?;
                let taken = || {
                    let allowed =
                        "there is a principal of this name already: another one must be chosen";
                    Rejection::invalid(Input::Principal, name, allowed)
                };
                created.map(|_| ()).ok_or_else(|| taken().into())
            })
        })
        .await
    }

    /// Removes a principal with its keys. What was done by it stays on record.
    ///
    /// # Errors
    /// An unknown principal.
    pub async fn remove_principal(&self, caller: &Caller, name: &str) -> Result<(), Error> {
        let change =
            AccessChange { name: "remove_principal", input: Input::Principal, value: name };
        self.change_access(caller, change, |tx| {
            Box::pin(async {
                let id = tx.lock_principal(name).await?.ok_or_else(|| unknown(name))?;
                Ok(tx.remove_principal(id).await?)
            })
        })
        .await
    }

    /// A page of the principals, by name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn principals(
        &self,
        after: Option<&str>,
        most: usize,
    ) -> Result<Listed<PrincipalRow>, Error> {
        self.check_reads_access("principal", "*")?;
        Ok(Listed::of(self.store.principals(None, after, one_more(most)).await?, most))
    }

    /// The principal of this name.
    ///
    /// # Errors
    /// An unknown principal.
    pub async fn principal(&self, name: &str) -> Result<PrincipalRow, Error> {
        self.check_reads_access("principal", name)?;
        let found = self.store.principals(Some(name), None, 1).await?.pop();
        found.ok_or_else(|| unknown(name).into())
    }

    /// Grants a role or a policy to a principal.
    ///
    /// # Errors
    /// An unknown principal or policy, or a principal to whom as much is granted as may be.
    pub async fn attach(
        &self,
        caller: &Caller,
        principal: &str,
        wanted: &Grant,
    ) -> Result<(), Error> {
        let change = AccessChange { name: "attach", input: Input::Principal, value: principal };
        self.change_access(caller, change, |tx| {
            Box::pin(async {
                tx.note_after(wanted)?;
                let id = tx.lock_principal(principal).await?.ok_or_else(|| unknown(principal))?;
                grant(tx, (id, principal), wanted, self.clock.now()).await
            })
        })
        .await
    }

    /// Takes a role or a policy from a principal. A role goes with all that it was granted with.
    ///
    /// # Errors
    /// An unknown principal, or one to whom it is not granted.
    pub async fn detach(
        &self,
        caller: &Caller,
        principal: &str,
        grant: &Grant,
    ) -> Result<(), Error> {
        let change = AccessChange { name: "detach", input: Input::Principal, value: principal };
        self.change_access(caller, change, |tx| {
            Box::pin(async {
                tx.note_before(grant)?;
                let id = tx.lock_principal(principal).await?.ok_or_else(|| unknown(principal))?;
                if tx.remove_grant(id, grant).await? {
                    return Ok(());
                }
                let allowed = "this role or policy, for this namespace and application, is not granted to the principal, and only what is granted can be taken away";
                Err(Rejection::invalid(Input::Principal, principal, allowed).into())
            })
        })
        .await
    }

    /// The names of principals that may do everything only because nobody said what they are
    /// for.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn assumed_admins(&self) -> Result<Vec<String>, Error> {
        Ok(self.store.assumed_admins(NAMED).await?)
    }
}

/// A policy of this name, to be attached or detached.
#[must_use]
pub fn policy_named(name: &str) -> Grant {
    let policy = domain::access::Attached { name: name.into(), document: String::new() };
    Grant {
        policy: Some(policy),
        role: None,
        scope: Scope::default(),
        exceptions: Exceptions::default(),
    }
}

/// Grants a role or a policy to a principal, which must be locked.
pub(super) async fn grant(
    tx: &mut Work<'_>,
    (id, principal): (Uuid, &str),
    grant: &Grant,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some(policy) = &grant.policy
        && !tx.hold_policy(&policy.name).await?
    {
        return Err(Rejection::UnknownPolicy(policy.name.clone()).into());
    }
    if tx.add_grant(id, grant, now).await? > MOST_GRANTS {
        let allowed =
            format!("at most {MOST_GRANTS} roles and policies are granted to one principal");
        return Err(Rejection::invalid(Input::Principal, principal, allowed).into());
    }
    Ok(())
}

fn unknown(name: &str) -> Rejection {
    Rejection::UnknownPrincipal(name.into())
}
