//! How a command ends, and the exit code that says so.

use std::fmt::Display;

use domain::order::State;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Done as asked.
    Done,
    /// The order failed, and the new version was not taken back.
    Failed,
    /// What was typed makes no sense.
    Usage,
    /// The order failed or was ended, and the version before runs again.
    RolledBack,
    /// Refused before anything was written.
    Refused,
    /// It waits for a person, and may not be waited for.
    NeedsPerson,
    /// Somebody ended the order, which rests where it is.
    Aborted,
    /// Key, signature or rights are wrong.
    NotAllowed,
    NotFound,
    /// Server or cluster cannot be reached: how things stand is not known.
    Unreachable,
    /// The time to wait is over; the order goes on.
    TimedOut,
    /// Ctrl-C; the order goes on.
    Interrupted,
}

impl End {
    /// The exit code. They stay as they are: scripts compare them.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::RolledBack => 3,
            Self::Refused => 4,
            Self::NeedsPerson => 5,
            Self::Aborted => 6,
            Self::NotAllowed => 7,
            Self::NotFound => 8,
            Self::Unreachable => 9,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }

    /// How following an order ends that is in `state`, with the state of the order that rolls
    /// it back, if there is one. None = it goes on.
    #[must_use]
    pub fn of(state: State, way_back: Option<State>) -> Option<Self> {
        match (state, way_back) {
            (state, _) if !state.is_final() => None,
            (State::Succeeded, None) => Some(Self::Done),
            (_, Some(back)) if !back.is_final() => None,
            (_, Some(State::Succeeded)) => Some(Self::RolledBack),
            (_, Some(_)) | (State::Failed | State::SystemFailed, None) => Some(Self::Failed),
            (State::Aborted, None) => Some(Self::Aborted),
            (
                State::Ready
                | State::WaitingApproval
                | State::Running
                | State::WaitingConfirmation
                | State::WaitingInterval,
                None,
            ) => None,
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub end: End,
    /// What is wrong, for a person.
    pub message: String,
}

/// Whether a message says that what was asked for is not there. A check before a release may
/// miss something else, such as a ConfigMap.
fn is_unknown(message: &str) -> bool {
    const THINGS: &[&str] = &["application", "change order", "batch", "version", "cluster"];
    message.split_once(" does not exist").is_some_and(|(before, _)| {
        let thing = before.trim_start_matches("the ");
        THINGS.iter().any(|known| thing.starts_with(known))
            || before.ends_with("pod with this name")
    })
}

impl Trouble {
    pub(crate) fn new(end: End, message: impl Display) -> Self {
        Self { end, message: message.to_string() }
    }

    pub(crate) fn unreachable(message: impl Display) -> Self {
        Self::new(End::Unreachable, message)
    }

    /// What a reply of the server says that is no success.
    #[must_use]
    pub fn of_reply(status: u16, code: &str, message: &str) -> Self {
        let end = match (status, code) {
            (200, _) if is_unknown(message) => End::NotFound,
            (200, _) => End::Refused,
            (401 | 403, _) => End::NotAllowed,
            (404, code) if !code.contains("AccessKey") => End::NotFound,
            (429 | 500.., _) => End::Unreachable,
            (_, code) if code.starts_with("Throttling") => End::Unreachable,
            (_, code) => {
                let words = ["Signature", "AccessKey", "Forbidden", "TimeStamp", "Date"];
                if words.iter().any(|word| code.contains(word)) {
                    End::NotAllowed
                } else {
                    End::Refused
                }
            }
        };
        Self { end, message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_an_order_ends_has_its_exit_code() {
        use State::{Aborted, Failed, Running, Succeeded, SystemFailed, WaitingConfirmation};
        for (state, way_back, code) in [
            (Succeeded, None, Some(0)),
            (Failed, None, Some(1)),
            (SystemFailed, None, Some(1)),
            (Failed, Some(Failed), Some(1)),
            (Failed, Some(Aborted), Some(1)),
            (Failed, Some(Succeeded), Some(3)),
            (Aborted, Some(Succeeded), Some(3)),
            (Succeeded, Some(Succeeded), Some(3)),
            (Aborted, None, Some(6)),
            (Running, None, None),
            (WaitingConfirmation, None, None),
            (Failed, Some(Running), None),
        ] {
            assert_eq!(End::of(state, way_back).map(End::code), code, "{state:?} {way_back:?}");
        }
    }

    #[test]
    fn each_reply_that_is_no_success_has_its_exit_code() {
        for (status, word, message, code) in [
            (200, "601", "the application x does not exist", 8),
            (200, "601", "PodName has the value x: a pod with this name does not exist in it", 8),
            (200, "601", "it cannot work: the ConfigMap x does not exist", 4),
            (200, "601", "another change order is open", 4),
            (400, "MissingAppId", "AppId is mandatory for this action.", 4),
            (400, "SignatureDoesNotMatch", "", 7),
            (400, "InvalidTimeStamp.Expired", "", 7),
            (403, "Forbidden.RAM", "", 7),
            (404, "InvalidAccessKeyId.NotFound", "", 7),
            (404, "InvalidApi.NotFound", "", 8),
            (400, "Throttling.User", "", 9),
            (503, "ServiceUnavailable", "", 9),
        ] {
            assert_eq!(
                Trouble::of_reply(status, word, message).end.code(),
                code,
                "{status} {word}"
            );
        }
        let rest = [End::Usage, End::NeedsPerson, End::TimedOut, End::Interrupted];
        assert_eq!(rest.map(End::code), [2, 5, 124, 130]);
    }
}
