//! What a channel receives of a notice.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ChannelKind, Topic};
use crate::{
    OrderId,
    order::{Kind, State},
};

/// Longest cause that is sent, in bytes.
const LONGEST_CAUSE: usize = 2000;

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub topic: Topic,
    /// When it happened.
    pub at: Timestamp,
    /// The order; none where somebody tries a channel.
    pub about: Option<About>,
}

/// An order as it was when it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    pub order: OrderId,
    pub kind: Kind,
    pub application: String,
    pub namespace: String,
    pub cluster: String,
    /// Text of the version; empty where it is none of the history.
    pub version: String,
    pub state: State,
    /// The batch that it was at, from 1, and how many there are.
    pub batch: usize,
    pub batches: usize,
    /// Why, for people; may be empty.
    pub cause: String,
    /// The order that it rolls back.
    pub rolls_back: Option<OrderId>,
}

impl Notice {
    /// The body for a channel of this kind. `console` is where browsers reach the console.
    #[must_use]
    pub fn body(&self, kind: ChannelKind, console: Option<&str>) -> Value {
        match kind {
            ChannelKind::Webhook => self.event(console),
            ChannelKind::Slack => json!({ "text": self.slack(console) }),
            ChannelKind::Dingtalk => json!({
                "msgtype": "markdown",
                "markdown": { "title": self.headline(), "text": self.markdown(console) },
            }),
        }
    }

    fn event(&self, console: Option<&str>) -> Value {
        let data = self.about.as_ref().map_or_else(
            || json!({ "text": self.headline() }),
            |about| {
                let mut data = json!({
                    "order": about.order, "kind": about.kind, "application": about.application,
                    "namespace": about.namespace, "cluster": about.cluster, "version": about.version,
                    "state": about.state, "batch": about.batch, "batches": about.batches,
                    "cause": about.cause(), "text": self.headline(),
                });
                if let Some(order) = about.rolls_back {
                    data["rolls_back"] = json!(order);
                }
                if let Some(link) = about.link(console) {
                    data["link"] = json!(link);
                }
                data
            },
        );
        json!({ "type": format!("order.{}", self.topic), "timestamp": self.at.to_string(), "data": data })
    }

    /// What happened, in one sentence without a full stop.
    fn headline(&self) -> String {
        let Some(about) = &self.about else { return "This is a test of this channel".into() };
        let what = about.told();
        match self.topic {
            Topic::Waiting if about.state == State::WaitingApproval => {
                format!("{what} waits for somebody to approve it")
            }
            Topic::Waiting => format!(
                "{what} waits for a person after batch {} of {}",
                about.batch, about.batches
            ),
            Topic::Failed => format!("{what} failed"),
            Topic::RolledBack => format!("{what} is done: the version before is back"),
            Topic::Succeeded => format!("{what} is done"),
            Topic::Superseded => format!("{what} gave way to somebody else"),
            Topic::Aborted => format!("{what} was stopped"),
            Topic::Test => "This is a test of this channel".into(),
        }
    }

    fn slack(&self, console: Option<&str>) -> String {
        let mut text = format!("*{}*", escaped(&self.headline()));
        let Some(about) = &self.about else { return text };
        if !about.cause.is_empty() {
            text.push_str(&format!("\n> {}", escaped(&one_line(about.cause()))));
        }
        if let Some(link) = about.link(console) {
            text.push_str(&format!("\n<{}|Order {}>", escaped(&link), about.order));
        } else {
            text.push_str(&format!("\nOrder `{}`", about.order));
        }
        text
    }

    fn markdown(&self, console: Option<&str>) -> String {
        let mut text = format!("**{}**", unlinked(&self.headline()));
        let Some(about) = &self.about else { return text };
        if !about.cause.is_empty() {
            text.push_str(&format!("\n\n> {}", unlinked(&one_line(about.cause()))));
        }
        match about.link(console) {
            Some(link) => text.push_str(&format!("\n\n[Order {}]({link})", about.order)),
            None => text.push_str(&format!("\n\nOrder {}", about.order)),
        }
        text
    }
}

impl About {
    /// Such as `The release of web (namespace shop, cluster default), version 1.4,`.
    fn told(&self) -> String {
        let kind = match self.kind {
            Kind::Create => "creation",
            Kind::Deploy => "release",
            Kind::DeployVersion => "release of an earlier version",
            Kind::Rollback => "rollback",
            Kind::Scale => "scaling",
            Kind::Stop => "stop",
            Kind::Start => "start",
            Kind::Restart => "restart",
            Kind::Configure => "change of resources",
            Kind::Delete => "deletion",
            Kind::ObjectWrite => "write",
        };
        let version = match self.version.as_str() {
            "" => String::new(),
            version => format!(", version {version}"),
        };
        let Self { application, namespace, cluster, .. } = self;
        format!("The {kind} of {application} (namespace {namespace}, cluster {cluster}{version})")
    }

    fn cause(&self) -> &str {
        &self.cause[..self.cause.floor_char_boundary(LONGEST_CAUSE)]
    }

    fn link(&self, console: Option<&str>) -> Option<String> {
        Some(format!("{}/console/orders/{}", console?.trim_end_matches('/'), self.order))
    }
}

/// A text as Slack takes it in its own marks: three characters stand for themselves only so.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text that makes no link and no picture in Markdown.
fn unlinked(text: &str) -> String {
    text.replace("](", "] (").replace('<', "‹").replace('>', "›")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(topic: Topic, cause: &str) -> Notice {
        let about = About {
            order: OrderId("0198b2c4-0000-7000-8000-000000000001".parse().unwrap()),
            kind: Kind::Deploy,
            application: "web".into(),
            namespace: "shop".into(),
            cluster: "default".into(),
            version: "1.4".into(),
            state: State::WaitingConfirmation,
            batch: 1,
            batches: 3,
            cause: cause.into(),
            rolls_back: None,
        };
        Notice { topic, at: "2026-01-02T03:04:05Z".parse().unwrap(), about: Some(about) }
    }

    #[test]
    fn a_webhook_receives_the_order_as_it_was() {
        let body = notice(Topic::Waiting, "batch 1 is done")
            .body(ChannelKind::Webhook, Some("https://sluice.example.org/"));
        assert_eq!(
            body,
            json!({
                "type": "order.waiting", "timestamp": "2026-01-02T03:04:05Z",
                "data": {
                    "order": "0198b2c4-0000-7000-8000-000000000001", "kind": "deploy",
                    "application": "web", "namespace": "shop", "cluster": "default", "version": "1.4",
                    "state": "waiting_confirmation", "batch": 1, "batches": 3, "cause": "batch 1 is done",
                    "text": "The release of web (namespace shop, cluster default, version 1.4) waits for a person after batch 1 of 3",
                    "link": "https://sluice.example.org/console/orders/0198b2c4-0000-7000-8000-000000000001",
                },
            })
        );
        let mut rollback = notice(Topic::RolledBack, "");
        let order = rollback.about.as_ref().unwrap().order;
        rollback.about.as_mut().unwrap().rolls_back = Some(order);
        let body = rollback.body(ChannelKind::Webhook, None);
        assert_eq!(body["data"]["rolls_back"], order.to_string());
        assert_eq!(body["data"]["link"], Value::Null);
    }

    #[test]
    fn who_is_to_approve_is_not_asked_for_a_batch() {
        let mut notice = notice(Topic::Waiting, "");
        notice.about.as_mut().unwrap().state = State::WaitingApproval;
        let text = &notice.body(ChannelKind::Webhook, None)["data"]["text"];
        assert!(text.as_str().unwrap().ends_with(" waits for somebody to approve it"), "{text}");
    }

    #[test]
    fn a_chat_shows_marks_of_others_as_text() {
        let wicked = "<!channel> & <https://evil.example|click>\n[a](https://evil.example)";
        let notice = notice(Topic::Failed, wicked);
        let slack = notice.body(ChannelKind::Slack, Some("https://sluice.example.org"));
        let text = slack["text"].as_str().unwrap();
        assert!(text.starts_with("*The release of web (namespace shop, "), "{text}");
        assert!(text.contains("\n> &lt;!channel&gt; &amp; &lt;https://evil.example|click&gt; [a]"));
        assert!(text.ends_with("|Order 0198b2c4-0000-7000-8000-000000000001>"), "{text}");
        assert_eq!(text.matches('<').count(), 1);
        let dingtalk = notice.body(ChannelKind::Dingtalk, None);
        assert_eq!(dingtalk["msgtype"], "markdown");
        let text = dingtalk["markdown"]["text"].as_str().unwrap();
        assert!(!text.contains("](") && !text.contains('<'), "{text}");
        assert!(dingtalk["markdown"]["title"].as_str().unwrap().ends_with(" failed"));
    }

    #[test]
    fn a_long_cause_is_cut_between_two_characters() {
        let notice = notice(Topic::Failed, &"é".repeat(3000));
        let body = notice.body(ChannelKind::Webhook, None);
        assert_eq!(body["data"]["cause"].as_str().unwrap().len(), 2000);
    }

    #[test]
    fn somebody_who_tries_a_channel_is_told_so() {
        let notice = Notice { topic: Topic::Test, at: Timestamp::UNIX_EPOCH, about: None };
        assert_eq!(notice.body(ChannelKind::Webhook, None)["type"], "order.test");
        assert_eq!(
            notice.body(ChannelKind::Slack, None)["text"],
            "*This is a test of this channel*"
        );
    }
}
