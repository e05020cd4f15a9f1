//! Somebody who may do everything stays, whatever is asked for over the API.

use super::*;

const DISABLE: &str = "/sluice/v1/key/disable";

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_last_one_who_may_do_everything_stays(pool: PgPool) {
    let server = Server::start(pool).await;
    let denies = policy(r#"{"Effect":"Deny","Action":"edas:DeleteCluster","Resource":"*"}"#);
    server.done("POST", POLICIES, &[("Name", "denies"), ("PolicyDocument", &denies)]).await;
    server.key_with("ci", ("Role", "operator")).await;
    // One who may do everything, and has no key that may be used.
    server.key_with("bob", ("Role", "admin")).await;
    server.done("PUT", DISABLE, &[("AccessKey", "bob")]).await;
    let before = (server.access_rows().await, server.record().await);
    let me = ("Principal", "tests");
    let cases: &[Case] = &[
        ("PUT", DISABLE, &[("AccessKey", "tests")], "parameter AccessKey has the value tests"),
        ("DELETE", ONE_KEY, &[("AccessKey", KEY.id)], "parameter AccessKey"),
        ("DELETE", ONE_PRINCIPAL, &[me], "parameter Principal has the value tests"),
        ("DELETE", GRANTS, &[me, ("Role", "admin")], "parameter Principal"),
        // It takes the place of what was assumed of the principal.
        ("POST", GRANTS, &[me, ("Role", "reader")], "parameter Principal"),
        ("POST", GRANTS, &[me, ("Policy", "denies")], "parameter Principal"),
        ("POST", KEYS, &[me, ("Role", "reader")], "parameter Principal"),
    ];
    for (method, path, parameters, says) in cases {
        let said = server.refusal(method, path, parameters).await;
        let why = "nobody would be left who may do everything";
        assert!(said.contains(says) && said.contains(why), "{method} {path}: {said}");
    }
    assert_eq!((server.access_rows().await, server.record().await), before);

    server.done("PUT", "/sluice/v1/key/enable", &[("AccessKey", "bob")]).await;
    server.done("DELETE", ONE_PRINCIPAL, &[me]).await;
    assert_eq!(server.call("GET", KEYS, &[]).await["Code"], "InvalidAccessKeyId.NotFound");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_policy_by_which_the_last_one_may_do_everything_stays_as_it_is(pool: PgPool) {
    let server = Server::start(pool).await;
    let all = policy(EVERYTHING);
    server.done("POST", POLICIES, &[("Name", "all"), ("PolicyDocument", &all)]).await;
    // It takes the place of what was assumed, and comes to the same.
    server.done("POST", GRANTS, &[("Principal", "tests"), ("Policy", "all")]).await;
    let less = policy(r#"{"Effect":"Allow","Action":"edas:ReadApplication","Resource":"*"}"#);
    let replaced = [("Name", "all"), ("PolicyDocument", less.as_str()), ("Replace", "true")];
    let said = server.refusal("POST", POLICIES, &replaced).await;
    assert!(said.contains("parameter Name has the value all: nobody would be left"), "{said}");
    server.done("POST", GRANTS, &[("Principal", "tests"), ("Role", "admin")]).await;
    server.done("POST", POLICIES, &replaced).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn two_who_take_each_others_keys_at_once_do_not_both_lose_them(pool: PgPool) {
    let server = Server::start(pool).await;
    for round in 0..5 {
        let (one, two) = (format!("one-{round}"), format!("two-{round}"));
        let first = server.key_with(&one, ("Role", "admin")).await;
        let second = server.key_with(&two, ("Role", "admin")).await;
        let takes = |by: &(String, String), key: &str| {
            let (id, secret, key) = (by.0.clone(), by.1.clone(), key.to_owned());
            let server = &server;
            async move { server.by((&id, &secret), "DELETE", ONE_KEY, &[("AccessKey", &key)]).await.1 }
        };
        let (a, b) = tokio::join!(takes(&first, &two), takes(&second, &one));
        let codes = [&a["Code"], &b["Code"]];
        let done = codes.iter().filter(|code| **code == 200).count();
        assert_eq!(done, 1, "one of them is gone, and the other is not allowed: {codes:?}");
        let refused = ["Forbidden.RAM", "InvalidAccessKeyId.NotFound"];
        assert!(codes.iter().any(|code| refused.iter().any(|it| *code == it)), "{codes:?}");
    }
}
