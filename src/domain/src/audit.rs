//! What is on record about everything that was done: who did what to which object.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Source;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// Longest text of an entry in bytes; a longer one is cut.
pub const LONGEST_TEXT: usize = 1000;

/// What came of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was written.
    Done,
    /// The cluster or another server had something against it.
    Failed,
    /// Whoever asked may not do it, or did not prove who they are.
    Refused,
    /// Something that may hold secrets was read.
    Read,
    /// A program began to serve.
    Started,
}

/// An entry, before it is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEntry {
    /// Name of the access key or the person.
    pub principal: String,
    /// Id of the access key; empty without one.
    pub key_id: String,
    /// The address that it came from; empty without one.
    pub peer: String,
    pub request_id: String,
    pub source: Source,
    /// The action, as policies name it.
    pub operation: String,
    /// What it was done to, as policies name it.
    pub object: String,
    pub outcome: Outcome,
    /// Digest of the signed request.
    pub asked: Option<Digest>,
    /// Digest of what was there before.
    pub before: Option<Digest>,
    /// Digest of what is wanted.
    pub after: Option<Digest>,
}

impl NewEntry {
    /// The same with texts of a length that can be kept.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [
            &mut self.principal,
            &mut self.key_id,
            &mut self.peer,
            &mut self.request_id,
            &mut self.operation,
            &mut self.object,
        ] {
            text.truncate(text.floor_char_boundary(LONGEST_TEXT));
            // Postgres has no place for it in a text.
            text.retain(|letter| letter != '\0');
        }
        self
    }
}

/// An entry that is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the table; gaps are no fault.
    pub id: i64,
    /// To the microsecond.
    pub at: Timestamp,
    pub entry: NewEntry,
}
