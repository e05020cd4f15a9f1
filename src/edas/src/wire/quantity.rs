//! Kubernetes quantities as the whole numbers that EDAS shows.
//!
//! Pure. An amount that cannot be read shows as 0, like none: a Deployment that
//! was written elsewhere must stay readable.

use domain::template::quantity::{ONE, billionths, whole};

/// Processor time in millicores, rounded up.
#[must_use]
pub fn millicores(text: &str) -> i64 {
    shown(text, ONE / 1000)
}

/// Memory in MB as EDAS counts them (MiB), rounded up.
#[must_use]
pub fn mebibytes(text: &str) -> i64 {
    shown(text, ONE << 20)
}

/// Storage in GB as EDAS counts them (GiB), rounded up.
#[must_use]
pub fn gibibytes(text: &str) -> i64 {
    shown(text, ONE << 30)
}

fn shown(text: &str, unit: i128) -> i64 {
    billionths(text)
        .map_or(0, |amount| i64::try_from(whole(amount, unit)).unwrap_or(i64::MAX))
        .max(0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("500m", 500)]
    #[case("2", 2000)]
    #[case("0.5", 500)]
    #[case("1500u", 2)]
    #[case("x", 0)]
    fn processor_time_is_shown_in_millicores(#[case] text: &str, #[case] expected: i64) {
        assert_eq!(millicores(text), expected);
    }

    #[rstest]
    #[case("128Mi", 128)]
    #[case("1Gi", 1024)]
    #[case("1G", 954)]
    #[case("1048576", 1)]
    #[case("", 0)]
    fn memory_is_shown_in_mebibytes(#[case] text: &str, #[case] expected: i64) {
        assert_eq!(mebibytes(text), expected);
    }

    #[rstest]
    #[case("8Gi", 8)]
    #[case("100Mi", 1)]
    #[case("0", 0)]
    fn storage_is_shown_in_gibibytes(#[case] text: &str, #[case] expected: i64) {
        assert_eq!(gibibytes(text), expected);
    }
}
