//! Publishing signed checkpoints beside the database, which whoever owns it could alter.
//!
//! A checkpoint is written once, under the size of the log. One of the same size that says
//! something else is never written over: it shows that the log was altered or restored.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use package::{KeepError, Objects};
use thiserror::Error;

/// Name of the file that has the newest checkpoint.
const NEWEST: &str = "checkpoint";

/// Name of the file that is locked while the newest checkpoint is replaced.
const LOCK: &str = ".checkpoint.lock";

/// Where signed checkpoints go beside the database.
#[derive(Debug, Clone)]
pub enum CheckpointsTo {
    /// A line of the program's log.
    Log,
    /// Files in a folder.
    Folder(PathBuf),
    /// Objects of a bucket.
    Bucket(Objects),
}

/// Why a checkpoint is not published.
#[derive(Debug, Error)]
pub enum PublishError {
    #[error("the checkpoint cannot be written: {0}")]
    File(#[from] io::Error),
    #[error("the checkpoint cannot be written to the bucket: {0}")]
    Bucket(KeepError),
    #[error(
        "{name} is there already and says something else: the log was altered, or the database restored"
    )]
    Differs { name: String },
}

/// Name of the checkpoint of a log of so many entries.
fn name_of(size: u64) -> String {
    format!("{NEWEST}-{size:020}")
}

/// Publishes the checkpoint `note` of a log of `size` entries. Any number of programs may do so
/// at once.
pub(super) async fn publish(to: &CheckpointsTo, size: u64, note: &str) -> Result<(), PublishError> {
    match to {
        CheckpointsTo::Log => {
            tracing::info!(size, checkpoint = note, "checkpoint of the audit");
            Ok(())
        }
        CheckpointsTo::Folder(folder) => {
            let (folder, note) = (folder.clone(), note.to_owned());
            tokio::task::spawn_blocking(move || write(&folder, size, &note))
                .await
                .map_err(io::Error::other)?
        }
        CheckpointsTo::Bucket(objects) => {
            let name = name_of(size);
            match objects.keep(&name, note).await {
                Ok(()) => Ok(()),
                Err(KeepError::Differs) => Err(PublishError::Differs { name }),
                Err(error @ KeepError::Store(_)) => Err(PublishError::Bucket(error)),
            }
        }
    }
}

fn write(folder: &Path, size: u64, note: &str) -> Result<(), PublishError> {
    fs::create_dir_all(folder)?;
    // Until the end of this function, for all programs that publish here.
    let lock = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK))?;
    lock.lock()?;
    let path = folder.join(name_of(size));
    match fs::read_to_string(&path) {
        Ok(there) if there == note => {}
        // Written in part when a program was killed.
        Ok(there) if note.starts_with(&there) => fs::write(&path, note)?,
        Ok(_) => return Err(PublishError::Differs { name: path.display().to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::create_new(&path)?.write_all(note.as_bytes())?;
        }
        Err(error) => return Err(error.into()),
    }
    let newest = folder.join(NEWEST);
    // Another program may have signed more meanwhile.
    if size_in(&newest).is_none_or(|there| there < size) {
        let next = folder.join(format!(".{NEWEST}.next"));
        fs::write(&next, note)?;
        fs::rename(next, newest)?;
    }
    Ok(())
}

/// How many entries the log has of which the checkpoint in a file tells: its second line.
fn size_in(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.lines().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn note(size: u64, root: &str) -> String {
        format!("test\n{size}\n{root}\n")
    }

    #[test]
    fn the_newest_checkpoint_stays_the_newest_and_none_is_written_over() {
        let folder = TempDir::new().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        write(folder.path(), 12, &note(12, "b")).unwrap();
        // By a program that was slower.
        write(folder.path(), 9, &note(9, "a")).unwrap();
        assert_eq!(read(NEWEST), note(12, "b"));
        assert_eq!(read(&name_of(9)), note(9, "a"));
        write(folder.path(), 12, &note(12, "b")).unwrap();
        let differs = write(folder.path(), 12, &note(12, "c")).unwrap_err();
        assert!(matches!(differs, PublishError::Differs { .. }), "{differs}");
        assert_eq!(read(&name_of(12)), note(12, "b"));
        // A program was killed while it wrote.
        fs::write(folder.path().join(name_of(15)), "test\n1").unwrap();
        write(folder.path(), 15, &note(15, "d")).unwrap();
        assert_eq!((read(&name_of(15)), read(NEWEST)), (note(15, "d"), note(15, "d")));
    }
}
