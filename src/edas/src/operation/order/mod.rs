//! Change orders: followed and steered.

pub mod changeorder;
pub mod pipeline;
