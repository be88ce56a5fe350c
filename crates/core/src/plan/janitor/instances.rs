//! Instances that do not end, and Leases of those that ended long ago.

use std::time::Duration;

use super::Limits;
use crate::right::OwnerStanding;

/// It hands over for longer than any instance may: what it still holds is nobody's then.
pub fn is_overdue(standing: OwnerStanding, draining_for: Duration, limit: Duration) -> bool {
    standing == OwnerStanding::Draining && draining_for >= limit
}

/// Nobody needs its Lease any more: it is dead for long enough that people had time to look, and
/// no worker names it. Should one turn up after all, "no Lease" says the same as "expired".
pub fn is_forgettable(
    standing: OwnerStanding,
    dead_for: Duration,
    owned_workers: usize,
    limits: &Limits,
) -> bool {
    standing == OwnerStanding::Expired
        && owned_workers == 0
        && dead_for >= limits.instance_retention
}
