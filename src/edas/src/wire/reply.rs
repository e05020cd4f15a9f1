//! How replies are written: one envelope for success, one for each kind of failure.
//!
//! Success and business errors are HTTP 200 with an *integer* Code (R8, K10);
//! gateway errors are 4xx or 5xx with text only (K9). Every reply is JSON with
//! its Content-Type (K12), in raw UTF-8, and without control characters, which
//! JSON would have to escape and old Java cannot read (K21).

use std::io;

use axum::{
    body::Body,
    http::{
        HeaderValue,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{
    Map, Value,
    ser::{CharEscape, Formatter, Serializer},
};
use utoipa::ToSchema;

use super::error::{ApiError, BUSINESS_CODE};

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

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        written(&self)
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

/// Writes a failure out. `blank` is what an error of the operation must hold
/// besides (R10); `host` is the Host header.
#[must_use]
pub fn failure(
    error: &ApiError,
    request_id: &str,
    host: &str,
    blank: Map<String, Value>,
) -> Response {
    let mut response = match error {
        ApiError::Gateway { code, message, .. } => written(&GatewayError {
            code: code.clone(),
            message: message.clone(),
            request_id: request_id.into(),
            host_id: host.into(),
            recommend: "/docs/".into(),
        }),
        ApiError::Business { message, .. } => written(&BusinessError {
            code: BUSINESS_CODE,
            message: message.clone(),
            request_id: request_id.into(),
            blank,
        }),
    };
    *response.status_mut() = error.status();
    if let Some(wait) = error.wait() {
        // Whole units, and never none: `x-acs-retry-after` is what the new SDKs and the CLI read.
        let milliseconds = wait.as_micros().div_ceil(1000).clamp(1, 86_400_000);
        let headers = response.headers_mut();
        headers.insert("x-acs-retry-after", HeaderValue::from(milliseconds as u64));
        headers.insert(RETRY_AFTER, HeaderValue::from(milliseconds.div_ceil(1000) as u64));
    }
    response
}

/// `value` as a JSON response with status 200.
pub fn written<T: Serialize>(value: &T) -> Response {
    let mut bytes = Vec::new();
    let written =
        value.serialize(&mut Serializer::with_formatter(&mut bytes, PlainText::default()));
    if let Err(error) = written {
        tracing::error!(%error, "a reply cannot be written as JSON");
        return ApiError::internal().into_response();
    }
    let mut response = Response::new(Body::from(bytes));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
    response
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
    use axum::{body::to_bytes, http::StatusCode};
    use serde_json::json;

    use super::*;

    async fn text(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().into()).unwrap()
    }

    #[tokio::test]
    async fn a_success_has_an_integer_code_beside_the_operations_fields() {
        let reply = Reply::success("R-1", json!({ "ChangeOrderId": "x" })).into_response();
        assert_eq!(reply.headers()[CONTENT_TYPE], "application/json;charset=utf-8");
        assert_eq!(
            text(reply).await,
            r#"{"Code":200,"Message":"success","RequestId":"R-1","ChangeOrderId":"x"}"#
        );
    }

    #[tokio::test]
    async fn a_business_error_is_http_200_with_code_601_and_empty_ids() {
        let blank = super::super::contract::operations()
            .iter()
            .find(|it| it.name == "DeployK8sApplication")
            .unwrap()
            .blank();
        let reply = failure(&ApiError::business("No", "no"), "R-1", "h", blank);
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(
            text(reply).await,
            r#"{"Code":601,"Message":"no","RequestId":"R-1","ChangeOrderId":""}"#
        );
    }

    #[tokio::test]
    async fn a_gateway_error_has_only_text() {
        let reply = failure(&ApiError::not_found(), "R-1", "h:1", Map::new());
        assert_eq!(reply.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            text(reply).await,
            r#"{"Code":"InvalidApi.NotFound","Message":"Specified api is not found, please check your url and method.","RequestId":"R-1","HostId":"h:1","Recommend":"/docs/"}"#
        );
    }

    #[tokio::test]
    async fn texts_are_raw_utf8_without_control_characters() {
        let said = "版本 \u{1b}[31;1mred\u{1b}[0m \"q\" \\ a\tb\r\n\u{7}\u{1b}";
        let reply = text(written(&json!([said, "[kept"]))).await;
        assert_eq!(reply, "[\"版本 red \\\"q\\\" \\\\ a b\\n\",\"[kept\"]");
    }
}
