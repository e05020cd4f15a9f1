//! Requests that are told their peer, and that their connection knows of.
//!
//! Until somebody who knows their sender says so ([`prove`]), they keep no other
//! connection out.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Extensions, Request, Response, StatusCode, Version},
    response::IntoResponse,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tower::Service;

use super::{
    ConnectionSettings, Peer,
    place::{InHand, RequestSeat, Seat},
};
use crate::{edge::security, wire::error::ApiError};
use domain::limits::HEADERS;

/// When to come again where the connection was closed for another.
const CLOSED: Duration = Duration::from_secs(1);

/// The sender of the request with these extensions is known: its connection is closed for no
/// other until it is answered.
///
/// # Errors
/// That the connection has been closed already. Nothing should be done for a client that can
/// no longer hear of it.
pub fn prove(extensions: &Extensions) -> Result<(), ApiError> {
    match extensions.get::<RequestSeat>() {
        Some(standing) if !standing.prove() => {
            Err(ApiError::unavailable("The connection made room for another. Please try again.")
                .after(CLOSED))
        }
        _ => Ok(()),
    }
}

/// The service of one connection.
#[derive(Debug, Clone)]
pub struct Told<S> {
    pub(in crate::edge::connection) inner: S,
    pub(in crate::edge::connection) seat: Arc<Seat>,
    pub(in crate::edge::connection) peer: Peer,
    pub(in crate::edge::connection) settings: Arc<ConnectionSettings>,
}

impl<S, B> Service<Request<B>> for Told<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Held>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(mut in_hand) = self.seat.request(request.version() == Version::HTTP_2) else {
            // Nothing is done for a client that can no longer hear of it.
            let gone = StatusCode::SERVICE_UNAVAILABLE
                .into_response()
                .map(|body| Held { body, in_hand: None });
            return Box::pin(async move { Ok(gone) });
        };
        // Before anything waits with them in hand.
        if request.headers().len() > HEADERS {
            let text = format!("A request may have at most {HEADERS} headers.\n");
            let refused = security::guarded(
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text).into_response(),
            );
            return Box::pin(async move {
                Ok(refused.map(|body| Held { body, in_hand: Some(in_hand) }))
            });
        }
        let peer = self.peer.behind(request.headers(), &self.settings.proxies);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(in_hand.standing());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            in_hand.replies();
            Ok(response.map(|body| Held { body, in_hand: Some(in_hand) }))
        })
    }
}

/// A reply's body, with the request that is in hand until it is given.
#[derive(Debug)]
pub struct Held {
    body: Body,
    in_hand: Option<InHand>,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // More is asked for when what was there has been taken.
        if let Some(in_hand) = &mut self.in_hand {
            in_hand.replies();
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
