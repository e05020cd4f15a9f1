//! Every failed reply: the gateway's kind and the business kind.
//!
//! Clients tell them apart by the HTTP status. A *gateway* error is 4xx or 5xx
//! with a word as Code, and every field is text (an integer there makes the old
//! Go SDK panic, K9). A *business* error is HTTP 200 with the integer Code 601
//! and the reason in Message (R9). This is the only type that knows status
//! codes; `reply` writes it out.

use std::time::Duration;

use http::StatusCode;

use super::{
    input::{is_hidden, parameter, with_names},
    signature::SignatureRefusal,
};
use domain::{
    Rejection,
    rejection::{Invalid, said, shortened, shown},
};

/// The integer Code of every business error that clients know.
pub const BUSINESS_CODE: i32 = 601;

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// Refused before any business: credentials, routing, form of parameters.
    Gateway {
        /// HTTP status, 4xx or 5xx.
        status: StatusCode,
        code: String,
        /// What a person reads.
        message: String,
        /// How long the client should wait before it tries again, if that helps.
        wait: Option<Duration>,
    },
    /// Refused by a rule about applications, orders, versions or the cluster.
    Business {
        /// Which rule, in a word, for the log: the message may quote parameters.
        reason: String,
        /// What a person reads.
        message: String,
        /// The value that a use case refused, if that is it: its parameter has another name in
        /// some operations ([`ApiError::of_operation`]).
        refused: Option<Box<Invalid>>,
    },
}

impl ApiError {
    fn gateway(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Gateway { status, code: code.into(), message: message.into(), wait: None }
    }

    /// A business error with this message; `reason` is a word for the log.
    pub fn business(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Business { reason: reason.into(), message: message.into(), refused: None }
    }

    /// A value that a use case refused, in the words of an operation.
    fn of_input(operation: &str, why: Invalid) -> Self {
        Self::Business {
            reason: format!("Invalid{}", parameter(operation, why.input)),
            message: format!(
                "parameter {}",
                with_names(&why.told(|input| parameter(operation, input)))
            ),
            refused: Some(why.into()),
        }
    }

    /// A business error: a parameter has a value that is not allowed. What is long is cut, and
    /// what may be secret is not shown.
    pub fn refused(parameter: &str, value: impl ToString, allowed: impl Into<String>) -> Self {
        let message = refusal(parameter, value, &allowed.into());
        Self::business(format!("Invalid{}", shortened(parameter)), message)
    }

    /// The same error in the words of an operation.
    #[must_use]
    pub fn of_operation(self, operation: &str) -> Self {
        match self {
            Self::Business { refused: Some(why), .. } => Self::of_input(operation, *why),
            error => error,
        }
    }

    /// A required parameter is absent or empty.
    #[must_use]
    pub fn missing(parameter: &str) -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            format!("Missing{parameter}"),
            format!("{parameter} is mandatory for this action."),
        )
    }

    /// A parameter cannot be read; `allowed` says what can be.
    #[must_use]
    pub fn invalid(parameter: &str, value: &str, allowed: &str) -> Self {
        let why = refusal(parameter, value, allowed);
        let message = format!("Specified parameter {parameter} is not valid: {why}.");
        Self::gateway(StatusCode::BAD_REQUEST, format!("Invalid{parameter}"), message)
    }

    /// The query or form as a whole cannot be read.
    #[must_use]
    pub fn unreadable(message: &str) -> Self {
        Self::gateway(StatusCode::BAD_REQUEST, "InvalidParameter", message)
    }

    /// The caller may not do this.
    #[must_use]
    pub fn forbidden(action: &str, resource: Option<&str>) -> Self {
        let resource = resource.unwrap_or("any resource");
        let message = format!(
            "User not authorized to operate on the specified resource: the policies of the access key do not allow {action} on {resource}."
        );
        Self::gateway(StatusCode::FORBIDDEN, "Forbidden.RAM", message)
    }

    /// The access key may not be used from this address.
    #[must_use]
    pub fn forbidden_network() -> Self {
        let message = "User not authorized to operate on the specified resource: the access key may not be used from your address.";
        Self::gateway(StatusCode::FORBIDDEN, "Forbidden.RAM", message)
    }

    /// No operation has this method and path (K12: JSON, never a redirect).
    #[must_use]
    pub fn not_found() -> Self {
        Self::gateway(
            StatusCode::NOT_FOUND,
            "InvalidApi.NotFound",
            "Specified api is not found, please check your url and method.",
        )
    }

    /// The request line is longer than `limit` bytes; `longest` names the
    /// parameter that takes most of it.
    #[must_use]
    pub fn line_too_long(limit: usize, longest: &str, shown: &str) -> Self {
        let why = refusal(
            longest,
            shown,
            &format!("method, path and all parameters together may have {limit} bytes"),
        );
        Self::gateway(
            StatusCode::URI_TOO_LONG,
            "RequestLineTooLong",
            format!("The request line has more than {limit} bytes. Its longest parameter: {why}."),
        )
    }

    /// The body is longer than `limit` bytes.
    #[must_use]
    pub fn body_too_long(limit: usize) -> Self {
        Self::gateway(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestBodyTooLong",
            format!(
                "The request body has more than {limit} bytes, which is the most that is accepted."
            ),
        )
    }

    /// The body could not be read to its end.
    #[must_use]
    pub fn body_cut_off() -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            "InvalidBody",
            "The request body could not be read to its end.",
        )
    }

    /// Something of ours failed; the log says what.
    #[must_use]
    pub fn internal() -> Self {
        let message = "The request could not be served because of an error of the server. Its log has more under this RequestId.";
        Self::gateway(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Trying again later may help.
    #[must_use]
    pub fn unavailable(message: &str) -> Self {
        Self::gateway(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// More requests came with one access key than may; `wait` until the next.
    #[must_use]
    pub fn too_many_of_key(wait: Duration) -> Self {
        Self::gateway(
            StatusCode::BAD_REQUEST,
            "Throttling.User",
            "Request was denied due to user flow control.",
        )
        .after(wait)
    }

    /// More requests came from one address than may; `wait` until the next.
    #[must_use]
    pub fn too_many_of_peer(wait: Duration) -> Self {
        let message = "Request was denied due to request throttling: too many requests come from your address.";
        Self::gateway(StatusCode::BAD_REQUEST, "Throttling", message).after(wait)
    }

    /// More requests with a wrong key or signature came from one address than may; `wait` until the next.
    #[must_use]
    pub fn too_many_failures(wait: Duration) -> Self {
        let message = "Request was denied due to request throttling: too many requests with a wrong access key or signature come from your address.";
        Self::gateway(StatusCode::BAD_REQUEST, "Throttling", message).after(wait)
    }

    /// One address has more connections than may be; `wait` until the next.
    #[must_use]
    pub fn too_many_connections(wait: Duration) -> Self {
        let message = "Request was denied due to request throttling: your address has as many connections as one may have.";
        Self::gateway(StatusCode::SERVICE_UNAVAILABLE, "Throttling", message).after(wait)
    }

    /// The same, for a client that should wait before it tries again.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        if let Self::Gateway { wait, .. } = &mut self {
            *wait = Some(time);
        }
        self
    }

    /// How long the client should wait before it tries again, if that helps.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Gateway { wait, .. } => *wait,
            Self::Business { .. } => None,
        }
    }

    /// The code word, or for a business error the rule that said no: what the log holds.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Gateway { code, .. } => code,
            Self::Business { reason, .. } => reason,
        }
    }

    /// Whether the caller is known, and may not do this.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.status() == StatusCode::FORBIDDEN
    }

    /// HTTP status of the reply.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Gateway { status, .. } => *status,
            Self::Business { .. } => StatusCode::OK,
        }
    }
}

/// Parameter, value and what is allowed.
fn refusal(parameter: &str, value: impl ToString, allowed: &str) -> String {
    let value = shown(value, is_hidden(parameter));
    format!("parameter {} has the value {value}: {}", shortened(parameter), said(allowed))
}

impl From<SignatureRefusal> for ApiError {
    fn from(refusal: SignatureRefusal) -> Self {
        let (status, code) = refusal.code();
        Self::gateway(status, code, refusal.to_string())
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let reason = match &rejection {
            Rejection::NonceUsed => return SignatureRefusal::NonceUsed.into(),
            Rejection::Invalid(why) => return Self::of_input("", why.clone()),
            Rejection::NotAllowed { action, resource } => {
                return Self::forbidden(action, resource.as_deref());
            }
            Rejection::UnknownPrincipal(_) => "UnknownPrincipal".into(),
            Rejection::UnknownPolicy(_) => "UnknownPolicy".into(),
            Rejection::UnknownHoldRule(_) => "UnknownHoldRule".into(),
            Rejection::UnknownChannel(_) => "UnknownChannel".into(),
            Rejection::UnknownApplication(_) => "UnknownApplication".into(),
            Rejection::UnknownOrder(_) => "UnknownOrder".into(),
            Rejection::UnknownBatch(_) => "UnknownBatch".into(),
            Rejection::UnknownVersion { .. } => "UnknownVersion".into(),
            Rejection::UnknownCluster(_) => "UnknownCluster".into(),
            Rejection::UnknownKey(_) | Rejection::NoSuchKey(_) => "UnknownKey".into(),
            Rejection::NoSession => "NoSession".into(),
            Rejection::UnknownConfigTemplate(_) => "UnknownConfigTemplate".into(),
            Rejection::RemovedCluster(_) => "RemovedCluster".into(),
            Rejection::ClusterInUse { .. } => "ClusterInUse".into(),
            Rejection::UnknownRegion(_) => "UnknownRegion".into(),
            Rejection::RegionInUse { .. } => "RegionInUse".into(),
            Rejection::NoPackageStore => "NoPackageStore".into(),
            Rejection::TooManyCredentials { .. } => "TooManyCredentials".into(),
            Rejection::NameTaken { .. } => "NameTaken".into(),
            Rejection::OrderRunning { .. } => "OrderRunning".into(),
            Rejection::WrongState { .. } => "WrongState".into(),
            Rejection::WrongApplicationState { .. } => "WrongApplicationState".into(),
            Rejection::UnknownPrecheck { .. } => "UnknownPrecheck".into(),
            Rejection::NoDeployment { .. } => "NoDeployment".into(),
            Rejection::Unseen(_) => "Unseen".into(),
            Rejection::Unwritten(_) => "Unwritten".into(),
            Rejection::Undecided { .. } => "Undecided".into(),
            Rejection::ClusterRefused(_) => "ClusterRefused".into(),
            Rejection::CannotWork { subject, .. } => format!("Precheck{subject}"),
        };
        Self::business(reason, with_names(&rejection.to_string()))
    }
}
