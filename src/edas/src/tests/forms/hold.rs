//! What the texts of rules that hold orders off must look like.

use super::Form;

const PATTERNS: Form = Form::Word(&["De Fault", "a/b", "a?b"]);

pub(super) const FORMS: &[(&str, Form)] = &[
    ("Applications", PATTERNS),
    ("HeldBy", Form::Word(&["both", "Approval "])),
    ("Kinds", Form::Word(&["rollback", "Deploy", "deploy_version"])),
    ("Namespaces", PATTERNS),
    ("Periods", Form::Word(&["never", "fri 18:00", "daily 06:00/06:00", "2026-12-24/2027-01-04"])),
    ("TimeZone", Form::Word(&["Mars/Olympus", "../../etc/passwd"])),
];

/// Where a parameter means something else.
pub(super) const ELSEWHERE: &[(&str, &str, Form)] = &[
    ("CreateHoldRule", "Name", Form::Word(&["A B", "x/y", "-x"])),
    ("DeleteHoldRule", "Name", Form::Id),
];
