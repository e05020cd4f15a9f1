//! Who may do what: access keys, principals and policies.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::{Database, Output};
use domain::{
    access::{Network, Role},
    guard::Level,
};

/// What can be done with access keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Create a key and print it. The secret is shown this once.
    Create(Box<CreateKey>),
    /// List the keys: id, name, principal, state, when each was last used and when it ends.
    List {
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// Show a key, and what is granted to its principal.
    Show(OneKey),
    /// Disable a key. Requests, sessions of the console and streams of it end within seconds.
    Disable(OneKey),
    /// Enable a key again.
    Enable(OneKey),
    /// Create a second key for the principal of this one, which may be used as this one may; the first one goes on until --grace is over.
    Rotate {
        /// The key's id or name.
        key: String,
        /// How long the first key goes on, such as 24h; it does not end by this, if not given.
        #[arg(long, value_parser = lifetime)]
        grace: Option<Duration>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// Remove a key. What was done with it stays on record.
    Rm(OneKey),
}

/// A key that is there.
#[derive(Debug, Args)]
pub struct OneKey {
    /// The key's id or name.
    pub key: String,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// What a role is granted with beyond the guardrails.
#[derive(Debug, Args)]
pub struct RoleExceptions {
    /// Level of Pod Security that pods may have by the role: privileged, baseline (if not given) or restricted.
    #[arg(long, requires = "role", value_name = "LEVEL")]
    pub pod_security: Option<Level>,
    /// Names of service accounts that pods may have by the role, * for any characters, such as 'web-*'. May be repeated.
    #[arg(long, requires = "role", value_name = "NAMES")]
    pub service_accounts: Vec<String>,
    /// Images that pods may have by the role, and no others, * for any characters, such as 'registry.example.com/*'. May be repeated.
    #[arg(long, requires = "role", value_name = "IMAGES")]
    pub registries: Vec<String>,
}

/// A key to create.
#[derive(Debug, Args)]
pub struct CreateKey {
    /// The key's name; that of its principal, if not given.
    #[arg(long, required_unless_present = "principal")]
    pub name: Option<String>,
    /// The principal whose key it is, which is created if it is not there; one of the key's name, if not given. It may have two keys that may be used.
    #[arg(long)]
    pub principal: Option<String>,
    /// A principal that is created is a person, not a program.
    #[arg(long)]
    pub person: bool,
    /// What is granted to the principal. Without --role and --policy a new principal may do everything, and `sluice serve` warns of it.
    #[arg(long)]
    pub role: Option<Role>,
    /// Kubernetes namespace that the role is for, * for any characters.
    #[arg(long, default_value = "*", requires = "role")]
    pub namespace: String,
    /// Name of the applications that the role is for, * for any characters, such as 'web-*'.
    #[arg(long, default_value = "*", requires = "role")]
    pub application: String,
    /// What the role is granted with.
    #[command(flatten)]
    pub exceptions: RoleExceptions,
    /// A policy that is attached to the principal.
    #[arg(long)]
    pub policy: Option<String>,
    /// How long the key may be used, such as 720h; for ever, if not given.
    #[arg(long, value_parser = lifetime)]
    pub expires_in: Option<Duration>,
    /// A signature scheme that the key may be used with; all, if not given. May be repeated.
    #[arg(long, value_enum)]
    pub scheme: Vec<SignatureScheme>,
    /// An address or a network that the key may be used from, such as 10.1.0.0/16; all, if not given. May be repeated.
    #[arg(long)]
    pub from: Vec<Network>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SignatureScheme {
    /// The newer one.
    #[value(name = "acs3-hmac-sha256")]
    Acs3HmacSha256,
    /// The old one.
    #[value(name = "hmac-sha1")]
    HmacSha1,
}

impl SignatureScheme {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acs3HmacSha256 => "acs3-hmac-sha256",
            Self::HmacSha1 => "hmac-sha1",
        }
    }
}

/// What can be done with principals.
#[derive(Debug, Subcommand)]
pub enum PrincipalCommand {
    /// Create a principal, who may do nothing until something is granted.
    Create {
        /// Its name.
        name: String,
        /// It is a person, not a program.
        #[arg(long)]
        person: bool,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// List the principals, and what is granted to them.
    List {
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// Show a principal, what is granted to it, and its keys.
    Show(OnePrincipal),
    /// Remove a principal with its keys. What was done by it stays on record.
    Rm(OnePrincipal),
}

/// A principal that is there.
#[derive(Debug, Args)]
pub struct OnePrincipal {
    /// Its name.
    pub name: String,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write a policy of RAM's JSON under a name. What cannot be honoured is refused and named.
    Create {
        /// Its name: letters, digits and '-'.
        name: String,
        /// The file with the policy; - reads standard input.
        #[arg(long)]
        file: PathBuf,
        /// Take the place of a policy of this name.
        #[arg(long)]
        replace: bool,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// List the roles and policies, and to whom each policy is attached.
    List {
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// Print a policy.
    Show(OnePolicy),
    /// Grant a role or a policy to a principal. What nobody chose for it ends.
    Attach(Attachment),
    /// Take a role or a policy from a principal.
    Detach(Attachment),
    /// Remove a policy that is attached to nobody.
    Rm(OnePolicy),
}

/// A policy that is there.
#[derive(Debug, Args)]
pub struct OnePolicy {
    /// Its name.
    pub name: String,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// Something that is granted to a principal.
#[derive(Debug, Args)]
pub struct Attachment {
    /// The principal's name.
    #[arg(long)]
    pub principal: String,
    /// A policy.
    #[arg(long, conflicts_with = "role", required_unless_present = "role")]
    pub policy: Option<String>,
    /// A role.
    #[arg(long)]
    pub role: Option<Role>,
    /// Kubernetes namespace that the role is for, * for any characters.
    #[arg(long, default_value = "*", requires = "role")]
    pub namespace: String,
    /// Name of the applications that the role is for, * for any characters, such as 'web-*'.
    #[arg(long, default_value = "*", requires = "role")]
    pub application: String,
    /// What the role is granted with.
    #[command(flatten)]
    pub exceptions: RoleExceptions,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let time = super::duration(text)?;
    let allowed = Duration::from_secs(60)..=Duration::from_secs(10 * 366 * 24 * 3600);
    if allowed.contains(&time) { Ok(time) } else { Err("must be from 1m to ten years".into()) }
}
