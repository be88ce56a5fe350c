//! Why a transition did not happen.

use strum::{Display, EnumIter, IntoStaticStr};

/// A transition that was refused by its fence. Nothing was written, and nothing may be deleted:
/// a miss is no proof of anything but that somebody else decides about this worker.
///
/// The names are labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Miss {
    /// The worker is in a state from which the transition does not lead.
    State,
    /// Somebody else owns it.
    Owner,
    /// The owner is the same, the epoch is not: the lease is stale.
    Epoch,
    /// It changed since the snapshot was taken.
    Moved,
    /// The transition needs a dead owner, and the owner lives (or nobody marked it dead).
    OwnerAlive,
    /// Tenant, version or claim do not fit.
    Assignment,
    /// A cap leaves no room.
    Capacity,
    /// The object is being deleted, is gone, or is another one of the same name.
    Gone,
}
