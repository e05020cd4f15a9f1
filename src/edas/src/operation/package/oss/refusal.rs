//! Why a request was not served, in OSS' words.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::operation::no_such_upload;
use crate::wire::error::ApiError;
use domain::package::upload::WrongParts;
use service::UploadError;

/// OSS' word for too many requests.
const LIMITED: &str = "QpsLimitExceeded";
/// Seconds after which a client that found no place may try again.
const RETRY_AFTER: u32 = 5;

/// Why a request was not served, in OSS' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OssRefusal {
    pub(in crate::operation::package::oss) status: StatusCode,
    pub(in crate::operation::package::oss) code: &'static str,
    /// Of our own words only: it is not escaped.
    pub(in crate::operation::package::oss) message: String,
    /// Seconds after which the same may succeed; none = it will not by itself.
    pub(in crate::operation::package::oss) retry_after: Option<u32>,
}

impl OssRefusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(in crate::operation::package::oss) fn denied(
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(in crate::operation::package::oss) fn internal() -> Self {
        let message = "The request could not be served because of an error of the server. Its log has more under this RequestId.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    pub(in crate::operation::package::oss) fn busy(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
        }
    }

    pub(in crate::operation::package::oss) fn too_large(most: u64) -> Self {
        let message = format!("A package may have at most {most} bytes (--package-limit).");
        Self::new(StatusCode::BAD_REQUEST, "EntityTooLarge", message)
    }
}

impl IntoResponse for OssRefusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<service::Error> for OssRefusal {
    fn from(error: service::Error) -> Self {
        tracing::error!(%error, "an upload cannot be judged");
        Self::internal()
    }
}

/// What limits say, which are the same for EDAS calls.
impl From<ApiError> for OssRefusal {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Gateway { message, wait: Some(_), .. } => Self {
                retry_after: Some(1),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, LIMITED, message)
            },
            _ => Self::internal(),
        }
    }
}

impl From<UploadError> for OssRefusal {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::TooLarge(most) => Self::too_large(most),
            UploadError::Full(full) if full.is_passing() => {
                Self::busy(format!("Try again in a moment: {full}."))
            }
            UploadError::Full(full) => Self::denied(
                "QuotaExceeded",
                format!(
                    "There is no room for this package: {full}. Packages that nothing names go by themselves."
                ),
            ),
            UploadError::Busy(most) => Self::busy(format!(
                "Try again in a moment: {most} uploads are under way, which is the most (--package-uploads)."
            )),
            UploadError::CutOff(why) => {
                tracing::info!(why, "an upload did not come to its end");
                Self::new(
                    StatusCode::BAD_REQUEST,
                    "RequestTimeout",
                    "The package did not come to its end.",
                )
            }
            UploadError::WrongDigest => Self::new(
                StatusCode::BAD_REQUEST,
                "InvalidDigest",
                "Content-MD5 is not that of what came.",
            ),
            UploadError::KeyTaken => Self::new(
                StatusCode::CONFLICT,
                "FileAlreadyExists",
                "Another package was uploaded under this key: choose another key.",
            ),
            UploadError::NoSuchUpload => no_such_upload(),
            UploadError::BeingCompleted => {
                Self::busy("Try again in a moment: the upload is just being completed.")
            }
            UploadError::WrongParts(why) => why.into(),
            UploadError::NoStore => Self::internal(),
            UploadError::Failed(why) => {
                tracing::error!(why, "the store of packages failed");
                Self::internal()
            }
            UploadError::Store(error) => {
                tracing::error!(%error, "a request failed in the database");
                Self::internal()
            }
        }
    }
}

impl From<WrongParts> for OssRefusal {
    fn from(why: WrongParts) -> Self {
        let code = match why {
            WrongParts::Order(_) => "InvalidPartOrder",
            WrongParts::Unknown(_) => "InvalidPart",
            WrongParts::Small { .. } => "EntityTooSmall",
            WrongParts::Large(_) => "EntityTooLarge",
        };
        Self::new(StatusCode::BAD_REQUEST, code, format!("{why}."))
    }
}
