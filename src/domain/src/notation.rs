//! JSON, YAML and XML from outside, held to the limits before anything is built of them.
//!
//! Everything here is linear in the text, and nothing recurses with it: a text that lies
//! too deep, has too many values or stands for too many by its aliases is refused first.
//! No fault quotes the text, which may be secret, but for [`json`]. Pure.

use quick_xml::{Reader, events::Event};
use serde::de::DeserializeOwned;
use serde_json::Value;

mod kubectl;

use super::{
    limits::{ALIASES, DEPTH, ITEMS, NODES},
    rejection::shortened,
};

/// How much a list or an object in JSON may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// At most [`ITEMS`] each: a parameter's value, which is worked on.
    Items,
    /// As much as the whole text may: it is only kept.
    Whole,
}

/// Reads JSON of a parameter. The error says where in it something is wrong and what,
/// and may quote it.
///
/// # Errors
/// What is no JSON, or not that of a `T`, or past the limits.
pub fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    read_json(text, |path, error| {
        let inner = shortened_middle(&error.to_string());
        if error.is_data() && path != "." {
            format!("at {}: {inner}", shortened(path))
        } else {
            format!("it is not the JSON that is expected: {inner}")
        }
    })
}

/// As [`json`], with an error that quotes no value of the text.
///
/// # Errors
/// As [`json`].
pub fn secret_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    read_json(text, |path, error| {
        if error.is_data() {
            format!("at {}: {}", shortened(path), expected(error))
        } else {
            format!(
                "it is not the JSON that is expected: line {}, column {}",
                error.line(),
                error.column()
            )
        }
    })
}

fn read_json<T: DeserializeOwned>(
    text: &str,
    say: impl Fn(&str, &serde_json::Error) -> String,
) -> Result<T, String> {
    hold_json(text, Breadth::Items)?;
    if escapes_nul(text) {
        return Err("it holds the character U+0000, which nothing can store".into());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let value = T::deserialize(serde_path_to_error::Deserializer::new(&mut reader, &mut track));
    let value = value.map_err(|error| say(&track.path().to_string(), &error))?;
    reader.end().map_err(|error| {
        format!(
            "there is more behind the JSON, at line {}, column {}",
            error.line(),
            error.column()
        )
    })?;
    Ok(value)
}

/// Reads `value` as a `T`; the error gives the place and what is expected there, and
/// quotes no value.
///
/// # Errors
/// What is no `T`.
pub fn shaped<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    let mut track = serde_path_to_error::Track::new();
    let read = T::deserialize(serde_path_to_error::Deserializer::new(value, &mut track));
    read.map_err(|error| {
        format!("at {}: {}", shortened(&track.path().to_string()), expected(&error))
    })
}

/// What a reader expected, without what it found; a field is named.
fn expected(error: &serde_json::Error) -> String {
    let said = error.to_string();
    if said.starts_with("missing field ") || said.starts_with("unknown field ") {
        return shortened(
            said.rsplit_once(" at line ").map_or(said.as_str(), |(before, _)| before),
        );
    }
    match said.rsplit_once(", expected ") {
        Some((_, expected)) => format!(
            "expected {}",
            shortened(expected.split(" at line ").next().unwrap_or_default())
        ),
        None => "it is not what is expected".into(),
    }
}

/// Holds a text of JSON to the limits of depth, values and breadth. What is wrong in it
/// beside that is left to its reader.
///
/// # Errors
/// The limit that it is past.
pub fn hold_json(text: &str, breadth: Breadth) -> Result<(), String> {
    let (mut depth, mut nodes) = (0_usize, 1_usize);
    let mut items = [1_usize; DEPTH + 1];
    let (mut in_text, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        if in_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                nodes += 1;
                if depth > DEPTH {
                    return Err(too_deep());
                }
                items[depth] = 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b':' => nodes += 1,
            b',' => {
                nodes += 1;
                items[depth] += 1;
                if breadth == Breadth::Items && items[depth] > ITEMS {
                    return Err(format!("a list or an object in it has more than {ITEMS} items"));
                }
            }
            _ => {}
        }
        if nodes > NODES {
            return Err(too_many());
        }
    }
    Ok(())
}

fn too_deep() -> String {
    format!("it has more than {DEPTH} levels")
}

fn too_many() -> String {
    format!("it has more than {NODES} values and names")
}

/// Whether a text of the JSON has `\u0000`, which is no control character yet.
#[must_use]
pub fn escapes_nul(json: &str) -> bool {
    // A backslash that is itself escaped begins nothing.
    let (bytes, mut at) = (json.as_bytes(), 0);
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        if bytes[at..].starts_with(br"\u0000") {
            return true;
        }
        at = (at + 2).min(bytes.len());
    }
    false
}

/// Whether a text in `value`, or a name, has the character U+0000, which nothing can store.
#[must_use]
pub fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Reads JSON that this program once wrote and that others may have changed since, such
/// as an annotation on the cluster; none where it is no `T` or past the limits.
#[must_use]
pub fn kept_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    hold_json(text, Breadth::Whole).ok()?;
    serde_json::from_str(text).ok()
}

/// Reads one document of YAML, as kubectl reads it. Documents without anything in them
/// count for nothing.
///
/// # Errors
/// The line and column where it stops being YAML within the limits; nothing of it is quoted.
pub fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let found = kubectl::documents(text).map_err(yaml_fault)?;
    let mut full = found.into_iter().filter(|value| !value.is_null());
    let value = full.next().unwrap_or_default();
    match full.next() {
        None => serde_json::from_value(value).map_err(|_| yaml_fault((1, 1))),
        Some(_) => Err("the second document: it has more than one".into()),
    }
}

/// Reads all documents of a text of YAML.
///
/// # Errors
/// As [`yaml`].
pub fn yaml_documents<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, String> {
    let found = kubectl::documents(text).map_err(yaml_fault)?;
    found
        .into_iter()
        .map(|value| serde_json::from_value(value).map_err(|_| yaml_fault((1, 1))))
        .collect()
}

fn yaml_fault((line, column): kubectl::Place) -> String {
    format!(
        "line {line}, column {column} (at most {DEPTH} levels, {NODES} values and names and {ALIASES} aliases are read)"
    )
}

/// Why a text is no XML; none = it is well-formed, and within the limits.
#[must_use]
pub fn xml_fault(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    let (mut open, mut roots, mut parts) = (0_usize, 0_usize, 0_usize);
    loop {
        let is_outside = open == 0;
        let event = reader.read_event();
        parts += 1;
        if parts > NODES {
            return Some(format!("it has more than {NODES} parts"));
        }
        match event {
            Ok(Event::Start(_)) => {
                roots += usize::from(is_outside);
                open += 1;
                if open > DEPTH {
                    return Some(too_deep());
                }
            }
            Ok(Event::Empty(_)) => roots += usize::from(is_outside),
            // The reader holds ends to their beginnings.
            Ok(Event::End(_)) => open = open.saturating_sub(1),
            Ok(Event::Text(text)) if is_outside && !text.iter().all(u8::is_ascii_whitespace) => {
                break;
            }
            Ok(Event::CData(_) | Event::GeneralRef(_)) if is_outside => break,
            Ok(Event::Eof) if open == 0 && roots == 1 => return None,
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let offset = usize::try_from(reader.error_position().max(reader.buffer_position()))
        .unwrap_or(usize::MAX);
    let line = text.bytes().take(offset).filter(|it| *it == b'\n').count() + 1;
    Some(format!("it is no XML: line {line}"))
}

/// A sentence of a reader, which quotes a value in its middle and ends with what is expected.
fn shortened_middle(said: &str) -> String {
    const END: usize = 300;
    let length = said.chars().count();
    if length <= 2 * END {
        return said.to_owned();
    }
    let (begin, end): (String, String) =
        (said.chars().take(END).collect(), said.chars().skip(length - END).collect());
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests;
