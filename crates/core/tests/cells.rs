//! Every state × transition × right × standing × room × deletion, against an oracle that was
//! written from the contract and knows nothing of the table.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic,
    clippy::too_many_lines,
    reason = "tests"
)]

mod common;

use common::{STANDINGS, at, every_transition, facts, owner, worker};
use duckworker_core::names::Uid;
use duckworker_core::{
    Epoch, LeaseFence, Miss, Owner, OwnerStanding, Right, Room, SnapshotFence, Terminal,
    Transition, Worker, WorkerState as S, decide,
};

/// The rights that can be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Lease,
    LeaseOfOther,
    StaleLease,
    LeaseOfNamesake,
    Snapshot,
    SnapshotOfOtherState,
    SnapshotOfOtherOwner,
    SnapshotOfOtherEpoch,
    MovedSnapshot,
    Instance,
}

const ALL_TRIED: [Tried; 10] = [
    Tried::Lease,
    Tried::LeaseOfOther,
    Tried::StaleLease,
    Tried::LeaseOfNamesake,
    Tried::Snapshot,
    Tried::SnapshotOfOtherState,
    Tried::SnapshotOfOtherOwner,
    Tried::SnapshotOfOtherEpoch,
    Tried::MovedSnapshot,
    Tried::Instance,
];

/// What the contract says: the state afterwards and whether the epoch rises, or nothing.
fn oracle(
    from: S,
    transition: &Transition,
    tried: Tried,
    standing: OwnerStanding,
    room: Room,
    deleting: bool,
) -> Option<(S, bool)> {
    use OwnerStanding as O;
    use Tried as R;
    let serving =
        matches!(from, S::Spawning | S::Idle | S::Reserved | S::Activating | S::Hot | S::HotIdle);
    let dead = matches!(standing, O::Expired | O::Absent);
    let free = room == Room::Free && !deleting;
    let may_end = |end: &Terminal| serving || (from == S::Draining && *end == Terminal::Retired);
    let (right, allowed, to, rises) = match transition {
        Transition::AdoptNew => (R::Instance, from == S::Pending && free, S::Spawning, true),
        Transition::Ready(_) => (R::Lease, from == S::Spawning, S::Idle, false),
        Transition::ClaimIdle { .. } => (R::Instance, from == S::Idle && free, S::Reserved, true),
        Transition::ClaimHotIdle { .. } => {
            (R::Instance, from == S::HotIdle && free, S::Reserved, true)
        }
        Transition::Activate => (R::Lease, from == S::Reserved, S::Activating, false),
        Transition::Activated { .. } => (R::Lease, from == S::Activating, S::Hot, false),
        Transition::Release => (R::Lease, from == S::Hot, S::HotIdle, false),
        // The worker of these tests never was hot: park has tests of its own.
        Transition::Park => (R::Lease, false, S::HotIdle, false),
        Transition::Abandon(_) => {
            let starting = matches!(from, S::Spawning | S::Reserved | S::Activating);
            (R::Lease, starting, S::Retired, false)
        }
        Transition::TakeOver { .. } => (R::Instance, from == S::Hot, S::Reserved, true),
        Transition::Adopt => {
            (R::Instance, (serving || from == S::Draining) && standing != O::Live, from, true)
        }
        Transition::RefreshLease => {
            let may = matches!(from, S::Spawning | S::Idle | S::Hot | S::HotIdle);
            (R::Lease, may, from, true)
        }
        Transition::Note(_) => {
            if from == S::Pending && tried == R::Instance {
                return Some((from, false));
            }
            (R::Lease, serving || from == S::Draining, from, false)
        }
        Transition::Drain(_) => (R::Lease, serving, S::Draining, false),
        Transition::RetireDrained => (R::Lease, from == S::Draining, S::Retired, false),
        Transition::MarkLost(_) => (R::Lease, serving, S::Lost, false),
        Transition::RetireFromSnapshot(end, _) => {
            let patient = from == S::Draining && !dead;
            (R::Snapshot, may_end(end) && !patient, (*end).into(), false)
        }
        Transition::RetireOrphanFromSnapshot(end, _) => {
            (R::Snapshot, may_end(end) && dead, (*end).into(), false)
        }
        Transition::RetireIdleVariantFromSnapshot(_) => {
            (R::Snapshot, matches!(from, S::Idle | S::HotIdle), S::Retired, false)
        }
    };
    (allowed && tried == right).then_some((to, rises))
}

fn tried_decision(
    worker: &Worker,
    transition: &Transition,
    tried: Tried,
    facts: &duckworker_core::Facts,
) -> Result<duckworker_core::WorkerStatus, Miss> {
    let epoch = worker.status.epoch();
    let lease = |owner: Owner, epoch: Epoch| LeaseFence { key: worker.key.clone(), owner, epoch };
    let mut seen = SnapshotFence::of(worker);
    let (me, other) = (owner("me"), owner("other"));
    let fence = match tried {
        Tried::Lease => lease(me, epoch),
        Tried::LeaseOfOther => lease(other.clone(), epoch),
        Tried::StaleLease => lease(me, Epoch::new(3).unwrap()),
        Tried::LeaseOfNamesake => {
            let mut fence = lease(me, epoch);
            fence.key.uid = Uid::new("uid-2").unwrap();
            fence
        }
        Tried::Instance => return decide(worker, &Right::Instance(&other), transition, facts),
        _ => {
            match tried {
                Tried::SnapshotOfOtherState => {
                    seen.state = S::ALL.into_iter().find(|s| *s != seen.state).unwrap();
                }
                Tried::SnapshotOfOtherOwner => seen.owner = Some(owner("before")),
                Tried::SnapshotOfOtherEpoch => seen.epoch = Epoch::new(3).unwrap(),
                Tried::MovedSnapshot => match seen.newest.as_mut() {
                    Some(newest) => newest.at = at(-5),
                    None => seen.state = S::Lost,
                },
                _ => {}
            }
            return decide(worker, &Right::Snapshot { seen: &seen, by: &other }, transition, facts);
        }
    };
    decide(worker, &Right::Lease(&fence), transition, facts)
}

#[test]
fn every_cell_is_as_the_contract_says() {
    let mut cells = 0;
    let mut won = 0;
    for from in S::ALL {
        for transition in every_transition() {
            for tried in ALL_TRIED {
                for standing in STANDINGS {
                    for room in [Room::Free, Room::Full] {
                        for deleting in [false, true] {
                            let mut worker = worker(from);
                            worker.deletion = deleting.then(|| at(9));
                            let facts = facts(standing, room);
                            let decided = tried_decision(&worker, &transition, tried, &facts);
                            let expected =
                                oracle(from, &transition, tried, standing, room, deleting);
                            let got = decided
                                .as_ref()
                                .ok()
                                .map(|new| (new.state, new.epoch() != worker.status.epoch()));
                            assert_eq!(
                                got, expected,
                                "{from} {transition:?} {tried:?} {standing:?} {room:?} deleting={deleting}: {decided:?}"
                            );
                            cells += 1;
                            won += usize::from(got.is_some());
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cells, 10 * 21 * 10 * 4 * 2 * 2);
    assert!(won > 500, "only {won} cells win: the test lost its sense");
}

#[test]
fn each_stale_right_misses_with_its_own_name() {
    let drain = Transition::Drain(duckworker_core::Reason::Requested);
    let end = Transition::RetireFromSnapshot(Terminal::Lost, duckworker_core::Reason::Crashed);
    let facts = facts(OwnerStanding::Live, Room::Free);
    let hot = worker(S::Hot);
    for (transition, tried, miss) in [
        (&drain, Tried::LeaseOfOther, Miss::Owner),
        (&drain, Tried::StaleLease, Miss::Epoch),
        (&drain, Tried::LeaseOfNamesake, Miss::Gone),
        (&end, Tried::SnapshotOfOtherState, Miss::State),
        (&end, Tried::SnapshotOfOtherOwner, Miss::Owner),
        (&end, Tried::SnapshotOfOtherEpoch, Miss::Epoch),
        (&end, Tried::MovedSnapshot, Miss::Moved),
    ] {
        let decided = tried_decision(&hot, transition, tried, &facts);
        assert_eq!(decided.unwrap_err(), miss, "{tried:?}");
    }
}
