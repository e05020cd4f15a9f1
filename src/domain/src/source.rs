//! Where a change comes from.

use serde::{Deserialize, Serialize};

/// What a change was asked for through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The API.
    Api,
    /// The web console.
    Console,
    /// A command of the program.
    Cli,
    /// Nobody: the program decided it by itself.
    System,
}
