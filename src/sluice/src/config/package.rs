//! Settings about packages: where they may come from, and what fetches them.
//!
//! The server and `sluice fetch-package` have the same ones; the server gives its
//! own on to the init container in the environment.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use super::duration;

mod upload;

pub use upload::PackageUploads;

use domain::{
    package::{Checksum, HostPattern, PackagePolicy},
    template::{
        java::{
            CHECKSUM_VARIABLE, FILE_VARIABLE, FOLDER_VARIABLE, SERVER_XML_VARIABLE, URL_VARIABLE,
        },
        spec::EnvVar,
    },
};

const SCHEMES: &str = "SLUICE_PACKAGE_SCHEMES";
const HOSTS: &str = "SLUICE_PACKAGE_HOSTS";
const ADDRESSES: &str = "SLUICE_PACKAGE_ALLOW_ADDRESSES";
const LIMIT: &str = "SLUICE_PACKAGE_LIMIT";
const CONNECT_TIMEOUT: &str = "SLUICE_PACKAGE_CONNECT_TIMEOUT";
const TIMEOUT: &str = "SLUICE_PACKAGE_TIMEOUT";
const ATTEMPTS: &str = "SLUICE_PACKAGE_ATTEMPTS";
const PAUSE: &str = "SLUICE_PACKAGE_PAUSE";

/// Where packages may come from, and how they are fetched.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Packages")]
pub struct PackageRules {
    /// Schemes that addresses of packages may have.
    #[arg(long, env = SCHEMES, value_delimiter = ',', default_value = "http,https", value_parser = scheme)]
    pub package_schemes: Vec<String>,
    /// Hosts that packages may come from: *, names, or *.example.com, with commas. Where a host is named the server looks whether a package is there also on a private network.
    #[arg(long, env = HOSTS, value_delimiter = ',', default_value = "*")]
    pub package_hosts: Vec<HostPattern>,
    /// Networks (10.0.0.0/8, ::1/128, with commas) whose addresses are allowed although they are loopback, link-local, metadata, reserved or multicast addresses, which are refused otherwise, or private ones, which the server itself does not look at otherwise.
    #[arg(long, env = ADDRESSES, value_delimiter = ',', value_parser = network)]
    pub package_allow_addresses: Vec<IpNet>,
    /// Largest package, in MB.
    #[arg(long, env = LIMIT, default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub package_limit: u64,
    /// Longest time until a connection to a package's server is there, such as 10s (from 10ms to 10m).
    #[arg(long, env = CONNECT_TIMEOUT, default_value = "10s", value_parser = timeout)]
    pub package_connect_timeout: Duration,
    /// Longest time for fetching a package, all attempts together, such as 10m (from 10ms to 24h).
    #[arg(long, env = TIMEOUT, default_value = "10m", value_parser = long_timeout)]
    pub package_timeout: Duration,
    /// Attempts at fetching a package while the trouble may pass.
    #[arg(long, env = ATTEMPTS, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub package_attempts: u32,
    /// Pause after the first attempt; it doubles with each, up to 30s.
    #[arg(long, env = PAUSE, default_value = "1s", value_parser = timeout)]
    pub package_pause: Duration,
}

impl PackageRules {
    /// Where packages may come from.
    #[must_use]
    pub fn policy(&self) -> PackagePolicy {
        PackagePolicy {
            schemes: self.package_schemes.clone(),
            hosts: self.package_hosts.clone(),
            addresses: self.package_allow_addresses.clone(),
        }
    }

    /// Largest package, in bytes.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        self.package_limit << 20
    }

    /// The same settings as environment variables of another program.
    #[must_use]
    pub fn variables(&self) -> Vec<EnvVar> {
        fn list<T: ToString>(items: &[T]) -> String {
            items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
        let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
        let variables = [
            (SCHEMES, list(&self.package_schemes)),
            (HOSTS, list(&self.package_hosts)),
            (ADDRESSES, list(&self.package_allow_addresses)),
            (LIMIT, self.package_limit.to_string()),
            (CONNECT_TIMEOUT, milliseconds(self.package_connect_timeout)),
            (TIMEOUT, milliseconds(self.package_timeout)),
            (ATTEMPTS, self.package_attempts.to_string()),
            (PAUSE, milliseconds(self.package_pause)),
        ];
        let given = variables.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| EnvVar::plain(name, value)).collect()
    }
}

/// What the server needs to release packages.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Packages")]
pub struct PackageServing {
    /// Image of this program for the init container that fetches packages. Without it no package is released.
    #[arg(long, env = "SLUICE_PACKAGE_IMAGE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub package_image: Option<String>,
    /// JSON file with the images that packages run on: a list of {"jdk", "webContainer" (null for JARs), "image"}.
    #[arg(long, env = "SLUICE_RUNTIME_IMAGES")]
    pub runtime_images: Option<PathBuf>,
    /// Where packages that are uploaded are kept: a folder, file:///folder, or s3://bucket/prefix with the AWS_* variables of the environment. Without it none can be uploaded.
    #[arg(long, env = "SLUICE_PACKAGE_STORE", requires = "package_store_url", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub package_store: Option<String>,
    /// Address of this server as pods reach it, where they fetch uploaded packages, such as `http://sluice.tools:8080`.
    #[arg(long, env = "SLUICE_PACKAGE_STORE_URL", requires = "package_store", value_parser = store_url)]
    pub package_store_url: Option<Url>,
    /// How much may be uploaded.
    #[command(flatten)]
    pub uploads: PackageUploads,
    /// Where packages may come from.
    #[command(flatten)]
    pub rules: PackageRules,
}

impl PackageServing {
    /// What the init container is told of where packages may come from: also
    /// from this server's own store.
    #[must_use]
    pub fn variables(&self) -> Vec<EnvVar> {
        let mut rules = self.rules.clone();
        if let Some((url, host)) =
            self.package_store_url.as_ref().and_then(|url| Some((url, url.host_str()?)))
        {
            if !rules.package_schemes.iter().any(|scheme| scheme == url.scheme()) {
                rules.package_schemes.push(url.scheme().into());
            }
            if !rules.package_hosts.iter().any(|pattern| pattern.matches(host)) {
                rules.package_hosts.push(HostPattern::Exactly(host.into()));
            }
        }
        rules.variables()
    }
}

/// Settings of `sluice fetch-package`.
#[derive(Debug, Args)]
pub struct FetchPackage {
    /// The package's address. It may hold credentials: better in the environment than on the command line.
    #[arg(long, env = URL_VARIABLE, hide_env_values = true)]
    pub url: SecretString,
    /// The folder that it comes into. It is made if it is not there.
    #[arg(long, env = FOLDER_VARIABLE, default_value = ".")]
    pub folder: PathBuf,
    /// Its place in that folder; the address's own name if absent.
    #[arg(long, env = FILE_VARIABLE)]
    pub file: Option<PathBuf>,
    /// What it must be: sha256=<64 hex digits> or md5=<32 hex digits>.
    #[arg(long, env = CHECKSUM_VARIABLE)]
    pub checksum: Option<Checksum>,
    /// Text of a file server.xml to write into the folder too.
    #[arg(long, env = SERVER_XML_VARIABLE, hide_env_values = true)]
    pub server_xml: Option<String>,
    /// File that a failure's line is written to as well.
    #[arg(long, env = "SLUICE_TERMINATION_LOG", default_value = "/dev/termination-log")]
    pub termination_log: PathBuf,
    /// Where packages may come from.
    #[command(flatten)]
    pub rules: PackageRules,
}

fn scheme(text: &str) -> Result<String, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        known @ ("http" | "https") => Ok(known.into()),
        _ => Err("must be http or https".into()),
    }
}

fn store_url(text: &str) -> Result<Url, String> {
    plain_address(text, "http://sluice.tools:8080")
}

/// An address of HTTP as whole as this example.
pub(super) fn plain_address(text: &str, example: &str) -> Result<Url, String> {
    let wrong =
        || format!("must be an address such as {example}, without user, query and fragment");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && is_plain {
        Ok(url)
    } else {
        Err(wrong())
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| "must be a network such as 10.0.0.0/8, or an address".into())
}

fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(600), "10m")
}

fn long_timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(24 * 3600), "24h")
}

fn within(text: &str, most: Duration, shown: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let least = Duration::from_millis(10);
    if (least..=most).contains(&time) {
        Ok(time)
    } else {
        Err(format!("must be from 10ms to {shown}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        rules: PackageRules,
    }

    #[test]
    fn the_rules_come_back_from_the_variables_that_they_are_given_on_as() {
        let line = [
            "x",
            "--package-hosts",
            "*.example.com,10.0.0.5",
            "--package-allow-addresses",
            "127.0.0.1,fe80::/10",
            "--package-pause",
            "20ms",
        ];
        let rules = Line::try_parse_from(line).unwrap().rules;
        let flags = rules.variables().into_iter().flat_map(|it| {
            let flag = it.name.strip_prefix("SLUICE_").unwrap().to_lowercase().replace('_', "-");
            [format!("--{flag}"), it.value]
        });
        let again =
            Line::try_parse_from(std::iter::once("x".to_owned()).chain(flags)).unwrap().rules;
        assert_eq!(format!("{again:?}"), format!("{rules:?}"));
        assert_eq!(rules.policy().addresses.len(), 2);
    }

    #[derive(Debug, Parser)]
    struct Server {
        #[command(flatten)]
        packages: PackageServing,
    }

    #[test]
    fn pods_may_fetch_from_the_servers_own_store_too() {
        let store =
            ["--package-store", "/packages", "--package-store-url", "http://sluice.tools:8080"];
        let value = |flags: &[&str], name: &str| {
            let line = [&["x"], &store[..], flags].concat();
            let variables = Server::try_parse_from(line).unwrap().packages.variables();
            variables.into_iter().find(|variable| variable.name == name).unwrap().value
        };
        let narrow = ["--package-hosts", "files.example.com", "--package-schemes", "https"];
        assert_eq!(value(&narrow, HOSTS), "files.example.com,sluice.tools");
        assert_eq!(value(&narrow, SCHEMES), "https,http");
        assert_eq!(value(&[], HOSTS), "*");
        assert_eq!(value(&["--package-hosts", "*.tools"], HOSTS), "*.tools");
    }

    #[test]
    fn a_store_and_its_address_belong_together() {
        for flags in [
            &["--package-store", "/packages"][..],
            &["--package-store-url", "http://h"],
            &["--package-store", "/p", "--package-store-url", "ftp://h"],
            &["--package-store", "/p", "--package-store-url", "http://u:p@h"],
            &["--package-store", "/p", "--package-store-url", "http://h?q"],
        ] {
            assert!(Server::try_parse_from([&["x"], flags].concat()).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (flag, value) in [
            ("--package-schemes", "ftp"),
            ("--package-hosts", "a*b"),
            ("--package-allow-addresses", "10.0.0.0/33"),
            ("--package-limit", "0"),
            ("--package-timeout", "1ms"),
            ("--package-attempts", "0"),
        ] {
            assert!(Line::try_parse_from(["x", flag, value]).is_err(), "{flag} {value}");
        }
    }
}
