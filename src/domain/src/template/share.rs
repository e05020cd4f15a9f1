//! Numbers of pods that Kubernetes takes as a number or as a share in percent
//! (IntOrString). Pure.

use serde_json::Value;

/// Where a share is no whole number of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// As `maxSurge` and PodDisruptionBudgets are read.
    Up,
    /// As `maxUnavailable` of a Deployment is read.
    Down,
}

/// The pods that `value` means where there are `replicas`; none where it is neither a
/// number nor a text such as `25%`.
#[must_use]
pub fn pods(value: &Value, replicas: i32, rounding: Rounding) -> Option<i32> {
    let Some(text) = value.as_str() else {
        return value.as_i64().map(|pods| i32::try_from(pods).unwrap_or(i32::MAX));
    };
    let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
    let hundredths = i64::from(replicas).saturating_mul(percent);
    let pods = match rounding {
        Rounding::Up => hundredths.saturating_add(99) / 100,
        Rounding::Down => hundredths / 100,
    };
    Some(i32::try_from(pods).unwrap_or(i32::MAX))
}

/// Whether `value` means no pod, however many there are.
#[must_use]
pub fn is_nothing(value: &Value) -> bool {
    pods(value, 100, Rounding::Up) == Some(0)
}

/// The share that means exactly so many of `replicas`, so that it follows another number at
/// once; the number itself where no whole percentage does.
#[must_use]
pub fn of(pods: i32, replicas: i32, rounding: Rounding) -> Value {
    if pods <= 0 || replicas <= 0 {
        return pods.into();
    }
    let (hundredths, replicas_long) = (i64::from(pods) * 100, i64::from(replicas));
    let percent = match rounding {
        Rounding::Up => hundredths / replicas_long,
        Rounding::Down => (hundredths + replicas_long - 1) / replicas_long,
    };
    let share = Value::from(format!("{percent}%"));
    if self::pods(&share, replicas, rounding) == Some(pods) { share } else { pods.into() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    proptest::proptest! {
        #[test]
        fn a_share_means_the_number_that_it_was_made_of(pods in 0..500i32, replicas in 0..500i32) {
            for rounding in [Rounding::Up, Rounding::Down] {
                let share = of(pods, replicas, rounding);
                proptest::prop_assert_eq!(super::pods(&share, replicas, rounding), Some(pods));
                proptest::prop_assert!(share.is_string() || pods == 0 || !(1..=100).contains(&replicas));
            }
        }
    }

    #[rstest]
    #[case(json!(3), 10, Some(3), Some(3))]
    #[case(json!("25%"), 10, Some(3), Some(2))]
    #[case(json!("100%"), 7, Some(7), Some(7))]
    #[case(json!("0%"), 7, Some(0), Some(0))]
    #[case(json!("25%"), 0, Some(0), Some(0))]
    #[case(json!("25"), 10, None, None)]
    #[case(json!("some%"), 10, None, None)]
    #[case(json!(null), 10, None, None)]
    #[case(json!("9223372036854775807%"), 10, Some(i32::MAX), Some(i32::MAX))]
    fn a_number_or_a_share(
        #[case] value: Value,
        #[case] replicas: i32,
        #[case] up: Option<i32>,
        #[case] down: Option<i32>,
    ) {
        assert_eq!(
            (pods(&value, replicas, Rounding::Up), pods(&value, replicas, Rounding::Down)),
            (up, down)
        );
    }
}
