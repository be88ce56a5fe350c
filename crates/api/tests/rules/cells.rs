//! Every change of state, epoch, owner, tenant and claim, against the table.

use duckworker_core::WorkerState::{self, Draining, Idle, Lost, Pending, Reserved, Retired};
use duckworker_core::table::{ClaimEffect, EpochStep, Rule, TABLE, Target, TransitionName};
use serde_json::{Value, json};

use crate::judge::{refusal, worker};

/// What a write does to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Keep,
    Set,
    Clear,
}

const DOES: [Does; 3] = [Does::Keep, Does::Set, Does::Clear];

/// One change.
#[derive(Debug, Clone, Copy)]
struct Cell {
    from: WorkerState,
    to: WorkerState,
    step: i64,
    same_owner: bool,
    tenant: Does,
    claim: Does,
    had_tenant: bool,
    had_claim: bool,
}

#[test]
fn every_cell_is_judged_as_the_table_says() {
    let mut wrong = Vec::new();
    for cell in cells() {
        let (old, new) = write(&cell);
        let refused = refusal(&old, &new);
        if refused.is_none() != allowed(&cell) {
            wrong.push(format!("{cell:?}: {refused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} cells: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}

#[test]
fn the_sentence_says_what_to_write_instead() {
    let mut cell = cells().find(|c| c.from == Idle && c.to == WorkerState::Hot).unwrap();
    cell.step = 0;
    let (old, new) = write(&cell);
    assert_eq!(
        refusal(&old, &new).unwrap(),
        "status.state cannot go from Idle to Hot with the same ownerEpoch: from Idle it may go to \
         Draining, Retired, Lost with the same ownerEpoch, and to Reserved with ownerEpoch one \
         higher"
    );
}

fn cells() -> impl Iterator<Item = Cell> {
    let pairs = WorkerState::ALL
        .into_iter()
        .flat_map(|from| WorkerState::ALL.into_iter().map(move |to| (from, to)));
    let owners = pairs.flat_map(|pair| {
        [-1, 0, 1, 2].into_iter().flat_map(move |step| [true, false].map(|same| (pair, step, same)))
    });
    owners.flat_map(|((from, to), step, same_owner)| {
        let before = histories(from).into_iter();
        before.flat_map(move |(had_tenant, had_claim)| {
            DOES.into_iter().flat_map(move |tenant| {
                DOES.map(|claim| Cell {
                    from,
                    to,
                    step,
                    same_owner,
                    tenant,
                    claim,
                    had_tenant,
                    had_claim,
                })
            })
        })
    })
}

/// With and without tenant and claim, where a state can be so.
fn histories(state: WorkerState) -> Vec<(bool, bool)> {
    match state {
        _ if state.forbids_tenant() => vec![(false, false)],
        WorkerState::HotIdle => vec![(true, false)],
        Draining | Retired | Lost => vec![(false, false), (true, true)],
        _ => vec![(true, false), (true, true)],
    }
}

/// Some row of the table allows it, or nothing changes at all but the signature on a Pending one.
fn allowed(cell: &Cell) -> bool {
    TABLE.iter().any(|rule| fits(rule, cell))
}

fn fits(rule: &Rule, cell: &Cell) -> bool {
    let lands = match rule.to {
        Target::To(state) => cell.to == state,
        Target::Same => cell.to == cell.from,
        Target::Ends => cell.to == Retired || (cell.to == Lost && cell.from != Draining),
    };
    rule.from.contains(&cell.from)
        && lands
        && owner_fits(rule, cell)
        && tenant_fits(rule, cell)
        && claim_fits(rule, cell)
}

fn owner_fits(rule: &Rule, cell: &Cell) -> bool {
    let unowned = cell.from == Pending && cell.to == Pending;
    match rule.epoch {
        EpochStep::Same => cell.step == 0 && (cell.same_owner || unowned),
        EpochStep::Next if rule.name == TransitionName::Adopt => cell.step == 1 && !cell.same_owner,
        EpochStep::Next if rule.name == TransitionName::RefreshLease => {
            cell.step == 1 && cell.same_owner
        }
        EpochStep::Next => cell.step == 1,
    }
}

fn tenant_fits(rule: &Rule, cell: &Cell) -> bool {
    let untouched = cell.tenant == Does::Keep || (cell.tenant == Does::Clear && !cell.had_tenant);
    match rule.name {
        TransitionName::ClaimIdle => cell.tenant == Does::Set,
        _ => untouched,
    }
}

fn claim_fits(rule: &Rule, cell: &Cell) -> bool {
    let untouched = cell.claim == Does::Keep || (cell.claim == Does::Clear && !cell.had_claim);
    let has_none = cell.claim == Does::Clear || (cell.claim == Does::Keep && !cell.had_claim);
    match rule.claim {
        ClaimEffect::Set => true,
        ClaimEffect::Clear => has_none,
        ClaimEffect::Keep if rule.name == TransitionName::TakeOver => !cell.had_claim && has_none,
        ClaimEffect::Keep => untouched,
    }
}

fn write(cell: &Cell) -> (Value, Value) {
    let mut old =
        json!({ "state": cell.from.to_string(), "writes": { "seq": 1, "ids": ["id-of-write-1"] } });
    if cell.from != Pending {
        old["owner"] = json!("user:a:1");
        old["ownerEpoch"] = json!(7);
    }
    if cell.had_tenant {
        old["tenant"] = json!("acme");
    }
    if cell.had_claim {
        old["claim"] = json!({ "name": "c", "uid": "uid-of-c" });
    }
    let mut new = old.clone();
    new["state"] = json!(cell.to.to_string());
    new["writes"] = json!({ "seq": 2, "ids": ["id-of-write-2", "id-of-write-1"] });
    let epoch = old["ownerEpoch"].as_i64().unwrap_or(0) + cell.step;
    if cell.to == Pending && epoch == 0 {
        new.as_object_mut().unwrap().remove("owner");
    } else {
        new["owner"] = json!(if cell.same_owner { "user:a:1" } else { "user:b:1" });
        new["ownerEpoch"] = json!(epoch);
    }
    change(&mut new, "tenant", cell.tenant, &json!("other"));
    change(&mut new, "claim", cell.claim, &json!({ "name": "d", "uid": "uid-of-d" }));
    (worker(&old), worker(&new))
}

fn change(status: &mut Value, field: &str, does: Does, value: &Value) {
    match does {
        Does::Keep => {}
        Does::Set => status[field] = value.clone(),
        Does::Clear => {
            status.as_object_mut().unwrap().remove(field);
        }
    }
}

#[test]
fn a_dedicated_worker_takes_its_own_tenant_only() {
    let cell = cells()
        .find(|c| (c.from, c.to, c.step, c.tenant) == (Idle, Reserved, 1, Does::Set))
        .unwrap();
    let (mut old, mut new) = write(&cell);
    for (dedicated, fine) in [("other", true), ("acme", false)] {
        old["spec"]["tenant"] = json!(dedicated);
        new["spec"]["tenant"] = json!(dedicated);
        assert_eq!(refusal(&old, &new).is_none(), fine, "{dedicated}");
    }
}

#[test]
fn every_write_is_signed() {
    let cell = cells().find(|c| (c.from, c.to, c.step) == (Idle, Idle, 0)).unwrap();
    let signatures = [
        (json!({ "seq": 2, "ids": ["id-of-write-2", "id-of-write-1"] }), true),
        (json!({ "seq": 1, "ids": ["id-of-write-1"] }), true),
        (json!({ "seq": 3, "ids": ["id-of-write-2", "id-of-write-1"] }), false),
        (json!({ "seq": 2, "ids": ["id-of-write-1", "id-of-write-1"] }), false),
        (json!({ "seq": 2, "ids": ["id-of-write-2"] }), false),
        (json!({ "seq": 2, "ids": ["id-of-write-1", "id-of-write-2"] }), false),
        (json!({ "seq": 2, "ids": [] }), false),
    ];
    for (writes, fine) in signatures {
        let (old, mut new) = write(&cell);
        new["status"]["writes"] = writes;
        let refused = refusal(&old, &new);
        assert_eq!(refused.is_none(), fine, "{}: {refused:?}", new["status"]["writes"]);
    }
    let (old, mut new) = write(&cell);
    new["status"]["writes"] = old["status"]["writes"].clone();
    new["status"]["endpoint"] = json!("host:1");
    assert!(refusal(&old, &new).unwrap().contains("status.writes"), "unsigned");
}

#[test]
fn the_newest_five_ids_are_kept() {
    let cell = cells().find(|c| (c.from, c.to, c.step) == (Idle, Idle, 0)).unwrap();
    let ids = |numbers: &[u8]| -> Vec<String> {
        numbers.iter().map(|n| format!("id-of-write-{n}")).collect()
    };
    for (after, fine) in [(&[6, 5, 4, 3, 2], true), (&[6, 5, 4, 3, 1], false)] {
        let (mut old, mut new) = write(&cell);
        old["status"]["writes"] = json!({ "seq": 5, "ids": ids(&[5, 4, 3, 2, 1]) });
        new["status"]["writes"] = json!({ "seq": 6, "ids": ids(after) });
        assert_eq!(refusal(&old, &new).is_none(), fine, "{after:?}");
    }
}

#[test]
fn pod_and_secret_are_recorded_once() {
    let cell = cells().find(|c| (c.from, c.to, c.step) == (Idle, Idle, 0)).unwrap();
    let (mut old, new) = write(&cell);
    old["status"]["pod"] = json!({ "name": "w", "uid": "uid-1" });
    old["status"]["secretName"] = json!("w-rpc");
    let changes = [
        (
            json!({ "pod": { "name": "w", "uid": "uid-1", "ip": "10.0.0.1" }, "secretName": "w-rpc" }),
            true,
        ),
        (json!({ "pod": { "name": "w", "uid": "uid-2" }, "secretName": "w-rpc" }), false),
        (json!({ "pod": { "name": "w", "uid": "uid-1" }, "secretName": "other" }), false),
        (json!({ "secretName": "w-rpc" }), false),
        (json!({ "pod": { "name": "w", "uid": "uid-1" } }), false),
    ];
    for (fields, fine) in changes {
        let mut new = new.clone();
        new["status"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(refusal(&old, &new).is_none(), fine, "{fields}");
    }
}

#[test]
fn a_pending_worker_takes_conditions_only() {
    let cell = cells().find(|c| (c.from, c.to, c.step) == (Pending, Pending, 0)).unwrap();
    for (field, value, fine) in [
        ("observedGeneration", json!(3), true),
        ("endpoint", json!("host:1"), false),
        ("secretName", json!("w-rpc"), false),
        ("pod", json!({ "name": "w", "uid": "uid-1" }), false),
    ] {
        let (old, mut new) = write(&cell);
        new["status"][field] = value;
        assert_eq!(refusal(&old, &new).is_none(), fine, "{field}");
    }
}

#[test]
fn a_label_may_change_in_every_state_and_the_template_in_none() {
    for state in WorkerState::ALL {
        let cell = cells().find(|c| c.from == state && c.claim == Does::Keep).unwrap();
        let (old, _) = write(&cell);
        let mut labelled = old.clone();
        labelled["metadata"]["labels"] = json!({ "a": "b" });
        assert_eq!(refusal(&old, &labelled), None, "{state}");
        let mut other = old.clone();
        other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("j");
        assert!(refusal(&old, &other).unwrap().contains("spec.template cannot be changed"));
    }
}

#[test]
fn a_status_that_is_removed_falls_back_to_pending_and_is_refused() {
    for state in WorkerState::ALL.into_iter().filter(|state| *state != Pending) {
        let cell = cells().find(|c| c.from == state).unwrap();
        let (old, mut new) = write(&cell);
        new.as_object_mut().unwrap().remove("status");
        assert!(refusal(&old, &new).is_some(), "{state}");
    }
}
