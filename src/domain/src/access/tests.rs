//! Judgements over policies, by examples and by properties.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::ApplicationId;

mod guarded;

const SITE: Site<'_> = Site { region: "cn-test", cluster: "default", protected: &[] };
const RELEASE: Action = Action::RELEASE;
const READ: Action = Action::READ;

fn circumstances() -> Circumstances {
    Circumstances {
        peer: "10.1.2.3".parse().unwrap(),
        encrypted: true,
        now: "2026-11-29T00:00:00Z".parse().unwrap(),
    }
}

fn policy(statements: &str) -> Policy {
    read(&format!(r#"{{"Version":"1","Statement":[{statements}]}}"#)).unwrap()
}

fn read(text: &str) -> Result<Policy, Unreadable> {
    Policy::read(text, |_| true)
}

fn statement(effect: &str, action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#)
}

fn access(statements: &[String]) -> Access {
    Access::of([&policy(&statements.join(","))], &SITE, &circumstances())
}

fn app<'a>(namespace: &'a str, name: &'a str) -> Resource<'a> {
    Resource::Application { namespace, name, id: None }
}

#[rstest]
#[case("edas:DeployK8sApplication", "*", true)]
#[case("edas:ManageApplication", "*", true)]
#[case("EDAS:manageapplication", "*", true)]
#[case("edas:Deploy*", "*", true)]
#[case("*", "acs:edas:*:*:*", true)]
#[case("edas:ReadApplication", "*", false)]
#[case("edas:*", "acs:edas:cn-test:*:namespace/shop/application/web", true)]
#[case("edas:*", "acs:edas:cn-test:1234567:namespace/shop/application/web", true)]
#[case("edas:*", "acs:edas:default:*:namespace/shop/*", true)]
#[case("edas:*", "acs:edas::*:namespace/shop/application/w*b", true)]
#[case("edas:*", "acs:edas:cn-other:*:namespace/shop/application/web", false)]
#[case("edas:*", "acs:edas:*:*:namespace/shop/application/api", false)]
#[case("edas:*", "acs:edas:*:*:namespace/shops/application/web", false)]
#[case("edas:*", "acs:edas:*:*:namespace/shop", false)]
fn a_statement_allows_what_it_names_and_nothing_else(
    #[case] action: &str,
    #[case] resource: &str,
    #[case] allows: bool,
) {
    let access = access(&[statement("Allow", action, resource)]);
    assert_eq!(access.allows(RELEASE, &app("shop", "web")), allows);
}

#[test]
fn an_application_goes_by_its_id_too() {
    let id = ApplicationId::new();
    let named = statement("Allow", "*", &format!("acs:edas:*:*:namespace/shop/application/{id}"));
    let of = |id| Resource::Application { namespace: "shop", name: "web", id: Some(id) };
    assert!(access(std::slice::from_ref(&named)).allows(RELEASE, &of(id)));
    assert!(!access(&[named]).allows(RELEASE, &of(ApplicationId::new())));
}

#[test]
fn what_may_be_read_is_refused_and_all_else_is_hidden() {
    let access = access(&[
        statement("Allow", "edas:ReadApplication", "acs:edas:*:*:namespace/shop/*"),
        statement("Allow", "edas:*", "acs:edas:*:*:namespace/own/*"),
    ]);
    assert_eq!(access.verdict(RELEASE, &app("own", "web")), Verdict::Allowed);
    assert_eq!(access.verdict(RELEASE, &app("shop", "web")), Verdict::Refused);
    assert_eq!(access.verdict(RELEASE, &app("other", "web")), Verdict::Hidden);
    assert!(access.reaches(READ, "shop") && !access.reaches(RELEASE, "shop"));
    assert!(access.reaches(RELEASE, "own") && !access.reaches(READ, "other"));
}

#[rstest]
#[case(r#""IpAddress":{"acs:SourceIp":["10.1.0.0/16","192.0.2.1"]}"#, true)]
#[case(r#""IpAddress":{"acs:SourceIp":"10.2.0.0/16"}"#, false)]
#[case(r#""NotIpAddress":{"acs:SourceIp":"10.2.0.0/16"}"#, true)]
#[case(r#""NotIpAddress":{"acs:SourceIp":["10.2.0.0/16","10.1.2.3"]}"#, false)]
#[case(r#""Bool":{"acs:SecureTransport":"true"}"#, true)]
#[case(r#""Bool":{"acs:SecureTransport":false}"#, false)]
#[case(r#""DateLessThan":{"acs:CurrentTime":"2026-11-29T00:00:00Z"}"#, false)]
#[case(r#""DateLessThanEquals":{"acs:CurrentTime":"2026-11-29T00:00:00Z"}"#, true)]
#[case(r#""DateGreaterThan":{"acs:CurrentTime":"2026-11-28T23:59:59Z"}"#, true)]
#[case(r#""DateGreaterThanEquals":{"acs:CurrentTime":"2026-11-29T08:00:01+08:00"}"#, false)]
#[case(
    r#""Bool":{"acs:SecureTransport":"true"},"IpAddress":{"acs:SourceIp":"10.2.0.0/16"}"#,
    false
)]
fn a_statement_counts_only_where_all_its_conditions_hold(
    #[case] condition: &str,
    #[case] holds: bool,
) {
    let text =
        format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{{condition}}}}}"#);
    let access = Access::of([&policy(&text)], &SITE, &circumstances());
    assert_eq!(access.allows(READ, &app("shop", "web")), holds);
}

#[rstest]
#[case(r#"{"Version":"2","Statement":[]}"#, "Version has the value 2")]
#[case(r#"{"Version":"1","Statement":[]}"#, "Statement has the value 0 items")]
#[case(r#"{"Version":"1","Version":"1","Statement":[]}"#, "duplicate field `Version`")]
#[case(
    r#"{"Version":"1","Statement":[{"Effect":"Allow","NotAction":"*","Resource":"*"}]}"#,
    "NotAction"
)]
#[case(
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","NotResource":"*"}]}"#,
    "NotResource"
)]
#[case(
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*"}]}"#,
    "missing field `Resource`"
)]
#[case(
    r#"{"Version":"1","Statement":[{"Effect":"Perhaps","Action":"*","Resource":"*"}]}"#,
    "Effect has the value Perhaps"
)]
#[case(
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs:*","Resource":"*"}]}"#,
    "Action has the value ecs:*"
)]
#[case(
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"edas:?et","Resource":"*"}]}"#,
    "must not have ?"
)]
#[case(
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":[],"Resource":"*"}]}"#,
    "Action has the value 0 items"
)]
#[case(
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"acs:oss:*:*:x"}]}"#,
    "Resource has the value acs:oss:*:*:x"
)]
#[case(r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"acs:edas:*:somebody:namespace/a/*"}]}"#, "for the account")]
#[case(r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"acs:edas:*:*:slb/x"}]}"#, "must name a namespace/")]
#[case(r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"acs:MFAPresent":"true"}}}]}"#, "Bool acs:MFAPresent: cannot be judged here")]
#[case(r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"here"}}}]}"#, "Condition IpAddress acs:SourceIp has the value here")]
#[case(r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"acs:SecureTransport":"true"},"Bool":{"acs:SecureTransport":"false"}}}]}"#, "twice")]
fn what_cannot_be_honoured_is_refused_and_named(#[case] text: &str, #[case] says: &str) {
    let refusal = read(text).unwrap_err().to_string();
    assert!(refusal.contains(says), "{refusal}");
}

#[test]
fn a_policy_has_bounds() {
    let one = statement("Allow", "*", "*");
    let of = |count: usize| {
        format!(r#"{{"Version":"1","Statement":[{}]}}"#, vec![one.clone(); count].join(","))
    };
    assert!(read(&of(50)).is_ok());
    assert!(read(&of(51)).unwrap_err().to_string().contains("51 items"));
    assert!(read(&of(500)).unwrap_err().to_string().contains("at most 6144 bytes"));
    let long = statement("Allow", "*", &format!("acs:edas:*:*:namespace/{}", "a".repeat(300)));
    assert!(read(&format!(r#"{{"Version":"1","Statement":[{long}]}}"#)).is_err());
    assert!(read(&"[".repeat(6000)).is_err());
}

#[test]
fn a_role_is_for_its_scope_alone() {
    let access = |role: Role, namespace: &str, application: &str| {
        let scope = Scope::read(namespace, application).unwrap();
        Grant::access(&[Grant::role(role, scope)], &SITE, &circumstances()).unwrap()
    };
    let secret = Resource::Object { namespace: "shop", kind: "secret", name: "s" };
    let see_secrets = Action::new("ListK8sSecrets", Group::ReadConfig);
    let delete = Action::new("DeleteK8sApplication", Group::ManageApplication);
    let cluster = Action::new("GetK8sCluster", Group::ReadCluster);

    let reader = access(Role::Reader, "shop", "*");
    assert!(reader.allows(READ, &app("shop", "web")) && !reader.allows(READ, &app("own", "web")));
    assert!(!reader.may(RELEASE) && !reader.may(see_secrets) && reader.may(cluster));

    let deployer = access(Role::Deployer, "shop", "web-*");
    assert!(deployer.allows(RELEASE, &app("shop", "web-1")));
    assert!(!deployer.allows(RELEASE, &app("shop", "api")) && !deployer.may(delete));
    assert!(!deployer.may(see_secrets));

    let operator = access(Role::Operator, "shop", "*");
    assert!(operator.allows(delete, &app("shop", "web")) && operator.allows(see_secrets, &secret));
    assert!(!operator.allows(delete, &app("own", "web")) && !operator.may(Action::MANAGE_ACCESS));
    assert!(
        !access(Role::Operator, "shop", "web-*").may(see_secrets) || {
            !access(Role::Operator, "shop", "web-*").allows(see_secrets, &secret)
        }
    );

    let admin = access(Role::Admin, "*", "*");
    assert!(admin.allows(Action::MANAGE_ACCESS, &Resource::Shared { kind: "access", name: "x" }));
    assert_eq!(admin.filter(READ), None);
    assert!(Scope::read("shop/application", "*").is_err() && Scope::read("", "*").is_err());
}

#[test]
fn a_policy_that_cannot_be_read_leaves_nothing() {
    let broken = Attached { name: "newer".into(), document: r#"{"Version":"9"}"#.into() };
    let grants = [
        Grant::role(Role::Admin, Scope::default()),
        Grant {
            policy: Some(broken),
            role: None,
            scope: Scope::default(),
            exceptions: Exceptions::default(),
        },
    ];
    let (name, _) = Grant::access(&grants, &SITE, &circumstances()).unwrap_err();
    assert_eq!(name, "newer");
}

#[test]
fn a_grant_is_read_as_the_database_writes_it() {
    let grant: Grant = serde_json::from_str(
        r#"{"policy":null,"role":"deployer","namespace":"shop","application":"web-*"}"#,
    )
    .unwrap();
    assert_eq!(grant, Grant::role(Role::Deployer, Scope::read("shop", "web-*").unwrap()));
}

fn pattern() -> impl Strategy<Value = String> {
    "[ab*]{0,8}"
}

/// What `*` means, word for word.
fn means(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| means(rest, &text[at..])),
        Some((first, rest)) => text.first() == Some(first) && means(rest, &text[1..]),
    }
}

fn statements() -> impl Strategy<Value = Vec<String>> {
    let resource = prop_oneof![
        Just("*".to_owned()),
        "[ab*]{1,3}".prop_map(|it| format!("acs:edas:*:*:namespace/{it}/*")),
        "[ab*]{1,3}".prop_map(|it| format!("acs:edas:*:*:namespace/a/application/{it}")),
    ];
    let action = prop_oneof![
        Just("*"),
        Just("edas:ManageApplication"),
        Just("edas:ReadApplication"),
        Just("edas:Deploy*")
    ];
    let one = (any::<bool>(), action, resource).prop_map(|(allows, action, resource)| {
        statement(if allows { "Allow" } else { "Deny" }, action, &resource)
    });
    prop::collection::vec(one, 1..6)
}

proptest! {
    #[test]
    fn a_pattern_fits_what_its_stars_mean(pattern in pattern(), text in "[ab]{0,8}") {
        prop_assert_eq!(Pattern::new(pattern.as_str()).fits(&text), means(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn what_may_fit_below_is_what_fits_with_some_end(pattern in "[ab*]{0,5}", start in "[ab]{0,4}") {
        let ends = (0..=5).flat_map(|length: u32| (0..2_u32.pow(length)).map(move |bits| {
            (0..length).map(|at| if bits >> at & 1 == 1 { 'a' } else { 'b' }).collect::<String>()
        }));
        let pattern = Pattern::new(pattern);
        let some = ends.clone().any(|end| pattern.fits(&format!("{start}{end}")));
        prop_assert_eq!(pattern.may_fit_below(&start), some);
        if pattern.fits_all_below(&start) {
            let all = ends.clone().all(|end| pattern.fits(&format!("{start}{end}")));
            prop_assert!(all);
        }
    }

    #[test]
    fn the_order_of_statements_changes_nothing(statements in statements(), namespace in "[ab]{1,2}", name in "[ab]{1,2}") {
        let mut turned = statements.clone();
        turned.reverse();
        let (one, other) = (access(&statements), access(&turned));
        for action in [READ, RELEASE] {
            let resource = app(&namespace, &name);
            prop_assert_eq!(one.verdict(action, &resource), other.verdict(action, &resource));
            prop_assert_eq!(one.may(action), other.may(action));
        }
    }

    #[test]
    fn a_denial_wins_and_nothing_is_allowed_by_itself(statements in statements(), namespace in "[ab]{1,2}", name in "[ab]{1,2}") {
        let resource = app(&namespace, &name);
        let exact = format!("acs:edas:*:*:namespace/{namespace}/application/{name}");
        let mut denied = statements.clone();
        denied.push(statement("Deny", "*", &exact));
        prop_assert!(!access(&denied).allows(RELEASE, &resource));
        let denials: Vec<String> = statements.iter().filter(|it| it.contains("Deny")).cloned().collect();
        if !denials.is_empty() {
            prop_assert!(!access(&denials).allows(RELEASE, &resource));
            prop_assert!(!access(&denials).may(RELEASE));
        }
        prop_assert!(!Access::nothing().allows(RELEASE, &resource));
        // More statements that deny never allow more.
        if access(&denied).allows(READ, &resource) {
            prop_assert!(access(&statements).allows(READ, &resource));
        }
    }

    #[test]
    fn what_is_allowed_somewhere_may_be_done_and_is_reached(statements in statements(), namespace in "[ab]{1,2}", name in "[ab]{1,2}") {
        let access = access(&statements);
        if access.allows(RELEASE, &app(&namespace, &name)) {
            prop_assert!(access.may(RELEASE));
            prop_assert!(access.reaches(RELEASE, &namespace));
        }
    }

    #[test]
    fn reading_a_policy_ends_and_never_panics(text in "\\PC{0,200}") {
        let _ = read(&text);
    }
}
