//! Settings about connections and requests: how many, how long, and from whom.

use std::{ops::RangeInclusive, time::Duration};

use clap::Args;
use ipnet::IpNet;

use super::duration;

/// How many connections and requests there may be, how long they may take, and
/// who says where they come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connections and requests")]
pub struct EdgeServing {
    /// Connections at once, on all listeners together. Beyond it, one that has no request in hand makes room; without such a one the new one is refused.
    #[arg(long, env = "SLUICE_CONNECTIONS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Connections at once of one peer (an address, of IPv6 a /64). Trusted proxies have no such limit.
    #[arg(long, env = "SLUICE_CONNECTIONS_PER_PEER", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections_per_peer: u32,
    /// Longest time for the TLS handshake, such as 10s or 500ms (from 10ms to 10m).
    #[arg(long, env = "SLUICE_HANDSHAKE_TIMEOUT", default_value = "10s", value_parser = timeout)]
    pub handshake_timeout: Duration,
    /// Longest time from a connection, or from a request's first byte, to the end of the request's head (from 10ms to 10m).
    #[arg(long, env = "SLUICE_HEAD_TIMEOUT", default_value = "10s", value_parser = timeout)]
    pub head_timeout: Duration,
    /// Time after which a connection without a request is closed (from 10ms to 1h).
    #[arg(long, env = "SLUICE_IDLE_TIMEOUT", default_value = "75s", value_parser = long_timeout)]
    pub idle_timeout: Duration,
    /// Time after which a connection is closed whose client takes nothing more of a reply (from 10ms to 1h).
    #[arg(long, env = "SLUICE_REPLY_TIMEOUT", default_value = "60s", value_parser = long_timeout)]
    pub reply_timeout: Duration,
    /// Requests at once on one HTTP/2 connection.
    #[arg(long, env = "SLUICE_HTTP2_STREAMS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub http2_streams: u32,
    /// Time from one HTTP/2 ping of the server to the next (from 10ms to 1h).
    #[arg(long, env = "SLUICE_HTTP2_PING_INTERVAL", default_value = "30s", value_parser = long_timeout)]
    pub http2_ping_interval: Duration,
    /// Longest time for the answer to such a ping; then the connection is closed (from 10ms to 10m).
    #[arg(long, env = "SLUICE_HTTP2_PING_TIMEOUT", default_value = "10s", value_parser = timeout)]
    pub http2_ping_timeout: Duration,
    /// Requests per second from one peer, of which twice as many may come at once; 0 = any number.
    #[arg(long, env = "SLUICE_PEER_RATE", default_value_t = 2000)]
    pub peer_rate: u32,
    /// Requests per second with one access key, of which twice as many may come at once; 0 = any number.
    #[arg(long, env = "SLUICE_KEY_RATE", default_value_t = 500)]
    pub key_rate: u32,
    /// Requests per second from one peer with an unknown access key or a wrong signature, of which twice as many may come at once; 0 = any number.
    #[arg(long, env = "SLUICE_FAILURE_RATE", default_value_t = 50)]
    pub failure_rate: u32,
    /// Networks of proxies (10.0.0.0/8, ::1/128, with commas) that are believed when they say in X-Forwarded-For who the peer is, and in X-Forwarded-Proto whether it used HTTPS. Of all others these headers are ignored.
    #[arg(long, env = "SLUICE_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Accept HMAC-SHA1 signatures over plain HTTP from other machines too. Jenkins and the Maven plugin need it where there is no HTTPS proxy; somebody in between can then change what they ask for.
    #[arg(long, env = "SLUICE_ALLOW_PLAIN_HMAC_SHA1")]
    pub allow_plain_hmac_sha1: bool,
}

fn within(text: &str, allowed: RangeInclusive<Duration>, says: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if allowed.contains(&time) { Ok(time) } else { Err(format!("must be {says}")) }
}

fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(10)..=Duration::from_secs(600), "from 10ms to 10m")
}

fn long_timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(10)..=Duration::from_secs(3600), "from 10ms to 1h")
}

fn network(text: &str) -> Result<IpNet, String> {
    text.trim().parse().map_err(|_| "must be a network such as 10.0.0.0/8 or ::1/128".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        edge: EdgeServing,
    }

    fn read(flags: &[&str]) -> Result<EdgeServing, String> {
        Line::try_parse_from([&["sluice"], flags].concat())
            .map(|line| line.edge)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_setting_is_refused_and_says_what_is_allowed() {
        for (flags, says) in [
            (["--head-timeout", "1ms"], "from 10ms to 10m"),
            (["--idle-timeout", "2h"], "from 10ms to 1h"),
            (["--connections", "0"], "1..=1000000"),
            (["--trusted-proxies", "10.0.0.1/8,proxy"], "must be a network"),
            (["--peer-rate", "many"], "invalid digit"),
        ] {
            let error = read(&flags).unwrap_err();
            assert!(error.contains(flags[0]) && error.contains(says), "{error}");
        }
    }

    #[test]
    fn proxies_are_a_list_and_nobody_unless_named() {
        assert!(read(&[]).unwrap().trusted_proxies.is_empty());
        let named = read(&["--trusted-proxies", "10.0.0.0/8, ::1/128"]).unwrap().trusted_proxies;
        assert_eq!(named, ["10.0.0.0/8".parse::<IpNet>().unwrap(), "::1/128".parse().unwrap()]);
    }
}
