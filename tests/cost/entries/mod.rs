//! The entries, by what is read.

mod access;
mod audit;
mod console;
mod domain;
mod hold;
mod keyring;
mod notation;
mod object;
mod params;
mod people;
mod pod;
mod signature;
mod trace;
mod value;

use crate::entry::Entry;

/// All entries.
pub fn all() -> Vec<Entry> {
    [
        access::entries(),
        audit::entries(),
        signature::entries(),
        params::entries(),
        notation::entries(),
        value::entries(),
        pod::entries(),
        object::entries(),
        domain::entries(),
        hold::entries(),
        keyring::entries(),
        console::entries(),
        people::entries(),
        trace::entries(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
