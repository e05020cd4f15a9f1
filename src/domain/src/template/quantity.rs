//! Kubernetes quantities (`500m`, `0.5`, `128Mi`, `1G`, `1e3`) as exact numbers.
//!
//! Pure. Exact to a billionth, as Kubernetes is, so that sums and comparisons
//! come out as they do there.

/// One, in billionths.
pub const ONE: i128 = 1_000_000_000;

const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

/// The amount in billionths, rounded up; none where `text` is no quantity.
#[must_use]
pub fn billionths(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (factor, power) = if let Some((_, power)) = BINARY.iter().find(|(unit, _)| *unit == suffix)
    {
        (1024_i128.pow(*power), 0)
    } else if let Some((_, power)) = DECIMAL.iter().find(|(unit, _)| *unit == suffix) {
        (1, *power)
    } else {
        (1, suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?)
    };
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0
        || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let amount = format!("{whole}{fraction}").parse::<i128>().ok()?.checked_mul(factor)?;
    let shift = power.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scale = 10_i128.checked_pow(shift.unsigned_abs())?;
    let amount = if shift >= 0 { amount.checked_mul(scale)? } else { divided_up(amount, scale) };
    Some(if number.starts_with('-') { -amount } else { amount })
}

/// `amount` in whole `unit`s, both in billionths, rounded up.
#[must_use]
pub fn whole(amount: i128, unit: i128) -> i128 {
    divided_up(amount, unit)
}

/// An amount for people: processor time in millicores, memory in Mi, everything
/// else as it is. `resource` is its name, such as `cpu` or `requests.memory`.
#[must_use]
pub fn show(amount: i128, resource: &str) -> String {
    let plain = resource.rsplit('.').next().unwrap_or(resource);
    match plain {
        "cpu" if amount % ONE != 0 => format!("{}m", whole(amount, ONE / 1000)),
        "memory" | "ephemeral-storage" => format!("{}Mi", whole(amount, ONE << 20)),
        _ => whole(amount, ONE).to_string(),
    }
}

fn divided_up(amount: i128, by: i128) -> i128 {
    amount.div_euclid(by) + i128::from(amount.rem_euclid(by) != 0)
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("500m", Some(ONE / 2))]
    #[case("0.5", Some(ONE / 2))]
    #[case(".5", Some(ONE / 2))]
    #[case("2", Some(2 * ONE))]
    #[case("-1", Some(-ONE))]
    #[case("1Ki", Some(1024 * ONE))]
    #[case("1.5Gi", Some((3 << 29) * ONE))]
    #[case("1e3", Some(1000 * ONE))]
    #[case("1E", Some(1_000_000_000_000_000_000 * ONE))]
    #[case("0.1n", Some(1))]
    #[case("", None)]
    #[case("banana", None)]
    #[case("1Q", None)]
    #[case("1.2.3", None)]
    #[case("1e99", None)]
    #[case("--1", None)]
    fn a_quantity_is_read_exactly(#[case] text: &str, #[case] expected: Option<i128>) {
        assert_eq!(billionths(text), expected);
    }

    #[rstest]
    #[case("1500m", "requests.cpu", "1500m")]
    #[case("2", "cpu", "2")]
    #[case("1Gi", "limits.memory", "1024Mi")]
    #[case("3", "pods", "3")]
    fn an_amount_is_shown_as_people_write_it(
        #[case] text: &str,
        #[case] resource: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(show(billionths(text).unwrap(), resource), expected);
    }

    proptest! {
        #[test]
        fn nothing_that_can_be_sent_breaks_the_reading(text in ".{0,12}") {
            let _ = billionths(&text);
        }

        #[test]
        fn a_number_of_millicores_is_itself(number in 0..10_000_000_i128) {
            prop_assert_eq!(whole(billionths(&format!("{number}m")).unwrap(), ONE / 1000), number);
        }
    }
}
