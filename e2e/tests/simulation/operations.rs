//! What the clients say of what they tried.

use std::sync::{Arc, Mutex, PoisonError};

use duckworker_client::{TransitionObserver, TransitionSeen};
use duckworker_core::Epoch;
use duckworker_history::{Line, Operation, Outcome};

/// The tries of all processes. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Operations(Arc<Mutex<Vec<Operation>>>);

impl Operations {
    /// What a process of this name tells its tries to.
    pub fn of(&self, process: &str) -> Arc<dyn TransitionObserver> {
        Arc::new(Listener { all: self.clone(), process: process.to_owned() })
    }

    /// All of them.
    pub fn lines(&self) -> Vec<Line> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().cloned().map(Line::Operation).collect()
    }
}

struct Listener {
    all: Operations,
    process: String,
}

impl TransitionObserver for Listener {
    fn observe(&self, seen: &TransitionSeen<'_>) {
        let outcome = match (seen.outcome, seen.landed) {
            (Some(Ok(())), Some(id)) => Outcome::Won(id.to_string()),
            (Some(Err(miss)), _) => Outcome::Missed(miss.to_string()),
            _ => Outcome::Unknown,
        };
        let operation = Operation {
            owner: self.process.clone(),
            worker: seen.worker.uid.to_string(),
            transition: seen.name.to_string(),
            tenant: seen.tenant.map(ToString::to_string),
            epoch: seen.epoch.map(Epoch::get),
            outcome,
            refuted: seen.refuted.iter().map(ToString::to_string).collect(),
        };
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }
}
