//! Who asked the API server for what, from the audit log.

use std::collections::BTreeMap;

use crate::AuditEvent;
use crate::bench::figures::{per, table};

/// How often each call was made: by verb and resource.
#[derive(Debug, Default)]
pub struct Calls(BTreeMap<(String, String), usize>);

impl Calls {
    /// Counts the calls that were made by a user about a namespace.
    pub fn of(events: &[AuditEvent], user: &str, namespace: &str) -> Self {
        let mut calls = Self::default();
        let ours = events.iter().filter(|e| e.user.username == user && e.namespace() == namespace);
        // A watch is recorded when it begins and when it ends.
        for event in ours.filter(|e| e.verb != "watch" || e.stage == "ResponseStarted") {
            *calls.0.entry((event.verb.clone(), event.resource())).or_default() += 1;
        }
        calls
    }

    /// How many of them change workers, pods or secrets.
    pub fn writes(&self) -> usize {
        let counts = |verb: &str, resource: &str| {
            let kind = resource.split('/').next().unwrap_or_default();
            !matches!(verb, "get" | "list" | "watch")
                && matches!(kind, "duckworkers" | "pods" | "secrets")
        };
        self.0.iter().filter(|((verb, kind), _)| counts(verb, kind)).map(|(_, count)| count).sum()
    }

    /// Prints them, in all and for each worker.
    pub fn show(&self, workers: usize) {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|((verb, resource), &count)| {
                let each = format!("{:.2}", per(count, workers));
                vec![format!("{verb} {resource}"), count.to_string(), each]
            })
            .collect();
        table(&["API call", "count", "per worker"], &rows);
    }
}
