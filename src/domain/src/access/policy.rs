//! Policies, as RAM writes them. They are read strictly: what could not be honoured is
//! refused when the policy is written, and named.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::Value;
use thiserror::Error;

use super::{Pattern, Site, circumstance::Condition};

/// Most bytes of a policy, as RAM has it.
pub const MOST_BYTES: usize = 6144;

/// Most statements of a policy.
const MOST_STATEMENTS: usize = 50;

/// Most actions, resources, conditions or values in a list.
const MOST_TEXTS: usize = 50;

/// Most bytes of an action, a resource or a value.
const LONGEST_TEXT: usize = 256;

/// How the paths of resources begin.
const KINDS: [&str; 10] = [
    "namespace/",
    "cluster/",
    "hold/",
    "template/",
    "region/",
    "access/",
    "image/",
    "annotation/",
    "ingresshost/",
    "loadbalancer/",
];

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) allows: bool,
    pub(super) actions: Vec<Pattern>,
    pub(super) resources: Vec<Named>,
    pub(super) conditions: Vec<Condition>,
}

/// A resource as a policy names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    region: Pattern,
    pub(super) path: Pattern,
}

impl From<String> for Named {
    /// A path in every region.
    fn from(path: String) -> Self {
        Self { region: Pattern::any(), path: Pattern::new(path) }
    }
}

impl Named {
    /// Whether it is everything, in every region.
    pub(super) fn is_everywhere(&self) -> bool {
        self.region.is_any() && self.path.is_any()
    }

    pub(super) fn is_at(&self, site: &Site<'_>) -> bool {
        self.region.fits(site.region) || self.region.fits(site.cluster)
    }
}

/// Why a policy is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    pub(super) fn new(part: &str, value: &str, allowed: &str) -> Self {
        let cut =
            |text: &str| text.chars().take(100).filter(|c| !c.is_control()).collect::<String>();
        Self(format!("{} has the value {}: {allowed}", cut(part), cut(value)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Document {
    version: String,
    statement: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Raw {
    effect: String,
    action: Texts,
    resource: Texts,
    #[serde(default)]
    condition: Once<Once<Texts>>,
}

/// A text or a list of texts. Of a condition, RAM also writes true and false bare.
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            Value::Bool(is) => Ok(is.to_string()),
            _ => Err(D::Error::custom("a text or a list of texts is expected")),
        };
        match Value::deserialize(deserializer)? {
            Value::Array(list) => Ok(Self(list.into_iter().map(text).collect::<Result<_, _>>()?)),
            one => Ok(Self(vec![text(one)?])),
        }
    }
}

/// An object in which no name is there twice.
struct Once<T>(BTreeMap<String, T>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Once<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Once<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Once<T>, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if found.len() == MOST_TEXTS {
                        return Err(A::Error::custom(format!(
                            "an object has more than {MOST_TEXTS} names"
                        )));
                    }
                    if found.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name is there twice in an object"));
                    }
                }
                Ok(Once(found))
            }
        }

        deserializer.deserialize_map(Reader(std::marker::PhantomData))
    }
}

impl Policy {
    /// Reads a policy. `knows` says whether an action of this pattern, without `edas:` and
    /// in lower case, is one of the operations and groups that there are.
    ///
    /// # Errors
    /// Names what is wrong with it, or what could not be honoured here.
    pub fn read(text: &str, knows: impl Fn(&Pattern) -> bool) -> Result<Self, Unreadable> {
        if text.len() > MOST_BYTES {
            let size = format!("{} bytes", text.len());
            let allowed = format!("must have at most {MOST_BYTES} bytes");
            return Err(Unreadable::new("the policy", &size, &allowed));
        }
        let document: Document = serde_json::from_str(text).map_err(|error| {
            let why: String = error.to_string().chars().take(300).collect();
            Unreadable(format!(
                "the policy cannot be read: {why}; it must be RAM's JSON, an object with Version and Statement"
            ))
        })?;
        if document.version != "1" {
            return Err(Unreadable::new("Version", &document.version, "must be 1"));
        }
        bounded("Statement", document.statement.len(), MOST_STATEMENTS)?;
        let statements = document.statement.into_iter().map(|raw| statement(raw, &knows));
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
    }
}

fn statement(raw: Raw, knows: &impl Fn(&Pattern) -> bool) -> Result<Statement, Unreadable> {
    let allows = match raw.effect.as_str() {
        "Allow" => true,
        "Deny" => false,
        other => return Err(Unreadable::new("Effect", other, "must be Allow or Deny")),
    };
    texts("Action", &raw.action.0)?;
    texts("Resource", &raw.resource.0)?;
    let actions = raw.action.0.iter().map(|text| action(text, knows)).collect::<Result<_, _>>()?;
    let resources = raw.resource.0.iter().map(|text| named(text)).collect::<Result<_, _>>()?;
    let mut conditions = Vec::new();
    for (operator, keys) in &raw.condition.0 {
        bounded("Condition", keys.0.len(), MOST_TEXTS)?;
        for (key, values) in &keys.0 {
            texts("Condition", &values.0)?;
            conditions.push(Condition::read(operator, key, &values.0)?);
        }
    }
    Ok(Statement { allows, actions, resources, conditions })
}

fn bounded(part: &str, count: usize, most: usize) -> Result<(), Unreadable> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    let allowed = format!("must have 1 to {most} items");
    Err(Unreadable::new(part, &format!("{count} items"), &allowed))
}

fn texts(part: &str, texts: &[String]) -> Result<(), Unreadable> {
    bounded(part, texts.len(), MOST_TEXTS)?;
    let is_plain = |text: &&String| {
        text.len() <= LONGEST_TEXT
            && !text.is_empty()
            && text.bytes().all(|it| it.is_ascii_graphic())
    };
    match texts.iter().find(|text| !is_plain(text)) {
        Some(text) => {
            let allowed =
                format!("must have 1 to {LONGEST_TEXT} printable ASCII characters without blanks");
            Err(Unreadable::new(part, text, &allowed))
        }
        None => Ok(()),
    }
}

fn action(text: &str, knows: &impl Fn(&Pattern) -> bool) -> Result<Pattern, Unreadable> {
    let lower = text.to_ascii_lowercase();
    let rest = match lower.as_str() {
        "*" => return Ok(Pattern::any()),
        other => other.strip_prefix("edas:").ok_or_else(|| {
            Unreadable::new(
                "Action",
                text,
                "must be * or begin with edas:, as all that is done here",
            )
        })?,
    };
    no_question_mark("Action", text)?;
    if !knows(&Pattern::new(rest)) {
        let allowed = "must be edas: and an operation or a group such as ReadApplication, * for any characters";
        return Err(Unreadable::new("Action", text, allowed));
    }
    Ok(Pattern::new(lower))
}

fn named(text: &str) -> Result<Named, Unreadable> {
    no_question_mark("Resource", text)?;
    if text == "*" {
        return Ok(Named { region: Pattern::any(), path: Pattern::any() });
    }
    let wrong = |allowed| Unreadable::new("Resource", text, allowed);
    let mut parts = text.splitn(5, ':');
    let (Some("acs"), Some("edas"), Some(region), Some(account), Some(path)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let allowed =
            "must be * or acs:edas:<region>:*:namespace/<namespace>/application/<application>";
        return Err(wrong(allowed));
    };
    // A policy of an account is about this account alone, whichever number it has.
    if account != "*" && !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("must have * or a number for the account"));
    }
    let is_known =
        |first: &str| KINDS.iter().any(|kind| kind.starts_with(first) || first.starts_with(kind));
    let known = match path.split_once('*') {
        Some((first, _)) => is_known(first),
        None => KINDS.iter().any(|kind| path.starts_with(kind)),
    };
    if path.is_empty() || !known {
        return Err(wrong(
            "must name a namespace/, cluster/, template/, region/, hold/, access/, image/, annotation/, ingresshost/ or loadbalancer/ behind the account",
        ));
    }
    let region = if region.is_empty() { Pattern::any() } else { Pattern::new(region) };
    Ok(Named { region, path: Pattern::new(path) })
}

/// RAM has `?` for one character in some places: here it would mean itself.
fn no_question_mark(part: &str, text: &str) -> Result<(), Unreadable> {
    if text.contains('?') {
        return Err(Unreadable::new(part, text, "must not have ?, which is not honoured here"));
    }
    Ok(())
}
