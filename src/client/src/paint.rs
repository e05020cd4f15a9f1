//! Lines with a tone, and the colours that a terminal shows them in.
//!
//! No meaning is in a colour alone: whatever has one says the same in a word or a sign.

use std::io::IsTerminal;

use crate::command::Colours;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    /// A heading.
    Strong,
    Good,
    Bad,
    /// It goes on, or waits for somebody.
    Busy,
    /// Beside the point.
    Faint,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Line {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

impl Line {
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::new(Tone::Plain, text)
    }

    /// It as it is written: without what would steer a terminal, since texts come from
    /// clusters, and with colours if there are some.
    pub(crate) fn written(&self, colours: bool) -> String {
        let text: String = self.text.chars().filter(|it| *it == '\t' || !it.is_control()).collect();
        let text = defused(&text, is_on_github());
        let code = match self.tone {
            Tone::Plain => return text,
            _ if !colours || text.is_empty() => return text,
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Busy => "33",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Whether what is printed has colours.
pub(crate) fn has_colours(wanted: Colours) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    decide(wanted, std::io::stdout().is_terminal(), set("NO_COLOR"), is_dumb())
}

/// Whether the terminal knows nothing but letters and ends of lines.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether a runner of GitHub reads what is printed, and takes some lines for commands.
pub(crate) fn is_on_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some()
}

/// A line that is no command of a runner: texts come from clusters.
pub(crate) fn defused(line: &str, is_on_github: bool) -> String {
    let rest = line.trim_start();
    match rest.strip_prefix("::") {
        Some(command) if is_on_github => {
            format!("{}: :{command}", &line[..line.len() - rest.len()])
        }
        _ => line.to_owned(),
    }
}

fn decide(wanted: Colours, is_terminal: bool, no_color: bool, is_dumb: bool) -> bool {
    match wanted {
        Colours::Always => true,
        Colours::Never => false,
        Colours::Auto => is_terminal && !no_color && !is_dumb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_on_a_terminal_alone_unless_somebody_says_otherwise() {
        use Colours::{Always, Auto, Never};
        for (wanted, is_terminal, no_color, is_dumb, expected) in [
            (Auto, true, false, false, true),
            (Auto, false, false, false, false),
            (Auto, true, true, false, false),
            (Auto, true, false, true, false),
            (Always, false, true, true, true),
            (Never, true, false, false, false),
        ] {
            assert_eq!(
                decide(wanted, is_terminal, no_color, is_dumb),
                expected,
                "{wanted:?} {is_terminal} {no_color} {is_dumb}"
            );
        }
    }

    #[test]
    fn a_log_gives_no_orders_to_a_runner_of_github() {
        for (line, defused_line) in [
            ("::set-output name=a::b", ": :set-output name=a::b"),
            ("  ::add-path::/x", "  : :add-path::/x"),
            ("a::b", "a::b"),
            (":", ":"),
        ] {
            assert_eq!(defused(line, true), defused_line);
            assert_eq!(defused(line, false), line, "elsewhere a log is what was printed");
        }
    }

    #[test]
    fn a_text_of_a_cluster_cannot_steer_the_terminal_in_any_colour() {
        let line = Line::new(Tone::Bad, "\u{1b}[2J gone\r\n");
        assert_eq!(line.written(false), "[2J gone");
        assert_eq!(line.written(true), "\u{1b}[31m[2J gone\u{1b}[0m");
        assert_eq!(Line::plain("a\tb").written(true), "a\tb");
    }
}
