//! Whoever may do less than everything changes nothing of who may do what.

use std::collections::BTreeSet;

use super::*;
use domain::{
    Rejection,
    access::{Action, Group},
};
use service::{Caller, Error, Permit};

/// A method, an operation and its parameters.
type Call = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// One call of each operation, on things that are there.
const EACH: &[Call] = &[
    ("POST", KEYS, &[("Name", "mine"), ("Role", "admin")]),
    ("POST", KEYS, &[("Principal", "tests")]),
    ("GET", KEYS, &[]),
    ("GET", ONE_KEY, &[("AccessKey", "ci")]),
    ("DELETE", ONE_KEY, &[("AccessKey", "ci")]),
    ("PUT", "/sluice/v1/key/enable", &[("AccessKey", "ci")]),
    ("PUT", "/sluice/v1/key/disable", &[("AccessKey", "ci")]),
    ("POST", "/sluice/v1/key/rotate", &[("AccessKey", "tests")]),
    ("POST", PRINCIPALS, &[("Name", "mine")]),
    ("GET", PRINCIPALS, &[]),
    ("GET", ONE_PRINCIPAL, &[("Principal", "ci")]),
    ("DELETE", ONE_PRINCIPAL, &[("Principal", "ci")]),
    ("POST", GRANTS, &[("Principal", "{me}"), ("Role", "admin")]),
    ("DELETE", GRANTS, &[("Principal", "{me}"), ("Policy", "{me}")]),
    ("POST", POLICIES, &[("Name", "{me}"), ("PolicyDocument", "{all}"), ("Replace", "true")]),
    ("GET", POLICIES, &[]),
    ("GET", ONE_POLICY, &[("Policy", "{me}")]),
    ("DELETE", ONE_POLICY, &[("Policy", "free")]),
];

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_may_do_less_than_everything_changes_nothing_of_it(pool: PgPool) {
    let server = Server::start(pool).await;
    server.key_with("ci", ("Role", "reader")).await;
    let callers = [
        ("manages-access", r#"{"Effect":"Allow","Action":"edas:ManageAccess","Resource":"*"}"#.to_owned()),
        ("by-name", r#"{"Effect":"Allow","Action":["edas:AttachPolicy","edas:CreateAccessKey","edas:Create*"],"Resource":"*"}"#.to_owned()),
        ("but-one", format!(r#"{EVERYTHING},{{"Effect":"Deny","Action":"edas:DeleteK8sApplication","Resource":"*"}}"#)),
        ("but-elsewhere", format!(r#"{EVERYTHING},{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{{"NotIpAddress":{{"acs:SourceIp":"127.0.0.0/8"}}}}}}"#)),
        ("from-here", r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"127.0.0.0/8"}}}"#.to_owned()),
        ("one-region", r#"{"Effect":"Allow","Action":"*","Resource":"acs:edas:cn-test:*:*"}"#.to_owned()),
        ("access-only", r#"{"Effect":"Allow","Action":"*","Resource":"acs:edas:*:*:access/*"}"#.to_owned()),
    ];
    let all = policy(EVERYTHING);
    server.done("POST", POLICIES, &[("Name", "free"), ("PolicyDocument", &all)]).await;
    let mut keys = Vec::new();
    for (name, statements) in &callers {
        let document = policy(statements);
        let text = [("Name", *name), ("PolicyDocument", document.as_str())];
        server.done("POST", POLICIES, &text).await;
        keys.push((*name, server.key_with(name, ("Policy", name)).await));
    }
    keys.push(("operator", server.key_with("operator", ("Role", "operator")).await));
    let before = (server.access_rows().await, server.record().await);
    for (name, (id, secret)) in &keys {
        for (method, path, parameters) in EACH {
            let filled = parameters
                .iter()
                .map(|(key, value)| (*key, value.replace("{me}", name).replace("{all}", &all)))
                .collect::<Vec<_>>();
            let parameters: Vec<(&str, &str)> =
                filled.iter().map(|(key, value)| (*key, value.as_str())).collect();
            let (status, reply) = server.by((id, secret), method, path, &parameters).await;
            assert_eq!(
                (status, &reply["Code"]),
                (StatusCode::FORBIDDEN, &json!("Forbidden.RAM")),
                "{name} {method} {path}: {reply:?}"
            );
        }
    }
    assert_eq!((server.access_rows().await, server.record().await), before);
    let operations: BTreeSet<&str> = EACH
        .iter()
        .map(|(method, path, _)| {
            contract::find(&method.parse().unwrap(), path).unwrap().name.as_str()
        })
        .collect();
    let grants_access = offered::OFFERS.iter().filter(|it| it.group == Group::ManageAccess);
    assert_eq!(operations, grants_access.map(|it| it.operation).collect::<BTreeSet<_>>());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_was_taken_while_a_request_is_under_way_is_not_allowed_any_more(pool: PgPool) {
    let server = Server::start(pool).await;
    let (id, _) = server.key_with("bob", ("Role", "admin")).await;
    let service = service_on(server.pool.clone());
    let key = service.key(&id).await.unwrap().unwrap();
    let access = service.access(&key.grants, [127, 0, 0, 1].into(), true);
    let action = Action::new("CreatePrincipal", Group::ManageAccess);
    let begun = service.within(Permit::of(access, action).unwrap());
    let caller = Caller { key_id: id, source: domain::Source::Api, ..Caller::of_commands() };
    begun.create_principal(&caller, "alice", false).await.unwrap();
    server.done("DELETE", GRANTS, &[("Principal", "bob"), ("Role", "admin")]).await;
    let refused = begun.create_principal(&caller, "carol", false).await.unwrap_err();
    let is_refused = matches!(&refused, Error::Rejected(Rejection::NotAllowed { .. }));
    assert!(is_refused, "{refused:?}");
    server.done("POST", GRANTS, &[("Principal", "bob"), ("Role", "admin")]).await;
    server.done("PUT", "/sluice/v1/key/disable", &[("AccessKey", "bob")]).await;
    assert!(begun.create_principal(&caller, "carol", false).await.is_err());
}
