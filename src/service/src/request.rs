//! What callers hand in: who they are, and the orders they want.
//!
//! Values have the right types and are otherwise unchecked; the service's methods
//! check them, and name in their refusal the input that it is about.

use std::net::IpAddr;

use secrecy::SecretString;

use domain::{
    ApplicationId, ReleaseId, Source, TraceParent, order::plan::Strategy, package::PackageKind,
    template::spec::SpecChange,
};

/// Who asks, and which request it is.
#[derive(Debug, Clone)]
pub struct Caller {
    pub key_id: String,
    /// Under which name they act, for events and owners.
    pub name: String,
    /// The principal whose key it is.
    pub principal: String,
    /// The identity provider's name for the person; none = nobody signed in.
    pub person: Option<String>,
    /// The request's own id, as it is in the reply and the log.
    pub request_id: String,
    /// The request's span, and the trace that it belongs to; none = it has none.
    pub trace: Option<TraceParent>,
    /// What it is asked through.
    pub source: Source,
    /// Why, in the caller's own words; may be empty.
    pub reason: String,
    /// The address that it was asked from; none within the program.
    pub peer: Option<IpAddr>,
    /// What makes this request the same as another; none where a repetition
    /// need not be recognised (reads).
    pub identity: Option<RequestIdentity>,
}

impl Caller {
    /// Whoever runs the program's commands on the database: they have its password, and no key.
    #[must_use]
    pub fn of_commands() -> Self {
        Self {
            key_id: String::new(),
            name: "sluice".into(),
            principal: "sluice".into(),
            person: None,
            request_id: String::new(),
            trace: None,
            source: Source::Cli,
            reason: String::new(),
            peer: None,
            identity: None,
        }
    }

    /// `text` with the caller's reason behind it, if there is one.
    pub(crate) fn because(&self, text: &str) -> String {
        match self.reason.trim() {
            "" => text.to_owned(),
            reason if text.is_empty() => reason.to_owned(),
            reason => format!("{text}: {reason}"),
        }
    }
}

/// What makes two changing requests the same one (R25). A request with an
/// identity that was seen before gets the first answer again and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIdentity {
    /// The signature nonce; without one, a digest of key, signature, date and target.
    pub nonce: String,
    /// Digest of the signed request: the same nonce with another one is refused.
    pub digest: String,
}

/// What a caller says of a package to release in place of an image. The default
/// says nothing.
#[derive(Debug, Clone, Default)]
pub struct PackageParams {
    /// Its address, as given; it may hold credentials.
    pub url: Option<SecretString>,
    /// Its kind, where that was said.
    pub kind: Option<PackageKind>,
    /// The JDK it is to run on, as callers name it; none keeps it.
    pub jdk: Option<String>,
    /// The web container it is to run in; none keeps it.
    pub web_container: Option<String>,
}

/// A new application, with its first version.
#[derive(Debug, Clone)]
pub struct CreateApplication {
    /// Name of the application and its Deployment.
    pub name: String,
    /// Cluster id; must be the one this server drives.
    pub cluster: String,
    /// Kubernetes namespace; none = `default`.
    pub namespace: Option<String>,
    /// EDAS namespace, `<region>` or `<region>:<name>`; none = the server's region.
    pub logical_region: Option<String>,
    pub description: String,
    /// Number of pods; none = 1.
    pub replicas: Option<i32>,
    /// The first version's text; none = the time.
    pub version: Option<String>,
    /// Image (required, if there is no package) and settings.
    pub spec: SpecChange,
    /// A package in place of an image.
    pub package: PackageParams,
    /// Seconds until the creation has failed; none = 1800 (R23).
    pub timeout_seconds: Option<i64>,
    /// What of the request has no effect here, as sentences for the order.
    pub notes: Vec<String>,
    /// Services in front of its pods.
    pub services: Vec<super::FirstService>,
}

/// Taking a Deployment over as an application.
#[derive(Debug, Clone)]
pub struct Adopt {
    /// Name of the Deployment, and of the application.
    pub name: String,
    /// Cluster id; must be the one this server drives.
    pub cluster: String,
    pub namespace: String,
    /// EDAS namespace, `<region>` or `<region>:<name>`; none = the server's region.
    pub logical_region: Option<String>,
    pub description: String,
    /// The present version's text; none = the time.
    pub version: Option<String>,
    /// The container of its pods that is the application's; none = as its template says.
    pub container: Option<String>,
}

/// Which container is an application's.
#[derive(Debug, Clone)]
pub struct ContainerChoice {
    /// Its name; none = it is in doubt.
    pub name: Option<String>,
    /// Whether somebody chose it.
    pub chosen: bool,
    /// The names of all of the pod template.
    pub all: Vec<String>,
}

/// A release.
#[derive(Debug, Clone)]
pub struct Deploy {
    pub application: ApplicationId,
    pub spec: SpecChange,
    /// A package in place of an image, or what it runs on.
    pub package: PackageParams,
    /// A version from the history to release again; goes with an empty `spec` only.
    pub release: Option<ReleaseId>,
    /// The version's text; none = the time.
    pub version: Option<String>,
    /// Desired number of pods; none keeps it.
    pub replicas: Option<i32>,
    /// How the release reaches the pods; none = all at once.
    pub strategy: Option<Strategy>,
    /// Seconds that one batch may take; none = the server's setting.
    pub batch_timeout_seconds: Option<i64>,
    /// `minReadySeconds` of the Deployment; none keeps it.
    pub min_ready_seconds: Option<i32>,
    pub description: String,
    /// What of the request has no effect here, as sentences for the order.
    pub notes: Vec<String>,
    /// The plan that the caller agreed to; with another one nothing is ordered.
    pub plan_hash: Option<String>,
    /// Whether old pods may go before new ones came, where there is no room for both.
    pub allows_no_surge: bool,
    /// The whole pod template of the new version; goes with an empty `spec` only.
    pub template: Option<serde_json::Value>,
}

/// Another number of pods.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub application: ApplicationId,
    pub replicas: i32,
    /// Seconds it may take; none = the server's setting for a batch.
    pub timeout_seconds: Option<i64>,
}

/// Pods again for an application that was stopped.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    pub application: ApplicationId,
    /// Number of pods; none = as many as it had when it was stopped, or 1.
    pub replicas: Option<i32>,
    /// Seconds it may take; none = 600 (R23).
    pub timeout_seconds: Option<i64>,
}

/// Other amounts of processor and memory.
#[derive(Debug, Clone)]
pub struct Configure {
    pub application: ApplicationId,
    /// Its cluster, where that is said.
    pub cluster: Option<String>,
    /// What changes: amounts of processor and memory.
    pub spec: SpecChange,
    /// Seconds it may take; none = 600 (R23).
    pub timeout_seconds: Option<i64>,
}

/// The whole text of a Deployment as it is to be.
#[derive(Debug, Clone)]
pub struct EditDeployment {
    /// Its cluster, where that is said.
    pub cluster: Option<String>,
    /// Its Kubernetes namespace, where that is said beside the text.
    pub namespace: Option<String>,
    /// The Deployment as it is wanted; it may hold passwords.
    pub wanted: serde_json::Value,
}

/// What is said of an application. None keeps what was said, an empty text removes it.
#[derive(Debug, Clone)]
pub struct Describe {
    pub application: ApplicationId,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub email: Option<String>,
    /// The owner's telephone number.
    pub phone: Option<String>,
}

/// A check of what a new application, or a release, would do.
#[derive(Debug, Clone)]
pub struct Precheck {
    /// Cluster id; must be the one this server drives.
    pub cluster: String,
    pub namespace: String,
    /// Name of the application and its Deployment.
    pub name: String,
    /// The application, where there is one.
    pub application: Option<ApplicationId>,
    /// Number of pods; none = that of the Deployment, or 1.
    pub replicas: Option<i32>,
    pub spec: SpecChange,
}

/// The way back to a version of the history.
#[derive(Debug, Clone)]
pub struct RollBackTo {
    pub application: ApplicationId,
    /// Text of the version in the history.
    pub version: String,
    /// Number of batches, 1–5; none = 1.
    pub batches: Option<i32>,
    /// Minutes between batches, 0–5; none = 0.
    pub wait_minutes: Option<u32>,
}
