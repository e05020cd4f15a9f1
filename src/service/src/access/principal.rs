//! Principals: persons and programs, and what is granted to them.

use super::key::{MOST_LISTED, check_name};
use crate::{Error, Service};
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
    pub async fn create_principal(&self, name: &str, person: bool) -> Result<(), Error> {
        check_name(name)?;
        let kind = if person { "person" } else { "program" };
        self.on_record("create_principal", &format!("principal/{name}"), |tx| {
            Box::pin(async {
                let created = tx.insert_principal(name, kind, self.clock.now()).await?;
                let taken = || {
                    let allowed = "there is a principal of this name already";
                    Rejection::invalid(Input::AccessKey, name, allowed)
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
    pub async fn remove_principal(&self, name: &str) -> Result<(), Error> {
        self.on_record("remove_principal", &format!("principal/{name}"), |tx| {
            Box::pin(async {
                let id = tx.lock_principal(name).await?.ok_or_else(|| unknown(name))?;
                Ok(tx.remove_principal(id).await?)
            })
        })
        .await
    }

    /// The principals, by name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn principals(&self) -> Result<Vec<PrincipalRow>, Error> {
        Ok(self.store.principals(None, MOST_LISTED).await?)
    }

    /// The principal of this name.
    ///
    /// # Errors
    /// An unknown principal.
    pub async fn principal(&self, name: &str) -> Result<PrincipalRow, Error> {
        let found = self.store.principals(Some(name), 1).await?.pop();
        found.ok_or_else(|| unknown(name).into())
    }

    /// Grants a role or a policy to a principal.
    ///
    /// # Errors
    /// An unknown principal or policy, or a principal to whom as much is granted as may be.
    pub async fn attach(&self, principal: &str, grant: &Grant) -> Result<(), Error> {
        self.on_record("attach", &format!("principal/{principal}"), |tx| {
            Box::pin(async {
                tx.note_after(grant)?;
                let id = tx.lock_principal(principal).await?.ok_or_else(|| unknown(principal))?;
                if let Some(policy) = &grant.policy
                    && !tx.hold_policy(&policy.name).await?
                {
                    return Err(Rejection::UnknownPolicy(policy.name.clone()).into());
                }
                if tx.add_grant(id, grant, self.clock.now()).await? > MOST_GRANTS {
                    let allowed = format!(
                        "at most {MOST_GRANTS} roles and policies are granted to one principal"
                    );
                    return Err(Rejection::invalid(Input::AccessKey, principal, allowed).into());
                }
                Ok(())
            })
        })
        .await
    }

    /// Takes a role or a policy from a principal.
    ///
    /// # Errors
    /// An unknown principal, or one to whom it is not granted.
    pub async fn detach(&self, principal: &str, grant: &Grant) -> Result<(), Error> {
        self.on_record("detach", &format!("principal/{principal}"), |tx| {
            Box::pin(async {
                tx.note_before(grant)?;
                let id = tx.lock_principal(principal).await?.ok_or_else(|| unknown(principal))?;
                if tx.remove_grant(id, grant).await? {
                    return Ok(());
                }
                let allowed =
                    "this is not granted to the principal: look at `sluice principal show`";
                Err(Rejection::invalid(Input::AccessKey, principal, allowed).into())
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

fn unknown(name: &str) -> Rejection {
    Rejection::UnknownPrincipal(name.into())
}
