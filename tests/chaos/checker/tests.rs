//! Each violation is found.
