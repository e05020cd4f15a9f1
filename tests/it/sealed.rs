//! What may be a secret is sealed in the database: a dump shows none, a value opens in its
//! own row alone, and a program without the right key does not start.

use std::process::Stdio;

use domain::{CredentialId, config_template::ConfigTemplate, rights::Scope};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{PgPool, migrate::Migrator};
use store::{
    ConfigTemplateFilter, CredentialRow, Keyring, MIGRATIONS, NewKubeconfig, Store, StoreError,
};
use test_support::{dump::dump, keyring::keyring};
use tokio::process::Command;

use crate::support::database_url;

mod vault;

/// A keyring with a key of its own, and its text.
fn another() -> (Keyring, String) {
    let text = Keyring::new_line().unwrap().to_string();
    (text.parse().unwrap(), text)
}

fn now() -> Timestamp {
    Timestamp::now()
}

async fn keep(store: &Store, name: &str, content: &str) -> i64 {
    let template = ConfigTemplate {
        name: name.into(),
        description: String::new(),
        format: domain::config_template::Format::Custom,
        content: content.into(),
    };
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_config_template(&template, "ci", now()).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn content(store: &Store, id: i64) -> Result<String, StoreError> {
    let wanted = ConfigTemplateFilter { id: Some(id), name: None };
    let found = store.config_templates(wanted, 0, 1).await?;
    Ok(found.into_iter().next().unwrap().template.content)
}

/// Whether a dump shows a text, or the bytes of it.
fn shows(dump: &str, secret: &str) -> bool {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    dump.contains(secret) || dump.contains(&hex)
}

/// A store with a key, and credentials of it.
async fn filled(pool: &PgPool, keyring: Keyring) -> (Store, i64) {
    let store = Store::on(pool.clone(), keyring);
    store.check_keyring().await.unwrap();
    assert!(store.insert_key("ak", &"the-secret".into(), "ci", now()).await.unwrap());
    let credential = CredentialRow {
        id: CredentialId::new(),
        key_id: "ak".into(),
        secret: "upload-secret".to_owned().into(),
        token: "upload-token".to_owned().into(),
        expires_at: now(),
    };
    let mut tx = store.begin().await.unwrap();
    assert!(tx.insert_credential(&credential, 9, now(), now()).await.unwrap());
    let kubeconfig = NewKubeconfig {
        kubeconfig: "the-kubeconfig".to_owned().into(),
        server: "https://shown".into(),
        scope: Scope::Whole,
    };
    tx.remember_cluster(&"prod".into()).await.unwrap();
    tx.insert_kubeconfig(&"prod".into(), &kubeconfig, now()).await.unwrap();
    tx.commit().await.unwrap();
    let id = keep(&store, "database", "password=geheim").await;
    (store, id)
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_sealed_value_that_is_moved_to_another_row_does_not_open(pool: PgPool) {
    let (store, first) = filled(&pool, keyring()).await;
    let second = keep(&store, "other", "nothing").await;
    assert_eq!(content(&store, first).await.unwrap(), "password=geheim");
    let text = dump(&database_url(&pool)).await;
    for secret in ["the-secret", "upload-secret", "upload-token", "geheim", "the-kubeconfig"] {
        assert!(!shows(&text, secret), "{secret}");
    }
    let moved = "UPDATE config_template SET content = (SELECT content FROM config_template WHERE id = $1) WHERE id = $2";
    sqlx::query(moved).bind(first).bind(second).execute(&pool).await.unwrap();
    let refused = content(&store, second).await.unwrap_err().to_string();
    assert!(refused.contains("cannot be read") && !refused.contains("geheim"), "{refused}");
    // Nor does it in another column of its own row.
    let swapped = "UPDATE upload_credential SET secret = token";
    sqlx::query(swapped).execute(&pool).await.unwrap();
    let id: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM upload_credential").fetch_one(&pool).await.unwrap();
    store.find_credential(CredentialId(id)).await.unwrap_err();
    let found = store.sealed_with().await.unwrap();
    assert_eq!(found.broken, 2, "{found:?}");
    assert!(found.named[0].contains("upload_credential.secret"), "{found:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn all_values_are_sealed_with_another_key_and_the_old_one_is_needed_no_more(pool: PgPool) {
    let (store, id) = filled(&pool, keyring()).await;
    // More than a page, and one that an old program seals while it goes on.
    for number in 0..120 {
        keep(&store, &format!("template-{number}"), "geheim").await;
    }
    let (new, text) = another();
    let missing = Store::on(pool.clone(), new.clone()).check_keyring().await.unwrap_err();
    assert!(missing.to_string().contains(&keyring().active().to_string()), "{missing}");
    let both: Keyring = format!("{text} {}", test_support::keyring::TEXT).parse().unwrap();
    let rotated = Store::on(pool.clone(), both);
    let done = rotated.rewrap().await.unwrap();
    assert_eq!(done.values, 125);
    assert_eq!(rotated.rewrap().await.unwrap().values, 0, "there is nothing left to do");
    let after = Store::on(pool.clone(), new.clone());
    after.check_keyring().await.unwrap();
    assert_eq!(content(&after, id).await.unwrap(), "password=geheim");
    let key = after.find_key("ak").await.unwrap().unwrap();
    assert_eq!(key.secret.expose_secret(), "the-secret");
    let kubeconfig = after.kubeconfig(&"prod".into()).await.unwrap().unwrap();
    assert_eq!(kubeconfig.kubeconfig.expose_secret(), "the-kubeconfig");
    let found = after.sealed_with().await.unwrap();
    assert_eq!((found.values.len(), found.values[&new.active()], found.broken), (1, 125, 0));
    let old = store.find_key("ak").await.unwrap_err().to_string();
    assert!(old.contains(&new.active().to_string()), "the key is named: {old}");
}

fn program(pool: &PgPool, keyring: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_LISTEN", "127.0.0.1:0")
        .env("SLUICE_CLUSTER", "simulated")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if !keyring.is_empty() {
        command.env("SLUICE_KEYRING", keyring);
    }
    command
}

async fn run(pool: &PgPool, keyring: &str, arguments: &[&str]) -> (bool, String) {
    let output = program(pool, keyring, arguments).output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_without_the_right_key_does_not_start_and_says_which_it_lacks(pool: PgPool) {
    filled(&pool, keyring()).await;
    let ((_, other), id) = (another(), keyring().active().to_string());
    for arguments in [&["serve"][..], &["migrate"], &["key", "list"], &["keyring", "rewrap"]] {
        let (succeeded, said) = run(&pool, &other, arguments).await;
        assert!(!succeeded && said.contains(&id), "{arguments:?}: {said}");
        let (succeeded, said) = run(&pool, "", arguments).await;
        assert!(!succeeded && said.contains("SLUICE_KEYRING_FILE"), "{arguments:?}: {said}");
        let (succeeded, said) = run(&pool, "sluice-key:0:geheim", arguments).await;
        assert!(!succeeded && said.contains("line 1") && !said.contains("geheim"), "{said}");
    }
    let (succeeded, said) = run(&pool, test_support::keyring::TEXT, &["key", "list"]).await;
    assert!(succeeded && said.contains("ci"), "{said}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_key_is_rotated_by_commands(pool: PgPool) {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keyring");
    let path = file.to_str().unwrap().to_owned();
    let (created, said) = run(&pool, "", &["keyring", "create", &path]).await;
    assert!(created, "{said}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&file).unwrap();
    let (again, said) = run(&pool, "", &["keyring", "create", &path]).await;
    assert!(!again && std::fs::read_to_string(&file).unwrap() == first, "{said}");

    filled(&pool, first.parse().unwrap()).await;
    let (added, said) = run(&pool, "", &["keyring", "add", "--first", &path]).await;
    assert!(added, "{said}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let with_file = ["--keyring-file", &path];
    let keyring = |command: &'static str| [&["keyring", command][..], &with_file].concat();
    let (checked, said) = run(&pool, "", &keyring("check")).await;
    assert!(checked && said.contains("opens; 5 values"), "{said}");
    let (rewrapped, said) = run(&pool, "", &keyring("rewrap")).await;
    assert!(rewrapped && said.contains("5 values are sealed anew"), "{said}");
    let (checked, said) = run(&pool, "", &keyring("check")).await;
    assert!(checked && said.contains("nothing needs it"), "{said}");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.lines().next().unwrap()).unwrap();
    let (checked, said) = run(&pool, "", &keyring("check")).await;
    assert!(checked && said.contains("seals; 5 values"), "{said}");

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (checked, said) = run(&pool, "", &keyring("check")).await;
    assert!(!checked && said.contains("0644") && said.contains("chmod 0600"), "{said}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_keyring_with_another_key_stays_whose_it_is(pool: PgPool) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("keyring"), folder.path().join("link"));
    let (created, said) = run(&pool, "", &["keyring", "create", file.to_str().unwrap()]).await;
    assert!(created, "{said}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
    symlink("keyring", &link).unwrap();
    // Only root may give a file away.
    let _ = chown(&file, Some(4242), Some(4243));
    let whose = || {
        let metadata = file.symlink_metadata().unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode())
    };
    let (before, lines) = (whose(), std::fs::read_to_string(&file).unwrap().lines().count());
    let (added, said) = run(&pool, "", &["keyring", "add", link.to_str().unwrap()]).await;
    assert!(added, "{said}");
    assert_eq!(whose(), before);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), lines + 1);
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}

/// Rows of a program before values were sealed, as migration 32 has them. Each value that may
/// be a secret has the word `planted` in it.
const BEFORE: &str = include_str!("sealed/before.sql");

/// Up to the migration of this number.
fn until(last: i64) -> Migrator {
    Migrator::with_migrations(MIGRATIONS.iter().filter(|it| it.version <= last).cloned().collect())
}

#[sqlx::test(migrations = false)]
async fn a_database_of_before_is_sealed_and_a_dump_shows_nothing_of_it(pool: PgPool) {
    until(32).run(&pool).await.unwrap();
    sqlx::raw_sql(BEFORE).execute(&pool).await.unwrap();
    assert!(dump(&database_url(&pool)).await.contains("planted"));
    // Nothing is dropped that is not sealed.
    until(33).run(&pool).await.unwrap();
    let refused = MIGRATIONS.run(&pool).await.unwrap_err().to_string();
    assert!(refused.contains("not sealed yet"), "{refused}");

    let store = Store::on(pool.clone(), keyring());
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    store.check_schema().await.unwrap();
    let text = dump(&database_url(&pool)).await;
    let shown: Vec<&str> = text.lines().filter(|line| shows(line, "planted")).collect();
    assert!(shown.is_empty(), "{shown:?}");

    let key = store.find_key("key").await.unwrap().unwrap();
    assert_eq!(key.secret.expose_secret(), "planted-key");
    let id = "01935a2c-52b0-7c41-8d6e-000000000003".parse().unwrap();
    let order = store.order(id).await.unwrap().unwrap();
    assert_eq!(order.template, Some(json!({ "env": "planted-template" })));
    assert_eq!(order.snapshot.unwrap().template, json!({ "env": "planted-snapshot" }));
    let row = store.order_row(id).await.unwrap().unwrap();
    assert_eq!((row.replicas, row.replicas_before), (Some(3), Some(2)));
    let mut tx = store.begin().await.unwrap();
    let (_, resting) = tx.lock_application(order.application).await.unwrap();
    assert_eq!(resting.unwrap().template, json!({ "env": "planted-resting" }));
    drop(tx);
    let history = store.history(order.application).await.unwrap();
    let package = "/sluice/v1/packages/01935a2c-52b0-7c41-8d6e-000000000005/a.jar?capability=planted-capability";
    assert_eq!(history[0].template, json!({ "url": format!("http://s{package}") }));
    let far = "2100-01-01T00:00:00Z".parse().unwrap();
    let unnamed = store.unreleased_packages(far, None, 10).await.unwrap();
    let unnamed: Vec<String> = unnamed.iter().map(ToString::to_string).collect();
    assert_eq!(unnamed, ["01935a2c-52b0-7c41-8d6e-000000000006"]);
    assert_eq!(content(&store, 1).await.unwrap(), "planted-content");
    let sealed = store.sealed_with().await.unwrap();
    assert_eq!((sealed.broken, sealed.values.len()), (0, 1), "{sealed:?}");
    assert_eq!(sealed.values[&keyring().active()], 17);
}

#[sqlx::test(migrations = false)]
async fn sealing_goes_on_where_it_was_interrupted(pool: PgPool) {
    until(32).run(&pool).await.unwrap();
    sqlx::raw_sql(BEFORE).execute(&pool).await.unwrap();
    // More than a page, and one row in the middle that cannot be written yet.
    sqlx::raw_sql(
        "INSERT INTO config_template (name, description, format, content, created_by, created_at, updated_at)
         SELECT 'n' || lpad(n::text, 3, '0'), '', 'custom', 'planted-' || n, 'ci', now(), now() FROM generate_series(1, 120) AS n;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the power is out'; END $$;
         CREATE TRIGGER fail BEFORE UPDATE ON config_template FOR EACH ROW WHEN (OLD.name = 'n070') EXECUTE FUNCTION fail();",
    )
    .execute(&pool)
    .await
    .unwrap();
    let store = Store::on(pool.clone(), keyring());
    let why = store.migrate().await.unwrap_err().to_string();
    assert!(why.contains("the power is out"), "{why}");
    let left: i64 = sqlx::query_scalar("SELECT count(content) FROM config_template")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!((1..=100).contains(&left), "a page is sealed, and not all: {left}");
    let (other, _) = another();
    let refused = Store::on(pool.clone(), other).migrate().await.unwrap_err();
    assert!(matches!(refused, StoreError::MissingKeys(_)), "half sealed with one key: {refused}");
    sqlx::raw_sql("DROP TRIGGER fail ON config_template").execute(&pool).await.unwrap();
    store.migrate().await.unwrap();
    for id in 1..=121 {
        assert!(content(&store, id).await.unwrap().starts_with("planted-"));
    }
}
