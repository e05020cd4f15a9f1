//! What packages run on: the operator's table of runtime images.
//!
//! EDAS names a JDK and, for web applications, a web container; which image
//! those are is the operator's to say. Pure.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{Input, package::PackageKind};

/// A JDK, and a web container where there is one, with the image that has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Runtime {
    /// The JDK, in EDAS' words, such as `Open JDK 8`.
    pub jdk: String,
    /// The web container, such as `apache-tomcat-7.0.91`; none = for JARs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_container: Option<String>,
    pub image: String,
}

/// The operator's table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runtimes(Vec<Runtime>);

impl Runtimes {
    /// Reads the table from JSON: a list of `{"jdk", "webContainer", "image"}`.
    ///
    /// # Errors
    /// Says what is wrong with it, and where.
    pub fn read(json: &str) -> Result<Self, String> {
        const FORM: &str = r#"a list of {"jdk":"Open JDK 8","webContainer":"apache-tomcat-9" or null,"image":"registry/tomcat:9"} is expected"#;
        let runtimes: Vec<Runtime> =
            serde_json::from_str(json).map_err(|error| format!("{error}; {FORM}"))?;
        let mut named = HashSet::new();
        for (index, runtime) in runtimes.iter().enumerate() {
            let container = runtime.web_container.as_deref();
            let is_blank = |text: &str| text.trim().is_empty();
            if is_blank(&runtime.jdk) || container.is_some_and(is_blank) {
                return Err(format!("[{index}] has an empty jdk or webContainer; {FORM}"));
            }
            if runtime.image.is_empty() || runtime.image.contains(char::is_whitespace) {
                return Err(format!("[{index}] has no image address; {FORM}"));
            }
            if !named.insert((plain(&runtime.jdk), container.map(plain))) {
                return Err(format!("[{index}] has the jdk and webContainer of an earlier one"));
            }
        }
        Ok(Self(runtimes))
    }

    /// All of them, in the operator's order.
    #[must_use]
    pub fn all(&self) -> &[Runtime] {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The runtime for packages of this kind with this JDK and web container.
    /// One that is not given is the only one there is.
    ///
    /// # Errors
    /// The input that must be given or has an unknown value, and what it may be.
    pub fn find(
        &self,
        kind: PackageKind,
        jdk: Option<&str>,
        web_container: Option<&str>,
    ) -> Result<&Runtime, NoRuntime> {
        let fits =
            |runtime: &&Runtime| runtime.web_container.is_some() == (kind == PackageKind::War);
        let mut left: Vec<&Runtime> = self.0.iter().filter(fits).collect();
        if left.is_empty() {
            return Err(NoRuntime {
                input: Input::Jdk,
                value: jdk.unwrap_or_default().into(),
                known: Vec::new(),
            });
        }
        if kind == PackageKind::War {
            left = narrowed(left, Input::WebContainer, web_container, |runtime| {
                runtime.web_container.as_deref().unwrap_or_default()
            })?;
        }
        left = narrowed(left, Input::Jdk, jdk, |runtime| &runtime.jdk)?;
        match left[..] {
            [only] => Ok(only),
            // All have the same JDK, so it is the web container that is open.
            _ => Err(open(Input::WebContainer, &left, |runtime| {
                runtime.web_container.as_deref().unwrap_or_default()
            })),
        }
    }
}

/// Why no runtime was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRuntime {
    /// The input that decides.
    pub input: Input,
    /// Its value; empty = it was not given.
    pub value: String,
    /// What it may be; empty = there is no runtime for this kind of package.
    pub known: Vec<String>,
}

/// Those of `left` whose `part` is `wanted`. Where none is wanted all stay, as
/// long as what they have is the same.
fn narrowed<'a>(
    left: Vec<&'a Runtime>,
    input: Input,
    wanted: Option<&str>,
    part: impl Fn(&'a Runtime) -> &'a str,
) -> Result<Vec<&'a Runtime>, NoRuntime> {
    let Some(wanted) = wanted else {
        let first = part(left[0]);
        let is_open =
            input == Input::Jdk && left.iter().any(|runtime| !is_same(part(runtime), first));
        return if is_open { Err(open(input, &left, part)) } else { Ok(left) };
    };
    let found: Vec<_> =
        left.iter().copied().filter(|runtime| is_same(part(runtime), wanted)).collect();
    if found.is_empty() {
        Err(NoRuntime { value: wanted.into(), ..open(input, &left, part) })
    } else {
        Ok(found)
    }
}

fn open<'a>(
    input: Input,
    left: &[&'a Runtime],
    part: impl Fn(&'a Runtime) -> &'a str,
) -> NoRuntime {
    let mut known: Vec<String> = left.iter().map(|runtime| part(runtime).to_owned()).collect();
    known.sort();
    known.dedup();
    NoRuntime { input, value: String::new(), known }
}

/// A name as names are compared: blanks around it and case mean nothing.
fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn table() -> Runtimes {
        Runtimes::read(
            r#"[{"jdk":"Open JDK 8","webContainer":null,"image":"jdk:8"}, {"jdk":"Open JDK 17","image":"jdk:17"},
                {"jdk":"Open JDK 8","webContainer":"apache-tomcat-7.0.91","image":"tomcat:7"},
                {"jdk":"Open JDK 8","webContainer":"apache-tomcat-9","image":"tomcat:9"},
                {"jdk":"Open JDK 17","webContainer":"apache-tomcat-10","image":"tomcat:10"}]"#,
        )
        .unwrap()
    }

    #[rstest]
    #[case(PackageKind::FatJar, Some("Open JDK 8"), None, "jdk:8")]
    #[case(PackageKind::FatJar, Some(" open jdk 17"), Some("apache-tomcat-9"), "jdk:17")]
    #[case(PackageKind::War, Some("Open JDK 8"), Some("apache-tomcat-7.0.91"), "tomcat:7")]
    #[case(PackageKind::War, None, Some("Apache-Tomcat-10"), "tomcat:10")]
    #[case(PackageKind::War, Some("Open JDK 17"), None, "tomcat:10")]
    fn a_runtime_is_found_by_what_leaves_only_one(
        #[case] kind: PackageKind,
        #[case] jdk: Option<&str>,
        #[case] container: Option<&str>,
        #[case] image: &str,
    ) {
        assert_eq!(table().find(kind, jdk, container).unwrap().image, image);
    }

    #[rstest]
    #[case(PackageKind::FatJar, None, None, Input::Jdk, &["Open JDK 17", "Open JDK 8"])]
    #[case(PackageKind::FatJar, Some("Open JDK 7"), None, Input::Jdk, &["Open JDK 17", "Open JDK 8"])]
    #[case(PackageKind::War, Some("Open JDK 8"), None, Input::WebContainer, &["apache-tomcat-7.0.91", "apache-tomcat-9"])]
    #[case(PackageKind::War, None, Some("jetty"), Input::WebContainer, &["apache-tomcat-10", "apache-tomcat-7.0.91", "apache-tomcat-9"])]
    #[case(PackageKind::War, Some("Open JDK 17"), Some("apache-tomcat-9"), Input::Jdk, &["Open JDK 8"])]
    fn what_must_be_said_is_named_with_what_it_may_be(
        #[case] kind: PackageKind,
        #[case] jdk: Option<&str>,
        #[case] container: Option<&str>,
        #[case] input: Input,
        #[case] known: &[&str],
    ) {
        let why = table().find(kind, jdk, container).unwrap_err();
        assert_eq!(
            (why.input, why.known.iter().map(String::as_str).collect::<Vec<_>>()),
            (input, known.to_vec())
        );
    }

    #[test]
    fn a_table_without_a_runtime_of_the_kind_knows_nothing_to_say() {
        let jars = Runtimes::read(r#"[{"jdk":"Open JDK 8","image":"jdk:8"}]"#).unwrap();
        assert_eq!(
            jars.find(PackageKind::War, None, None).unwrap_err().known,
            Vec::<String>::new()
        );
        assert_eq!(jars.find(PackageKind::FatJar, None, None).unwrap().image, "jdk:8");
    }

    #[rstest]
    #[case("{}", "a list of")]
    #[case(r#"[{"jdk":"Open JDK 8"}]"#, "missing field `image`")]
    #[case(r#"[{"jdk":"Open JDK 8","image":""}]"#, "[0] has no image")]
    #[case(r#"[{"jdk":" ","image":"a"}]"#, "[0] has an empty jdk")]
    #[case(r#"[{"jdk":"a","image":"a","imgae":"b"}]"#, "unknown field `imgae`")]
    #[case(
        r#"[{"jdk":"a","image":"a"},{"jdk":"A","image":"b"}]"#,
        "[1] has the jdk and webContainer of an earlier one"
    )]
    fn a_table_with_a_mistake_is_refused_with_the_place(#[case] json: &str, #[case] says: &str) {
        let why = Runtimes::read(json).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
}
