//! What Kubernetes takes as names, and as keys and values of labels.
//!
//! Told here, so that a request is refused by its own parameter's name and not by
//! the API server's path into a template.

/// Letters and digits that both ends must have; `inside` may be between them.
fn is_word(text: &str, longest: usize, is_end: fn(char) -> bool, inside: &str) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.starts_with(is_end)
        && text.ends_with(is_end)
        && text.chars().all(|c| is_end(c) || inside.contains(c))
}

fn is_small(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

/// Whether a container can have this name.
#[must_use]
pub fn is_label(text: &str) -> bool {
    is_word(text, 63, is_small, "-")
}

/// Whether a ConfigMap, a Secret, a claim or a runtime class can have this name.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|part| is_word(part, 253, is_small, "-"))
}

/// Whether a label or an annotation can have this key, `name` or `prefix/name`.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && is_word(name, 63, is_alphanumeric, "-_.")
}

/// Whether a label can have this value.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_word(text, 63, is_alphanumeric, "-_.")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web", true, true, true, true)]
    #[case("web-1", true, true, true, true)]
    #[case("a.b", false, true, true, true)]
    #[case("a..b", false, false, true, true)]
    #[case("Web_1", false, false, true, true)]
    #[case("shop.example/team", false, false, true, false)]
    #[case("a/b/c", false, false, false, false)]
    #[case("-a", false, false, false, false)]
    #[case("a-", false, false, false, false)]
    #[case("a b", false, false, false, false)]
    #[case("/a", false, false, false, false)]
    #[case("a/", false, false, false, false)]
    #[case("", false, false, false, true)]
    fn names_keys_and_values(#[case] text: &str, #[case] label: bool, #[case] subdomain: bool, #[case] key: bool, #[case] value: bool) {
        assert_eq!((is_label(text), is_subdomain(text), is_key(text), is_label_value(text)), (label, subdomain, key, value), "{text}");
    }

    #[test]
    fn lengths_are_those_of_kubernetes() {
        let text = |length: usize| "a".repeat(length);
        assert!(is_label(&text(63)) && is_key(&text(63)) && is_label_value(&text(63)) && is_subdomain(&text(253)));
        assert!(!is_label(&text(64)) && !is_key(&text(64)) && !is_label_value(&text(64)) && !is_subdomain(&text(254)));
    }
}
