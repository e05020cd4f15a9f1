//! Why a use case did not happen.

use thiserror::Error;

use domain::Rejection;
use store::StoreError;

/// Why a use case did not happen. Nothing was written in either case.
#[derive(Debug, Error)]
pub enum Error {
    /// The caller asked for something that is not allowed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The database could not be asked; the caller may try again.
    #[error("the database cannot be asked now")]
    Store(#[source] StoreError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Rejected(rejection) => Self::Rejected(rejection),
            other => Self::Store(other),
        }
    }
}
