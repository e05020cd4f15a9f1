//! An authenticated call of an offered operation: what every handler starts from.
//!
//! Made by `auth` once the signature is verified, and handed to the handler
//! through the request. A handler that asks for it cannot be reached without.

use std::str::FromStr;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::Serialize;

use crate::wire::{error::ApiError, params::Params, reply::Reply};
use domain::{ApplicationId, BatchId, OrderId, Rejection};
use service::{Caller, Service};

/// An authenticated call.
#[derive(Debug, Clone)]
pub struct Call {
    pub params: Params,
    /// Who calls, and which request it is.
    pub caller: Caller,
    /// The use cases, as far as the caller may have them.
    pub service: Service,
}

impl Call {
    /// The application that `AppId` names.
    ///
    /// # Errors
    /// `MissingAppId`; a business error for a text that cannot be an id, the
    /// same as for an id that nothing has.
    pub fn application(&self) -> Result<ApplicationId, ApiError> {
        self.id("AppId", Rejection::UnknownApplication)
    }

    /// The change order that `ChangeOrderId` names.
    ///
    /// # Errors
    /// As [`Self::application`].
    pub fn order(&self) -> Result<OrderId, ApiError> {
        self.id("ChangeOrderId", Rejection::UnknownOrder)
    }

    /// The batch that `PipelineId` names.
    ///
    /// # Errors
    /// As [`Self::application`].
    pub fn batch(&self) -> Result<BatchId, ApiError> {
        self.id("PipelineId", Rejection::UnknownBatch)
    }

    fn id<I: FromStr>(
        &self,
        parameter: &str,
        unknown: fn(String) -> Rejection,
    ) -> Result<I, ApiError> {
        let text = self.params.required(parameter)?;
        text.parse().map_err(|_| unknown(text.chars().take(100).collect()).into())
    }

    /// A success with `body`.
    pub fn success<T: Serialize>(&self, body: T) -> Reply<T> {
        Reply::success(&self.caller.request_id, body)
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        // Only a route outside the authenticated router has none.
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::internal)
    }
}
