//! Why a request's credentials are not accepted, with the documented codes.
//!
//! The texts keep the wording that SDKs compare: old Python takes the message
//! of a signature error apart at its colon and dies without one, and Java and
//! Go compare what follows with their own string to sign (K11).

use http::StatusCode;
use jiff::Timestamp;
use thiserror::Error;

/// Why a request's credentials are not accepted. Displays as the reply's message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureRefusal {
    /// No `Authorization`, or not one of the known forms.
    #[error(
        "The request signature does not conform to the standards: {reason}. server string to sign is:"
    )]
    Incomplete {
        /// What is wrong with it.
        reason: String,
    },
    /// An algorithm that is not offered here, or is switched off.
    #[error("Specified signature method {found} is not supported: use {accepted}.")]
    Method {
        /// The algorithm named.
        found: String,
        /// Those that are accepted.
        accepted: &'static str,
    },
    /// The date cannot be read.
    #[error(
        "Specified time stamp or date value is not well formatted: header {header} has the value {value:?}."
    )]
    DateFormat {
        /// The header it was read from.
        header: &'static str,
        /// Its value, cut.
        value: String,
    },
    /// The date is more than 15 minutes off.
    #[error(
        "Specified time stamp or date value is expired: signed at {signed_at}, the server's time is {now}, 15 minutes are allowed."
    )]
    DateExpired {
        /// When it was signed.
        signed_at: Timestamp,
        /// The server's time.
        now: Timestamp,
    },
    /// There is no such key.
    #[error("Specified access key is not found.")]
    UnknownKey,
    /// The key was disabled.
    #[error("Specified access key is disabled.")]
    DisabledKey,
    /// The key's time is over.
    #[error("Specified access key is disabled: its time is over.")]
    ExpiredKey,
    /// The key may not be used with this signature scheme.
    #[error("Specified signature method is not supported: the access key may not be used with it.")]
    SchemeOfKey,
    /// The signature was made with another secret, or over something else.
    #[error(
        "Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}"
    )]
    Mismatch {
        /// What should have been signed.
        string_to_sign: String,
    },
    /// The body is not the one whose digest was sent.
    #[error("Specified parameter {header} is not valid: it does not match the body.")]
    BodyDigest {
        /// The header with the digest.
        header: &'static str,
    },
    /// HMAC-SHA1 signs this request and another, different one alike (K20).
    #[error(
        "Specified parameter {parameter} is not valid: its text holds the start of another parameter ({looks_like}), \
         which HMAC-SHA1 cannot tell from the parameter itself; use ACS3-HMAC-SHA256 for this value."
    )]
    Ambiguous {
        /// The parameter whose value is ambiguous.
        parameter: String,
        /// The parameter that its value seems to hold.
        looks_like: String,
    },
    /// The form body is not covered by the signature (Tea v2 sends no Content-MD5).
    #[error(
        "The request signature does not conform to the standards: it does not cover the body, \
         send Content-MD5 or use ACS3-HMAC-SHA256. server string to sign is:"
    )]
    UnsignedBody,
    /// HMAC-SHA1 over plain HTTP, from another machine.
    #[error(
        "Your request is denied as lack of ssl protect: HMAC-SHA1 over plain HTTP is accepted from the server's own machine only. \
         To allow it, start the server with --allow-plain-hmac-sha1 (SLUICE_ALLOW_PLAIN_HMAC_SHA1=true); \
         or use HTTPS, or ACS3-HMAC-SHA256."
    )]
    PlainHmacSha1,
    /// Another request used this nonce.
    #[error("Specified signature nonce was used already.")]
    NonceUsed,
}

impl SignatureRefusal {
    /// No `Authorization` in a known form, for this reason.
    pub(in crate::wire::signature) fn incomplete(reason: impl Into<String>) -> Self {
        Self::Incomplete { reason: reason.into() }
    }

    /// The HTTP status and the code word of the reply (`docs/wire-rules.md#errors-of-the-gateway`).
    #[must_use]
    pub fn code(&self) -> (StatusCode, String) {
        let word = match self {
            Self::UnknownKey => {
                return (StatusCode::NOT_FOUND, "InvalidAccessKeyId.NotFound".into());
            }
            Self::DisabledKey | Self::ExpiredKey => "InvalidAccessKeyId.Inactive",
            Self::Incomplete { .. } | Self::UnsignedBody => "IncompleteSignature",
            // The gateway's own status is 404, which some clients take for "it is gone".
            Self::PlainHmacSha1 => "InvalidProtocol.NeedSsl",
            Self::Method { .. } | Self::SchemeOfKey => "InvalidSignatureMethod",
            Self::DateFormat { .. } => "InvalidTimeStamp.Format",
            Self::DateExpired { .. } => "InvalidTimeStamp.Expired",
            Self::Mismatch { .. } => "SignatureDoesNotMatch",
            Self::BodyDigest { header } => {
                return (StatusCode::BAD_REQUEST, format!("Invalid{header}"));
            }
            Self::Ambiguous { parameter, .. } => {
                // A name from the query: only what a code word may consist of.
                let name: String =
                    parameter.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
                return (StatusCode::BAD_REQUEST, format!("Invalid{name}"));
            }
            Self::NonceUsed => "SignatureNonceUsed",
        };
        (StatusCode::BAD_REQUEST, word.into())
    }
}
