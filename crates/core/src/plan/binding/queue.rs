//! Whose turn it is: oldest first within a tenant, and tenants in turn, those that hold least
//! first. A pure function of what is seen, so that binders that see the same choose differently
//! for different claims, and each worker once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::names::{Image, Tenant, Uid};
use crate::pool::Member;
use crate::state::WorkerState;

/// The place of a claim among those of its tenant: when it was created, which the API server
/// tells in whole seconds, and its name.
pub type Place = (Timestamp, String);

/// The claims that wait for workers of one pool.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    waiting: BTreeMap<Tenant, BTreeSet<Place>>,
}

impl Queue {
    /// A claim waits.
    pub fn enter(&mut self, tenant: Tenant, place: Place) {
        self.waiting.entry(tenant).or_default().insert(place);
    }

    /// A claim waits no more.
    pub fn leave(&mut self, tenant: &Tenant, place: &Place) {
        if let Some(places) = self.waiting.get_mut(tenant) {
            places.remove(place);
            if places.is_empty() {
                self.waiting.remove(tenant);
            }
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many of its own tenant's claims are before this one.
    pub fn before(&self, tenant: &Tenant, place: &Place) -> usize {
        self.waiting.get(tenant).map_or(0, |places| places.range(..place.clone()).count())
    }

    /// The tenants of those that wait.
    pub fn tenants(&self) -> BTreeSet<Tenant> {
        self.waiting.keys().cloned().collect()
    }

    /// The first claims of each tenant, by name: those that one more free worker may concern.
    pub fn heads(&self, of_each: usize) -> Vec<String> {
        let heads = self.waiting.values().flat_map(|places| places.iter().take(of_each));
        heads.map(|(_, name)| name.clone()).collect()
    }

    /// The worker whose turn it is for this claim; none if the claim must wait.
    pub fn worker_for<'a>(
        &self,
        tenant: &Tenant,
        place: &Place,
        free: &'a Free<'_>,
    ) -> Option<&'a Uid> {
        if !self.waiting.get(tenant).is_some_and(|places| places.contains(place)) {
            return None;
        }
        let own = self.before(tenant, place);
        let parked = free.parked_of(tenant);
        if let Some(worker) = parked.get(own) {
            return Some(worker);
        }
        let key = (free.held_by(tenant) + own - parked.len(), place);
        let mut before = 0;
        for (other, places) in &self.waiting {
            let (held, served) = (free.held_by(other), free.parked_of(other).len());
            let rest = places.iter().skip(served).enumerate();
            before += rest
                .take_while(|(index, place)| (held + index, *place) < key)
                .take(free.idle.len())
                .count();
            if before >= free.idle.len() {
                return None;
            }
        }
        free.idle.get(before)
    }
}

/// The workers of one pool that can be claimed, and who holds how many.
#[derive(Debug, Default)]
pub struct Free<'a> {
    idle: Vec<Uid>,
    parked: HashMap<&'a Tenant, Vec<Uid>>,
    held: HashMap<&'a Tenant, usize>,
}

impl<'a> Free<'a> {
    /// Sorts the workers of a pool, but for those that are known not to be had. Parked ones count
    /// only if they are of the wanted image.
    pub fn of(members: &'a [Member], image: &Image, missed: &BTreeSet<Uid>) -> Self {
        let mut free = Self::default();
        let mut idle = Vec::new();
        for member in members {
            let usable = !member.deleting && !missed.contains(&member.uid);
            match (member.state, &member.tenant) {
                (WorkerState::Idle, _) if usable => idle.push((member.idle_since, &member.uid)),
                (WorkerState::HotIdle, Some(tenant)) if usable && member.image == *image => {
                    free.parked.entry(tenant).or_default().push(member.uid.clone());
                }
                (state, Some(tenant)) if state.is_active() => {
                    *free.held.entry(tenant).or_default() += 1;
                }
                _ => {}
            }
        }
        // The same order for everybody who sees the same.
        idle.sort();
        free.idle = idle.into_iter().map(|(_, uid)| uid.clone()).collect();
        for parked in free.parked.values_mut() {
            parked.sort();
        }
        free
    }

    /// How many can be had.
    pub fn len(&self) -> usize {
        self.idle.len() + self.parked.values().map(Vec::len).sum::<usize>()
    }

    /// None can.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn parked_of(&self, tenant: &Tenant) -> &[Uid] {
        self.parked.get(tenant).map_or(&[], Vec::as_slice)
    }

    fn held_by(&self, tenant: &Tenant) -> usize {
        self.held.get(tenant).copied().unwrap_or(0)
    }
}
