//! Whose turn it is: oldest first within a tenant, and tenants in turn: those that hold least first,
//! and of those whoever was served longest ago. A pure function of what is seen, so that binders that
//! see the same choose differently for different claims, and each worker once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::names::{Image, Tenant, Uid};
use crate::pool::{Member, Pool, Undeclared};
use crate::state::WorkerState;
use crate::tenant::{Allowance, DeclaredTenant};

/// The place of a claim among those of its tenant: when it was created, which the API server
/// tells in whole seconds, and its name.
pub type Place = (Timestamp, String);

/// What a tenant that waits may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Of which version.
    pub image: Image,
    /// How much.
    pub allowance: Allowance,
}

impl Want {
    /// What a tenant may be given of a pool, if it is declared or not.
    pub fn of(declared: Option<&DeclaredTenant>, pool: &Pool) -> Self {
        let pin = declared.and_then(|tenant| tenant.terms.image.clone());
        let allowance = match (declared, pool.terms.undeclared) {
            (Some(tenant), _) => tenant.allowance(),
            (None, Undeclared::Allow) => Allowance::More(usize::MAX),
            (None, Undeclared::Refuse) => Allowance::Nothing,
        };
        Self { image: pin.unwrap_or_else(|| pool.terms.image.clone()), allowance }
    }

    /// How many workers beside those that are parked for it.
    const fn more(&self) -> usize {
        match self.allowance {
            Allowance::Nothing => 0,
            Allowance::More(more) => more,
        }
    }
}

/// What each tenant that waits may be given. One that is not in it gets nothing.
pub type Wants = BTreeMap<Tenant, Want>;

/// So many tenants that do not wait now are remembered beside those that do.
const MOST_ABSENT: usize = 64;

/// The claims that wait for workers of one pool.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    waiting: BTreeMap<Tenant, BTreeSet<Place>>,
    /// When each tenant was served last, as a count of those that were. Kept while anybody waits.
    turns: BTreeMap<Tenant, u64>,
    served: u64,
}

impl Queue {
    /// A claim waits.
    pub fn enter(&mut self, tenant: Tenant, place: Place) {
        self.waiting.entry(tenant).or_default().insert(place);
    }

    /// A claim has got a worker: the others of its tenant wait until the other tenants had theirs.
    pub fn serve(&mut self, tenant: &Tenant, place: &Place) {
        self.served += 1;
        self.turns.insert(tenant.clone(), self.served);
        self.leave(tenant, place);
        if self.turns.len() > 2 * self.waiting.len() + MOST_ABSENT {
            self.turns.retain(|tenant, _| self.waiting.contains_key(tenant));
        }
    }

    /// A claim waits no more, and got nothing.
    pub fn leave(&mut self, tenant: &Tenant, place: &Place) {
        if let Some(places) = self.waiting.get_mut(tenant) {
            places.remove(place);
            if places.is_empty() {
                self.waiting.remove(tenant);
            }
        }
    }

    /// When a tenant was served last: the lower, the longer ago.
    fn turn(&self, tenant: &Tenant) -> u64 {
        self.turns.get(tenant).copied().unwrap_or(0)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }

    /// How many workers could be given to those that wait, of each version, beside those that are
    /// parked for them: a claim that is about to get one of those asks for no other.
    pub fn demand(&self, free: &Free<'_>) -> BTreeMap<Image, usize> {
        let mut demand = BTreeMap::new();
        for (tenant, places) in &self.waiting {
            if let Some(want) = free.wants.get(tenant) {
                let unserved = places.len().saturating_sub(free.parked_of(tenant).len());
                let wanted = unserved.min(want.more());
                if wanted > 0 {
                    *demand.entry(want.image.clone()).or_default() += wanted;
                }
            }
        }
        demand
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

    /// The first claims of one tenant, by name.
    pub fn heads_of(&self, tenant: &Tenant, most: usize) -> Vec<String> {
        let places = self.waiting.get(tenant).into_iter().flatten().take(most);
        places.map(|(_, name)| name.clone()).collect()
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
        let want = free.wants.get(tenant).filter(|want| own - parked.len() < want.more())?;
        let idle = free.idle.get(&want.image)?;
        let key = (free.held_by(tenant) + own - parked.len(), self.turn(tenant), place);
        let mut before = 0;
        for (other, places) in &self.waiting {
            let rival = free.wants.get(other).filter(|rival| rival.image == want.image);
            let Some(rival) = rival else { continue };
            let (held, turn) = (free.held_by(other), self.turn(other));
            let served = free.parked_of(other).len();
            let rest = places.iter().skip(served).take(rival.more()).enumerate();
            before += rest
                .take_while(|(index, place)| (held + index, turn, *place) < key)
                .take(idle.len())
                .count();
            if before >= idle.len() {
                return None;
            }
        }
        idle.get(before)
    }
}

/// The workers of one pool that can be claimed, and who holds how many.
#[derive(Debug)]
pub struct Free<'a> {
    wants: &'a Wants,
    idle: BTreeMap<&'a Image, Vec<Uid>>,
    parked: HashMap<&'a Tenant, Vec<Uid>>,
    held: HashMap<&'a Tenant, usize>,
}

impl<'a> Free<'a> {
    /// Sorts the workers of a pool, but for those that are known not to be had. Parked ones count
    /// only if they are of the image that their tenant wants.
    pub fn of(members: &'a [Member], wants: &'a Wants, missed: &BTreeSet<Uid>) -> Self {
        let mut free =
            Self { wants, idle: BTreeMap::new(), parked: HashMap::new(), held: HashMap::new() };
        let mut idle: BTreeMap<&Image, Vec<_>> = BTreeMap::new();
        let fits = |tenant: &Tenant, member: &Member| {
            let want = wants.get(tenant).filter(|want| want.allowance != Allowance::Nothing);
            want.is_some_and(|want| want.image == member.image)
        };
        for member in members {
            let usable = !member.deleting && !missed.contains(&member.uid);
            match (member.state, &member.tenant) {
                (WorkerState::Idle, _) if usable => {
                    idle.entry(&member.image).or_default().push((member.idle_since, &member.uid));
                }
                (WorkerState::HotIdle, Some(tenant)) if usable && fits(tenant, member) => {
                    free.parked.entry(tenant).or_default().push(member.uid.clone());
                }
                (state, Some(tenant)) if state.is_active() => {
                    *free.held.entry(tenant).or_default() += 1;
                }
                _ => {}
            }
        }
        // The same order for everybody who sees the same.
        for (image, mut idle) in idle {
            idle.sort();
            free.idle.insert(image, idle.into_iter().map(|(_, uid)| uid.clone()).collect());
        }
        for parked in free.parked.values_mut() {
            parked.sort();
        }
        free
    }

    /// How many can be had.
    pub fn len(&self) -> usize {
        self.idle.values().map(Vec::len).sum::<usize>()
            + self.parked.values().map(Vec::len).sum::<usize>()
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
