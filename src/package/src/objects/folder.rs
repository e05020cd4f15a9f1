//! A folder with packages that nobody else can read.
//!
//! A package comes into a file of its own, `<name>.part`, that is open to this user
//! alone from its first moment, and gets its name when all of it is on the disk.

use std::{
    fs::{DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt,
};

use super::MARK;
use domain::{PackageId, package::upload::package_id};

/// What the name of a package ends with that is not whole.
const UNFINISHED: &str = ".part";

/// Bytes that wait to be written, at the most.
const BUFFER: usize = 256 << 10;

/// Makes the folder, for this user alone. One that is there keeps its own mode if it
/// holds anything but packages; packages in it are closed to others.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {
            close(folder)
        }
        made => made,
    }
}

fn close(folder: &Path) -> io::Result<()> {
    let mut is_ours = true;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours_too =
            name.to_str().is_some_and(|name| name == MARK || package_of(name).is_some());
        if is_ours_too && entry.file_type()?.is_file() {
            restrict(&entry.path(), 0o600);
        } else {
            is_ours = false;
        }
    }
    if is_ours {
        restrict(folder, 0o700);
    } else if std::fs::metadata(folder)?.permissions().mode() & 0o022 != 0 {
        tracing::warn!(folder = %folder.display(), "others can write into the folder with uploaded packages");
    }
    Ok(())
}

/// The name of the file that `name` comes into.
pub(super) fn unfinished(name: &str) -> String {
    format!("{name}{UNFINISHED}")
}

/// The package whose name a file's is; it may not be whole.
pub(super) fn package_of(name: &str) -> Option<PackageId> {
    let id = name.strip_suffix(UNFINISHED).unwrap_or(name);
    package_id(id)
}

/// A volume may belong to another user, who alone can change that.
pub(super) fn restrict(path: &Path, mode: u32) {
    let is_open =
        std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if is_open && let Err(error) = std::fs::set_permissions(path, Permissions::from_mode(mode)) {
        tracing::warn!(path = %path.display(), %error, "others can reach what is kept of uploaded packages, and this cannot be changed");
    }
}

/// A package that is coming. Without [`Draft::finish`] nothing of it is left.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    pub(super) async fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(unfinished(name));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).await?;
        file.set_max_buf_size(BUFFER);
        Ok(Self { file, path, target: folder.join(name) })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// Writes all of it to the disk, and gives it its name.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        tokio::fs::rename(&self.path, &self.target).await?;
        let folder = File::open(self.target.parent().unwrap_or(Path::new("."))).await?;
        folder.sync_all().await
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After it got its name there is none to take away.
        let _ = std::fs::remove_file(&self.path);
    }
}
