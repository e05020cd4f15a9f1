//! Policies that are written down under a name.

use crate::{Caller, Error, Listed, Service, list::one_more, once::AccessChange};
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
        caller: &Caller,
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
            .map_err(|why| Rejection::invalid(Input::PolicyDocument, document, why.to_string()))?;
        let change = AccessChange { name: "put_policy", input: Input::Policy, value: name };
        self.change_access(caller, change, |tx| {
            Box::pin(async {
                if let Some(before) = tx.policy(name).await? {
                    tx.note_before(&before)?;
                }
                tx.note_after(&document)?;
                if tx.put_policy(name, document, replace, self.clock.now()).await? {
                    return Ok(());
                }
                let allowed =
                    "there is a policy of this name already, which must be replaced by name";
                Err(Rejection::invalid(Input::Policy, name, allowed).into())
            })
        })
        .await
    }

    /// A page of the policies, by name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn policies(
        &self,
        after: Option<&str>,
        most: usize,
    ) -> Result<Listed<PolicyRow>, Error> {
        self.check_reads_access("policy", "*")?;
        Ok(Listed::of(self.store.policies(None, after, one_more(most)).await?, most))
    }

    /// The policy of this name.
    ///
    /// # Errors
    /// An unknown policy.
    pub async fn policy(&self, name: &str) -> Result<PolicyRow, Error> {
        self.check_reads_access("policy", name)?;
        let found = self.store.policies(Some(name), None, 1).await?.pop();
        found.ok_or_else(|| Rejection::UnknownPolicy(name.into()).into())
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// An unknown policy, or one that is attached to somebody.
    pub async fn remove_policy(&self, caller: &Caller, name: &str) -> Result<(), Error> {
        let change = AccessChange { name: "remove_policy", input: Input::Policy, value: name };
        self.change_access(caller, change, |tx| {
            Box::pin(async {
                match tx.remove_policy(name).await? {
                    Some(0) => Ok(()),
                    Some(attached) => {
                        let allowed = format!(
                            "is attached to {attached} principals: it must be detached first"
                        );
                        Err(Rejection::invalid(Input::Policy, name, allowed).into())
                    }
                    None => Err(Rejection::UnknownPolicy(name.into()).into()),
                }
            })
        })
        .await
    }
}
