//! Who may do what: actions, resources, policies, and the judgement over them.
//!
//! A [`Policy`] is written in the JSON of Alibaba Cloud's RAM, and means here what it means
//! there. A [`Role`] is a policy that this program brings along. An [`Access`] is what the
//! policies of somebody come to for one request: what nothing allows is refused, and what
//! something denies is refused whatever allows it.

mod circumstance;
mod exceptions;
mod full;
mod grant;
mod guarded;
mod network;
mod policy;
mod resource;
mod role;

pub use crate::action::{Action, Group};
pub use crate::pattern::Pattern;
pub use circumstance::Circumstances;
pub use exceptions::Exceptions;
pub use grant::{Attached, Grant};
pub use network::Network;
pub use policy::{MOST_BYTES, Policy, Unreadable};
pub use resource::{Resource, Site};
pub use role::{ALL_ROLES, Role, Scope};

/// What somebody may do in one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    statements: Vec<Statement>,
    /// Namespaces in which is allowed only what names them.
    protected: Vec<Pattern>,
    /// Whether everything is allowed, everywhere and whenever, and nothing is ever denied.
    is_full: bool,
}

/// A statement of a policy, as far as it counts in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    allows: bool,
    actions: Vec<Pattern>,
    /// Patterns of what stands behind the account in a resource's name.
    resources: Vec<Pattern>,
}

/// What comes of a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// The caller may know that the resource is there, and may not do this to it.
    Refused,
    /// The caller may not know of the resource.
    Hidden,
}

/// Which applications a list may show, as patterns of SQL's LIKE over
/// `namespace/<namespace>/application/<name or id>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// One of them must fit.
    pub allowed: Vec<String>,
    /// None of them may fit.
    pub denied: Vec<String>,
}

impl Access {
    /// Somebody who may do everything: the program itself.
    #[must_use]
    pub fn everything() -> Self {
        let any = || vec![Pattern::any()];
        let everything = Statement { allows: true, actions: any(), resources: any() };
        Self { statements: vec![everything], protected: Vec::new(), is_full: true }
    }

    /// Somebody who may do nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// What `policies` come to on this site, in these circumstances.
    #[must_use]
    pub fn of<'a>(
        policies: impl IntoIterator<Item = &'a Policy>,
        site: &Site<'_>,
        circumstances: &Circumstances,
    ) -> Self {
        let policies: Vec<&Policy> = policies.into_iter().collect();
        let is_full = full::are_full(&policies);
        let statements = policies
            .into_iter()
            .flat_map(|policy| &policy.statements)
            .filter(|statement| statement.conditions.iter().all(|it| it.holds(circumstances)))
            .map(|statement| Statement {
                allows: statement.allows,
                actions: statement.actions.clone(),
                resources: statement
                    .resources
                    .iter()
                    .filter(|resource| resource.is_at(site))
                    .map(|resource| resource.path.clone())
                    .collect(),
            })
            .filter(|statement| !statement.resources.is_empty());
        Self { statements: statements.collect(), protected: site.protected.to_vec(), is_full }
    }

    /// Whether there is any resource at all on which the action may be allowed.
    #[must_use]
    pub fn may(&self, action: Action) -> bool {
        if action.grants_access() && !self.is_full {
            return false;
        }
        let denied = self.about(action, false).any(|it| it.resources.iter().any(Pattern::is_any));
        !denied && self.about(action, true).next().is_some()
    }

    /// Whether the action is allowed on the resource.
    #[must_use]
    pub fn allows(&self, action: Action, resource: &Resource<'_>) -> bool {
        if action.grants_access() && !self.is_full {
            return false;
        }
        let names = resource.names();
        let protection = self.protection(action, resource.namespace());
        let fits = |statement: &Statement, pattern: &Pattern| {
            names.iter().any(|name| pattern.fits(name))
                && (!statement.allows || Self::names_protected(statement, pattern, protection))
        };
        let fits = |it: &Statement| it.resources.iter().any(|pattern| fits(it, pattern));
        !self.about(action, false).any(fits) && self.about(action, true).any(fits)
    }

    /// What comes of an action on a resource.
    #[must_use]
    pub fn verdict(&self, action: Action, resource: &Resource<'_>) -> Verdict {
        if self.allows(action, resource) {
            Verdict::Allowed
        } else if resource.reading().iter().any(|reading| self.allows(*reading, resource)) {
            Verdict::Refused
        } else {
            Verdict::Hidden
        }
    }

    /// Whether the action may be allowed on something of this Kubernetes namespace.
    #[must_use]
    pub fn reaches(&self, action: Action, namespace: &str) -> bool {
        let inside = format!("namespace/{namespace}/");
        let covers = |it: &Statement| it.resources.iter().any(|it| it.fits_all_below(&inside));
        let protection = self.protection(action, Some(namespace));
        let may_fit = |statement: &Statement| {
            statement.resources.iter().any(|pattern| {
                pattern.may_fit_below(&inside)
                    && Self::names_protected(statement, pattern, protection)
            })
        };
        !self.about(action, false).any(covers) && self.about(action, true).any(may_fit)
    }

    /// Which applications the action is allowed on; none = all.
    #[must_use]
    pub fn filter(&self, action: Action) -> Option<Filter> {
        let like = |allows| {
            let statements = self.about(action, allows);
            statements.flat_map(|it| it.resources.iter().map(Pattern::like)).collect::<Vec<_>>()
        };
        let is_any = self.about(action, true).any(|it| it.resources.iter().any(Pattern::is_any));
        let (allowed, denied) = (like(true), like(false));
        (!is_any || !denied.is_empty()).then_some(Filter { allowed, denied })
    }

    /// The statements about an action that allow, or that deny.
    fn about(&self, action: Action, allows: bool) -> impl Iterator<Item = &Statement> {
        self.statements
            .iter()
            .filter(move |statement| statement.allows == allows && statement.is_about(action))
    }
}

#[cfg(test)]
mod tests;
