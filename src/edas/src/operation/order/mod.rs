//! Change orders: followed and steered.

pub mod changeorder;
pub mod lines;
pub mod pipeline;
pub mod watch;
