//! Guardrails: what of a pod template its author may ask for.
//!
//! The template is judged as it will be written, whatever way it came. The words and the
//! levels are those of Kubernetes' Pod Security Standards; beside them stand what would
//! give pods the rights of others: service accounts, nodes, priorities, control-plane
//! nodes, images and annotations that other controllers obey. A release is judged by what
//! it adds to the version before it. Pure, and linear in the template.

mod beyond;
mod container;
mod helm;
mod ingress;
mod level;
mod obeyed;
mod pod_security;

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{action::Action, pattern::Pattern, rejection::shortened};

pub use helm::helm_release;
pub use ingress::{INGRESS_ANNOTATIONS, is_plain_ingress_annotation};
pub use level::{Level, Version};
pub use obeyed::OBEYED_ANNOTATIONS;

/// How many findings a refusal tells of; the others are counted.
const TOLD: usize = 5;

/// What the author of a template may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardrails {
    /// The level of Pod Security that pods must keep.
    pub level: Level,
    /// The version of Kubernetes whose Pod Security is meant.
    #[serde(default)]
    pub version: Version,
    /// Whether what the version before has already is judged again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Whether the node may be named on which pods run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub node: bool,
    /// Whether pods may have a priority of the system.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system_priority: bool,
    /// Whether pods may run on nodes of the control plane.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control_plane: bool,
    /// Service accounts as `namespace/<namespace>/serviceaccount/<name>`.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub service_accounts: Names,
    /// Annotations that other controllers obey, as `annotation/<key>`.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub annotations: Names,
    /// Images as `image/<image>`; none = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Names>,
}

/// Names that may be used, as the statements of policies say it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Names {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<Pattern>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Pattern>,
}

impl Names {
    /// Whether a name may be used: something allows it, and nothing denies it.
    #[must_use]
    pub fn allow(&self, name: &str) -> bool {
        let fits = |patterns: &[Pattern]| patterns.iter().any(|it| it.fits(name));
        fits(&self.allowed) && !fits(&self.denied)
    }

    fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.denied.is_empty()
    }
}

impl Default for Guardrails {
    /// Those of whoever has no policy about them.
    fn default() -> Self {
        Self {
            level: Level::Baseline,
            version: Version::LATEST,
            whole: false,
            node: false,
            system_priority: false,
            control_plane: false,
            service_accounts: Names::default(),
            annotations: Names::default(),
            images: None,
        }
    }
}

/// Something of a template that its author may not ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Excess {
    /// Where it stands, with containers and volumes by their names.
    pub path: String,
    /// What stands there; none = nothing does, and something must.
    pub value: Option<String>,
    /// What would be allowed there.
    pub allowed: &'static str,
    /// What it goes against.
    pub breach: Breach,
}

/// What an excess goes against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Breach {
    /// A level of Pod Security: the loosest that does not allow it.
    Level(Level),
    ServiceAccount,
    Node,
    SystemPriority,
    ControlPlane,
    Annotation,
    Image,
}

impl Breach {
    /// The action that a policy must allow for it.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Level(Level::Restricted) => Action::POD_SECURITY_BASELINE,
            Self::Level(_) => Action::POD_SECURITY_PRIVILEGED,
            Self::ServiceAccount => Action::USE_SERVICE_ACCOUNT,
            Self::Node => Action::USE_NODE,
            Self::SystemPriority => Action::USE_SYSTEM_PRIORITY,
            Self::ControlPlane => Action::USE_CONTROL_PLANE,
            Self::Annotation => Action::USE_ANNOTATION,
            Self::Image => Action::USE_IMAGE,
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", shortened(&self.path))?;
        match &self.value {
            // What an annotation says may be secret.
            Some(_) if self.breach == Breach::Annotation => write!(formatter, " is given")?,
            Some(value) if value.is_empty() => write!(formatter, " is empty")?,
            Some(value) => write!(formatter, " is {}", shortened(value))?,
            None => write!(formatter, " is not set")?,
        }
        write!(formatter, ": {}", self.allowed)?;
        if let Breach::Level(level) = self.breach {
            write!(formatter, " (level {level} of Pod Security)")?;
        }
        write!(formatter, "; a policy that allows {} permits it", self.breach.action().shown())
    }
}

/// What comes of judging a template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// What the author may not ask for, and the version before did not have.
    pub added: Vec<Excess>,
    /// What the version before had already.
    pub kept: Vec<Excess>,
}

impl Judgement {
    /// Why the template is refused, as a sentence; none where it is not.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        (!self.added.is_empty()).then(|| told(&self.added))
    }

    /// What is kept although its author could not ask for it anew, as a sentence.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        (!self.kept.is_empty()).then(|| {
            format!("the version before has this already, and keeps it: {}", told(&self.kept))
        })
    }
}

/// The first findings, as one sentence.
#[must_use]
pub fn told(findings: &[Excess]) -> String {
    let mut told: Vec<String> = findings.iter().take(TOLD).map(ToString::to_string).collect();
    if findings.len() > TOLD {
        told.push(format!("and {} more", findings.len() - TOLD));
    }
    told.join("; ")
}

impl Guardrails {
    /// Judges a pod template for a namespace. What `before`, the template of the version
    /// before, has already is told apart.
    #[must_use]
    pub fn judge(&self, namespace: &str, template: &Value, before: Option<&Value>) -> Judgement {
        let found = self.find(namespace, template);
        if found.is_empty() {
            return Judgement::default();
        }
        let had: HashSet<Excess> = match before.filter(|_| !self.whole) {
            Some(before) => self.find(namespace, before).into_iter().collect(),
            None => HashSet::new(),
        };
        let (kept, added) = found.into_iter().partition(|excess| had.contains(excess));
        Judgement { added, kept }
    }

    /// Everything in a template that its author may not ask for.
    #[must_use]
    pub fn find(&self, namespace: &str, template: &Value) -> Vec<Excess> {
        let mut found = pod_security::find(template, self.level, self.version);
        beyond::find(self, namespace, template, &mut found);
        found
    }
}

#[cfg(test)]
mod tests;
