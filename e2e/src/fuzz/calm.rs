//! How much the controller asks for and writes, by the API server's own record.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use duckworker_client::connection::PROGRAM;

use crate::audit::{AuditEvent, AuditMark};
use crate::{PATIENCE, TestNamespace};

/// Nothing is written for so long by a controller that is done.
const CALM: Duration = Duration::from_secs(2);
/// How often an object may be asked for in that time: what was refused is tried again, ever more
/// rarely, from two seconds on, and a start is looked at each second.
const LOOKS: usize = 12;
/// How many calls one case may cost, its workers, pods and secrets included. Most cost below thirty;
/// a pool whose template changes twice costs seventy.
const CALLS: usize = 150;

/// Waits until the controller writes nothing any more.
pub async fn await_calm(ns: &TestNamespace<'_>) -> Result<()> {
    let audit = ns.cluster.audit();
    let calm = async {
        loop {
            let mark = audit.mark()?;
            let is_written = |events: &[AuditEvent]| events.iter().any(|e| is_write(ns, e));
            let written = audit.await_events(mark, "a write", is_written);
            match tokio::time::timeout(CALM, written).await {
                Ok(written) => drop(written?),
                Err(_) => return is_idle(ns, &audit.since(mark)?),
            }
        }
    };
    let Ok(calm) = tokio::time::timeout(PATIENCE, calm).await else {
        let writes = audit.since(audit.mark()?)?;
        bail!("the controller goes on writing: {}", busiest(&counted(ns, &writes)));
    };
    calm
}

/// A write that came to pass, but for Leases and Events.
fn is_write(ns: &TestNamespace<'_>, event: &AuditEvent) -> bool {
    let done = event.code().is_some_and(|code| code < 300);
    is_ours(ns, event) && event.is_write() && done
}

fn is_ours(ns: &TestNamespace<'_>, event: &AuditEvent) -> bool {
    event.namespace() == ns.name
        && event.user_agent == PROGRAM
        && event.stage == "ResponseComplete"
        && !matches!(event.resource().as_str(), "leases" | "events")
        && event.verb != "watch"
}

fn is_idle(ns: &TestNamespace<'_>, events: &[AuditEvent]) -> Result<()> {
    let counts = counted(ns, events);
    let busy = counts.iter().find(|(_, count)| **count > LOOKS);
    ensure!(busy.is_none(), "at rest, in {} s: {}", CALM.as_secs(), busiest(&counts));
    Ok(())
}

fn counted<'a>(ns: &TestNamespace<'_>, events: &'a [AuditEvent]) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for event in events.iter().filter(|event| is_ours(ns, event)) {
        *counts.entry(target(event)).or_default() += 1;
    }
    counts
}

/// What was asked for: the object, or the list with its selector, which names one worker.
fn target(event: &AuditEvent) -> &str {
    if event.name().is_empty() { &event.request_uri } else { event.name() }
}

fn busiest(counts: &BTreeMap<&str, usize>) -> String {
    let most = counts.iter().max_by_key(|(_, count)| **count);
    most.map_or_else(String::new, |(name, count)| format!("{count} calls for {name}"))
}

/// The calls since a mark for each of these names, with what bears them in its own name.
pub fn calls(ns: &TestNamespace<'_>, since: AuditMark, names: &[String]) -> Result<Vec<usize>> {
    let events = ns.cluster.audit().since(since)?;
    let counts = counted(ns, &events);
    let of = |name: &String| {
        let is_of = |called: &str| {
            let rest = called.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        counts.iter().filter(|(called, _)| is_of(called)).map(|(_, count)| count).sum()
    };
    Ok(names.iter().map(of).collect())
}

/// What is wrong with so many calls.
pub fn too_many(calls: usize) -> Option<String> {
    (calls > CALLS).then(|| format!("the controller made {calls} calls for it"))
}
