//! Resource quantities in the one form the API server keeps (`0.5` is `500m`,
//! `1024Mi` is `1Gi`), and their order.
//!
//! Kubernetes rewrites them when it reads an object, so a template with "0.5"
//! comes back different; whoever compares templates meets that here as well.
//! Exact to a billionth, like `resource.Quantity`; knows nothing of objects but
//! where quantities are.

use serde_json::Value;

const BILLION: i128 = 1_000_000_000;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
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

/// Rewrites every quantity under `limits`, `requests` and `sizeLimit` in a pod
/// or an object with a pod template.
pub(super) fn settle_all(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Object(map) => map.iter_mut().try_for_each(|(key, value)| {
            match (key.as_str(), value) {
                // The user's own keys: not ours to read.
                ("annotations" | "labels" | "nodeSelector" | "matchLabels", _) => Ok(()),
                ("limits" | "requests", Value::Object(quantities)) => {
                    quantities.values_mut().try_for_each(settle_one)
                }
                ("sizeLimit", value) => settle_one(value),
                (_, value) => settle_all(value),
            }
        }),
        Value::Array(items) => items.iter_mut().try_for_each(settle_all),
        _ => Ok(()),
    }
}

fn settle_one(value: &mut Value) -> Result<(), String> {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Ok(()),
    };
    *value = canonical(&text)
        .ok_or_else(|| {
            "quantities must match the regular expression \
             '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned()
        })?
        .into();
    Ok(())
}

/// The value in billionths; none when it is no quantity.
pub(super) fn billionths(text: &str) -> Option<i128> {
    Some(read(text)?.0)
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Binary,
    Decimal,
    Exponent,
}

fn read(text: &str) -> Option<(i128, Form)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (form, numerator, power) =
        if let Some(power) = BINARY.iter().position(|unit| *unit == suffix && !suffix.is_empty()) {
            let power = u32::try_from(power).ok()?;
            (Form::Binary, 1024_i128.pow(power), 0)
        } else if let Some((_, power)) = DECIMAL.iter().find(|(unit, _)| *unit == suffix) {
            (Form::Decimal, 1, *power)
        } else {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            (Form::Exponent, 1, exponent)
        };
    let negative = number.starts_with('-');
    let number = number.strip_prefix(['+', '-']).unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let mut value = digits.checked_mul(numerator)?;
    let shift = 9 + power - i32::try_from(fraction.len()).ok()?;
    let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
    value = if shift >= 0 {
        value.checked_mul(factor)?
    } else {
        // Less than a billionth is rounded up, never lost.
        value.div_euclid(factor) + i128::from(value.rem_euclid(factor) != 0)
    };
    Some((if negative { -value } else { value }, form))
}

fn canonical(text: &str) -> Option<String> {
    let (value, form) = read(text)?;
    if value == 0 {
        return Some("0".to_owned());
    }
    if form == Form::Binary && value % BILLION == 0 && value.abs() >= 1024 * BILLION {
        let mut whole = value / BILLION;
        let mut unit = 0;
        while whole % 1024 == 0 && unit + 1 < BINARY.len() {
            whole /= 1024;
            unit += 1;
        }
        return Some(format!("{whole}{}", BINARY[unit]));
    }
    let mut number = value;
    let mut unit = 0;
    while number % 1000 == 0 && unit + 1 < DECIMAL.len() {
        number /= 1000;
        unit += 1;
    }
    let (suffix, power) = DECIMAL[unit];
    Some(match (form, power) {
        (Form::Exponent, 0) | (Form::Binary | Form::Decimal, _) => format!("{number}{suffix}"),
        (Form::Exponent, power) => format!("{number}e{power}"),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("0.5", "500m")]
    #[case("1000m", "1")]
    #[case("1500m", "1500m")]
    #[case("1024Mi", "1Gi")]
    #[case("0.5Gi", "512Mi")]
    #[case("100Mi", "100Mi")]
    #[case("1000", "1k")]
    #[case("1e3", "1e3")]
    #[case("1.5G", "1500M")]
    #[case("0", "0")]
    #[case("-1", "-1")]
    #[case("1Ki", "1Ki")]
    fn a_quantity_is_kept_in_one_form(#[case] given: &str, #[case] kept: &str) {
        assert_eq!(canonical(given).as_deref(), Some(kept));
    }

    #[rstest]
    #[case("banana")]
    #[case("")]
    #[case("1Q")]
    #[case("1.2.3")]
    fn what_is_no_quantity_is_refused(#[case] given: &str) {
        assert_eq!(canonical(given), None);
    }

    #[test]
    fn a_number_becomes_a_quantity_where_one_is_wanted() {
        let mut value = json!({"resources": {"limits": {"cpu": 2}}, "other": 2});
        settle_all(&mut value).unwrap();
        assert_eq!(value, json!({"resources": {"limits": {"cpu": "2"}}, "other": 2}));
    }
}
