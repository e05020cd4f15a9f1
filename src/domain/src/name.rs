//! What Kubernetes takes as names, and as keys and values of labels.
//!
//! Told here, so that a request is refused by its own parameter's name and not by
//! the API server's path into a template.

use sha2::{Digest, Sha256};

/// The Kubernetes namespace where none is named.
pub const DEFAULT_NAMESPACE: &str = "default";

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
    let (prefix, name) =
        text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && is_word(name, 63, is_alphanumeric, "-_.")
}

/// Whether a label can have this value.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_word(text, 63, is_alphanumeric, "-_.")
}

/// A name that a Service can have for something that is called `text`: that itself, where
/// it fits; else as much of it as does, with a digest of the whole.
#[must_use]
pub fn service_name(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && is_label(text) {
        return text.to_owned();
    }
    let plain: String = text.chars().map(|c| if is_small(c) { c } else { '-' }).collect();
    let plain = if begins { plain } else { format!("s-{}", plain.trim_start_matches('-')) };
    digested(&plain, text, 63)
}

/// `text`, where it has at most `longest` bytes; else its beginning with a digest of the
/// whole.
#[must_use]
pub fn fitting(text: &str, longest: usize) -> String {
    if text.len() <= longest { text.to_owned() } else { digested(text, text, longest) }
}

fn digested(shown: &str, whole: &str, longest: usize) -> String {
    let digest = &hex::encode(Sha256::digest(whole))[..8];
    let end = (0..=shown.len().min(longest - 9))
        .rev()
        .find(|end| shown.is_char_boundary(*end))
        .unwrap_or(0);
    format!("{}-{digest}", shown[..end].trim_end_matches(['-', '.']))
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
    fn names_keys_and_values(
        #[case] text: &str,
        #[case] label: bool,
        #[case] subdomain: bool,
        #[case] key: bool,
        #[case] value: bool,
    ) {
        assert_eq!(
            (is_label(text), is_subdomain(text), is_key(text), is_label_value(text)),
            (label, subdomain, key, value),
            "{text}"
        );
    }

    #[test]
    fn every_deployment_has_a_name_for_its_services_and_scalers() {
        assert_eq!(service_name("web-internet"), "web-internet");
        let long = "a".repeat(253);
        for odd in ["a.b", "3scale-gateway", long.as_str(), "9", "a.b-c.d"] {
            let name = service_name(odd);
            assert!(
                is_label(&name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
                "{name}"
            );
        }
        assert_ne!(service_name("a.b"), service_name("a-b"));
        assert_eq!(fitting("web-rule", 253), "web-rule");
        let name = fitting(&format!("{long}-rule"), 253);
        assert!(is_subdomain(&name) && name != fitting(&format!("{long}-other"), 253), "{name}");
    }

    #[test]
    fn lengths_are_those_of_kubernetes() {
        let text = |length: usize| "a".repeat(length);
        assert!(
            is_label(&text(63))
                && is_key(&text(63))
                && is_label_value(&text(63))
                && is_subdomain(&text(253))
        );
        assert!(
            !is_label(&text(64))
                && !is_key(&text(64))
                && !is_label_value(&text(64))
                && !is_subdomain(&text(254))
        );
    }
}
