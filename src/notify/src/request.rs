//! One request to a receiver, within bounds of time and size, and what its answer means.
//!
//! The address is an administrator's, so it may be in a private network. Redirects are not
//! followed, so that a receiver leads a request nowhere else. Nothing of an address or a
//! secret gets into what is said.

use std::{error::Error, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use store::Claimed;
use url::Url;

use crate::Secrets;
use domain::notice::{ChannelKind, address};

/// Longest time until a connection is made.
const CONNECT: Duration = Duration::from_secs(5);

/// How much of an answer is read, in bytes.
const READ: usize = 1024;

/// How much of an answer is shown, in characters.
const SHOWN: usize = 200;

/// Parts of an address that are shorter are no secret.
const SECRET_PART: usize = 8;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Delivered,
    /// The receiver wants nothing more.
    Gone,
    Failed {
        why: String,
        /// Seconds that it asks to be left alone.
        asked: Option<u64>,
    },
}

fn failed(why: impl Into<String>) -> Answer {
    Answer::Failed { why: why.into(), asked: None }
}

/// A client for receivers, which waits so long for an answer.
pub(crate) fn client(within: Duration) -> Result<reqwest::Client, reqwest::Error> {
    // An error says that there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(within)
    };
    // Without certificates of the system HTTPS says what is wrong.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

/// Sends what was claimed.
pub(crate) async fn send(
    http: &reqwest::Client,
    claimed: &Claimed,
    console: Option<&str>,
    now: Timestamp,
) -> Answer {
    let mut url = match address(claimed.kind, claimed.url.expose_secret()) {
        Ok(url) => url,
        Err(why) => return failed(why.to_string()),
    };
    let secrets = match &claimed.secret {
        None => None,
        Some(text) => match Secrets::read(claimed.kind, text.expose_secret()) {
            Ok(secrets) => Some(secrets),
            Err(why) => return failed(why.to_string()),
        },
    };
    let body = claimed.notice.body(claimed.kind, console).to_string();
    let given = url.clone();
    if let (ChannelKind::Dingtalk, Some(secrets)) = (claimed.kind, &secrets) {
        let at = now.as_millisecond();
        let signed = secrets.robot(at);
        url.query_pairs_mut()
            .append_pair("timestamp", &at.to_string())
            .append_pair("sign", &signed);
    }
    let mut request = http.post(url).header(CONTENT_TYPE, "application/json; charset=utf-8");
    if claimed.kind == ChannelKind::Webhook {
        let (id, seconds) = (format!("msg_{}", claimed.message.simple()), now.as_second());
        if let Some(secrets) = &secrets {
            let signatures = secrets.signatures(&id, seconds, body.as_bytes());
            request = request.header("webhook-signature", signatures);
        }
        request = request.header("webhook-id", id).header("webhook-timestamp", seconds);
    }
    match request.body(body).send().await {
        Ok(answer) => read(answer, claimed.kind, &given, now).await,
        Err(error) => failed(unreachable(&error)),
    }
}

async fn read(
    mut answer: reqwest::Response,
    kind: ChannelKind,
    url: &Url,
    now: Timestamp,
) -> Answer {
    let (status, asked) = (answer.status(), asked(answer.headers(), now));
    if status == StatusCode::GONE {
        return Answer::Gone;
    }
    let mut text = Vec::new();
    while text.len() < READ {
        match answer.chunk().await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk[..chunk.len().min(READ - text.len())]),
            Ok(None) => break,
            // The head of the answer says what became of it; only a robot says more.
            Err(error) if kind == ChannelKind::Dingtalk => return failed(unreachable(&error)),
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&text);
    if !status.is_success() {
        let said = shown(&text, url).map(|text| format!(": {text}")).unwrap_or_default();
        let why = format!("the receiver answered {}{said}", status.as_u16());
        return Answer::Failed { why, asked };
    }
    match kind {
        ChannelKind::Webhook | ChannelKind::Slack => Answer::Delivered,
        ChannelKind::Dingtalk => robot(&text, url),
    }
}

/// A robot answers 200 whatever it thinks, and says in the body what went wrong.
fn robot(text: &str, url: &Url) -> Answer {
    let Ok(said) = serde_json::from_str::<Value>(text) else {
        return failed("the robot's answer cannot be read");
    };
    match said["errcode"].as_i64() {
        Some(0) => Answer::Delivered,
        Some(code) => {
            let why = said["errmsg"].as_str().and_then(|text| shown(text, url));
            failed(format!("the robot answered errcode {code} {}", why.unwrap_or_default()).trim())
        }
        None => failed("the robot's answer has no errcode"),
    }
}

/// How long a receiver asks to be left alone, in seconds.
fn asked(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let until = rfc2822::parse(text).ok()?.timestamp();
    u64::try_from(until.duration_since(now).as_secs()).ok()
}

/// The beginning of a text of a receiver, in one line. None if it is empty, or repeats a part
/// of the address that may be a secret.
fn shown(text: &str, url: &Url) -> Option<String> {
    let values: Vec<_> = url.query_pairs().map(|(_, value)| value.into_owned()).collect();
    let parts = url.path_segments().into_iter().flatten().map(str::to_owned).chain(values);
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let repeats = parts.into_iter().any(|part| part.len() >= SECRET_PART && line.contains(&part));
    let line: String = line.chars().take(SHOWN).collect();
    (!repeats && !line.is_empty()).then_some(line)
}

/// The last cause says most: that nobody listens, that a name is not known, a certificate.
/// The error's own text has the address.
fn unreachable(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the receiver does not answer in time".into();
    }
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    let mut deepest = None;
    while let Some(inner) = cause {
        deepest = Some(inner);
        cause = inner.source();
    }
    let why = deepest.map_or_else(|| "the connection broke".into(), ToString::to_string);
    format!("the receiver cannot be reached: {why}")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn hook() -> Url {
        "https://hooks.example.org/services/T000/B0000000geheim?access_token=geheim-token&a=b"
            .parse()
            .unwrap()
    }

    #[rstest]
    #[case::seconds("120", Some(120))]
    #[case::date("Thu, 01 Jan 1970 00:02:00 GMT", Some(120))]
    #[case::date_of_before("Thu, 01 Jan 1960 00:00:00 GMT", None)]
    #[case::less_than_nothing("-1", None)]
    #[case::words("soon", None)]
    fn a_receiver_asks_for_rest(#[case] text: &'static str, #[case] wanted: Option<u64>) {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
        assert_eq!(asked(&headers, Timestamp::UNIX_EPOCH), wanted);
    }

    #[rstest]
    #[case::word("invalid_payload", Some("invalid_payload"))]
    #[case::lines("a\n\u{1b}[31m b", Some("a [31m b"))]
    #[case::nothing("\n", None)]
    #[case::path("Cannot POST /services/T000/B0000000geheim", None)]
    #[case::query("unknown geheim-token", None)]
    fn what_a_receiver_says_is_shown_unless_it_repeats_the_address(
        #[case] text: &str,
        #[case] wanted: Option<&str>,
    ) {
        assert_eq!(shown(text, &hook()).as_deref(), wanted);
        assert_eq!(shown(&"a".repeat(5000), &hook()).unwrap().len(), SHOWN);
    }

    #[rstest]
    #[case::well(r#"{"errcode":0,"errmsg":"ok"}"#, Answer::Delivered)]
    #[case::keyword(
        r#"{"errcode":310000,"errmsg":"keywords not in content"}"#,
        failed("the robot answered errcode 310000 keywords not in content")
    )]
    #[case::secret(
        r#"{"errcode":300001,"errmsg":"geheim-token"}"#,
        failed("the robot answered errcode 300001")
    )]
    #[case::page("<html>", failed("the robot's answer cannot be read"))]
    #[case::another("{}", failed("the robot's answer has no errcode"))]
    fn a_robot_says_in_its_body_what_went_wrong(#[case] text: &str, #[case] wanted: Answer) {
        assert_eq!(robot(text, &hook()), wanted);
    }
}
