//! Every reason to refuse a request, in words that a person can act on.
//!
//! A rejection is raised before anything is written. It names the parameter or
//! thing, the value, and what is allowed. It knows no status codes: the HTTP
//! edge turns it into the wire's form.

use thiserror::Error;

use super::{
    Advice, ApplicationId, Input, OrderId,
    limits::{SAID, SHOWN},
};

/// Stands in errors for a value that they must not repeat.
pub const NOT_SHOWN: &str = "(not shown)";

/// The caller asked for something that is not allowed. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Something has a value that cannot be accepted.
    #[error("the {}", .0.told(Input::word))]
    Invalid(Invalid),
    /// No such application. Clients match the words `does not exist` (R9).
    #[error("the application {} does not exist", shortened(.0))]
    UnknownApplication(String),
    /// No such change order.
    #[error("the change order {} does not exist", shortened(.0))]
    UnknownOrder(String),
    /// No such batch.
    #[error("the batch {} does not exist", shortened(.0))]
    UnknownBatch(String),
    /// No such version in the application's history.
    #[error("the version {} of application {application} does not exist in its history", shortened(.version))]
    UnknownVersion {
        /// The application asked about.
        application: ApplicationId,
        /// The version as the caller named it.
        version: String,
    },
    /// No such cluster.
    #[error("the cluster {} does not exist", shortened(.0))]
    UnknownCluster(String),
    /// No access key of this name that may be used.
    #[error("there is no access key named {} that may be used", shortened(.0))]
    UnknownKey(String),
    /// No access key of this id or name.
    #[error("the access key {} does not exist", shortened(.0))]
    NoSuchKey(String),
    /// No such principal.
    #[error("the principal {} does not exist", shortened(.0))]
    UnknownPrincipal(String),
    /// No such policy.
    #[error("the policy {} does not exist", shortened(.0))]
    UnknownPolicy(String),
    /// No such channel of notifications.
    #[error("there is no channel named {}", shortened(.0))]
    UnknownChannel(String),
    /// No such rule that holds orders off.
    #[error("the hold rule {} does not exist", shortened(.0))]
    UnknownHoldRule(String),
    /// The caller may not do this.
    #[error("the policies of the access key do not allow {action} on {}", .resource.as_deref().map_or_else(|| "any resource".to_owned(), shortened))]
    NotAllowed {
        /// The action, as policies name it.
        action: String,
        /// What it was to be done to; none = there is nothing that it may be done to.
        resource: Option<String>,
    },
    /// What was to begin a session of the console is not good.
    #[error(
        "nobody is signed in by this: it was used already, it is too old, or its access key may not be used any more"
    )]
    NoSession,
    /// No such config template.
    #[error("the config template {0} does not exist")]
    UnknownConfigTemplate(i64),
    /// The cluster was removed by a client.
    #[error(
        "the cluster {} does not exist: it was removed. To have it back, {} or create an application on it",
        shortened(.0),
        Advice::ImportCluster
    )]
    RemovedCluster(String),
    /// Applications are on the cluster.
    #[error(
        "the cluster {id} is in use: {applications} application(s) are on it; delete them first"
    )]
    ClusterInUse {
        /// Its id.
        id: String,
        /// How many.
        applications: i64,
    },
    /// No such EDAS namespace that somebody described.
    #[error("the namespace {} does not exist", shortened(.0))]
    UnknownRegion(String),
    /// Applications are in the EDAS namespace.
    #[error("the namespace {} is in use: {applications} application(s) are in it", shortened(.name))]
    RegionInUse {
        /// Its name.
        name: String,
        /// How many.
        applications: i64,
    },
    /// This server has no store for uploaded packages.
    #[error(
        "this server keeps no packages, since its setting --package-store (SLUICE_PACKAGE_STORE) is not made"
    )]
    NoPackageStore,
    /// The access key has the most credentials for uploading that one may have.
    #[error(
        "the access key has {most} credentials for uploading that are good, and may have no more (--package-key-credentials): use them, or wait until one ends, within an hour"
    )]
    TooManyCredentials {
        /// How many it may have.
        most: u64,
    },
    /// The application's name is taken in its namespace.
    #[error("an application named {} exists already in namespace {}", shortened(.name), shortened(.namespace))]
    NameTaken {
        /// The name asked for.
        name: String,
        /// The Kubernetes namespace.
        namespace: String,
    },
    /// Another change order of the application is open.
    #[error(
        "the change order {open} of application {application} is still running: wait for its end or abort it first"
    )]
    OrderRunning {
        /// The application.
        application: ApplicationId,
        /// The open order.
        open: OrderId,
    },
    /// The order is not in a state that allows what was asked.
    #[error("the change order {order} {reason}")]
    WrongState {
        /// The order.
        order: OrderId,
        /// Why not, continuing the sentence.
        reason: String,
    },
    /// The application is not in a state that allows what was asked.
    #[error("the application {application} {reason}")]
    WrongApplicationState {
        /// The application.
        application: ApplicationId,
        /// Why not, continuing the sentence.
        reason: String,
    },
    /// There is no recent precheck of this Deployment.
    #[error("a precheck of {} in namespace {} does not exist: start one first", shortened(.name), shortened(.namespace))]
    UnknownPrecheck {
        /// The Kubernetes namespace.
        namespace: String,
        /// The Deployment's name.
        name: String,
    },
    /// A precheck found that it cannot work; nothing was written.
    #[error("it cannot work: {reason}")]
    CannotWork {
        /// The check, in a word.
        subject: &'static str,
        /// Why, and how to correct it.
        reason: String,
    },
    /// The application has no Deployment on the cluster (yet, or any more).
    #[error("the application {} has no Deployment in namespace {} now", shortened(.name), shortened(.namespace))]
    NoDeployment {
        /// The Kubernetes namespace.
        namespace: String,
        /// The application's name, and the Deployment's.
        name: String,
    },
    /// The answer needs the cluster, and no executor can reach it.
    #[error("the cluster cannot be looked at now: {0}")]
    Unseen(String),
    /// The request needs an object write, and no executor can carry it out.
    #[error("the cluster cannot be written now: {0}")]
    Unwritten(String),
    /// The object write of the request is not done yet.
    #[error(
        "the {kind} {name} is still being written: no answer in time, it will be carried out or refused. Look at it in a moment"
    )]
    Undecided {
        /// Kubernetes' word for it.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// An object on the cluster, or the API server, refuses it.
    #[error("{0}")]
    ClusterRefused(String),
    /// A request nonce was used before, by another request.
    #[error("the signature nonce was used already by another request")]
    NonceUsed,
}

impl Rejection {
    /// A value that is not allowed; what is long is cut, and what may be secret is not shown.
    #[must_use]
    pub fn invalid(input: Input, value: impl ToString, allowed: impl Into<String>) -> Self {
        let allowed = said(&allowed.into());
        Self::Invalid(Invalid {
            input,
            value: shown(value, input.is_hidden()),
            allowed,
            others: Vec::new(),
        })
    }

    /// The same, where what is allowed hangs on other inputs, whose names come in the place
    /// of each `{}`.
    #[must_use]
    pub fn invalid_beside(
        input: Input,
        value: impl ToString,
        allowed: impl Into<String>,
        others: &[Input],
    ) -> Self {
        let allowed = said(&allowed.into());
        let value = shown(value, input.is_hidden());
        Self::Invalid(Invalid { input, value, allowed, others: others.to_vec() })
    }
}

/// A value that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    pub input: Input,
    /// The value as given, shortened to at most 200 characters.
    pub value: String,
    /// What is allowed, as a sentence without a full stop.
    pub allowed: String,
    /// The inputs that each `{}` stands for in what is allowed.
    pub others: Vec<Input>,
}

impl Invalid {
    /// Name, value and what is allowed, with the inputs called as the caller calls them.
    #[must_use]
    pub fn told(&self, name: impl Fn(Input) -> &'static str) -> String {
        // A text without other inputs may quote braces of its own.
        let allowed = match self.others.as_slice() {
            [] => self.allowed.clone(),
            others => {
                let mut names = others.iter().map(|other| name(*other));
                let mut parts = self.allowed.split("{}");
                let first = parts.next().unwrap_or_default().to_owned();
                parts.fold(first, |told, part| told + names.next().unwrap_or("{}") + part)
            }
        };
        format!("{} has the value {}: {allowed}", name(self.input), self.value)
    }
}

/// A value as an error shows it: what is long is cut, and what is secret is not shown.
#[must_use]
pub fn shown(value: impl ToString, is_hidden: bool) -> String {
    let shown = if is_hidden { NOT_SHOWN.to_owned() } else { shortened(&value.to_string()) };
    if shown.is_empty() { "(empty)".to_owned() } else { shown }
}

/// The beginning of a text from outside, as an error shows it: without control characters.
#[must_use]
pub fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// What is allowed, cut to what an error says at most.
#[must_use]
pub fn said(allowed: &str) -> String {
    match allowed.char_indices().nth(SAID) {
        None => allowed.to_owned(),
        Some((end, _)) => format!("{}…", &allowed[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_value_is_named_as_its_reader_calls_it() {
        let rejection = Rejection::invalid(Input::Replicas, -1, "must be 0 or more");
        let text = rejection.to_string();
        assert_eq!(text, "the number of pods has the value -1: must be 0 or more");
        let other = Rejection::invalid_beside(
            Input::CpuRequest,
            "2",
            "must not be above {}",
            &[Input::CpuLimit],
        );
        let Rejection::Invalid(invalid) = &other else { panic!("{other}") };
        assert_eq!(
            invalid.told(|input| if input == Input::CpuLimit { "Most" } else { "Least" }),
            "Least has the value 2: must not be above Most"
        );
        assert!(other.to_string().ends_with("must not be above CPU limit"), "{other}");
    }

    #[test]
    fn a_long_value_is_cut_and_control_characters_are_dropped() {
        let text =
            Rejection::invalid(Input::Image, format!("\u{7}{}", "x".repeat(500)), "no").to_string();
        assert!(text.contains(&format!("{}…", "x".repeat(199))), "{text}");
    }

    #[test]
    fn what_may_be_secret_is_in_no_error() {
        for input in Input::ALL {
            let text = Rejection::invalid(*input, "s3cret", "no").to_string();
            assert_eq!(text.contains("s3cret"), !input.is_hidden(), "{text}");
        }
    }
}
