use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;
use tlog_tiles::tlog::record_hash;

use super::*;
use crate::{Export, Signer, create_key};

struct Exported {
    folder: TempDir,
    verifier: Verifier,
    signer: Signer,
    lines: Vec<String>,
}

fn line(id: usize) -> String {
    format!(r#"{{"id":{id},"principal":"ci"}}"#)
}

/// An export of so many entries, with checkpoints at these sizes.
fn exported(size: usize, signed: &[usize]) -> Exported {
    let (secret, public) = create_key("audit").unwrap();
    let (signer, verifier) = (Signer::new(&secret).unwrap(), Verifier::new(&public).unwrap());
    let folder = TempDir::new().unwrap();
    let lines: Vec<String> = (0..size).map(line).collect();
    let mut export = Export::begin(folder.path()).unwrap();
    let mut tree = Tree::default();
    let mut notes = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        export.add(line.as_bytes(), record_hash(line.as_bytes()).0).unwrap();
        tree.add(line.as_bytes()).unwrap();
        if signed.contains(&(place + 1)) {
            let head = Head { size: tree.size(), root: tree.root().unwrap() };
            notes.push(signer.sign(head).unwrap());
        }
    }
    assert_eq!(export.finish(&notes).unwrap(), size as u64);
    Exported { folder, verifier, signer, lines }
}

impl Exported {
    fn verify(&self) -> Result<Verified, VerifyError> {
        verify(self.folder.path(), &self.verifier, &[])
    }

    fn fault(&self) -> Fault {
        match self.verify() {
            Err(VerifyError::Fault(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    fn write(&self, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.folder.path().join(ENTRIES), text).unwrap();
    }
}

#[test]
fn what_was_not_touched_is_right_and_says_how_far_it_is_signed() {
    for (size, signed) in [(1, vec![1]), (5, vec![2, 4]), (256, vec![256]), (600, vec![1, 599])] {
        let newest = *signed.last().unwrap() as u64;
        assert_eq!(
            exported(size, &signed).verify().unwrap(),
            Verified { signed: newest, unsigned: size as u64 - newest, checkpoints: signed.len() }
        );
    }
}

#[test]
fn without_a_checkpoint_nothing_vouches() {
    assert!(matches!(exported(3, &[]).verify(), Err(VerifyError::NoCheckpoint)));
}

#[test]
fn a_checkpoint_of_another_key_is_not_believed() {
    let log = exported(3, &[3]);
    let other = exported(3, &[3]);
    let found = verify(log.folder.path(), &other.verifier, &[]);
    assert!(matches!(found, Err(VerifyError::Checkpoint(0, NoteError::Signature))), "{found:?}");
}

#[test]
fn whoever_alters_the_hashes_too_is_found_by_the_checkpoints() {
    let log = exported(9, &[3, 6, 9]);
    let mut lines = log.lines.clone();
    lines[4] = line(99);
    fs::remove_dir_all(log.folder.path().join(crate::TILES)).unwrap();
    let signed = fs::read(log.folder.path().join(CHECKPOINTS)).unwrap();
    fs::remove_file(log.folder.path().join(ENTRIES)).unwrap();
    let mut export = Export::begin(log.folder.path()).unwrap();
    for line in &lines {
        export.add(line.as_bytes(), record_hash(line.as_bytes()).0).unwrap();
    }
    export.finish(&[]).unwrap();
    fs::write(log.folder.path().join(CHECKPOINTS), signed).unwrap();
    assert_eq!(log.fault(), Fault::NotSigned { from: 3, until: 5 });
}

#[test]
fn an_end_that_was_cut_off_is_found_by_a_checkpoint_that_was_kept() {
    let log = exported(9, &[4]);
    let mut tree = Tree::default();
    (0..12).for_each(|id| tree.add(line(id).as_bytes()).unwrap());
    let head = Head { size: tree.size(), root: tree.root().unwrap() };
    let kept = log.signer.sign(head).unwrap().into_bytes();
    let found = verify(log.folder.path(), &log.verifier, &[kept]);
    assert!(matches!(found, Err(VerifyError::Fault(Fault::Dropped { place: 9 }))), "{found:?}");
}

#[test]
fn a_line_without_an_end_is_not_read_for_ever() {
    let log = exported(3, &[3]);
    fs::write(log.folder.path().join(ENTRIES), vec![b'a'; 100_000]).unwrap();
    assert!(matches!(log.verify(), Err(VerifyError::Form(..))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_first_entry_that_was_touched_is_named(size in 2_usize..40, at in 0_usize..40, to in 0_usize..40, how in 0..4) {
        let (at, to) = (at % size, to % size);
        let log = exported(size, &[size]);
        let mut lines = log.lines.clone();
        let id = |place: usize| place.to_string();
        let wanted = match how {
            0 => {
                lines[at] = line(1000);
                Fault::Altered { place: at as u64, id: "1000".into() }
            }
            1 => {
                lines.remove(at);
                Fault::Dropped { place: at as u64 }
            }
            2 => {
                lines.insert(at, line(1000));
                Fault::Added { place: at as u64, id: "1000".into() }
            }
            _ if at.abs_diff(to) < 2 => return Ok(()),
            _ => {
                let (first, second) = (at.min(to), at.max(to));
                lines.swap(first, second);
                Fault::Moved { place: first as u64, id: id(second) }
            }
        };
        log.write(&lines);
        prop_assert_eq!(log.fault(), wanted);
    }
}
