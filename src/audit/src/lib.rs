//! A Merkle log over the entries of the audit: who altered, dropped or moved one later is found.
//!
//! The tree is that of RFC 6962, its hashes are stored as C2SP's `tlog-tiles` numbers them,
//! and its checkpoints are signed as `tlog-checkpoint` and `signed-note` have it, so that
//! other programs can verify them. Nothing here knows of a database.

mod checkpoint;
mod export;
mod leaf;
mod tree;
mod verify;

pub use checkpoint::{Head, KeyError, NoteError, Signer, Verifier, create_key};
pub use export::{CHECKPOINTS, ENTRIES, Export, ExportError, TILES};
pub use leaf::leaf;
pub use tree::{Tree, TreeError, root_of};
pub use verify::{Fault, Verified, VerifyError, verify};

/// A hash of the tree: SHA-256.
pub type Hash = [u8; 32];
