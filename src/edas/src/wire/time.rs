//! Times as EDAS writes them: three forms, by field.
//!
//! Lists and orders have a local time without a zone, which is China's; clients
//! only sort by it. Batches have milliseconds as text, instances ISO 8601.

use jiff::{Timestamp, tz, tz::TimeZone};

/// `2026-11-24 14:58:10` in UTC+8: orders in GetChangeOrderInfo and in lists.
/// Clients sort by this text.
#[must_use]
pub fn local(instant: Timestamp) -> String {
    instant.to_zoned(TimeZone::fixed(tz::offset(8))).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2026-11-24T06:58:10Z`: stages of instances. Empty if there is none.
#[must_use]
pub fn iso(instant: Option<Timestamp>) -> String {
    instant.map(|it| it.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

/// Milliseconds since 1970 as text: batches. Empty if there is none.
#[must_use]
pub fn milliseconds(instant: Option<Timestamp>) -> String {
    instant.map(|it| it.as_millisecond().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_own_form() {
        let instant: Timestamp = "2026-11-23T22:58:10.793Z".parse().unwrap();
        assert_eq!(local(instant), "2026-11-24 06:58:10");
        assert_eq!(iso(Some(instant)), "2026-11-23T22:58:10Z");
        assert_eq!(milliseconds(Some(instant)), "1795474690793");
        assert_eq!((iso(None), milliseconds(None)), (String::new(), String::new()));
    }
}
