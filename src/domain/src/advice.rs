//! What a message advises, in words of our own.
//!
//! A message that advises one of these says it in these words. An API that has a name for
//! it puts the name behind the words: `edas` has a table of them.

use std::fmt;

/// Something that a message tells its reader to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Old pods make room for new ones.
    OldPodsFirst,
    /// A version of the history takes the place of the present one.
    ReleaseEarlier,
    ReleasePackage,
    /// Say which container is the application's.
    ChooseContainer,
    /// Bring a cluster back that was removed.
    ImportCluster,
}

impl Advice {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::OldPodsFirst,
        Self::ReleaseEarlier,
        Self::ReleasePackage,
        Self::ChooseContainer,
        Self::ImportCluster,
    ];

    /// How a message says it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::OldPodsFirst => "allow old pods to go first",
            Self::ReleaseEarlier => "release a version of the history instead",
            Self::ReleasePackage => "release another package",
            Self::ChooseContainer => "choose the application's container",
            Self::ImportCluster => "import the cluster",
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
