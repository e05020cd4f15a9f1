//! The engine's side of the fuzzing: libFuzzer, as cargo-fuzz has it, calls the target.
//!
//! Only with the feature `fuzz` and by `scripts/fuzz-readers`, which builds it so that the
//! engine sees which code an input reaches.

#![no_main]
#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy only knows it of the functions marked as tests"
)]
#![allow(dead_code, reason = "the tests of costs use the rest")]

mod entry;
mod measure;
mod parameter;
mod seed;
mod target;

use libfuzzer_sys::{Corpus, fuzz_target};
use test_support::sign;

fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("SLUICE_SEEDS") {
            seed::write(folder.as_ref());
        }
    },
    |data: &[u8]| -> Corpus { if target::read(data) { Corpus::Keep } else { Corpus::Reject } }
);
