//! Checkpoints: the size and the hash of the tree, signed.

use rand_core::OsRng;
use signed_note::{
    Note, Signer as _, StandardSigner, StandardVerifier, VerifierList, is_key_name_valid,
};
use thiserror::Error;
use tlog_tiles::{checkpoint::Checkpoint, tlog};

use crate::Hash;

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It has another form.
    #[error("is not a signing key of a log, as `sluice audit key` writes one")]
    Signing,
    /// It has another form.
    #[error("is not the public key of a log, as `sluice audit key` prints one")]
    Public,
    /// It cannot be the name of a log.
    #[error("the name of a log must not be empty, nor have blanks or '+'")]
    Name,
}

/// Why a checkpoint is not believed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum NoteError {
    /// It cannot be read.
    #[error("the checkpoint cannot be read")]
    Form,
    /// Its signature is missing, or not of this key.
    #[error("the checkpoint is not signed with this key")]
    Signature,
}

/// The size and the hash of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    pub root: Hash,
}

/// A new key for a log of this name: the signing key, which is secret, and the public one.
///
/// # Errors
/// [`KeyError::Name`].
pub fn create_key(name: &str) -> Result<(String, String), KeyError> {
    if !is_key_name_valid(name) {
        return Err(KeyError::Name);
    }
    Ok(signed_note::generate_key(&mut OsRng, name))
}

/// Signs checkpoints.
#[derive(Clone)]
pub struct Signer(StandardSigner);

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Signer").field(&self.0.name()).finish()
    }
}

impl Signer {
    /// The signer with this key.
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn new(key: &str) -> Result<Self, KeyError> {
        StandardSigner::new(key.trim()).map(Self).map_err(|_| KeyError::Signing)
    }

    /// A signed checkpoint.
    ///
    /// # Errors
    /// [`KeyError::Signing`] where the key cannot sign.
    pub fn sign(&self, head: Head) -> Result<String, KeyError> {
        let signed = || {
            let checkpoint =
                Checkpoint::new(self.0.name(), head.size, tlog::Hash(head.root), "").ok()?;
            let mut note = Note::new(&checkpoint.to_bytes(), &[]).ok()?;
            note.add_sigs(&[&self.0]).ok()?;
            String::from_utf8(note.to_bytes()).ok()
        };
        signed().ok_or(KeyError::Signing)
    }
}

/// Opens checkpoints that were signed with one key.
#[derive(Debug, Clone)]
pub struct Verifier(String);

impl Verifier {
    /// The verifier with this public key.
    ///
    /// # Errors
    /// [`KeyError::Public`].
    pub fn new(key: &str) -> Result<Self, KeyError> {
        StandardVerifier::new(key.trim()).map_err(|_| KeyError::Public)?;
        Ok(Self(key.trim().to_owned()))
    }

    /// What a signed checkpoint says.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(&self, note: &[u8]) -> Result<Head, NoteError> {
        let note = Note::from_bytes(note).map_err(|_| NoteError::Form)?;
        let key = StandardVerifier::new(&self.0).map_err(|_| NoteError::Signature)?;
        note.verify(&VerifierList::new(vec![Box::new(key)])).map_err(|_| NoteError::Signature)?;
        let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|_| NoteError::Form)?;
        Ok(Head { size: checkpoint.size(), root: checkpoint.hash().0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_believed_with_its_key_only() {
        let (secret, public) = create_key("sluice.example.com/audit").unwrap();
        let head = Head { size: 3, root: [7; 32] };
        let note = Signer::new(&secret).unwrap().sign(head).unwrap();
        let verifier = Verifier::new(&public).unwrap();
        assert_eq!(verifier.open(note.as_bytes()), Ok(head));
        let other = Verifier::new(&create_key("sluice.example.com/audit").unwrap().1).unwrap();
        assert_eq!(other.open(note.as_bytes()), Err(NoteError::Signature));
        let altered = note.replacen("\n3\n", "\n4\n", 1);
        assert_eq!(verifier.open(altered.as_bytes()), Err(NoteError::Signature));
        assert_eq!(verifier.open(b"nothing"), Err(NoteError::Form));
        assert!(create_key("a b").is_err() && Signer::new(&public).is_err());
        assert!(!format!("{:?}", Signer::new(&secret).unwrap()).contains("PRIVATE"));
    }
}
