//! What holds an order off before it begins: somebody else must approve it, or a freeze window
//! is closed.
//!
//! A rule fits orders by the namespace and the name of their application, and by what they do.
//! An order that a rule fits is accepted, and stays as it is until nothing holds it any more
//! ([`Hold::judge`]). What has begun is held no more, and what leads back never is.

mod calendar;
mod rule;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use calendar::{Calendar, MOST_PERIODS, Part};
pub use rule::{Demand, HELD_KINDS, HoldRule, NewHoldRule, UnfitRule, WrittenRule};

/// What an order waits for before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// A second person.
    Approval,
    /// The end of a freeze window.
    Freeze,
}

/// As in the database and in rules.
impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An order that waits before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub by: HeldBy,
    /// When it is looked at again by itself; none = once somebody has said something.
    pub until: Option<Timestamp>,
}

/// An order that has not begun, and what may hold it off.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// The rules that fit it, by name.
    pub rules: Vec<HoldRule>,
    /// Whether a second person approved it.
    pub approved: bool,
    /// Whether somebody let it through freeze windows.
    pub lifted: bool,
    /// What it was found to wait for before; none = not looked at yet.
    pub found: Option<Held>,
    /// How often people said something about it, or rules changed.
    pub changes: i32,
}

impl Hold {
    /// What the order waits for at `now`, and that in words; none = it may begin. A person
    /// comes first: they may approve it while a window is closed.
    #[must_use]
    pub fn judge(&self, now: Timestamp) -> Option<(Held, String)> {
        if !self.approved {
            let rule = self.rules.iter().find(|rule| rule.demand == Demand::Approval);
            if let Some(rule) = rule {
                let message = format!(
                    "waits for somebody else to approve it, as the rule {} wants",
                    rule.shown()
                );
                return Some((Held { by: HeldBy::Approval, until: None }, message));
            }
        }
        if self.lifted {
            return None;
        }
        let closed = self.rules.iter().filter_map(|rule| match &rule.demand {
            Demand::Approval => None,
            Demand::Freeze(calendar) => Some((calendar.closed_until(now)?, rule, calendar)),
        });
        let (until, rule, calendar) = closed.max_by_key(|(until, ..)| *until)?;
        let zone = calendar.time_zone();
        let shown = until.in_tz(zone).map_or_else(
            |_| until.to_string(),
            |at| format!("{} {zone}", at.strftime("%Y-%m-%d %H:%M")),
        );
        let message = format!("is held off until {shown} by the freeze window {}", rule.shown());
        Some((Held { by: HeldBy::Freeze, until: Some(until) }, message))
    }
}

/// Somebody who orders or approves: whose key it is, and which person works with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Author<'a> {
    /// The name of the principal that the key is one of.
    pub principal: &'a str,
    /// The identity provider's name for the person; none = nobody signed in.
    pub person: Option<&'a str>,
}

impl Author<'_> {
    /// Whether they are certainly two people: their principals differ, or both signed in, as
    /// different persons. Whoever holds a key may also be a person who signs in with it.
    #[must_use]
    pub fn is_another_than(self, other: Self) -> bool {
        match (self.person, other.person) {
            (Some(one), Some(other)) => one != other,
            _ => self.principal != other.principal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, demand: Demand) -> HoldRule {
        HoldRule { name: name.into(), reason: "peak".into(), demand }
    }

    fn freeze(name: &str, period: &str) -> HoldRule {
        let calendar = Calendar::read("Europe/Berlin", &[period.to_owned()]).unwrap();
        rule(name, Demand::Freeze(calendar))
    }

    fn hold(rules: Vec<HoldRule>) -> Hold {
        Hold { rules, approved: false, lifted: false, found: None, changes: 0 }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_order_waits_for_a_person_first_and_for_the_window_that_ends_last() {
        let mut order = hold(vec![
            freeze("nights", "daily 18:00/08:00"),
            rule("four-eyes", Demand::Approval),
            freeze("weekend", "fri 18:00/mon 08:00"),
        ]);
        let night = at("2026-12-04T20:00:00Z");
        let (held, message) = order.judge(night).unwrap();
        assert_eq!(held, Held { by: HeldBy::Approval, until: None });
        assert!(message.contains("four-eyes") && message.contains("peak"), "{message}");

        order.approved = true;
        let (held, message) = order.judge(night).unwrap();
        let monday = Some(at("2026-12-07T07:00:00Z"));
        assert_eq!(held, Held { by: HeldBy::Freeze, until: monday });
        assert!(message.contains("until 2026-12-07 08:00 Europe/Berlin"), "{message}");

        assert_eq!(order.judge(at("2026-12-08T12:00:00Z")), None);
        order.lifted = true;
        assert_eq!(order.judge(night), None);
        order.approved = false;
        assert_eq!(order.judge(night).unwrap().0.by, HeldBy::Approval, "lifting approves nothing");
    }

    #[test]
    fn no_rule_holds_nothing() {
        assert_eq!(hold(Vec::new()).judge(at("2026-12-04T20:00:00Z")), None);
    }

    #[test]
    fn the_same_person_is_nobody_else_by_another_key() {
        let of = |principal, person| Author { principal, person };
        for (one, other, are_two) in [
            (of("ci", None), of("ann", None), true),
            (of("ann", None), of("ann", None), false),
            // The same person, who signed in as two principals.
            (of("dev", Some("sub-1")), of("ops", Some("sub-1")), false),
            (of("dev", Some("sub-1")), of("dev", Some("sub-2")), true),
            // Whoever has the key may be the person who signed in with it.
            (of("dev", None), of("dev", Some("sub-1")), false),
            (of("ci", None), of("dev", Some("sub-1")), true),
        ] {
            assert_eq!(one.is_another_than(other), are_two, "{one:?} {other:?}");
            assert_eq!(other.is_another_than(one), are_two, "{one:?} {other:?}");
        }
    }
}
