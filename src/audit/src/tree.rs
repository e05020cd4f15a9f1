//! The tree, as far as it is needed to add to it.

use std::collections::HashMap;

use thiserror::Error;
use tlog_tiles::tlog::{
    self, HashReader, record_hash, stored_hash_index, stored_hashes_for_record_hash,
    sub_tree_index, tree_hash,
};

use crate::Hash;

/// Why the tree cannot be read.
#[derive(Debug, Error)]
pub enum TreeError {
    /// A hash of it is not there.
    #[error("the hash {0} of the tree is missing")]
    Missing(u64),
    /// The library has something against it.
    #[error("the tree cannot be read: {0}")]
    Broken(String),
}

/// A tree of some size, with those of its hashes that its growth needs.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    nodes: HashMap<u64, Hash>,
    grown: Vec<(u64, Hash)>,
}

/// The library's error carries no data of ours, so what is missing is kept beside it.
pub(crate) struct Nodes<'a>(pub(crate) &'a HashMap<u64, Hash>);

impl HashReader for Nodes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let read = |index: &u64| self.0.get(index).map(|hash| tlog::Hash(*hash));
        indexes.iter().map(read).collect::<Option<Vec<_>>>().ok_or(tlog::Error::IndexesNotInTree)
    }
}

impl Tree {
    /// The numbers of the hashes that a tree of `size` leaves needs in order to grow.
    #[must_use]
    pub fn needs(size: u64) -> Vec<u64> {
        if size == 0 { Vec::new() } else { sub_tree_index(0, size, Vec::new()) }
    }

    /// A tree of `size` leaves with at least the hashes that it needs.
    ///
    /// # Errors
    /// [`TreeError::Missing`].
    pub fn new(size: u64, nodes: HashMap<u64, Hash>) -> Result<Self, TreeError> {
        match Self::needs(size).into_iter().find(|index| !nodes.contains_key(index)) {
            Some(index) => Err(TreeError::Missing(index)),
            None => Ok(Self { size, nodes, grown: Vec::new() }),
        }
    }

    /// Adds a leaf.
    ///
    /// # Errors
    /// [`TreeError::Broken`].
    pub fn add(&mut self, leaf: &[u8]) -> Result<(), TreeError> {
        self.add_hash(record_hash(leaf).0)
    }

    /// Adds a leaf by its hash.
    ///
    /// # Errors
    /// [`TreeError::Broken`].
    pub fn add_hash(&mut self, leaf: Hash) -> Result<(), TreeError> {
        let hashes =
            stored_hashes_for_record_hash(self.size, tlog::Hash(leaf), &Nodes(&self.nodes))
                .map_err(broken)?;
        let first = stored_hash_index(0, self.size);
        for (index, hash) in (first..).zip(hashes) {
            self.nodes.insert(index, hash.0);
            self.grown.push((index, hash.0));
        }
        self.size += 1;
        Ok(())
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of the whole tree.
    ///
    /// # Errors
    /// [`TreeError::Broken`].
    pub fn root(&self) -> Result<Hash, TreeError> {
        root_of(self.size, &self.nodes)
    }

    /// The hashes that were added, by their numbers.
    #[must_use]
    pub fn grown(&self) -> &[(u64, Hash)] {
        &self.grown
    }

    pub(crate) fn nodes(&self) -> &HashMap<u64, Hash> {
        &self.nodes
    }
}

/// The hash of the tree of the first `size` leaves, from the hashes that it needs.
///
/// # Errors
/// [`TreeError::Broken`].
pub fn root_of(size: u64, nodes: &HashMap<u64, Hash>) -> Result<Hash, TreeError> {
    Ok(tree_hash(size, &Nodes(nodes)).map_err(broken)?.0)
}

fn broken(error: tlog::Error) -> TreeError {
    TreeError::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hashes_are_those_of_rfc_6962() {
        let mut tree = Tree::default();
        assert_eq!(hex::encode(tree.root().unwrap()), hex::encode(tlog::EMPTY_HASH.0));
        tree.add(b"").unwrap();
        // RFC 6962's hash of a leaf without data: SHA-256 of one zero byte.
        assert_eq!(
            hex::encode(tree.root().unwrap()),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    proptest! {
        #[test]
        fn a_tree_grows_in_parts_as_in_one(leaves in prop::collection::vec(any::<[u8; 4]>(), 0..70), cut in 0_usize..70) {
            let cut = cut.min(leaves.len());
            let mut whole = Tree::default();
            leaves.iter().for_each(|leaf| whole.add(leaf).unwrap());
            let mut first = Tree::default();
            leaves[..cut].iter().for_each(|leaf| first.add(leaf).unwrap());
            let needed: HashMap<u64, Hash> = Tree::needs(first.size())
                .into_iter()
                .map(|index| (index, first.nodes()[&index]))
                .collect();
            let mut second = Tree::new(cut as u64, needed).unwrap();
            leaves[cut..].iter().for_each(|leaf| second.add(leaf).unwrap());
            prop_assert_eq!(second.root().unwrap(), whole.root().unwrap());
            let stored: Vec<_> = first.grown().iter().chain(second.grown()).copied().collect();
            prop_assert_eq!(stored, whole.grown().to_vec());
        }
    }
}
