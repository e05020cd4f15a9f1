//! Reading parameters: parsed once, typed where they are used.
//!
//! EDAS parameters come in the query (ten operations: in a form body, K2), and
//! the signature covers their decoded values. Present but empty is not the same
//! as absent (R15), booleans come in any case (R14), numbers as decimal text,
//! and many values hold JSON in which null means absent (R26). Errors name the
//! parameter, its value and what is allowed. Control characters are in no value:
//! nothing could store or show all of them.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    error::ApiError,
    input::is_hidden,
    offered::{self, OFFERS, Offer},
    parameter::{self, Form, Parameter},
};
use domain::{
    limits::{NAME_DEPTH, PARAMETER_NAME, PARAMETERS},
    notation,
    rejection::NOT_SHOWN,
    template::spec::Field,
};

/// A request's parameters in the order sent; no name is there twice, and there are at
/// most [`PARAMETERS`].
#[derive(Debug, Clone, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    /// Whose parameters they are, where that is known.
    offer: Option<&'static Offer>,
}

impl Eq for Params {}

impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.pairs == other.pairs
    }
}

impl Params {
    /// Decodes a query or a form: `+` and `%20` are a blank (K3), a name without
    /// `=` has the empty value.
    ///
    /// # Errors
    /// More parameters than may be, before any of them is decoded; a name that is too
    /// long or leads too deep; text that is not UTF-8 or has control characters; or a
    /// name that is there more than once: which of the two was meant cannot be told.
    pub fn parse(encoded: &str) -> Result<Self, ApiError> {
        let given = || encoded.split('&').filter(|pair| !pair.is_empty());
        // One past the limit is enough to know.
        let count = given().take(PARAMETERS + 1).count();
        if count > PARAMETERS {
            return Err(too_many());
        }
        let mut pairs: Vec<(String, String)> = Vec::with_capacity(count);
        let mut names: HashSet<String> = HashSet::with_capacity(count);
        for pair in given() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = read_name(name)?;
            let value = decode(value).ok_or_else(|| {
                ApiError::invalid(&name, shown(&name, value), "must be percent-encoded UTF-8")
            })?;
            if let Some((place, character)) =
                value.chars().enumerate().find(|(_, character)| is_forbidden(*character))
            {
                let character = u32::from(character);
                let allowed = format!(
                    "must not hold control characters, and U+{character:04X} is its character {}",
                    place + 1
                );
                return Err(ApiError::invalid(&name, shown(&name, &value), &allowed));
            }
            if !names.insert(name.clone()) {
                return Err(ApiError::invalid(
                    &name,
                    shown(&name, &value),
                    "may be given only once",
                ));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs, offer: None })
    }

    /// The same as parameters of this operation: numbers are held to its bounds.
    #[must_use]
    pub fn of(self, operation: &str) -> Self {
        Self { offer: offered::offer(operation), ..self }
    }

    /// The parameter of this name in the table: the operation's, or anybody's where it is
    /// not known whose they are. None = the operation has no such parameter, and readers
    /// that several operations share find nothing (R3).
    fn described(&self, name: &str) -> Option<&'static Parameter> {
        match self.offer {
            Some(offer) => offer.parameter(name),
            None => OFFERS.iter().find_map(|offer| offer.parameter(name)),
        }
    }

    /// Takes the parameters of `other` in, which is the same request's body.
    ///
    /// # Errors
    /// A name that is in both, or too many of them together.
    pub fn merge(&mut self, other: Self) -> Result<(), ApiError> {
        if self.pairs.len() + other.pairs.len() > PARAMETERS {
            return Err(too_many());
        }
        let present: HashSet<&str> = self.pairs.iter().map(|(name, _)| name.as_str()).collect();
        if let Some((name, value)) =
            other.pairs.iter().find(|(name, _)| present.contains(name.as_str()))
        {
            return Err(ApiError::invalid(
                name,
                shown(name, value),
                "may be given only once, in the query or in the body",
            ));
        }
        self.pairs.extend(other.pairs);
        Ok(())
    }

    /// All pairs, decoded, in the order sent.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The value exactly as given: none = absent, `""` = present and empty.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        // `Tags.1.key` belongs to `Tags`.
        let root = name.split('.').next().unwrap_or(name);
        if self.offer.is_some_and(|offer| offer.parameter(root).is_none()) {
            return None;
        }
        self.pairs.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// The value; empty is the same as absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// The texts of a list with commas; none = absent.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let texts = self.text(name).unwrap_or_default().split(',').map(str::trim);
        texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    /// The value of a parameter that must be there and not be empty.
    ///
    /// # Errors
    /// `Missing<name>`.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing(name))
    }

    /// `true` or `false` in any case (R14); empty is the same as absent.
    ///
    /// # Errors
    /// `Invalid<name>`.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(value) => Err(ApiError::invalid(name, value, "must be true or false")),
        }
    }

    /// A whole number within the bounds of the parameter's table; empty is the same as
    /// absent.
    ///
    /// # Errors
    /// `Invalid<name>`, also for a number out of range.
    ///
    /// # Panics
    /// If it is no number in the table, or its bounds there are wider than `N`.
    pub fn integer<N: TryFrom<i64>>(&self, name: &str) -> Result<Option<N>, ApiError> {
        let (Some(parameter), Some(text)) = (self.described(name), self.text(name)) else {
            return Ok(None);
        };
        let Form::Integer { least, most, .. } = parameter.form else {
            panic!("the parameter {name} is no number in its table");
        };
        match text.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => {
                let fits = || panic!("the bounds of {name} in its table are wider than its reader");
                Ok(Some(N::try_from(number).unwrap_or_else(|_| fits())))
            }
            _ => Err(ApiError::invalid(
                name,
                text,
                &format!("must be a whole number from {least} to {most}"),
            )),
        }
    }

    /// JSON in a parameter. Absent and `null` keep (R26); empty, `{}` and `[]`
    /// clear (R15). `allowed` says what is understood, for the error.
    ///
    /// # Errors
    /// A business error that names the parameter, the place within the JSON and
    /// what is allowed.
    pub fn json<T: DeserializeOwned>(
        &self,
        name: &str,
        allowed: &str,
    ) -> Result<Field<T>, ApiError> {
        let Some(text) = self.raw(name) else { return Ok(Field::Keep) };
        match text.trim() {
            "null" => return Ok(Field::Keep),
            "" | "{}" | "[]" => return Ok(Field::Clear),
            _ => {}
        }
        let read = if is_hidden(name) { notation::secret_json(text) } else { notation::json(text) };
        match read {
            Ok(value) => Ok(Field::Set(value)),
            Err(why) => Err(ApiError::refused(name, text, format!("{why}; {allowed}"))),
        }
    }

    /// A list or an object: JSON in the parameter, as [`Self::json`] reads it, or
    /// parameters whose names lead into it, with lists counted from 1
    /// (`Data.1.Key=k`), in which every value is text.
    ///
    /// # Errors
    /// As [`Self::json`], or names that contradict each other.
    pub fn structured(&self, name: &str, allowed: &str) -> Result<Field<Value>, ApiError> {
        let inside = |pair: &'_ (String, String)| {
            pair.0.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
        };
        let Some(first) = self.pairs.iter().find(|pair| inside(pair)) else {
            return self.json(name, allowed);
        };
        let refuse = |why: &str, (name, value): &(String, String)| -> ApiError {
            ApiError::invalid(name, value, &format!("{why}; {allowed}"))
        };
        if self.text(name).is_some() {
            return Err(refuse("is given as a whole, too", first));
        }
        let mut whole = Value::Null;
        for pair in self.pairs.iter().filter(|pair| inside(pair)) {
            let mut at = &mut whole;
            for part in pair.0[name.len() + 1..].split('.') {
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                let Some(fields) = at.as_object_mut() else {
                    return Err(refuse("lies within another one's value", pair));
                };
                at = fields.entry(part).or_insert(Value::Null);
            }
            if !at.is_null() {
                return Err(refuse("has others within it", pair));
            }
            *at = pair.1.as_str().into();
        }
        match counted(whole) {
            Some(value) => Ok(Field::Set(value)),
            None => {
                Err(refuse("belongs to a list that is not counted from 1 on without a gap", first))
            }
        }
    }
}

/// `value` with its objects whose names are numbers as lists; none = not from 1 on.
/// It is as deep as names may lead.
fn counted(value: Value) -> Option<Value> {
    let Value::Object(fields) = value else { return Some(value) };
    if !fields.keys().all(|name| name.chars().all(|c| c.is_ascii_digit())) {
        return fields
            .into_iter()
            .map(|(name, value)| Some((name, counted(value)?)))
            .collect::<Option<Map<_, _>>>()
            .map(Value::Object);
    }
    let mut items = fields
        .into_iter()
        .map(|(name, value)| Some((name.parse::<usize>().ok()?, counted(value)?)))
        .collect::<Option<Vec<_>>>()?;
    items.sort_by_key(|(number, _)| *number);
    let is_counted = items.iter().enumerate().all(|(index, (number, _))| *number == index + 1);
    is_counted.then(|| items.into_iter().map(|(_, value)| value).collect())
}

fn too_many() -> ApiError {
    ApiError::unreadable(&format!(
        "The request has more than {PARAMETERS} parameters, in its query and its form together."
    ))
}

/// Decodes a name, and holds it to its limits.
fn read_name(encoded: &str) -> Result<String, ApiError> {
    // Each byte takes three at most.
    let name = Some(encoded).filter(|encoded| encoded.len() <= 3 * PARAMETER_NAME).map(decode);
    let name = match name {
        None => None,
        Some(None) => {
            return Err(ApiError::unreadable(
                "The name of a parameter is not percent-encoded UTF-8.",
            ));
        }
        Some(Some(name)) => Some(name).filter(|name| name.len() <= PARAMETER_NAME),
    };
    let Some(name) = name else {
        return Err(ApiError::unreadable(&format!(
            "The name of a parameter has more than {PARAMETER_NAME} bytes."
        )));
    };
    if name.chars().any(char::is_control) {
        return Err(ApiError::unreadable(
            "The name of a parameter has a control character, which is not allowed.",
        ));
    }
    if name.bytes().filter(|byte| *byte == b'.').count() > NAME_DEPTH {
        let allowed =
            format!("its name leads too deep: at most {NAME_DEPTH} dots are allowed (nesting)");
        return Err(ApiError::invalid(&name, NOT_SHOWN, &allowed));
    }
    Ok(name)
}

/// Lines and columns are what texts are made of; the rest means nothing in any of them.
fn is_forbidden(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n' | '\r')
}

fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    let root = name.split('.').next().unwrap_or(name);
    if parameter::is_secret(root) || is_hidden(root) { NOT_SHOWN } else { value }
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
