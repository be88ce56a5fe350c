//! What the process is told: by flags, or by environment variables of the container.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{ArgAction, Parser};

use crate::engine::EngineSettings;
use crate::engine::session::Patience;
use crate::flight::hub::Terms;
use crate::flight::token::BearerToken;
use crate::rules::activation::Identity;
use crate::rules::admission::{BeforeActivation, Limits};

/// DuckDB behind Arrow Flight SQL: the worker of Duckworker.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Args {
    /// The address to listen on; all of them by default
    #[arg(long, env = "DUCKWORKER_ADDRESS", default_value_t = IpAddr::V6(Ipv6Addr::UNSPECIFIED))]
    address: IpAddr,
    /// The port to listen on
    #[arg(long, env = "DUCKWORKER_PORT", default_value_t = 8816)]
    port: u16,
    /// The environment variable that holds the bearer token
    #[arg(long, env = "DUCKWORKER_TOKEN_ENV", default_value = "DUCKWORKER_TOKEN")]
    token_env: OsString,
    /// The folder that holds tls.crt and tls.key
    #[arg(long, env = "DUCKWORKER_TLS_DIR", default_value = "/etc/duckworker/tls")]
    tls_dir: PathBuf,
    /// The database file; in memory if unset
    #[arg(long, env = "DUCKWORKER_DATABASE")]
    database: Option<PathBuf>,
    /// The folder for what does not fit into memory; one in the system's folder for such if unset
    #[arg(long, env = "DUCKWORKER_SPILL_DIR")]
    spill_dir: Option<PathBuf>,
    /// The memory limit of DuckDB, such as 2GB; four fifths of the container's if unset
    #[arg(long, env = "DUCKWORKER_MEMORY_LIMIT")]
    memory_limit: Option<String>,
    /// The threads of DuckDB; as many as the container has processors if unset
    #[arg(long, env = "DUCKWORKER_THREADS")]
    threads: Option<u32>,
    /// Another setting of DuckDB, as NAME=VALUE; may be given several times
    #[arg(long, env = "DUCKWORKER_SETTINGS", value_parser = setting, value_delimiter = ',')]
    setting: Vec<(String, String)>,
    /// How many sessions `CreateSession` may begin at a time
    #[arg(long, env = "DUCKWORKER_MAX_SESSIONS", default_value_t = 1)]
    max_sessions: usize,
    /// How many connections may run statements without such a session
    #[arg(long, env = "DUCKWORKER_MAX_CONNECTIONS", default_value_t = 128)]
    max_connections: usize,
    /// Whether statements are refused before a tenant's activation is in force
    #[arg(long, env = "DUCKWORKER_REQUIRE_ACTIVATION", default_value_t = true, action = ArgAction::Set)]
    require_activation: bool,
    /// How long a statement may take, from its start until its last row is sent, in seconds; 0 for
    /// as long as it likes
    #[arg(long, env = "DUCKWORKER_QUERY_TIMEOUT_SECONDS", default_value_t = 0)]
    query_timeout_seconds: u64,
    /// How long a statement waits for the one before it on the same session, in seconds
    #[arg(long, env = "DUCKWORKER_BUSY_TIMEOUT_SECONDS", default_value_t = 10)]
    busy_timeout_seconds: u64,
    /// How long a result waits to be fetched, in seconds
    #[arg(long, env = "DUCKWORKER_RESULT_TIMEOUT_SECONDS", default_value_t = 60)]
    result_timeout_seconds: u64,
    /// How long sessions may go on once the process is told to end, in seconds; a tenth less than the
    /// grace, and at most half a minute less, if unset
    #[arg(long, env = "DUCKWORKER_DRAIN_TIMEOUT_SECONDS")]
    drain_timeout_seconds: Option<u64>,
    /// How long after it is told to end the process is killed, in seconds; set by the controller
    #[arg(long, env = "DUCKWORKER_GRACE_SECONDS", default_value_t = 900)]
    grace_seconds: u64,
    /// How often the engine is asked whether it still answers, in seconds
    #[arg(long, env = "DUCKWORKER_PROBE_SECONDS", default_value_t = 5)]
    probe_seconds: u64,
    /// The worker's uid; set by the controller
    #[arg(long, env = "DUCKWORKER_UID", hide = true)]
    uid: Option<String>,
    /// The worker's name; set by the controller
    #[arg(long, env = "DUCKWORKER_NAME", hide = true)]
    name: Option<String>,
    /// What is logged: directives such as "info,tonic=debug"
    #[arg(long, env = "DUCKWORKER_LOG", default_value = "info")]
    pub log_filter: String,
}

impl Args {
    /// Where to listen.
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// The folder of certificate and key.
    pub fn tls_dir(&self) -> &std::path::Path {
        &self.tls_dir
    }

    /// The token out of the environment.
    ///
    /// # Errors
    /// When there is none: a worker never serves without.
    pub fn token(&self) -> Result<BearerToken> {
        let name = self.token_env.to_string_lossy();
        let Ok(token) = std::env::var(&self.token_env) else {
            bail!("the environment variable {name} does not hold the bearer token");
        };
        match BearerToken::new(token) {
            Some(token) => Ok(token),
            None => {
                bail!("the environment variable {name} is empty; it must hold the bearer token")
            }
        }
    }

    /// How the engine is set up.
    pub fn engine(&self) -> EngineSettings {
        let spill = || std::env::temp_dir().join("duckworker-spill");
        EngineSettings {
            database: self.database.clone(),
            spill_folder: Some(self.spill_dir.clone().unwrap_or_else(spill)),
            memory_limit: self.memory_limit.clone(),
            threads: self.threads,
            others: self.setting.clone(),
        }
    }

    /// What the worker keeps to.
    pub fn terms(&self) -> Terms {
        let before_activation = if self.require_activation {
            BeforeActivation::Refuse
        } else {
            BeforeActivation::Allow
        };
        let statement = Duration::from_secs(self.query_timeout_seconds);
        Terms {
            identity: Identity(self.uid.iter().chain(&self.name).cloned().collect()),
            limits: Limits {
                sessions: self.max_sessions,
                connections: self.max_connections,
                before_activation,
            },
            patience: Patience {
                statement: Some(statement).filter(|limit| !limit.is_zero()),
                busy: Duration::from_secs(self.busy_timeout_seconds),
            },
            unclaimed: Duration::from_secs(self.result_timeout_seconds),
        }
    }

    /// How long a drain may take. Sessions that last longer are told so, which takes a moment before
    /// the process is killed.
    pub fn grace(&self) -> Duration {
        let moment = (self.grace_seconds / 10).clamp(1, 30);
        let told = self.drain_timeout_seconds;
        Duration::from_secs(told.unwrap_or_else(|| self.grace_seconds.saturating_sub(moment)))
    }

    /// How often the engine is probed.
    pub fn probe_period(&self) -> Duration {
        Duration::from_secs(self.probe_seconds.max(1))
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(flags: &[&str]) -> Args {
        Args::parse_from(["duckdb-worker"].iter().chain(flags))
    }

    #[test]
    fn the_defaults_are_what_the_controller_sets() {
        let args = args(&[]);
        assert_eq!(args.listen().port(), 8816);
        assert_eq!(args.tls_dir(), std::path::Path::new("/etc/duckworker/tls"));
        let terms = args.terms();
        assert_eq!(terms.limits.sessions, 1);
        assert_eq!(terms.limits.before_activation, BeforeActivation::Refuse);
        assert_eq!(terms.patience.statement, None);
    }

    #[test]
    fn a_drain_ends_before_the_process_is_killed() {
        for (grace, drain) in [("900", 870), ("3600", 3570), ("10", 9), ("1", 0), ("0", 0)] {
            let drains = args(&["--grace-seconds", grace]).grace();
            assert_eq!(drains, Duration::from_secs(drain), "of {grace} s");
        }
        assert_eq!(args(&[]).grace(), Duration::from_secs(870));
        let own = args(&["--grace-seconds", "60", "--drain-timeout-seconds", "20"]);
        assert_eq!(own.grace(), Duration::from_secs(20));
    }

    #[test]
    fn settings_are_pairs() {
        let args = args(&["--setting", "a=1,b = x=y", "--setting", "c=", "--threads", "2"]);
        let pairs: Vec<_> = args.setting.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x=y"), ("c", "")]);
        assert!(Args::try_parse_from(["duckdb-worker", "--setting", "a"]).is_err());
    }

    #[test]
    fn no_worker_without_a_token() {
        let args = args(&["--token-env", "DUCKWORKER_NO_SUCH_TOKEN"]);
        assert!(args.token().unwrap_err().to_string().contains("DUCKWORKER_NO_SUCH_TOKEN"));
    }
}
