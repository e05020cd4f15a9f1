//! Why a package cannot be had: a name, the address without secrets, and what happened.

use std::fmt;

use domain::package::{PackageAddress, Refused};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The policy does not allow the address, or one that it leads to.
    NotAllowed,
    /// The server says that it is not there.
    NotFound,
    /// The server wants other credentials.
    Denied,
    /// The server gave an answer that is no package.
    Unexpected,
    /// It is larger than allowed.
    TooLarge,
    /// It is not the package that it should be.
    WrongChecksum,
    /// It cannot be written down here.
    CannotWrite,
    /// The host has no network address.
    UnknownHost,
    /// No connection to the server comes about.
    Unreachable,
    /// The answer broke off.
    CutOff,
    /// The server is in trouble, or asks to come again later.
    ServerTrouble,
    /// It took too long.
    TimedOut,
}

impl Reason {
    /// Its name, as operators see it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "PackageNotAllowed",
            Self::NotFound => "PackageNotFound",
            Self::Denied => "PackageDenied",
            Self::Unexpected => "PackageUnexpectedAnswer",
            Self::TooLarge => "PackageTooLarge",
            Self::WrongChecksum => "PackageWrongChecksum",
            Self::CannotWrite => "PackageCannotBeWritten",
            Self::UnknownHost => "PackageHostUnknown",
            Self::Unreachable => "PackageHostUnreachable",
            Self::CutOff => "PackageCutOff",
            Self::ServerTrouble => "PackageServerTrouble",
            Self::TimedOut => "PackageTimedOut",
        }
    }

    /// The exit code of a program that ends for this reason.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NotAllowed => 10,
            Self::NotFound => 11,
            Self::Denied => 12,
            Self::Unexpected => 13,
            Self::TooLarge => 14,
            Self::WrongChecksum => 15,
            Self::CannotWrite => 16,
            Self::UnknownHost => 20,
            Self::Unreachable => 21,
            Self::CutOff => 22,
            Self::ServerTrouble => 23,
            Self::TimedOut => 24,
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_passing(self) -> bool {
        match self {
            Self::NotAllowed
            | Self::NotFound
            | Self::Denied
            | Self::Unexpected
            | Self::TooLarge
            | Self::WrongChecksum
            | Self::CannotWrite => false,
            Self::UnknownHost
            | Self::Unreachable
            | Self::CutOff
            | Self::ServerTrouble
            | Self::TimedOut => true,
        }
    }
}

/// Why a package cannot be had. Holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    /// The address that was asked, without secrets.
    pub address: String,
    /// What happened, in words.
    pub what: String,
}

impl Failure {
    pub(super) fn new(reason: Reason, url: &PackageAddress, what: impl Into<String>) -> Self {
        Self { reason, address: url.to_string(), what: what.into() }
    }

    pub(super) fn refused(url: &PackageAddress, refused: &Refused) -> Self {
        Self::new(Reason::NotAllowed, url, refused.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.reason.name(), self.address, self.what)
    }
}

impl std::error::Error for Failure {}
