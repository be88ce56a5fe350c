//! Who may write the status of a worker.

use std::collections::BTreeSet;

use duckworker_core::WorkerState;
use duckworker_core::edges::edges;
use duckworker_core::table::WhileDeleting;

use super::{Check, Policy, caller, on};
use crate::{GROUP, cel};

/// Ownership is taken only for oneself; a lease is used only by its owner; ends are open to all
/// who may write the status at all, since a snapshot needs no lease.
pub fn policy() -> Policy {
    Policy {
        name: "duckworker-status",
        matches: on(GROUP, &["duckworkers/status"], &["UPDATE"]),
        variables: variables(),
        checks: vec![
            owner_is_the_caller(),
            lease_is_the_callers(),
            history_grows(),
            by_is_the_caller(),
            not_leaving(),
        ],
    }
}

fn variables() -> Vec<(&'static str, String)> {
    let status = |object: &str| format!("has({object}.status) ? {object}.status : {{}}");
    let field = |status: &str, field: &str, absent: &str| {
        format!("variables.{status}.?{field}.orValue({absent})")
    };
    vec![
        (caller::VARIABLE, caller::prefix()),
        ("new", status("object")),
        ("old", status("oldObject")),
        ("owner", field("new", "owner", "''")),
        ("oldOwner", field("old", "owner", "''")),
        ("state", field("new", "state", "''")),
        ("oldState", field("old", "state", "''")),
        ("edge", "variables.oldState + '>' + variables.state".to_owned()),
        ("epoch", field("new", "ownerEpoch", "0")),
        ("epochRises", format!("variables.epoch != {}", field("old", "ownerEpoch", "0"))),
        ("history", field("new", "transitions", "[]")),
        ("oldHistory", field("old", "transitions", "[]")),
        (
            "changes",
            "variables.state != variables.oldState || variables.owner != variables.oldOwner"
                .to_owned(),
        ),
    ]
}

fn owner_is_the_caller() -> Check {
    Check::explained(
        format!(
            "!variables.epochRises && variables.owner == variables.oldOwner || {}",
            caller::is("variables.owner")
        ),
        "'status.owner may only become your own identity, ' + variables.caller + '<incarnation>, \
         and only its owner renews a lease: you wrote ' + variables.owner",
    )
}

fn lease_is_the_callers() -> Check {
    let terminal = WorkerState::ALL.into_iter().filter(|state| state.is_terminal());
    Check::explained(
        format!(
            "variables.epochRises || variables.oldOwner == '' || variables.state in {} || {}",
            cel::list(terminal),
            caller::is("variables.oldOwner"),
        ),
        "'the worker belongs to ' + variables.oldOwner + ', and only its owner may write ' + \
         variables.edge + '; you are ' + variables.caller + '<incarnation>'",
    )
}

fn history_grows() -> Check {
    Check::new(
        "variables.changes ? size(variables.history) > 0 \
         && variables.history[0].epoch == variables.epoch && (size(variables.oldHistory) < 5 \
         ? variables.history == [variables.history[0]] + variables.oldHistory \
         : variables.history == [variables.history[0]] + variables.oldHistory.slice(0, 4)) \
         : variables.history == variables.oldHistory",
        "a change of status.state or status.owner, and nothing else, puts one entry with the new \
         ownerEpoch before the newest four of status.transitions",
    )
}

fn by_is_the_caller() -> Check {
    Check::explained(
        format!(
            "!variables.changes || {} && (!variables.epochRises \
             || variables.history[0].by == variables.owner)",
            caller::is("variables.history[0].by")
        ),
        "'status.transitions[0].by must be who writes it, ' + variables.caller + \
         '<incarnation>: you wrote ' + variables.history[0].by",
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
            "!has(oldObject.metadata.deletionTimestamp) || !(variables.edge in {})",
            cel::list(refused)
        ),
        "the worker is being deleted: it is neither adopted anew nor claimed any more",
    )
}
