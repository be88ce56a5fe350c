//! The states of a worker.

use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// Where a worker stands in its life. A worker is never restarted in place: the states run one
/// way, but for the loop Reserved → Activating → Hot → `HotIdle` → Reserved.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
pub enum WorkerState {
    /// Created by somebody, taken by no instance yet. No pod, no secret, no owner.
    Pending,
    /// An instance owns it and makes its secret and its pod.
    Spawning,
    /// Runs and is healthy, belongs to no tenant.
    Idle,
    /// Assigned to a tenant, not yet activated.
    Reserved,
    /// The tenant's activation is under way.
    Activating,
    /// Serves its tenant.
    Hot,
    /// Serves nobody at the moment; only its own tenant may have it again.
    HotIdle,
    /// Told to finish its sessions and exit. Leads to [`WorkerState::Retired`] only.
    Draining,
    /// Ended in good order. Final.
    Retired,
    /// Ran and is gone. Final.
    Lost,
}

impl WorkerState {
    /// Every state, in the order of a worker's life.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Spawning,
        Self::Idle,
        Self::Reserved,
        Self::Activating,
        Self::Hot,
        Self::HotIdle,
        Self::Draining,
        Self::Retired,
        Self::Lost,
    ];

    /// Nothing leads out of it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Retired | Self::Lost)
    }

    /// It may have a pod and a secret: everything but Pending and the terminal states.
    pub const fn is_active(self) -> bool {
        !self.is_terminal() && !matches!(self, Self::Pending)
    }

    /// No way leads back to serving: pod and secret are only ever deleted from here on.
    /// This is what makes a permit to delete safe to derive from any reading, however old.
    pub const fn is_condemned(self) -> bool {
        self.is_terminal() || matches!(self, Self::Draining)
    }

    /// A tenant must be assigned in it.
    pub const fn needs_tenant(self) -> bool {
        matches!(self, Self::Reserved | Self::Activating | Self::Hot | Self::HotIdle)
    }

    /// No tenant may be assigned in it.
    pub const fn forbids_tenant(self) -> bool {
        matches!(self, Self::Pending | Self::Spawning | Self::Idle)
    }
}

/// How a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Terminal {
    /// In good order: [`WorkerState::Retired`].
    Retired,
    /// It ran and is gone: [`WorkerState::Lost`].
    Lost,
}

impl From<Terminal> for WorkerState {
    fn from(end: Terminal) -> Self {
        match end {
            Terminal::Retired => Self::Retired,
            Terminal::Lost => Self::Lost,
        }
    }
}
