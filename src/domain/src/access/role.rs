//! The policies that this program brings along.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    Pattern,
    policy::{Policy, Statement},
};
use crate::pattern;

/// What somebody is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Reader,
    /// Releases applications that are there, and operates them.
    Deployer,
    /// Also creates, adopts and deletes applications, and what is beside them.
    Operator,
    /// May do everything, everywhere.
    Admin,
}

/// All roles.
pub const ALL_ROLES: [Role; 4] = [Role::Reader, Role::Deployer, Role::Operator, Role::Admin];

/// What a role is for: both may have `*` in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The application's name.
    pub application: String,
}

impl Default for Scope {
    fn default() -> Self {
        Self { namespace: "*".into(), application: "*".into() }
    }
}

impl Scope {
    /// A scope as somebody wrote it.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn read(namespace: &str, application: &str) -> Result<Self, String> {
        for (what, text) in [("namespace", namespace), ("application", application)] {
            if !pattern::is_of_names(text) {
                let short: String = text.chars().take(100).collect();
                return Err(format!(
                    "the {what} {short} must have 1 to 100 lower-case letters, digits, '-', '.' and '*', which stands for any characters"
                ));
            }
        }
        Ok(Self { namespace: namespace.into(), application: application.into() })
    }
}

/// What everybody with a role may see beside the scope: no secrets, and nothing of others.
const ANYWHERE: &[&str] = &["edas:readcluster", "edas:readnamespace"];

const READS: &[&str] = &["edas:readapplication"];

const RELEASES: &[&str] = &[
    "edas:readapplication",
    "edas:deployk8sapplication",
    "edas:updatek8sresource",
    "edas:updatek8sapplicationconfig",
    "edas:updatek8sapplicationbaseinfo",
    "edas:setapplicationcontainer",
    "edas:abortchangeorder",
    "edas:abortandrollbackchangeorder",
    "edas:rollbackchangeorder",
    "edas:rollbackapplication",
    "edas:stepbackchangeorder",
    "edas:continuepipeline",
    "edas:retrychangeordertask",
    "edas:scalek8sapplication",
    "edas:startk8sapplication",
    "edas:stopk8sapplication",
    "edas:restartk8sapplication",
    "edas:previewdeployment",
    "edas:startk8sappprecheck",
    "edas:getpackagestoragecredential",
    "edas:tagresources",
    "edas:untagresources",
];

const OPERATES: &[&str] =
    &["edas:readapplication", "edas:manageapplication", "edas:readconfig", "edas:manageconfig"];

impl Role {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Deployer => "deployer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// What it is for, in words.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Reader => "sees applications, their orders and pods",
            Self::Deployer => {
                "also releases, rolls back, scales and restarts applications that are there"
            }
            Self::Operator => {
                "also creates, adopts and deletes applications, and with a whole namespace its ConfigMaps, Secrets and Ingresses"
            }
            Self::Admin => "may do everything, everywhere",
        }
    }

    /// The policy that it comes to for a scope.
    #[must_use]
    pub fn policy(self, scope: &Scope) -> Policy {
        let statement = |actions: &[&str], paths: Vec<String>| Statement {
            allows: true,
            actions: actions.iter().map(|action| Pattern::new(*action)).collect(),
            resources: paths.into_iter().map(Into::into).collect(),
            conditions: Vec::new(),
        };
        let Scope { namespace, application } = scope;
        let mut paths = vec![format!("namespace/{namespace}/application/{application}")];
        let actions = match self {
            Self::Reader => READS,
            Self::Deployer => RELEASES,
            Self::Operator => OPERATES,
            Self::Admin => return Policy { statements: vec![statement(&["*"], vec!["*".into()])] },
        };
        // What is beside applications belongs to all of the namespace.
        if self == Self::Operator && application == "*" {
            paths.extend(
                ["configmap", "secret", "ingress"]
                    .map(|kind| format!("namespace/{namespace}/{kind}/*")),
            );
        }
        let anywhere = ["cluster/*", "region/*", "hold/*"].map(str::to_owned).to_vec();
        Policy { statements: vec![statement(actions, paths), statement(ANYWHERE, anywhere)] }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ALL_ROLES
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| "must be reader, deployer, operator or admin".to_owned())
    }
}
