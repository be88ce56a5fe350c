//! What the controller is told, checked: whoever holds [`Settings`] need not check again.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use duckworker_core::plan::janitor::Limits;

use crate::observe::logs::LogSettings;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which namespaces are looked after.
    pub scope: Scope,
    /// Where the Leases of instances are.
    pub lease_namespace: String,
    /// Where the admin server listens.
    pub admin_address: SocketAddr,
    /// How many objects are worked on at once.
    pub concurrency: NonZeroUsize,
    /// How long a peer may take to hand over its workers when it is told to stop.
    pub shutdown_grace: Duration,
    /// How logs are written.
    pub log: LogSettings,
    /// The instance's Lease.
    pub lease: LeaseTimes,
    /// The janitor's limits.
    pub janitor: JanitorTimes,
    /// The refresh of tenants' credentials.
    pub refresh: RefreshTimes,
}

/// The refresh of tenants' credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshTimes {
    /// From one look at who is due to the next.
    pub interval: Duration,
    /// How long credentials are assumed to live when nobody knows when they were made.
    pub lifetime: Duration,
}

/// Which namespaces are looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// These, each once; never empty.
    Namespaces(Vec<String>),
}

impl Scope {
    /// The namespaces by name; empty for all.
    pub fn namespaces(&self) -> &[String] {
        match self {
            Self::Cluster => &[],
            Self::Namespaces(names) => names,
        }
    }
}

impl std::fmt::Display for Scope {
    /// As it stands on the Lease.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cluster => f.write_str("*"),
            Self::Namespaces(names) => f.write_str(&names.join(",")),
        }
    }
}

/// The times of an instance's Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// From one renewal to the next.
    pub renew: Duration,
    /// An instance that has not renewed for so long, on its own clock, pauses.
    pub pause: Duration,
    /// An instance that nobody has seen renew for so long, on the watcher's clock, is dead.
    pub expire: Duration,
}

/// Who of several instances runs the janitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Election {
    /// One at a time, chosen by a Lease.
    #[default]
    On,
    /// All at once: safe, since every act is fenced, but wasteful.
    Off,
}

/// The janitor's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JanitorTimes {
    /// Who runs it.
    pub election: Election,
    /// From one tick to the next.
    pub interval: Duration,
    /// What one step of a tick may take.
    pub step_deadline: Duration,
    /// How long workers of a dead owner wait for another.
    pub orphan_grace: Duration,
    /// How old a pod or secret without a live worker gets.
    pub stranded_grace: Duration,
    /// The least time that a worker has for its start.
    pub stuck_spawning: Duration,
    /// The least time that a worker has for its activation.
    pub stuck_activating: Duration,
    /// What a worker gets beyond its own time-out before it counts as stuck.
    pub stuck_margin: Duration,
    /// How long an instance or a worker may drain.
    pub draining_limit: Duration,
    /// How long the Lease of a dead instance stays readable.
    pub instance_retention: Duration,
}

/// A combination that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A namespace that cannot exist.
    #[error("{flag} {value:?} is no namespace: write 1 to 63 lower-case letters, digits and '-'")]
    Namespace {
        /// The flag.
        flag: &'static str,
        /// What it says.
        value: String,
    },
    /// A time that must not be zero.
    #[error("{0} is 0: give it a time such as 5s")]
    Zero(&'static str),
    /// An instance would pause between two renewals that go well.
    #[error(
        "--lease-pause ({pause:?}) must be longer than --lease-renew ({renew:?}), best three times as long"
    )]
    PausesTooSoon {
        /// The pause.
        pause: Duration,
        /// The period.
        renew: Duration,
    },
    /// An instance could still act when its peers believe it dead.
    #[error(
        "--lease-expire ({expire:?}) must be at least 4/3 of --lease-pause ({pause:?}), so that an \
         instance has paused before its peers believe it dead even when their clocks run apart by \
         a quarter"
    )]
    ExpiresTooSoon {
        /// The expiry.
        expire: Duration,
        /// The pause.
        pause: Duration,
    },
}

impl Settings {
    /// Checks what belongs together.
    ///
    /// # Errors
    /// The first thing that cannot work.
    pub fn checked(self) -> Result<Self, SettingsError> {
        if let Scope::Namespaces(names) = &self.scope {
            names.iter().try_for_each(|name| check_namespace("--namespace", name))?;
        }
        check_namespace("--lease-namespace", &self.lease_namespace)?;
        self.lease.check()?;
        self.janitor.check()?;
        not_zero("--refresh-interval", self.refresh.interval)?;
        not_zero("--credential-lifetime", self.refresh.lifetime)?;
        Ok(self)
    }
}

impl LeaseTimes {
    fn check(&self) -> Result<(), SettingsError> {
        let Self { renew, pause, expire } = *self;
        not_zero("--lease-renew", renew)?;
        if pause <= renew {
            return Err(SettingsError::PausesTooSoon { pause, renew });
        }
        if expire.saturating_mul(3) < pause.saturating_mul(4) {
            return Err(SettingsError::ExpiresTooSoon { expire, pause });
        }
        Ok(())
    }
}

impl JanitorTimes {
    /// Those that its judgement needs.
    pub const fn limits(&self) -> Limits {
        Limits {
            orphan_grace: self.orphan_grace,
            stranded_grace: self.stranded_grace,
            stuck_spawning: self.stuck_spawning,
            stuck_activating: self.stuck_activating,
            stuck_margin: self.stuck_margin,
            draining_limit: self.draining_limit,
            instance_retention: self.instance_retention,
        }
    }

    /// A limit of zero would end what has only just begun; a grace may be zero in a test.
    fn check(&self) -> Result<(), SettingsError> {
        not_zero("--janitor-interval", self.interval)?;
        not_zero("--janitor-step-deadline", self.step_deadline)?;
        not_zero("--stuck-spawning", self.stuck_spawning)?;
        not_zero("--stuck-activating", self.stuck_activating)?;
        not_zero("--draining-limit", self.draining_limit)
    }
}

fn not_zero(flag: &'static str, value: Duration) -> Result<(), SettingsError> {
    if value.is_zero() { Err(SettingsError::Zero(flag)) } else { Ok(()) }
}

fn check_namespace(flag: &'static str, value: &str) -> Result<(), SettingsError> {
    if duckworker_core::names::is_dns_label(value) {
        Ok(())
    } else {
        Err(SettingsError::Namespace { flag, value: value.to_owned() })
    }
}
