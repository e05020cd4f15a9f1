//! A keyring: a file of the operator's, or an answer of the operator's Vault.

use store::{Keyring, LONGEST_KEYRING};

use crate::entry::{Entry, accepted, refused, text_job};

const READS: &[&str] = &["store::keyring::Keyring::from_str", "store::keyring::KeyId::from_str"];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("a keyring of one key many times", READS, LONGEST_KEYRING / 80, |n| {
            text_job(format!("{}\n", test_support::keyring::TEXT).repeat(n), read)
        }),
        refused("a keyring of comments", READS, LONGEST_KEYRING, |n| {
            text_job("#\n".repeat(n / 2), read)
        }),
        refused("a keyring of words", READS, LONGEST_KEYRING, |n| {
            text_job("a ".repeat(n / 2), read)
        }),
    ]
}

fn read(text: &str) -> bool {
    text.parse::<Keyring>().is_ok()
}
