//! The plan of a worker's life: every view has a step, and the steps lead where they should.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic,
    clippy::too_many_lines,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{STANDINGS, at, tenant, worker};
use duckworker_core::names::Uid;
use duckworker_core::plan::observed::{
    Mark, PodPhase, PodSeen, PodStop, Readiness, Trouble, Whose,
};
use duckworker_core::plan::worker::{
    ClaimStanding, Finalizer, Health, Holder, NodeStanding, SeatStanding, SecretStanding, Step,
    TenantStanding, Turn, View, next,
};
use duckworker_core::pool::{Disruption, PoolRef};
use duckworker_core::{OwnerStanding, Reason, Worker, WorkerState as S};

fn pod(phase: PodPhase) -> PodSeen {
    PodSeen {
        uid: Uid::new("pod-1").unwrap(),
        whose: Whose::Ours,
        phase,
        stop: None,
        ip: Some("10.0.0.1".into()),
        node: Some("node-1".into()),
        mark: None,
    }
}

fn running() -> PodSeen {
    pod(PodPhase::Running(Readiness::Ready))
}

fn ended(reason: Reason) -> PodSeen {
    pod(PodPhase::Ended(Trouble::new(reason, "it ended")))
}

fn told_to_stop(reason: Reason) -> PodSeen {
    let stop = PodStop { by: at(40), why: Trouble::new(reason, "told to stop") };
    PodSeen { stop: Some(stop), ..running() }
}

/// A healthy worker as its owner sees it.
fn view<'a>(worker: &'a Worker, pod: Option<&'a PodSeen>) -> View<'a> {
    View {
        worker,
        finalizer: Finalizer::On,
        holder: Holder::Me,
        turn: Turn::Mine,
        seat: SeatStanding::NotNeeded,
        claim: ClaimStanding::None,
        tenant: TenantStanding::Welcome,
        pod,
        node: NodeStanding::Open,
        disruption: Disruption::Protect,
        secret: SecretStanding::There,
        health: Health::Healthy,
        now: at(10),
    }
}

fn deleting(mut worker: Worker) -> Worker {
    worker.deletion = Some(at(5));
    worker
}

fn dedicated(mut worker: Worker) -> Worker {
    worker.spec.dedicated_to = Some(tenant("acme"));
    worker
}

#[test]
fn a_pod_is_marked_before_its_worker_serves_and_after_it_was_parked() {
    let bare = running();
    let marked = |mark| PodSeen { mark: Some(mark), ..running() };
    let (busy, idle) = (marked(Mark::Busy), marked(Mark::Idle));
    for (state, wanted, right, wrong) in [
        (S::Idle, Mark::Idle, &idle, &busy),
        (S::HotIdle, Mark::Idle, &idle, &busy),
        (S::Reserved, Mark::Busy, &busy, &idle),
        (S::Activating, Mark::Busy, &busy, &idle),
        (S::Hot, Mark::Busy, &busy, &idle),
    ] {
        let worker = worker(state);
        for other in [wrong, &bare] {
            let seen = view(&worker, Some(other));
            assert!(!matches!(next(&seen), Step::MarkPod(_)), "{state}: nobody asked for marks");
            let seen = View { disruption: Disruption::AllowIdle, ..seen };
            assert_eq!(next(&seen), Step::MarkPod(wanted), "{state}");
            let held = View { holder: Holder::Foreign(OwnerStanding::Live), ..seen };
            assert_eq!(next(&held), Step::MarkPod(wanted), "{state} of a control plane");
            let peers = View { holder: Holder::Peer(OwnerStanding::Live), ..seen };
            for seen in [peers, View { turn: Turn::Others, ..held }] {
                assert_eq!(next(&seen), Step::Rest, "{state}: somebody else marks it");
            }
        }
        let seen = View { disruption: Disruption::AllowIdle, ..view(&worker, Some(right)) };
        assert!(!matches!(next(&seen), Step::MarkPod(_)), "{state}: it is marked");
        let stopped = told_to_stop(Reason::Evicted);
        let seen = View { disruption: Disruption::AllowIdle, ..view(&worker, Some(&stopped)) };
        assert_eq!(next(&seen), Step::Drain(Reason::Evicted), "{state}");
    }
}

#[test]
fn a_control_planes_worker_leaves_a_cordoned_node_with_its_object() {
    let (pod, pooled) = (running(), PoolRef { name: "p".into(), uid: Uid::new("p-1").unwrap() });
    for state in [S::Idle, S::Reserved, S::Activating, S::Hot, S::HotIdle] {
        let mut worker = worker(state);
        let live = Holder::Foreign(OwnerStanding::Live);
        let bare = worker.clone();
        let alone = View { holder: live, node: NodeStanding::Cordoned, ..view(&bare, Some(&pod)) };
        assert_eq!(next(&alone), Step::Rest, "{state}: an eviction does it");
        worker.pool = Some(pooled.clone());
        let seen = View { worker: &worker, ..alone };
        assert_eq!(next(&seen), Step::DeleteObject, "{state}");
        assert_eq!(next(&View { turn: Turn::Others, ..seen }), Step::Rest, "{state}");
        assert_eq!(next(&View { node: NodeStanding::Open, ..seen }), Step::Rest, "{state}");
        let going = deleting(worker.clone());
        let once = View { worker: &going, ..seen };
        assert!(matches!(next(&once), Step::Wait(_)), "{state}: it is told once");
    }
}

#[test]
fn a_worker_whose_claim_is_gone_is_parked_or_ended() {
    use ClaimStanding as C;
    let pod = running();
    for (state, reused, for_good) in [
        (S::Hot, Step::Release, Step::Drain(Reason::Released)),
        (S::Reserved, Step::Rest, Step::Abandon(Reason::Released)),
        (S::HotIdle, Step::Rest, Step::Rest),
    ] {
        let worker = worker(state);
        let seen = view(&worker, Some(&pod));
        assert_eq!(next(&View { claim: C::Wants, ..seen }), Step::Rest, "{state}");
        assert_eq!(next(&View { claim: C::GoneAndReused, ..seen }), reused, "{state}");
        assert_eq!(next(&View { claim: C::GoneForGood, ..seen }), for_good, "{state}");
    }
}

#[test]
fn a_worker_of_a_pool_waits_for_its_seat() {
    let new = worker(S::Pending);
    let seen = View { holder: Holder::Nobody, ..view(&new, None) };
    assert_eq!(next(&View { seat: SeatStanding::Missing, ..seen }), Step::Rest);
    assert_eq!(next(&View { seat: SeatStanding::Taken, ..seen }), Step::AdoptNew);
}

#[test]
fn a_new_worker_is_finalized_then_taken_by_whose_turn_it_is() {
    let new = worker(S::Pending);
    let seen = View { holder: Holder::Nobody, ..view(&new, None) };
    assert_eq!(next(&View { finalizer: Finalizer::Off, ..seen }), Step::AddFinalizer);
    assert_eq!(next(&seen), Step::AdoptNew);
    assert_eq!(next(&View { turn: Turn::Others, ..seen }), Step::Rest);
}

#[test]
fn a_spawning_worker_gets_its_secret_then_its_pod_then_a_note_of_both() {
    let mut spawning = worker(S::Spawning);
    spawning.status.pod = None;
    let none = SecretStanding::NotMade;
    assert_eq!(next(&View { secret: none, ..view(&spawning, None) }), Step::MakeSecret);
    assert_eq!(next(&view(&spawning, None)), Step::MakePod);
    let made = running();
    let Step::Note(written) = next(&view(&spawning, Some(&made))) else { panic!("no note") };
    assert_eq!(written.secret_name.as_deref(), Some("w-rpc"));
    assert_eq!(written.pod.map(|p| p.uid), Some(made.uid));
}

#[test]
fn it_is_ready_when_its_pod_is_and_its_health_check_answers() {
    let spawning = worker(S::Spawning);
    let ready = running();
    assert!(matches!(next(&view(&spawning, Some(&ready))), Step::Ready(_)));
    let silent = View { health: Health::Unknown, ..view(&spawning, Some(&ready)) };
    assert_eq!(next(&silent), Step::Probe);
    assert_eq!(next(&View { now: at(300), ..silent }), Step::Abandon(Reason::Unhealthy));
}

#[test]
fn a_start_that_fails_is_abandoned_with_its_reason() {
    let spawning = worker(S::Spawning);
    let crashed = ended(Reason::Crashed);
    assert_eq!(next(&view(&spawning, Some(&crashed))), Step::Abandon(Reason::Crashed));
    assert_eq!(next(&view(&spawning, None)), Step::Abandon(Reason::PodGone));
    let blocked = pod(PodPhase::Starting {
        blocked: Some(Trouble::new(Reason::ImagePullFailed, "no such image")),
    });
    // It may pass by itself: said at once, final only when the time is over.
    assert!(matches!(next(&view(&spawning, Some(&blocked))), Step::Note(_)));
    let late = View { now: at(300), ..view(&spawning, Some(&blocked)) };
    assert_eq!(next(&late), Step::Abandon(Reason::ImagePullFailed));
    let slow = pod(PodPhase::Starting { blocked: None });
    assert_eq!(next(&view(&spawning, Some(&slow))), Step::Wait(Duration::from_secs(290)));
    let late = View { now: at(300), ..view(&spawning, Some(&slow)) };
    assert_eq!(next(&late), Step::Abandon(Reason::StartupTimeout));
}

#[test]
fn a_namesakes_pod_is_never_taken_for_the_workers() {
    let foreign = PodSeen { whose: Whose::Foreign, ..running() };
    let mut spawning = worker(S::Spawning);
    spawning.status.pod = None;
    assert_eq!(next(&view(&spawning, Some(&foreign))), Step::MakePod);
    let successor = PodSeen { uid: Uid::new("pod-2").unwrap(), ..running() };
    let hot = dedicated(worker(S::Hot));
    assert_eq!(next(&view(&hot, Some(&successor))), Step::MarkLost(Reason::PodGone));
}

#[test]
fn a_dedicated_worker_goes_on_to_hot_by_itself() {
    let up = running();
    for (state, step) in [
        (S::Idle, Step::ClaimDedicated(tenant("acme"))),
        (S::Reserved, Step::Activate),
        (S::Activating, Step::FinishActivation),
        (S::Hot, Step::Rest),
    ] {
        let worker = dedicated(worker(state));
        assert_eq!(next(&view(&worker, Some(&up))), step, "{state}");
    }
    let late = dedicated(worker(S::Activating));
    let late = View { now: at(300), ..view(&late, Some(&up)) };
    assert_eq!(next(&late), Step::Abandon(Reason::ActivationTimeout));
}

#[test]
fn whatever_runs_and_ends_is_lost_and_whatever_is_told_to_stop_drains() {
    for state in [S::Idle, S::Reserved, S::Activating, S::Hot, S::HotIdle] {
        let worker = worker(state);
        let oom = ended(Reason::OutOfMemory);
        assert_eq!(next(&view(&worker, Some(&oom))), Step::MarkLost(Reason::OutOfMemory));
        assert_eq!(next(&view(&worker, None)), Step::MarkLost(Reason::PodGone));
        let evicted = told_to_stop(Reason::Evicted);
        assert_eq!(next(&view(&worker, Some(&evicted))), Step::Drain(Reason::Evicted));
        let up = running();
        let bare = View { secret: SecretStanding::Vanished, ..view(&worker, Some(&up)) };
        assert_eq!(next(&bare), Step::Drain(Reason::SecretLost));
    }
}

#[test]
fn a_deleted_worker_drains_then_retires_then_goes() {
    for state in [S::Spawning, S::Idle, S::Reserved, S::Activating, S::Hot, S::HotIdle] {
        let worker = deleting(worker(state));
        let up = running();
        assert_eq!(next(&view(&worker, Some(&up))), Step::Drain(Reason::Deleted), "{state}");
    }
    let draining = deleting(worker(S::Draining));
    let up = running();
    assert_eq!(next(&view(&draining, Some(&up))), Step::StopPod(Duration::from_mins(15)));
    assert_eq!(next(&view(&draining, None)), Step::RetireDrained);
    let retired = deleting(worker(S::Retired));
    assert_eq!(next(&view(&retired, None)), Step::Finish);
}

#[test]
fn a_cordoned_node_is_emptied() {
    let up = running();
    for state in [S::Idle, S::Hot, S::HotIdle] {
        let worker = worker(state);
        let seen = View { node: NodeStanding::Cordoned, ..view(&worker, Some(&up)) };
        assert_eq!(next(&seen), Step::Drain(Reason::NodeCordoned), "{state}");
    }
}

#[test]
fn a_pod_is_forced_away_only_when_its_node_is_gone() {
    let draining = worker(S::Draining);
    let stopping = told_to_stop(Reason::PodDeleted);
    let seen = view(&draining, Some(&stopping));
    assert_eq!(next(&seen), Step::Wait(Duration::from_mins(1)), "30 s of grace and 30 s more");
    let silent = View { now: at(70), ..seen };
    let Step::Note(note) = next(&silent) else { panic!("no condition") };
    assert_eq!(note.conditions[0].kind, "NodeUnreachable");
    let gone = View { node: NodeStanding::Gone, ..silent };
    assert_eq!(next(&gone), Step::ForcePod);
}

#[test]
fn a_changed_spec_is_acknowledged() {
    let up = running();
    let mut idle = worker(S::Idle);
    assert_eq!(next(&view(&idle, Some(&up))), Step::Rest);
    idle.generation = 2;
    assert!(matches!(next(&view(&idle, Some(&up))), Step::Note(_)));
}

#[test]
fn a_finished_worker_stays_readable_as_long_as_it_is_told() {
    fn nothing_left(worker: &Worker) -> View<'_> {
        View { secret: SecretStanding::NotMade, ..view(worker, None) }
    }
    let mut retired = worker(S::Retired);
    assert_eq!(next(&nothing_left(&retired)), Step::Rest);
    retired.spec.ttl_after_finished = Some(Duration::from_secs(30));
    assert_eq!(next(&nothing_left(&retired)), Step::Wait(Duration::from_secs(20)));
    let later = View { now: at(30), ..nothing_left(&retired) };
    assert_eq!(next(&later), Step::DeleteObject);
}

#[test]
fn a_dead_owners_worker_is_adopted_unless_its_sessions_died_with_it() {
    let up = running();
    for standing in STANDINGS {
        for state in [S::Spawning, S::Idle, S::HotIdle, S::Draining] {
            let worker = worker(state);
            let seen = View { holder: Holder::Foreign(standing), ..view(&worker, Some(&up)) };
            let expected = if standing.gives_up() { Step::Adopt } else { Step::Rest };
            assert_eq!(next(&seen), expected, "{state} {standing:?}");
            assert_eq!(next(&View { turn: Turn::Others, ..seen }), Step::Rest);
        }
        let hot = worker(S::Hot);
        let seen = View { holder: Holder::Foreign(standing), ..view(&hot, Some(&up)) };
        assert_eq!(next(&seen), Step::Rest, "{standing:?}");
        let bound = dedicated(hot.clone());
        let seen = View { worker: &bound, ..seen };
        assert_eq!(next(&seen) == Step::Adopt, standing.gives_up(), "{standing:?}");
    }
}

/// Every view that can be made of these parts.
fn every_view(check: impl Fn(&View<'_>, Step)) -> usize {
    let pods = [
        None,
        Some(running()),
        Some(pod(PodPhase::Starting { blocked: None })),
        Some(ended(Reason::Crashed)),
        Some(told_to_stop(Reason::PodDeleted)),
        Some(PodSeen { whose: Whose::Foreign, uid: Uid::new("other").unwrap(), ..running() }),
    ];
    let holders = STANDINGS
        .into_iter()
        .flat_map(|s| [Holder::Peer(s), Holder::Foreign(s)])
        .chain([Holder::Me, Holder::Nobody]);
    let mut views = 0;
    for holder in holders {
        // What is pending has no owner, and what is not has one.
        for state in S::ALL.into_iter().filter(|s| (*s == S::Pending) == (holder == Holder::Nobody))
        {
            for worker in [worker(state), deleting(worker(state)), dedicated(worker(state))] {
                for pod in &pods {
                    for secret in
                        [SecretStanding::NotMade, SecretStanding::There, SecretStanding::Vanished]
                    {
                        for (turn, finalizer) in [
                            (Turn::Mine, Finalizer::On),
                            (Turn::Mine, Finalizer::Off),
                            (Turn::Others, Finalizer::On),
                        ] {
                            let seen = view(&worker, pod.as_ref());
                            let seen = View { holder, secret, turn, finalizer, ..seen };
                            check(&seen, next(&seen));
                            views += 1;
                        }
                    }
                }
            }
        }
    }
    views
}

#[test]
fn no_view_lets_anyone_touch_what_is_not_condemned_or_not_his() {
    let views = every_view(|seen, step| {
        let state = seen.worker.status.state;
        let mine = seen.holder == Holder::Me;
        match step {
            Step::StopPod(_) | Step::ForcePod | Step::Finish => assert!(
                state.is_condemned() || (state == S::Pending && seen.worker.is_deleting()),
                "{step:?} of a {state} worker"
            ),
            Step::RetireDrained => assert!(mine && state == S::Draining),
            Step::MakeSecret | Step::MakePod => {
                assert!(mine && state == S::Spawning && !seen.worker.is_deleting());
            }
            Step::Ready(_) | Step::Activate | Step::FinishActivation | Step::Note(_) => {
                assert!(mine, "{step:?} of somebody else's worker");
            }
            Step::Drain(_) | Step::Abandon(_) | Step::MarkLost(_) => {
                assert!(mine && !state.is_condemned(), "{step:?} of a {state} worker");
            }
            Step::Adopt | Step::AdoptNew | Step::RetireLost(_) | Step::AddFinalizer => {
                assert!(seen.turn == Turn::Mine && !mine, "{step:?} out of turn");
            }
            _ => {}
        }
    });
    assert_eq!(views, (9 * 9 + 1) * 3 * 6 * 3 * 3);
}
