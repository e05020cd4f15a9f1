//! Words, marks and times, as people read them.

use jiff::Timestamp;

use domain::{
    Source,
    order::{
        Kind, State,
        plan::{Pace, Strategy},
    },
};

/// A state in a word, with a mark and a colour that say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sign {
    pub word: &'static str,
    pub mark: &'static str,
    /// Class of the style sheet.
    pub class: &'static str,
}

pub(crate) fn of_state(state: State) -> Sign {
    let (word, mark, class) = match state {
        State::Ready => ("accepted", "○", "waits"),
        State::WaitingApproval => ("needs approval", "▲", "asks"),
        State::Running => ("running", "◐", "runs"),
        State::WaitingConfirmation => ("needs you", "▲", "asks"),
        State::WaitingInterval => ("waits", "○", "waits"),
        State::Succeeded => ("succeeded", "✓", "good"),
        State::Failed | State::SystemFailed => ("failed", "✗", "bad"),
        State::Aborted => ("stopped", "■", "ended"),
    };
    Sign { word, mark, class }
}

/// What waits for a person, for somebody else to see.
pub(crate) const NEEDS_ANOTHER: Sign = Sign { word: "needs somebody", mark: "▲", class: "asks" };

/// The state of an order, for somebody who may let batches begin, or may not.
pub(crate) fn of_state_for(state: State, may_continue: bool) -> Sign {
    match state {
        State::WaitingConfirmation if !may_continue => NEEDS_ANOTHER,
        state => of_state(state),
    }
}

/// A batch that will not begin any more.
pub(crate) const NOT_BEGUN: Sign = Sign { word: "not begun", mark: "–", class: "ended" };

/// The state of a batch that was not begun is not yet one.
pub(crate) fn of_batch(state: State) -> Sign {
    match state {
        State::Ready => Sign { word: "to come", mark: "○", class: "waits" },
        state => of_state(state),
    }
}

pub(crate) fn of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Create => "creation",
        Kind::Deploy => "release",
        Kind::DeployVersion => "return to a version",
        Kind::Rollback => "rollback",
        Kind::Scale => "scaling",
        Kind::Stop => "stop",
        Kind::Start => "start",
        Kind::Restart => "restart",
        Kind::Configure => "new amounts",
        Kind::Delete => "deletion",
        Kind::ObjectWrite => "object written",
    }
}

pub(crate) fn of_source(source: Source) -> &'static str {
    match source {
        Source::Api => "API",
        Source::Console => "console",
        Source::Cli => "command",
        Source::System => "automatically",
    }
}

/// How a release reaches its pods.
pub(crate) fn of_strategy(strategy: &Strategy) -> String {
    if strategy.count() == 1 {
        return "all at once".into();
    }
    let pace = match strategy.pace {
        Pace::Manual => ", each confirmed".to_owned(),
        Pace::Automatic { wait_minutes: 0 } => ", automatic".to_owned(),
        Pace::Automatic { wait_minutes } => format!(", automatic, {wait_minutes} min apart"),
    };
    let batches = of_count(strategy.batches, "batch", "batches");
    if strategy.canary > 0 {
        format!("canary of {}, then {batches}{pace}", of_count(strategy.canary, "pod", "pods"))
    } else {
        format!("{batches}{pace}")
    }
}

pub(crate) fn of_count(count: i32, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}

pub(crate) fn of_pods(count: i32) -> String {
    of_count(count, "pod", "pods")
}

/// What happened, from the word of an event.
pub(crate) fn of_event(kind: &str) -> String {
    let word = match kind {
        "order.accepted" => "accepted",
        "order.held" => "held off",
        "order.hold_over" => "no longer held off",
        "order.approved" => "approved",
        "order.rejected" => "rejected",
        "order.freeze_lifted" => "let through the freeze",
        "order.aborted" => "stopped",
        "order.done" => "ended",
        "order.create" => "creation began",
        "order.bring_up" => "new pods come up",
        "order.scale_down_old" => "old pods go",
        "order.paused" => "paused",
        "order.trouble" => "the next batch cannot begin",
        "order.trouble_over" => "the next batch can begin again",
        "order.close_gate" => "the next batch is prepared",
        "order.restore_old" => "old pods come back",
        "order.remove_new" => "new pods go",
        "order.roll_back" => "the version before comes back",
        "order.restore_settings" => "your own settings come back",
        "order.pause_in_place" => "it comes to rest",
        "order.resize" => "another number of pods",
        "order.step_back_requested" => "step back requested",
        "change.made" => "change made",
        _ => return kind.replace(['.', '_'], " "),
    };
    word.to_owned()
}

/// A moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// As machines read it.
    pub iso: String,
    /// In full, in UTC.
    pub full: String,
    /// As it is shown.
    pub shown: String,
}

/// A moment as the time since, for lists.
pub(crate) fn since(at: Timestamp, now: Timestamp) -> Moment {
    let seconds = now.duration_since(at).as_secs().max(0);
    let shown = match seconds {
        0..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    };
    Moment { shown, ..clock(at) }
}

/// A moment by the clock, which stays the same while a page is shown.
pub(crate) fn clock(at: Timestamp) -> Moment {
    Moment {
        iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        full: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        shown: at.strftime("%H:%M:%S").to_string(),
    }
}

/// How long something took.
pub(crate) fn took(from: Timestamp, to: Timestamp) -> String {
    of_seconds(to.duration_since(from).as_secs())
}

pub(crate) fn of_seconds(seconds: i64) -> String {
    match seconds.max(0) {
        0 => "< 1 s".into(),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The end of an image's address, which tells versions apart.
pub(crate) fn tag(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once('@') {
        Some((name, digest)) if digest.len() > 19 => name,
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[test]
    fn times_are_said_as_people_say_them() {
        let at: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let after = |seconds| since(at, at + SignedDuration::from_secs(seconds)).shown;
        assert_eq!([after(-5), after(4), after(59)], ["just now", "just now", "59 s ago"]);
        assert_eq!([after(125), after(7300), after(200_000)], ["2 min ago", "2 h ago", "2 d ago"]);
        assert_eq!(took(at, at + SignedDuration::from_secs(3725)), "1 h 2 min");
        assert_eq!(clock(at).full, "2026-11-28 12:00:00 UTC");
    }

    #[test]
    fn a_strategy_is_said_in_pods_and_batches() {
        let of = |canary, batches, pace| of_strategy(&Strategy { canary, batches, pace });
        assert_eq!(of(0, 1, Pace::Manual), "all at once");
        assert_eq!(of(0, 3, Pace::Manual), "3 batches, each confirmed");
        let canary = of(1, 2, Pace::Automatic { wait_minutes: 5 });
        assert_eq!(canary, "canary of 1 pod, then 2 batches, automatic, 5 min apart");
        assert_eq!((tag("registry.example/shop/web:1.0"), tag("web")), ("web:1.0", "web"));
    }
}
