//! Channels of notifications, and the outbox of what they are still to be told.

pub(crate) mod channel;
pub(crate) mod outbox;
