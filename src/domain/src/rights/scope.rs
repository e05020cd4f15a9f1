//! The namespaces that a program serves.

use std::str::FromStr;

use super::MOST_NAMESPACES;
use crate::name::is_label;

/// Namespaces that a refusal names.
const SHOWN: usize = 10;

/// The namespaces whose applications are released; nothing else of the cluster is looked at
/// where they are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// All that the cluster has.
    #[default]
    Whole,
    /// These: sorted, each once, at least one and at most [`MOST_NAMESPACES`].
    Named(Vec<String>),
}

impl Scope {
    /// The namespaces, where they are named.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        match self {
            Self::Whole => None,
            Self::Named(names) => Some(names),
        }
    }

    /// Why nothing is done in a namespace; none where it is served.
    #[must_use]
    pub fn refusal(&self, namespace: &str) -> Option<String> {
        let names = self.names().filter(|_| !self.serves(namespace))?;
        let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let which = if names.is_empty() { String::new() } else { format!(": {shown}{more}") };
        Some(format!(
            "Sluice serves only the namespaces that --namespaces names, and {namespace} is not among them{which}"
        ))
    }

    /// Whether applications of a namespace are served.
    #[must_use]
    pub fn serves(&self, namespace: &str) -> bool {
        self.names().is_none_or(|names| names.iter().any(|name| name == namespace))
    }
}

impl FromStr for Scope {
    type Err = String;

    /// Names with commas between; empty = the whole cluster.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Self::Whole);
        }
        let mut names = Vec::new();
        for name in text.split(',').map(str::trim) {
            if !is_label(name) {
                let shown: String = name.chars().take(80).collect();
                return Err(format!(
                    "{shown:?} is no namespace: at most 63 lower-case letters, digits and '-', with a letter or digit at both ends, and commas between two"
                ));
            }
            names.push(name.to_owned());
        }
        names.sort();
        names.dedup();
        if names.len() > MOST_NAMESPACES {
            return Err(format!(
                "{} namespaces are named, and at most {MOST_NAMESPACES} can be: leave them out to serve all of the cluster",
                names.len()
            ));
        }
        Ok(Self::Named(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_read_sorted_and_bounded() {
        let read = |text: &str| text.parse::<Scope>();
        assert_eq!(read(""), Ok(Scope::Whole));
        assert_eq!(read(" "), Ok(Scope::Whole));
        let both = Scope::Named(vec!["billing".into(), "shop".into()]);
        assert_eq!(read("shop, billing,shop"), Ok(both.clone()));
        assert!(both.serves("shop") && !both.serves("sho") && Scope::Whole.serves("sho"));
        assert_eq!(both.refusal("shop"), None);
        let refusal = both.refusal("other").unwrap();
        assert!(refusal.ends_with("other is not among them: billing, shop"), "{refusal}");
        for wrong in ["Shop", "a,,b", "shop,", "a b", "*", "kube-", &"a".repeat(64)] {
            assert!(read(wrong).unwrap_err().contains("is no namespace"), "{wrong}");
        }
        let many = |number| (0..number).map(|it| format!("n{it}")).collect::<Vec<_>>().join(",");
        assert!(read(&many(MOST_NAMESPACES)).is_ok());
        assert!(read(&many(MOST_NAMESPACES + 1)).unwrap_err().contains("at most 100"));
    }
}
