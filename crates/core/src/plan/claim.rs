//! Which workers a claimer tries, and in what order.

use crate::names::{Image, Owner, Tenant};
use crate::rendezvous::score;
use crate::state::WorkerState;
use crate::worker::Worker;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// For this tenant.
    pub tenant: &'a Tenant,
    /// Of this version; of any if none.
    pub version: Option<&'a Image>,
    /// By this instance.
    pub by: &'a Owner,
}

/// The workers worth a try, the best first: one that served the tenant before, then an idle one.
/// Among equals every claimer has an order of its own, so that many of them do not all run after
/// the same worker.
pub fn candidates<T>(
    wanted: &Wanted<'_>,
    seen: impl IntoIterator<Item = T>,
    worker: impl Fn(&T) -> &Worker,
) -> Vec<T> {
    let mut found: Vec<_> =
        seen.into_iter().filter_map(|one| Some((rank(wanted, worker(&one))?, one))).collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, one)| one).collect()
}

fn rank(wanted: &Wanted<'_>, worker: &Worker) -> Option<(u8, u64)> {
    let fits = wanted.version.is_none_or(|version| *version == worker.spec.image);
    if !fits || worker.is_deleting() || worker.spec.dedicated_to.is_some() {
        return None;
    }
    let class = match worker.status.state {
        WorkerState::HotIdle if worker.status.tenant.as_ref() == Some(wanted.tenant) => 0,
        WorkerState::Idle => 1,
        _ => return None,
    };
    Some((class, score(worker.key.uid.as_str(), wanted.by.as_str())))
}
