//! What claims cost: the controller's writes, from the audit log.

use std::collections::{BTreeMap, BTreeSet};

use duckworker_client::connection::PROGRAM;
use duckworker_e2e::AuditEvent;
use duckworker_e2e::bench::figures::{per, table};

use crate::load::Served;

/// The controller's writes in a namespace.
pub struct Writes(Vec<AuditEvent>);

impl Writes {
    /// Those of this user among the events.
    pub fn of(events: Vec<AuditEvent>, user: &str, namespace: &str) -> Self {
        let ours = |event: &AuditEvent| {
            event.user.username == user
                && event.user_agent == PROGRAM
                && event.namespace() == namespace
                && event.stage == "ResponseComplete"
                && event.is_write()
        };
        Self(events.into_iter().filter(ours).collect())
    }

    /// For each claim that got a worker which was there before: those about the claim, its secret
    /// and its worker. With one worker for several claims in turn, theirs together.
    pub fn of_reuse(&self, served: &[Served], workers: &BTreeSet<String>) -> f64 {
        let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
        let mut ended = BTreeSet::new();
        for event in &self.0 {
            *by_name.entry(event.name()).or_default() += 1;
            if event.verb == "delete" {
                ended.insert(event.name());
            }
        }
        let of = |name: &str| by_name.get(name).copied().unwrap_or_default();
        let (mut claims, mut writes, mut used) = (0, 0, BTreeSet::new());
        for claim in served {
            let Some(ready) = &claim.ready else { continue };
            // One that was parked for too long, and ended, cost more than its claims did.
            if !workers.contains(&ready.worker) || ended.contains(&*ready.worker) {
                continue;
            }
            claims += 1;
            writes += of(&claim.name) + of(&format!("{}-conn", claim.name));
            used.insert(&*ready.worker);
        }
        per(writes + used.into_iter().map(of).sum::<usize>(), claims)
    }

    /// Those about workers, pods, secrets and claims: no Events, and no batches of pools and ledgers.
    pub fn own(&self) -> usize {
        self.0.iter().filter(|event| is_own(&event.resource())).count()
    }

    /// Prints them by kind.
    pub fn show(&self, claims: usize) {
        let mut kinds: BTreeMap<(bool, String), usize> = BTreeMap::new();
        for event in &self.0 {
            let resource = event.resource();
            let key = (!is_own(&resource), format!("{} {resource}", event.verb));
            *kinds.entry(key).or_default() += 1;
        }
        let rows: Vec<_> = kinds
            .into_iter()
            .map(|((apart, kind), count)| {
                let kind = if apart { format!("{kind} (apart)") } else { kind };
                vec![kind, count.to_string(), format!("{:.2}", per(count, claims))]
            })
            .collect();
        table(&["the controller's writes", "count", "per claim"], &rows);
    }
}

fn is_own(resource: &str) -> bool {
    let kind = resource.split('/').next().unwrap_or_default();
    matches!(kind, "duckworkers" | "duckworkerclaims" | "pods" | "secrets")
}
