//! Rules by which an application is scaled with its load. An enabled rule is a
//! HorizontalPodAutoscaler on the cluster; of a disabled one only the row is left.
//!
//! A rule changes in the transaction that ends the write of its autoscaler, whoever is still
//! there by then: an executor makes both. No more than one rule of an application is enabled,
//! and one is written at a time.

use crate::{
    Caller, Error, Service,
    check::object_name,
    object::write::{object_write_of, owner},
    once::Deed,
};
use domain::{
    ApplicationId, Input, Rejection,
    application::Application,
    audit::Outcome,
    object::{
        autoscaling::{Behaviour, ScalingRule, Trigger, autoscaler, autoscaler_name},
        write::{Action, ObjectKind, ObjectWrite},
    },
    template::spec::Field,
};
use store::{Kept, RuleChange, ScalingRuleRow};

/// Longest name of a rule.
const LONGEST_NAME: usize = 32;

/// Fewest and most pods, and what a rule goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The input that says it.
    pub input: Input,
    pub min_replicas: i32,
    pub max_replicas: i32,
    /// What it goes by.
    pub triggers: Vec<Trigger>,
}

/// What is wanted of a rule; on a change, none leaves it as it is.
#[derive(Debug, Clone)]
pub struct RuleUpdate {
    pub application: ApplicationId,
    pub name: String,
    pub range: Option<Range>,
    pub behaviour: Field<Behaviour>,
    pub enabled: Option<bool>,
}

/// A rule of an application.
pub type RuleView = ScalingRuleRow;

impl Service {
    /// Creates a rule, enabled if nothing else is said.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown application, a name that is taken, another
    /// rule that is enabled, or what the cluster has against it.
    pub async fn create_rule(
        &self,
        caller: &Caller,
        update: RuleUpdate,
    ) -> Result<RuleView, Error> {
        rule_name(&update.name)?;
        let Some(range) = update.range else {
            return Err(Rejection::invalid(
                Input::RuleTrigger,
                "",
                "must be given: it says what the rule goes by",
            )
            .into());
        };
        let behaviour =
            if let Field::Set(behaviour) = update.behaviour { Some(behaviour) } else { None };
        let (input, rule) = (range.input, rule_of(range, behaviour));
        check_rule(input, &rule)?;
        let now = self.clock.now();
        let enabled = update.enabled.unwrap_or(true);
        let row = ScalingRuleRow {
            name: update.name,
            rule,
            enabled,
            created_at: now,
            updated_at: now,
            disabled_at: None,
        };
        self.write_rule(caller, "create_rule", update.application, row.name.clone(), |before| {
            match before {
                None => Ok(row),
                // The same once more: it may have stopped half way.
                Some(before) if before.rule == row.rule && before.enabled == row.enabled => {
                    Ok(before.clone())
                }
                Some(before) => Err(Rejection::invalid(
                    Input::RuleName,
                    &before.name,
                    "must be another one: the application has a rule of this name already",
                )),
            }
        })
        .await
    }

    /// Changes a rule.
    ///
    /// # Errors
    /// As [`Service::create_rule`], or an unknown rule.
    pub async fn change_rule(
        &self,
        caller: &Caller,
        update: RuleUpdate,
    ) -> Result<RuleView, Error> {
        let now = self.clock.now();
        let RuleUpdate { application, name, range, behaviour, enabled } = update;
        if range.is_none() && behaviour == Field::Keep && enabled.is_none() {
            let allowed = "must be given, or {}, {} or {}: nothing else can be changed";
            let others = &[Input::RuleMetric, Input::RuleBehaviour, Input::RuleEnabled];
            return Err(Rejection::invalid_beside(Input::RuleTrigger, "", allowed, others).into());
        }
        if let Some(range) = &range {
            check_rule(range.input, &rule_of(range.clone(), None))?;
        }
        self.write_rule(caller, "change_rule", application, name.clone(), |before| {
            let mut row = before.ok_or_else(|| unknown(&name))?.clone();
            let mut input = Input::RuleBehaviour;
            match behaviour {
                Field::Keep => {}
                Field::Clear => row.rule.behaviour = None,
                Field::Set(behaviour) => row.rule.behaviour = Some(behaviour),
            }
            if let Some(range) = range {
                input = range.input;
                row.rule = rule_of(range, row.rule.behaviour.take());
            }
            check_rule(input, &row.rule)?;
            let enabled = enabled.unwrap_or(row.enabled);
            if row.enabled && !enabled {
                row.disabled_at = Some(now);
            }
            Ok(ScalingRuleRow { enabled, updated_at: now, ..row })
        })
        .await
    }

    /// Enables or disables a rule; one that is already is no error.
    ///
    /// # Errors
    /// As [`Service::change_rule`].
    pub async fn switch_rule(
        &self,
        caller: &Caller,
        application: ApplicationId,
        name: String,
        enabled: bool,
    ) -> Result<RuleView, Error> {
        self.change_rule(
            caller,
            RuleUpdate {
                application,
                name,
                range: None,
                behaviour: Field::Keep,
                enabled: Some(enabled),
            },
        )
        .await
    }

    /// Deletes a rule, and its autoscaler first.
    ///
    /// # Errors
    /// As [`Service::change_rule`].
    pub async fn delete_rule(
        &self,
        caller: &Caller,
        application: ApplicationId,
        name: &str,
    ) -> Result<(), Error> {
        let deed = self.deed(caller, "delete_rule");
        self.once_outside(&deed, async {
            let application = self.permitted_application(application).await?;
            let rows = self.store.scaling_rules(application.id).await?;
            // The same request may have deleted it, with nobody there to hear of it.
            if !rows.iter().any(|row| row.name == name)
                && self.store.object_write_outcome(object_write_of(caller)).await?.is_none()
            {
                return Err(unknown(name).into());
            }
            let change = RuleChange::Delete(name.into());
            self.write_with_autoscaler(&deed, &application, &rows, &change, Action::Remove).await
        })
        .await
    }

    /// The rules of an application, by name.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn rules(&self, application: ApplicationId) -> Result<Vec<RuleView>, Error> {
        let application = self.permitted_application(application).await?;
        Ok(self.store.scaling_rules(application.id).await?)
    }

    /// Writes the row that follows from the one before, and then what is to be on the cluster.
    async fn write_rule(
        &self,
        caller: &Caller,
        use_case: &'static str,
        id: ApplicationId,
        name: String,
        next: impl FnOnce(Option<&ScalingRuleRow>) -> Result<ScalingRuleRow, Rejection> + Send,
    ) -> Result<RuleView, Error> {
        let mut written = None;
        let deed = self.deed(caller, use_case);
        let WrittenRule(name) = self
            .once_outside(&deed, async {
                written = Some(self.write_new_rule(&deed, id, &name, next).await?);
                Ok(WrittenRule(name))
            })
            .await?;
        match written {
            Some(row) => Ok(row),
            None => self.rule(id, &name).await,
        }
    }

    async fn write_new_rule(
        &self,
        deed: &Deed<'_>,
        id: ApplicationId,
        name: &str,
        next: impl FnOnce(Option<&ScalingRuleRow>) -> Result<ScalingRuleRow, Rejection> + Send,
    ) -> Result<RuleView, Error> {
        let application = self.living_application(id).await?;
        let rows = self.store.scaling_rules(id).await?;
        let before = rows.iter().find(|row| row.name == name);
        let row = next(before)?;
        if let Some(other) =
            rows.iter().find(|other| row.enabled && other.enabled && other.name != row.name)
        {
            let allowed = format!(
                "the rule {} is enabled, and two would contradict each other: disable it first",
                other.name
            );
            return Err(Rejection::invalid(Input::RuleEnabled, "true", allowed).into());
        }
        let change = RuleChange::Put(row.clone());
        let action = match (row.enabled, before.is_some()) {
            (true, _) => Action::Put(autoscaler(&row.rule, &self.deployment(id).await?)),
            (false, true) => Action::Remove,
            (false, false) => {
                self.write_row(deed, id, &rows, &row).await?;
                return Ok(row);
            }
        };
        self.write_with_autoscaler(deed, &application, &rows, &change, action).await?;
        Ok(row)
    }

    /// Writes a rule that has no autoscaler, and never had one, with its entry of the audit.
    async fn write_row(
        &self,
        deed: &Deed<'_>,
        id: ApplicationId,
        rows: &[ScalingRuleRow],
        row: &ScalingRuleRow,
    ) -> Result<(), Error> {
        self.transaction("put_rule_row", |tx| {
            Box::pin(async {
                tx.permitted_application(id).await?;
                if tx.scaling_rules(id).await? != rows {
                    return Err(another_writes(id));
                }
                tx.put_scaling_rule(id, row).await?;
                let entry = self.entry_of(deed.caller, deed.name, Outcome::Done);
                Ok(tx.add_audit_entry(entry, None, self.clock.now()).await?)
            })
        })
        .await?;
        deed.hand_over();
        Ok(())
    }

    async fn rule(&self, id: ApplicationId, name: &str) -> Result<RuleView, Error> {
        self.permitted_application(id).await?;
        let found = self.store.scaling_rules(id).await?.into_iter().find(|row| row.name == name);
        found.ok_or_else(|| unknown(name).into())
    }

    /// Has the autoscaler of a rule written, and the rule changed with it; `rows` are the
    /// rules as this follows from them.
    async fn write_with_autoscaler(
        &self,
        deed: &Deed<'_>,
        application: &Application,
        rows: &[ScalingRuleRow],
        change: &RuleChange,
        action: Action,
    ) -> Result<(), Error> {
        let (RuleChange::Put(ScalingRuleRow { name, .. }) | RuleChange::Delete(name)) = change;
        let object_write = ObjectWrite {
            kind: ObjectKind::HorizontalPodAutoscaler,
            name: autoscaler_name(&application.name, name),
            owner: Some(owner(application)),
            action,
        };
        let place = (&application.cluster, application.namespace.as_str());
        self.check_writable(deed, place.0).await?;
        let (application, id) = (application.id, object_write_of(deed.caller));
        let entry = self.entry_of(deed.caller, deed.name, Outcome::Done);
        let sent: Result<(), Error> = self
            .transaction("send_rule_write", |tx| {
                Box::pin(async {
                    tx.permitted_application(application).await?;
                    if tx.scaling_rules(application).await? != rows
                        || tx.has_open_rule_write(application, id).await?
                    {
                        return Err(another_writes(application));
                    }
                    let rule = Some((application, change));
                    let kept = Kept { record: None, entry: Some(&entry), rule };
                    let now = self.clock.now();
                    Ok(tx.add_object_write(id, place, &object_write, kept, now).await?)
                })
            })
            .await;
        sent?;
        self.outcome_of(deed, id, &object_write).await?;
        Ok(())
    }
}

/// The answer to a write of a rule: its name.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct WrittenRule(String);

fn rule_of(range: Range, behaviour: Option<Behaviour>) -> ScalingRule {
    let Range { min_replicas, max_replicas, triggers, .. } = range;
    ScalingRule { min_replicas, max_replicas, triggers, behaviour }
}

fn check_rule(input: Input, rule: &ScalingRule) -> Result<(), Rejection> {
    rule.check().map_err(|(value, allowed)| Rejection::invalid(input, value, allowed))
}

fn rule_name(name: &str) -> Result<(), Rejection> {
    object_name(Input::RuleName, name)?;
    if name.len() > LONGEST_NAME {
        return Err(Rejection::invalid(Input::RuleName, name, "must have at most 32 characters"));
    }
    Ok(())
}

fn unknown(name: &str) -> Rejection {
    Rejection::invalid(Input::RuleName, name, "must be the name of one of the application's rules")
}

fn another_writes(application: ApplicationId) -> Error {
    let reason =
        "has its scaling rules changed by another request just now: look at them and try again";
    Rejection::WrongApplicationState { application, reason: reason.into() }.into()
}
