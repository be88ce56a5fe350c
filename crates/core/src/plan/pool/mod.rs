//! The life of a pool: what its leader does next, so that so many idle workers stand ready.
//!
//! The maximum is kept by seats. One is taken by a compare-and-swap on the pool's status, then a
//! worker of that number is created, then its uid is written beside the number; only a worker
//! whose uid stands there is ever started. A seat is given back when its worker is over or gone.
//! So two leaders at once, or one that sleeps between two calls, cost a Pending object that is
//! deleted again, and never a worker too many.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the view, the steps, and their order |
//! | [`backoff`] | when to try again after starts that failed |
//! | [`fill`] | how many more to start |
//! | [`given_up`] | workers that are kept although their claims were given up |
//! | [`budget`] | which pods are kept from eviction |
//! | [`pins`] | workers of other versions, for tenants that are pinned to one |
//! | [`demand`] | how many more than `replicas`, since claims found none |
//! | [`retire`] | which to end: out of date, or too many |
//! | [`report`] | what the status says |

pub mod backoff;
pub mod budget;
pub mod demand;
pub mod fill;
pub mod given_up;
pub mod pins;
pub mod report;
pub mod retire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use self::budget::{BudgetStanding, Covers};
use self::demand::Misses;
use crate::names::{Fingerprint, Image, Tenant, Uid};
use crate::planted::{Bug, planted};
use crate::pool::{Member, Ordinal, Pool, PoolStatus, Seats};
use crate::reason::Reason;
use crate::state::WorkerState;
use crate::tenant::TenantTerms;

/// Everything that the plan may know.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The pool, as new as the asker knows it.
    pub pool: &'a Pool,
    /// Its workers, as they were seen: those of its name and with its controller reference.
    pub members: &'a [Member],
    /// Workers that a consistent read did not find.
    pub gone: &'a BTreeSet<Uid>,
    /// How many claims wait: each gets one of the workers that are started.
    pub demand: usize,
    /// How many claims wait for workers of other versions, of each.
    pub pinned: &'a BTreeMap<Image, usize>,
    /// What workers of other versions are told by that are made of the present template: of each
    /// version that a tenant is pinned to that waits or has a worker.
    pub pins: &'a BTreeMap<Image, Fingerprint>,
    /// The claims that lately found none.
    pub misses: &'a Misses,
    /// The tenants whose claims wait.
    pub awaited: &'a BTreeSet<Tenant>,
    /// What tenants say of themselves, where they are declared.
    pub tenants: &'a BTreeMap<Tenant, TenantTerms>,
    /// What is known of its disruption budget.
    pub budget: BudgetStanding<'a>,
    /// What came of the last creations, if any was refused.
    pub refusal: Option<&'a str>,
    /// The API server's time.
    pub now: Timestamp,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read these workers consistently: they have seats and are not to be seen.
    LookFor(Vec<(Ordinal, Uid)>),
    /// Write this status, by a compare-and-swap on the version that was read.
    Write(PoolStatus, Pace),
    /// Make or mend the disruption budget, so that it keeps these pods from eviction.
    Guard(Covers),
    /// Create the workers of these seats: of this version, if it is not the pool's.
    Create(Vec<(Ordinal, Option<Image>)>),
    /// End these workers, which serve nobody.
    Retire(Vec<(Uid, Reason)>),
    /// Delete these workers, which nobody ever took.
    Delete(Vec<Uid>),
    /// Nothing until something changes, or until this time has passed.
    Wait(Duration),
    /// Nothing until something changes.
    Rest,
}

/// How soon a status is to be written. Several changes go into one write that way: the status of a
/// large pool is a large object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Somebody waits for it.
    AtOnce,
    /// It fills up what is not empty.
    Brisk,
    /// It tells of nothing but counts and conditions.
    Walking,
}

/// The next step for this pool.
pub fn next(view: &View<'_>) -> Step {
    if view.pool.deletion.is_some() {
        // Its workers go with it: the garbage collector deletes them, their owners drain them.
        return Step::Rest;
    }
    let seen = Seen::of(view);
    if !seen.unseen.is_empty() {
        return Step::LookFor(seen.unseen);
    }
    let budget = fill::budget(view, &seen);
    let mut seats = seen.settled(view);
    seats.reserve(budget.starts);
    if seats != view.pool.status.seats {
        return Step::Write(report::status(view, &seen, seats), seen.pace(view));
    }
    if let Some(step) = budget::step(view).or_else(|| act(view, &seen)) {
        return step;
    }
    let status = report::status(view, &seen, seats);
    if status != view.pool.status {
        return Step::Write(status, Pace::Walking);
    }
    let deadline = report::deadline_left(view, &seen);
    let decay = fill::lately(view).again;
    let kept = given_up::again(view);
    match [budget.again, deadline, decay, kept].into_iter().flatten().min() {
        Some(time) => Step::Wait(time),
        None => Step::Rest,
    }
}

/// What is done to workers, once the seats are settled.
fn act(view: &View<'_>, seen: &Seen<'_>) -> Option<Step> {
    let mut unmade = seen.pins.assign(&seen.unmade);
    unmade.truncate(view.pool.terms.max_starting.max(1));
    if !unmade.is_empty() && view.refusal.is_none() {
        return Some(Step::Create(unmade));
    }
    let (retired, deleted) = retire::choose(view, seen);
    if !retired.is_empty() {
        return Some(Step::Retire(retired));
    }
    let strays = seen.strays.iter().map(|member| member.uid.clone());
    let deleted: Vec<Uid> = deleted.into_iter().chain(strays).collect();
    (!deleted.is_empty()).then_some(Step::Delete(deleted))
}

/// The workers of a pool, sorted by what the plan asks of them.
pub struct Seen<'a> {
    /// Those with a seat, that are not over.
    pub seated: Vec<&'a Member>,
    /// Seats that have no worker yet.
    pub unmade: Vec<Ordinal>,
    /// Seats whose worker is neither seen nor known to be gone.
    unseen: Vec<(Ordinal, Uid)>,
    /// Seats that are given back.
    freed: Vec<Ordinal>,
    /// Seats whose worker is there and not written down yet.
    found: Vec<(Ordinal, Uid)>,
    /// Workers that nobody took and that can never get a seat: a late creation of somebody who
    /// led before.
    pub strays: Vec<&'a Member>,
    /// What is wanted for tenants that are pinned to a version.
    pub pins: pins::Wanted,
    /// Workers that live without a seat, which only an edit of the status by hand leaves behind.
    /// They count against the maximum.
    pub unseated: usize,
}

impl<'a> Seen<'a> {
    /// Sorts them.
    pub fn of(view: &View<'a>) -> Self {
        let by_uid: BTreeMap<&Uid, &'a Member> =
            view.members.iter().map(|member| (&member.uid, member)).collect();
        let mut seen = Self {
            seated: Vec::new(),
            unmade: Vec::new(),
            unseen: Vec::new(),
            freed: Vec::new(),
            found: Vec::new(),
            strays: Vec::new(),
            pins: pins::Wanted::default(),
            unseated: 0,
        };
        let unowned = seen.sort_unseated(view);
        for (ordinal, uid) in &view.pool.status.seats.taken {
            match uid {
                Some(uid) => match by_uid.get(uid) {
                    Some(member) if member.state.is_terminal() => seen.freed.push(*ordinal),
                    Some(member) => seen.seated.push(member),
                    None if view.gone.contains(uid) || planted(Bug::SeatFreedUnseen) => {
                        seen.freed.push(*ordinal);
                    }
                    None => seen.unseen.push((*ordinal, uid.clone())),
                },
                None => match unowned.get(ordinal) {
                    Some(member) => {
                        seen.found.push((*ordinal, member.uid.clone()));
                        seen.seated.push(member);
                    }
                    None => seen.unmade.push(*ordinal),
                },
            }
        }
        seen.pins = pins::Wanted::of(view, &seen.seated);
        seen
    }

    /// Looks at the workers whose uid no seat names: those that wait for theirs, by ordinal, are
    /// returned.
    fn sort_unseated(&mut self, view: &View<'a>) -> BTreeMap<Ordinal, &'a Member> {
        let seats = &view.pool.status.seats;
        let named: BTreeSet<&Uid> = seats.taken.values().flatten().collect();
        let mut waiting = BTreeMap::new();
        for member in view.members.iter().filter(|member| !named.contains(&member.uid)) {
            let ordinal = view.pool.key.ordinal_of(&member.name);
            let seat = ordinal.and_then(|ordinal| seats.taken.get(&ordinal));
            match (member.state, ordinal, seat) {
                (WorkerState::Pending, ..) if member.deleting => {}
                (_, Some(ordinal), Some(None)) => {
                    waiting.insert(ordinal, member);
                }
                (WorkerState::Retired | WorkerState::Lost, ..) => {}
                // Of a later version of the pool than the one seen here.
                (WorkerState::Pending, Some(ordinal), _) if ordinal >= seats.next => {}
                (WorkerState::Pending, ..) => self.strays.push(member),
                _ => self.unseated += 1,
            }
        }
        waiting
    }

    /// The seats as they are once those of the dead are given back and those of the living are
    /// written down.
    fn settled(&self, view: &View<'_>) -> Seats {
        let mut seats = view.pool.status.seats.clone();
        for ordinal in &self.freed {
            seats.taken.remove(ordinal);
        }
        for (ordinal, uid) in &self.found {
            seats.taken.insert(*ordinal, Some(uid.clone()));
        }
        seats
    }

    /// How many more seats there may be.
    pub fn room(&self, view: &View<'_>) -> usize {
        if planted(Bug::MaximumIgnored) {
            return usize::MAX;
        }
        let taken = view.pool.status.seats.taken.len() - self.freed.len();
        view.pool.terms.max_workers.saturating_sub(taken + self.unseated)
    }

    /// How soon a change of the seats must be written. Nobody waits while some idle workers are left,
    /// no claim asks for one that is not there, and there is room for more.
    fn pace(&self, view: &View<'_>) -> Pace {
        let awaited = view.demand > 0 || self.pins.beyond(0) > 0;
        let enough = self.ready(view) * 2 >= view.pool.terms.replicas;
        let brisk = enough && !awaited && self.room(view) > 0;
        if brisk { Pace::Brisk } else { Pace::AtOnce }
    }

    /// Those that can be claimed by anybody.
    pub fn ready(&self, view: &View<'_>) -> usize {
        self.of_the_pool(view).filter(|member| member.is_ready()).count()
    }

    /// Those that are idle or on the way there, the uncreated among them.
    pub fn warm(&self, view: &View<'_>) -> usize {
        let made = self.of_the_pool(view).filter(|member| member.is_warm()).count();
        self.unmade.len() - self.pins.among(self.unmade.len()) + made
    }

    /// All but those that were made for pinned tenants and are still to be had.
    pub fn of_the_pool<'s>(
        &'s self,
        view: &'s View<'_>,
    ) -> impl Iterator<Item = &'a Member> + use<'a, 's> {
        self.seated.iter().copied().filter(|member| !pins::is_spare(view, member))
    }

    /// Warm ones of an older template, unless they are left alone.
    pub fn outdated(&self, view: &View<'_>) -> usize {
        let old = self.seated.iter().filter(|member| member.is_warm() && is_outdated(view, member));
        old.count()
    }
}

/// Whether a worker is not of the version or the template that it should be, and is to be replaced.
pub fn is_outdated(view: &View<'_>, member: &Member) -> bool {
    use crate::pool::Rollout;
    view.pool.terms.rollout == Rollout::Running && !pins::is_wanted(view, member)
}

/// Whether a worker is of the present template.
pub fn is_current(view: &View<'_>, member: &Member) -> bool {
    member.template.as_ref() == Some(&view.pool.terms.template)
}
