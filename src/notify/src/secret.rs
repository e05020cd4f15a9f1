//! What deliveries are signed with.
//!
//! Webhooks are signed as Standard Webhooks has it: HMAC-SHA256 over the id, the time in
//! seconds and the body, parted by dots. DingTalk's custom robots sign the time in
//! milliseconds and the secret, parted by a line end.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use domain::notice::ChannelKind;

/// What a secret of Standard Webhooks begins with.
const MARK: &str = "whsec_";

/// Bytes that such a secret may have, and those of one that is made here.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const MADE: usize = 32;

/// Longest secret of a robot.
const LONGEST: usize = 256;

/// Most secrets at once: a new one, and the one before it.
const MOST: usize = 2;

/// Why a text holds no secret. Shows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    #[error(
        "the secret of a webhook must be {MARK} and the base64 of {} to {} bytes; for a rotation a second line may hold the one before",
        BYTES.start(), BYTES.end()
    )]
    Webhook,
    #[error("the secret of a robot must have 1 to {LONGEST} printable characters")]
    Robot,
    #[error("a channel of Slack has no secret: its address is one")]
    NotOfSlack,
    #[error("the system has no randomness")]
    NoRandomness,
}

/// The secrets of a channel, the newest first.
#[derive(Debug, Clone)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// A new secret for webhooks.
    ///
    /// # Errors
    /// [`Unreadable::NoRandomness`].
    pub fn made() -> Result<Self, Unreadable> {
        let mut bytes = Zeroizing::new([0; MADE]);
        let filled = rand::rngs::OsRng.try_fill_bytes(bytes.as_mut());
        filled.map_err(|_| Unreadable::NoRandomness)?;
        let text = Zeroizing::new(STANDARD.encode(bytes.as_ref()));
        Ok(Self(vec![SecretString::from(format!("{MARK}{}", text.as_str()))]))
    }

    /// The secrets in a text: one on each line.
    ///
    /// # Errors
    /// Says what is allowed, and shows nothing.
    pub fn read(kind: ChannelKind, text: &str) -> Result<Self, Unreadable> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match kind {
            ChannelKind::Webhook => {
                let fit = (1..=MOST).contains(&words.len())
                    && words.iter().all(|word| key_of(word).is_some());
                if !fit {
                    return Err(Unreadable::Webhook);
                }
            }
            ChannelKind::Dingtalk => {
                let fits = |word: &str| {
                    word.len() <= LONGEST && word.bytes().all(|byte| byte.is_ascii_graphic())
                };
                if words.len() != 1 || !fits(words[0]) {
                    return Err(Unreadable::Robot);
                }
            }
            ChannelKind::Slack => return Err(Unreadable::NotOfSlack),
        }
        Ok(Self(words.into_iter().map(SecretString::from).collect()))
    }

    /// These, with the newest of `before` behind them, which signs beside them.
    #[must_use]
    pub fn before(mut self, before: &Self) -> Self {
        self.0.extend(before.0.iter().take(1).cloned());
        self.0.truncate(MOST);
        self
    }

    /// The text that they are kept as.
    #[must_use]
    pub fn text(&self) -> SecretString {
        let words: Vec<&str> = self.0.iter().map(ExposeSecret::expose_secret).collect();
        SecretString::from(words.join("\n"))
    }

    /// The newest one, for whoever is to have it.
    #[must_use]
    pub fn newest(&self) -> &str {
        self.0.first().map(ExposeSecret::expose_secret).unwrap_or_default()
    }

    /// The header with the signatures of a webhook: one of each secret.
    pub(crate) fn signatures(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let head = format!("{id}.{seconds}.");
        let of = |secret: &SecretString| {
            let key = key_of(secret.expose_secret())?;
            Some(format!("v1,{}", mac(&key, &[head.as_bytes(), body])))
        };
        self.0.iter().filter_map(of).collect::<Vec<_>>().join(" ")
    }

    /// The signature of a robot.
    pub(crate) fn robot(&self, milliseconds: i64) -> String {
        let secret = self.newest();
        mac(secret.as_bytes(), &[format!("{milliseconds}\n{secret}").as_bytes()])
    }
}

fn key_of(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = Zeroizing::new(STANDARD.decode(secret.strip_prefix(MARK)?).ok()?);
    BYTES.contains(&key.len()).then_some(key)
}

fn mac(key: &[u8], parts: &[&[u8]]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    for part in parts {
        mac.update(part);
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The example that the specification's libraries test with.
    #[test]
    fn a_webhook_is_signed_as_the_specification_has_it() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secrets = Secrets::read(ChannelKind::Webhook, secret).unwrap();
        let signed = secrets.signatures(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_of_two_secrets_signs() {
        let (old, new) = (Secrets::made().unwrap(), Secrets::made().unwrap());
        let both = new.clone().before(&old);
        let signed = both.signatures("a", 1, b"b");
        let one = |secrets: &Secrets| secrets.signatures("a", 1, b"b");
        assert_eq!(signed, format!("{} {}", one(&new), one(&old)));
        let read = Secrets::read(ChannelKind::Webhook, both.text().expose_secret()).unwrap();
        assert_eq!(one(&read), signed);
        let third = Secrets::made().unwrap().before(&read);
        assert_eq!(third.0.len(), 2, "the oldest one goes");
    }

    #[rstest]
    #[case::webhook(ChannelKind::Webhook, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", true)]
    #[case::without_its_mark(ChannelKind::Webhook, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false)]
    #[case::too_short(ChannelKind::Webhook, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAA", false)]
    #[case::no_base64(ChannelKind::Webhook, "whsec_geheim!", false)]
    #[case::nothing(ChannelKind::Webhook, "", false)]
    #[case::robot(ChannelKind::Dingtalk, "SECgeheim", true)]
    #[case::robot_with_two(ChannelKind::Dingtalk, "a b", false)]
    #[case::slack(ChannelKind::Slack, "geheim", false)]
    fn a_secret_is_taken_or_refused_without_showing_it(
        #[case] kind: ChannelKind,
        #[case] text: &str,
        #[case] fits: bool,
    ) {
        match Secrets::read(kind, text) {
            Ok(secrets) => {
                assert!(fits);
                assert!(!format!("{secrets:?}").contains(secrets.newest()));
            }
            Err(why) => assert!(!fits && !why.to_string().contains("geheim"), "{why}"),
        }
    }
}
