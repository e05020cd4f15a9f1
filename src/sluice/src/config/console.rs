//! Settings of the console.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use domain::person::{Mapping, Mappings};
use secrecy::SecretString;
use url::Url;

use super::{Database, KeyringSource};

/// A link to the console.
#[derive(Debug, Args)]
pub struct ConsoleLink {
    /// Name of the access key as which somebody signs in: the link is made in the database. Without it, a server is asked for a link for whoever calls.
    #[arg(long)]
    pub key: Option<String>,
    /// Where the server is, as browsers reach it; http://127.0.0.1:8080 with --key, or else as it is called.
    #[arg(long, env = "SLUICE_CONSOLE_URL")]
    pub url: Option<Url>,
    /// Postgres, with --key, as for `sluice serve`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// The keyring, with --key.
    #[command(flatten)]
    pub keyring: KeyringSource,
    /// The server that is asked, without --key.
    #[command(flatten)]
    pub reach: client::Reach,
}

impl ConsoleLink {
    /// The database, where there is one.
    #[must_use]
    pub fn database(&self) -> Option<Database> {
        Some(Database {
            database_url: self.database_url.clone()?,
            database_connections: 3,
            database_statement_timeout: Duration::from_secs(10),
            keyring: self.keyring.clone(),
        })
    }
}

/// Whether something is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// The variable that holds the secret of the client, if no file does. There is no flag for it:
/// the arguments of a program are shown to everybody on its machine.
pub const OIDC_SECRET: &str = "SLUICE_CONSOLE_OIDC_CLIENT_SECRET";

/// The path that the identity provider sends browsers back to.
const CALLBACK: &str = "/console/sign-in/callback";

/// Largest secret, in bytes.
const LONGEST_SECRET: u64 = 4096;

/// Settings of the console, and of signing in through an identity provider.
#[derive(Debug, Args)]
pub struct ConsoleServing {
    /// Whether people find the console at /console.
    #[arg(long, env = "SLUICE_CONSOLE", value_enum, default_value_t = Switch::On)]
    pub console: Switch,
    /// Where browsers reach this server, such as `https://sluice.example.org`. Signing in through an identity provider needs it, and notifications link to it.
    #[arg(long, env = "SLUICE_CONSOLE_URL", value_parser = oidc::site)]
    pub console_url: Option<Url>,
    /// Issuer of the identity provider (OIDC) through which people sign in at the console, exactly as the provider writes it.
    #[arg(long, env = "SLUICE_CONSOLE_OIDC_ISSUER", value_parser = oidc::issuer)]
    pub console_oidc_issuer: Option<String>,
    /// Id of this server's client at the identity provider.
    #[arg(long, env = "SLUICE_CONSOLE_OIDC_CLIENT_ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub console_oidc_client_id: Option<String>,
    /// File with the secret of the client, where SLUICE_CONSOLE_OIDC_CLIENT_SECRET does not hold it.
    #[arg(long, env = "SLUICE_CONSOLE_OIDC_CLIENT_SECRET_FILE")]
    pub console_oidc_client_secret_file: Option<PathBuf>,
    /// Scopes to ask for besides openid, separated by commas.
    #[arg(
        long,
        env = "SLUICE_CONSOLE_OIDC_SCOPES",
        value_delimiter = ',',
        default_value = "profile,email"
    )]
    pub console_oidc_scopes: Vec<String>,
    /// Claim of the ID token that lists the groups.
    #[arg(long, env = "SLUICE_CONSOLE_OIDC_GROUPS_CLAIM", default_value = "groups", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub console_oidc_groups_claim: String,
    /// A group and the name of the access key as which its members work, such as platform=release-admins. May be given often, or separated by semicolons; the first that fits counts.
    #[arg(long, env = "SLUICE_CONSOLE_OIDC_GROUP", value_delimiter = ';', value_parser = Mapping::read)]
    pub console_oidc_group: Vec<Mapping>,
    /// An e-mail address and the name of the access key as which its owner works. Goes before groups; the provider must say that the address is verified.
    #[arg(long, env = "SLUICE_CONSOLE_OIDC_EMAIL", value_delimiter = ';', value_parser = Mapping::read)]
    pub console_oidc_email: Vec<Mapping>,
    /// A subject and the name of the access key as which that person works. Goes before addresses.
    #[arg(long, env = "SLUICE_CONSOLE_OIDC_SUBJECT", value_delimiter = ';', value_parser = Mapping::read)]
    pub console_oidc_subject: Vec<Mapping>,
}

/// The identity provider, and who works as which key.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub provider: oidc::Settings,
    pub mappings: Mappings,
}

impl ConsoleServing {
    /// How people sign in through an identity provider; none if they do not. `secret` is the
    /// variable [`OIDC_SECRET`].
    ///
    /// # Errors
    /// Which setting is missing or one too many.
    pub fn sign_in(&self, secret: Option<String>) -> Result<Option<SignIn>, String> {
        let mappings = Mappings {
            subjects: self.console_oidc_subject.clone(),
            emails: self.console_oidc_email.clone(),
            groups: self.console_oidc_group.clone(),
        };
        let secret = secret.filter(|secret| !secret.is_empty());
        let is_set = self.console_oidc_issuer.is_some()
            || self.console_oidc_client_id.is_some()
            || self.console_oidc_client_secret_file.is_some()
            || secret.is_some()
            || !mappings.is_empty();
        if !is_set {
            return Ok(None);
        }
        let needs = |what: &str| format!("signing in through an identity provider needs {what}");
        if self.console == Switch::Off {
            return Err(needs("--console on (SLUICE_CONSOLE)"));
        }
        let issuer = self.console_oidc_issuer.clone().ok_or_else(|| {
            needs("--console-oidc-issuer (SLUICE_CONSOLE_OIDC_ISSUER), the provider's issuer")
        })?;
        let client_id = self.console_oidc_client_id.clone().ok_or_else(|| {
            needs("--console-oidc-client-id (SLUICE_CONSOLE_OIDC_CLIENT_ID), the client's id")
        })?;
        let url = self.console_url.clone().ok_or_else(|| {
            needs("--console-url (SLUICE_CONSOLE_URL), where browsers reach this server")
        })?;
        if mappings.is_empty() {
            return Err(needs(
                "--console-oidc-group, --console-oidc-email or --console-oidc-subject: without one nobody may sign in",
            ));
        }
        let redirect = url.join(CALLBACK).map_err(|why| format!("--console-url: {why}"))?;
        Ok(Some(SignIn {
            provider: oidc::Settings {
                issuer,
                client_id,
                client_secret: self.secret(secret)?,
                scopes: self.console_oidc_scopes.iter().map(|it| it.trim().to_owned()).collect(),
                groups_claim: self.console_oidc_groups_claim.clone(),
                redirect,
            },
            mappings,
        }))
    }

    fn secret(&self, variable: Option<String>) -> Result<SecretString, String> {
        let file = self.console_oidc_client_secret_file.as_ref();
        let (file, variable) = match (file, variable) {
            (Some(file), None) => (Some(file), None),
            (None, Some(variable)) => (None, Some(variable)),
            (Some(_), Some(_)) => {
                return Err(format!(
                    "the client's secret is given twice: by --console-oidc-client-secret-file and by {OIDC_SECRET}"
                ));
            }
            (None, None) => {
                return Err(format!(
                    "signing in through an identity provider needs the client's secret, in --console-oidc-client-secret-file (SLUICE_CONSOLE_OIDC_CLIENT_SECRET_FILE) or in {OIDC_SECRET}"
                ));
            }
        };
        let text = match file {
            Some(file) => {
                let wrong = |why: &str| {
                    format!("--console-oidc-client-secret-file: {} {why}", file.display())
                };
                let size = std::fs::metadata(file)
                    .map_err(|why| wrong(&format!("cannot be read: {why}")))?
                    .len();
                if size > LONGEST_SECRET {
                    return Err(wrong(&format!("has more than {LONGEST_SECRET} bytes")));
                }
                std::fs::read_to_string(file)
                    .map_err(|why| wrong(&format!("cannot be read: {why}")))?
            }
            None => variable.unwrap_or_default(),
        };
        match text.trim() {
            "" => Err("the client's secret is empty".into()),
            secret => Ok(secret.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use secrecy::ExposeSecret;

    use crate::config::{Cli, Command};

    const ALL: [&str; 8] = [
        "--console-url",
        "https://sluice.example.org",
        "--console-oidc-issuer",
        "https://login.example.org/realms/a",
        "--console-oidc-client-id",
        "sluice",
        "--console-oidc-group",
        "platform=release-admins;staff=readers",
    ];

    fn read(flags: &[&str], secret: Option<&str>) -> Result<Option<SignIn>, String> {
        let line =
            [&["sluice", "serve", "--database-url", "postgres://localhost/d"], flags].concat();
        let Command::Serve(serve) =
            Cli::try_parse_from(line).map_err(|why| why.to_string())?.command
        else {
            panic!("must be serve")
        };
        serve.console.sign_in(secret.map(str::to_owned))
    }

    #[test]
    fn an_identity_provider_is_set_wholly_or_not_at_all() {
        assert!(read(&[], None).unwrap().is_none());
        assert!(read(&["--console-url", "https://a.example"], Some("")).unwrap().is_none());
        let more =
            ["--console-oidc-group", "ops=operators", "--console-oidc-email", "j@a.example=jane"];
        let set = read(&[&ALL[..], &more].concat(), Some(" geheim\n")).unwrap().unwrap();
        assert_eq!(set.provider.client_secret.expose_secret(), "geheim");
        assert_eq!(
            set.provider.redirect.as_str(),
            "https://sluice.example.org/console/sign-in/callback"
        );
        assert_eq!(set.provider.scopes, ["profile", "email"]);
        let groups: Vec<&str> = set.mappings.groups.iter().map(|it| it.of.as_str()).collect();
        assert_eq!(groups, ["platform", "staff", "ops"], "in the order given");
        assert!(!format!("{set:?}").contains("geheim"));
        for (without, says) in [
            ("--console-url", "--console-url (SLUICE_CONSOLE_URL)"),
            ("--console-oidc-issuer", "SLUICE_CONSOLE_OIDC_ISSUER"),
            ("--console-oidc-client-id", "SLUICE_CONSOLE_OIDC_CLIENT_ID"),
            ("--console-oidc-group", "--console-oidc-subject"),
        ] {
            let at = ALL.iter().position(|it| *it == without).unwrap();
            let rest = [&ALL[..at], &ALL[at + 2..]].concat();
            let refused = read(&rest, Some("geheim")).unwrap_err();
            assert!(refused.contains(says) && !refused.contains("geheim"), "{refused}");
        }
        assert!(read(&ALL, None).unwrap_err().contains(OIDC_SECRET));
        assert!(read(&[], Some("geheim")).unwrap_err().contains("--console-oidc-issuer"));
        let off = [&ALL[..], &["--console", "off"]].concat();
        assert!(read(&off, Some("geheim")).unwrap_err().contains("--console on"));
    }

    #[test]
    fn the_secret_of_the_client_comes_from_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let path = file.to_str().unwrap();
        let flags = [&ALL[..], &["--console-oidc-client-secret-file", path]].concat();
        assert!(read(&flags, None).unwrap_err().contains(path), "there is no file");
        std::fs::write(&file, "geheim\n").unwrap();
        let set = read(&flags, None).unwrap().unwrap();
        assert_eq!(set.provider.client_secret.expose_secret(), "geheim");
        let twice = read(&flags, Some("other")).unwrap_err();
        assert!(twice.contains("twice") && !twice.contains("geheim"), "{twice}");
        for wrong in [String::new(), " \n".into(), "x".repeat(5000)] {
            std::fs::write(&file, wrong).unwrap();
            read(&flags, None).unwrap_err();
        }
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (flag, value) in [
            ("--console-url", "https://a.example/console"),
            ("--console-oidc-issuer", "http://login.example.org"),
            ("--console-oidc-group", "platform"),
            ("--console-oidc-email", "=jane"),
            ("--console-oidc-client-id", ""),
        ] {
            let refused = read(&[flag, value], None).unwrap_err();
            assert!(refused.contains(flag), "{refused}");
        }
    }
}
