//! What the texts about access keys, principals and policies must look like.

use super::{FILTER, Form};

const PATTERNS: Form = Form::Word(&["De Fault", "a/b", "a?b"]);

pub(super) const FORMS: &[(&str, Form)] = &[
    ("AccessKey", Form::Id),
    ("After", Form::Any("a name behind which the list goes on, which nothing need have")),
    ("Application", PATTERNS),
    ("Networks", Form::Word(&["10.0.0.0/33", "web", "10.0.0.1,web", "::ffff:10.0.0.0/112"])),
    ("PodSecurity", Form::Word(&["none", "Baseline "])),
    ("Policy", Form::Id),
    (
        "PolicyDocument",
        Form::Json(&[
            r#"{"Version":"1"}"#,
            r#"{"Version":"2","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"1","Statement":[]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"Allow","NotAction":"*","Resource":"*"}]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"edas:Fly","Resource":"*"}]}"#,
        ]),
    ),
    ("Principal", Form::Id),
    ("Registries", Form::Word(&["a b", "a?b", "ü"])),
    ("Role", Form::Word(&["root", "Admin "])),
    ("Schemes", Form::Word(&["md5", "ACS3", "hmac-sha1,md5"])),
    ("ServiceAccounts", Form::Word(&["a b", "a?b", "ü"])),
];

/// Where a parameter means something else.
pub(super) const ELSEWHERE: &[(&str, &str, Form)] = &[
    ("AttachPolicy", "Namespace", PATTERNS),
    ("CreateAccessKey", "Name", Form::Text),
    ("CreateAccessKey", "Namespace", PATTERNS),
    ("CreateAccessKey", "Principal", Form::Text),
    ("CreatePolicy", "Name", Form::Word(&["A B", "x/y", "reader", "admin"])),
    ("CreatePrincipal", "Name", Form::Text),
    ("DetachPolicy", "Namespace", PATTERNS),
    ("ListAccessKeys", "Principal", FILTER),
];
