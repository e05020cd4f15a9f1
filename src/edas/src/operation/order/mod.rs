//! Change orders: followed and steered.

pub mod changeorder;
pub mod hold;
pub mod lines;
pub mod pipeline;
pub mod watch;
