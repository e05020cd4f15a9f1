//! Reads the keyring, and carries out the commands about it.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};
use sluice::config::{
    Database, KEYRING, KeyringCommand, KeyringSource, NewKeyring, VAULT_TOKEN, VaultSource,
};
use store::{Keyring, LONGEST_KEYRING};

mod vault;

use crate::process::{connect_checked, print};
use vault::{Vault, WRAPPED};

/// Bits of a file's mode with which others may read or write it, or its group write it.
/// Pods get files that their group may read.
const TOO_OPEN: u32 = 0o037;

/// Longest token for Vault, in bytes.
const LONGEST_TOKEN: usize = 8 * 1024;

/// The keyring of the settings.
pub(crate) async fn read(source: &KeyringSource) -> Result<Keyring> {
    let given = std::env::var(KEYRING).ok().filter(|text| !text.is_empty());
    let text = match (&source.keyring_file, given) {
        (Some(_), Some(_)) => {
            bail!(
                "the keyring is given twice: by --keyring-file (SLUICE_KEYRING_FILE) and by {KEYRING}"
            )
        }
        (Some(file), None) => secret_file(file, LONGEST_KEYRING)?,
        (None, Some(text)) => text.into(),
        (None, None) => bail!(
            "there is no keyring, with whose keys values are sealed in the database: give its file with --keyring-file (SLUICE_KEYRING_FILE), or itself in {KEYRING}; `sluice keyring create FILE` makes one"
        ),
    };
    let text = match text.expose_secret().contains(WRAPPED) {
        true => {
            let vault = vault_of(&source.vault)?.context(
                "the keys of the keyring are wrapped by Vault: give --vault-address (SLUICE_VAULT_ADDRESS) and --vault-key (SLUICE_VAULT_KEY)",
            )?;
            unwrapped(&vault, &text).await?
        }
        false => text,
    };
    Ok(text.expose_secret().parse()?)
}

/// The text of a keyring with each wrapped key unwrapped, line by line.
async fn unwrapped(vault: &Vault, text: &SecretString) -> Result<SecretString> {
    if text.expose_secret().len() > LONGEST_KEYRING {
        bail!(store::KeyringError::TooLong);
    }
    let mut clear = String::new();
    for line in text.expose_secret().lines() {
        let line = line.split('#').next().unwrap_or_default();
        for word in line.split_whitespace() {
            if word.starts_with(WRAPPED) {
                clear.push_str(vault.unwrap(word).await?.expose_secret());
            } else {
                clear.push_str(word);
            }
            clear.push(' ');
        }
        clear.push('\n');
    }
    Ok(clear.into())
}

fn vault_of(source: &VaultSource) -> Result<Option<Vault>> {
    let (Some(address), Some(key)) = (&source.vault_address, &source.vault_key) else {
        return Ok(None);
    };
    let token = std::env::var(VAULT_TOKEN).ok().filter(|text| !text.is_empty());
    let token = match (&source.vault_token_file, token) {
        (Some(_), Some(_)) => bail!(
            "the token for Vault is given twice: by --vault-token-file (SLUICE_VAULT_TOKEN_FILE) and by {VAULT_TOKEN}"
        ),
        (Some(file), None) => secret_file(file, LONGEST_TOKEN)?,
        (None, Some(token)) => token.into(),
        (None, None) => bail!(
            "Vault needs a token, in --vault-token-file (SLUICE_VAULT_TOKEN_FILE) or in {VAULT_TOKEN}"
        ),
    };
    let token = token.expose_secret().trim().to_owned().into();
    Ok(Some(Vault::new(address, &source.vault_mount, key, token)?))
}

/// The text of a file that others may not read.
fn secret_file(path: &Path, most: usize) -> Result<SecretString> {
    Ok(secret_file_of(path, most)?.0)
}

/// The same, and whose it is.
fn secret_file_of(path: &Path, most: usize) -> Result<(SecretString, Metadata)> {
    let unreadable = || format!("{} cannot be read", path.display());
    let file = File::open(path).with_context(unreadable)?;
    let metadata = file.metadata().with_context(unreadable)?;
    let mode = metadata.mode() & 0o777;
    if mode & TOO_OPEN != 0 {
        bail!(
            "{} has mode {mode:04o}, so others than its owner may use it: chmod 0600 it (a group may read it at most)",
            path.display()
        );
    }
    let mut text = String::new();
    let longest = u64::try_from(most).unwrap_or(u64::MAX);
    file.take(longest.saturating_add(1)).read_to_string(&mut text).with_context(unreadable)?;
    if text.len() > most {
        bail!("{} has more than {most} bytes", path.display());
    }
    Ok((text.into(), metadata))
}

pub(crate) async fn command(command: KeyringCommand) -> Result<()> {
    match command {
        KeyringCommand::Create(keyring) => {
            let line = new_line(&keyring).await?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&keyring.file)
                .with_context(|| format!("{} cannot be made", keyring.file.display()))?;
            file.write_all(line.expose_secret().as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("{} cannot be written", keyring.file.display()))?;
            print(&format!(
                "{} has a new key. Keep a copy where the database's backups are not: without it they cannot be read.",
                keyring.file.display()
            ))
        }
        KeyringCommand::Add { keyring, first } => add(&keyring, first).await,
        KeyringCommand::Rewrap(database) => {
            let done = connect_checked(&database).await?.rewrap().await?;
            print(&format!("{} values are sealed anew", done.values))
        }
        KeyringCommand::Check(database) => check(&database).await,
    }
}

/// The line of a new key, wrapped if Vault is to.
async fn new_line(keyring: &NewKeyring) -> Result<SecretString> {
    let vault = vault_of(&keyring.vault)?;
    let line = Keyring::new_line()?;
    let line = match vault {
        Some(vault) => vault.wrap(&line).await?,
        None => line.as_str().into(),
    };
    Ok(format!("{}\n", line.expose_secret()).into())
}

async fn add(keyring: &NewKeyring, first: bool) -> Result<()> {
    let given = &keyring.file;
    // A link stays one.
    let path =
        &given.canonicalize().with_context(|| format!("{} cannot be read", given.display()))?;
    let (before, whose) = secret_file_of(path, LONGEST_KEYRING)?;
    if !before.expose_secret().contains(WRAPPED) {
        before.expose_secret().parse::<Keyring>()?;
    }
    let line = new_line(keyring).await?;
    let (line, before) = (line.expose_secret(), before.expose_secret());
    let apart = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let text: SecretString =
        if first { format!("{line}{before}") } else { format!("{before}{apart}{line}") }.into();
    if text.expose_secret().len() > LONGEST_KEYRING {
        bail!(store::KeyringError::TooLong);
    }
    // Whoever reads it meanwhile gets the one before or the one after.
    let name = path.file_name().ok_or_else(|| anyhow!("{} is no file", path.display()))?;
    let beside = path.with_file_name(format!(".{}.new", name.to_string_lossy()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("{} cannot be made", beside.display()))?;
    if let Err(error) = write_like(&mut file, text.expose_secret(), &whose)
        .and_then(|()| std::fs::rename(&beside, path).map_err(Into::into))
    {
        std::fs::remove_file(&beside).ok();
        return Err(error.context(format!("{} is as it was", path.display())));
    }
    print(&format!(
        "{} has another key{}",
        given.display(),
        if first {
            ", which seals: start every program again, then run `sluice keyring rewrap`"
        } else {
            ", which opens only: start every program again, then make its line the first one"
        }
    ))
}

/// Writes a text to a file that has the owner, group and mode of another one from then on.
fn write_like(file: &mut File, text: &str, like: &Metadata) -> Result<()> {
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
        // Before anything is in it.
        fchown(&*file, Some(like.uid()), Some(like.gid())).context(
            "the file that takes its place cannot have its owner and group: run this as its owner, or as root",
        )?;
    }
    file.write_all(text.as_bytes())?;
    file.set_permissions(like.permissions())?;
    Ok(file.sync_all()?)
}

async fn check(database: &Database) -> Result<()> {
    let keyring = read(&database.keyring).await?;
    let found = connect_checked(database).await?.sealed_with().await?;
    let mut lines: Vec<String> = Vec::new();
    for (index, id) in keyring.ids().into_iter().enumerate() {
        let values = found.values.get(&id).copied().unwrap_or_default();
        let does = if index == 0 { "seals" } else { "opens" };
        let needless = if index > 0 && values == 0 { ": nothing needs it" } else { "" };
        lines.push(format!("key {id} {does}; {values} values are sealed with it{needless}"));
    }
    for (id, values) in found.values.iter().filter(|(id, _)| !keyring.has(**id)) {
        lines.push(format!("key {id} is missing; {values} values are sealed with it"));
    }
    lines.extend(found.named);
    print(&lines.join("\n"))?;
    if found.broken > 0 {
        bail!("{} values do not open", found.broken);
    }
    Ok(())
}
