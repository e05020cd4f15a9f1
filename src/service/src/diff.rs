//! Objects of Kubernetes as text that people may read, and what differs between two.
//!
//! Values of variables may be passwords. They are never shown; a difference says that one
//! is another.

use std::{collections::HashMap, fmt::Write, time::Duration};

use serde_json::Value;
use similar::{Algorithm, ChangeTag, TextDiff};

use domain::template::names::{GIVEN_ANNOTATION, RELEASE_ANNOTATION};

/// In place of a value that is not shown.
const HIDDEN: &str = "(hidden)";

/// In place of one that differs from the one before.
const OTHER: &str = "(hidden, another value than before)";

/// What kubectl keeps of an object, with the values of its variables.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Lines around a difference.
const CONTEXT: usize = 3;

/// Most pairs of lines among which the smallest difference is searched for.
const MOST_COMPARED: usize = 300 * 300;

/// Longest search for the smallest difference.
const WITHIN: Duration = Duration::from_millis(200);

/// Deepest nesting that is written out.
const DEPTH: usize = 64;

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: LineKind,
    pub text: String,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Same,
    Added,
    Removed,
    /// Lines between two places are left out.
    Gap,
}

impl LineKind {
    /// What stands before it.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Same => " ",
            Self::Added => "+",
            Self::Removed => "-",
            Self::Gap => "⋮",
        }
    }

    /// Its word, in replies and as a class of a page.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Gap => "gap",
        }
    }
}

/// What differs between two objects, with some lines around; empty where nothing does.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Vec<Line> {
    let (mut old, mut new) = (before.clone(), after.clone());
    compare(&mut new, before);
    for template in [&mut old, &mut new] {
        // Every version has another one.
        if let Some(annotations) = template.pointer_mut("/metadata/annotations") {
            annotations.as_object_mut().map(|it| it.remove(RELEASE_ANNOTATION));
        }
    }
    conceal(&mut old);
    conceal(&mut new);
    let (old, new) = (yaml(&old), yaml(&new));
    if let Some(lines) = replaced(&old, &new) {
        return lines;
    }
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(WITHIN)
        .diff_lines(old.as_str(), new.as_str());
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            lines.push(Line { kind: LineKind::Gap, text: String::new() });
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let kind = match change.tag() {
                ChangeTag::Equal => LineKind::Same,
                ChangeTag::Insert => LineKind::Added,
                ChangeTag::Delete => LineKind::Removed,
            };
            lines.push(Line { kind, text: change.value().trim_end_matches('\n').to_owned() });
        }
    }
    lines
}

/// The difference of texts of which so much differs that the search for what they have in
/// common would grow with the square of it: all between their common ends is replaced.
fn replaced(old: &str, new: &str) -> Option<Vec<Line>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_part, new_part) =
        (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    if old_part.len() * new_part.len() <= MOST_COMPARED {
        return None;
    }
    let after = &old_rest[old_rest.len() - tail..];
    let parts = [
        (LineKind::Same, &old[head.saturating_sub(CONTEXT)..head]),
        (LineKind::Removed, old_part),
        (LineKind::Added, new_part),
        (LineKind::Same, &after[..tail.min(CONTEXT)]),
    ];
    let lines = parts.into_iter().flat_map(|(kind, lines)| {
        lines.iter().map(move |text| Line { kind, text: (*text).to_owned() })
    });
    Some(lines.collect())
}

/// An object as text, as it may be shown.
#[must_use]
pub fn shown(object: &Value) -> String {
    let mut object = object.clone();
    conceal(&mut object);
    yaml(&object)
}

/// The items that have names; of two with one name the first.
fn by_name(items: &[Value]) -> HashMap<&str, &Value> {
    let named = items.iter().rev().filter_map(|item| Some((item.get("name")?.as_str()?, item)));
    named.collect()
}

/// Marks the variables of `new` whose value is another in `old`, in the same place.
fn compare(new: &mut Value, old: &Value) {
    match new {
        Value::Object(fields) => {
            for (name, field) in fields {
                if matches!(name.as_str(), "env" | "httpHeaders")
                    && let (Value::Array(variables), Value::Array(before)) =
                        (&mut *field, &old[name.as_str()])
                {
                    let before = by_name(before);
                    for variable in variables {
                        let found = variable["name"].as_str().and_then(|name| before.get(name));
                        if let (Some(found), Some(value)) = (found, variable.get_mut("value"))
                            && found.get("value").is_some_and(|it| it != value)
                        {
                            *value = OTHER.into();
                        }
                    }
                } else {
                    compare(field, &old[name.as_str()]);
                }
            }
        }
        Value::Array(items) => {
            let named = by_name(old.as_array().map(Vec::as_slice).unwrap_or_default());
            for (index, item) in items.iter_mut().enumerate() {
                // Containers go by their names.
                let name = item.get("name").and_then(Value::as_str);
                let found = name.and_then(|name| named.get(name).copied());
                compare(item, found.unwrap_or(&old[index]));
            }
        }
        _ => {}
    }
}

/// Takes out what nobody may read.
fn conceal(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove(APPLIED);
            // What callers gave, as they gave it.
            fields.remove(GIVEN_ANNOTATION);
            for (name, field) in fields {
                match (name.as_str(), &mut *field) {
                    ("env" | "httpHeaders", Value::Array(variables)) => {
                        for value in variables.iter_mut().filter_map(|it| it.get_mut("value")) {
                            if value != OTHER {
                                *value = HIDDEN.into();
                            }
                        }
                    }
                    ("data" | "stringData", Value::Object(entries)) => {
                        entries.values_mut().for_each(|entry| *entry = HIDDEN.into());
                    }
                    ("command" | "args", Value::Array(words)) => {
                        for word in words {
                            if let Value::String(text) = word {
                                *text = without_properties(text);
                            }
                        }
                    }
                    _ => conceal(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(conceal),
        _ => {}
    }
}

/// A word of a command without the values of system properties, which may be passwords.
fn without_properties(text: &str) -> String {
    // Where a shell reads it, a value can go on behind a blank.
    if let Some((before, _)) = text.split_once("-D")
        && text.contains(['"', '\'', '\\', '$', '`', '\n', '\r', '\t'])
    {
        return format!("{before}-D{HIDDEN}");
    }
    let shown = text.split(' ').map(|word| match word.split_once('=') {
        Some((name, _)) if name.contains("-D") => format!("{name}={HIDDEN}"),
        _ => word.to_owned(),
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// `value` as YAML, its fields by name as kubectl writes them. The map of `serde_json` has
/// this order too, but not where some crate of the build asks for another.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0, DEPTH);
    text
}

fn write(text: &mut String, value: &Value, indent: usize, depth: usize) {
    let pad = " ".repeat(indent);
    match value {
        _ if depth == 0 => {
            let _ = writeln!(text, "{pad}…");
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            for (name, field) in fields {
                let _ = write!(text, "{pad}{}:", scalar(&Value::from(name.as_str())));
                beneath(text, field, indent + 2, depth);
            }
        }
        Value::Array(items) => {
            for item in items {
                if is_block(item) {
                    let mut inner = String::new();
                    write(&mut inner, item, indent + 2, depth - 1);
                    let _ = write!(text, "{pad}- {}", inner.trim_start());
                } else {
                    let _ = writeln!(text, "{pad}- {}", scalar(item));
                }
            }
        }
        value => {
            let _ = writeln!(text, "{pad}{}", scalar(value));
        }
    }
}

fn beneath(text: &mut String, value: &Value, indent: usize, depth: usize) {
    if is_block(value) {
        text.push('\n');
        // Lists stand below their name without another indent, as kubectl writes them.
        let indent = if value.is_array() { indent - 2 } else { indent };
        write(text, value, indent, depth - 1);
    } else {
        let _ = writeln!(text, " {}", scalar(value));
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn scalar(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '(')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@(), ".contains(c))
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !["true", "false", "null", "yes", "no", "on", "off"]
            .contains(&text.to_lowercase().as_str());
    if is_plain { text.clone() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_in_very_many_lines_is_replaced_as_a_whole() {
        let text = |word: &str, count: usize| {
            let lines: Vec<String> = (0..count).map(|at| format!("{word}{at}")).collect();
            format!("a\nb\nc\nd\n{}\ny\nz", lines.join("\n"))
        };
        assert_eq!(replaced(&text("x", 300), &text("w", 300)), None);
        let lines = replaced(&text("x", 301), &text("w", 300)).unwrap();
        let count = |kind| lines.iter().filter(|line| line.kind == kind).count();
        let counts = [LineKind::Removed, LineKind::Added, LineKind::Same].map(count);
        assert_eq!(counts, [301, 300, 5]);
        assert_eq!((lines[0].text.as_str(), lines[605].text.as_str()), ("b", "z"));
    }

    #[test]
    fn a_value_of_a_system_property_is_hidden_also_where_a_shell_reads_it() {
        for (text, shown) in [
            ("java -Da=1 -Db=2 -jar x.jar", "java -Da=(hidden) -Db=(hidden) -jar x.jar"),
            ("java -Dpw=\"my secret\" -jar x.jar", "java -D(hidden)"),
            ("A=1\n-Dpw=secret", "A=1\n-D(hidden)"),
            ("A=1\t-Dpw=secret", "A=1\t-D(hidden)"),
            ("echo \"a b\"", "echo \"a b\""),
        ] {
            assert_eq!(without_properties(text), shown);
        }
    }

    fn template(image: &str, password: &str) -> Value {
        json!({ "metadata": { "annotations": { APPLIED: password } }, "spec": { "containers": [
            { "name": "web", "image": image, "env": [{ "name": "A", "value": password }, { "name": "B", "valueFrom": {} }],
              "command": ["java", &format!("-Dx={password}"), "-jar"] },
        ] } })
    }

    #[test]
    fn an_object_is_shown_without_what_is_secret() {
        let text = shown(&template("shop/web:1.0", "hunter2"));
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(
            text,
            "metadata:\n  annotations: {}\nspec:\n  containers:\n  - command:\n    - java\n    - \"-Dx=(hidden)\"\n    - \"-jar\"\n    env:\n    \
             - name: A\n      value: (hidden)\n    - name: B\n      valueFrom: {}\n    image: shop/web:1.0\n    name: web\n"
        );
        let secret = shown(&json!({ "kind": "Secret", "data": { "password": "aHVudGVyMg==" } }));
        assert_eq!(secret, "data:\n  password: (hidden)\nkind: Secret\n");
    }

    #[test]
    fn a_difference_has_the_lines_that_differ_and_some_around() {
        let lines =
            diff(&template("shop/web:1.0", "hunter2"), &template("shop/web:2.0", "hunter2"));
        let changed: Vec<_> = lines.iter().filter(|line| line.kind != LineKind::Same).collect();
        let told: Vec<_> = changed.iter().map(|line| (line.kind, line.text.trim())).collect();
        assert_eq!(
            told,
            [(LineKind::Removed, "image: shop/web:1.0"), (LineKind::Added, "image: shop/web:2.0")]
        );
        assert!(lines.len() < 8, "{lines:?}");
        assert!(diff(&json!({ "a": 1 }), &json!({ "a": 1 })).is_empty());
    }

    #[test]
    fn another_value_of_a_variable_is_told_and_not_shown() {
        let lines = diff(&template("w:1", "hunter2"), &template("w:1", "hunter3"));
        let text: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
        assert!(text.contains(OTHER) && !text.contains("hunter"), "{text}");
    }

    #[test]
    fn no_nesting_is_too_deep_to_be_written() {
        let deep = (0..500).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(shown(&deep).len() < 20_000);
        assert_eq!(
            shown(&json!({ "a": "x: y", "b": "true", "c": "1.0", "d": [] })),
            "a: \"x: y\"\nb: \"true\"\nc: \"1.0\"\nd: []\n"
        );
    }
}
