//! When a freeze window is closed: periods by the clock of a time zone.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime, Time, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

/// Most periods of one freeze window.
pub const MOST_PERIODS: usize = 20;

/// Longest text of a period, and of a time zone's name, in bytes.
const LONGEST: usize = 64;

/// Periods that follow each other without a pause, and are taken together, at most.
const MOST_JOINED: usize = 64;

/// What a period must be.
const ALLOWED: &str = "must be like 2026-12-24T18:00/2027-01-04T08:00, fri 18:00/mon 08:00 or daily 22:00/06:00, and end at another time than it begins";

/// A period in which nothing is to be released, by the clock on the wall. It ends before the
/// time that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Once { from: DateTime, until: DateTime },
    Weekly { from: (Weekday, Time), until: (Weekday, Time) },
    Daily { from: Time, until: Time },
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let shown: String = text.chars().take(LONGEST).collect();
            format!("{shown:?} {ALLOWED}")
        };
        if text.len() > LONGEST {
            return Err(wrong());
        }
        read(&text.trim().to_ascii_lowercase()).ok_or_else(wrong)
    }
}

fn read(text: &str) -> Option<Period> {
    let (from, until) = text.split_once('/')?;
    if let Some(from) = from.strip_prefix("daily ") {
        let (from, until) = (clock(from)?, clock(until)?);
        return (from != until).then_some(Period::Daily { from, until });
    }
    if let (Some(from), Some(until)) = (of_week(from), of_week(until)) {
        return (from != until).then_some(Period::Weekly { from, until });
    }
    let (from, until) = (moment(from)?, moment(until)?);
    (from < until).then_some(Period::Once { from, until })
}

/// `18:00`.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_plain = text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit());
        is_plain.then(|| text.parse::<i8>().ok()).flatten()
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

/// `fri 18:00`.
fn of_week(text: &str) -> Option<(Weekday, Time)> {
    let (day, time) = text.split_once(' ')?;
    let day = DAYS.into_iter().find(|(name, _)| *name == day)?.1;
    Some((day, clock(time)?))
}

/// `2026-12-24t18:00`.
fn moment(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once('t')?;
    let mut parts = date.split('-');
    let mut part = |length: usize| {
        let part = parts.next()?;
        let is_plain = part.len() == length && part.bytes().all(|it| it.is_ascii_digit());
        is_plain.then(|| part.parse::<i16>().ok()).flatten()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    if parts.next().is_some() {
        return None;
    }
    let small = |number: i16| i8::try_from(number).ok();
    let date = Date::new(year, small(month)?, small(day)?).ok()?;
    Some(date.to_datetime(clock(time)?))
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

fn day(day: Weekday) -> &'static str {
    DAYS.into_iter().find(|it| it.1 == day).map_or("", |it| it.0)
}

/// As it is read.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        let moment = |at: DateTime| format!("{}T{}", at.date(), clock(at.time()));
        match self {
            Self::Once { from, until } => write!(f, "{}/{}", moment(*from), moment(*until)),
            Self::Weekly { from, until } => {
                write!(f, "{} {}/{} {}", day(from.0), clock(from.1), day(until.0), clock(until.1))
            }
            Self::Daily { from, until } => write!(f, "daily {}/{}", clock(*from), clock(*until)),
        }
    }
}

impl Period {
    /// The moments between which it is closed around `now`, by the clock on the wall there:
    /// those that began last.
    fn around(self, now: DateTime) -> Option<Vec<(DateTime, DateTime)>> {
        let spans = |days_back: &[i64], from: Time, length: i64, until: Time| {
            let of = |back: &i64| {
                let date = now.date().checked_sub(back.days()).ok()?;
                let end = date.checked_add(length.days()).ok()?;
                Some((date.to_datetime(from), end.to_datetime(until)))
            };
            days_back.iter().map(of).collect::<Option<Vec<_>>>()
        };
        match self {
            Self::Once { from, until } => Some(vec![(from, until)]),
            Self::Daily { from, until } => spans(&[0, 1], from, i64::from(until < from), until),
            Self::Weekly { from, until } => {
                let back = i64::from(from.0.until(now.weekday()));
                let length = i64::from(from.0.until(until.0));
                let wraps = length == 0 && until.1 < from.1;
                spans(&[back, back + 7], from.1, if wraps { 7 } else { length }, until.1)
            }
        }
    }

    /// When it ends, if it is closed at `now`.
    fn ends(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        // A time that the clock skips is taken as if it had not, one that it shows twice as the
        // first.
        let at = |it: DateTime| zone.to_zoned(it).ok().map(|it| it.timestamp());
        let spans = self.around(zone.to_datetime(now))?;
        let ends = spans.into_iter().filter_map(|(from, until)| {
            let (from, until) = (at(from)?, at(until)?);
            (from <= now && now < until).then_some(until)
        });
        ends.max()
    }
}

/// The periods of a freeze window, by the clock of one time zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct Calendar {
    name: String,
    zone: TimeZone,
    periods: Vec<Period>,
}

/// A calendar as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Text {
    time_zone: String,
    periods: Vec<String>,
}

impl TryFrom<Text> for Calendar {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        Self::read(&text.time_zone, &text.periods).map_err(|(_, why)| why)
    }
}

impl From<Calendar> for Text {
    fn from(calendar: Calendar) -> Self {
        Self { periods: calendar.periods(), time_zone: calendar.name }
    }
}

/// What of a calendar is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    TimeZone,
    Periods,
}

impl Calendar {
    /// A calendar as somebody wrote it: the name of a time zone in the IANA database (such as
    /// `Europe/Berlin`; `UTC` is one) and 1 to [`MOST_PERIODS`] periods.
    ///
    /// # Errors
    /// Which part is wrong, and what is allowed.
    pub fn read(time_zone: &str, periods: &[String]) -> Result<Self, (Part, String)> {
        let unknown = || {
            let shown: String = time_zone.chars().take(LONGEST).collect();
            (
                Part::TimeZone,
                format!(
                    "{shown:?} must be a name of the IANA time zone database, such as Europe/Berlin, Asia/Shanghai or UTC"
                ),
            )
        };
        let is_name = |it: u8| it.is_ascii_alphanumeric() || b"/_+-".contains(&it);
        if time_zone.len() > LONGEST || !time_zone.bytes().all(is_name) {
            return Err(unknown());
        }
        let zone = TimeZone::get(time_zone).map_err(|_| unknown())?;
        let name = zone.iana_name().map_or_else(|| time_zone.to_owned(), str::to_owned);
        if periods.is_empty() || periods.len() > MOST_PERIODS {
            let why = format!("1 to {MOST_PERIODS} periods must be given, not {}", periods.len());
            return Err((Part::Periods, why));
        }
        let periods = periods.iter().map(|it| it.parse()).collect::<Result<_, _>>();
        Ok(Self { name, zone, periods: periods.map_err(|why| (Part::Periods, why))? })
    }

    /// The name of its time zone.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.name
    }

    /// Its periods, as they are written.
    #[must_use]
    pub fn periods(&self) -> Vec<String> {
        self.periods.iter().map(ToString::to_string).collect()
    }

    /// Until when it is closed, if it is at `now`: periods that follow each other without a
    /// pause are one. One that never opens is to be asked again at the time that is returned.
    #[must_use]
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut end = None;
        for _ in 0..MOST_JOINED {
            let at = end.unwrap_or(now);
            match self.periods.iter().filter_map(|it| it.ends(&self.zone, at)).max() {
                Some(later) => end = Some(later),
                None => break,
            }
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(zone: &str, periods: &[&str]) -> Calendar {
        let periods: Vec<String> = periods.iter().map(|it| (*it).to_owned()).collect();
        Calendar::read(zone, &periods).unwrap()
    }

    fn until(calendar: &Calendar, now: &str) -> Option<String> {
        calendar.closed_until(now.parse().unwrap()).map(|it| it.to_string())
    }

    #[test]
    fn a_weekend_is_closed_by_the_clock_of_its_time_zone() {
        let weekend = calendar("Europe/Berlin", &["fri 18:00/mon 08:00"]);
        // Friday 2026-12-04, 17:59 and 18:00 in Berlin.
        assert_eq!(until(&weekend, "2026-12-04T16:59:00Z"), None);
        let monday = Some("2026-12-07T07:00:00Z".to_owned());
        assert_eq!(until(&weekend, "2026-12-04T17:00:00Z"), monday);
        assert_eq!(until(&weekend, "2026-12-06T12:00:00Z"), monday);
        assert_eq!(until(&weekend, "2026-12-07T06:59:59Z"), monday);
        assert_eq!(until(&weekend, "2026-12-07T07:00:00Z"), None);
        // The clock was put back on that Sunday: Monday comes an hour later.
        assert_eq!(
            until(&weekend, "2026-10-24T12:00:00Z"),
            Some("2026-10-26T07:00:00Z".to_owned())
        );
        assert_eq!(
            until(&weekend, "2026-07-04T12:00:00Z"),
            Some("2026-07-06T06:00:00Z".to_owned())
        );
    }

    #[test]
    fn nights_wrap_around_midnight_and_days_do_not() {
        let nights = calendar("UTC", &["daily 22:00/06:00"]);
        assert_eq!(until(&nights, "2026-12-04T23:00:00Z"), Some("2026-12-05T06:00:00Z".into()));
        assert_eq!(until(&nights, "2026-12-05T05:59:00Z"), Some("2026-12-05T06:00:00Z".into()));
        assert_eq!(until(&nights, "2026-12-05T06:00:00Z"), None);
        let noon = calendar("UTC", &["daily 12:00/13:00"]);
        assert_eq!(until(&noon, "2026-12-05T12:30:00Z"), Some("2026-12-05T13:00:00Z".into()));
        assert_eq!(until(&noon, "2026-12-05T11:59:59Z"), None);
    }

    #[test]
    fn a_week_that_ends_before_it_began_is_nearly_a_whole_one() {
        let open = calendar("UTC", &["wed 12:00/wed 10:00"]);
        // Wednesday 2026-12-02.
        assert_eq!(until(&open, "2026-12-02T10:00:00Z"), None);
        assert_eq!(until(&open, "2026-12-02T11:59:00Z"), None);
        assert_eq!(until(&open, "2026-12-02T12:00:00Z"), Some("2026-12-09T10:00:00Z".into()));
        assert_eq!(until(&open, "2026-12-09T09:59:00Z"), Some("2026-12-09T10:00:00Z".into()));
        let hours = calendar("UTC", &["wed 10:00/wed 12:00"]);
        assert_eq!(until(&hours, "2026-12-02T11:00:00Z"), Some("2026-12-02T12:00:00Z".into()));
        assert_eq!(until(&hours, "2026-12-03T11:00:00Z"), None);
    }

    #[test]
    fn periods_that_meet_are_one() {
        let both = calendar(
            "Asia/Shanghai",
            &["2026-12-24T18:00/2026-12-25T00:00", "2026-12-25T00:00/2027-01-04T08:00"],
        );
        let end = Some("2027-01-04T00:00:00Z".to_owned());
        assert_eq!(until(&both, "2026-12-24T10:00:00Z"), end);
        assert_eq!(until(&both, "2026-12-24T09:59:59Z"), None);
        let always = calendar("UTC", &["daily 00:00/12:00", "daily 12:00/00:00"]);
        assert!(always.closed_until("2026-12-24T10:00:00Z".parse().unwrap()).is_some());
    }

    #[test]
    fn what_is_no_period_is_refused_with_what_is_allowed() {
        for wrong in [
            "",
            "/",
            "2026-12-24/2027-01-04",
            "2027-01-04T08:00/2026-12-24T18:00",
            "2026-02-30T08:00/2026-12-24T18:00",
            "fri 18:00/fri 18:00",
            "fri 18:00",
            "freitag 18:00/mon 08:00",
            "daily 6:00/08:00",
            "daily 06:00/24:00",
            "daily +6:00/08:00",
            "daily 06:00/08:00/09:00",
            "-026-12-24T18:00/2027-01-04T08:00",
            &"9".repeat(100_000),
        ] {
            let why = wrong.parse::<Period>().unwrap_err();
            assert!(why.contains("must be like") && why.len() < 400, "{why}");
        }
        let of = |zone: &str, count: usize| {
            Calendar::read(zone, &vec!["daily 22:00/06:00".to_owned(); count]).unwrap_err().0
        };
        assert_eq!(of("Mars/Olympus", 1), Part::TimeZone);
        assert_eq!(of("../../etc/passwd", 1), Part::TimeZone);
        assert_eq!((of("UTC", 0), of("UTC", 21)), (Part::Periods, Part::Periods));
    }

    #[test]
    fn a_calendar_is_read_as_it_was_written() {
        let periods =
            ["2026-12-24T18:00/2027-01-04T08:00", "fri 18:00/mon 08:00", "daily 22:00/06:00"];
        let written = calendar("Europe/Berlin", &periods);
        assert_eq!(written.periods(), periods);
        let json = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Calendar>(&json).unwrap(), written);
    }
}
