//! A cluster: the id that its operator gave it, and the identity by which Sluice
//! recognises it under any id and address.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub mod health;
pub mod kubeconfig;

/// Most characters of an id that an operator adds.
const LONGEST_ID: usize = 64;

/// The EDAS id of a cluster, as its operator chose it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(String);

impl ClusterId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that an operator gives a cluster.
    ///
    /// # Errors
    /// What is allowed.
    pub fn named(text: &str) -> Result<Self, &'static str> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_id = (1..=LONGEST_ID).contains(&text.len())
            && text.chars().all(fits)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if is_id {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "must have 1 to 64 letters, digits, '-', '_' and '.', and begin with a letter or digit",
            )
        }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ClusterId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for ClusterId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What a cluster is known by: the UID of its namespace `kube-system`, which lives as
/// long as the cluster does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterIdentity(String);

/// Most characters of an identity. Kubernetes' UIDs have 36.
const LONGEST: usize = 128;

/// What the identity of a cluster begins with that is simulated within a server.
pub const SIMULATED: &str = "simulated-";

impl ClusterIdentity {
    /// The identity as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identity that a person names. Kubernetes makes UUIDs only, so that another text
    /// is a mistake, after which the server would wait for a cluster that is nowhere.
    ///
    /// # Errors
    /// What is allowed.
    pub fn named(text: &str) -> Result<Self, &'static str> {
        let simulated =
            |rest: &str| rest.len() == 32 && rest.chars().all(|c| c.is_ascii_hexdigit());
        let is_uuid = text.len() == 36 && uuid::Uuid::try_parse(text).is_ok();
        if is_uuid || text.strip_prefix(SIMULATED).is_some_and(simulated) {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "must be the UID of the cluster's namespace kube-system, such as 0b9ee1f5-b7ba-4f4c-8d0f-6f4a0f7a2c11",
            )
        }
    }
}

impl fmt::Display for ClusterIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterIdentity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if (1..=LONGEST).contains(&text.len()) && text.chars().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "must be the UID of the cluster's namespace kube-system: at most 128 letters, digits, '-', '_' and '.'",
            )
        }
    }
}

/// A cluster whose identity was seen and equals the one on record. Executors get work
/// only for such a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCluster {
    pub id: ClusterId,
    pub identity: ClusterIdentity,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_short_and_plain() {
        for (text, fits) in [
            ("0b9ee1f5-b7ba-4f4c-8d0f-6f4a0f7a2c11", true),
            (&"a".repeat(128), true),
            (&"a".repeat(129), false),
            ("", false),
            ("a b", false),
            ("a\nb", false),
            ("é", false),
        ] {
            assert_eq!(text.parse::<ClusterIdentity>().is_ok(), fits, "{text:?}");
        }
    }

    #[test]
    fn an_operator_gives_a_cluster_a_short_and_plain_id() {
        for (text, fits) in [
            ("prod-eu.1", true),
            ("0b9ee1f5-b7ba-4f4c-8d0f-6f4a0f7a2c11", true),
            ("", false),
            ("-prod", false),
            ("a b", false),
            ("a/b", false),
            ("é", false),
            (&"a".repeat(64), true),
            (&"a".repeat(65), false),
        ] {
            assert_eq!(ClusterId::named(text).is_ok(), fits, "{text:?}");
        }
    }

    #[test]
    fn a_person_names_a_uid_or_a_simulated_cluster() {
        for (text, fits) in [
            ("0b9ee1f5-b7ba-4f4c-8d0f-6f4a0f7a2c11", true),
            ("simulated-0123456789abcdef0123456789abcdef", true),
            ("nonsense", false),
            ("0b9ee1f5b7ba4f4c8d0f6f4a0f7a2c11", false),
            ("{0b9ee1f5-b7ba-4f4c-8d0f-6f4a0f7a2c11}", false),
            ("0b9ee1f5-b7ba-4f4c-8d0f-6f4a0f7a2c1", false),
            ("simulated-", false),
            ("", false),
        ] {
            assert_eq!(ClusterIdentity::named(text).is_ok(), fits, "{text:?}");
        }
    }
}
