//! The text of an entry that its hash is taken of.

use domain::audit::{Digest, Entry};
use serde::Serialize;

/// An entry as it is exported. The order of the fields is part of the format.
#[derive(Serialize)]
struct Leaf<'a> {
    id: i64,
    at: String,
    principal: &'a str,
    key_id: &'a str,
    peer: &'a str,
    request_id: &'a str,
    source: domain::Source,
    operation: &'a str,
    object: &'a str,
    outcome: domain::audit::Outcome,
    asked: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

/// An entry as one line of JSON, without the end of the line: what its hash is taken of.
///
/// # Panics
/// Never: the fields are texts and numbers.
#[must_use]
pub fn leaf(entry: &Entry) -> Vec<u8> {
    let hex = |digest: Option<Digest>| digest.map(hex::encode);
    let new = &entry.entry;
    let leaf = Leaf {
        id: entry.id,
        at: entry.at.to_string(),
        principal: &new.principal,
        key_id: &new.key_id,
        peer: &new.peer,
        request_id: &new.request_id,
        source: new.source,
        operation: &new.operation,
        object: &new.object,
        outcome: new.outcome,
        asked: hex(new.asked),
        before: hex(new.before),
        after: hex(new.after),
    };
    serde_json::to_vec(&leaf).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use domain::audit::{NewEntry, Outcome};

    use super::*;

    #[test]
    fn the_text_of_an_entry_is_one_line_and_never_another() {
        let entry = Entry {
            id: 7,
            at: "2026-05-04T03:02:01.5Z".parse().unwrap(),
            entry: NewEntry {
                principal: "ci\n".into(),
                key_id: "sluice1".into(),
                peer: "192.0.2.1".into(),
                request_id: "r".into(),
                source: domain::Source::Api,
                operation: "edas:ScaleK8sApplication".into(),
                object: "namespace/shop/application/web".into(),
                outcome: Outcome::Done,
                asked: Some([1; 32]),
                before: None,
                after: None,
            },
        };
        let ones = "01".repeat(32);
        assert_eq!(
            String::from_utf8(leaf(&entry)).unwrap(),
            format!(
                r#"{{"id":7,"at":"2026-05-04T03:02:01.5Z","principal":"ci\n","key_id":"sluice1","peer":"192.0.2.1","request_id":"r","source":"api","operation":"edas:ScaleK8sApplication","object":"namespace/shop/application/web","outcome":"done","asked":"{ones}","before":null,"after":null}}"#
            )
        );
    }
}
