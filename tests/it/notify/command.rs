//! The commands about channels, and the program that sends.

use std::process::{Output, Stdio};

use sqlx::PgPool;
use test_support::{dump::dump, keyring};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

use super::receiver::{Answer, Receiver};
use crate::support::database_url;

fn sluice(pool: &PgPool, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .args(words)
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_KEYRING", keyring::TEXT)
        .kill_on_drop(true);
    command
}

async fn run(pool: &PgPool, words: &[&str], input: &str) -> (bool, String) {
    let mut command = sluice(pool, words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that reads nothing may be gone.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().await.unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// The program on a simulated cluster, once it serves.
async fn serve(pool: &PgPool) -> Child {
    let mut program = sluice(pool, &["serve", "--cluster", "simulated", "--log-format", "json"])
        .env("SLUICE_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("Sluice begins") {
            // Nobody may leave it with a pipe that is full.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return program;
        }
    }
    panic!("it must begin");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_administrator_makes_tries_and_removes_a_channel(pool: PgPool) {
    let receiver = Receiver::start().await;
    let create = ["notify", "create", "ops", "--kind", "webhook", "--url-file", "-"];
    let with = |more: &[&'static str]| [&create[..], more].concat();
    let (ok, said) =
        run(&pool, &with(&["--namespace", "def*", "--on", "failed,waiting"]), &receiver.url).await;
    assert!(ok, "{said}");
    let secret = said.lines().find_map(|line| line.strip_prefix("Secret ")).unwrap().to_owned();
    let (ok, said) = run(&pool, &create, &receiver.url).await;
    assert!(!ok && said.contains("a channel has this name"), "{said}");
    for (more, input, wanted) in [
        (&["--on", "never"][..], "", "rolled_back"),
        (&["--namespace", "A"], "https://example.org/geheim", "lower-case"),
        (&[], "geheim", "--url-file: the address must be a URL"),
        (&["--secret-file", "-"], "", "standard input can be read once"),
    ] {
        let (ok, said) = run(&pool, &with(more), input).await;
        assert!(!ok && said.contains(wanted) && !said.contains("geheim"), "{said}");
    }
    let chat = ["notify", "create", "chat", "--kind", "slack", "--url-file", "-"];
    let (ok, said) = run(&pool, &chat, "https://hooks.example.org/services/planted-address").await;
    assert!(ok && !said.contains("Secret"), "{said}");
    let (ok, said) = run(&pool, &["notify", "rotate", "chat"], "").await;
    assert!(!ok && said.contains("--secret-file"), "{said}");
    let text = dump(&database_url(&pool)).await;
    for hidden in ["planted-address", &secret[10..], &receiver.url] {
        let hex: String = hidden.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!text.contains(hidden) && !text.contains(&hex), "{hidden}");
    }

    let program = serve(&pool).await;
    let (ok, said) = run(&pool, &["notify", "test", "ops"], "").await;
    assert!(ok && said.contains("ops received it"), "{said}");
    receiver.requests()[0].verify(&secret);
    assert_eq!(receiver.requests()[0].body["type"], "order.test");
    let (ok, said) = run(&pool, &["notify", "rotate", "ops"], "").await;
    assert!(ok, "{said}");
    let new = said.lines().find_map(|line| line.strip_prefix("Secret ")).unwrap().to_owned();
    receiver.answers(Answer::Status(503));
    let (ok, said) = run(&pool, &["notify", "test", "ops"], "").await;
    assert!(!ok && said.contains("answered 503"), "{said}");
    let request = receiver.requests().pop().unwrap();
    request.verify(&secret);
    request.verify(&new);
    let (ok, said) = run(&pool, &["notify", "disable", "ops"], "").await;
    assert!(ok && said.contains("disabled"), "{said}");
    let (ok, said) = run(&pool, &["notify", "test", "ops"], "").await;
    assert!(!ok && said.contains("notify enable"), "{said}");
    receiver.answers(Answer::Status(200));
    let (ok, _) = run(&pool, &["notify", "enable", "ops"], "").await;
    assert!(ok);
    // What waited is sent at once.
    receiver.requests_when(3).await;
    let (ok, said) = run(&pool, &["notify", "show", "ops"], "").await;
    assert!(
        ok && said.contains("on: waiting, failed") && said.contains("namespaces: def*"),
        "{said}"
    );
    assert!(said.contains("test  -  delivered"), "{said}");
    let (ok, said) = run(&pool, &["notify", "list"], "").await;
    assert!(ok && said.lines().count() == 2 && said.contains("chat  slack  enabled"), "{said}");
    let (ok, said) = run(&pool, &["keyring", "rewrap"], "").await;
    assert!(ok, "{said}");
    for wanted in [true, false] {
        let (ok, said) = run(&pool, &["notify", "rm", "ops"], "").await;
        assert_eq!(ok, wanted, "{said}");
    }
    drop(program);
}
