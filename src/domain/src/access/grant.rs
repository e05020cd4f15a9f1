//! What is attached to a principal: roles with their scopes, and policies.

use serde::{Deserialize, Serialize};

use super::{Access, Circumstances, Exceptions, Policy, Role, Scope, Site, Unreadable};

/// Something that is attached to a principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The name and the text of a policy.
    pub policy: Option<Attached>,
    /// A role, where it is no policy.
    pub role: Option<Role>,
    #[serde(flatten)]
    pub scope: Scope,
    /// What the role is granted with beyond the guardrails.
    #[serde(default)]
    pub exceptions: Exceptions,
}

/// A policy that is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub name: String,
    pub document: String,
}

impl Grant {
    /// A role with a scope.
    #[must_use]
    pub fn role(role: Role, scope: Scope) -> Self {
        Self { policy: None, role: Some(role), scope, exceptions: Exceptions::default() }
    }

    /// A role as somebody wants it granted, with what goes beyond the guardrails.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn wanted_role(role: Role, scope: Scope, exceptions: Exceptions) -> Result<Self, String> {
        if role == Role::Admin && scope != Scope::default() {
            return Err("the role admin is for everything: leave the namespace and the application out, or choose the role operator".into());
        }
        if role == Role::Admin && !exceptions.is_none() {
            return Err("no guardrail holds for the role admin: leave the level of Pod Security, service accounts and registries out, or choose the role operator".into());
        }
        Ok(Self { exceptions, ..Self::role(role, scope) })
    }

    /// The policy that it comes to.
    ///
    /// # Errors
    /// A document that cannot be read: an older program does not know what a newer one wrote.
    pub fn read(&self) -> Result<Policy, Unreadable> {
        match (&self.policy, self.role) {
            // Which actions there are was judged when it was written.
            (Some(attached), _) => Policy::read(&attached.document, |_| true),
            (None, Some(role)) => {
                let mut policy = role.policy(&self.scope);
                policy.statements.extend(self.exceptions.statements(&self.scope));
                Ok(policy)
            }
            (None, None) => Ok(Policy { statements: Vec::new() }),
        }
    }

    /// What grants come to. If one of them cannot be read, nothing may be done: it might
    /// have denied something.
    ///
    /// # Errors
    /// The one that cannot be read, by its name.
    pub fn access(
        grants: &[Self],
        site: &Site<'_>,
        circumstances: &Circumstances,
    ) -> Result<Access, (String, Unreadable)> {
        let mut policies = Vec::with_capacity(grants.len());
        for grant in grants {
            let name = grant.policy.as_ref().map(|it| it.name.clone()).unwrap_or_default();
            policies.push(grant.read().map_err(|why| (name, why))?);
        }
        Ok(Access::of(&policies, site, circumstances))
    }
}
