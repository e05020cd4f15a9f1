//! The levels of Kubernetes' Pod Security Standards, and their versions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A level of Pod Security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing is refused.
    Privileged,
    /// What is known to give pods rights on their node is refused.
    Baseline,
    /// What is not known to be harmless is refused.
    Restricted,
}

impl Level {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Privileged, Self::Baseline, Self::Restricted]
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or_else(|| "must be privileged, baseline or restricted".to_owned())
    }
}

/// A version of Kubernetes, `1.<minor>`, whose Pod Security Standards are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u32);

impl Version {
    /// The newest one that is known here.
    pub const LATEST: Self = Self(37);

    /// The oldest one that can be meant: since it the standards know of Windows.
    pub const OLDEST: Self = Self(25);

    /// Whether it is 1.`minor` or newer.
    pub(super) fn is_at_least(self, minor: u32) -> bool {
        self.0 >= minor
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::LATEST
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v1.{}", self.0)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::LATEST);
        }
        let minor = text.strip_prefix("v1.").and_then(|minor| minor.parse().ok()).map(Self);
        minor.filter(|it| (Self::OLDEST..=Self::LATEST).contains(it)).ok_or_else(|| {
            format!("must be latest, or a version from {} to {}", Self::OLDEST, Self::LATEST)
        })
    }
}
