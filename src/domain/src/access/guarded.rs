//! What somebody may do to what is guarded: pods, and protected namespaces.

use super::{Access, Action, Group, Pattern, Resource, Statement};
use crate::guard::{Guardrails, Level, Names, Version};

impl Statement {
    /// Whether it is about an action. What goes beyond the guardrails is allowed by nobody
    /// who does not name it, unless everything is allowed, everywhere.
    pub(super) fn is_about(&self, action: Action) -> bool {
        let names = action.names();
        self.actions.iter().any(|pattern| {
            names.iter().any(|name| pattern.fits(name))
                && (!self.allows
                    || action.group != Group::ExceedGuardrails
                    || names_guardrails(pattern)
                    || (means_all(pattern) && self.is_everywhere()))
        })
    }

    /// Whether it allows everything, everywhere.
    pub(super) fn allows_everything(&self) -> bool {
        self.allows && self.actions.iter().any(means_all) && self.is_everywhere()
    }

    fn is_everywhere(&self) -> bool {
        self.resources.iter().any(Pattern::is_any)
    }
}

/// Whether a pattern of actions fits them all: `*` or `edas:*`.
pub(super) fn means_all(pattern: &Pattern) -> bool {
    let rest = pattern.text().strip_prefix("edas:").unwrap_or(pattern.text());
    !rest.is_empty() && rest.bytes().all(|byte| byte == b'*')
}

/// Whether a pattern of actions says in its words that it is about guardrails. One that is
/// meant for other actions, such as `edas:U*` for what updates, is not.
fn names_guardrails(pattern: &Pattern) -> bool {
    match pattern.text().split_once('*') {
        None => true,
        Some((begin, _)) => ["edas:use", "edas:exceed", "edas:keep", "edas:deletea"]
            .iter()
            .any(|word| begin.starts_with(word)),
    }
}

/// What can be done in a protected namespace by those who do not name it.
fn only_reads(action: Action) -> bool {
    match action.group {
        Group::ReadApplication | Group::ReadCluster | Group::ReadNamespace => true,
        Group::ManageApplication
        | Group::ManageCluster
        | Group::ManageNamespace
        | Group::ReadConfig
        | Group::ManageConfig
        | Group::ManageAccess
        | Group::ManageHolds
        | Group::ExceedGuardrails => false,
    }
}

impl Access {
    /// The pattern that protects a namespace from an action.
    pub(super) fn protection(&self, action: Action, namespace: Option<&str>) -> Option<&Pattern> {
        let namespace = namespace.filter(|_| !only_reads(action))?;
        self.protected.iter().find(|pattern| pattern.fits(namespace))
    }

    /// Whether a statement may allow something in a namespace that is protected by a
    /// pattern: it must name at least as much of the namespace.
    pub(super) fn names_protected(
        statement: &Statement,
        resource: &Pattern,
        protection: Option<&Pattern>,
    ) -> bool {
        let Some(protection) = protection else { return true };
        let begin = |text: &str| text.split('*').next().unwrap_or_default().to_owned();
        let named = begin(resource.text());
        let guarded = begin(protection.text());
        statement.allows_everything()
            || named
                .strip_prefix("namespace/")
                .is_some_and(|named| !named.is_empty() && named.starts_with(&guarded))
    }

    /// Whether no guardrail holds: everything is allowed, everywhere, and nothing of what
    /// exceeds them is denied.
    #[must_use]
    pub fn is_unbounded(&self) -> bool {
        let denies =
            |statement: &&Statement| Action::OF_GUARDRAILS.iter().any(|it| statement.is_about(*it));
        self.statements.iter().any(Statement::allows_everything)
            && !self.statements.iter().filter(|it| !it.allows).any(|it| denies(&it))
    }

    /// What may be asked for of the pods of an application; none = anything.
    #[must_use]
    pub fn guardrails(&self, application: &Resource<'_>, version: Version) -> Option<Guardrails> {
        if self.is_unbounded() {
            return None;
        }
        let allows = |action| self.allows(action, application);
        let level = if self.denies(Action::POD_SECURITY_BASELINE, application) {
            Level::Restricted
        } else if allows(Action::POD_SECURITY_PRIVILEGED) {
            Level::Privileged
        } else {
            Level::Baseline
        };
        Some(Guardrails {
            level,
            version,
            whole: self.denies(Action::KEEP_EXCESS, application),
            node: allows(Action::USE_NODE),
            system_priority: allows(Action::USE_SYSTEM_PRIORITY),
            control_plane: allows(Action::USE_CONTROL_PLANE),
            service_accounts: self.names(Action::USE_SERVICE_ACCOUNT),
            annotations: self.names(Action::USE_ANNOTATION),
            images: self.allow_list(Action::USE_IMAGE),
        })
    }

    fn allow_list(&self, action: Action) -> Option<Names> {
        let mut names = self.names(action);
        // A statement about the whole group has namespaces among its resources.
        for patterns in [&mut names.allowed, &mut names.denied] {
            patterns.retain(|pattern| pattern.may_fit_below("image/"));
        }
        if names.allowed.is_empty() && names.denied.is_empty() {
            return None;
        }
        if names.allowed.is_empty() {
            names.allowed.push(Pattern::any());
        }
        Some(names)
    }

    fn names(&self, action: Action) -> Names {
        let patterns = |allows| {
            let statements = self.about(action, allows);
            statements.flat_map(|it| it.resources.iter().cloned()).collect()
        };
        Names { allowed: patterns(true), denied: patterns(false) }
    }

    fn denies(&self, action: Action, resource: &Resource<'_>) -> bool {
        let names = resource.names();
        self.about(action, false).any(|statement| {
            statement.resources.iter().any(|it| names.iter().any(|name| it.fits(name)))
        })
    }
}
