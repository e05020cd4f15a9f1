//! A person whom an identity provider vouches for, and the access key as which they work.

/// What an identity provider says of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The provider's own name for them, which never changes.
    pub subject: String,
    /// What people call them.
    pub name: String,
    /// An address of which the provider says that it is theirs.
    pub email: Option<String>,
    pub groups: Vec<String>,
}

/// What somebody must be, and the name of the key as which they work then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// A group, an address or a subject.
    pub of: String,
    pub key: String,
}

impl Mapping {
    /// A mapping as settings write it, `who=key`. Only the last `=` parts them: a group may
    /// have one in its name.
    ///
    /// # Errors
    /// What is missing.
    pub fn read(text: &str) -> Result<Self, String> {
        let (of, key) = text.rsplit_once('=').unwrap_or((text, ""));
        let (of, key) = (of.trim(), key.trim());
        if of.is_empty() || key.is_empty() {
            return Err("must be written as who=KEY, with the name of an access key".into());
        }
        Ok(Self { of: of.into(), key: key.into() })
    }
}

/// Who works as which key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mappings {
    pub subjects: Vec<Mapping>,
    pub emails: Vec<Mapping>,
    pub groups: Vec<Mapping>,
}

impl Mappings {
    /// Whether nobody can be mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// The names of the keys, each once.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.all().map(|mapping| mapping.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The key as which somebody works. What is said of one person goes before what is said
    /// of a group; otherwise the first that fits, in the order of the settings.
    #[must_use]
    pub fn key_of(&self, person: &Person) -> Option<&str> {
        let subject = self.subjects.iter().find(|it| it.of == person.subject);
        // The part before the @ may tell capitals apart, but nobody's provider does.
        let email = person
            .email
            .as_deref()
            .and_then(|email| self.emails.iter().find(|it| it.of.eq_ignore_ascii_case(email)));
        let group = || self.groups.iter().find(|it| person.groups.contains(&it.of));
        subject.or(email).or_else(group).map(|mapping| mapping.key.as_str())
    }

    fn all(&self) -> impl Iterator<Item = &Mapping> {
        self.subjects.iter().chain(&self.emails).chain(&self.groups)
    }
}

/// A name as it is shown and kept: in one line, of at most `most` characters, and without
/// signs that would turn the text around it.
#[must_use]
pub fn shown_name(text: &str, most: usize) -> String {
    let turns = |it: char| matches!(it, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.trim().chars().filter(|it| !it.is_control() && !turns(*it)).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn mappings() -> Mappings {
        let read = |all: &[&str]| all.iter().map(|it| Mapping::read(it).unwrap()).collect();
        Mappings {
            subjects: read(&["7f3a=night"]),
            emails: read(&["Jane@example.org=jane"]),
            groups: read(&["platform=release-admins", "cn=ops,ou=it=operators", "staff=readers"]),
        }
    }

    fn person(subject: &str, email: Option<&str>, groups: &[&str]) -> Person {
        Person {
            subject: subject.into(),
            name: String::new(),
            email: email.map(str::to_owned),
            groups: groups.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    #[rstest]
    #[case(person("1", None, &["staff", "platform"]), Some("release-admins"))]
    #[case(person("1", None, &["staff"]), Some("readers"))]
    #[case(person("1", None, &["cn=ops,ou=it"]), Some("operators"))]
    #[case(person("1", Some("jane@EXAMPLE.org"), &["platform"]), Some("jane"))]
    #[case(person("7f3a", Some("jane@example.org"), &[]), Some("night"))]
    #[case(person("1", Some("joe@example.org"), &["Platform", "plat"]), None)]
    #[case(person("platform", None, &[]), None)]
    fn the_first_mapping_that_fits_says_the_key(#[case] person: Person, #[case] key: Option<&str>) {
        assert_eq!(mappings().key_of(&person), key);
    }

    #[test]
    fn a_mapping_needs_both_its_sides() {
        for wrong in ["", "platform", "=key", "platform=", " = "] {
            assert!(Mapping::read(wrong).is_err(), "{wrong}");
        }
        let cut = Mapping::read(" a = b ").unwrap();
        assert_eq!((cut.of.as_str(), cut.key.as_str()), ("a", "b"));
        assert!(Mappings::default().is_empty() && !mappings().is_empty());
        assert_eq!(mappings().keys(), ["jane", "night", "operators", "readers", "release-admins"]);
    }

    #[test]
    fn a_name_cannot_turn_or_break_the_line_that_it_stands_in() {
        assert_eq!(shown_name(" Jane\u{202e} \nDoe\u{0} ", 100), "Jane Doe");
        assert_eq!(shown_name("ééé", 2), "éé");
    }
}
