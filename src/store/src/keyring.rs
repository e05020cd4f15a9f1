//! The keys that values are sealed with: XChaCha20-Poly1305, with the place of the row as
//! associated data.
//!
//! Sealed bytes are a version, the key's id, a random nonce and the ciphertext. The id is a
//! digest of the key, so that a key can neither be taken for another one nor be written
//! down under a wrong id.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use rand::TryRngCore;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// The form of sealed bytes.
const VERSION: u8 = 1;

/// Bytes of a key's id.
pub(crate) const ID_BYTES: usize = 8;

/// Bytes of a nonce.
const NONCE_BYTES: usize = 24;

/// Bytes before the ciphertext.
const HEADER: usize = 1 + ID_BYTES + NONCE_BYTES;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Most keys of a keyring.
const MOST_KEYS: usize = 32;

/// Longest text of a keyring, in bytes.
pub const LONGEST_KEYRING: usize = 16 * 1024;

/// What a line of a keyring begins with.
const MARK: &str = "sluice-key";

/// What the id of a key is the digest of, before the key.
const ID_OF: &[u8] = b"sluice key id\0";

/// What the key of fingerprints is derived for.
const FINGERPRINTS: &[u8] = b"sluice fingerprints\0";

/// The id of a key. It says nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID_BYTES]);

impl KeyId {
    /// The id of the key that sealed these bytes; none = they are not sealed.
    #[must_use]
    pub fn of_sealed(sealed: &[u8]) -> Option<Self> {
        let (version, rest) = sealed.split_first()?;
        let id = rest.first_chunk::<ID_BYTES>()?;
        (*version == VERSION && sealed.len() >= HEADER).then_some(Self(*id))
    }

    /// What bytes that this key sealed begin with.
    pub(crate) fn prefix(self) -> Vec<u8> {
        [&[VERSION], self.0.as_slice()].concat()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; ID_BYTES];
        let read = hex::decode_to_slice(text, &mut id);
        read.map(|()| Self(id)).map_err(|_| "the id of a key has 16 hex digits")
    }
}

/// Why a text is no keyring. Shows nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// It has no key.
    #[error("the keyring has no key: make one with `sluice keyring create`")]
    Empty,
    /// It is longer than any keyring.
    #[error("the keyring has more than {MOST_KEYS} keys or {LONGEST_KEYRING} bytes")]
    TooLong,
    /// A line is no key.
    #[error(
        "line {line} of the keyring must be `{MARK}:<id>:<base64 of 32 bytes>`, or a comment after #"
    )]
    NoKey {
        /// Its number, from 1.
        line: usize,
    },
    /// A key has another id than the one before it.
    #[error("line {line} of the keyring: this is not the key {id}")]
    OtherKey {
        /// Its number, from 1.
        line: usize,
        /// The id that the line says.
        id: String,
    },
}

/// Why sealed bytes do not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealError {
    /// They were sealed with a key that the keyring lacks.
    #[error("the keyring lacks key {0}")]
    UnknownKey(KeyId),
    /// They are no sealed bytes, were changed, or belong to another place.
    #[error("it was changed, or sealed for another place")]
    Broken,
    /// The system has no randomness, so nothing can be sealed.
    #[error("the system has no randomness")]
    NoRandomness,
}

/// One key.
struct Key {
    id: KeyId,
    cipher: XChaCha20Poly1305,
    /// What fingerprints are made with.
    fingerprints: Zeroizing<[u8; KEY_BYTES]>,
}

impl Key {
    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let digest = Sha256::new().chain_update(ID_OF).chain_update(key).finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        let fingerprints: [u8; KEY_BYTES] = mac(key, FINGERPRINTS);
        Self {
            id: KeyId(id),
            cipher: XChaCha20Poly1305::new(key.into()),
            fingerprints: Zeroizing::new(fingerprints),
        }
    }
}

/// The keys of a program: the first one seals, and each opens what it sealed. Cheap to
/// clone.
#[derive(Clone)]
pub struct Keyring(Arc<Vec<Key>>);

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Keyring").field(&self.ids()).finish()
    }
}

impl Keyring {
    /// A new line of a keyring, with a key that nobody has.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    pub fn new_line() -> Result<Zeroizing<String>, SealError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random(key.as_mut())?;
        let id = Key::new(&key).id;
        let text = Zeroizing::new(STANDARD.encode(key.as_ref()));
        Ok(Zeroizing::new(format!("{MARK}:{id}:{}", text.as_str())))
    }

    /// The ids of its keys; the first one seals.
    #[must_use]
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(|key| key.id).collect()
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn active(&self) -> KeyId {
        // There is at least one.
        self.0.first().map_or(KeyId([0; ID_BYTES]), |key| key.id)
    }

    /// Whether it has this key.
    #[must_use]
    pub fn has(&self, id: KeyId) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    pub(crate) fn seal(&self, place: &[u8], clear: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.0.first().ok_or(SealError::Broken)?;
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let payload = Payload { msg: clear, aad: place };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| SealError::Broken)?;
        let mut bytes = Vec::with_capacity(HEADER + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&key.id.0);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    pub(crate) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let id = KeyId::of_sealed(sealed).ok_or(SealError::Broken)?;
        let key = self.0.iter().find(|key| key.id == id).ok_or(SealError::UnknownKey(id))?;
        let (header, ciphertext) = sealed.split_at(HEADER);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&header[1 + ID_BYTES..]);
        let payload = Payload { msg: ciphertext, aad: place };
        key.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Broken)
    }

    /// A digest that nobody without the key can try values out with.
    pub(crate) fn keyed_digest(&self, value: &[u8]) -> [u8; 32] {
        self.0.first().map_or([0; 32], |key| mac(&key.fingerprints, value))
    }

    /// What tells two values apart for those who know neither: nobody without the key can
    /// try values out. It begins with the key's id, since another key makes another one.
    pub(crate) fn fingerprint(&self, value: &[u8]) -> String {
        format!("{}:{}", self.active(), hex::encode(&self.keyed_digest(value)[..16]))
    }
}

impl FromStr for Keyring {
    type Err = KeyringError;

    /// Reads a keyring: a key on each line, and comments after `#`. In the environment the
    /// lines may also stand behind each other, with spaces between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LONGEST_KEYRING {
            return Err(KeyringError::TooLong);
        }
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.split('#').next().unwrap_or_default();
            for word in line.split_whitespace() {
                let no_key = || KeyringError::NoKey { line: number };
                let (id, key) = word
                    .strip_prefix(MARK)
                    .and_then(|rest| rest.strip_prefix(':'))
                    .and_then(|rest| rest.split_once(':'))
                    .ok_or_else(no_key)?;
                let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| no_key())?);
                let key: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| no_key())?;
                let said: KeyId = id.parse().map_err(|_| no_key())?;
                let key = Key::new(key);
                if key.id != said {
                    return Err(KeyringError::OtherKey { line: number, id: said.to_string() });
                }
                if keys.iter().all(|known: &Key| known.id != key.id) {
                    keys.push(key);
                }
                if keys.len() > MOST_KEYS {
                    return Err(KeyringError::TooLong);
                }
            }
        }
        if keys.is_empty() { Err(KeyringError::Empty) } else { Ok(Self(Arc::new(keys))) }
    }
}

fn random(bytes: &mut [u8]) -> Result<(), SealError> {
    rand::rngs::OsRng.try_fill_bytes(bytes).map_err(|_| SealError::NoRandomness)
}

fn mac(key: &[u8; KEY_BYTES], text: &[u8]) -> [u8; 32] {
    // A shorter key is filled up with zeros, as HMAC itself does.
    let mut block = Zeroizing::new([0; 64]);
    block[..KEY_BYTES].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new((&*block).into());
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> (Keyring, String) {
        let line = Keyring::new_line().unwrap().to_string();
        (line.parse().unwrap(), line)
    }

    #[test]
    fn sealed_bytes_open_in_their_place_alone() {
        let (keyring, _) = keyring();
        let sealed = keyring.seal(b"here", b"secret").unwrap();
        assert_eq!(keyring.open(b"here", &sealed).unwrap(), b"secret");
        assert_eq!(keyring.open(b"there", &sealed), Err(SealError::Broken));
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(keyring.seal(b"here", b"secret").unwrap(), sealed, "each has its nonce");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(keyring.open(b"here", &changed).is_err(), "byte {index}");
            assert!(keyring.open(b"here", &sealed[..index]).is_err(), "up to {index}");
        }
    }

    #[test]
    fn another_keyring_says_which_key_it_lacks() {
        let ((first, old), (second, new)) = (keyring(), keyring());
        let sealed = first.seal(b"here", b"secret").unwrap();
        assert_eq!(KeyId::of_sealed(&sealed), Some(first.active()));
        assert_eq!(second.open(b"here", &sealed), Err(SealError::UnknownKey(first.active())));
        let both: Keyring = format!("# rotated\n{new}\n{old} # of before").parse().unwrap();
        assert_eq!(both.active(), second.active());
        assert_eq!(both.open(b"here", &sealed).unwrap(), b"secret");
        let one_line: Keyring = format!("{new} {old}").parse().unwrap();
        assert_eq!(one_line.ids(), both.ids());
    }

    #[test]
    fn a_fingerprint_tells_values_apart_and_needs_the_key() {
        let ((first, _), (second, _)) = (keyring(), keyring());
        assert_eq!(first.fingerprint(b"a"), first.fingerprint(b"a"));
        assert_ne!(first.fingerprint(b"a"), first.fingerprint(b"b"));
        assert_ne!(first.fingerprint(b"a")[17..], second.fingerprint(b"a")[17..]);
    }

    #[test]
    fn a_text_that_is_no_keyring_is_refused_by_its_line_without_showing_it() {
        let (_, line) = keyring();
        let (_, other) = keyring();
        let mixed = format!("{}{}", &line[..28], &other[28..]);
        for (text, error) in [
            (String::new(), KeyringError::Empty),
            ("# nothing".into(), KeyringError::Empty),
            (format!("\n{}", &line[1..]), KeyringError::NoKey { line: 2 }),
            (line.replace('=', ""), KeyringError::NoKey { line: 1 }),
            (mixed, KeyringError::OtherKey { line: 1, id: line[11..27].into() }),
            (" ".repeat(LONGEST_KEYRING + 1), KeyringError::TooLong),
        ] {
            let refused = text.parse::<Keyring>().unwrap_err();
            assert_eq!(refused, error);
            assert!(!refused.to_string().contains(&line[28..]));
        }
        let keyring: Keyring = line.parse().unwrap();
        assert!(!format!("{keyring:?}").contains(&line[28..]), "nor does its debug form");
    }
}
