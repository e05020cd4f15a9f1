//! Policies that are written down under a name.

use jiff::Timestamp;
use uuid::Uuid;

use super::{key::MOST_LISTED, principal::policy_named};
use crate::{Error, Service, once::Work};
use domain::{
    Input, Rejection,
    access::{ALL_ROLES, Pattern, Policy},
};
use store::PolicyRow;

impl Service {
    /// Writes a policy, in place of the one of this name where `replace`. `knows` says which
    /// actions there are.
    ///
    /// # Errors
    /// A name that is not allowed or is taken, or what is wrong with the policy.
    pub async fn put_policy(
        &self,
        name: &str,
        document: &str,
        replace: bool,
        knows: fn(&Pattern) -> bool,
    ) -> Result<(), Error> {
        let fits = (1..=128).contains(&name.len())
            && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
        if !fits || ALL_ROLES.iter().any(|role| role.name() == name) {
            let allowed = "the name of a policy must have 1 to 128 letters, digits and '-', and not be that of a role";
            return Err(Rejection::invalid(Input::Policy, name, allowed).into());
        }
        Policy::read(document, knows)
            .map_err(|why| Rejection::invalid(Input::Policy, name, why.to_string()))?;
        self.on_record("put_policy", &format!("policy/{name}"), |tx| {
            Box::pin(async {
                tx.note_after(&document)?;
                if tx.put_policy(name, document, replace, self.clock.now()).await? {
                    return Ok(());
                }
                let allowed = "there is a policy of this name already";
                Err(Rejection::invalid(Input::Policy, name, allowed).into())
            })
        })
        .await
    }

    /// The policies, by name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn policies(&self) -> Result<Vec<PolicyRow>, Error> {
        Ok(self.store.policies(None, MOST_LISTED).await?)
    }

    /// The policy of this name.
    ///
    /// # Errors
    /// An unknown policy.
    pub async fn policy(&self, name: &str) -> Result<PolicyRow, Error> {
        let found = self.store.policies(Some(name), 1).await?.pop();
        found.ok_or_else(|| Rejection::UnknownPolicy(name.into()).into())
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// An unknown policy, or one that is attached to somebody.
    pub async fn remove_policy(&self, name: &str) -> Result<(), Error> {
        self.on_record("remove_policy", &format!("policy/{name}"), |tx| {
            Box::pin(async {
                match tx.remove_policy(name).await? {
                    Some(0) => Ok(()),
                    Some(attached) => {
                        let allowed =
                            format!("is attached to {attached} principals: detach it first");
                        Err(Rejection::invalid(Input::Policy, name, allowed).into())
                    }
                    None => Err(Rejection::UnknownPolicy(name.into()).into()),
                }
            })
        })
        .await
    }
}

/// Attaches the policy of this name.
pub(super) async fn attach(
    tx: &mut Work<'_>,
    principal: Uuid,
    policy: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if !tx.hold_policy(policy).await? {
        return Err(Rejection::UnknownPolicy(policy.into()).into());
    }
    tx.add_grant(principal, &policy_named(policy), now).await?;
    Ok(())
}
