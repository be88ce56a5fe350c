//! Whatever `decide` decides, the API server accepts.

use duckworker_api::{parse, wire};
use duckworker_core::names::{Owner, Tenant, Uid, WriteId};
use duckworker_core::worker::{ClaimRef, PodRef};
use duckworker_core::{
    Facts, LeaseFence, Note, OwnerStanding, Reason, Right, Room, SnapshotFence, Transition, Worker,
    WorkerState, decide, state::Terminal,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::judge::{refusal, typed, worker};

#[test]
fn every_decision_is_accepted() {
    let mut accepted = 0;
    for state in WorkerState::ALL {
        for claimed in [false, true] {
            let stored = worker(&status(state, claimed));
            let parsed = parse::worker(&typed(&stored)).unwrap();
            for transition in transitions() {
                accepted += try_all_rights(&stored, &parsed, &transition);
            }
        }
    }
    assert!(accepted > 100, "{accepted}");
}

fn try_all_rights(stored: &Value, worker: &Worker, transition: &Transition) -> usize {
    let (own, other) = (Owner::new("user:a:1").unwrap(), Owner::new("user:b:1").unwrap());
    let lease =
        LeaseFence { key: worker.key.clone(), owner: own.clone(), epoch: worker.status.epoch() };
    let seen = SnapshotFence::of(worker);
    let rights = [
        Right::Lease(&lease),
        Right::Snapshot { seen: &seen, by: &other },
        Right::Instance(&own),
        Right::Instance(&other),
    ];
    let facts = Facts {
        owner: OwnerStanding::Expired,
        room: Room::Free,
        now: Timestamp::from_second(1_800_000_000).unwrap(),
    };
    let mut accepted = 0;
    for right in rights {
        let Ok(mut decided) = decide(worker, &right, transition, &facts) else { continue };
        decided.writes = worker.status.writes.with(WriteId::new("id-of-write-2").unwrap());
        let mut new = stored.clone();
        let old_status = serde_json::from_value(stored["status"].clone()).unwrap();
        new["status"] = serde_json::to_value(wire::status(&decided, Some(&old_status))).unwrap();
        assert_eq!(refusal(stored, &new), None, "{right:?} {transition:?}: {stored} {new}");
        accepted += 1;
    }
    accepted
}

fn status(state: WorkerState, claimed: bool) -> Value {
    let mut status = json!({
        "state": state.to_string(),
        "writes": { "seq": 1, "ids": ["id-of-write-1"] },
    });
    if state != WorkerState::Pending {
        status["owner"] = json!("user:a:1");
        status["ownerEpoch"] = json!(3);
        status["transitions"] = json!([
            { "name": "release", "by": "user:a:1", "epoch": 3, "at": "2026-01-01T00:00:00Z" },
        ]);
    }
    if state.needs_tenant() {
        status["tenant"] = json!("acme");
        if claimed && state != WorkerState::HotIdle {
            status["claim"] = json!({ "name": "c", "uid": "uid-of-c" });
        }
    }
    status
}

fn transitions() -> Vec<Transition> {
    let tenant = Tenant::new("acme").unwrap();
    let claim = Some(ClaimRef { name: "d".into(), uid: Uid::new("uid-of-d").unwrap() });
    let note = Note {
        pod: Some(PodRef { name: "w".into(), uid: Uid::new("uid-of-pod").unwrap(), ip: None }),
        secret_name: Some("w-rpc".into()),
        endpoint: Some("10.0.0.1:8816".into()),
        ..Note::default()
    };
    let reason = Reason::Requested;
    let mut all = vec![
        Transition::AdoptNew,
        Transition::Ready(note.clone()),
        Transition::Activate,
        Transition::Activated { credentials_expire_at: None },
        Transition::Release,
        Transition::Park,
        Transition::Abandon(reason),
        Transition::Adopt,
        Transition::RefreshLease,
        Transition::Note(note),
        Transition::Note(Note::default()),
        Transition::Drain(reason),
        Transition::RetireDrained,
        Transition::MarkLost(reason),
        Transition::RetireIdleVariantFromSnapshot(reason),
    ];
    for end in [Terminal::Retired, Terminal::Lost] {
        all.push(Transition::RetireFromSnapshot(end, reason));
        all.push(Transition::RetireOrphanFromSnapshot(end, reason));
    }
    for claim in [None, claim] {
        all.push(Transition::ClaimIdle { tenant: tenant.clone(), claim: claim.clone() });
        all.push(Transition::ClaimHotIdle { tenant: tenant.clone(), version: None, claim });
    }
    all.push(Transition::TakeOver { tenant, expected: duckworker_core::Epoch::new(3).unwrap() });
    all
}
