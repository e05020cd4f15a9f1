//! What is granted to principals, in the database: lists, keys and their ends.

use std::{collections::BTreeSet, net::IpAddr};

use clock::Clock;
use domain::{
    ApplicationId, Rejection,
    access::{Access, Action, Circumstances, Grant, Policy, Resource, Role, Scope, Site},
    order::FailurePolicy,
};
use jiff::SignedDuration;
use service::{Caller, Error, Permit, Service, WantedKey};
use sqlx::PgPool;
use store::{ApplicationFilter, NewApplication, Store};

use crate::support::{caller, known_cluster, sent, settings};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn service(pool: &PgPool) -> Service {
    Service::new(
        Store::on(pool.clone(), test_support::keyring::keyring()),
        Clock::default(),
        settings(FailurePolicy::default()),
    )
}

async fn application(store: &Store, namespace: &str, name: &str) -> ApplicationId {
    let cluster = known_cluster(store).await;
    let id = ApplicationId::new();
    let row = NewApplication {
        id,
        cluster: &cluster.id,
        namespace,
        namespace_named: true,
        name,
        logical_region: "cn-test",
        description: "",
        owner: "tester",
        container: &domain::template::container::Known::Nothing,
        replicas: 3,
    };
    let mut tx = store.begin().await.unwrap();
    tx.insert_application(&row, Clock::default().now()).await.unwrap();
    tx.commit().await.unwrap();
    id
}

fn access(statements: &str) -> Access {
    let policy =
        Policy::read(&format!(r#"{{"Version":"1","Statement":[{statements}]}}"#), |_| true);
    let circumstances = Circumstances { peer: PEER, encrypted: true, now: Clock::default().now() };
    Access::of(
        [&policy.unwrap()],
        &Site { region: "cn-test", cluster: "default", protected: &[] },
        &circumstances,
    )
}

fn within(service: &Service, access: Access, action: Action) -> Service {
    service.within(Permit::of(access.into(), action).unwrap())
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_list_shows_what_may_be_seen_and_its_pages_are_whole(pool: PgPool) {
    let service = service(&pool);
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    for namespace in ["a", "b", "shop"] {
        for name in ["api", "web-1", "web-2", "web-3"] {
            application(&store, namespace, name).await;
        }
    }
    let one = application(&store, "b", "one").await;
    let path = |path: &str| format!("acs:edas:*:*:namespace/{path}");
    let allow = |resource: &str| {
        format!(
            r#"{{"Effect":"Allow","Action":"edas:ReadApplication","Resource":"{}"}}"#,
            path(resource)
        )
    };
    let deny = |resource: &str| {
        format!(r#"{{"Effect":"Deny","Action":"edas:*","Resource":"{}"}}"#, path(resource))
    };
    let cases = [
        vec![allow("shop/application/*")],
        vec![allow("*/application/web-*"), deny("b/*")],
        vec![allow("*"), deny("*/application/web-2")],
        vec![allow(&format!("b/application/{one}")), allow("a/application/api")],
        vec![allow("a_/application/%")],
        vec![allow("*/application/*")],
    ];
    let everything = service.applications(None).await.unwrap();
    let mut sizes = BTreeSet::new();
    for statements in cases {
        let access = access(&statements.join(","));
        let wanted: BTreeSet<ApplicationId> = everything
            .iter()
            .filter(|it| {
                let resource = Resource::Application {
                    namespace: &it.namespace,
                    name: &it.name,
                    id: Some(it.id),
                };
                access.allows(Action::LIST, &resource)
            })
            .map(|it| it.id)
            .collect();
        sizes.insert(wanted.len());
        let seen = within(&service, access, Action::LIST);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let filter = ApplicationFilter { after, ..ApplicationFilter::default() };
            let page = seen.application_lines(&filter, 2).await.unwrap();
            let (page, more) = (page.rows, page.has_more);
            assert!(page.len() == 2 || !more, "{statements:?}: a page has a hole");
            found.extend(page.iter().map(|line| line.application.id));
            after = page.last().map(|line| line.application.id);
            if !more {
                break;
            }
        }
        assert_eq!(found.len(), wanted.len(), "{statements:?}: nothing twice");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted, "{statements:?}");
        let listed = seen.listed_applications(&Default::default()).await.unwrap();
        let listed: BTreeSet<_> = listed.rows.iter().map(|row| row.id).collect();
        assert_eq!(listed, wanted, "{statements:?}: the console's list");
        let named: BTreeSet<_> =
            seen.applications(None).await.unwrap().iter().map(|it| it.id).collect();
        assert_eq!(named, wanted, "{statements:?}");
    }
    assert!(sizes.len() > 3, "the cases differ: {sizes:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_may_not_be_seen_is_unknown_and_what_may_not_be_done_is_refused(pool: PgPool) {
    let service = service(&pool);
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let (web, other) =
        (application(&store, "shop", "web").await, application(&store, "own", "web").await);
    let reader = Grant::role(Role::Reader, Scope::read("shop", "*").unwrap());
    let deployer = Grant::role(Role::Deployer, Scope::read("own", "*").unwrap());
    let access = service.access(&[reader, deployer], PEER, true);
    let of = |action| service.within(Permit::of(access.clone(), action).unwrap());
    assert!(of(Action::READ).application(web).await.is_ok());
    assert!(of(Action::READ).application(other).await.is_ok());
    assert!(of(Action::STOP).stop(&caller(), other, None).await.is_ok());
    let refused = of(Action::STOP).stop(&caller(), web, None).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(Rejection::NotAllowed { .. })), "{refused:?}");
    let hidden = application(&store, "hidden", "web").await;
    let refused = of(Action::STOP).stop(&caller(), hidden, None).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Rejected(Rejection::UnknownApplication(id)) if *id == hidden.to_string()),
        "{refused:?}"
    );
    let nobody = service.within(Permit::nobody());
    assert!(nobody.application(web).await.is_err());
    let orders: i64 =
        sqlx::query_scalar("SELECT count(*) FROM change_order").fetch_one(&pool).await.unwrap();
    assert_eq!(orders, 1, "only what was allowed was ordered");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn being_judged_costs_an_order_no_statement(pool: PgPool) {
    let service = service(&pool);
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let role = Some(Grant::role(Role::Deployer, Scope::read("shop", "*").unwrap()));
    let key = service.create_key(&me(), &WantedKey { role, ..wanted("ci") }).await.unwrap();
    let mut counts = Vec::new();
    for (name, judged) in [("web-1", false), ("web-2", true)] {
        let id = application(&store, "shop", name).await;
        sent::count();
        let found = service.key(&key.id).await.unwrap().unwrap();
        assert_eq!(sent::since().len(), 1, "a key comes with what is granted");
        let service = if judged {
            let access = service.access(&found.grants, PEER, true);
            service.within(Permit::of(access, Action::STOP).unwrap())
        } else {
            service.clone()
        };
        service.stop(&caller(), id, None).await.unwrap();
        counts.push(sent::since().len());
    }
    assert!(counts[0] > 4 && counts[0] == counts[1], "{counts:?}");
}

/// Whoever runs the program's commands.
fn me() -> Caller {
    Caller::of_commands()
}

fn wanted(principal: &str) -> WantedKey {
    WantedKey { principal: Some(principal.into()), assumes_admin: true, ..WantedKey::default() }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_principal_has_two_keys_so_that_one_can_take_the_others_place(pool: PgPool) {
    let service = service(&pool);
    let role = Some(Grant::role(Role::Deployer, Scope::read("shop", "web-*").unwrap()));
    let first = service.create_key(&me(), &WantedKey { role, ..wanted("ci") }).await.unwrap();
    assert!(!first.assumed && first.name == "ci");
    let day = SignedDuration::from_hours(24);
    let before = Clock::default().now();
    let second = service.rotate_key(&me(), "ci", Some(day)).await.unwrap();
    assert_eq!((second.name.as_str(), second.principal.as_str()), ("ci-2", "ci"));
    let (one, two) =
        (service.key(&first.id).await.unwrap().unwrap(), service.key(&second.id).await.unwrap());
    let two = two.unwrap();
    assert!(one.is_good() && two.is_good() && one.grants == two.grants);
    assert_eq!((one.name, two.name), ("ci".into(), "ci".into()), "both act as the principal");
    let end = service.listed_key("ci").await.unwrap().expires_at.unwrap();
    let lasts = end.duration_since(before);
    assert!(lasts >= day - SignedDuration::from_secs(1), "{lasts:?}");
    assert!(lasts < day + SignedDuration::from_mins(5), "{lasts:?}");
    let third = service.create_key(&me(), &wanted("ci")).await.unwrap_err();
    assert!(third.to_string().contains("2 keys"), "{third}");
    service.switch_key(&me(), "ci", false).await.unwrap();
    assert!(!service.key(&first.id).await.unwrap().unwrap().is_good());
    service.create_key(&me(), &wanted("ci")).await.unwrap();
    let again = service.switch_key(&me(), &first.id, true).await.unwrap_err();
    assert!(again.to_string().contains("2 keys"), "{again}");
    service.remove_key(&me(), "ci-2").await.unwrap();
    assert!(service.key(&second.id).await.unwrap().is_none());
    let unknown = service.remove_key(&me(), "ci-2").await.unwrap_err();
    assert!(matches!(unknown, Error::Rejected(Rejection::NoSuchKey(_))), "{unknown:?}");
}

/// A key that ends has one in its place that ends as well, and whoever goes by the first
/// one's name finds it.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_rotated_key_ends_too_and_stands_for_the_name_of_the_first(pool: PgPool) {
    let service = service(&pool);
    let month = SignedDuration::from_hours(720);
    let expires_at = Some(Clock::default().now() + month);
    let first = service.create_key(&me(), &WantedKey { expires_at, ..wanted("ci") }).await.unwrap();
    let second = service.rotate_key(&me(), "ci", Some(SignedDuration::ZERO)).await.unwrap();
    let end = service.listed_key(&second.id).await.unwrap().expires_at.unwrap();
    let lasts = end.duration_since(Clock::default().now());
    assert!(lasts > month - SignedDuration::from_mins(5) && lasts <= month, "{lasts:?}");
    assert!(!service.key(&first.id).await.unwrap().unwrap().is_good());
    let link = service.make_link("ci").await.unwrap();
    let opened = service.open_linked_session(&link, &Default::default()).await.unwrap();
    let session = service.session(&opened.token, PEER).await.unwrap().unwrap();
    assert_eq!(session.session.key_id, second.id);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_nobody_narrowed_may_do_everything_until_somebody_does(pool: PgPool) {
    let service = service(&pool);
    assert!(service.create_key(&me(), &wanted("old")).await.unwrap().assumed);
    assert_eq!(service.assumed_admins().await.unwrap(), ["old"]);
    let reader = Grant::role(Role::Reader, Scope::default());
    service.attach(&me(), "old", &reader).await.unwrap();
    assert!(service.assumed_admins().await.unwrap().is_empty());
    assert_eq!(service.principal("old").await.unwrap().grants, std::slice::from_ref(&reader));
    service.detach(&me(), "old", &reader).await.unwrap();
    assert!(service.detach(&me(), "old", &reader).await.is_err());
    assert!(service.principal("old").await.unwrap().grants.is_empty(), "then it may do nothing");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_policy_is_kept_as_it_was_written_while_somebody_has_it(pool: PgPool) {
    let service = service(&pool);
    let text = r#"{ "Version": "1", "Statement": [ { "Effect": "Allow", "Action": "edas:*", "Resource": "*" } ] }"#;
    service.put_policy(&me(), "all", text, false, |_| true).await.unwrap();
    assert!(service.put_policy(&me(), "all", text, false, |_| true).await.is_err());
    service.put_policy(&me(), "all", text, true, |_| true).await.unwrap();
    assert!(service.put_policy(&me(), "reader", text, false, |_| true).await.is_err());
    let commands = me();
    let broken = service.put_policy(
        &commands,
        "b",
        r#"{"Version":"1","Statement":[{"Effect":"Allow","NotAction":"*","Resource":"*"}]}"#,
        false,
        |_| true,
    );
    assert!(broken.await.unwrap_err().to_string().contains("NotAction"));
    service.create_principal(&me(), "alice", true).await.unwrap();
    service.attach(&me(), "alice", &service::policy_named("all")).await.unwrap();
    assert_eq!(service.policy("all").await.unwrap().principals, ["alice"]);
    assert_eq!(service.policy("all").await.unwrap().document, text);
    let attached = service.remove_policy(&me(), "all").await.unwrap_err();
    assert!(attached.to_string().contains("attached to 1"), "{attached}");
    let unknown = service.attach(&me(), "alice", &service::policy_named("none")).await.unwrap_err();
    assert!(matches!(unknown, Error::Rejected(Rejection::UnknownPolicy(_))), "{unknown:?}");
    service.remove_principal(&me(), "alice").await.unwrap();
    service.remove_policy(&me(), "all").await.unwrap();
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_session_ends_with_its_key_and_only_its_own_are_seen(pool: PgPool) {
    let service = service(&pool);
    let mut callers = Vec::new();
    for name in ["alice", "bob"] {
        let role = Some(Grant::role(Role::Reader, Scope::default()));
        let key = service.create_key(&me(), &WantedKey { role, ..wanted(name) }).await.unwrap();
        let identity = service::RequestIdentity { nonce: name.into(), digest: String::new() };
        callers.push(Caller {
            key_id: key.id,
            name: name.into(),
            identity: Some(identity),
            ..caller()
        });
    }
    let alices = service.open_session(&callers[0], &Default::default()).await.unwrap();
    let bobs = service.open_session(&callers[1], &Default::default()).await.unwrap();
    let found = service.session(&alices.token, PEER).await.unwrap().unwrap();
    let access = service.access(&found.grants, PEER, true);
    let alice = service.within(Permit::of(access, Action::READ).unwrap());
    let reader = Caller { identity: None, ..callers[0].clone() };
    let seen = alice.sessions(&reader).await.unwrap();
    assert_eq!(seen.iter().map(|it| it.id).collect::<Vec<_>>(), [alices.id]);
    assert_eq!(alice.keys(&reader).await.unwrap().len(), 1);
    alice.end_session(&reader, bobs.id).await.unwrap();
    assert!(service.session(&bobs.token, PEER).await.unwrap().is_some(), "it is not hers to end");
    assert_eq!(service.sessions(&reader).await.unwrap().len(), 2);
    service.switch_key(&me(), &callers[0].key_id, false).await.unwrap();
    assert!(service.session(&alices.token, PEER).await.unwrap().is_none());
    sqlx::query(
        "UPDATE access_key SET expires_at = now() - interval '1 second' WHERE name = 'bob'",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert!(service.session(&bobs.token, PEER).await.unwrap().is_none());
}
