//! Following an order to its end, whatever becomes of the connection.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use domain::{BatchId, order::State, snapshot::Snapshot};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    End, Trouble,
    api::{Api, Events},
    change,
    command::{Followed, Format, Until, Waiting},
    find::snapshot,
    paint::{self, Line},
    prompt::{Answer, Prompt, Question},
    render,
    show::{Printer, annotate, columns, complain, rows, say},
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
    printer: Printer,
) -> Result<End, Trouble> {
    let way_back = format!("sluice follow {order}");
    if waiting.detach {
        match printer.format {
            Format::Text | Format::Wide => say(&format!("order {order} goes on: {way_back}")),
            // Whoever reads JSON gets it, and nothing else.
            Format::Json | Format::Jsonl => {
                printer.one(&snapshot(api, order).await?, render::whole_now);
            }
        }
        return Ok(End::Done);
    }
    let mut screen = Screen::new(printer, Prompt::of(waiting, printer.format));
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
                match next(&mut events, screen).await {
                    Next::Shown(Ok(Some(snapshot))) => {
                        lost = None;
                        screen.show(&snapshot);
                        if let Some(end) = stops(&snapshot, waiting) {
                            return Ok((*snapshot, end));
                        }
                    }
                    Next::Shown(Ok(None)) => break Trouble::unreachable("the stream broke off"),
                    Next::Shown(Err(trouble)) => return Err(trouble),
                    Next::Answered(answer) => {
                        if let Some(stopped) = obey(api, order, answer, screen).await? {
                            return Ok(stopped);
                        }
                    }
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

/// Follows the order whose id a reply has.
pub(crate) async fn go_on(api: &Api, followed: &Followed, order: &Value) -> Result<End, Trouble> {
    match order.as_str().filter(|id| !id.is_empty()) {
        Some(order) => {
            follow(api, order, &followed.waiting, Printer::of(&followed.named.reach)).await
        }
        // Nothing was to be done.
        None => Ok(End::Done),
    }
}

/// Whether nothing more is waited for, and how it ends if the order has not ended.
fn stops(snapshot: &Snapshot, waiting: &Waiting) -> Option<Option<End>> {
    if snapshot.order.state.is_final() {
        return Some(None);
    }
    let waits = snapshot.order.needs_person();
    let at_gate = snapshot.order.state == State::WaitingConfirmation
        || snapshot.order.state == State::WaitingInterval;
    if at_gate && waiting.until == Until::Gate {
        return Some(Some(End::Done));
    }
    (waits && waiting.no_input).then_some(Some(End::NeedsPerson))
}

/// What comes next of an order that is followed.
enum Next {
    Shown(Result<Option<Box<Snapshot>>, Trouble>),
    /// A person answered the question; none = nothing that is understood.
    Answered(Option<Answer>),
}

async fn next(events: &mut Events, screen: &mut Screen) -> Next {
    let shown = async { Next::Shown(events.next().await.map(|it| it.map(Box::new))) };
    match &mut screen.prompt {
        // What was typed is below the picture already, so it comes first.
        Some(prompt) if screen.asked.is_some() => tokio::select! {
            biased;
            answer = prompt.answer() => Next::Answered(answer),
            next = shown => next,
        },
        _ => shown.await,
    }
}

/// Does what a person answered. Returns the order where it is left as it waits.
async fn obey(
    api: &Api,
    order: &str,
    answer: Option<Answer>,
    screen: &mut Screen,
) -> Result<Option<(Snapshot, Option<End>)>, Trouble> {
    let (Some(asked), Some(snapshot)) = (screen.answered(), screen.before.clone()) else {
        return Ok(None);
    };
    let batch = asked.batch;
    let done = match answer {
        Some(answer) if !asked.may(answer) => {
            screen.remark("this cannot be done now");
            screen.show(&snapshot);
            return Ok(None);
        }
        None => {
            screen.show(&snapshot);
            return Ok(None);
        }
        Some(Answer::Leave) => {
            say(&format!("it waits: sluice continue {order}"));
            return Ok(Some((snapshot, Some(End::NeedsPerson))));
        }
        Some(Answer::Continue) => change::confirm(api, &batch.to_string(), None).await,
        Some(Answer::Abort) => change::abort(api, order, None).await,
        Some(Answer::RollBack) => change::roll_back(api, order, None).await.map(|_| ()),
    };
    match done {
        Ok(()) => {
            screen.settled = Some(batch);
            Ok(None)
        }
        // It may have gone on meanwhile. What it is now comes with the stream.
        Err(trouble) if trouble.end == End::Refused => {
            screen.remark(&trouble.message);
            Ok(None)
        }
        Err(trouble) => Err(trouble),
    }
}

/// Where snapshots are shown.
struct Screen {
    printer: Printer,
    /// Whether the picture is painted over the one before.
    repaints: bool,
    /// Lines from the top of the picture that stands there to the cursor.
    lines: usize,
    before: Option<Snapshot>,
    prompt: Option<Prompt>,
    /// The question that stands there.
    asked: Option<Question>,
    /// The last question that was asked.
    asked_last: Option<Question>,
    /// The batch about which the last question was answered.
    settled: Option<BatchId>,
}

impl Screen {
    fn new(printer: Printer, prompt: Option<Prompt>) -> Self {
        let repaints =
            printer.format == Format::Text && std::io::stdout().is_terminal() && !paint::is_dumb();
        Self {
            printer,
            repaints,
            lines: 0,
            before: None,
            prompt,
            asked: None,
            asked_last: None,
            settled: None,
        }
    }

    fn show(&mut self, snapshot: &Snapshot) {
        if snapshot.order.state != State::WaitingConfirmation {
            self.settled = None;
        }
        match self.printer.format {
            Format::Json => {}
            Format::Jsonl => say(&serde_json::to_string(snapshot).unwrap_or_default()),
            Format::Text if self.repaints => self.repaint(snapshot),
            Format::Text | Format::Wide => {
                let before = self.before.as_ref().filter(|it| it.order.id == snapshot.order.id);
                let now = Timestamp::now().strftime("%H:%M:%S").to_string();
                for line in render::changes(before, snapshot) {
                    say(&format!("{now} {line}"));
                }
                let before = self.asked_last.clone();
                if let Some(lines) = self.ask(snapshot).filter(|_| self.asked != before) {
                    self.printer.lines(&lines);
                }
            }
        }
        self.before = Some(snapshot.clone());
    }

    /// The picture in place of the one before: up to its first line, and nothing below.
    fn repaint(&mut self, snapshot: &Snapshot) {
        let is_other = |before: &Snapshot| before.order.id != snapshot.order.id;
        if self.before.as_ref().is_some_and(is_other) {
            self.lines = 0;
        }
        self.follow_cursor();
        let (columns, rows) = (columns().unwrap_or(80), rows());
        let picture = render::render(snapshot, Timestamp::now(), columns);
        let mut lines = render::fit(picture, rows.saturating_sub(3));
        let mut last = None;
        if let Some([choices, asks]) = self.ask(snapshot) {
            lines.push(choices);
            last = Some(asks);
        }
        let mut text = match self.lines {
            0 => String::new(),
            lines => format!("\r\u{1b}[{lines}A\u{1b}[J"),
        };
        for line in &lines {
            text.push_str(&line.written(self.printer.colours));
            text.push('\n');
        }
        // The cursor stays behind the question, which ends with a blank.
        text.push_str(&last.map(|line| line.written(self.printer.colours)).unwrap_or_default());
        self.lines = lines.len();
        // Whoever reads it has gone: there is nobody to tell.
        let _ = std::io::stdout().write_all(text.as_bytes());
        let _ = std::io::stdout().flush();
    }

    /// Asks what there is to ask; the lines of it.
    fn ask(&mut self, snapshot: &Snapshot) -> Option<[Line; 2]> {
        self.asked = None;
        let prompt = self.prompt.as_mut()?;
        let question = Question::of(snapshot).filter(|it| self.settled != Some(it.batch))?;
        // What was typed before is no answer to this. But the question may be another one for
        // a moment, while something keeps the batch from beginning.
        if self.asked_last.as_ref().map(|it| it.batch) != Some(question.batch) {
            prompt.clear();
        }
        let lines = question.lines();
        (self.asked, self.asked_last) = (Some(question.clone()), Some(question));
        Some(lines)
    }

    /// The question was answered.
    fn answered(&mut self) -> Option<Question> {
        self.follow_cursor();
        self.asked.take()
    }

    /// What somebody types ends lines below the picture, whenever that is.
    fn follow_cursor(&mut self) {
        let down = self.prompt.as_mut().map_or(0, Prompt::went_down);
        if self.lines > 0 {
            self.lines += down;
        }
    }

    /// A line below the picture.
    fn remark(&mut self, text: &str) {
        say(text);
        // What comes is painted below it.
        self.lines = 0;
    }

    fn last(&self, snapshot: &Snapshot) {
        if self.printer.format == Format::Json {
            say(&serde_json::to_string_pretty(snapshot).unwrap_or_default());
        }
        let failed = snapshot.order.state == State::Failed;
        if failed && paint::is_on_github() {
            annotate("error", &snapshot.order.message);
        }
    }
}
