//! Rules that hold orders off, as a request has them.

use domain::hold::{Calendar, HeldBy, MOST_PERIODS, NewHoldRule, WrittenRule};

use crate::entry::{Entry, accepted, list, refused, text_job};

const READ: &[&str] = &[
    "domain::order::hold::calendar::Period::from_str",
    "domain::order::hold::calendar::Calendar::read",
    "domain::order::hold::calendar::clock",
    "domain::order::hold::calendar::moment",
];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("a freeze window of many periods", READ, MOST_PERIODS, |n| {
            let periods = list(n, |at| format!("daily {:02}:00/{:02}:30", at % 24, at % 24));
            text_job(periods, |text| Calendar::read("Europe/Berlin", &parts(text)).is_ok())
        }),
        refused("a freeze window of far too many periods", READ, 1 << 20, |n| {
            text_job(list(n / 18, |_| "daily 22:00/06:00".into()), |text| is_rule(&parts(text)))
        }),
        refused("a period that is far too long", READ, 1 << 20, |n| {
            text_job("9".repeat(n), |text| is_rule(&[text.to_owned()]))
        }),
    ]
}

fn parts(text: &str) -> Vec<String> {
    text.trim_matches(['[', ']']).split(',').map(str::to_owned).collect()
}

fn is_rule(periods: &[String]) -> bool {
    let periods = periods.to_vec();
    let written = WrittenRule { name: "freeze".into(), periods, ..WrittenRule::default() };
    NewHoldRule::read(HeldBy::Freeze, &written).is_ok()
}
