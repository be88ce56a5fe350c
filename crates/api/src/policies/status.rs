//! Who may write the status of a worker.
//!
//! Judged at each write of a status, so what it costs counts: the checks share one expression that
//! looks up each field once, as the rules of the CRD do, and finds the sentence only after a refusal.

use std::collections::BTreeSet;

use duckworker_core::WorkerState;
use duckworker_core::edges::edges;
use duckworker_core::table::WhileDeleting;

use super::{Policy, caller, on};
use crate::cel::{Check, all_hold, bind, bind_all, bind_text, first_sentence, list};
use crate::{GROUP, policies};

/// Ownership is taken only for oneself; a lease is used only by its owner; ends are open to all
/// who may write the status at all, since a snapshot needs no lease.
pub fn policy() -> Policy {
    let checks = [
        owner_is_the_caller(),
        lease_is_the_callers(),
        history_grows(),
        by_is_the_caller(),
        not_leaving(),
    ];
    let names = names();
    Policy {
        name: "duckworker-status",
        matches: on(GROUP, &["duckworkers/status"], &["UPDATE"]),
        variables: Vec::new(),
        checks: vec![policies::Check::explained(
            bind_all(&names, bind, all_hold(&checks)),
            bind_all(&names, bind_text, first_sentence(&checks)),
        )],
    }
}

/// What the checks look at, by a short name; each may use those before it.
fn names() -> Vec<(&'static str, String)> {
    let status = |object: &str| format!("has({object}.status) ? {object}.status : {{}}");
    let field =
        |status: &str, field: &str, absent: &str| format!("{status}.?{field}.orValue({absent})");
    vec![
        (caller::NAME, caller::prefix()),
        ("new", status("object")),
        ("old", status("oldObject")),
        ("owner", field("new", "owner", "''")),
        ("oldOwner", field("old", "owner", "''")),
        ("state", field("new", "state", "''")),
        ("oldState", field("old", "state", "''")),
        ("epoch", field("new", "ownerEpoch", "0")),
        ("epochRises", format!("epoch != {}", field("old", "ownerEpoch", "0"))),
        ("history", field("new", "transitions", "[]")),
        ("oldHistory", field("old", "transitions", "[]")),
        ("changes", "state != oldState || owner != oldOwner".to_owned()),
    ]
}

fn owner_is_the_caller() -> Check {
    Check::explained(
        format!("!epochRises && owner == oldOwner || {}", caller::is(caller::NAME, "owner")),
        "'status.owner may only become your own identity, ' + caller + '<incarnation>, \
         and only its owner renews a lease: you wrote ' + owner",
    )
}

fn lease_is_the_callers() -> Check {
    let terminal = WorkerState::ALL.into_iter().filter(|state| state.is_terminal());
    Check::explained(
        format!(
            "epochRises || oldOwner == '' || state in {} || {}",
            list(terminal),
            caller::is(caller::NAME, "oldOwner"),
        ),
        "'the worker belongs to ' + oldOwner + ', and only its owner may write ' + \
         oldState + '>' + state + '; you are ' + caller + '<incarnation>'",
    )
}

fn history_grows() -> Check {
    Check::new(
        "changes ? size(history) > 0 && history[0].epoch == epoch && (size(oldHistory) < 5 \
         ? history == [history[0]] + oldHistory \
         : history == [history[0]] + oldHistory.slice(0, 4)) \
         : history == oldHistory",
        "a change of status.state or status.owner, and nothing else, puts one entry with the new \
         ownerEpoch before the newest four of status.transitions",
    )
}

fn by_is_the_caller() -> Check {
    Check::explained(
        format!(
            "!changes || {} && (!epochRises || history[0].by == owner)",
            caller::is(caller::NAME, "history[0].by")
        ),
        "'status.transitions[0].by must be who writes it, ' + caller + \
         '<incarnation>: you wrote ' + history[0].by",
    )
}

/// Nothing new begins on a worker that is being deleted.
fn not_leaving() -> Check {
    let refused: BTreeSet<String> = edges()
        .iter()
        .filter(|edge| edge.by.rule().deleting == WhileDeleting::Refused)
        .map(|edge| format!("{}>{}", edge.from, edge.to))
        .collect();
    Check::new(
        format!(
            "!has(oldObject.metadata.deletionTimestamp) || !(oldState + '>' + state in {})",
            list(refused)
        ),
        "the worker is being deleted: it is neither adopted anew nor claimed any more",
    )
}
