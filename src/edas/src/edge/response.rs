//! Replies on their way out: `wire` says what stands in them, and knows nothing of axum.

use std::any::Any;

use axum::{
    body::Body,
    http::{
        HeaderValue,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::wire::{
    error::{ApiError, BUSINESS_CODE},
    reply::{self, BusinessError, GatewayError, Reply},
};

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        written(&self)
    }
}

/// Carries the error to the edge, which knows the request's id and operation
/// and writes the body. Without the edge the reply would have none.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<service::Error> for ApiError {
    fn from(error: service::Error) -> Self {
        match error {
            service::Error::Rejected(rejection) => rejection.into(),
            service::Error::Store(error) if error.is_retryable() => {
                tracing::error!(error = %error, "the database cannot be asked");
                Self::unavailable(
                    "The server cannot reach its database now. Nothing was changed; please try again.",
                )
            }
            service::Error::Store(error) => {
                tracing::error!(error = %error, "a request failed in the database");
                Self::internal()
            }
        }
    }
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
fn written<T: Serialize>(value: &T) -> Response {
    let bytes = match reply::text(value) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "a reply cannot be written as JSON");
            return ApiError::internal().into_response();
        }
    };
    let mut response = Response::new(Body::from(bytes));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
    response
}

/// The reply in place of one whose handler panicked.
pub(crate) fn caught(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("(no text)"), "a request panicked");
    ApiError::internal().into_response()
}

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
        let blank = crate::wire::contract::operations()
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
    async fn an_order_that_cannot_be_shown_has_a_final_status_for_a_client_that_reads_no_code() {
        let operations = crate::wire::contract::operations();
        let shown = operations.iter().find(|it| it.name == "GetChangeOrderInfo").unwrap();
        let reply = failure(&ApiError::business("No", "no"), "R-1", "h", shown.blank());
        assert_eq!(
            text(reply).await,
            r#"{"Code":601,"Message":"no","RequestId":"R-1","changeOrderInfo":{"Status":3}}"#
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
}
