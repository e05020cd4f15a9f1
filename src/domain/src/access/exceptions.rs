//! What a role is granted with beyond the guardrails, or is held to within them.

use serde::{Deserialize, Serialize};

use super::{Pattern, Scope, policy::Statement};
use crate::guard::Level;

/// Most patterns of a kind.
const MOST: usize = 20;

/// Longest pattern.
const LONGEST: usize = 200;

/// Exceptions to the guardrails that come with a role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exceptions {
    /// The level of Pod Security; none = baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<Level>,
    /// Names of service accounts that pods may have, with `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
    /// Images that pods may have, with `*`; empty = all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<String>,
}

impl Exceptions {
    /// Exceptions as somebody wrote them.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn read(
        pod_security: Option<Level>,
        service_accounts: Vec<String>,
        registries: Vec<String>,
    ) -> Result<Self, String> {
        for (what, patterns) in
            [("service accounts", &service_accounts), ("registries", &registries)]
        {
            if patterns.len() > MOST {
                return Err(format!("at most {MOST} patterns of {what} may be given"));
            }
            let is_good = |text: &&String| {
                (1..=LONGEST).contains(&text.len())
                    && text.bytes().all(|it| it.is_ascii_graphic() && it != b'?')
            };
            if let Some(wrong) = patterns.iter().find(|text| !is_good(text)) {
                let short: String = wrong.chars().take(100).collect();
                return Err(format!(
                    "the {what} {short} must have 1 to {LONGEST} printable ASCII characters without blanks and '?', * for any characters"
                ));
            }
        }
        Ok(Self { pod_security, service_accounts, registries })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The statements that they come to, for a role with this scope.
    pub(super) fn statements(&self, scope: &Scope) -> Vec<Statement> {
        let Scope { namespace, application } = scope;
        let statement = |allows, action: &str, paths: Vec<String>| Statement {
            allows,
            actions: vec![Pattern::new(action)],
            resources: paths.into_iter().map(Into::into).collect(),
            conditions: Vec::new(),
        };
        let pods = vec![format!("namespace/{namespace}/application/{application}")];
        let mut statements = Vec::new();
        match self.pod_security {
            Some(Level::Privileged) => {
                statements.push(statement(true, "edas:usepodsecurityprivileged", pods));
            }
            Some(Level::Restricted) => {
                statements.push(statement(false, "edas:usepodsecuritybaseline", pods));
            }
            Some(Level::Baseline) | None => {}
        }
        if !self.service_accounts.is_empty() {
            let names = self.service_accounts.iter();
            let paths = names.map(|it| format!("namespace/{namespace}/serviceaccount/{it}"));
            statements.push(statement(true, "edas:useserviceaccount", paths.collect()));
        }
        if !self.registries.is_empty() {
            let paths = self.registries.iter().map(|it| format!("image/{it}")).collect();
            statements.push(statement(true, "edas:useimage", paths));
        }
        statements
    }
}
