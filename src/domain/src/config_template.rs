//! Config templates: texts that are stored under a name, each in a format.
//!
//! Checks names and texts. A text may be secret: no error quotes it.

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    Input, Rejection,
    limits::{TEMPLATE_CONTENT, TEMPLATE_DESCRIPTION, TEMPLATE_NAME},
    notation::{self, Breadth},
};

/// What a content is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Json,
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
    pub description: String,
    /// What the content is written in.
    pub format: Format,
    pub content: String,
}

impl ConfigTemplate {
    /// Checks that it can be kept.
    ///
    /// # Errors
    /// Names what is wrong; the content is not shown.
    pub fn check(&self) -> Result<(), Rejection> {
        let fits = (1..=TEMPLATE_NAME).contains(&self.name.chars().count())
            && !self.name.chars().any(char::is_control);
        if !fits {
            let allowed = format!("must have 1 to {TEMPLATE_NAME} characters, in one line");
            return Err(Rejection::invalid(Input::TemplateName, &self.name, allowed));
        }
        if self.description.chars().count() > TEMPLATE_DESCRIPTION {
            let allowed = format!("must have at most {TEMPLATE_DESCRIPTION} characters");
            return Err(Rejection::invalid(Input::Description, &self.description, allowed));
        }
        let refuse = |allowed: String| {
            Err(Rejection::invalid(Input::TemplateContent, "(not shown)", allowed))
        };
        if !(1..=TEMPLATE_CONTENT).contains(&self.content.chars().count()) {
            return refuse(format!("must have 1 to {TEMPLATE_CONTENT} characters"));
        }
        self.format.fault(&self.content).map_or(Ok(()), |fault| {
            refuse(format!("must be in the format that is given, and {fault}"))
        })
    }
}

impl Format {
    /// Why `content` is not written in this format; none = it is.
    fn fault(self, content: &str) -> Option<String> {
        match self {
            Self::Json => {
                if let Err(limit) = notation::hold_json(content, Breadth::Whole) {
                    return Some(limit);
                }
                let error = serde_json::from_str::<IgnoredAny>(content).err()?;
                Some(format!("it is no JSON: line {}, column {}", error.line(), error.column()))
            }
            Self::Yaml => notation::yaml_documents::<IgnoredAny>(content)
                .err()
                .map(|place| format!("it is no YAML: {place}")),
            Self::Xml => notation::xml_fault(content),
            Self::Properties | Self::KeyValue | Self::Custom => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn template(format: Format, content: &str) -> ConfigTemplate {
        ConfigTemplate {
            name: "shop".into(),
            description: String::new(),
            format,
            content: content.into(),
        }
    }

    #[rstest]
    #[case(Format::Json, r#"{"a":[1,null]}"#)]
    #[case(Format::Json, "7")]
    #[case(Format::Yaml, "a: 1\nb:\n- c\n")]
    #[case(Format::Yaml, "a: 1\n---\n1: b\n---\n- x\n")]
    #[case(Format::Yaml, "a: &x {b: 1}\nc: *x\n")]
    #[case(
        Format::Xml,
        "<?xml version=\"1.0\"?>\n<!-- c --><a b='c'><d/>text &amp; <![CDATA[<]]></a>\n"
    )]
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
    fn another_content_is_refused_with_the_place_and_is_not_shown(
        #[case] format: Format,
        #[case] content: &str,
        #[case] says: &str,
    ) {
        let said = template(format, content).check().unwrap_err().to_string();
        assert!(
            said.starts_with(
                "the content has the value (not shown): must be in the format that is given, and "
            ),
            "{said}"
        );
        assert!(said.contains(says) && !said.contains("hidden"), "{said}");
    }

    #[test]
    fn names_descriptions_and_contents_have_their_lengths() {
        let fine = template(Format::Custom, &"ü".repeat(TEMPLATE_CONTENT));
        let fine = ConfigTemplate { name: "ü".repeat(64), description: "ü".repeat(255), ..fine };
        assert_eq!(fine.check(), Ok(()));
        for (wrong, says) in [
            (ConfigTemplate { name: "x".repeat(65), ..fine.clone() }, "the config template's name"),
            (
                ConfigTemplate { name: String::new(), ..fine.clone() },
                "the config template's name has the value (empty)",
            ),
            (ConfigTemplate { name: "a\nb".into(), ..fine.clone() }, "in one line"),
            (ConfigTemplate { description: "x".repeat(256), ..fine.clone() }, "the description"),
            (
                ConfigTemplate { content: "x".repeat(TEMPLATE_CONTENT + 1), ..fine.clone() },
                "must have 1 to 65536 characters",
            ),
            (
                ConfigTemplate { content: String::new(), ..fine },
                "the content has the value (not shown)",
            ),
        ] {
            let said = wrong.check().unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
    }
}
