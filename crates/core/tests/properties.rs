//! Properties of any history: epochs rise by single steps, what is terminal is final, a tenant is
//! set once, and every status is well-formed.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic,
    clippy::too_many_lines,
    reason = "tests"
)]

mod common;

use common::{STANDINGS, at, every_transition, owner, tenant, worker};
use duckworker_core::worker::REMEMBERED;
use duckworker_core::{
    Facts, LeaseFence, Right, Room, SnapshotFence, Tenant, Transition, Worker, WorkerState,
    WriteId, decide,
};
use proptest::prelude::*;

/// One try: which transition, by whom, with which right, and what is known.
#[derive(Debug, Clone)]
struct Try {
    transition: Transition,
    by: usize,
    right: usize,
    standing: usize,
    full: bool,
}

fn any_try() -> impl Strategy<Value = Try> {
    let transitions = every_transition();
    let tenants = ["acme", "other"];
    (0..transitions.len(), 0..tenants.len(), 0..3_usize, 0..3_usize, 0..4_usize, any::<bool>())
        .prop_map(move |(which, name, by, right, standing, full)| {
            let transition = with_tenant(transitions[which].clone(), tenant(tenants[name]));
            Try { transition, by, right, standing, full }
        })
}

fn with_tenant(transition: Transition, tenant: Tenant) -> Transition {
    match transition {
        Transition::ClaimIdle { claim, .. } => Transition::ClaimIdle { tenant, claim },
        Transition::ClaimHotIdle { claim, version, .. } => {
            Transition::ClaimHotIdle { tenant, claim, version }
        }
        other => other,
    }
}

fn attempt(worker: &Worker, seen: &SnapshotFence, tried: &Try, second: i64) -> Option<Worker> {
    let by = owner(["me", "peer", "third"][tried.by]);
    let fence =
        LeaseFence { key: worker.key.clone(), owner: by.clone(), epoch: worker.status.epoch() };
    let right = match tried.right {
        0 => Right::Lease(&fence),
        1 => Right::Snapshot { seen, by: &by },
        _ => Right::Instance(&by),
    };
    let room = if tried.full { Room::Full } else { Room::Free };
    let facts = Facts { owner: STANDINGS[tried.standing], room, now: at(second) };
    let mut status = decide(worker, &right, &tried.transition, &facts).ok()?;
    status.writes = status.writes.with(WriteId::from_bits(second.unsigned_abs()));
    Some(Worker { status, ..worker.clone() })
}

fn well_formed(worker: &Worker) -> Result<(), TestCaseError> {
    let status = &worker.status;
    prop_assert_eq!(status.ownership.is_none(), status.state == WorkerState::Pending);
    prop_assert!(!status.state.needs_tenant() || status.tenant.is_some(), "{:?}", status);
    prop_assert!(!status.state.forbids_tenant() || status.tenant.is_none(), "{:?}", status);
    prop_assert!(status.transitions.len() <= REMEMBERED && status.writes.ids.len() <= REMEMBERED);
    let idle = matches!(status.state, WorkerState::Idle | WorkerState::HotIdle);
    prop_assert_eq!(status.idle_since.is_some(), idle);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn histories_keep_their_promises(tries in prop::collection::vec(any_try(), 1..60)) {
        let mut now = worker(WorkerState::Pending);
        for (second, tried) in (1..).zip(&tries) {
            let seen = SnapshotFence::of(&now);
            let Some(next) = attempt(&now, &seen, tried, second) else { continue };
            let (before, after) = (&now.status, &next.status);
            let step = after.epoch().get() - before.epoch().get();
            prop_assert!(step == 0 || step == 1, "{:?}", tried);
            prop_assert!(step == 1 || before.owner() == after.owner(), "{:?}", tried);
            prop_assert!(!before.state.is_terminal(), "{:?} left {}", tried, before.state);
            if let Some(tenant) = &before.tenant {
                prop_assert_eq!(Some(tenant), after.tenant.as_ref());
            }
            let changed = (before.state, before.owner()) != (after.state, after.owner());
            prop_assert_eq!(changed, before.transitions != after.transitions);
            prop_assert_eq!(after.writes.seq, before.writes.seq + 1);
            well_formed(&next)?;
            now = next;
        }
    }

    #[test]
    fn an_old_snapshot_never_ends_a_worker_that_moved(tries in prop::collection::vec(any_try(), 1..40)) {
        let mut now = worker(WorkerState::Hot);
        let seen = SnapshotFence::of(&now);
        for (second, tried) in (1..).zip(&tries) {
            let before = now.clone();
            let Some(next) = attempt(&now, &seen, tried, second) else { continue };
            if tried.right == 1 {
                prop_assert_eq!(before.status.transitions.first(), seen.newest.as_ref());
                prop_assert_eq!(before.status.epoch(), seen.epoch);
            }
            now = next;
        }
    }
}
