//! A channel as somebody wants it, checked.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

use super::Topic;
use crate::{
    name::is_label,
    pattern::{self, LONGEST_OF_NAMES},
};

/// Longest address, in bytes.
const LONGEST_ADDRESS: usize = 2048;

/// Most patterns of namespaces, and of applications.
const MOST_PATTERNS: usize = 50;

/// What a channel speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// JSON, signed as Standard Webhooks has it.
    Webhook,
    /// A message for an incoming webhook of Slack, or of what takes the same.
    Slack,
    /// A message for a custom robot of DingTalk.
    Dingtalk,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Webhook, Self::Slack, Self::Dingtalk];
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for ChannelKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| {
            format!("must be one of {}", Self::ALL.map(|kind| kind.to_string()).join(", "))
        })
    }
}

/// What cannot be taken of a channel. It repeats no address: that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the {what} {why}")]
pub struct Unfit {
    pub what: &'static str,
    pub why: String,
}

fn unfit(what: &'static str, why: impl Into<String>) -> Unfit {
    Unfit { what, why: why.into() }
}

/// A channel that is wanted, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    pub name: String,
    pub kind: ChannelKind,
    /// What it is told of, each once.
    pub topics: Vec<Topic>,
    /// Patterns of namespaces; none = all.
    pub namespaces: Vec<String>,
    /// Patterns of applications' names; none = all.
    pub applications: Vec<String>,
}

impl NewChannel {
    /// A channel as somebody wrote it. No topics = all of them.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn read(
        name: &str,
        kind: ChannelKind,
        topics: &[Topic],
        namespaces: &[String],
        applications: &[String],
    ) -> Result<Self, Unfit> {
        if !is_label(name) {
            let shown: String = name.chars().take(LONGEST_OF_NAMES).collect();
            return Err(unfit(
                "name",
                format!(
                    "{shown:?} must have 1 to 63 lower-case letters, digits and '-', which stands at neither end"
                ),
            ));
        }
        let topics = if topics.is_empty() { &Topic::ALL } else { topics };
        let mut topics: Vec<Topic> = topics.to_vec();
        topics.sort_unstable();
        topics.dedup();
        for (what, patterns) in [("namespace", namespaces), ("application", applications)] {
            if patterns.len() > MOST_PATTERNS {
                return Err(unfit(what, format!("may be given at most {MOST_PATTERNS} times")));
            }
            if let Some(wrong) = patterns.iter().find(|text| !pattern::is_of_names(text)) {
                let shown: String = wrong.chars().take(LONGEST_OF_NAMES).collect();
                return Err(unfit(
                    what,
                    format!(
                        "{shown:?} must have 1 to {LONGEST_OF_NAMES} lower-case letters, digits, '-', '.' and '*', which stands for any characters"
                    ),
                ));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            topics,
            namespaces: namespaces.to_vec(),
            applications: applications.to_vec(),
        })
    }
}

/// The address of a channel. It is an administrator's, so it may be in a private network. A
/// chat's address is a secret, and goes over HTTPS, or to this machine.
///
/// # Errors
/// Says what is allowed, and repeats nothing.
pub fn address(kind: ChannelKind, text: &str) -> Result<Url, Unfit> {
    let wrong = |why: &str| unfit("address", why);
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_ADDRESS {
        return Err(wrong(&format!("must have 1 to {LONGEST_ADDRESS} bytes")));
    }
    let url: Url =
        text.parse().map_err(|_| wrong("must be a URL such as https://example.org/hook"))?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => return Err(wrong("must name a host")),
    };
    match url.scheme() {
        "https" => {}
        "http" if kind == ChannelKind::Webhook || is_here => {}
        "http" => {
            return Err(wrong("must begin with https://, since whoever knows it may write there"));
        }
        _ => return Err(wrong("must begin with https:// or http://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must have no user and no password"));
    }
    if url.fragment().is_some() {
        return Err(wrong("must have no part behind #"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::https(ChannelKind::Webhook, "https://example.org/hook?a=b", "")]
    #[case::in_the_cluster(ChannelKind::Webhook, "http://receiver.tools.svc:8080/", "")]
    #[case::with_a_line_end(ChannelKind::Slack, "https://hooks.example.org/services/x\n", "")]
    #[case::on_this_machine(ChannelKind::Slack, "http://127.0.0.1:9/x", "")]
    #[case::chat_in_the_clear(ChannelKind::Dingtalk, "http://chat.example.org/x", "https://")]
    #[case::file(ChannelKind::Webhook, "file:///etc/passwd", "host")]
    #[case::ftp(ChannelKind::Webhook, "ftp://example.org/a", "https:// or http://")]
    #[case::user(ChannelKind::Webhook, "https://geheim@example.org/", "no user")]
    #[case::fragment(ChannelKind::Webhook, "https://example.org/#geheim", "behind #")]
    #[case::nothing(ChannelKind::Webhook, " ", "1 to 2048")]
    #[case::words(ChannelKind::Webhook, "geheim", "URL")]
    fn an_address_is_taken_or_refused_without_showing_it(
        #[case] kind: ChannelKind,
        #[case] text: &str,
        #[case] refused: &str,
    ) {
        match address(kind, text) {
            Ok(url) => assert!(refused.is_empty(), "{url} is taken"),
            Err(why) => {
                let why = why.to_string();
                assert!(!refused.is_empty() && why.contains(refused), "{why}");
                assert!(!why.contains("geheim"), "{why}");
            }
        }
    }

    #[rstest]
    #[case::all("ops", &[], &[], "")]
    #[case::patterns("ops-1", &["shop-*", "*"], &["web"], "")]
    #[case::name("Ops", &[], &[], "the name \"Ops\"")]
    #[case::namespace("ops", &["Shop"], &[], "the namespace \"Shop\"")]
    #[case::application("ops", &[], &["a%"], "the application \"a%\"")]
    #[case::empty("ops", &[""], &[], "the namespace \"\"")]
    fn a_channel_is_taken_or_refused_by_what_is_wrong(
        #[case] name: &str,
        #[case] namespaces: &[&str],
        #[case] applications: &[&str],
        #[case] refused: &str,
    ) {
        let texts = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let read = NewChannel::read(
            name,
            ChannelKind::Webhook,
            &[],
            &texts(namespaces),
            &texts(applications),
        );
        match read {
            Ok(channel) => {
                assert!(refused.is_empty());
                assert_eq!(channel.topics, Topic::ALL);
            }
            Err(why) => {
                assert!(!refused.is_empty() && why.to_string().starts_with(refused), "{why}")
            }
        }
        let many = texts(&["a"; 51]);
        assert!(NewChannel::read("a", ChannelKind::Slack, &[], &many, &[]).is_err());
    }

    #[test]
    fn a_topic_is_kept_once_and_read_by_its_word() {
        let twice = [Topic::Failed, Topic::Waiting, Topic::Failed];
        let read = NewChannel::read("a", ChannelKind::Slack, &twice, &[], &[]).unwrap();
        assert_eq!(read.topics, [Topic::Waiting, Topic::Failed]);
        assert_eq!("rolled_back".parse(), Ok(Topic::RolledBack));
        assert!("test".parse::<Topic>().is_err() && "".parse::<Topic>().is_err());
        assert_eq!("dingtalk".parse(), Ok(ChannelKind::Dingtalk));
    }
}
