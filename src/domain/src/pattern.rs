//! Texts with `*`, which stands for any characters, also for none.

use serde::{Deserialize, Serialize};

/// Longest pattern of names, in bytes.
pub const LONGEST_OF_NAMES: usize = 100;

/// Whether a text can be a pattern of the names of namespaces or applications: 1 to
/// [`LONGEST_OF_NAMES`] lower-case letters, digits, `-`, `.` and `*`.
#[must_use]
pub fn is_of_names(text: &str) -> bool {
    (1..=LONGEST_OF_NAMES).contains(&text.len())
        && text
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-.*".contains(&it))
}

/// A text with `*` in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that a text is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern that everything fits.
    #[must_use]
    pub fn any() -> Self {
        Self("*".into())
    }

    /// The text that it was made of.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether everything fits.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether a text fits. Each part between two `*` is looked for once, from the left,
    /// behind the one before it: that takes linear time, and finds a way if there is one.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// Whether a text that begins with `start` may fit.
    #[must_use]
    pub fn may_fit_below(&self, start: &str) -> bool {
        match self.0.split_once('*') {
            None => self.0.starts_with(start),
            Some((first, _)) => first.starts_with(start) || start.starts_with(first),
        }
    }

    /// Whether every text that begins with `start` fits.
    #[must_use]
    pub fn fits_all_below(&self, start: &str) -> bool {
        self.0.ends_with('*') && self.fits(start)
    }

    /// The same as a pattern of SQL's LIKE.
    #[must_use]
    pub fn like(&self) -> String {
        let mut like = String::with_capacity(self.0.len());
        for character in self.0.chars() {
            match character {
                '*' => like.push('%'),
                '%' | '_' | '\\' => like.extend(['\\', character]),
                other => like.push(other),
            }
        }
        like
    }
}
