//! The keyring of tests.

use store::Keyring;

/// As a program gets it from its environment. The key is 32 zeros.
pub const TEXT: &str = "sluice-key:0abe64bb909c4d71:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The same, read.
pub fn keyring() -> Keyring {
    TEXT.parse().unwrap()
}
