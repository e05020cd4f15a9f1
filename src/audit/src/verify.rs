//! Verifying an export: its entries against its hashes, and those against the checkpoints.

use std::{
    collections::HashSet,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use thiserror::Error;
use tlog_tiles::{tile::Tile, tlog::record_hash};

use crate::{
    CHECKPOINTS, ENTRIES, Hash, Head, NoteError, Tree, TreeError, Verifier,
    export::{HEIGHT, path_of},
};

/// Longest line of an export in bytes: six texts, escaped, and three digests.
const LONGEST_LINE: u64 = 64 * 1024;

/// Hashes in a whole tile.
const TILE: usize = 1 << HEIGHT;

/// What is wrong with a log. Places count from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The entry at a place is another one than was put on record.
    Altered { place: u64, id: String },
    /// The entry that belongs at a place is missing.
    Dropped { place: u64 },
    /// The entry at a place belongs at another one.
    Moved { place: u64, id: String },
    /// The entry at a place was never put on record.
    Added { place: u64, id: String },
    /// Entries and hashes agree, but are not those that were signed: one of these places was
    /// altered, together with its hash.
    NotSigned { from: u64, until: u64 },
}

impl Fault {
    /// The first place that it may be about.
    #[must_use]
    pub fn place(&self) -> u64 {
        match self {
            Self::Altered { place, .. }
            | Self::Dropped { place }
            | Self::Moved { place, .. }
            | Self::Added { place, .. } => *place,
            Self::NotSigned { from, .. } => *from,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { place, id } => {
                write!(formatter, "the entry at place {place} (id {id}) was altered")
            }
            Self::Dropped { place } => {
                write!(formatter, "the entry that belongs at place {place} is missing")
            }
            Self::Moved { place, id } => {
                write!(formatter, "the entry at place {place} (id {id}) belongs at another place")
            }
            Self::Added { place, id } => {
                write!(formatter, "the entry at place {place} (id {id}) was put in later")
            }
            Self::NotSigned { from, until } => write!(
                formatter,
                "the places {from} to {until} are not what was signed: an entry was altered together with its hash"
            ),
        }
    }
}

/// What was found to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Entries that a checkpoint vouches for.
    pub signed: u64,
    /// Entries behind them, which no checkpoint vouches for yet.
    pub unsigned: u64,
    /// Checkpoints that were compared.
    pub checkpoints: usize,
}

/// Why a log cannot be verified, or is not right.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// A file is none of an export.
    #[error("{0}: {1}")]
    Form(PathBuf, &'static str),
    /// A checkpoint is not believed.
    #[error("checkpoint {0}: {1}")]
    Checkpoint(usize, NoteError),
    /// There is no checkpoint to compare with.
    #[error("there is no checkpoint: nothing vouches for the entries")]
    NoCheckpoint,
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The first place that is not right.
    #[error("{0}")]
    Fault(Fault),
}

/// Verifies the export in a folder. `kept` are checkpoints that were kept elsewhere: they are
/// compared as well, so that nobody can take away the newest of the folder.
///
/// # Errors
/// [`VerifyError`], which names the first place that is not right.
pub fn verify(
    folder: &Path,
    verifier: &Verifier,
    kept: &[Vec<u8>],
) -> Result<Verified, VerifyError> {
    let mut heads = Vec::new();
    for (number, note) in notes(&folder.join(CHECKPOINTS))?.iter().chain(kept).enumerate() {
        let head = verifier.open(note).map_err(|why| VerifyError::Checkpoint(number, why))?;
        heads.push(head);
    }
    heads.sort_unstable_by_key(|head| head.size);
    let newest = heads.last().ok_or(VerifyError::NoCheckpoint)?.size;
    let lines = Lines::of(&folder.join(ENTRIES))?.read()?;
    let hashes = hashes(folder, lines.len().max(usize::try_from(newest).unwrap_or(usize::MAX)))?;
    let faults = [by_line(&lines, &hashes), by_head(&hashes, &heads)?];
    match faults.into_iter().flatten().min_by_key(Fault::place) {
        Some(fault) => Err(VerifyError::Fault(fault)),
        None => Ok(Verified {
            signed: newest,
            unsigned: lines.len() as u64 - newest,
            checkpoints: heads.len(),
        }),
    }
}

/// The first place at which a line is not that of the hash.
fn by_line(lines: &[(Hash, String)], hashes: &[Hash]) -> Option<Fault> {
    let hash = |place: usize| lines.get(place).map(|(hash, _)| hash);
    let at = (0..lines.len().max(hashes.len()))
        .find(|place| hash(*place).is_none() || hash(*place) != hashes.get(*place))?;
    let place = at as u64;
    let Some((found, id)) = lines.get(at) else { return Some(Fault::Dropped { place }) };
    let id = id.clone();
    if id.is_empty() || hashes.get(at + 1) == Some(found) {
        return Some(Fault::Dropped { place });
    }
    if at >= hashes.len() || hash(at + 1) == hashes.get(at) {
        return Some(Fault::Added { place, id });
    }
    let known: HashSet<&Hash> = hashes.iter().collect();
    Some(if known.contains(found) {
        Fault::Moved { place, id }
    } else {
        Fault::Altered { place, id }
    })
}

/// The first places at which the hashes are not those that a checkpoint vouches for.
fn by_head(hashes: &[Hash], heads: &[Head]) -> Result<Option<Fault>, TreeError> {
    let mut tree = Tree::default();
    let mut good = 0;
    for head in heads {
        while tree.size() < head.size {
            match hashes.get(usize::try_from(tree.size()).unwrap_or(usize::MAX)) {
                Some(hash) => tree.add_hash(*hash)?,
                None => return Ok(Some(Fault::Dropped { place: tree.size() })),
            }
        }
        if tree.root()? != head.root {
            let until = head.size.saturating_sub(1);
            return Ok(Some(Fault::NotSigned { from: good, until }));
        }
        good = head.size;
    }
    Ok(None)
}

fn notes(path: &Path) -> Result<Vec<Vec<u8>>, VerifyError> {
    let wrong = || VerifyError::Form(path.to_owned(), "is not a file of checkpoints");
    let mut notes = Vec::new();
    for line in Lines::of(path)? {
        let note: String = serde_json::from_slice(&line?).map_err(|_| wrong())?;
        notes.push(note.into_bytes());
    }
    Ok(notes)
}

/// The hashes of the leaves, as far as there are tiles, at most `most`.
fn hashes(folder: &Path, most: usize) -> Result<Vec<Hash>, VerifyError> {
    let mut hashes = Vec::new();
    for number in 0..=most / TILE {
        let whole = Tile::new(HEIGHT, 0, number as u64, TILE as u32, false);
        let found = match read(&folder.join(path_of(&whole)))? {
            Some(found) => found,
            None => match widest(folder, number as u64)? {
                Some(found) => found,
                None => break,
            },
        };
        hashes.extend(found.as_chunks::<32>().0);
        if found.len() < TILE * 32 {
            break;
        }
    }
    Ok(hashes)
}

/// The widest part of a tile that is not whole.
fn widest(folder: &Path, number: u64) -> Result<Option<Vec<u8>>, VerifyError> {
    for width in (1..TILE as u32).rev() {
        let part = Tile::new(HEIGHT, 0, number, width, false);
        if let Some(found) = read(&folder.join(path_of(&part)))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, VerifyError> {
    let mut found = Vec::new();
    match File::open(path) {
        Ok(file) => {
            file.take((TILE * 32) as u64)
                .read_to_end(&mut found)
                .map_err(|error| VerifyError::File(path.to_owned(), error))?;
            Ok(Some(found))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(VerifyError::File(path.to_owned(), error)),
    }
}

/// The lines of a file, none longer than [`LONGEST_LINE`].
struct Lines {
    path: PathBuf,
    file: BufReader<File>,
}

impl Lines {
    fn of(path: &Path) -> Result<Self, VerifyError> {
        let file = File::open(path).map_err(|error| VerifyError::File(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file) })
    }

    /// The hash and the id of each entry; no id where the line is empty.
    fn read(self) -> Result<Vec<(Hash, String)>, VerifyError> {
        let read = |line: Result<Vec<u8>, VerifyError>| {
            let line = line?;
            let id = serde_json::from_slice::<serde_json::Value>(&line)
                .map_or_else(|_| "?".to_owned(), |entry| entry["id"].to_string());
            Ok((record_hash(&line).0, if line.is_empty() { String::new() } else { id }))
        };
        self.map(read).collect()
    }
}

impl Iterator for Lines {
    type Item = Result<Vec<u8>, VerifyError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match (&mut self.file).take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.pop_if(|last| *last == b'\n').is_some() => Some(Ok(line)),
            Ok(_) if (line.len() as u64) < LONGEST_LINE => Some(Ok(line)),
            Ok(_) => Some(Err(VerifyError::Form(self.path.clone(), "has a line that is too long"))),
            Err(error) => Some(Err(VerifyError::File(self.path.clone(), error))),
        }
    }
}

#[cfg(test)]
mod tests;
