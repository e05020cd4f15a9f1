//! The source of a change order.

use serde::{Deserialize, Serialize};

/// Through what a change was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The API.
    Api,
    /// The web console.
    Console,
    /// A command of the program.
    Cli,
    /// Nobody requested it: the program decided it.
    System,
}
