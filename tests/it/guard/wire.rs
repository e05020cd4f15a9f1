//! Guardrails as an operator sets them on the command line, and as a client of EDAS sees them.

use std::process::Output;

use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::Command;

use crate::{
    sign::{Key, Unsigned},
    support::{App, database_url, server::Server},
};

const RESOURCE: &str = "/pop/v5/oam/update_k8s_resource_config";

async fn sluice(pool: &PgPool, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .args(words.split_whitespace())
        .env_clear()
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_KEYRING", test_support::keyring::TEXT);
    command.output().await.unwrap()
}

async fn done(pool: &PgPool, words: &str) -> String {
    let output = sluice(pool, words).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A signed call of a key.
async fn call(
    server: &Server,
    key: Key<'_>,
    (method, path): (&str, &str),
    parameters: &[(&str, &str)],
) -> (u16, Value) {
    let nonce = domain::OrderId::new().to_string();
    let date = server.app.clock.now();
    let unsigned = Unsigned { method, path, parameters, date, nonce: Some(&nonce) };
    let signed = unsigned.acs3_form(key);
    let url = format!("{}{}", server.endpoint, signed.target);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method.parse().unwrap(), url).body(signed.body.clone());
    for (name, value) in &signed.headers {
        request = request.header(*name, value);
    }
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_key_has_what_it_was_created_with_and_is_refused_in_edas_form(pool: PgPool) {
    let server = Server::on(App::start(pool.clone()).await).await;
    let app = &server.app;
    app.create("web", 1).await;
    let created = done(
        &pool,
        "key create --name team --role operator --namespace default --service-accounts x-* --registries shop/* --output json",
    )
    .await;
    let created: Value = serde_json::from_str(&created).unwrap();
    let secret: SecretString = created["AccessKeySecret"].as_str().unwrap().into();
    let id = created["AccessKeyId"].as_str().unwrap();
    let key = Key { id, secret: secrecy::ExposeSecret::expose_secret(&secret) };
    let live = serde_json::to_value(app.deployments().get("web").await.unwrap()).unwrap();
    let edited = |spec: Value| {
        let mut text = live.clone();
        text["apiVersion"] = json!("apps/v1");
        text["kind"] = json!("Deployment");
        json_patch::merge(&mut text["spec"]["template"]["spec"], &spec);
        text.to_string()
    };
    let send = async |spec: Value| {
        let text = edited(spec);
        let parameters = [("ClusterId", "default"), ("ResourceContent", text.as_str())];
        call(&server, key, ("POST", RESOURCE), &parameters).await
    };
    let (status, refused) = send(json!({ "hostNetwork": true })).await;
    assert_eq!(status, 200, "a business error, as EDAS has them: {refused}");
    assert_eq!(refused["Code"], 601, "{refused}");
    let message = refused["Message"].as_str().unwrap();
    assert!(message.contains("spec.hostNetwork is true"), "{message}");
    let (_, refused) = send(json!({ "serviceAccountName": "web" })).await;
    assert!(refused["Message"].as_str().unwrap().contains("edas:UseServiceAccount"), "{refused}");
    let image = json!([{ "name": "web", "image": "evil.example/web:1" }]);
    let (_, refused) = send(json!({ "containers": image })).await;
    assert!(refused["Message"].as_str().unwrap().contains("edas:UseImage"), "{refused}");
    let recorded = "SELECT count(*), count(*) FILTER (WHERE object = 'Guardrails namespace/default/application/web')
        FROM audit_entry WHERE outcome = 'refused' AND principal = 'team'";
    let found: (i64, i64) = sqlx::query_as(recorded).fetch_one(&pool).await.unwrap();
    assert_eq!(found, (3, 3), "each is on record once");
    let (_, accepted) = send(json!({ "serviceAccountName": "x-web" })).await;
    assert_eq!(accepted["Code"], 200, "{accepted}");
    let order = accepted["ChangeOrderId"].as_str().unwrap().parse().unwrap();
    assert_eq!(app.end_of(order).await.state, domain::order::State::Succeeded);

    let shown = done(&pool, "principal show team").await;
    assert!(shown.contains("service accounts x-*, images shop/*"), "{shown}");
    let attach = "policy attach --principal team --role operator --namespace default";
    let shown = done(&pool, &format!("{attach} --pod-security privileged")).await;
    assert!(shown.contains("pod security privileged"), "{shown}");
    let (_, accepted) = send(json!({ "hostPID": true })).await;
    assert_eq!(accepted["Code"], 200, "from the next request on: {accepted}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_makes_no_sense_is_refused_on_the_command_line(pool: PgPool) {
    for (words, part) in [
        ("key create --name a --role admin --pod-security privileged", "no guardrail holds"),
        ("key create --name a --role deployer --pod-security loose", "baseline or restricted"),
        ("key create --name a --pod-security baseline", "--role"),
        ("key create --name a --role deployer --registries a?b", "without blanks and '?'"),
    ] {
        let output = sluice(&pool, words).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(part), "{words}: {error}");
    }
    assert_eq!(done(&pool, "principal list").await.trim(), "", "nothing was written");
}
