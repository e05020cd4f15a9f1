//! Rules that hold orders off before they begin: who must approve, and when nothing is released.

use crate::{Caller, Error, Service};
use domain::{
    Input, Rejection,
    access::Resource,
    hold::{HeldBy, NewHoldRule, WrittenRule},
};
use store::{HoldRuleRow, MOST_HOLD_RULES};

impl Service {
    /// Makes a rule. Orders that have not begun go by it from now on.
    ///
    /// # Errors
    /// A value that is not allowed, a name that is taken, or as many rules as there may be.
    pub async fn create_hold_rule(
        &self,
        caller: &Caller,
        by: HeldBy,
        written: &WrittenRule,
    ) -> Result<(), Error> {
        self.check(&resource(&written.name))?;
        let new = NewHoldRule::read(by, written)
            .map_err(|wrong| Rejection::invalid(wrong.input, &wrong.value, wrong.why))?;
        self.once(caller, "create_hold_rule", |tx| {
            Box::pin(async {
                if tx.insert_hold_rule(&new, &caller.name, self.clock.now()).await? {
                    return Ok(());
                }
                let allowed = format!(
                    "a rule has this name, or there are {MOST_HOLD_RULES} rules, which is the most: delete one first"
                );
                Err(Rejection::invalid(Input::HoldRule, &written.name, allowed).into())
            })
        })
        .await
    }

    /// Deletes a rule. What it held off begins, unless something else holds it off.
    ///
    /// # Errors
    /// An unknown rule.
    pub async fn delete_hold_rule(&self, caller: &Caller, name: &str) -> Result<(), Error> {
        self.check(&resource(name))?;
        self.once(caller, "delete_hold_rule", |tx| {
            Box::pin(async {
                match tx.delete_hold_rule(name).await? {
                    true => Ok(()),
                    false => Err(Rejection::UnknownHoldRule(name.into()).into()),
                }
            })
        })
        .await
    }

    /// The rules, by name.
    ///
    /// # Errors
    /// [`Error::Store`], or a caller who may not read them.
    pub async fn hold_rules(&self) -> Result<Vec<HoldRuleRow>, Error> {
        self.check(&resource("*"))?;
        Ok(self.store.hold_rules().await?)
    }
}

/// A rule, as policies name it.
fn resource(name: &str) -> Resource<'_> {
    Resource::Shared { kind: "hold", name }
}
