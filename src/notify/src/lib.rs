//! Tells people what becomes of change orders: sends what the outbox holds.
//!
//! [`Sender`] claims what is due, sends it ([`request`]), and notes what came of it. What is
//! sent, and when it is tried again, `domain::notice` decides. A delivery may come twice, and
//! has the same id then; none is lost while its row is there. One channel that hangs holds
//! no other up.

mod request;
mod secret;
mod sender;

pub use secret::{Secrets, Unreadable};
pub use sender::{Sender, SenderConfig};
