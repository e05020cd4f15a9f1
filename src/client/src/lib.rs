//! Sluice on the command line, as a client of a server's API: lists, releases, and following
//! a change order to its end.
//!
//! It knows the words of `domain`, how requests are signed, and nothing else of the server.
//! How a command ended is its exit code ([`end::End`]).

mod act;
mod api;
mod change;
mod command;
mod context;
mod doctor;
pub mod end;
mod find;
mod follow;
#[cfg(test)]
mod golden;
mod hold;
mod paint;
mod prompt;
mod read;
mod release;
mod render;
mod show;
mod table;

pub use command::{ClientCommand, Reach};
pub use end::{End, Trouble};

use std::process::ExitCode;

use show::complain;

/// Runs a command, and says on standard error what went wrong.
pub async fn run(command: ClientCommand) -> ExitCode {
    ended(act::act(command).await)
}

/// Prints a link that signs in whoever calls at the console of the server, which browsers
/// reach at `site`; none = as it is called here.
pub async fn console_link(reach: &Reach, site: Option<&str>) -> ExitCode {
    ended(read::console_link(reach, site).await.map(|()| End::Done))
}

fn ended(end: Result<End, Trouble>) -> ExitCode {
    let end = match end {
        Ok(end) => end,
        Err(trouble) => {
            complain(&format!("sluice: {}", trouble.message));
            trouble.end
        }
    };
    ExitCode::from(end.code())
}
