//! Settings of how long what is on record is kept.

use clap::Args;

use domain::retention::{FEWEST_DAYS, FEWEST_VERSIONS, Retention};

/// How long what is on record is kept.
#[derive(Debug, Clone, Args)]
pub struct RetentionServing {
    /// Days for which a change order is kept after it ended, with its batches, events and notifications; at least 30, 0 = for ever. What is needed to go back stays. Give it to every program that serves.
    #[arg(long, env = "SLUICE_ORDER_KEEP_DAYS", default_value_t = 400, value_parser = at_least(FEWEST_DAYS, 36_500))]
    pub order_keep_days: u32,
    /// Versions of an application that are kept at least, the newest; at least 10, 0 = all. Others go once no order on record names them. Give it to every program that serves.
    #[arg(long, env = "SLUICE_VERSION_KEEP_COUNT", default_value_t = 100, value_parser = at_least(FEWEST_VERSIONS, 100_000))]
    pub version_keep_count: u32,
}

impl RetentionServing {
    /// For how long what is kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention {
            order_days: Some(self.order_keep_days).filter(|days| *days > 0),
            versions: usize::try_from(self.version_keep_count).ok().filter(|count| *count > 0),
        }
    }
}

/// Reads a number that is 0 or within these bounds.
fn at_least(fewest: u32, most: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if number == 0 || (fewest..=most).contains(&number) => Ok(number),
        _ => Err(format!("must be 0 or a number from {fewest} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        retention: RetentionServing,
    }

    fn read(flags: &[&str]) -> Result<Retention, String> {
        let line = Line::try_parse_from([&["x"], flags].concat());
        line.map(|line| line.retention.retention()).map_err(|error| error.to_string())
    }

    #[test]
    fn orders_are_kept_for_more_than_a_year_where_nothing_is_set_and_for_ever_where_wanted() {
        assert_eq!(read(&[]), Ok(Retention { order_days: Some(400), versions: Some(100) }));
        assert_eq!(
            read(&["--order-keep-days", "0", "--version-keep-count", "0"]),
            Ok(Retention { order_days: None, versions: None })
        );
    }

    #[test]
    fn what_is_too_little_is_refused_with_what_is_allowed() {
        for (flag, value, says) in [
            ("--order-keep-days", "29", "0 or a number from 30 to 36500"),
            ("--version-keep-count", "9", "0 or a number from 10 to 100000"),
            ("--order-keep-days", "soon", "0 or a number"),
        ] {
            let error = read(&[flag, value]).unwrap_err();
            assert!(error.contains(says) && error.contains(value), "{error}");
        }
        assert_eq!(read(&["--order-keep-days", "30"]).unwrap().order_days, Some(30));
    }
}
