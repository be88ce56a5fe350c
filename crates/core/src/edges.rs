//! The table seen from outside: which changes of state and epoch a single write may make.
//! The API server's own rules (CEL in the CRD) are generated from this.

use std::collections::BTreeSet;

use crate::state::WorkerState;
use crate::table::{ClaimEffect, EpochStep, TABLE, Target, TransitionName};

/// One change that the table allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The state before.
    pub from: WorkerState,
    /// The state after.
    pub to: WorkerState,
    /// Whether the epoch rises by one; else it stays.
    pub epoch_rises: bool,
    /// By which transition.
    pub by: TransitionName,
}

/// Every edge of the table, a loop for each transition that keeps the state.
pub fn edges() -> BTreeSet<Edge> {
    let mut all = BTreeSet::new();
    for rule in &TABLE {
        for &from in rule.from {
            let targets: &[WorkerState] = match rule.to {
                Target::To(ref state) => std::slice::from_ref(state),
                Target::Same => std::slice::from_ref(&from),
                Target::Ends if from == WorkerState::Draining => &[WorkerState::Retired],
                Target::Ends => &[WorkerState::Retired, WorkerState::Lost],
            };
            for &to in targets {
                let epoch_rises = rule.epoch == EpochStep::Next;
                all.insert(Edge { from, to, epoch_rises, by: rule.name });
            }
        }
    }
    all
}

/// The edges that set a claim (or leave it empty), and those that clear it; all others keep it.
pub fn claim_edges(effect: ClaimEffect) -> BTreeSet<(WorkerState, WorkerState)> {
    edges()
        .into_iter()
        .filter(|edge| edge.by.rule().claim == effect)
        .map(|edge| (edge.from, edge.to))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_state_has_one_epoch_step() {
        // What lets one CEL list per step tell legal from illegal.
        let all = edges();
        for edge in all.iter().filter(|e| e.from != e.to) {
            let twin = all.iter().find(|o| {
                (o.from, o.to) == (edge.from, edge.to) && o.epoch_rises != edge.epoch_rises
            });
            assert_eq!(twin, None, "{edge:?}");
        }
    }

    #[test]
    fn draining_never_leads_to_lost() {
        assert!(
            !edges().iter().any(|e| e.from == WorkerState::Draining && e.to == WorkerState::Lost)
        );
    }
}
