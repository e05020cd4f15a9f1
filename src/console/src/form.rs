//! What a form or a query holds: names and values, bounded and read once.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// Most fields of a form.
const FIELDS: usize = 40;

/// Longest value of a field, in bytes.
const VALUE: usize = 4096;

/// Longest reason, in characters.
const REASON: usize = domain::limits::REASON;

/// The fields of a form. One that is there twice has its last value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// The fields of a text as browsers send forms and queries.
    ///
    /// # Errors
    /// A sentence that says which bound it goes beyond.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for (count, (name, value)) in url::form_urlencoded::parse(text).enumerate() {
            if count >= FIELDS {
                return Err(format!("A form has at most {FIELDS} fields."));
            }
            if name.len() > 64 || value.len() > VALUE {
                let most = format!("The field {} has more than {VALUE} bytes.", cut(&name));
                return Err(most);
            }
            let is_wrong = |it: char| it.is_control() && !matches!(it, '\t' | '\n' | '\r');
            if name.contains(is_wrong) || value.contains(is_wrong) {
                return Err(format!("The field {} has a control character.", cut(&name)));
            }
            fields.insert(name.into_owned(), value.into_owned());
        }
        Ok(Self(fields))
    }

    /// A field's text without blanks around it; empty where there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map(|value| value.trim()).unwrap_or_default()
    }

    /// The same; none where it is empty.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Whether a box is ticked.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == "on"
    }

    /// A whole number of a field; none where it is empty.
    ///
    /// # Errors
    /// A sentence that names the field, as `called`.
    pub fn number<N: std::str::FromStr>(
        &self,
        name: &str,
        called: &str,
    ) -> Result<Option<N>, String> {
        self.given(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    format!("{called} has the value {}: it must be a whole number.", cut(text))
                })
            })
            .transpose()
    }

    /// Why somebody does something.
    ///
    /// # Errors
    /// That it is too long.
    pub(crate) fn reason(&self) -> Result<String, Fault> {
        let reason = self.text("reason");
        if reason.chars().count() > REASON {
            let says = format!("The reason has more than {REASON} characters.");
            return Err(Fault::unreadable(says));
        }
        Ok(reason.to_owned())
    }

    /// Tells two forms of one nonce apart.
    #[must_use]
    pub fn digest(&self, path: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(path);
        for (name, value) in self.0.iter().filter(|(name, _)| *name != "nonce") {
            digest.update([0]);
            digest.update(name);
            digest.update([1]);
            digest.update(value);
        }
        hex::encode(digest.finalize())
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A form in a body.
#[derive(Debug)]
pub(crate) struct Posted(pub Form);

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|_| Fault::unreadable("A form has at most 64 KiB."))?;
        Form::read(&body).map(Self).map_err(Fault::unreadable)
    }
}

/// A form in the address.
#[derive(Debug)]
pub(crate) struct Asked(pub Form);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Fault> {
        let query = parts.uri.query().unwrap_or_default();
        Form::read(query.as_bytes()).map(Self).map_err(Fault::unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_with_its_bounds() {
        let form = Form::read(b"a=+x+&b=1%202&c=&d=on").unwrap();
        assert_eq!((form.text("a"), form.text("b"), form.given("c")), ("x", "1 2", None));
        assert!(form.is_on("d") && !form.is_on("a"));
        assert!(form.number::<i32>("a", "A").unwrap_err().contains("A has the value x"));
        assert!(Form::read("a=1&".repeat(41).as_bytes()).unwrap_err().contains("40 fields"));
        for wrong in ["q=%00", "reason=a%1Bb", "a%07=1"] {
            let says = Form::read(wrong.as_bytes()).unwrap_err();
            assert!(says.contains("control character"), "{says}");
        }
        assert_eq!(Form::read(b"reason=a%0D%0A%09b").unwrap().text("reason"), "a\r\n\tb");
        let long = format!("image={}", "x".repeat(5000));
        assert!(Form::read(long.as_bytes()).unwrap_err().contains("image"));
    }

    #[test]
    fn two_forms_are_the_same_whatever_their_nonce() {
        let of = |text: &str| Form::read(text.as_bytes()).unwrap().digest("/x");
        assert_eq!(of("a=1&nonce=2"), of("nonce=3&a=1"));
        assert_ne!(of("a=1&b="), of("a=1b"));
        assert_ne!(of("a=1"), of("a=2"));
    }
}
