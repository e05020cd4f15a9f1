//! The command line on a real terminal: tmux draws what it writes, and types what a person
//! would.

use std::process::{Output, Stdio};

use domain::order::State;
use sqlx::PgPool;
use tokio::process::Command;

use crate::support::{eventually, server::Server};

/// A terminal with a shell's one command in it. Dropping it ends both.
pub struct Terminal {
    /// The socket of a tmux of its own.
    socket: String,
}

impl Terminal {
    /// Runs `words` of the command line on a terminal of so many columns, and prints its exit
    /// code behind it.
    pub async fn start(server: &Server, columns: u32, words: &str) -> Self {
        let name = server.endpoint.rsplit(':').next().unwrap();
        let terminal = Self { socket: format!("sluice-test-{name}-{columns}") };
        let program = env!("CARGO_BIN_EXE_sluice");
        let script = format!("{program} {words}; echo \"exit code $?\"; exec sleep 600");
        let mut command = terminal.tmux();
        command
            .args(["new-session", "-d", "-x", &columns.to_string(), "-y", "24"])
            .arg(script)
            .env("SLUICE_ENDPOINT", &server.endpoint)
            .env("SLUICE_ACCESS_KEY_ID", "the-key")
            .env("SLUICE_ACCESS_KEY_SECRET", &server.secret)
            .env("SLUICE_CONTEXT_FILE", "/nowhere/contexts.json");
        let output = command.output().await.expect("tmux must be installed (Debian's tmux)");
        assert!(output.status.success(), "{output:?}");
        terminal
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command
            .args(["-u", "-f", "/dev/null", "-L", &self.socket])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::null());
        command
    }

    async fn said(&self, words: &[&str]) -> String {
        let output: Output = self.tmux().args(words).output().await.unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What stands on the terminal, without the blank lines below it.
    pub async fn screen(&self) -> String {
        self.said(&["capture-pane", "-p"]).await.trim_end().to_owned()
    }

    /// Waits until the terminal shows `text`.
    pub async fn shows(&self, text: &str) -> String {
        eventually(async || {
            let screen = self.screen().await;
            if screen.contains(text) { Ok(screen) } else { Err(format!("{text}:\n{screen}")) }
        })
        .await
    }

    pub async fn types(&self, keys: &[&str]) {
        self.said(&[&["send-keys"], keys].concat()).await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = std::process::Command::new("tmux")
            .args(["-L", &self.socket, "kill-server"])
            .stderr(Stdio::null())
            .status();
    }
}

/// How often a text stands on a screen.
fn count(screen: &str, text: &str) -> usize {
    screen.matches(text).count()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_picture_is_painted_over_and_a_person_continues_at_each_gate(pool: PgPool) {
    let server = Server::start(pool).await;
    let web = server.app.create("web", 4).await;
    let words = "release web --image shop/web:2.0 --canary 1 --batches 2 --manual";
    let terminal = Terminal::start(&server, 80, words).await;
    let screen = terminal.shows("Continue with batch 2 (1 pod)?").await;
    assert_eq!(count(&screen, "default/web   deploy"), 1, "painted once:\n{screen}");
    assert!(screen.contains("● batch 1/3 canary   [##########]   1/1 new ready"), "{screen}");
    assert!(screen.contains("y continue   a stop here   b roll back"), "{screen}");
    // What is not understood is asked again, and changes nothing.
    terminal.types(&["perhaps", "Enter"]).await;
    let screen = eventually(async || {
        let screen = terminal.screen().await;
        if screen.ends_with("pod)?") { Ok(screen) } else { Err(screen) }
    })
    .await;
    assert_eq!(count(&screen, "Continue with"), 1, "{screen}");
    assert_eq!(server.newest(web).await, State::WaitingConfirmation);
    terminal.types(&["y", "Enter"]).await;
    let screen = terminal.shows("Continue with batch 3 (2 pods)?").await;
    assert_eq!(count(&screen, "default/web   deploy"), 1, "{screen}");
    assert_eq!(count(&screen, "Continue with"), 1, "{screen}");
    terminal.types(&["y", "Enter"]).await;
    let screen = terminal.shows("exit code 0").await;
    assert_eq!(count(&screen, "default/web   deploy"), 1, "the last picture stays:\n{screen}");
    assert!(screen.contains("● batch 3/3          [##########]   2/2 new ready"), "{screen}");
    assert!(screen.contains("  succeeded: done"), "{screen}");
    let colours = terminal.said(&["capture-pane", "-p", "-e"]).await;
    assert!(colours.contains("\u{1b}[32m"), "what went well is green:\n{colours}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn at_a_gate_a_person_can_leave_come_back_and_take_it_back(pool: PgPool) {
    let server = Server::start(pool).await;
    let web = server.app.create("web", 2).await;
    let words = "release web --image shop/web:2.0 --batches 2 --manual";
    let terminal = Terminal::start(&server, 60, words).await;
    terminal.shows("Continue with batch 2 (1 pod)?").await;
    terminal.types(&["Enter"]).await;
    let screen = terminal.shows("exit code 5").await;
    assert!(screen.contains("it waits: sluice continue"), "{screen}");
    assert_eq!(server.newest(web).await, State::WaitingConfirmation, "nothing was done");
    assert!(screen.lines().all(|line| line.chars().count() <= 60), "{screen}");
    drop(terminal);
    let terminal = Terminal::start(&server, 61, "follow web").await;
    terminal.shows("Continue with batch 2 (1 pod)?").await;
    terminal.types(&["b", "Enter"]).await;
    let screen = terminal.shows("exit code 3").await;
    assert_eq!(count(&screen, "rollback"), 1, "{screen}");
    drop(terminal);
    // Somebody else is quicker: the question goes, and the order is followed on.
    server.ends(0, "release web --image shop/web:3.0 --batches 2 --manual --until gate").await;
    let terminal = Terminal::start(&server, 62, "follow web").await;
    terminal.shows("Continue with batch 2 (1 pod)?").await;
    server.ends(0, "continue web --detach").await;
    let screen = terminal.shows("exit code 0").await;
    assert_eq!(count(&screen, "Continue with"), 0, "{screen}");
    drop(terminal);
    server.ends(0, "release web --image shop/web:4.0 --batches 2 --manual --until gate").await;
    let terminal = Terminal::start(&server, 63, "follow web").await;
    terminal.shows("Continue with batch 2 (1 pod)?").await;
    terminal.types(&["a", "Enter"]).await;
    terminal.shows("exit code 6").await;
    drop(terminal);
    let terminal = Terminal::start(&server, 64, "orders web").await;
    let screen = terminal.shows("exit code 0").await;
    assert!(screen.lines().all(|line| line.chars().count() <= 64), "{screen}");
    assert_eq!(count(&screen, "aborted"), 2, "{screen}");
}
