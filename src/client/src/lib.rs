//! Sluice on the command line, as a client of a server's API: lists, releases, and following
//! a change order to its end.
//!
//! It knows the words of `domain`, how requests are signed, and nothing else of the server.
//! How a command ended is its exit code ([`end::End`]).

mod act;
mod api;
mod command;
mod context;
pub mod end;
mod follow;
mod release;
mod render;
mod show;

pub use command::ClientCommand;
pub use end::{End, Trouble};

use std::process::ExitCode;

use show::complain;

/// Runs a command, and says on standard error what went wrong.
pub async fn run(command: ClientCommand) -> ExitCode {
    let end = match act::act(command).await {
        Ok(end) => end,
        Err(trouble) => {
            complain(&format!("sluice: {}", trouble.message));
            trouble.end
        }
    };
    ExitCode::from(end.code())
}
