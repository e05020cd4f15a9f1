//! What can go wrong with the database, and whether trying again helps.

use thiserror::Error;

use crate::keyring::KeyId;
use domain::Rejection;

fn named(keys: &[KeyId]) -> String {
    let ids: Vec<String> = keys.iter().map(ToString::to_string).collect();
    format!("key{} {}", if ids.len() == 1 { "" } else { "s" }, ids.join(", "))
}

/// The database could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A rule that only the database can check refuses the request.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The lease under which something was to be written is no longer held, or
    /// the order ended meanwhile: nothing was written.
    #[error("the order is no longer leased under generation {generation}")]
    Fenced {
        /// The generation that was too old.
        generation: i64,
    },
    /// A stored value does not have the form it must have.
    #[error("the stored {what} cannot be read: {why}")]
    Corrupt {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Values of the database are sealed with keys that the keyring lacks.
    #[error("the keyring lacks {}, with which values of this database are sealed", named(.0))]
    MissingKeys(Vec<KeyId>),
    /// The database's schema is newer than this program, which cannot work with it.
    #[error("the database's schema is newer (migration {0}) than this program: start a newer one")]
    NewerSchema(i64),
    /// The migrations cannot be applied.
    #[error(transparent)]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Postgres failed, or the connection to it.
    #[error("Postgres: {0}")]
    Sql(#[from] sqlx::Error),
}

impl StoreError {
    /// Whether the same call may succeed later: the connection was lost, a
    /// transaction had to give way to another, or no connection was free.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Rejected(_)
            | Self::Fenced { .. }
            | Self::Corrupt { .. }
            | Self::MissingKeys(_)
            | Self::NewerSchema(_)
            | Self::Migrate(_) => false,
            Self::Sql(
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Protocol(_)
                | sqlx::Error::Tls(_),
            ) => true,
            Self::Sql(sqlx::Error::Database(error)) => {
                // 40: transaction rollback, 53: no resources, 57: operator intervention, 08: connection,
                // 25P03: we fell silent in the middle of it.
                error.code().is_some_and(|code| {
                    ["40", "53", "57", "08", "25P03"].iter().any(|class| code.starts_with(class))
                })
            }
            Self::Sql(_) => false,
        }
    }

    /// Whether Postgres ended the transaction in favour of another one: it could not be put
    /// in a line with it (40001), or each waited for the other (40P01). Nothing of it lasts,
    /// and the same one may succeed at once. A statement that took too long is none of them.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| ["40001", "40P01"].contains(&code.as_ref()))
    }
}
