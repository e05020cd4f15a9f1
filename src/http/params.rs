//! Reading parameters: parsed once, typed where they are used.
//!
//! EDAS parameters come in the query (ten operations: in a form body, K2), and
//! the signature covers their decoded values. Present but empty is not the same
//! as absent (R15), booleans come in any case (R14), numbers as decimal text,
//! and many values hold JSON in which null means absent (R26). Errors name the
//! parameter, its value and what is allowed. Control characters are in no value:
//! nothing could store or show all of them. Knows no operation.

use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::domain::{Rejection, spec::Field};

/// Parameters whose values may hold a password: no error shows them.
const SECRET: &[&str] = &["Content", "Data", "Envs", "PackageUrl", "ResourceContent"];

/// A request's parameters in the order sent; no name is there twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Decodes a query or a form: `+` and `%20` are a blank (K3), a name without
    /// `=` has the empty value.
    ///
    /// # Errors
    /// Text that is not UTF-8 or has control characters, or a name that is there
    /// more than once: which of the two was meant cannot be told.
    pub fn parse(encoded: &str) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in encoded.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| ApiError::unreadable("The name of a parameter is not percent-encoded UTF-8."))?;
            if name.chars().any(char::is_control) {
                return Err(ApiError::unreadable("The name of a parameter has a control character, which is not allowed."));
            }
            let value = decode(value).ok_or_else(|| ApiError::invalid(&name, shown(&name, value), "must be percent-encoded UTF-8"))?;
            if let Some(place) = value.chars().position(is_forbidden) {
                let character = value.chars().nth(place).map_or(0, u32::from);
                let allowed = format!("must not hold control characters, and U+{character:04X} is its character {}", place + 1);
                return Err(ApiError::invalid(&name, shown(&name, &value), &allowed));
            }
            if pairs.iter().any(|(present, _)| *present == name) {
                return Err(ApiError::invalid(&name, shown(&name, &value), "may be given only once"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Takes the parameters of `other` in, which is the same request's body.
    ///
    /// # Errors
    /// A name that is in both.
    pub fn merge(&mut self, other: Self) -> Result<(), ApiError> {
        for (name, value) in other.0 {
            if self.raw(&name).is_some() {
                return Err(ApiError::invalid(&name, shown(&name, &value), "may be given only once, in the query or in the body"));
            }
            self.0.push((name, value));
        }
        Ok(())
    }

    /// All pairs, decoded, in the order sent.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The value exactly as given: none = absent, `""` = present and empty.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// The value; empty is the same as absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
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

    /// A whole number within `range`; empty is the same as absent.
    ///
    /// # Errors
    /// `Invalid<name>`, also for a number out of range.
    pub fn integer<N>(&self, name: &str, range: RangeInclusive<N>) -> Result<Option<N>, ApiError>
    where
        N: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::invalid(name, text, &format!("must be a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// JSON in a parameter. Absent and `null` keep (R26); empty, `{}` and `[]`
    /// clear (R15). `allowed` says what is understood, for the error.
    ///
    /// # Errors
    /// A business error that names the parameter, the place within the JSON and
    /// what is allowed.
    pub fn json<T: DeserializeOwned>(&self, name: &str, allowed: &str) -> Result<Field<T>, ApiError> {
        let Some(text) = self.raw(name) else { return Ok(Field::Keep) };
        match text.trim() {
            "null" => return Ok(Field::Keep),
            "" | "{}" | "[]" => return Ok(Field::Clear),
            _ => {}
        }
        match read_json(text) {
            Ok(value) => Ok(Field::Set(value)),
            Err(why) => Err(Rejection::invalid(name, text, format!("{why}; {allowed}")).into()),
        }
    }

    /// A list or an object: JSON in the parameter, as [`Self::json`] reads it, or
    /// parameters whose names lead into it, with lists counted from 1
    /// (`Data.1.Key=k`), in which every value is text.
    ///
    /// # Errors
    /// As [`Self::json`], or names that contradict each other.
    pub fn structured(&self, name: &str, allowed: &str) -> Result<Field<Value>, ApiError> {
        let inside = |pair: &'_ (String, String)| pair.0.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let Some(first) = self.0.iter().find(|pair| inside(pair)) else { return self.json(name, allowed) };
        let refuse =
            |why: &str, (name, value): &(String, String)| -> ApiError { ApiError::invalid(name, value, &format!("{why}; {allowed}")) };
        if self.text(name).is_some() {
            return Err(refuse("is given as a whole, too", first));
        }
        let mut whole = Value::Null;
        for pair in self.0.iter().filter(|pair| inside(pair)) {
            let mut at = &mut whole;
            for part in pair.0[name.len() + 1..].split('.') {
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                let Some(fields) = at.as_object_mut() else { return Err(refuse("lies within another one's value", pair)) };
                at = fields.entry(part).or_insert(Value::Null);
            }
            if !at.is_null() {
                return Err(refuse("has others within it", pair));
            }
            *at = pair.1.as_str().into();
        }
        match counted(whole) {
            Some(value) => Ok(Field::Set(value)),
            None => Err(refuse("belongs to a list that is not counted from 1 on without a gap", first)),
        }
    }
}

/// `value` with its objects whose names are numbers as lists; none = not from 1 on.
fn counted(value: Value) -> Option<Value> {
    let Value::Object(fields) = value else { return Some(value) };
    if !fields.keys().all(|name| name.chars().all(|c| c.is_ascii_digit())) {
        return fields.into_iter().map(|(name, value)| Some((name, counted(value)?))).collect::<Option<Map<_, _>>>().map(Value::Object);
    }
    let mut items =
        fields.into_iter().map(|(name, value)| Some((name.parse::<usize>().ok()?, counted(value)?))).collect::<Option<Vec<_>>>()?;
    items.sort_by_key(|(number, _)| *number);
    let is_counted = items.iter().enumerate().all(|(index, (number, _))| *number == index + 1);
    is_counted.then(|| items.into_iter().map(|(_, value)| value).collect())
}

/// Reads JSON; the error says where in it something is wrong, and what.
pub(super) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if escapes_nul(text) {
        return Err("it holds the character U+0000, which nothing can store".into());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        if inner.is_data() && path != "." { format!("at {path}: {inner}") } else { format!("it is not the JSON that is expected: {inner}") }
    })?;
    reader.end().map_err(|error| format!("there is more behind the JSON: {error}"))?;
    Ok(value)
}

/// Whether a text of the JSON has `\u0000`, which is no control character yet.
pub(super) fn escapes_nul(json: &str) -> bool {
    // A backslash that is itself escaped begins nothing.
    json.replace(r"\\", "").contains(r"\u0000")
}

/// Lines and columns are what texts are made of; the rest means nothing in any of them.
fn is_forbidden(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n' | '\r')
}

fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    if SECRET.contains(&name) || name.starts_with("Data.") { "(not shown)" } else { value }
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn message(error: ApiError) -> String {
        match error {
            ApiError::Gateway { code, message, .. } => format!("{code}: {message}"),
            ApiError::Business { message, .. } => message,
        }
    }

    #[test]
    fn blanks_and_special_characters_are_decoded_in_every_form_that_clients_send() {
        let params = Params::parse("A=b+c%20d&B=%2A*%7E~&C=%C3%BC%2B&D&E=&F=a=b&").unwrap();
        let values: Vec<_> = ["A", "B", "C", "D", "E", "F", "G"].map(|name| params.raw(name)).into();
        assert_eq!(values, [Some("b c d"), Some("**~~"), Some("ü+"), Some(""), Some(""), Some("a=b"), None]);
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let error = Params::parse("Replicas=1&Image=a&Replicas=2").unwrap_err();
        assert!(message(error).starts_with("InvalidReplicas: "));
        for text in ["Data=geheim&Data=geheim", "Data.1.Value=geheim&Data.1.Value=geheim", "Data=geheim%FF"] {
            let said = message(Params::parse(text).unwrap_err());
            assert!(said.contains("Data") && said.contains("(not shown)") && !said.contains("geheim"), "{said}");
        }
        let mut query = Params::parse("A=1").unwrap();
        assert!(message(query.merge(Params::parse("A=1").unwrap()).unwrap_err()).contains("only once"));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert!(message(Params::parse("Desc=%FF").unwrap_err()).starts_with("InvalidDesc: "));
        assert!(message(Params::parse("%FF=1").unwrap_err()).starts_with("InvalidParameter: "));
    }

    #[test]
    fn control_characters_are_refused_by_name_and_secrets_are_not_shown() {
        let said = |query: &str| message(Params::parse(query).unwrap_err());
        let text = said("Desc=ab%07c");
        assert!(text.starts_with("InvalidDesc: ") && text.contains("abc") && text.contains("U+0007 is its character 3"), "{text}");
        assert!(said("Desc=%00").contains("U+0000"));
        assert!(said("A%00=1").starts_with("InvalidParameter: "));
        for secret in ["Envs=pass%07word", "PackageUrl=pass&PackageUrl=password", "Envs=pass%FF"] {
            assert!(said(secret).contains("(not shown)") && !said(secret).contains("pass"), "{}", said(secret));
        }
        assert!(Params::parse("Command=a%0Ab%09c%0D%0A").is_ok());
    }

    #[test]
    fn json_that_hides_a_nul_is_refused() {
        assert!(read_json::<Value>(r#"["a\u0000"]"#).unwrap_err().contains("U+0000"));
        assert!(read_json::<Value>(r#"["\\\u0000"]"#).unwrap_err().contains("U+0000"));
        assert_eq!(read_json::<Value>(r#"["\\u0000"]"#).unwrap(), json!(["\\u0000"]));
    }

    #[test]
    fn empty_is_present_but_counts_as_missing_where_a_value_is_required() {
        let params = Params::parse("AppId=&Command=").unwrap();
        assert_eq!((params.raw("Command"), params.text("Command")), (Some(""), None));
        assert_eq!(message(params.required("AppId").unwrap_err()), "MissingAppId: AppId is mandatory for this action.");
    }

    #[rstest]
    #[case("True", Some(true))]
    #[case("true", Some(true))]
    #[case("FALSE", Some(false))]
    #[case("", None)]
    fn booleans_are_read_in_any_case(#[case] text: &str, #[case] expected: Option<bool>) {
        assert_eq!(Params::parse(&format!("Confirm={text}")).unwrap().boolean("Confirm").unwrap(), expected);
    }

    #[test]
    fn a_boolean_that_is_none_is_refused() {
        let error = Params::parse("Confirm=yes").unwrap().boolean("Confirm").unwrap_err();
        let text = message(error);
        assert!(text.contains("Confirm") && text.contains("yes") && text.contains("true or false"), "{text}");
    }

    #[rstest]
    #[case("-1")]
    #[case("11")]
    #[case("1.5")]
    #[case("a")]
    #[case("99999999999999999999")]
    fn a_number_out_of_range_is_refused_with_name_value_and_range(#[case] text: &str) {
        let error = Params::parse(&format!("Batch={text}")).unwrap().integer("Batch", 0..=10).unwrap_err();
        let said = message(error);
        assert!(said.starts_with("InvalidBatch: ") && said.contains(text) && said.contains("from 0 to 10"), "{said}");
    }

    #[rstest]
    #[case("", Field::Clear)]
    #[case("{}", Field::Clear)]
    #[case("[]", Field::Clear)]
    #[case("null", Field::Keep)]
    #[case("[1]", Field::Set(json!([1])))]
    fn empty_json_clears_and_null_keeps(#[case] text: &str, #[case] expected: Field<Value>) {
        assert_eq!(Params(vec![("P".into(), text.into())]).json("P", "").unwrap(), expected);
        assert_eq!(Params::default().json::<Value>("P", "").unwrap(), Field::Keep);
    }

    #[test]
    fn a_structure_is_read_as_json_and_from_names_that_lead_into_it() {
        let read = |query: &str| Params::parse(query).unwrap().structured("Data", "a list");
        let whole = json!([{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "" }]);
        assert_eq!(read("Data.2.Key=b&Data.1.Value=1&Data.1.Key=a&Data.2.Value=&Database=x").unwrap(), Field::Set(whole));
        assert_eq!(read("Data=[1]").unwrap(), Field::Set(json!([1])));
        assert_eq!(read("Database=x").unwrap(), Field::Keep);
        let twelve = (1..=12).map(|number| format!("Data.{number}={number}")).collect::<Vec<_>>().join("&");
        let Field::Set(Value::Array(items)) = read(&twelve).unwrap() else { panic!("must be a list") };
        assert_eq!((items.len(), &items[11]), (12, &json!("12")));
        for (query, says) in [
            ("Data.1=a&Data.1.Key=b", "Data.1.Key has the value b: lies within another"),
            ("Data.1.Key=b&Data.1=a", "Data.1 has the value a: has others within it"),
            ("Data.2=a", "Data.2 has the value a: belongs to a list that is not counted"),
            ("Data.0=a", "not counted from 1"),
            ("Data.1=a&Data.01=b", "not counted from 1"),
            ("Data=[1]&Data.1=a", "Data.1 has the value a: is given as a whole, too"),
        ] {
            let said = message(read(query).unwrap_err());
            assert!(said.contains(says) && said.contains("a list"), "{query}: {said}");
        }
    }

    #[test]
    fn wrong_json_is_refused_with_the_place() {
        let read = |text: &str| message(Params(vec![("P".into(), text.into())]).json::<Vec<u8>>("P", "a list of bytes").unwrap_err());
        assert!(read("[1,\"x\"]").contains("at [1]"), "{}", read("[1,\"x\"]"));
        assert!(read("[1").contains("EOF"), "{}", read("[1"));
        assert!(read("[1] 2").contains("behind"), "{}", read("[1] 2"));
        assert!(read("[1").contains("parameter P has the value [1") && read("[1").contains("a list of bytes"));
    }
}
