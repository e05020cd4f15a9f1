//! Config templates: texts that are kept under a name, each in a format.
//!
//! Says what they may be. What they hold may be secret: no error quotes it.

use quick_xml::{Reader, events::Event};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::Rejection;

/// Most characters of a name.
pub const LONGEST_NAME: usize = 64;
/// Most characters of a description.
pub const LONGEST_DESCRIPTION: usize = 255;
/// Most characters of a content.
pub const LONGEST_CONTENT: usize = 65_536;

/// What a content is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// YAML, of one or several documents.
    Yaml,
    /// A `.properties` file: every text is one.
    Properties,
    /// Keys with values: every text is taken.
    KeyValue,
    /// Whatever its reader understands.
    Custom,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigTemplate {
    /// Its name, which no other has.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What the content is written in.
    pub format: Format,
    /// The text itself.
    pub content: String,
}

impl ConfigTemplate {
    /// Checks that it can be kept.
    ///
    /// # Errors
    /// Names what is wrong; the content is not shown.
    pub fn check(&self) -> Result<(), Rejection> {
        let fits = (1..=LONGEST_NAME).contains(&self.name.chars().count()) && !self.name.chars().any(char::is_control);
        if !fits {
            let allowed = format!("must have 1 to {LONGEST_NAME} characters, in one line");
            return Err(Rejection::invalid("Name", &self.name, allowed));
        }
        if self.description.chars().count() > LONGEST_DESCRIPTION {
            let allowed = format!("must have at most {LONGEST_DESCRIPTION} characters");
            return Err(Rejection::invalid("Description", &self.description, allowed));
        }
        let refuse = |allowed: String| Err(Rejection::invalid("Content", "(not shown)", allowed));
        if !(1..=LONGEST_CONTENT).contains(&self.content.chars().count()) {
            return refuse(format!("must have 1 to {LONGEST_CONTENT} characters"));
        }
        self.format.fault(&self.content).map_or(Ok(()), |fault| refuse(format!("must be in the format that is given, and {fault}")))
    }
}

impl Format {
    /// Why `content` is not written in this format; none = it is.
    fn fault(self, content: &str) -> Option<String> {
        match self {
            Self::Json => {
                let error = serde_json::from_str::<IgnoredAny>(content).err()?;
                Some(format!("it is no JSON: line {}, column {}", error.line(), error.column()))
            }
            Self::Yaml => {
                let error = serde_saphyr::from_multiple::<IgnoredAny>(content).err()?;
                let place = error.location().map(|at| format!(": line {}, column {}", at.line(), at.column()));
                Some(format!("it is no YAML{}", place.unwrap_or_default()))
            }
            Self::Xml => {
                let offset = xml_fault(content)?;
                let line = content.bytes().take(offset).filter(|it| *it == b'\n').count() + 1;
                Some(format!("it is no XML: line {line}"))
            }
            Self::Properties | Self::KeyValue | Self::Custom => None,
        }
    }
}

/// Where, in bytes, `content` stops being XML; none = it is well-formed.
fn xml_fault(content: &str) -> Option<usize> {
    let mut reader = Reader::from_str(content);
    let (mut open, mut roots) = (0_usize, 0_usize);
    loop {
        let is_outside = open == 0;
        match reader.read_event() {
            Ok(Event::Start(_)) => {
                roots += usize::from(is_outside);
                open += 1;
            }
            Ok(Event::Empty(_)) => roots += usize::from(is_outside),
            // The reader holds ends to their beginnings.
            Ok(Event::End(_)) => open = open.saturating_sub(1),
            Ok(Event::Text(text)) if is_outside && !text.iter().all(u8::is_ascii_whitespace) => break,
            Ok(Event::CData(_) | Event::GeneralRef(_)) if is_outside => break,
            Ok(Event::Eof) if open == 0 && roots == 1 => return None,
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    usize::try_from(reader.error_position().max(reader.buffer_position())).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn template(format: Format, content: &str) -> ConfigTemplate {
        ConfigTemplate { name: "shop".into(), description: String::new(), format, content: content.into() }
    }

    #[rstest]
    #[case(Format::Json, r#"{"a":[1,null]}"#)]
    #[case(Format::Json, "7")]
    #[case(Format::Yaml, "a: 1\nb:\n- c\n")]
    #[case(Format::Yaml, "a: 1\n---\n1: b\n---\n- x\n")]
    #[case(Format::Yaml, "a: &x {b: 1}\nc: *x\n")]
    #[case(Format::Xml, "<?xml version=\"1.0\"?>\n<!-- c --><a b='c'><d/>text &amp; <![CDATA[<]]></a>\n")]
    #[case(Format::Xml, "<a/>")]
    #[case(Format::Properties, "a = 1\n# b")]
    #[case(Format::KeyValue, "a=1\nb=2")]
    #[case(Format::Custom, "{{ anything < at all")]
    fn a_content_in_its_format_is_taken(#[case] format: Format, #[case] content: &str) {
        assert_eq!(template(format, content).check(), Ok(()));
    }

    #[rstest]
    #[case(Format::Json, "{\"password\":\n\"hidden\"", "it is no JSON: line 2, column 8")]
    #[case(Format::Json, "hidden: 1", "it is no JSON: line 1, column 1")]
    #[case(Format::Yaml, "a: [hidden\nb: c: d", "it is no YAML: line ")]
    #[case(Format::Yaml, "a: 1\n---\n{hidden", "it is no YAML: line 3")]
    #[case(Format::Xml, "<a>hidden", "it is no XML: line 1")]
    #[case(Format::Xml, "<a>\n<b>hidden</a></b>", "it is no XML: line 2")]
    #[case(Format::Xml, "<a/><b/>", "it is no XML")]
    #[case(Format::Xml, "hidden", "it is no XML")]
    #[case(Format::Xml, "<a/>hidden", "it is no XML")]
    #[case(Format::Xml, "<a b=>hidden</a", "it is no XML")]
    fn another_content_is_refused_with_the_place_and_is_not_shown(#[case] format: Format, #[case] content: &str, #[case] says: &str) {
        let said = template(format, content).check().unwrap_err().to_string();
        assert!(said.starts_with("parameter Content has the value (not shown): must be in the format that is given, and "), "{said}");
        assert!(said.contains(says) && !said.contains("hidden"), "{said}");
    }

    #[test]
    fn names_descriptions_and_contents_have_their_lengths() {
        let fine = template(Format::Custom, &"ü".repeat(LONGEST_CONTENT));
        let fine = ConfigTemplate { name: "ü".repeat(64), description: "ü".repeat(255), ..fine };
        assert_eq!(fine.check(), Ok(()));
        for (wrong, says) in [
            (ConfigTemplate { name: "x".repeat(65), ..fine.clone() }, "parameter Name"),
            (ConfigTemplate { name: String::new(), ..fine.clone() }, "parameter Name has the value (empty)"),
            (ConfigTemplate { name: "a\nb".into(), ..fine.clone() }, "in one line"),
            (ConfigTemplate { description: "x".repeat(256), ..fine.clone() }, "parameter Description"),
            (ConfigTemplate { content: "x".repeat(LONGEST_CONTENT + 1), ..fine.clone() }, "must have 1 to 65536 characters"),
            (ConfigTemplate { content: String::new(), ..fine }, "parameter Content has the value (not shown)"),
        ] {
            let said = wrong.check().unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
    }
}
