//! Following an order to its end, whatever becomes of the connection.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use domain::{order::State, snapshot::Snapshot};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    End, Trouble,
    api::Api,
    command::{Format, Until, Waiting},
    render,
    show::{complain, say},
};

/// How long a server may be gone until following it ends.
const GONE_FOR: Duration = Duration::from_secs(60);

/// Pause before it is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Follows an order as `waiting` says, and the order that rolls it back after it.
pub(crate) async fn follow(
    api: &Api,
    order: &str,
    waiting: &Waiting,
    format: Format,
) -> Result<End, Trouble> {
    let way_back = format!("sluice follow {order}");
    if waiting.detach {
        say(&format!("order {order} goes on: {way_back}"));
        return Ok(End::Done);
    }
    let mut screen = Screen::new(format);
    let end = async {
        match waiting.timeout {
            Some(time) => sleep_until(Instant::now() + time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = to_the_end(api, order, waiting, &mut screen) => ended,
        () = end => {
            complain(&format!("sluice: the time is over; the order goes on: {way_back}"));
            Ok(End::TimedOut)
        }
        _ = tokio::signal::ctrl_c() => {
            complain(&format!("\nsluice: not followed any more; the order goes on: {way_back}"));
            Ok(End::Interrupted)
        }
    }
}

async fn to_the_end(
    api: &Api,
    order: &str,
    waiting: &Waiting,
    screen: &mut Screen,
) -> Result<End, Trouble> {
    let (first, gate) = until_it_stops(api, order, waiting, screen).await?;
    if let Some(end) = gate {
        screen.last(&first);
        return Ok(end);
    }
    // Whether an order that ended was rolled back is known with its end, or a person says so later.
    let Some(back) = first.rolled_back_by else {
        screen.last(&first);
        return Ok(End::of(first.order.state, None).unwrap_or(End::Unreachable));
    };
    let waiting =
        Waiting { detach: false, until: Until::Done, timeout: None, no_input: waiting.no_input };
    let (second, gate) = until_it_stops(api, &back.to_string(), &waiting, screen).await?;
    screen.last(&second);
    Ok(gate
        .or_else(|| End::of(first.order.state, Some(second.order.state)))
        .unwrap_or(End::Unreachable))
}

/// Follows one order until it has ended, or stands where nothing more is waited for.
async fn until_it_stops(
    api: &Api,
    order: &str,
    waiting: &Waiting,
    screen: &mut Screen,
) -> Result<(Snapshot, Option<End>), Trouble> {
    let mut lost: Option<Instant> = None;
    loop {
        let trouble = match api.watch(order).await {
            Ok(mut events) => loop {
                match events.next().await {
                    Ok(Some(snapshot)) => {
                        lost = None;
                        screen.show(&snapshot);
                        if snapshot.order.state.is_final() {
                            return Ok((snapshot, None));
                        }
                        let waits = snapshot.order.state == State::WaitingConfirmation;
                        let at_gate = waits || snapshot.order.state == State::WaitingInterval;
                        if at_gate && waiting.until == Until::Gate {
                            return Ok((snapshot, Some(End::Done)));
                        }
                        if waits && waiting.no_input {
                            return Ok((snapshot, Some(End::NeedsPerson)));
                        }
                    }
                    Ok(None) => break Trouble::unreachable("the stream broke off"),
                    Err(trouble) => return Err(trouble),
                }
            },
            Err(trouble) if trouble.end == End::Unreachable => trouble,
            Err(trouble) => return Err(trouble),
        };
        if lost.get_or_insert_with(Instant::now).elapsed() > GONE_FOR {
            let message = format!(
                "{}. How the order stands is not known: sluice order {order}",
                trouble.message
            );
            return Err(Trouble::unreachable(message));
        }
        sleep(AGAIN).await;
    }
}

/// Where snapshots are shown.
struct Screen {
    format: Format,
    /// Whether the picture is painted over the one before.
    repaints: bool,
    /// Lines of the picture that stands there.
    lines: usize,
    before: Option<Snapshot>,
}

impl Screen {
    fn new(format: Format) -> Self {
        let repaints = format == Format::Text && std::io::stdout().is_terminal();
        Self { format, repaints, lines: 0, before: None }
    }

    fn show(&mut self, snapshot: &Snapshot) {
        match self.format {
            Format::Json => {}
            Format::Jsonl => say(&serde_json::to_string(snapshot).unwrap_or_default()),
            Format::Text if self.repaints => self.repaint(snapshot),
            Format::Text => {
                let before = self.before.as_ref().filter(|it| it.order.id == snapshot.order.id);
                let now = Timestamp::now().strftime("%H:%M:%S").to_string();
                for line in render::changes(before, snapshot) {
                    say(&format!("{now} {line}"));
                }
            }
        }
        self.before = Some(snapshot.clone());
    }

    /// The picture in place of the one before: up to its first line, and nothing below.
    fn repaint(&mut self, snapshot: &Snapshot) {
        if self.before.as_ref().is_some_and(|before| before.order.id != snapshot.order.id) {
            self.lines = 0;
        }
        let width = columns();
        let lines = render::render(snapshot, Timestamp::now(), width);
        let mut text = String::new();
        if self.lines > 0 {
            text.push_str(&format!("\u{1b}[{}A\u{1b}[J", self.lines));
        }
        text.push_str(&lines.join("\n"));
        text.push('\n');
        self.lines = lines.len();
        // Whoever reads it has gone: there is nobody to tell.
        let _ = std::io::stdout().write_all(text.as_bytes());
        let _ = std::io::stdout().flush();
    }

    fn last(&self, snapshot: &Snapshot) {
        if self.format == Format::Json {
            say(&serde_json::to_string_pretty(snapshot).unwrap_or_default());
        }
        let failed = snapshot.order.state == State::Failed;
        if failed && std::env::var_os("GITHUB_ACTIONS").is_some() {
            let message = snapshot.order.message.replace(['\r', '\n'], " ").replace('%', "%25");
            complain(&format!("::error::{message}"));
        }
    }
}

/// Columns of the terminal.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col))
        .filter(|columns| (20..=500).contains(columns))
        .unwrap_or(80)
}
