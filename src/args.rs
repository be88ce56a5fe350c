//! The command line. Every flag can be given as an environment variable too.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use jiff::SignedDuration;

use crate::observe::logs::{LogFormat, LogSettings};
use crate::settings::{
    Election, JanitorTimes, LeaseTimes, RefreshTimes, Scope, Settings, SettingsError,
};

/// Runs fleets of DuckDB workers on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "duckworker", version, about)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller. Any number of replicas may run; all are active.
    Controller(Box<ControllerArgs>),
}

/// The flags of the controller.
#[derive(Debug, ClapArgs)]
pub struct ControllerArgs {
    /// Look after this namespace only; may be given several times. All namespaces if not given
    #[arg(long, env = "DUCKWORKER_NAMESPACE", value_delimiter = ',', value_name = "NAME")]
    namespace: Vec<String>,

    /// The namespace that holds the Leases of all instances
    #[arg(long, env = "POD_NAMESPACE", default_value = "duckworker-system", value_name = "NAME")]
    lease_namespace: String,

    /// Where /livez, /readyz and /metrics are served; port 0 takes a free one
    #[arg(long, env = "DUCKWORKER_ADMIN_ADDRESS", default_value = "0.0.0.0:8080")]
    admin_address: SocketAddr,

    /// How many objects are worked on at once
    #[arg(long, env = "DUCKWORKER_CONCURRENCY", default_value = "32", value_name = "N")]
    concurrency: NonZeroUsize,

    /// How long to wait, when told to stop, until peers have taken over the workers
    #[arg(long, env = "DUCKWORKER_SHUTDOWN_GRACE", default_value = "25s", value_parser = time)]
    shutdown_grace: Duration,

    #[command(flatten)]
    log: LogArgs,

    #[command(flatten)]
    lease: LeaseArgs,

    #[command(flatten)]
    janitor: JanitorArgs,

    #[command(flatten)]
    refresh: RefreshArgs,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Logs")]
struct LogArgs {
    /// The form of a log line
    #[arg(long, env = "DUCKWORKER_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,

    /// What is logged: a level, and levels of single parts
    #[arg(long, env = "DUCKWORKER_LOG", default_value = "info", value_name = "DIRECTIVES")]
    log_filter: String,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Leases of instances")]
struct LeaseArgs {
    /// From one renewal of the own Lease to the next
    #[arg(long = "lease-renew", env = "DUCKWORKER_LEASE_RENEW", default_value = "5s", value_parser = time)]
    renew: Duration,

    /// Stop acting when the own Lease could not be renewed for so long
    #[arg(long = "lease-pause", env = "DUCKWORKER_LEASE_PAUSE", default_value = "15s", value_parser = time)]
    pause: Duration,

    /// Believe an instance dead when its Lease was not renewed for so long
    #[arg(long = "lease-expire", env = "DUCKWORKER_LEASE_EXPIRE", default_value = "20s", value_parser = time)]
    expire: Duration,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Janitor")]
struct JanitorArgs {
    /// Whether one instance at a time cleans up, or all at once
    #[arg(long, env = "DUCKWORKER_JANITOR_ELECTION", value_enum, default_value_t)]
    janitor_election: Election,

    /// From one look at everything to the next
    #[arg(long, env = "DUCKWORKER_JANITOR_INTERVAL", default_value = "5s", value_parser = time)]
    janitor_interval: Duration,

    /// What one step of the janitor may take
    #[arg(long, env = "DUCKWORKER_JANITOR_STEP_DEADLINE", default_value = "30s", value_parser = time)]
    janitor_step_deadline: Duration,

    /// How long workers of a dead owner wait for another before they are ended
    #[arg(long, env = "DUCKWORKER_ORPHAN_GRACE", default_value = "30s", value_parser = time)]
    orphan_grace: Duration,

    /// How old a pod or a secret without a live worker gets
    #[arg(long, env = "DUCKWORKER_STRANDED_GRACE", default_value = "2min", value_parser = time)]
    stranded_grace: Duration,

    /// The least time that a worker has for its start, whatever its own time-out
    #[arg(long, env = "DUCKWORKER_STUCK_SPAWNING", default_value = "10min", value_parser = time)]
    stuck_spawning: Duration,

    /// The least time that a worker has for its activation, whatever its own time-out
    #[arg(long, env = "DUCKWORKER_STUCK_ACTIVATING", default_value = "5min", value_parser = time)]
    stuck_activating: Duration,

    /// What a worker gets beyond its own time-out before it counts as stuck
    #[arg(long, env = "DUCKWORKER_STUCK_MARGIN", default_value = "2min", value_parser = time)]
    stuck_margin: Duration,

    /// How long a worker or an instance may drain; there is no "for ever"
    #[arg(long, env = "DUCKWORKER_DRAINING_LIMIT", default_value = "2h", value_parser = time)]
    draining_limit: Duration,

    /// How long the Lease of a dead instance stays readable
    #[arg(long, env = "DUCKWORKER_INSTANCE_RETENTION", default_value = "1h", value_parser = time)]
    instance_retention: Duration,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Credentials of tenants")]
struct RefreshArgs {
    /// From one look at whose credentials are due to the next
    #[arg(long, env = "DUCKWORKER_REFRESH_INTERVAL", default_value = "5s", value_parser = time)]
    refresh_interval: Duration,

    /// How long credentials live when nobody knows when they were made; they are refreshed when
    /// less than half of it is left
    #[arg(long, env = "DUCKWORKER_CREDENTIAL_LIFETIME", default_value = "1h", value_parser = time)]
    credential_lifetime: Duration,
}

impl ControllerArgs {
    /// The settings that these flags ask for.
    ///
    /// # Errors
    /// What in them cannot work, in a sentence.
    pub fn settings(self) -> Result<Settings, SettingsError> {
        Settings {
            scope: scope(self.namespace),
            lease_namespace: self.lease_namespace,
            admin_address: self.admin_address,
            concurrency: self.concurrency,
            shutdown_grace: self.shutdown_grace,
            log: self.log.settings(),
            lease: self.lease.settings(),
            janitor: self.janitor.settings(),
            refresh: self.refresh.settings(),
        }
        .checked()
    }
}

impl LogArgs {
    fn settings(self) -> LogSettings {
        LogSettings { format: self.log_format, filter: self.log_filter }
    }
}

impl LeaseArgs {
    const fn settings(&self) -> LeaseTimes {
        LeaseTimes { renew: self.renew, pause: self.pause, expire: self.expire }
    }
}

impl JanitorArgs {
    const fn settings(&self) -> JanitorTimes {
        JanitorTimes {
            election: self.janitor_election,
            interval: self.janitor_interval,
            step_deadline: self.janitor_step_deadline,
            orphan_grace: self.orphan_grace,
            stranded_grace: self.stranded_grace,
            stuck_spawning: self.stuck_spawning,
            stuck_activating: self.stuck_activating,
            stuck_margin: self.stuck_margin,
            draining_limit: self.draining_limit,
            instance_retention: self.instance_retention,
        }
    }
}

impl RefreshArgs {
    const fn settings(&self) -> RefreshTimes {
        RefreshTimes { interval: self.refresh_interval, lifetime: self.credential_lifetime }
    }
}

/// An empty variable means all namespaces, as an unset one does.
fn scope(mut namespaces: Vec<String>) -> Scope {
    namespaces.retain(|name| !name.is_empty());
    namespaces.sort();
    namespaces.dedup();
    if namespaces.is_empty() { Scope::Cluster } else { Scope::Namespaces(namespaces) }
}

/// `5s`, `2min`, `1h 30m`, or ISO 8601's `PT5S`.
fn time(text: &str) -> Result<Duration, String> {
    let rule = || format!("{text:?} is no length of time: write it like 5s, 2min or 1h 30m");
    let time: SignedDuration = text.parse().map_err(|_| rule())?;
    Duration::try_from(time).map_err(|_| rule())
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
