//! The keyring: where its keys come from, and what is done with it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use url::Url;

use super::Database;

/// The variable that holds the keyring, if no file does. There is no flag for it: the
/// arguments of a program are shown to everybody on its machine.
pub const KEYRING: &str = "SLUICE_KEYRING";

/// The variable that holds the token for Vault, if no file does.
pub const VAULT_TOKEN: &str = "SLUICE_VAULT_TOKEN";

/// Where the keyring is.
#[derive(Debug, Clone, Args)]
pub struct KeyringSource {
    /// File with the keyring, which `sluice keyring create` makes: values that may be secret are sealed with its keys in the database. The variable SLUICE_KEYRING may hold the keyring instead.
    #[arg(long, env = "SLUICE_KEYRING_FILE")]
    pub keyring_file: Option<PathBuf>,
    /// Vault, if its Transit engine wrapped the keys of the keyring.
    #[command(flatten)]
    pub vault: VaultSource,
}

/// Vault, whose Transit engine unwraps keys.
#[derive(Debug, Clone, Args)]
pub struct VaultSource {
    /// Address of Vault, whose Transit engine unwraps the keys of the keyring once, at the start.
    #[arg(long, env = "SLUICE_VAULT_ADDRESS", requires = "vault_key")]
    pub vault_address: Option<Url>,
    /// Name of the key in Vault's Transit engine that wraps the keys of the keyring.
    #[arg(long, env = "SLUICE_VAULT_KEY", requires = "vault_address", value_parser = path_part)]
    pub vault_key: Option<String>,
    /// Path at which the Transit engine is mounted.
    #[arg(long, env = "SLUICE_VAULT_MOUNT", default_value = "transit", value_parser = path_part)]
    pub vault_mount: String,
    /// File with the token for Vault. The variable SLUICE_VAULT_TOKEN may hold the token instead.
    #[arg(long, env = "SLUICE_VAULT_TOKEN_FILE")]
    pub vault_token_file: Option<PathBuf>,
}

/// What can be done with the keyring.
#[derive(Debug, Subcommand)]
pub enum KeyringCommand {
    /// Make a keyring with a new key, in a file that only its owner may read.
    Create(NewKeyring),
    /// Add a new key to a keyring. It opens only, until its line is the first of the file.
    Add {
        /// The keyring.
        #[command(flatten)]
        keyring: NewKeyring,
        /// Make it the first one, which seals. Programs that run with the keyring of before cannot open what it seals.
        #[arg(long)]
        first: bool,
    },
    /// Seal all values of the database with the first key of the keyring.
    Rewrap(Database),
    /// Say which keys the values of the database are sealed with, and whether each opens. Fails if one does not.
    Check(Database),
}

/// A keyring's file.
#[derive(Debug, Args)]
pub struct NewKeyring {
    /// The file.
    pub file: PathBuf,
    /// Vault, if its Transit engine is to wrap the key.
    #[command(flatten)]
    pub vault: VaultSource,
}

/// A part of Vault's paths, which is sent as it is.
fn path_part(text: &str) -> Result<String, &'static str> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    let parts = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if text.len() <= 200 && parts && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("must be letters, digits, '-', '_', '.' and '/', at most 200 bytes")
    }
}
