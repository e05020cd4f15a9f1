//! Every statement of the store that works on what is to be done names the cluster, so
//! that the next one cannot forget it. The source is read: SQL has no types for this. And a
//! release takes few statements.

use std::collections::BTreeMap;

use domain::order::State;
use sqlx::PgPool;
use syn::{Expr, Token, punctuated::Punctuated, visit::Visit};

use crate::support::{App, batches, eventually, own_pool, sent};

/// Tables whose rows are work on a cluster.
const WORK: [&str; 4] = ["change_order", "precheck_request", "cluster_query", "object_write"];

/// Statements that need not name the cluster, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("abort_order", BY_ID),
    ("advance", FENCED),
    ("answer_cluster_query", BY_ID),
    ("answer_object_write", FENCED),
    ("answer_precheck_request", BY_ID),
    ("approve_order", BY_ID),
    ("confirm_batches", BY_ID),
    ("decide_room", FENCED),
    ("end_hold", FENCED),
    ("end_outage", FENCED),
    ("extend", FENCED),
    ("finish_at_once", BY_ID),
    ("give_back", FENCED),
    ("go_on", BY_ID),
    ("insert_order", "it reads orders of the application that it is for"),
    ("lift_freeze", BY_ID),
    ("lock_order", BY_ID),
    ("look_at_rules_again", "a rule holds orders off on every cluster"),
    ("note_outage", FENCED),
    ("note_trouble", FENCED),
    ("prune_cluster_queries", "what nobody waits for is forgotten by its age, wherever it was"),
    ("prune_object_writes", "what nobody waits for is forgotten by its age, wherever it was"),
    ("prune_precheck_requests", "what nobody waits for is forgotten by its age, wherever it was"),
    ("record_applied", FENCED),
    ("record_hold", FENCED),
    ("renew_lease", FENCED),
    ("renew_snapshot", BY_ID),
    ("step_back", BY_ID),
    ("take_query_answer", BY_ID),
    ("waiting_snapshot", "the open order of the application that an order belongs to"),
    ("withdraw_cluster_query", BY_ID),
    ("withdraw_object_write", BY_ID),
    ("withdraw_precheck_request", BY_ID),
];
const BY_ID: &str = "one row by its id, for whoever asked or was handed it";
const FENCED: &str = "one row by its id, under the fence of a lease that named the cluster";

#[derive(Default)]
struct Statements(Vec<String>);

impl<'ast> Visit<'ast> for Statements {
    fn visit_macro(&mut self, found: &'ast syn::Macro) {
        let arguments = found.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        // Macros that define something hold no statement.
        for argument in arguments.into_iter().flatten() {
            Statements::visit_expr(self, &argument);
        }
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.0.push(text.value());
    }
}

/// Name and text of each statement of a file: those that begin with a comment.
fn statements(source: &str) -> Vec<(String, String)> {
    let mut found = Statements::default();
    found.visit_file(&syn::parse_file(source).unwrap());
    let named = found.0.into_iter().filter_map(|text| {
        let (name, _) = text.trim_start().strip_prefix("/* ")?.split_once(" */")?;
        Some((name.to_owned(), text.split_whitespace().collect::<Vec<_>>().join(" ")))
    });
    named.collect()
}

/// Whether a statement takes, changes or looks for rows of work.
fn works(text: &str) -> bool {
    WORK.iter().any(|table| {
        let changes = [format!("UPDATE {table} "), format!("DELETE FROM {table} ")]
            .iter()
            .any(|part| text.contains(part));
        changes
            || (text.contains(&format!("FROM {table} "))
                && (text.contains("FOR UPDATE") || text.contains("run_after")))
    })
}

fn names_cluster(text: &str) -> bool {
    text.contains("cluster_id = $")
}

fn hands_out(text: &str) -> bool {
    text.contains("lease_holder = $") || text.contains("claimed_at = now()")
}

#[test]
fn no_statement_on_work_forgets_the_cluster() {
    let folder = super::documents::root().join("src/store/src");
    let (mut wrong, mut exempt, mut handing) = (Vec::new(), Vec::new(), Vec::new());
    for file in super::documents::files(&folder, &["rs"]) {
        for (name, text) in statements(&std::fs::read_to_string(file).unwrap()) {
            if !works(&text) {
                continue;
            }
            let is_exempt = EXEMPT.iter().any(|(exempt, _)| *exempt == name);
            if hands_out(&text) {
                handing.push(name.clone());
                if !names_cluster(&text) || !text.contains("identity = $") {
                    wrong.push(format!(
                        "{name} hands out work, and must name the cluster's id and identity: {text}"
                    ));
                }
            } else if !names_cluster(&text) && !is_exempt {
                wrong.push(format!(
                    "{name} must say cluster_id = $…, or stand in the list with a reason: {text}"
                ));
            }
            if is_exempt && !names_cluster(&text) {
                exempt.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    handing.sort();
    assert_eq!(
        handing,
        ["acquire", "claim_cluster_query", "claim_object_write", "claim_precheck_requests"],
        "all that hands out work was looked at"
    );
    exempt.sort();
    let listed: Vec<&str> = EXEMPT.iter().map(|(name, _)| *name).collect();
    assert_eq!(exempt, listed, "nothing stands in the list that need not");
}

#[test]
fn a_statement_that_forgets_the_cluster_is_found() {
    let source = r##"fn f() { sqlx::query!(r#"/* grab */ UPDATE change_order
        SET lease_holder = $1"#, a); let text = "/* look */ SELECT min(run_after) FROM change_order WHERE finalizing"; }"##;
    let found = statements(source);
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["grab", "look"]);
    assert!(found.iter().all(|(_, text)| works(text) && !names_cluster(text)));
    assert!(hands_out(&found[0].1) && !hands_out(&found[1].1));
}

/// Statements of a release that its executor sends at a pace, whatever happens, and how many of
/// each it may send in a second.
const PACED: [(&str, usize); 5] = [
    ("acquire", 2),
    // Three times in a lease, of two seconds here.
    ("extend", 2),
    ("mirror_replicas", 1),
    ("record_pods", 1),
    ("tell_changed", 4),
];

/// Statements that are not of one release: what goes on in any case, and what looks at it.
const ASIDE: [&str; 11] = [
    "claim_cluster_query",
    "claim_object_write",
    "claim_precheck_requests",
    "heartbeat",
    "identities",
    "look_for_gone",
    "mirror_cluster",
    "next_due",
    "resting_orders",
    "whole_order",
    "whole_orders",
];

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn driving_a_release_takes_few_statements_and_changes_the_application_once(pool: PgPool) {
    sent::count();
    let app = App::start(own_pool(&pool).await).await;
    // What an executor looks for once, at its start, is not of a release.
    eventually(async || {
        let sent = sent::since();
        let mut rest = sent.iter().skip_while(|name| *name != "note_moved_on");
        if rest.any(|name| name == "COMMIT") { Ok(()) } else { Err(format!("{sent:?}")) }
    })
    .await;
    let application = app.create("web", 9).await;
    for statement in [
        "CREATE TABLE changed (at timestamptz NOT NULL DEFAULT clock_timestamp(), release_before uuid, release_after uuid)",
        "CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO changed (release_before, release_after) VALUES (OLD.release_id, NEW.release_id); RETURN NULL; END $$",
        "CREATE TRIGGER note_change AFTER UPDATE ON application FOR EACH ROW EXECUTE FUNCTION note_change()",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let order = app.deploy(application, "shop/web:2.0", batches(3)).await;
    let begun = std::time::Instant::now();
    sent::count();
    let ended = app.end_of(order).await;
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for name in sent::since() {
        if !ASIDE.contains(&name.as_str()) {
            *sent.entry(name).or_default() += 1;
        }
    }
    assert_eq!(ended.state, State::Succeeded);
    for (name, most) in PACED {
        let count = sent.remove(name).unwrap_or_default();
        assert!(count <= most * seconds + 2, "{count} times {name} in {seconds} s");
    }
    let rest: usize = sent.values().sum();
    assert!(rest <= 15, "{rest}: {sent:?}");
    let (all, of_end): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE release_before <> release_after) FROM changed",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    // The end changes it once; what is seen of its pods meanwhile, once a second at most.
    assert_eq!(of_end, 1);
    assert!(usize::try_from(all).unwrap() <= 2 + seconds, "{all} changes in {seconds} s");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn many_orders_and_their_prechecks_are_looked_for_few_times(pool: PgPool) {
    const ORDERS: usize = 20;
    sent::count();
    let app = App::start(own_pool(&pool).await).await;
    let mut applications = Vec::new();
    for number in 0..ORDERS {
        applications.push(app.create(&format!("web-{number}"), 2).await);
    }
    sent::count();
    let begun = std::time::Instant::now();
    let mut orders = Vec::new();
    // One after the other: what is asked at once is claimed at once anyway.
    for application in applications {
        orders.push(app.deploy(application, "shop/web:2.0", batches(2)).await);
    }
    for order in orders {
        assert_eq!(app.end_of(order).await.state, State::Succeeded);
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let sent = sent::since();
    let count = |name: &str| sent.iter().filter(|it| *it == name).count();
    let prechecks = count("send_precheck_request");
    assert_eq!(prechecks, ORDERS, "each release is checked");
    // Asked at the start, and once its answer is old.
    let due = count("next_due");
    assert!(due <= 2 + seconds, "{due} times in {seconds} s");
    // Not again for each that was claimed or answered; and without a wake-up once a second.
    for name in ["claim_precheck_requests", "claim_cluster_query", "claim_object_write"] {
        let claims = count(name);
        assert!(claims <= 1 + prechecks + seconds, "{claims} times {name} in {seconds} s");
    }
}
