//! A secret through every parameter that can hold one, of every operation. The orders run to
//! their end; then neither a dump of the database, nor a line of the log, nor a reply to
//! another key shows any of them.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use test_support::{dump::dump, files::Files};

use super::*;
use crate::tests::database::{
    log::Log,
    packages::packages,
    reading::{DEPLOYMENT, Live},
    wrong::SECRET as MAY_BE_SECRET,
};

/// The value of a parameter with a secret in it; the parameters that it needs besides.
fn planted(name: &str, secret: &str, files: &Files) -> (String, Vec<(&'static str, String)>) {
    let container = |name: &str| {
        let text = format!("name: {name}\nimage: b\nenv:\n- name: A\n  value: {secret}\n");
        format!(r#"[{{"yamlEncoded":"{}"}}]"#, STANDARD.encode(text))
    };
    let jar = |query: &str| {
        vec![
            ("PackageType", "FatJar".to_owned()),
            ("PackageUrl", files.url(&format!("/web.jar{query}"))),
            ("JDK", "Open JDK 8".to_owned()),
        ]
    };
    let value = match name {
        "AddEnvs" | "Envs" => format!(r#"[{{"name":"A","value":"{secret}"}}]"#),
        "Annotations" => format!(r#"{{"a":"{secret}"}}"#),
        "Args" => format!(r#"[{{"argument":"{secret}"}}]"#),
        "CommandArgs" => format!(r#"["{secret}"]"#),
        "Command" => secret.to_owned(),
        "Content" => format!(r#"{{"a":"{secret}"}}"#),
        "Data" => format!(r#"[{{"Key":"a","Value":"{secret}"}}]"#),
        "InitContainers" => container("init"),
        "Sidecars" => container("side"),
        "Liveness" | "Readiness" | "Startup" | "PostStart" | "PreStop" => {
            format!(r#"{{"exec":{{"command":["{secret}"]}}}}"#)
        }
        "JavaStartUpConfig" => {
            return (format!(r#"{{"A":{{"original":"","startup":"-Da={secret}"}}}}"#), jar(""));
        }
        "PackageUrl" => {
            let mut besides = jar(&format!("?token={secret}"));
            let (_, url) = besides.remove(1);
            return (url, besides);
        }
        "WebContainerConfig" => {
            let value = format!(r#"{{"contextInputType":"custom","contextPath":"{secret}"}}"#);
            let besides = vec![
                ("PackageType", "War".to_owned()),
                ("PackageUrl", files.url("/good.war")),
                ("JDK", "Open JDK 8".to_owned()),
                ("WebContainer", "apache-tomcat-7.0.91".to_owned()),
            ];
            return (value, besides);
        }
        _ => panic!("{name} may hold a secret: say how"),
    };
    (value, Vec::new())
}

/// The ways in which a text may show a secret.
fn shows(text: &str, secret: &str) -> bool {
    [secret.to_owned(), STANDARD.encode(secret), hex(secret)].iter().any(|it| text.contains(it))
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits until no order is open.
async fn at_rest(live: &Live) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM change_order WHERE finished_at IS NULL OR finalizing",
        )
        .fetch_one(&live.server.pool)
        .await
        .unwrap();
        if open == 0 {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "an order does not end");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn no_secret_is_in_the_database_the_log_or_a_reply_to_another_key(pool: PgPool) {
    let log = Log::default();
    let _logged = log.begin();
    let files = Files::start().await;
    let live = Live::start_with(pool, |service| service.with_packages(packages())).await;
    let application = live.create().await;
    let one = async |sql: &'static str| -> String {
        sqlx::query_scalar(sql).fetch_one(&live.server.pool).await.unwrap()
    };
    let (order, batch) =
        (one("SELECT id::text FROM change_order").await, one("SELECT id::text FROM batch").await);
    let template: Value = live
        .server
        .call("POST", "/pop/v5/config_template", &[("Name", "kept"), ("Content", "{}")])
        .await
        .into();
    let known = Known { application, order, batch, template: template["Data"]["Id"].to_string() };
    keys(&live).await;
    let mut secrets: BTreeMap<String, String> = BTreeMap::new();
    let (mut refused, mut unknown) = (Vec::new(), MAY_BE_SECRET.to_vec());
    // What is created first is there to be updated.
    let mut operations = described();
    operations.sort_by_key(|it| !it.name.starts_with("Create"));
    for operation in &operations {
        for parameter in &operation.parameters {
            let name = parameter.name.as_str();
            if !MAY_BE_SECRET.contains(&name) {
                continue;
            }
            unknown.retain(|it| *it != name);
            let place = format!("{} {name}", operation.name);
            let secret = format!("planted-{}", secrets.len() + 1000);
            let (mut value, besides) =
                planted_or_resource(&live, &known, name, &secret, &files).await;
            let mut call = Call::of(operation, &known);
            if !besides.is_empty() {
                call.parameters.retain(|(name, _)| !name.starts_with("Image"));
            }
            if operation.name == "InsertK8sApplication" {
                for (name, value) in &mut call.parameters {
                    if name == "AppName" {
                        *value = format!("app-{}", secrets.len());
                    }
                }
            }
            let besides = besides.into_iter().map(|(name, value)| (name.to_owned(), value));
            call.parameters.retain(|(given, _)| given != name);
            call.parameters.push((name.to_owned(), std::mem::take(&mut value)));
            call.parameters.extend(besides);
            let (status, reply) = send(&live, &operation.method, &call, None).await;
            let is_done =
                status == StatusCode::OK && [json!(200), json!("200")].contains(&reply["Code"]);
            if !is_done {
                refused.push(format!("{place}: {status} {reply:?}"));
            }
            secrets.insert(place, secret);
            at_rest(&live).await;
        }
    }
    assert!(refused.is_empty(), "what is refused plants nothing: {refused:#?}");
    assert!(unknown.is_empty() && secrets.len() > 40, "{unknown:?} {}", secrets.len());
    secrets.insert("a key".into(), server::KEY.secret.into());
    secrets.insert("another key".into(), SECRET.into());

    // They are what runs, so they were there to be found.
    let shown = live.server.call("GET", DEPLOYMENT, &[("AppId", &known.application)]).await;
    assert!(said(&shown).contains("planted-"), "{shown:?}");

    let mut texts = vec![("the dump", dump(&database_url(&live)).await)];
    for operation in &operations {
        let offer = offered::offer(&operation.name).unwrap();
        let reads =
            [Group::ReadApplication, Group::ReadCluster, Group::ReadNamespace, Group::ReadConfig];
        if operation.name == "WatchOrder" || !reads.contains(&offer.group) {
            continue;
        }
        let call = Call::of(operation, &known);
        for who in ALL.iter().filter(|who| !matches!(who, Who::Reader | Who::Replayed)) {
            let (_, reply) = send(&live, &operation.method, &call, Some(*who)).await;
            texts.push(("a reply to another key", said(&reply)));
        }
    }
    assert!(texts.len() > 50, "{}", texts.len());
    texts.push(("the log", log.text()));
    let mut found = Vec::new();
    for (what, text) in &texts {
        for (place, secret) in &secrets {
            if let Some(line) = text.lines().find(|line| shows(line, secret)) {
                let line: String = line.chars().take(600).collect();
                found.push(format!("{what} shows that of {place}: {line}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

async fn planted_or_resource(
    live: &Live,
    known: &Known,
    name: &str,
    secret: &str,
    files: &Files,
) -> (String, Vec<(&'static str, String)>) {
    if name != "ResourceContent" {
        return planted(name, secret, files);
    }
    let shown = live.server.call("GET", DEPLOYMENT, &[("AppId", &known.application)]).await;
    let mut text: Value = serde_json::from_str(shown["Data"].as_str().unwrap()).unwrap();
    text["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{ "name": "A", "value": secret }]);
    (text.to_string(), Vec::new())
}

fn database_url(live: &Live) -> String {
    let server = std::env::var("DATABASE_URL").unwrap();
    let options = live.server.pool.connect_options();
    let (base, query) = server.split_once('?').unwrap_or((&server, ""));
    let (base, _) = base.rsplit_once('/').unwrap();
    format!("{base}/{}?{query}", options.get_database().unwrap())
}
