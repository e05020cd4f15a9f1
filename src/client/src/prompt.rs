//! The question at a gate: where an order waits for a person, and a person is there.

use std::{
    collections::VecDeque,
    io::{BufRead, IsTerminal},
};

use domain::{
    BatchId,
    order::State,
    snapshot::{Action, Snapshot},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    command::{Format, Until, Waiting},
    paint::{Line, Tone},
};

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Continue,
    Abort,
    RollBack,
    /// The order waits on.
    Leave,
}

/// What a typed line says; none = it says nothing.
fn read(line: &str) -> Option<Answer> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" | "c" | "continue" => Some(Answer::Continue),
        "a" | "abort" => Some(Answer::Abort),
        "b" | "back" | "r" | "rollback" => Some(Answer::RollBack),
        "" | "n" | "no" | "l" | "leave" | "q" => Some(Answer::Leave),
        _ => None,
    }
}

/// A question about the batch that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) batch: BatchId,
    number: usize,
    pods: i32,
    /// Whether something keeps the batch from beginning, which is told beside the question.
    is_troubled: bool,
    may_continue: bool,
    may_abort: bool,
    may_roll_back: bool,
}

impl Question {
    /// The question where an order waits; none where there is nothing that could be done.
    pub(crate) fn of(snapshot: &Snapshot) -> Option<Self> {
        if snapshot.order.state != State::WaitingConfirmation {
            return None;
        }
        let next = snapshot.batches.iter().find(|batch| batch.started_at.is_none())?;
        let has = |is_it: fn(&Action) -> bool| snapshot.actions.iter().any(is_it);
        let question = Self {
            batch: next.id,
            number: next.number,
            pods: next.size,
            is_troubled: !snapshot.trouble.is_empty(),
            may_continue: has(|it| matches!(it, Action::Continue { .. })),
            may_abort: has(|it| matches!(it, Action::Abort)),
            may_roll_back: has(|it| matches!(it, Action::RollBack)),
        };
        let is_one = question.may_continue || question.may_abort || question.may_roll_back;
        is_one.then_some(question)
    }

    /// Whether there is such an answer to it.
    pub(crate) fn may(&self, answer: Answer) -> bool {
        match answer {
            Answer::Continue => self.may_continue,
            Answer::Abort => self.may_abort,
            Answer::RollBack => self.may_roll_back,
            Answer::Leave => true,
        }
    }

    /// What is shown: the answers, and the question.
    pub(crate) fn lines(&self) -> [Line; 2] {
        let answers = [
            (self.may_continue, "y continue"),
            (self.may_abort, "a stop here"),
            (self.may_roll_back, "b roll back"),
            (true, "Enter wait on"),
        ];
        let answers = answers.iter().filter(|(may, _)| *may).map(|(_, word)| *word);
        let choices = format!("  {}", answers.collect::<Vec<_>>().join("   "));
        let pods = if self.pods == 1 { "1 pod".into() } else { format!("{} pods", self.pods) };
        let batch = format!("batch {} ({pods})", self.number);
        let asks = if self.may_continue {
            format!("Continue with {batch}? ")
        } else if self.is_troubled {
            format!("B{} cannot begin yet. What now? ", &batch[1..])
        } else {
            format!("B{} waits for somebody else. What now? ", &batch[1..])
        };
        [Line::new(Tone::Faint, choices), Line::new(Tone::Strong, asks)]
    }
}

/// The lines that somebody types on a terminal.
pub(crate) struct Prompt {
    lines: UnboundedReceiver<String>,
    /// Those that were typed and not read yet.
    typed: VecDeque<String>,
    /// How many ends of lines the terminal has shown since that was asked last.
    ends: usize,
}

impl Prompt {
    /// None where nobody can be asked, or is not to be.
    pub(crate) fn of(waiting: &Waiting, format: Format) -> Option<Self> {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let may_ask = !waiting.no_input && !waiting.detach && waiting.until == Until::Done;
        (is_terminal && may_ask && format == Format::Text).then(Self::start)
    }

    /// Reads in a thread of its own, which the end of the program does not wait for.
    fn start() -> Self {
        let (lines, typed) = unbounded_channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines: typed, typed: VecDeque::new(), ends: 0 }
    }

    /// How many lines the cursor went down by what was typed since this was asked last.
    pub(crate) fn went_down(&mut self) -> usize {
        while let Ok(line) = self.lines.try_recv() {
            self.typed.push_back(line);
            self.ends += 1;
        }
        std::mem::take(&mut self.ends)
    }

    /// Forgets what was typed before the question.
    pub(crate) fn clear(&mut self) {
        self.typed.clear();
    }

    /// The next line; none = it says nothing. Where no more can be typed, it is left.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        if let Some(line) = self.typed.pop_front() {
            return read(&line);
        }
        match self.lines.recv().await {
            Some(line) => {
                self.ends += 1;
                read(&line)
            }
            None => Some(Answer::Leave),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_clear_is_taken_and_nothing_typed_changes_nothing() {
        for (line, answer) in [
            ("y", Some(Answer::Continue)),
            (" YES ", Some(Answer::Continue)),
            ("a", Some(Answer::Abort)),
            ("b", Some(Answer::RollBack)),
            ("", Some(Answer::Leave)),
            ("n", Some(Answer::Leave)),
            ("yeah", None),
            ("abc", None),
        ] {
            assert_eq!(read(line), answer, "{line:?}");
        }
    }
}
