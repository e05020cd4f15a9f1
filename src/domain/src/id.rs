//! The identities of things, each a type of its own so that an order's id can
//! never be passed where an application's is meant.
//!
//! All are UUIDs of version 7 (ordered by time within a process) and print as
//! lower-case hex and dashes: scripts cut them out of replies with a pattern
//! that allows nothing else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, unlike any other.
            #[must_use]
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// An installation of Sluice: one database, and all programs on it.
    InstallationId
}
id! {
    /// An application: one Deployment that change orders release.
    ApplicationId
}
id! {
    /// A change order.
    OrderId
}
id! {
    /// One batch of a change order.
    BatchId
}
id! {
    /// A credential for uploading packages.
    CredentialId
}
id! {
    /// A package that was uploaded.
    PackageId
}
id! {
    /// An upload of a package in parts.
    MultipartId
}
id! {
    /// One version in an application's history.
    ReleaseId
}
