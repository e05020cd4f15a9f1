//! The trace that a sender names in a header.

use domain::{TraceParent, limits::LINE};

use crate::entry::{Entry, accepted, refused, text_job};

const READ: &[&str] = &["domain::trace::TraceParent::read"];

const GIVEN: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-";

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("a trace of a later version that says much more", READ, LINE, |n| {
            text_job(format!("01-{GIVEN}{}", "f".repeat(n)), |text| {
                TraceParent::read(text).is_some()
            })
        }),
        refused("a trace that is far too long", READ, LINE, |n| {
            text_job(format!("00-{GIVEN}{}", "f".repeat(n)), |text| {
                TraceParent::read(text).is_some()
            })
        }),
    ]
}
