//! The commands about the record of who did what.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write as _,
    iter,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail};
use audit::{Signer, Verifier};
use jiff::SignedDuration;
use package::Objects;
use service::{AuditLog, CheckpointsTo};
use sluice::config::{AuditCommand, AuditServing, CheckpointsTarget};

use crate::process::{connect_checked, print, without_requests};

/// Longest file of a key or a checkpoint in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

pub(crate) async fn audit(command: AuditCommand) -> Result<()> {
    match command {
        AuditCommand::Key { name, to } => {
            let (secret, public) = audit::create_key(&name)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&to)
                .with_context(|| to.display().to_string())?;
            file.write_all(format!("{secret}\n").as_bytes())?;
            print(&public)
        }
        AuditCommand::Export { to, database } => {
            let store = connect_checked(&database).await?;
            let service = without_requests(store, String::new().into(), String::new());
            let entries = service.export_audit_log(&to).await?;
            print(&format!("{entries} entries are in {}", to.display()))
        }
        AuditCommand::Verify { folder, key, checkpoint } => {
            let verifier = Verifier::new(&key)?;
            let kept = checkpoint.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
            let kept: Vec<Vec<u8>> = kept.into_iter().map(String::into_bytes).collect();
            let found = audit::verify(&folder, &verifier, &kept)?;
            let behind = match found.unsigned {
                0 => String::new(),
                more => format!("; {more} more came after the newest checkpoint"),
            };
            print(&format!(
                "{} entries are as they were signed, by {} checkpoints{behind}",
                found.signed, found.checkpoints
            ))
        }
    }
}

/// How the record is kept.
pub(crate) fn log_settings(settings: &AuditServing) -> Result<AuditLog> {
    let signer = match &settings.audit_key_file {
        None => None,
        Some(path) => {
            let mode = fs::metadata(path).with_context(|| path.display().to_string())?;
            if mode.permissions().mode() & 0o037 != 0 {
                bail!(
                    "{}: others can read it, or its group can write it: chmod 600",
                    path.display()
                );
            }
            let key = Signer::new(&read(path)?);
            Some(key.map_err(|why| anyhow!("{}: {why}", path.display()))?)
        }
    };
    Ok(AuditLog {
        signer,
        to: match &settings.audit_checkpoints {
            CheckpointsTarget::Log => CheckpointsTo::Log,
            CheckpointsTarget::Folder(folder) => CheckpointsTo::Folder(folder.clone()),
            CheckpointsTarget::Bucket(place) => {
                // A bucket with object lock takes nothing without a checksum.
                let checksum = ("AWS_CHECKSUM_ALGORITHM".to_owned(), "SHA256".to_owned());
                let settings = iter::once(checksum).chain(env::vars());
                let named = || format!("--audit-checkpoints {place}");
                CheckpointsTo::Bucket(Objects::open(place, settings).with_context(named)?)
            }
        },
        every: SignedDuration::try_from(settings.audit_checkpoint_every)
            .context("--audit-checkpoint-every")?,
    })
}

fn read(path: &Path) -> Result<String> {
    let named = || path.display().to_string();
    if fs::metadata(path).with_context(named)?.len() > LONGEST_FILE {
        bail!("{}: is longer than {LONGEST_FILE} bytes", path.display());
    }
    fs::read_to_string(path).with_context(named)
}
