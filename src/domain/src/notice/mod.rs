//! Notices: what people are told of change orders, through channels that they chose.
//!
//! A transition that is written says whether it is one to tell of ([`Topic::of`]). What a
//! channel receives is made of it here ([`Notice`]), and so is when to try again
//! ([`back_off`]). Pure data and functions: `store` keeps what is to be told, and `notify`
//! sends it.

pub mod back_off;
mod channel;
mod text;

pub use channel::{ChannelKind, NewChannel, Unfit, address};
pub use text::{About, Notice};

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    order::{Kind, Order, State},
    rollout::Transition,
};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// An order waits for a person.
    Waiting,
    /// An order failed, or could not be rolled back.
    Failed,
    /// An order that rolls another one back is done.
    RolledBack,
    /// An order is done.
    Succeeded,
    /// An order gave way to somebody who changed its Deployment.
    Superseded,
    /// A person ended an order.
    Aborted,
    /// Nothing happened: somebody tries a channel.
    Test,
}

impl Topic {
    /// Those that a channel can be for.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Failed,
        Self::RolledBack,
        Self::Succeeded,
        Self::Superseded,
        Self::Aborted,
    ];

    /// What a transition of an order tells; none = nothing that people wait for. A
    /// transition that leaves the order in its state tells nothing.
    #[must_use]
    pub fn of(order: &Order, transition: &Transition) -> Option<Self> {
        if transition.state == order.state {
            return None;
        }
        match transition.state {
            State::Ready | State::Running | State::WaitingInterval => None,
            State::WaitingApproval | State::WaitingConfirmation => Some(Self::Waiting),
            State::Succeeded if order.kind == Kind::Rollback => Some(Self::RolledBack),
            State::Succeeded => Some(Self::Succeeded),
            State::Failed | State::SystemFailed if transition.gave_way() => Some(Self::Superseded),
            State::Failed | State::SystemFailed => Some(Self::Failed),
            State::Aborted => Some(Self::Aborted),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Topic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|topic| topic.to_string() == text);
        found.ok_or_else(|| {
            format!("must be one of {}", Self::ALL.map(|topic| topic.to_string()).join(", "))
        })
    }
}

/// What is written down of a transition that is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    pub topic: Topic,
    /// The order's state from then on.
    pub state: State,
    /// Its batch from then on, from 0.
    pub batch: usize,
}

impl Telling {
    /// What is told of a transition.
    #[must_use]
    pub fn of(order: &Order, transition: &Transition) -> Option<Self> {
        let (state, batch) = (transition.state, transition.batch);
        Some(Self { topic: Topic::of(order, transition)?, state, batch })
    }

    /// That somebody ended an order.
    #[must_use]
    pub fn aborted(order: &Order) -> Self {
        Self { topic: Topic::Aborted, state: State::Aborted, batch: order.batch }
    }
}
