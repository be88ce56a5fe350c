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
//! | [`retire`] | which to end: out of date, or too many |
//! | [`report`] | what the status says |

pub mod backoff;
pub mod fill;
pub mod report;
pub mod retire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::names::{Tenant, Uid};
use crate::pool::{Member, Ordinal, Pool, PoolStatus, Seats};
use crate::reason::Reason;
use crate::state::WorkerState;

/// Everything that the plan may know.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The pool, as new as the asker knows it.
    pub pool: &'a Pool,
    /// Its workers, as they were seen: those of its name and with its controller reference.
    pub members: &'a [Member],
    /// Workers that a consistent read did not find.
    pub gone: &'a BTreeSet<Uid>,
    /// How many more than `replicas` shall be kept warm, since claims wait or lately missed.
    pub demand: usize,
    /// The tenants whose claims wait.
    pub awaited: &'a BTreeSet<Tenant>,
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
    Write(PoolStatus),
    /// Create the workers of these seats.
    Create(Vec<Ordinal>),
    /// End these workers, which serve nobody.
    Retire(Vec<(Uid, Reason)>),
    /// Delete these workers, which nobody ever took.
    Delete(Vec<Uid>),
    /// Nothing until something changes, or until this time has passed.
    Wait(Duration),
    /// Nothing until something changes.
    Rest,
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
        return Step::Write(report::status(view, &seen, seats));
    }
    if let Some(step) = act(view, &seen) {
        return step;
    }
    let status = report::status(view, &seen, seats);
    if status != view.pool.status {
        return Step::Write(status);
    }
    let deadline = report::deadline_left(view, &seen);
    match [budget.again, deadline].into_iter().flatten().min() {
        Some(time) => Step::Wait(time),
        None => Step::Rest,
    }
}

/// What is done to workers, once the seats are settled.
fn act(view: &View<'_>, seen: &Seen<'_>) -> Option<Step> {
    let unmade: Vec<Ordinal> =
        seen.unmade.iter().copied().take(view.pool.terms.max_starting.max(1)).collect();
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
            unseated: 0,
        };
        let unowned = seen.sort_unseated(view);
        for (ordinal, uid) in &view.pool.status.seats.taken {
            match uid {
                Some(uid) => match by_uid.get(uid) {
                    Some(member) if member.state.is_terminal() => seen.freed.push(*ordinal),
                    Some(member) => seen.seated.push(member),
                    None if view.gone.contains(uid) => seen.freed.push(*ordinal),
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
        let taken = view.pool.status.seats.taken.len() - self.freed.len();
        view.pool.terms.max_workers.saturating_sub(taken + self.unseated)
    }

    /// Those that can be claimed.
    pub fn ready(&self) -> usize {
        self.seated.iter().filter(|member| member.is_ready()).count()
    }

    /// Those that are idle or on the way there, the uncreated among them.
    pub fn warm(&self) -> usize {
        self.unmade.len() + self.seated.iter().filter(|member| member.is_warm()).count()
    }

    /// Warm ones of an older template, unless they are left alone.
    pub fn outdated(&self, view: &View<'_>) -> usize {
        let old = self.seated.iter().filter(|member| member.is_warm() && is_outdated(view, member));
        old.count()
    }
}

/// Whether a worker is of an older template and is to be replaced for it.
pub fn is_outdated(view: &View<'_>, member: &Member) -> bool {
    use crate::pool::Rollout;
    view.pool.terms.rollout == Rollout::Running && !is_current(view, member)
}

/// Whether a worker is of the present template.
pub fn is_current(view: &View<'_>, member: &Member) -> bool {
    member.template.as_ref() == Some(&view.pool.terms.template)
}
