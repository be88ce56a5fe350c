//! Where the time of a claim goes: from each call to the next, by the API server's own stamps.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use duckworker_e2e::AuditEvent;
use duckworker_e2e::bench::figures::{median, millis, percentile, table};
use jiff::Timestamp;

use crate::load::Served;

/// The calls between a claim's creation and its being Ready, of which each waits for the one before.
/// The connection secret is made beside them.
const CALLS: [&str; 5] =
    ["create the claim", "reserve its worker", "activate", "activated", "claim Ready"];

/// The calls of one load.
pub struct Stages<'a> {
    by_call: BTreeMap<String, BTreeMap<&'a str, Vec<&'a AuditEvent>>>,
    /// The same moment by both clocks.
    now: (Instant, Timestamp),
}

impl<'a> Stages<'a> {
    /// Sorts the answered calls in a namespace.
    pub fn of(events: &'a [AuditEvent], namespace: &str) -> Self {
        let mut by_call: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
        let answered = |event: &&AuditEvent| {
            let is_ok = event.code().is_some_and(|code| code < 300);
            is_ok && event.namespace() == namespace && event.stage == "ResponseComplete"
        };
        for event in events.iter().filter(answered) {
            let call = format!("{} {}", event.verb, event.resource());
            by_call.entry(call).or_default().entry(event.name()).or_default().push(event);
        }
        #[allow(
            clippy::disallowed_methods,
            reason = "the server's stamps are of this machine's clock"
        )]
        let now = (Instant::now(), Timestamp::now());
        Self { by_call, now }
    }

    /// Prints how long each call took, and how long it was until the next.
    pub fn show<'s>(&self, served: impl Iterator<Item = &'s Served>, begun: Instant) {
        let mut times: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
        for claim in served {
            let Some(moments) = self.moments(claim, begun) else { continue };
            for (stage, pair) in moments.windows(2).enumerate() {
                times.entry(stage).or_default().push(apart(pair[0], pair[1]));
            }
        }
        let before = |call: &str| format!("until: {call}");
        let mut names: Vec<_> =
            CALLS.iter().flat_map(|call| [before(call), (*call).to_owned()]).collect();
        names.push(before("its client knows"));
        let rows: Vec<_> = names
            .into_iter()
            .zip(times.values())
            .map(|(name, times)| {
                let cells = [median(times), percentile(times, 0.9), percentile(times, 0.99)];
                let cells = cells.map(|time| format!("{:.1}", millis(time))).to_vec();
                [vec![name], cells].concat()
            })
            .collect();
        table(&["a claim of a parked worker, ms", "p50", "p90", "p99"], &rows);
    }

    /// When it was due, when each call began and ended, and when its client knew.
    fn moments(&self, claim: &Served, begun: Instant) -> Option<Vec<Timestamp>> {
        let ready = claim.ready.as_ref()?;
        let (name, worker) = (claim.name.as_str(), ready.worker.as_str());
        let made = self.first("create duckworkerclaims", name, Timestamp::MIN)?;
        let since = made.request_received_timestamp;
        let mut on_worker = self.after("update duckworkers/status", worker, since);
        let mut calls = vec![made];
        calls.extend(on_worker.by_ref().take(3));
        calls.push(self.first("update duckworkerclaims/status", name, since)?);
        let of_call = |call: &AuditEvent| [call.request_received_timestamp, call.stage_timestamp];
        let mut moments = vec![self.stamp(begun + claim.due)?];
        moments.extend(calls.into_iter().flat_map(of_call));
        moments.push(self.stamp(ready.at)?);
        (moments.len() == 2 * CALLS.len() + 2).then_some(moments)
    }

    fn first(&self, call: &str, name: &str, since: Timestamp) -> Option<&'a AuditEvent> {
        self.after(call, name, since).next()
    }

    fn after(
        &self,
        call: &str,
        name: &str,
        since: Timestamp,
    ) -> impl Iterator<Item = &'a AuditEvent> + use<'a> {
        let calls = self.by_call.get(call).and_then(|named| named.get(name));
        let calls = calls.cloned().unwrap_or_default();
        calls.into_iter().filter(move |event| event.request_received_timestamp >= since)
    }

    fn stamp(&self, moment: Instant) -> Option<Timestamp> {
        let (instant, timestamp) = self.now;
        timestamp.checked_sub(instant.checked_duration_since(moment)?).ok()
    }
}

/// Zero if the order is the other way round.
fn apart(from: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(from)).unwrap_or_default()
}
