//! One request, with its redirects followed by hand, and what its end means.

use std::error::Error;

use reqwest::{
    Method, Response, StatusCode,
    header::{LOCATION, RANGE},
};

use super::{Client, Failure, Reason, resolve::Unresolved};
use domain::package::PackageAddress;

/// Most redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Whole,
    /// Only the head of the answer.
    Head,
    /// Its first byte: for servers that do not answer HEAD.
    FirstByte,
}

impl Ask {
    /// Whether it only looks, for whoever asks, and fetches nothing.
    fn is_look(self) -> bool {
        match self {
            Self::Head | Self::FirstByte => true,
            Self::Whole => false,
        }
    }
}

impl Client {
    /// Sends the request and follows its redirects, each under the policy. The
    /// answer is none of a redirect.
    pub(super) async fn send(
        &self,
        package: &PackageAddress,
        ask: Ask,
    ) -> Result<Response, Failure> {
        let mut url = package.clone();
        for _ in 0..=MOST_REDIRECTS {
            self.policy.check(&url).map_err(|refused| Failure::refused(&url, &refused))?;
            if ask.is_look() && !self.policy.may_look(&url) {
                return Err(Failure::new(
                    Reason::UnknownHost,
                    &url,
                    "this server does not look there",
                ));
            }
            let client = if ask.is_look() { &self.looking } else { &self.http };
            let method = if ask == Ask::Head { Method::HEAD } else { Method::GET };
            let mut request = client.request(method, url.secret().clone());
            if ask == Ask::FirstByte {
                request = request.header(RANGE, "bytes=0-0");
            }
            let response = request.send().await.map_err(|error| failure(&url, &error))?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let location =
                response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.redirected(location).ok());
            url = next.ok_or_else(|| {
                Failure::new(
                    Reason::Unexpected,
                    &url,
                    "the server redirects to no address that can be read",
                )
            })?;
        }
        Err(Failure::new(
            Reason::Unexpected,
            package,
            format!("the server redirects more than {MOST_REDIRECTS} times"),
        ))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// What an answer's status means, if it is no success.
pub(super) fn check_status(url: &PackageAddress, status: StatusCode) -> Result<(), Failure> {
    let reason = match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Reason::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reason::Denied,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Reason::ServerTrouble
        }
        status if status.is_server_error() => Reason::ServerTrouble,
        _ => Reason::Unexpected,
    };
    Err(Failure::new(reason, url, format!("the server answered {status}")))
}

/// What an error of the HTTP client means. Its own text repeats the address with
/// all its secrets, so only what lies beneath is shown.
pub(super) fn failure(url: &PackageAddress, error: &reqwest::Error) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    let mut deepest = None;
    while let Some(inner) = cause {
        match inner.downcast_ref::<Unresolved>() {
            Some(Unresolved::Refused(refused)) => return Failure::refused(url, refused),
            Some(unknown @ Unresolved::Unknown(_)) => {
                return Failure::new(Reason::UnknownHost, url, unknown.to_string());
            }
            None => {}
        }
        deepest = Some(inner);
        cause = inner.source();
    }
    let why = deepest.map(ToString::to_string).unwrap_or_default();
    if error.is_timeout() {
        Failure::new(Reason::TimedOut, url, "the server does not answer in time")
    } else if error.is_connect() {
        Failure::new(Reason::Unreachable, url, format!("no connection to the server: {why}"))
    } else {
        Failure::new(Reason::CutOff, url, format!("the answer broke off: {why}"))
    }
}
