//! Conditions of a statement: from where, how and when a request must come.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{Network, policy::Unreadable};

/// How a request came.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// From where.
    pub peer: IpAddr,
    /// Whether nobody in between could read it.
    pub encrypted: bool,
    pub now: Timestamp,
}

/// A condition that must hold for its statement to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// The peer is in one of the networks.
    From(Vec<Network>),
    /// The peer is in none of them.
    NotFrom(Vec<Network>),
    Encrypted(bool),
    Before {
        time: Timestamp,
        inclusive: bool,
    },
    After {
        time: Timestamp,
        inclusive: bool,
    },
}

impl Condition {
    pub(super) fn holds(&self, circumstances: &Circumstances) -> bool {
        let from = |networks: &[Network]| networks.iter().any(|it| it.contains(circumstances.peer));
        let now = circumstances.now;
        match self {
            Self::From(networks) => from(networks),
            Self::NotFrom(networks) => !from(networks),
            Self::Encrypted(encrypted) => *encrypted == circumstances.encrypted,
            Self::Before { time, inclusive } => now < *time || (*inclusive && now == *time),
            Self::After { time, inclusive } => now > *time || (*inclusive && now == *time),
        }
    }

    /// The condition that an operator of RAM sets for a key of the request.
    pub(super) fn read(operator: &str, key: &str, values: &[String]) -> Result<Self, Unreadable> {
        let wrong = |value: &str, allowed: &str| {
            Unreadable::new(&format!("Condition {operator} {key}"), value, allowed)
        };
        let networks = || {
            let networks = values.iter().map(|value| {
                value.parse::<Network>().map_err(|_| {
                    wrong(value, "must be an address or a network such as 10.1.0.0/16")
                })
            });
            networks.collect::<Result<Vec<_>, _>>()
        };
        let only = || match values {
            [value] => Ok(value.as_str()),
            _ => Err(wrong(&format!("{} values", values.len()), "must have one value")),
        };
        let time = || {
            let value = only()?;
            let time = value.parse::<Timestamp>();
            time.map_err(|_| wrong(value, "must be a time such as 2026-12-31T16:00:00Z"))
        };
        match (operator, key) {
            ("IpAddress", "acs:SourceIp") => Ok(Self::From(networks()?)),
            ("NotIpAddress", "acs:SourceIp") => Ok(Self::NotFrom(networks()?)),
            ("Bool", "acs:SecureTransport") => match only()? {
                "true" => Ok(Self::Encrypted(true)),
                "false" => Ok(Self::Encrypted(false)),
                other => Err(wrong(other, "must be true or false")),
            },
            ("DateLessThan", "acs:CurrentTime") => {
                Ok(Self::Before { time: time()?, inclusive: false })
            }
            ("DateLessThanEquals", "acs:CurrentTime") => {
                Ok(Self::Before { time: time()?, inclusive: true })
            }
            ("DateGreaterThan", "acs:CurrentTime") => {
                Ok(Self::After { time: time()?, inclusive: false })
            }
            ("DateGreaterThanEquals", "acs:CurrentTime") => {
                Ok(Self::After { time: time()?, inclusive: true })
            }
            _ => Err(Unreadable::new(
                "Condition",
                &format!("{operator} {key}"),
                "cannot be judged here; what can be: IpAddress and NotIpAddress of acs:SourceIp, Bool of acs:SecureTransport, and DateLessThan, DateLessThanEquals, DateGreaterThan and DateGreaterThanEquals of acs:CurrentTime",
            )),
        }
    }
}
