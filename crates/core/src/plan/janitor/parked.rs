//! Parked workers of a pool: how long each is kept for its tenant, and how many.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::decide::elapsed;
use crate::names::{Tenant, Uid};
use crate::pool::{HotIdleTerms, Member};
use crate::state::WorkerState;

/// Those that go: of each tenant the oldest beyond the cap, then those that wait for too long, as
/// far as the floor allows. The clock is `idleSince`, which no refresh turns back.
pub fn overdue(
    members: &[Member],
    terms_of: impl Fn(&Tenant) -> HotIdleTerms,
    now: Timestamp,
) -> Vec<Uid> {
    let mut parked: BTreeMap<&Tenant, Vec<(Timestamp, &Uid)>> = BTreeMap::new();
    for member in members {
        if let (WorkerState::HotIdle, false, Some(tenant)) =
            (member.state, member.deleting, &member.tenant)
        {
            let since = member.idle_since.unwrap_or(member.since);
            parked.entry(tenant).or_default().push((since, &member.uid));
        }
    }
    let going = |(tenant, parked)| going(parked, &terms_of(tenant), now);
    parked.into_iter().flat_map(going).collect()
}

fn going(mut parked: Vec<(Timestamp, &Uid)>, terms: &HotIdleTerms, now: Timestamp) -> Vec<Uid> {
    parked.sort();
    let excess = terms.max_per_tenant.map_or(0, |most| parked.len().saturating_sub(most));
    let is_late = |since: Timestamp| elapsed(since, now) >= terms.ttl;
    let late = parked.iter().filter(|(since, _)| is_late(*since)).count();
    let late = late.min(parked.len().saturating_sub(terms.min_per_tenant));
    parked.into_iter().take(excess.max(late)).map(|(_, uid)| uid.clone()).collect()
}
