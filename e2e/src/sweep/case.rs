//! One run of a flow, disturbed or not.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use duckworker_faults::{Fault, Record};
use serde_json::Value;

use super::census::{Census, Counts};
use super::ending::ending;
use super::flow::{Company, Flow};
use super::point::Point;
use super::subject::{Doom, Subject};
use crate::report::report_failure;
use crate::{Cluster, PATIENCE, TestNamespace};

/// How long a run may take: two crashes cost two Leases, and many runs share one machine. Where it
/// is so slow that renewals come late, instances do not trust their own watch over others, as they
/// should, and everything takes longer.
const CASE: Duration = PATIENCE.saturating_mul(4);
/// Between two looks at a watch that has to catch up.
const GLANCE: Duration = Duration::from_millis(20);

/// What happens to the instances of a run, one after the other: a call of each suffers its fault. An
/// instance that a fault stops is followed by the next one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disturbance(pub Vec<(Point, Fault)>);

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.0.iter().map(|(point, fault)| format!("{fault:?} at {point}"));
        f.write_str(&faults.collect::<Vec<_>>().join(", then "))
    }
}

/// Something of ours is left after all was deleted.
#[derive(Debug, Clone, Copy)]
pub struct Leaked;

impl fmt::Display for Leaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("leaked")
    }
}

/// How a run went.
#[derive(Debug, Clone)]
pub struct Run {
    /// The counted calls of each instance.
    pub calls: Vec<Vec<Record>>,
    /// What was made and deleted until the end.
    pub counts: Counts,
    /// What was left at the end.
    pub ending: Value,
}

/// Runs a flow in a namespace of its own, then deletes all and demands that nothing is left. If that
/// fails, the error holds [`Leaked`].
pub async fn run(cluster: &Cluster, flow: Flow, disturbance: &Disturbance) -> Result<Run> {
    let ns = cluster.create_namespace(&format!("sweep-{flow}")).await?;
    let patient = tokio::time::timeout(CASE, run_in(&ns, flow, disturbance));
    let result = patient.await.unwrap_or_else(|_| bail!("it did not end"));
    if let Err(error) = &result {
        let report = report_failure(&ns).await;
        eprintln!("{flow}, {disturbance}: {error:#}\n{report}");
    }
    ns.delete().await?;
    result
}

async fn run_in(ns: &TestNamespace<'_>, flow: Flow, disturbance: &Disturbance) -> Result<Run> {
    let census = Census::start(ns);
    flow.prepare(ns).await?;
    let mut calls = Vec::new();
    let mut faults = disturbance.0.iter();
    let mut subject = Subject::start(ns)?;
    let mut _company: Company = None;
    if flow == Flow::DeletePending {
        subject.arm(faults.next().cloned());
    } else {
        subject.ready().await?;
        _company = flow.set_up(ns).await?;
        subject.arm(faults.next().cloned());
        flow.set_off(ns).await?;
    }
    for next in faults.map(Some).chain([None]) {
        if !is_stopped_before_end(ns, flow, &subject).await? {
            ensure!(next.is_none(), "the first instance reached the end without its fault");
            break;
        }
        calls.push(subject.calls());
        subject.kill().await;
        subject = Subject::start(ns)?;
        subject.arm(next.cloned());
    }
    flow.finish(ns).await?;
    let ending = ending(ns).await?;
    let counts = settled_counts(&census, &ending).await;
    calls.push(subject.calls());
    flow.clean_up(ns).await.context(Leaked)?;
    subject.kill().await;
    Ok(Run { calls, counts, ending })
}

/// Whether the instance was stopped by its fault; otherwise it has reached the end.
async fn is_stopped_before_end(
    ns: &TestNamespace<'_>,
    flow: Flow,
    subject: &Subject,
) -> Result<bool> {
    tokio::select! {
        biased;
        () = subject.stopped() => return Ok(true),
        end = flow.finish(ns) => end?,
    }
    // The call that is to be its last may have brought the end about: then the watch may tell of
    // the end before the answer stops the instance.
    if subject.disarm() == Doom::Sealed {
        subject.stopped().await;
        return Ok(true);
    }
    Ok(false)
}

/// The census by a watch, once it has caught up with what the end shows.
async fn settled_counts(census: &Census, ending: &Value) -> Counts {
    let left = |kind: &str| ending[kind].as_array().map_or(0, Vec::len);
    for _ in 0..250 {
        let counts = census.counts();
        if counts.iter().all(|(kind, count)| count.made - count.gone == left(kind)) {
            return counts;
        }
        tokio::time::sleep(GLANCE).await;
    }
    census.counts()
}
