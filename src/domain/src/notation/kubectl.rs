//! YAML as kubectl reads it.
//!
//! kubectl's reader follows YAML 1.1 where later versions do not: `0400` is 256, `yes` is
//! true, `<<` merges. Who sends a text that `kubectl apply` takes means the same by it.
//! Bounded in depth, values, aliases and documents, and linear. Pure.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

use crate::limits::{ALIASES, DEPTH, DOCUMENTS, NODES, REPEATED};

/// Where a text stops being what can be read: its line and column.
pub(super) type Place = (usize, usize);

/// Bytes of text that count as one value where aliases repeat them.
const BYTES_OF_A_VALUE: usize = 256;

/// Reads all documents of `text`.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, Place> {
    let mut reader = Composer::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| (error.marker().line(), error.marker().col() + 1))?;
        let at = (span.start.line(), span.start.col() + 1);
        reader.take(event).map_err(|Refused| at)?;
    }
    Ok(reader.documents)
}

/// Past a limit, or nothing that kubectl reads.
struct Refused;

type Taken = Result<(), Refused>;

/// A value with its size: how many values it is, and stands for.
#[derive(Clone)]
struct Node {
    value: Value,
    size: usize,
}

#[derive(Default)]
struct Composer {
    documents: Vec<Value>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    aliases: usize,
    repeated: usize,
    /// Values that are remembered for aliases.
    anchored: usize,
}

/// A list or a map that is not at its end yet.
struct Open {
    anchor: usize,
    size: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Map {
        fields: Map<String, Value>,
        /// Names that were written, and not merged.
        written: std::collections::HashSet<String>,
        /// The name whose value comes next.
        name: Option<Name>,
    },
}

enum Name {
    Field(String),
    Merge,
}

impl Composer {
    fn take(&mut self, event: Event<'_>) -> Taken {
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                self.count()?;
                let is_name = matches!(
                    self.open.last(),
                    Some(Open { kind: Kind::Map { name: None, .. }, .. })
                );
                let tag = tag.as_deref();
                if is_name
                    && style == ScalarStyle::Plain
                    && text == "<<"
                    && (tag.is_none() || is_core(tag, "merge"))
                {
                    return self.name(Name::Merge);
                }
                let value = scalar(&text, style, tag)?;
                self.put(Node { value, size: 1 + text.len() / BYTES_OF_A_VALUE }, anchor)?;
            }
            Event::SequenceStart(_, anchor, _) => self.begin(anchor, Kind::List(Vec::new()))?,
            Event::MappingStart(_, anchor, _) => {
                self.begin(
                    anchor,
                    Kind::Map {
                        fields: Map::new(),
                        written: std::collections::HashSet::new(),
                        name: None,
                    },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { anchor, size, kind }) = self.open.pop() else {
                    return Err(Refused);
                };
                let value = match kind {
                    Kind::List(items) => Value::Array(items),
                    Kind::Map { fields, .. } => Value::Object(fields),
                };
                self.put(Node { value, size }, anchor)?;
            }
            Event::Alias(anchor) => {
                self.count()?;
                self.aliases += 1;
                let node = self.anchors.get(&anchor).ok_or(Refused)?.clone();
                self.repeated += node.size;
                if self.aliases > ALIASES || self.repeated > REPEATED {
                    return Err(Refused);
                }
                self.put(node, 0)?;
            }
            Event::UnresolvedAlias(_) => return Err(Refused),
            Event::Comment(..) => self.count()?,
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Anchor(..) => {}
            // A later reader may know more.
            _ => return Err(Refused),
        }
        Ok(())
    }

    fn count(&mut self) -> Taken {
        self.nodes += 1;
        if self.nodes > NODES { Err(Refused) } else { Ok(()) }
    }

    fn begin(&mut self, anchor: usize, kind: Kind) -> Taken {
        self.count()?;
        // A list or a map is no name.
        if self.open.len() >= DEPTH
            || matches!(self.open.last(), Some(Open { kind: Kind::Map { name: None, .. }, .. }))
        {
            return Err(Refused);
        }
        self.open.push(Open { anchor, size: 1, kind });
        Ok(())
    }

    fn name(&mut self, next: Name) -> Taken {
        match self.open.last_mut() {
            Some(Open { kind: Kind::Map { name, .. }, .. }) => {
                *name = Some(next);
                Ok(())
            }
            _ => Err(Refused),
        }
    }

    /// Puts a value where it belongs: into the list or map that is open, or at the top.
    fn put(&mut self, node: Node, anchor: usize) -> Taken {
        if anchor > 0 {
            self.anchored += node.size;
            if self.anchors.len() >= ALIASES || self.anchored > NODES {
                return Err(Refused);
            }
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node.value);
            return if self.documents.len() > DOCUMENTS { Err(Refused) } else { Ok(()) };
        };
        open.size += node.size;
        match &mut open.kind {
            Kind::List(items) => items.push(node.value),
            Kind::Map { fields, written, name } => match name.take() {
                None => *name = Some(Name::Field(field(&node.value)?)),
                Some(Name::Merge) => merge(fields, node.value)?,
                Some(Name::Field(field)) => {
                    // Written twice, one of the two is a mistake.
                    if !written.insert(field.clone()) {
                        return Err(Refused);
                    }
                    fields.insert(field, node.value);
                }
            },
        }
        Ok(())
    }
}

/// Merges a map, or a list of maps of which the earlier count, as kubectl does: over what
/// was written before.
fn merge(fields: &mut Map<String, Value>, value: Value) -> Taken {
    match value {
        Value::Object(more) => fields.extend(more),
        Value::Array(items) => {
            for item in items.into_iter().rev() {
                let Value::Object(more) = item else { return Err(Refused) };
                fields.extend(more);
            }
        }
        _ => return Err(Refused),
    }
    Ok(())
}

/// A name, as kubectl writes those that are no texts.
fn field(value: &Value) -> Result<String, Refused> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(is) => Ok(is.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Refused),
    }
}

const CORE: &str = "tag:yaml.org,2002:";

fn is_core(tag: Option<&Tag>, suffix: &str) -> bool {
    tag.is_some_and(|tag| core(tag) == Some(suffix))
}

/// What a tag of YAML itself says; none = one of somebody's own.
fn core(tag: &Tag) -> Option<&str> {
    match tag.handle() {
        CORE | "!!" => Some(tag.suffix()),
        // Written out whole.
        "" => tag.suffix().strip_prefix(CORE),
        _ => None,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Refused> {
    let is_plain = style == ScalarStyle::Plain;
    match tag.map(core) {
        None if is_plain => resolved(text),
        None | Some(None | Some("str" | "timestamp")) => Ok(Value::String(text.into())),
        Some(Some(kind)) => {
            let value = resolved(text)?;
            let fits = match kind {
                "int" => value.is_i64() || value.is_u64(),
                "float" => value.is_number(),
                "bool" => value.is_boolean(),
                "null" => value.is_null(),
                _ => false,
            };
            if fits { Ok(value) } else { Err(Refused) }
        }
    }
}

/// What a plain scalar is, by YAML 1.1 as kubectl's reader has it. Sexagesimals and times
/// are texts there.
fn resolved(text: &str) -> Result<Value, Refused> {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Value::Bool(false));
        }
        // JSON has no such numbers.
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(Refused);
        }
        text => match text.as_bytes()[0] {
            b'.' => float(text),
            b'+' | b'-' | b'0'..=b'9' => {
                let plain = text.replace('_', "");
                integer(&plain).or_else(|| float(&plain))
            }
            _ => None,
        },
    };
    Ok(value.unwrap_or_else(|| Value::String(text.into())))
}

/// A whole number: decimal, `0x…`, `0b…`, `0o…`, or octal behind a `0`.
fn integer(text: &str) -> Option<Value> {
    let (is_negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // No second sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let amount = u64::from_str_radix(digits, radix).ok()?;
    if is_negative {
        let amount = i128::from(amount);
        return i64::try_from(-amount).ok().map(Value::from);
    }
    Some(Value::from(amount))
}

/// A number with a fraction or an exponent; a whole one where it comes to that.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let has_form = are_digits(whole)
        && are_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|it| {
            let digits = it.strip_prefix(['+', '-']).unwrap_or(it);
            !digits.is_empty() && are_digits(digits)
        });
    if !has_form {
        return None;
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    // kubectl goes by way of JSON, where 1e3 is 1000.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and within the bounds of the type"
    )]
    if number.fract() == 0.0 && number.abs() < 9.0e18 {
        return Some(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}
