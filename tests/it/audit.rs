//! The record of who did what, and the log over it.

mod outcome;
mod published;

use std::{path::Path, process::Output};

use audit::{Fault, Signer, Verifier, VerifyError, create_key};
use domain::access::{Grant, Role, Scope};
use service::{AuditLog, CheckpointsTo, Permit, RequestIdentity, Scale, Service, WantedKey};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use store::Store;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{
    App, batches, caller, database_url, release,
    server::{Kept, Server},
};

const NEW: &str = "shop/web:2.0";

/// Operation, object, principal and outcome of what is on record, the oldest first.
async fn entries(pool: &PgPool) -> Vec<[String; 4]> {
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT operation, object, principal, outcome FROM audit_entry ORDER BY id")
            .fetch_all(pool)
            .await
            .unwrap();
    rows.into_iter().map(|(a, b, c, d)| [a, b, c, d]).collect()
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

fn unsigned() -> AuditLog {
    let every = jiff::SignedDuration::ZERO;
    AuditLog { signer: None, to: CheckpointsTo::Log, every }
}

/// A log that is signed at each look, and its public key.
fn signed(folder: &Path) -> (AuditLog, Verifier) {
    let (secret, public) = create_key("test").unwrap();
    let signer = Some(Signer::new(&secret).unwrap());
    let log = AuditLog { signer, to: CheckpointsTo::Folder(folder.into()), ..unsigned() };
    (log, Verifier::new(&public).unwrap())
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_was_done_is_on_record_with_who_did_it_and_from_where(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let _kept = Kept::of(&app).await;
    let application = app.create("web", 2).await;
    let grant = Grant::role(Role::Admin, Scope::default());
    let peer = [192, 0, 2, 7].into();
    let access = app.service.access(&[grant], peer, true);
    let action = edas::wire::offered::offer("ScaleK8sApplication").unwrap().action();
    let service = app.service.within(Permit::of(access, action).unwrap());
    let identity = RequestIdentity { nonce: "n".into(), digest: "d".into() };
    let by = service::Caller { peer: Some(peer), identity: Some(identity), ..caller() };
    let scale = Scale { application, replicas: 3, timeout_seconds: None };
    let order = service.scale(&by, scale).await.unwrap();
    // The same request again is no other deed.
    assert_eq!(service.scale(&by, scale).await.unwrap(), order);
    let object = format!("namespace/{}/application/web", app.namespace);
    type Digest = Option<Vec<u8>>;
    let (asked, before, after, from): (Digest, Digest, Digest, String) =
        sqlx::query_as("SELECT asked, before, after, peer FROM audit_entry WHERE operation = 'edas:ScaleK8sApplication'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(from, "192.0.2.7");
    assert!(asked.is_some() && before.is_some() && after.is_some());
    let found = entries(&pool).await;
    assert_eq!(found[0][0], "sluice:create_application");
    assert_eq!(
        found[1..],
        [["edas:ScaleK8sApplication", &object, "tester", "done"].map(str::to_owned)]
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_change_of_keys_is_on_record_and_one_that_fails_is_not(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    store.register_cluster(&crate::support::CLUSTER.into()).await.unwrap();
    let service =
        Service::new(store, Default::default(), crate::support::settings(Default::default()));
    let me = service::Caller::of_commands();
    let wanted = WantedKey { name: Some("ci".into()), ..WantedKey::default() };
    let key = service.create_key(&me, &wanted).await.unwrap();
    service.switch_key(&me, &key.id, false).await.unwrap();
    assert!(service.remove_key(&me, "nobodys").await.is_err());
    let done = |operation: &str, object: String| {
        [operation.into(), object, "sluice".into(), "done".into()]
    };
    assert_eq!(
        entries(&pool).await,
        [
            done("sluice:create_key", "principal/ci".into()),
            done("sluice:disable_key", format!("key/{}", key.id)),
        ]
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn nobody_changes_what_is_on_record(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    app.create("web", 1).await;
    app.service.settle_audit_log(&unsigned()).await.unwrap();
    for table in ["audit_entry", "audit_leaf", "audit_node"] {
        for sql in ["DELETE FROM {}", "UPDATE {} SET id = id", "TRUNCATE {} CASCADE"] {
            let sql = sql.replace("{}", table).replace(
                "id = id",
                match table {
                    "audit_entry" => "object = 'another'",
                    _ => "index = index + 1",
                },
            );
            let error = sqlx::query(AssertSqlSafe(sql.clone())).execute(&pool).await.unwrap_err();
            assert!(error.to_string().contains("may only be added to"), "{sql}: {error}");
        }
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn many_who_keep_the_log_put_each_entry_in_it_once(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let application = app.create("web", 1).await;
    let write = async |from: usize| {
        for number in from..from + 20 {
            let words = service::Describe {
                application,
                description: Some(format!("number {number}")),
                owner: None,
                email: None,
                phone: None,
            };
            app.service.describe(&caller(), words).await.unwrap();
        }
    };
    let keep = async || {
        for _ in 0..10 {
            app.service.settle_audit_log(&unsigned()).await.unwrap();
        }
    };
    tokio::join!(write(0), write(20), keep(), keep(), keep());
    keep().await;
    let (entries, leaves) = (count(&pool, "audit_entry").await, count(&pool, "audit_leaf").await);
    assert!(entries > 40, "{entries}");
    assert_eq!(leaves, entries);
    let newest: i64 =
        sqlx::query_scalar("SELECT max(index) FROM audit_leaf").fetch_one(&pool).await.unwrap();
    assert_eq!(newest + 1, leaves, "without a gap");
}

/// As many entries as this, with numbers from 2 on.
async fn many(pool: &PgPool, entries: i64) {
    sqlx::query(
        "INSERT INTO audit_entry (id, at, principal, key_id, peer, request_id, source, operation, object, outcome)
         OVERRIDING SYSTEM VALUE SELECT id, now(), '', '', '', '', 'api', '', '', 'done' FROM generate_series(2, $1 + 1) AS id",
    )
    .bind(entries)
    .execute(pool)
    .await
    .unwrap();
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_entry_that_was_written_very_late_is_found_when_all_are_gone_through(pool: PgPool) {
    many(&pool, 25_000).await;
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let service = Service::new(
        store.clone(),
        Default::default(),
        crate::support::settings(Default::default()),
    );
    service.settle_audit_log(&unsigned()).await.unwrap();
    assert_eq!(count(&pool, "audit_leaf").await, 25_000);
    sqlx::query(
        "INSERT INTO audit_entry OVERRIDING SYSTEM VALUE SELECT 1, at, principal, key_id, peer, request_id, source, operation, object, outcome FROM audit_entry WHERE id = 2",
    )
    .execute(&pool)
    .await
    .unwrap();
    // No statement looks at more than a page, wherever that is.
    let mut tx = store.begin().await.unwrap();
    let mut after = 0;
    let mut missed = Vec::new();
    while let Some(last) = tx.audit_page_after(after).await.unwrap() {
        assert!(last - after <= 5000, "{after} to {last}");
        missed.extend(tx.audit_entries_missed(after, last, 500).await.unwrap());
        after = last;
    }
    assert_eq!(missed.iter().map(|entry| entry.id).collect::<Vec<_>>(), [1]);
    drop(tx);

    let stop = tokio_util::sync::CancellationToken::new();
    let until = stop.clone();
    let kept = tokio::spawn(async move { service.keep_audit_log(unsigned(), until).await });
    crate::support::eventually(async || {
        let leaves = count(&pool, "audit_leaf").await;
        (leaves == 25_001).then_some(()).ok_or_else(|| format!("{leaves} leaves"))
    })
    .await;
    stop.cancel();
    kept.await.unwrap();
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn no_transaction_waits_for_the_files_of_a_checkpoint(pool: PgPool) {
    let folder = TempDir::new().unwrap();
    many(&pool, 3).await;
    let (log, _) = signed(folder.path());
    // A pipe, at which whoever writes waits until somebody reads.
    let [first, second] = ["checkpoint-00000000000000000003", ".checkpoint.next"]
        .map(|name| folder.path().join(name));
    let made = Command::new("mkfifo").arg(&second).status().await.unwrap();
    assert!(made.success());
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let service =
        Service::new(store, Default::default(), crate::support::settings(Default::default()));
    let settled = tokio::spawn(async move { service.settle_audit_log(&log).await });
    // Once the first is there it waits at the second.
    let note = crate::support::eventually(async || {
        let note = tokio::fs::read_to_string(&first).await.map_err(|why| why.to_string())?;
        let is_whole = note.contains("\u{2014} ") && note.ends_with('\n');
        is_whole.then_some(note).ok_or_else(|| "it is not written".to_owned())
    })
    .await;
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(open, 0, "transactions are open");
    assert_eq!(tokio::fs::read_to_string(&second).await.unwrap(), note);
    settled.await.unwrap().unwrap();
    assert_eq!(count(&pool, "audit_checkpoint").await, 1);
}

/// A log of some entries that was signed twice, exported.
async fn exported(pool: &PgPool, spoil: &str) -> Result<audit::Verified, VerifyError> {
    let folder = TempDir::new().unwrap();
    let (log, verifier) = signed(&folder.path().join("checkpoints"));
    let app = App::start(pool.clone()).await;
    let application = app.create("web", 1).await;
    app.service.settle_audit_log(&log).await.unwrap();
    for replicas in 2..5 {
        let scale = Scale { application, replicas, timeout_seconds: None };
        let order = app.service.scale(&caller(), scale).await.unwrap();
        app.end_of(order).await;
    }
    app.service.settle_audit_log(&log).await.unwrap();
    // Whoever owns the tables can do this.
    for statement in spoil.split(';').filter(|it| !it.is_empty()) {
        let sql = format!(
            "SET session_replication_role = replica; {statement}; RESET session_replication_role"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
    }
    let to = folder.path().join("export");
    app.service.export_audit_log(&to).await.unwrap();
    let newest = std::fs::read(folder.path().join("checkpoints/checkpoint")).unwrap();
    audit::verify(&to, &verifier, &[newest])
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_export_is_verified_with_the_checkpoint_that_was_published(pool: PgPool) {
    let found = exported(&pool, "").await.unwrap();
    let entries = count(&pool, "audit_entry").await.unsigned_abs();
    assert_eq!((found.signed, found.unsigned, found.checkpoints), (entries, 0, 3));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_entry_that_its_owner_alters_is_named(pool: PgPool) {
    let alter = "UPDATE audit_entry SET principal = 'mallory' WHERE id = (SELECT entry FROM audit_leaf WHERE index = 2)";
    let found = exported(&pool, alter).await;
    assert!(
        matches!(&found, Err(VerifyError::Fault(Fault::Altered { place: 2, .. }))),
        "{found:?}"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_entry_that_its_owner_drops_is_named(pool: PgPool) {
    let drop = "DELETE FROM audit_entry WHERE id = (SELECT entry FROM audit_leaf WHERE index = 1)";
    let found = exported(&pool, drop).await;
    assert!(matches!(&found, Err(VerifyError::Fault(Fault::Dropped { place: 1 }))), "{found:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn entries_that_their_owner_cuts_off_with_their_checkpoint_are_missed(pool: PgPool) {
    let cut = "DELETE FROM audit_checkpoint WHERE size = (SELECT max(size) FROM audit_checkpoint);DELETE FROM audit_leaf WHERE index >= 2";
    let found = exported(&pool, cut).await;
    assert!(matches!(&found, Err(VerifyError::Fault(Fault::Dropped { place: 2 }))), "{found:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_role_that_serves_releases_and_cannot_touch_the_record(pool: PgPool) {
    let role = format!("serving_{}", uuid::Uuid::now_v7().simple());
    let sql = format!("CREATE ROLE {role} LOGIN");
    sqlx::query(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    let output = sluice(&pool, &["migrate", "--serving-role", &role]).await;
    assert!(output.status.success(), "{output:?}");
    let options = sqlx::postgres::PgConnectOptions::clone(&pool.connect_options()).username(&role);
    let serving = PgPoolOptions::new().max_connections(20).connect_with(options).await.unwrap();
    let app = App::start(serving.clone()).await;
    let _kept = Kept::of(&app).await;
    let application = app.create("web", 3).await;
    let order = app.service.deploy(&caller(), release(application, NEW, batches(3))).await.unwrap();
    assert_eq!(app.end_of(order).await.state, domain::order::State::Succeeded);
    app.service.settle_audit_log(&unsigned()).await.unwrap();
    for sql in [
        "DELETE FROM event",
        "UPDATE event SET actor = 'another'",
        "DELETE FROM audit_entry",
        "UPDATE audit_leaf SET index = index + 1",
        "TRUNCATE audit_checkpoint",
        "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
        "DROP TABLE audit_entry",
        "CREATE TABLE another (id int)",
        "DELETE FROM _sqlx_migrations",
    ] {
        let error = sqlx::query(sql).execute(&serving).await.unwrap_err().to_string();
        let refused = error.contains("permission denied") || error.contains("must be owner");
        assert!(refused, "{sql}: {error}");
    }
    drop(app);
    serving.close().await;
    for sql in [format!("DROP OWNED BY {role}"), format!("DROP ROLE {role}")] {
        sqlx::query(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn refusals_are_on_record_and_one_address_does_not_fill_it(pool: PgPool) {
    let mut server = Server::start(pool.clone()).await;
    server.secret = "another".into();
    for _ in 0..12 {
        server.ends(7, "apps").await;
    }
    let refused = ["edas:ListApplications", "SignatureDoesNotMatch", "", "refused"];
    let found = entries(&pool).await;
    assert_eq!(found.len(), 10, "{found:?}");
    assert!(found.iter().all(|it| it[1] == refused[1] && it[3] == refused[3]), "{found:?}");
}

async fn sluice(pool: &PgPool, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .args(words)
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_KEYRING", test_support::keyring::TEXT);
    command.output().await.unwrap()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_record_is_exported_and_verified_from_the_command_line(pool: PgPool) {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = sluice(&pool, &["audit", "key", "--name", "shop", "--to", &path("key")]).await;
    assert!(made.status.success(), "{made:?}");
    let public = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let again = sluice(&pool, &["audit", "key", "--name", "shop", "--to", &path("key")]).await;
    assert!(!again.status.success(), "a key is never written over");
    sluice(&pool, &["key", "create", "--name", "ci", "--role", "reader"]).await;
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let service =
        Service::new(store, Default::default(), crate::support::settings(Default::default()));
    let secret = std::fs::read_to_string(path("key")).unwrap();
    let log = AuditLog {
        signer: Some(Signer::new(&secret).unwrap()),
        to: CheckpointsTo::Log,
        ..unsigned()
    };
    service.settle_audit_log(&log).await.unwrap();
    let exported = sluice(&pool, &["audit", "export", "--to", &path("export")]).await;
    assert!(exported.status.success(), "{exported:?}");
    let verify =
        async || sluice(&pool, &["audit", "verify", &path("export"), "--key", &public]).await;
    let verified = verify().await;
    let text = String::from_utf8(verified.stdout).unwrap();
    assert_eq!(text, "1 entries are as they were signed, by 1 checkpoints\n");
    let entries = path("export/entries.jsonl");
    let altered =
        std::fs::read_to_string(&entries).unwrap().replace("principal/ci", "principal/me");
    std::fs::write(&entries, altered).unwrap();
    let verified = verify().await;
    assert!(!verified.status.success());
    let text = String::from_utf8(verified.stderr).unwrap();
    assert!(text.contains("the entry at place 0 (id 1) was altered"), "{text}");
}
