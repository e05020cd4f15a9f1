//! How replies are written: one envelope for success, one for each kind of failure.
//!
//! Success and business errors are HTTP 200 with an *integer* Code (R8, K10);
//! gateway errors are 4xx or 5xx with text only (K9). Every reply is JSON with
//! its Content-Type (K12), in raw UTF-8, and without control characters, which
//! JSON would have to escape and old Java cannot read (K21).

use std::io;

use serde::Serialize;
use serde_json::{
    Map, Value,
    ser::{CharEscape, Formatter, Serializer},
};
use utoipa::ToSchema;

/// A reply: its code, and the operation's own fields beside it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Reply<T> {
    /// 200 = done. Any other number: it was not, and Message says why.
    #[schema(example = 200, minimum = 200, maximum = 200)]
    pub code: i32,
    /// `success`.
    #[schema(example = "success")]
    pub message: String,
    /// The request's id, as in the server's log and in the header `x-acs-request-id`.
    #[schema(example = "01935A2C-52B0-7C41-8D6E-2A4F6B8C0D1E")]
    pub request_id: String,
    /// The operation's own fields.
    #[serde(flatten)]
    pub body: T,
}

impl<T: Serialize> Reply<T> {
    /// A success with `body`.
    pub fn success(request_id: &str, body: T) -> Self {
        Self { code: 200, message: "success".into(), request_id: request_id.into(), body }
    }
}

/// No fields of its own.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Nothing {}

/// A gateway error: HTTP 4xx or 5xx, every field is text.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GatewayError {
    /// A code word such as `SignatureDoesNotMatch` or `MissingAppId`.
    #[schema(example = "MissingAppId")]
    pub code: String,
    /// What is wrong, for a person.
    #[schema(example = "AppId is mandatory for this action.")]
    pub message: String,
    /// The request's id.
    pub request_id: String,
    /// The host name that was called.
    #[schema(example = "sluice.example:8080")]
    pub host_id: String,
    /// Where to read more: path of this server's documentation.
    #[schema(example = "/docs/")]
    pub recommend: String,
}

/// A business error: HTTP 200, Code 601. The operation's ids are there, empty.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct BusinessError {
    /// Always 601.
    #[schema(example = 601, minimum = 601, maximum = 601)]
    pub code: i32,
    /// What is wrong, for a person. Contains `does not exist` where something is gone.
    #[schema(example = "the application 01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e does not exist")]
    pub message: String,
    /// The request's id.
    pub request_id: String,
    /// `ChangeOrderId`, `Data` or `ApplicationInfo` with empty ids where the operation declares them.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub blank: Map<String, Value>,
}

/// `value` as the JSON of a reply's body.
///
/// # Errors
/// It cannot be written as JSON.
pub fn text<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, PlainText::default()))?;
    Ok(bytes)
}

/// Writes JSON whose texts have no control characters: pod logs bring colour
/// codes (dropped whole) and bells along. Line feeds stay.
#[derive(Default)]
struct PlainText {
    after_escape: bool,
}

impl Formatter for PlainText {
    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.after_escape = false;
        writer.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let rest = if std::mem::take(&mut self.after_escape) {
            without_colour_code(fragment)
        } else {
            fragment
        };
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.after_escape = matches!(escape, CharEscape::AsciiControl(0x1b));
        let text: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::LineFeed => b"\\n",
            CharEscape::Tab => b" ",
            CharEscape::Backspace
            | CharEscape::FormFeed
            | CharEscape::CarriageReturn
            | CharEscape::AsciiControl(_) => b"",
        };
        writer.write_all(text)
    }
}

/// What follows a terminal's control sequence, whose escape character was dropped.
fn without_colour_code(text: &str) -> &str {
    let Some(sequence) = text.strip_prefix('[') else { return text };
    match sequence.find(|c: char| ('@'..='~').contains(&c)) {
        Some(last) => &sequence[last + 1..],
        None => "",
    }
}

/// `{}` around a list, as EDAS wraps its lists (R6, K13): `wrapped! { Name, Key: Item }`
/// is a struct whose only field is written as `Key`.
macro_rules! wrapped {
    ($(#[$doc:meta])* $name:ident, $key:tt: $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, serde::Serialize, utoipa::ToSchema)]
        pub struct $name {
            /// The items.
            #[serde(rename = $key)]
            pub items: Vec<$item>,
        }
    };
}
pub(crate) use wrapped;

/// The value of `ErrorCode` and similar fields of a success.
pub(crate) const SUCCESS: &str = "success";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_raw_utf8_without_control_characters() {
        let said = "版本 \u{1b}[31;1mred\u{1b}[0m \"q\" \\ a\tb\r\n\u{7}\u{1b}";
        let written = String::from_utf8(text(&json!([said, "[kept"])).unwrap()).unwrap();
        assert_eq!(written, "[\"版本 red \\\"q\\\" \\\\ a b\\n\",\"[kept\"]");
    }
}
