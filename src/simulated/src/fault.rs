//! Faults that tests put into the path of requests.
//!
//! A fault is chosen by a predicate over the request and used up a number of
//! times. What it does to the answer is carried out in `api.rs`; nothing here
//! touches objects.

use std::fmt;

use super::audit::Call;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this HTTP status and not carried out.
    Refuse(u16),
    /// Answered that the right is missing, in the API server's words, and not carried out.
    Deny,
    /// Answered with 429 and so many seconds to wait (`Retry-After`), and not carried out.
    Throttle(u32),
    /// The request is carried out, and answered with this HTTP status all the same.
    CarryOutAndRefuse(u16),
    /// Neither carried out nor answered: the connection hangs.
    Hang,
    /// The connection breaks before the request is carried out.
    LoseRequest,
    /// The request is carried out and the connection breaks before the answer.
    LoseAnswer,
}

type Choice = Box<dyn Fn(&Call) -> bool + Send>;

struct FaultRule {
    left: usize,
    chosen: Choice,
    fault: Fault,
}

/// The faults that wait for a request.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: Vec<_> = self.rules.iter().map(|r| (r.left, &r.fault)).collect();
        f.debug_list().entries(waiting).finish()
    }
}

impl Faults {
    /// Lets the next `times` requests that `chosen` picks go wrong.
    pub(super) fn add(&mut self, times: usize, chosen: Choice, fault: Fault) {
        self.rules.push(FaultRule { left: times, chosen, fault });
    }

    /// Drops what is not used up yet.
    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault for this request, if there is one; it is used up by this.
    pub(super) fn take(&mut self, call: &Call) -> Option<Fault> {
        let rule = self.rules.iter_mut().find(|rule| rule.left > 0 && (rule.chosen)(call))?;
        rule.left -= 1;
        let fault = rule.fault.clone();
        self.rules.retain(|rule| rule.left > 0);
        Some(fault)
    }
}
