//! Commands that look: at a release before it is made, at logs, at what is wrong; and those
//! that need no server.

use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::Command;

use super::BROKEN;
use crate::support::{App, by_hand, eventually, server::Server};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_difference_shows_what_changes_and_no_value_of_a_variable(pool: PgPool) {
    let server = Server::start(pool).await;
    server.app.create("web", 1).await;
    let shown = server.ends(0, "diff web --image shop/web:2.0 --env PASSWORD=hunter2").await;
    let changed: Vec<&str> =
        shown.lines().filter(|it| it.starts_with(['+', '-'])).map(str::trim_end).collect();
    assert!(changed.iter().any(|it| it.starts_with('-') && it.ends_with("image: shop/web:1.0")));
    assert!(changed.iter().any(|it| it.starts_with('+') && it.ends_with("image: shop/web:2.0")));
    assert!(changed.iter().any(|it| it.contains("PASSWORD")), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let same = server.ends(0, "diff web --image shop/web:1.0").await;
    assert_eq!(same, "nothing of the pod template changes\n");
    let reply = json_of(&server.ends(0, "diff web --image shop/web:2.0 -o json").await);
    let kinds: Vec<&Value> =
        reply["Difference"].as_array().unwrap().iter().map(|it| &it["Kind"]).collect();
    assert!(kinds.contains(&&json!("added")) && kinds.contains(&&json!("removed")), "{reply}");
    server.ends(2, "diff web").await;
    server.ends(8, "diff web --to lost").await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_variable_is_added_beside_the_others_and_a_version_of_the_history_has_none(pool: PgPool) {
    let server = Server::start(pool).await;
    server.app.create("web", 1).await;
    server.ends(0, "release web --image shop/web:1.0 --version-text one").await;
    server.ends(0, "release web --env A=1 --env B=x=y --version-text two").await;
    server.ends(0, "release web --env A=2 --env C= --image shop/web:2.0").await;
    let variables = async || {
        let found = server.app.deployments().get("web").await.unwrap();
        let container = found.spec.unwrap().template.spec.unwrap().containers.remove(0);
        let pairs = container.env.unwrap_or_default();
        pairs.into_iter().map(|it| (it.name, it.value.unwrap_or_default())).collect::<Vec<_>>()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(variables().await, [pair("A", "2"), pair("B", "x=y"), pair("C", "")]);
    let shown = server.ends(0, "diff web --to one").await;
    assert!(shown.lines().any(|it| it.starts_with('-') && it.contains("name: C")), "{shown}");
    server.ends(0, "release web --to one --batches 1").await;
    assert_eq!(variables().await, []);
    server.ends(2, "release web --env A").await;
    server.ends(2, "release web --to one --image shop/web:3.0").await;
    let shown = server.run("release web --env A-=1 --env =1").await;
    assert_eq!(shown.status.code(), Some(2));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn logs_are_those_of_the_applications_pods_alone(pool: PgPool) {
    let mut server = Server::start(pool).await;
    server.app.create("web", 2).await;
    server.app.create("other", 1).await;
    let shown = server.ends(0, "logs web").await;
    assert_eq!(shown.matches("==> web-").count(), 2, "{shown}");
    assert_eq!(shown.matches("shop/web:1.0 starts").count(), 2, "{shown}");
    let pods: Api<k8s_openapi::api::core::v1::Pod> =
        Api::namespaced(server.app.client.clone(), &server.app.namespace);
    let names: Vec<String> = pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let of = |app: &str| names.iter().find(|name| name.starts_with(app)).unwrap();
    let shown = server.ends(0, &format!("logs web --pod {}", of("web-"))).await;
    assert_eq!(shown.lines().count(), 1, "one log has no heading: {shown}");
    server.ends(8, &format!("logs web --pod {}", of("other-"))).await;
    server.ends(8, "logs web --tail 10 --pod web-lost").await;
    server.ends(2, "logs web --tail 1001").await;
    let shown = server.ends(8, "logs web --previous").await;
    assert!(shown.contains("nothing can be read: previous terminated container"), "{shown}");
    let shown = server.ends(8, "logs web --container lost").await;
    assert!(shown.contains("container lost is not valid for pod"), "{shown}");
    let policy = domain::order::FailurePolicy { roll_back: false, ..Default::default() };
    server.app = server.app.tolerating(policy);
    let server = server.again().await;
    server.ends(1, &format!("release web --image {BROKEN}")).await;
    // The pod that is not Ready comes first, with the reason why it has printed nothing.
    let reply = json_of(&server.ends(0, "logs web -o json").await);
    let first = &reply["Logs"][0];
    assert_eq!(first["Text"], "", "{reply}");
    assert!(first["Unread"].as_str().unwrap().contains("is waiting to start"), "{reply}");
    server.ends(0, "rollback web").await;
    server.ends(0, "stop web").await;
    server.ends(8, "logs web").await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_deployment_is_adopted_over_the_api(pool: PgPool) {
    let server = Server::start(pool).await;
    by_hand::foreign(&server.app, "web", 2, json!({})).await;
    server.ends(4, "adopt lost --version-text found").await;
    // The executor may not have seen it yet.
    let shown = eventually(async || {
        let output = server.run("adopt default/web --version-text found").await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(said) } else { Err(format!("{output:?}")) }
    })
    .await;
    assert!(shown.contains("default/web"), "{shown}");
    let application = json_of(&server.ends(0, "app web -o json").await);
    assert_eq!((&application["version"], &application["replicas"]), (&json!("found"), &json!(2)));
    server.ends(4, "adopt web").await;
    server.ends(0, "release web --image shop/web:2.0").await;
}

fn verdict(findings: &Value, what: &str) -> Value {
    let found = findings.as_array().unwrap().iter().find(|it| it["what"] == what);
    found.unwrap_or_else(|| panic!("{what}: {findings}"))["verdict"].clone()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_doctor_names_what_is_wrong(pool: PgPool) {
    let mut server = Server::start(pool).await;
    // Without an application rights and probes cannot be looked at.
    let findings = json_of(&server.ends(0, "doctor -o json").await);
    assert_eq!(verdict(&findings, "rights"), "unseen");
    server.app.create("web", 1).await;
    let findings = json_of(&server.ends(0, "doctor -o json").await);
    for what in ["server", "clock", "database", "cluster", "key"] {
        assert_eq!(verdict(&findings, what), "ok", "{findings}");
    }
    // The simulated cluster knows no rights; the test on the real control plane is below.
    assert_eq!(verdict(&findings, "rights"), "unseen", "{findings}");
    assert_eq!(verdict(&findings, "probes"), "warning", "there is no readiness probe");
    let shown = server.ends(0, "doctor web").await;
    assert!(shown.contains("there is no readiness probe"), "{shown}");
    server.ends(8, "doctor lost").await;
    let wrong = server.command("doctor").env("SLUICE_ACCESS_KEY_SECRET", "wrong").output().await;
    let wrong = wrong.unwrap();
    assert_eq!(wrong.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("wrong     key"), "{wrong:?}");
    let away = server.command("doctor").env("SLUICE_ENDPOINT", "http://127.0.0.1:9").output().await;
    let away = away.unwrap();
    assert_eq!(away.status.code(), Some(9));
    assert!(String::from_utf8_lossy(&away.stdout).contains("wrong     server"), "{away:?}");
    server.app.stop_executor().await;
    eventually(async || {
        let output = server.run("doctor -o json").await;
        let findings = json_of(&String::from_utf8_lossy(&output.stdout));
        let is_told = verdict(&findings, "cluster") == "wrong" && output.status.code() == Some(9);
        if is_told { Ok(()) } else { Err(findings.to_string()) }
    })
    .await;
}

mod real {
    use super::*;

    #[sqlx::test(migrator = "store::MIGRATIONS")]
    async fn rights_are_looked_at_and_logs_are_asked_of_the_nodes(pool: PgPool) {
        let server = Server::on(App::start_real(pool).await).await;
        server.app.create("web", 1).await;
        let name = format!("{}/web", server.app.namespace);
        let findings = json_of(&server.ends(0, &format!("doctor {name} -o json")).await);
        assert_eq!(verdict(&findings, "rights"), "ok", "{findings}");
        // The nodes of this control plane run nothing: the API server says so of each pod.
        let reply = json_of(&server.ends(8, &format!("logs {name} -o json")).await);
        assert_eq!(reply["Logs"].as_array().unwrap().len(), 1, "{reply}");
        let why = reply["Logs"][0]["Unread"].as_str().unwrap();
        println!("logs of a pod of a node that is none: {why}");
        assert!(!why.is_empty() && !why.contains("forbidden"), "{reply}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_a_terminal_there_is_a_line_for_each_change_and_no_colour(pool: PgPool) {
    let server = Server::start(pool).await;
    server.app.create("web", 2).await;
    let shown = server.ends(0, "release web --image shop/web:2.0 --batches 2").await;
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    let lines: Vec<&str> = shown.lines().map(|line| line.get(9..).unwrap_or_default()).collect();
    for batch in ["batch 1/2 succeeded 1/1 ready", "batch 2/2 succeeded 1/1 ready"] {
        assert_eq!(lines.iter().filter(|it| **it == batch).count(), 1, "{shown}");
    }
    assert!(lines.last().unwrap().ends_with("succeeded: done"), "{shown}");
    let is_timed = |line: &str| line.as_bytes()[2] == b':' && line.as_bytes()[5] == b':';
    assert!(shown.lines().all(is_timed), "{shown}");
    assert!(!server.ends(0, "order web").await.contains('\u{1b}'));
    let coloured = server.ends(0, "order web --color always").await;
    assert!(coloured.contains("\u{1b}[32m  ● batch 1/2"), "{coloured:?}");
    // Without a name it is the one that is open.
    server.ends(8, "follow").await;
    server.ends(0, "release web --image shop/web:3.0 --batches 2 --manual --until gate").await;
    server.ends(0, "follow --until gate").await;
    server.app.create("other", 2).await;
    server.ends(0, "release other --image shop/web:3.0 --batches 2 --manual --detach").await;
    let several = server.run("follow --until gate").await;
    assert_eq!(several.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&several.stderr).contains("default/other"), "{several:?}");
}

#[tokio::test]
async fn each_shell_gets_a_script_that_completes_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["completion", shell])
            .env_clear()
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{shell}: {output:?}");
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["step-back", "rollback", "doctor", "plan-hash", "completion"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    // What bash itself makes of it.
    let completed = Command::new("bash")
        .args([
            "--norc",
            "-c",
            r#"eval "$("$0" completion bash)"; COMP_WORDS=(sluice step); COMP_CWORD=1; _sluice sluice step sluice; echo "${COMPREPLY[@]}""#,
            env!("CARGO_BIN_EXE_sluice"),
        ])
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "step-back", "{completed:?}");
}
