//! Programs and schemas that are older or newer than each other: what is started, what is refused,
//! and what `sluice migrate --plan` says of it.

use std::process::{Output, Stdio};

use sqlx::{PgPool, migrate::Migrator};
use store::{MIGRATIONS, Store};
use tokio::process::Command;

use crate::support::{DEADLINE, database_url, eventually};

async fn sluice(pool: &PgPool, arguments: &[&str]) -> Output {
    let output = command(pool, arguments).output();
    tokio::time::timeout(DEADLINE, output).await.expect("it must end").unwrap()
}

fn command(pool: &PgPool, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .args(arguments)
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_KEYRING", test_support::keyring::TEXT)
        .env("SLUICE_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// What it prints; it must end well.
async fn says(pool: &PgPool, arguments: &[&str]) -> String {
    let output = sluice(pool, arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Why it does not start; it must end badly.
async fn refuses(pool: &PgPool, arguments: &[&str]) -> String {
    let output = sluice(pool, arguments).await;
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

/// A migration that this program does not know, which a newer one applied.
const NEWER: &str =
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (9999, 'of the future', true, '\\x00', 0)";

const BREAKS: &str = "UPDATE installation SET programs_since = 9999";

const SERVE: [&str; 3] = ["serve", "--cluster", "simulated"];

#[sqlx::test(migrations = false)]
async fn a_plan_says_what_would_be_applied_and_applies_nothing(pool: PgPool) {
    let plan = ["migrate", "--plan"];
    let text = says(&pool, &plan).await;
    let all = MIGRATIONS.iter().count();
    let head = format!(
        "the database has no schema yet\n{all} migrations are pending\n  0001 application: Applications, the cluster they run on, and their history.\n"
    );
    assert!(text.starts_with(&head), "{text}");
    assert!(!text.contains("holds up") && !text.contains("do not start"), "{text}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(&pool).await.unwrap();
    assert_eq!(tables, 0, "nothing is written");

    // As a program of before left it.
    let before = MIGRATIONS.iter().filter(|it| it.version <= 54).cloned().collect();
    Migrator::with_migrations(before).run(&pool).await.unwrap();
    let text = says(&pool, &plan).await;
    assert!(text.starts_with("the schema is at migration 54\n"), "{text}");
    for part in [
        "\n  0060 retention: Old orders and versions are deleted, as long as somebody wants that",
        "\n       holds up writes to change_order, release for as long as",
        "\n       programs of before do not start on what it leaves: end them first",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let refused = refuses(&pool, &SERVE).await;
    assert!(refused.contains("is pending: run `sluice migrate`"), "{refused}");
    assert_eq!(says(&pool, &plan).await, text, "nothing is written");
    says(&pool, &["migrate"]).await;
    let newest = MIGRATIONS.iter().map(|it| it.version).max().unwrap();
    let text = says(&pool, &plan).await;
    assert_eq!(text, format!("the schema is at migration {newest}\nnothing is pending\n"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_takes_the_place_of_a_newer_one_whose_schema_it_works_with(pool: PgPool) {
    run(&pool, NEWER).await;
    let text = says(&pool, &["migrate", "--plan"]).await;
    let told = "the schema is at migration 9999, which is newer than this program; it works with it\nnothing is pending\n";
    assert_eq!(text, told);
    // As the hook of the chart or `--migrate` does when somebody goes one step down.
    assert_eq!(says(&pool, &["migrate"]).await, "the schema is at migration 9999\n");
    says(&pool, &["key", "create", "--name", "ci"]).await;
    let _program = command(&pool, &[&SERVE[..], &["--migrate"]].concat()).spawn().unwrap();
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    eventually(async || {
        let at_work = "SELECT count(*) FROM executor WHERE cluster_reachable";
        let at_work: i64 = sqlx::query_scalar(at_work).fetch_one(&pool).await.unwrap();
        if at_work == 1 { Ok(()) } else { Err("no executor is at work".into()) }
    })
    .await;
    assert!(store.check_schema().await.unwrap().is_some_and(|newer| newer.version == 9999));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_does_not_start_on_a_newer_schema_that_ends_it(pool: PgPool) {
    run(&pool, NEWER).await;
    run(&pool, BREAKS).await;
    let text = says(&pool, &["migrate", "--plan"]).await;
    assert!(text.contains("it does not work with it: start a newer one"), "{text}");
    for arguments in [&SERVE[..], &["migrate"], &["key", "list"]] {
        let why = refuses(&pool, arguments).await;
        let says =
            "the database's schema is newer (migration 9999) than this program: start a newer one";
        assert!(why.contains(says), "{arguments:?}: {why}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_does_not_start_on_a_schema_of_another_build(pool: PgPool) {
    run(&pool, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 54").await;
    let why = refuses(&pool, &SERVE).await;
    assert!(
        why.contains("migration 54 of the database is another one than this program's"),
        "{why}"
    );
}
