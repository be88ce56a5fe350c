//! The next status of a worker: mostly a good one, sometimes with one flaw.

use duckworker_core::WorkerState;
use serde_json::{Value, json};

use crate::script::{Flaw, StatusChange};

const NOW: &str = "2024-01-01T00:00:00Z";

/// The status that a change makes of the stored one.
pub fn next(stored: &Value, change: StatusChange) -> Value {
    if change.flaw == Flaw::Unchanged {
        return stored.clone();
    }
    if change.flaw == Flaw::Missing {
        return Value::Null;
    }
    let mut status = stored.clone();
    let (before, state) = (stored["state"].clone(), WorkerState::ALL[change.state]);
    let moved = before != state.to_string();
    status["state"] = state.to_string().into();
    own(&mut status, change, state);
    assign(&mut status, change, state);
    let changed_owner = status["owner"] != stored["owner"];
    if (moved || changed_owner) != (change.flaw == Flaw::History) {
        let entry = json!({ "name": "test", "by": "me", "epoch": status["ownerEpoch"], "at": NOW });
        push(&mut status, "transitions", entry);
    }
    if moved {
        status["stateSince"] = NOW.into();
        if matches!(state, WorkerState::Idle | WorkerState::HotIdle) {
            status["idleSince"] = NOW.into();
        } else {
            remove(&mut status, "idleSince");
        }
    }
    if change.flaw != Flaw::Unsigned {
        sign(&mut status);
    }
    if change.flaw == Flaw::Type {
        status["observedGeneration"] = "one".into();
    }
    status
}

fn own(status: &mut Value, change: StatusChange, state: WorkerState) {
    if state == WorkerState::Pending {
        return;
    }
    let epoch = status["ownerEpoch"].as_i64().unwrap_or(0) + i64::from(change.epoch);
    status["ownerEpoch"] = epoch.into();
    if change.other_owner || status["owner"].is_null() {
        status["owner"] = if status["owner"] == "me" { "you".into() } else { "me".into() };
    }
}

fn assign(status: &mut Value, change: StatusChange, state: WorkerState) {
    if change.flaw == Flaw::Tenant {
        status["tenant"] = "another".into();
    } else if state.needs_tenant() && status["tenant"].is_null() {
        status["tenant"] = "tenant".into();
    }
}

fn sign(status: &mut Value) {
    let seq = status["writes"]["seq"].as_i64().unwrap_or(0) + 1;
    if !status["writes"].is_object() {
        status["writes"] = json!({ "ids": [] });
    }
    status["writes"]["seq"] = seq.into();
    push(&mut status["writes"], "ids", format!("write-{seq:04}").into());
}

/// Puts an item before the newest four of a list.
fn push(holder: &mut Value, field: &str, item: Value) {
    let mut list = holder[field].as_array().cloned().unwrap_or_default();
    list.insert(0, item);
    list.truncate(5);
    holder[field] = list.into();
}

fn remove(status: &mut Value, field: &str) {
    if let Some(fields) = status.as_object_mut() {
        fields.remove(field);
    }
}
