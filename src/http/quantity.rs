//! Kubernetes quantities (`500m`, `0.5`, `128Mi`, `1G`) as the whole numbers that
//! EDAS shows.
//!
//! Pure. An amount that cannot be read shows as 0, like none: a Deployment that
//! was written elsewhere must stay readable.

/// Processor time in millicores, rounded up.
#[must_use]
pub fn millicores(text: &str) -> i64 {
    amount(text).map_or(0, |cores| whole(cores * 1000.0))
}

/// Memory in MB as EDAS counts them (MiB), rounded up.
#[must_use]
pub fn mebibytes(text: &str) -> i64 {
    amount(text).map_or(0, |bytes| whole(bytes / f64::from(1 << 20)))
}

fn whole(number: f64) -> i64 {
    // Suffixes like `m` are not exact in binary; a millionth is no reason to round up.
    #[allow(clippy::cast_possible_truncation)]
    let rounded = (number - 1e-6).ceil() as i64;
    rounded.max(0)
}

fn amount(text: &str) -> Option<f64> {
    let suffixes: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1024.0 * 1024.0),
        ("Gi", 1024.0 * 1024.0 * 1024.0),
        ("Ti", 1024.0 * 1024.0 * 1024.0 * 1024.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("", 1.0),
    ];
    let (number, factor) = suffixes.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))?;
    number.parse::<f64>().ok().filter(|it| it.is_finite()).map(|it| it * factor)
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
}
