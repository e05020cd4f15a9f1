//! Steering orders: with reasons, over trouble that passes, and for programs that read.

use std::process::Stdio;

use domain::{order::State, snapshot::Snapshot};
use service::WantedKey;
use sqlx::PgPool;

use super::terminal::Terminal;
use crate::{support::server::Server, waiting::set_ready};

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_steers_an_order_says_why_and_it_stands_with_what_happened(pool: PgPool) {
    let server = Server::start(pool).await;
    let web = server.app.create("web", 4).await;
    let events = async |reason: &str| {
        let shown = server.ends(0, "events web -o json").await;
        let order: Snapshot = serde_json::from_str(&shown).unwrap();
        let causes: Vec<_> = order.timeline.iter().map(|it| it.cause.as_str()).collect();
        assert!(causes.iter().any(|it| it.contains(reason)), "{reason}: {causes:?}");
    };
    let release = "release web --image shop/web:2.0 --batches 4 --manual --until gate";
    server.ends(0, release).await;
    server.ends(0, "continue web --until gate --reason first-serves").await;
    events("first-serves").await;
    server.ends(0, "step-back web --until gate --reason too-slow").await;
    events("too-slow").await;
    server.ends(0, "abort web --reason lunch").await;
    events("lunch").await;
    server.ends(0, "rollback web --reason enough").await;
    let order = server.app.service.newest_order(web).await.unwrap().unwrap();
    let before = server.app.store.events(order.rolls_back.unwrap()).await.unwrap();
    assert!(before.iter().any(|it| it.cause.contains("enough")), "{before:#?}");
    for words in ["scale web 2", "stop web", "start web", "restart web"] {
        let reason = words.replace(' ', "-");
        server.ends(0, &format!("{words} --reason because-of-{reason}")).await;
        events(&format!("because-of-{reason}")).await;
    }
    let long = "x".repeat(501);
    let refused = server.command(&format!("abort web --reason {long}")).output().await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(4) && said.contains("Reason"), "{said}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn continue_all_waits_until_trouble_has_passed_and_continue_says_what_it_is(pool: PgPool) {
    let server = Server::start(pool).await;
    let web = server.app.create("web", 4).await;
    server.ends(0, "release web --image shop/web:2.0 --batches 4 --manual --until gate").await;
    let order = server.app.service.newest_order(web).await.unwrap().unwrap().id;
    let pod = set_ready(&server.app, "False").await;
    server.app.order_when(order, |it| it.trouble.contains(&pod)).await;
    let refused = server.command("continue web").output().await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(4) && said.contains(&pod), "{said}");
    let all = server.command("continue web --all").stderr(Stdio::piped()).spawn().unwrap();
    // It is told that it waits, and then it may go on.
    let mut all = all;
    let mut lines = tokio::io::BufReader::new(all.stderr.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.unwrap();
    assert!(line.contains("cannot go on until this has passed") && line.contains(&pod), "{line}");
    set_ready(&server.app, "True").await;
    let rest = async { tokio::io::AsyncReadExt::read_to_end(&mut lines, &mut Vec::new()).await };
    let (ended, _) = tokio::join!(all.wait(), rest);
    assert_eq!(ended.unwrap().code(), Some(0));
    assert_eq!(server.newest(web).await, State::Succeeded);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn at_a_gate_with_trouble_a_person_is_told_and_can_still_end_it(pool: PgPool) {
    let server = Server::start(pool).await;
    let web = server.app.create("web", 2).await;
    server.ends(0, "release web --image shop/web:2.0 --batches 2 --manual --until gate").await;
    let order = server.app.service.newest_order(web).await.unwrap().unwrap().id;
    let pod = set_ready(&server.app, "False").await;
    server.app.order_when(order, |it| it.trouble.contains(&pod)).await;
    let terminal = Terminal::start(&server, 90, "follow web").await;
    let screen = terminal.shows("Batch 2 (1 pod) cannot begin yet. What now?").await;
    assert!(screen.contains(&pod) && !screen.contains("y continue"), "{screen}");
    terminal.types(&["y", "Enter"]).await;
    terminal.shows("this cannot be done now").await;
    assert_eq!(server.newest(web).await, State::WaitingConfirmation);
    set_ready(&server.app, "True").await;
    terminal.shows("Continue with batch 2 (1 pod)?").await;
    terminal.types(&["a", "Enter"]).await;
    let screen = terminal.shows("exit code 6").await;
    assert!(screen.contains("not begun"), "{screen}");
}

/// A terminal that knows nothing but letters gets lines, and is asked all the same.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_dumb_terminal_gets_lines_without_sequences(pool: PgPool) {
    let server = Server::start(pool).await;
    server.app.create("web", 2).await;
    let program = env!("CARGO_BIN_EXE_sluice");
    let words = "release web --image shop/web:2.0 --batches 2 --manual";
    let mut script = server.command("");
    let script = async {
        let mut command = tokio::process::Command::new("script");
        command.args(["-qec", &format!("{program} {words}"), "/dev/null"]);
        for (name, value) in script.as_std_mut().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("TERM", "dumb").stdin(Stdio::null()).output().await.unwrap()
    };
    let output = script.await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!said.contains('\u{1b}'), "{said:?}");
    assert!(said.contains("Continue with batch 2 (1 pod)?"), "{said}");
    // Nobody is there to answer.
    assert_eq!(output.status.code(), Some(5), "{said}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_asks_for_json_gets_json_alone(pool: PgPool) {
    let server = Server::start(pool).await;
    server.app.create("web", 2).await;
    let json =
        |text: &str| serde_json::from_str::<Snapshot>(text).unwrap_or_else(|_| panic!("{text}"));
    let words = "release web --image shop/web:2.0 --batches 2 --manual --detach -o json";
    let released = json(&server.ends(0, words).await);
    let line = server.ends(0, "follow web --detach -o jsonl").await;
    assert_eq!(line.lines().count(), 1, "{line}");
    assert_eq!(json(&line).order.id, released.order.id);
    server.ends(0, "follow web --until gate").await;
    let aborted = json(&server.ends(0, "abort web -o json").await);
    assert_eq!(aborted.order.state, State::Aborted);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_history_shows_what_a_return_would_change(pool: PgPool) {
    let server = Server::start(pool).await;
    server.app.create("web", 1).await;
    server.ends(0, "release web --image shop/web:2.0 --version-text two").await;
    let shown = server.ends(0, "history web --diff").await;
    let (newest, first) = shown.split_once("\n\n").unwrap();
    assert!(newest.starts_with("==> two <=="), "{shown}");
    let has = |mark: char, image: &str| {
        first.lines().any(|line| line.starts_with(mark) && line.ends_with(image))
    };
    assert!(has('+', "image: shop/web:1.0") && has('-', "image: shop/web:2.0"), "{shown}");
    assert!(!server.ends(0, "history web").await.contains("image: "));
}

/// A link for whoever calls, and for nobody whose name is alike.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_has_a_key_gets_a_link_to_the_console_for_it(pool: PgPool) {
    let server = Server::start(pool).await;
    // Another one's key has the name of the caller's principal.
    let other = WantedKey {
        name: Some("ci".into()),
        principal: Some("eve".into()),
        ..WantedKey::default()
    };
    let _ = server.app.service.create_key(&service::Caller::of_commands(), &other).await;
    let link = server.ends(0, "console --url https://sluice.example").await;
    let token = link.trim().strip_prefix("https://sluice.example/console/link/").unwrap();
    let token = service::SessionToken::read(token).unwrap();
    let visit = service::Visit::default();
    let opened = server.app.service.open_linked_session(&token, &visit).await.unwrap();
    let peer = [127, 0, 0, 1].into();
    let session = server.app.service.session(&opened.token, peer).await.unwrap().unwrap();
    assert_eq!(session.session.key_id, "the-key");
    assert!(server.app.service.open_linked_session(&token, &visit).await.is_err(), "once");
    let link = server.ends(0, "console -o json").await;
    assert!(link.contains(&format!("{}/console/link/", server.endpoint)), "{link}");
}
