//! The program: reads the command line, and runs the command.

mod access;
mod audit;
mod clusters;
mod command;
mod driving;
mod keyring;
mod metrics;
mod migrate;
mod notify;
mod process;
mod serve;
mod simulate;
mod statements;
mod traces;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use sluice::{
    config::{Cli, Command},
    fetch, rights,
};

use process::print;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sluice: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Serve(settings) => serve::serve(*settings).await?,
        Command::Migrate(settings) => migrate::migrate(settings).await?,
        Command::Simulate(settings) => simulate::simulate(settings).await?,
        Command::Container(settings) => command::container(*settings).await?,
        Command::Openapi => {
            print(&edas::openapi().to_pretty_json().context("the document cannot be written")?)?
        }
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut script);
            print(&String::from_utf8_lossy(&script))?
        }
        Command::Manual { folder } => {
            std::fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder))
                .with_context(|| format!("the pages cannot be written to {}", folder.display()))?;
        }
        Command::Key { command } => access::key(command).await?,
        Command::Keyring { command } => keyring::command(command).await?,
        Command::Notify { command } => notify::notify(command).await?,
        Command::Principal { command } => access::principal(command).await?,
        Command::Rights(settings) => print(&rights::document(&settings))?,
        Command::Policy { command } => access::policy(command).await?,
        Command::Audit { command } => audit::audit(command).await?,
        Command::Cluster { command } => clusters::cluster(command).await?,
        Command::Client(command) => return Ok(client::run(*command).await),
        Command::Console(settings) => return command::console_link(*settings).await,
        Command::FetchPackage(settings) => return Ok(fetch::run(&settings).await),
    }
    Ok(ExitCode::SUCCESS)
}
