//! A rule that holds orders off, as somebody wants it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::Kind;
use super::{Calendar, HeldBy, Part};
use crate::{
    Input,
    name::is_label,
    pattern::{self, LONGEST_OF_NAMES},
};

/// Most patterns of namespaces, and of applications.
const MOST_PATTERNS: usize = 50;

/// Longest reason, in characters.
const LONGEST_REASON: usize = 200;

/// What a rule can hold off, and whether it does where it does not say. What leads back (a
/// rollback, an earlier version) is not among them.
pub const HELD_KINDS: [(Kind, bool); 8] = [
    (Kind::Create, true),
    (Kind::Deploy, true),
    (Kind::Configure, true),
    (Kind::Delete, true),
    (Kind::Restart, false),
    (Kind::Scale, false),
    (Kind::Stop, false),
    (Kind::Start, false),
];

/// What a rule wants of an order that it fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// Somebody else must approve it.
    Approval,
    /// It must not begin while the calendar is closed.
    Freeze(Calendar),
}

/// A rule that fits an order.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldRule {
    pub name: String,
    /// Why there is the rule; may be empty.
    pub reason: String,
    pub demand: Demand,
}

impl HoldRule {
    /// Its name, with its reason.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.reason.as_str() {
            "" => self.name.clone(),
            reason => format!("{} ({reason})", self.name),
        }
    }
}

/// What cannot be taken of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the {input:?} {why}")]
pub struct UnfitRule {
    pub input: Input,
    pub value: String,
    pub why: String,
}

/// A rule that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewHoldRule {
    pub rule: HoldRule,
    /// Patterns of namespaces; none = all.
    pub namespaces: Vec<String>,
    /// Patterns of applications' names; none = all.
    pub applications: Vec<String>,
    /// What it holds off.
    pub kinds: Vec<Kind>,
}

/// A rule as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WrittenRule {
    pub name: String,
    pub reason: String,
    pub namespaces: Vec<String>,
    pub applications: Vec<String>,
    /// None = those that rules hold off unless they say.
    pub kinds: Vec<String>,
    /// IANA name of the time zone of a freeze window; empty = UTC.
    pub time_zone: String,
    pub periods: Vec<String>,
}

fn unfit(input: Input, value: &str, why: impl Into<String>) -> UnfitRule {
    UnfitRule { input, value: value.chars().take(LONGEST_OF_NAMES).collect(), why: why.into() }
}

impl NewHoldRule {
    /// A rule as somebody wrote it.
    ///
    /// # Errors
    /// Which input is wrong, and what is allowed.
    pub fn read(by: HeldBy, written: &WrittenRule) -> Result<Self, UnfitRule> {
        let WrittenRule { name, reason, namespaces, applications, kinds, .. } = written;
        if !is_label(name) {
            let why =
                "must have 1 to 63 lower-case letters, digits and '-', which stands at neither end";
            return Err(unfit(Input::HoldRule, name, why));
        }
        let is_plain = !reason.chars().any(char::is_control);
        if reason.chars().count() > LONGEST_REASON || !is_plain {
            let why =
                format!("must have at most {LONGEST_REASON} characters, and no control characters");
            return Err(unfit(Input::Description, reason, why));
        }
        for (input, patterns) in
            [(Input::Namespaces, namespaces), (Input::Applications, applications)]
        {
            if patterns.len() > MOST_PATTERNS {
                return Err(unfit(input, "", format!("may have at most {MOST_PATTERNS} patterns")));
            }
            if let Some(wrong) = patterns.iter().find(|text| !pattern::is_of_names(text)) {
                let why = format!(
                    "must have 1 to {LONGEST_OF_NAMES} lower-case letters, digits, '-', '.' and '*', which stands for any characters"
                );
                return Err(unfit(input, wrong, why));
            }
        }
        let demand = match by {
            HeldBy::Approval if !written.periods.is_empty() || !written.time_zone.is_empty() => {
                let why = "must be left out of a rule of approval: only a freeze window has periods and a time zone";
                return Err(unfit(Input::Periods, &written.periods.join(","), why));
            }
            HeldBy::Approval => Demand::Approval,
            HeldBy::Freeze => Demand::Freeze(calendar(written)?),
        };
        Ok(Self {
            rule: HoldRule { name: name.clone(), reason: reason.clone(), demand },
            namespaces: namespaces.clone(),
            applications: applications.clone(),
            kinds: read_kinds(kinds)?,
        })
    }

    /// What orders that it fits wait for.
    #[must_use]
    pub fn by(&self) -> HeldBy {
        match self.rule.demand {
            Demand::Approval => HeldBy::Approval,
            Demand::Freeze(_) => HeldBy::Freeze,
        }
    }

    /// The calendar of a freeze window.
    #[must_use]
    pub fn calendar(&self) -> Option<&Calendar> {
        match &self.rule.demand {
            Demand::Approval => None,
            Demand::Freeze(calendar) => Some(calendar),
        }
    }
}

fn calendar(written: &WrittenRule) -> Result<Calendar, UnfitRule> {
    let zone = if written.time_zone.is_empty() { "UTC" } else { &written.time_zone };
    Calendar::read(zone, &written.periods).map_err(|(part, why)| match part {
        Part::TimeZone => unfit(Input::TimeZone, zone, why),
        Part::Periods => unfit(Input::Periods, &written.periods.join(","), why),
    })
}

fn read_kinds(kinds: &[String]) -> Result<Vec<Kind>, UnfitRule> {
    if kinds.is_empty() {
        return Ok(HELD_KINDS.into_iter().filter(|(_, usual)| *usual).map(|it| it.0).collect());
    }
    let mut read = Vec::new();
    for text in kinds.iter().take(HELD_KINDS.len() + 1) {
        let found = HELD_KINDS.into_iter().map(|it| it.0).find(|kind| kind.to_string() == *text);
        let Some(kind) = found else {
            let all = HELD_KINDS.map(|it| it.0.to_string()).join(", ");
            let why = format!("must be one of {all}: what leads back is never held off");
            return Err(unfit(Input::Kinds, text, why));
        };
        if !read.contains(&kind) {
            read.push(kind);
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> WrittenRule {
        WrittenRule { name: "four-eyes".into(), ..WrittenRule::default() }
    }

    fn refused(by: HeldBy, written: &WrittenRule) -> Input {
        NewHoldRule::read(by, written).unwrap_err().input
    }

    #[test]
    fn a_rule_holds_off_what_brings_something_new_unless_it_says() {
        let rule = NewHoldRule::read(HeldBy::Approval, &written()).unwrap();
        assert_eq!(rule.kinds, [Kind::Create, Kind::Deploy, Kind::Configure, Kind::Delete]);
        let kinds = vec!["restart".into(), "restart".into(), "deploy".into()];
        let rule = NewHoldRule::read(HeldBy::Approval, &WrittenRule { kinds, ..written() });
        assert_eq!(rule.unwrap().kinds, [Kind::Restart, Kind::Deploy]);
    }

    #[test]
    fn what_leads_back_cannot_be_held_off() {
        for kind in ["rollback", "deploy_version", "object_write", "", "Deploy"] {
            let kinds = vec![kind.to_owned()];
            assert_eq!(
                refused(
                    HeldBy::Freeze,
                    &WrittenRule {
                        kinds: kinds.clone(),
                        periods: vec!["daily 22:00/06:00".into()],
                        ..written()
                    }
                ),
                Input::Kinds
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let of = |change: fn(&mut WrittenRule)| {
            let mut rule = written();
            change(&mut rule);
            rule
        };
        let daily = || vec!["daily 22:00/06:00".to_owned()];
        for (by, rule, input) in [
            (HeldBy::Approval, of(|it| it.name = "Four Eyes".into()), Input::HoldRule),
            (HeldBy::Approval, of(|it| it.reason = "x".repeat(201)), Input::Description),
            (HeldBy::Approval, of(|it| it.reason = "a\u{1b}[2J".into()), Input::Description),
            (HeldBy::Approval, of(|it| it.namespaces = vec!["Shop".into()]), Input::Namespaces),
            (HeldBy::Approval, of(|it| it.namespaces = vec!["a".into(); 51]), Input::Namespaces),
            (HeldBy::Approval, of(|it| it.applications = vec![String::new()]), Input::Applications),
            (HeldBy::Approval, of(|it| it.time_zone = "UTC".into()), Input::Periods),
            (HeldBy::Freeze, written(), Input::Periods),
            (HeldBy::Freeze, of(|it| it.time_zone = "Mars".into()), Input::TimeZone),
        ] {
            let rule = match input {
                Input::TimeZone => WrittenRule { periods: daily(), ..rule },
                _ => rule,
            };
            assert_eq!(refused(by, &rule), input, "{rule:?}");
        }
    }
}
