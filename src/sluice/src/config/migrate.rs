//! Settings of the command that applies migrations.

use clap::Args;

use super::Database;

/// How migrations are applied.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Print which migrations are pending, what each does and which tables it holds up, and apply none. Nothing is written.
    #[arg(long, conflicts_with = "serving_role")]
    pub plan: bool,
    /// The role of the database that `sluice serve` connects as: it is granted what serving needs, and nothing more. The migrating role owns the tables.
    #[arg(long)]
    pub serving_role: Option<String>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
