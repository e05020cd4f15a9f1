//! The log in a folder: entries, hashes and checkpoints, to be verified without a database.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;
use tlog_tiles::{tile::Tile, tlog};

use crate::{Hash, Tree, TreeError, tree::Nodes};

/// The entries: one line of JSON each, in the order of the log.
pub const ENTRIES: &str = "entries.jsonl";

/// The signed checkpoints, each as a line of JSON with a text.
pub const CHECKPOINTS: &str = "checkpoints.jsonl";

/// The folder of the hashes, in the tiles of C2SP's `tlog-tiles`.
pub const TILES: &str = "tile";

/// Levels of the tree in one tile.
pub(crate) const HEIGHT: u8 = 8;

/// Why a log cannot be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A file cannot be written or read.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A log that is being exported.
#[derive(Debug)]
pub struct Export {
    folder: PathBuf,
    entries: BufWriter<File>,
    tree: Tree,
}

impl Export {
    /// Begins an export into a folder, which is made where it is not there and must hold no
    /// other export.
    ///
    /// # Errors
    /// [`ExportError::File`].
    pub fn begin(folder: &Path) -> Result<Self, ExportError> {
        let in_file = |path: &Path, error| ExportError::File(path.to_owned(), error);
        std::fs::create_dir_all(folder).map_err(|error| in_file(folder, error))?;
        let path = folder.join(ENTRIES);
        let entries = File::create_new(&path).map_err(|error| in_file(&path, error))?;
        Ok(Self {
            folder: folder.to_owned(),
            entries: BufWriter::new(entries),
            tree: Tree::default(),
        })
    }

    /// Adds an entry's line, empty where it is missing, and the hash that the log has of it.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn add(&mut self, line: &[u8], hash: Hash) -> Result<(), ExportError> {
        let written = self.entries.write_all(line).and_then(|()| self.entries.write_all(b"\n"));
        written.map_err(|error| ExportError::File(self.folder.join(ENTRIES), error))?;
        Ok(self.tree.add_hash(hash)?)
    }

    /// Writes the hashes and the checkpoints, and says how many entries there are.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn finish(mut self, checkpoints: &[String]) -> Result<u64, ExportError> {
        let entries = self.folder.join(ENTRIES);
        self.entries.flush().map_err(|error| ExportError::File(entries, error))?;
        let lines: String =
            checkpoints.iter().map(|note| format!("{}\n", serde_json::json!(note))).collect();
        self.write(CHECKPOINTS, lines.as_bytes())?;
        let size = self.tree.size();
        for tile in Tile::new_tiles(HEIGHT, 0, size) {
            let data = tile.read_data(&Nodes(self.tree.nodes())).map_err(broken)?;
            self.write(&path_of(&tile), &data)?;
        }
        Ok(size)
    }

    fn write(&self, path: &str, data: &[u8]) -> Result<(), ExportError> {
        let path = self.folder.join(path);
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, data))
            .map_err(|error| ExportError::File(path, error))
    }
}

/// The path of a tile, as C2SP has it: the height is always the same there.
pub(crate) fn path_of(tile: &Tile) -> String {
    let path = tile.path();
    let rest = path.strip_prefix(&format!("{TILES}/{HEIGHT}/")).unwrap_or(&path);
    format!("{TILES}/{rest}")
}

fn broken(error: tlog::Error) -> TreeError {
    TreeError::Broken(error.to_string())
}
