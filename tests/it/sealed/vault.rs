//! Keys that Vault's Transit engine wrapped. The server here is ours and small: it knows the
//! two calls that are used, as Vault documents them, and wraps by turning the text round.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::program;

const TOKEN: &str = "the-token-of-sluice";

async fn transit(
    State(asked): State<Arc<AtomicUsize>>,
    Path((mount, what, key)): Path<(String, String, String)>,
    headers: HeaderMap,
    Json(question): Json<Value>,
) -> (StatusCode, Json<Value>) {
    asked.fetch_add(1, Ordering::Relaxed);
    let token = headers.get("x-vault-token").and_then(|it| it.to_str().ok());
    if token != Some(TOKEN) || mount != "transit" || key != "sluice" {
        return (StatusCode::FORBIDDEN, Json(json!({ "errors": ["permission denied"] })));
    }
    let text = |name: &str| question[name].as_str().unwrap().to_owned();
    let turned = |text: &str| text.chars().rev().collect::<String>();
    let data = match what.as_str() {
        "encrypt" => {
            STANDARD.decode(text("plaintext")).unwrap();
            json!({ "ciphertext": format!("vault:v1:{}", turned(&text("plaintext"))) })
        }
        "decrypt" => {
            json!({ "plaintext": turned(text("ciphertext").strip_prefix("vault:v1:").unwrap()) })
        }
        _ => return (StatusCode::NOT_FOUND, Json(json!({ "errors": [] }))),
    };
    (StatusCode::OK, Json(json!({ "data": data })))
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn keys_that_vault_wrapped_are_unwrapped_once_at_the_start(pool: PgPool) {
    let asked = Arc::new(AtomicUsize::new(0));
    let router =
        Router::new().route("/v1/{mount}/{what}/{key}", post(transit)).with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring").to_str().unwrap().to_owned();
    let run = async |token: &str, arguments: &[&str]| {
        let mut command = program(&pool, "", arguments);
        command
            .env("SLUICE_VAULT_ADDRESS", &address)
            .env("SLUICE_VAULT_KEY", "sluice")
            .env("SLUICE_VAULT_TOKEN", token);
        let output = command.output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (created, said) = run(TOKEN, &["keyring", "create", &path]).await;
    assert!(created, "{said}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("vault:v1:") && !text.contains("sluice-key"), "{text}");
    let create = ["key", "create", "--name", "ci", "--keyring-file", &path];
    let (made, said) = run(TOKEN, &create).await;
    assert!(made, "{said}");
    let (added, said) = run(TOKEN, &["keyring", "add", &path]).await;
    assert!(added, "{said}");
    asked.store(0, Ordering::Relaxed);
    let (listed, said) = run(TOKEN, &["key", "list", "--keyring-file", &path]).await;
    assert!(listed && said.contains("ci"), "{said}");
    assert_eq!(asked.load(Ordering::Relaxed), 2, "once for each key");

    let (refused, said) = run("wrong-token", &["key", "list", "--keyring-file", &path]).await;
    assert!(!refused && said.contains("403") && !said.contains("wrong-token"), "{said}");
    let (unwrapped, said) = super::run(&pool, "", &["key", "list", "--keyring-file", &path]).await;
    assert!(!unwrapped && said.contains("SLUICE_VAULT_ADDRESS"), "{said}");
    serving.abort();
}
