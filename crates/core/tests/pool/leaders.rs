//! Any number of leaders at once, each with views of any age, dying between any two steps: at no
//! moment do more workers live than the pool's maximum.

use std::collections::BTreeSet;

use duckworker_core::plan::pool::{Step, View, next};
use duckworker_core::pool::{Member, Ordinal, Pool};
use duckworker_core::{Uid, WorkerState as S};
use proptest::prelude::*;

use crate::ground::{pool, uid, view};

/// The API server: the pool with its version, and the workers.
#[derive(Clone)]
struct World {
    pool: Pool,
    version: u64,
    members: Vec<Member>,
    created: u64,
    second: i64,
}

/// Somebody who believes that he leads.
#[derive(Default, Clone)]
struct Leader {
    pool: Option<(Pool, u64)>,
    members: Vec<Member>,
    gone: BTreeSet<Uid>,
    /// The step, and the version of the pool that it was planned on.
    planned: Option<(Step, u64)>,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A leader's watch shows it the pool.
    SeePool(usize),
    /// A leader's watch shows it the workers.
    SeeMembers(usize),
    /// A leader plans.
    Plan(usize),
    /// A leader carries out what it planned.
    Act(usize),
    /// A leader dies; another one begins in its place.
    Die(usize),
    /// The worker at this place goes on with its life. Its instance has seen the pool at an age.
    Live(usize),
    /// The worker at this place ends.
    End(usize),
    /// The object of the worker at this place is removed.
    Remove(usize),
    /// The pool wants so many.
    Scale(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..3_usize).prop_map(Event::SeePool),
        2 => (0..3_usize).prop_map(Event::SeeMembers),
        6 => (0..3_usize).prop_map(Event::Plan),
        6 => (0..3_usize).prop_map(Event::Act),
        1 => (0..3_usize).prop_map(Event::Die),
        6 => (0..12_usize).prop_map(Event::Live),
        2 => (0..12_usize).prop_map(Event::End),
        1 => (0..12_usize).prop_map(Event::Remove),
        1 => (0..5_usize).prop_map(Event::Scale),
    ]
}

impl World {
    fn live(&self) -> usize {
        self.members.iter().filter(|member| member.state.is_active()).count()
    }

    fn create(&mut self, ordinal: Ordinal) {
        let name = self.pool.key.worker_name(ordinal);
        if self.members.iter().any(|member| member.name == name) {
            return;
        }
        let mut new = crate::ground::member(&self.pool, 0, S::Pending);
        new.name = name;
        new.uid = uid(&format!("u-{}", self.created));
        self.created += 1;
        self.members.push(new);
    }

    /// Adoption asks whether the pool names the worker: any version that ever did will do, the
    /// present one is the strictest that a test can take. So each version counts.
    fn live_on(&mut self, at: usize, ever_named: &BTreeSet<Uid>) {
        let Some(member) = self.members.get_mut(at) else { return };
        member.state = match member.state {
            S::Pending if !member.deleting && ever_named.contains(&member.uid) => S::Spawning,
            S::Spawning => S::Idle,
            S::Idle => S::Hot,
            S::Hot => S::HotIdle,
            S::HotIdle => S::Draining,
            other => other,
        };
    }
}

fn act(world: &mut World, leader: &mut Leader) {
    let Some((step, seen)) = leader.planned.take() else { return };
    match step {
        Step::Write(status, _) if seen == world.version => {
            world.pool.status = status;
            world.version += 1;
            leader.pool = Some((world.pool.clone(), world.version));
        }
        Step::Write(..) => leader.pool = Some((world.pool.clone(), world.version)),
        Step::Create(wanted) => {
            for (ordinal, _) in wanted {
                world.create(ordinal);
            }
        }
        Step::LookFor(all) => {
            let there = |uid: &Uid| world.members.iter().any(|member| member.uid == *uid);
            leader.gone.extend(all.into_iter().map(|(_, uid)| uid).filter(|uid| !there(uid)));
        }
        Step::Retire(all) => {
            for (uid, _) in all {
                let found = world.members.iter_mut().find(|member| member.uid == uid);
                if let Some(member) = found.filter(|m| m.state == S::Idle) {
                    member.state = S::Retired;
                }
            }
        }
        Step::Delete(all) => {
            world.members.retain(|m| !(m.state == S::Pending && all.contains(&m.uid)));
        }
        Step::Guard(_) | Step::Wait(_) | Step::Rest => {}
    }
}

fn plan(world: &World, leader: &mut Leader) {
    let Some((pool, version)) = &leader.pool else { return };
    let (members, gone) = (&leader.members, &leader.gone);
    let step = next(&View { gone, ..view(pool, members, world.second) });
    leader.planned = Some((step, *version));
}

fn happen(world: &mut World, leaders: &mut [Leader], event: Event, ever_named: &BTreeSet<Uid>) {
    match event {
        Event::SeePool(who) => leaders[who].pool = Some((world.pool.clone(), world.version)),
        Event::SeeMembers(who) => leaders[who].members.clone_from(&world.members),
        Event::Plan(who) => plan(world, &mut leaders[who]),
        Event::Act(who) => act(world, &mut leaders[who]),
        Event::Die(who) => leaders[who] = Leader::default(),
        Event::Live(place) => world.live_on(place, ever_named),
        Event::End(place) => {
            if let Some(member) = world.members.get_mut(place).filter(|m| m.state.is_active()) {
                member.state = S::Retired;
            }
        }
        Event::Remove(place) => {
            let removable = |member: &Member| !member.state.is_active();
            if world.members.get(place).is_some_and(removable) {
                world.members.remove(place);
            }
        }
        Event::Scale(replicas) => {
            world.pool.terms.replicas = replicas;
            world.version += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_maximum_holds_whoever_leads(events in prop::collection::vec(event(), 1..400)) {
        let mut world =
            World { pool: pool(3, 4), version: 1, members: vec![], created: 0, second: 0 };
        let mut leaders = vec![Leader::default(); 3];
        // Adoption may believe any version of the pool, however old.
        let mut ever_named = BTreeSet::new();
        let mut next_ordinal = Ordinal::default();
        for event in events {
            world.second += 1;
            happen(&mut world, &mut leaders, event, &ever_named);
            let seats = &world.pool.status.seats;
            prop_assert!(seats.next >= next_ordinal, "ordinals run one way");
            next_ordinal = seats.next;
            ever_named.extend(seats.taken.values().flatten().cloned());
            prop_assert!(world.live() <= 4, "{} live", world.live());
            prop_assert!(seats.taken.len() <= 4, "{} seats", seats.taken.len());
        }
    }
}
