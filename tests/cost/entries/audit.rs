//! An export of the audit, which may come from anybody.

use std::{fs, sync::LazyLock};

use audit::{CHECKPOINTS, ENTRIES, Head, Signer, Verifier, create_key, verify};

use crate::entry::{Entry, refused, text_job};

/// Most bytes of a file that is tried.
const FILE: usize = 1024 * 1024;

/// A checkpoint of one entry, and the key that opens it.
static SIGNED: LazyLock<(String, Verifier)> = LazyLock::new(|| {
    let (secret, public) = create_key("audit").unwrap();
    let note = Signer::new(&secret).unwrap().sign(Head { size: 1, root: [0; 32] }).unwrap();
    (note, Verifier::new(&public).unwrap())
});

pub fn entries() -> Vec<Entry> {
    vec![
        refused("checkpoints that are none", &["audit::verify::notes"], FILE, |n| {
            text_job("\"a\"\n".repeat(n / 4), |text| is_right(text, ""))
        }),
        refused("short entries of an export", &["audit::verify::Lines::read"], FILE, |n| {
            text_job("{\"id\":1}\n".repeat(n / 9), with_entries)
        }),
        refused("an entry without an end", &["audit::verify::Lines::read"], FILE, |n| {
            text_job("[".repeat(n), with_entries)
        }),
    ]
}

fn with_entries(entries: &str) -> bool {
    is_right(&format!("{}\n", serde_json::json!(SIGNED.0)), entries)
}

fn is_right(checkpoints: &str, entries: &str) -> bool {
    let folder = tempfile::TempDir::new().unwrap();
    fs::write(folder.path().join(CHECKPOINTS), checkpoints).unwrap();
    fs::write(folder.path().join(ENTRIES), entries).unwrap();
    verify(folder.path(), &SIGNED.1, &[]).is_ok()
}
