//! A controller instance under faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use duckworker_client::Connection;
use duckworker_faults::{Call, Fault, Faults, Record, Verb};

use super::point::{Point, Strike};
use crate::TestNamespace;
use crate::in_process::{InProcess, quick_settings};

/// How soon a started instance is looked at again.
const GLANCE: Duration = Duration::from_millis(10);

/// What awaits an instance that suffers no further fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doom {
    /// A fault that stops it is under way.
    Sealed,
    /// It lives on.
    None,
}

/// A controller instance whose calls on our objects are counted and can fail.
pub struct Subject {
    faults: Faults,
    armed: Arc<AtomicBool>,
    instance: InProcess,
}

impl Subject {
    /// Starts one, not armed: nothing is counted yet.
    pub fn start(ns: &TestNamespace<'_>) -> Result<Self> {
        let armed = Arc::new(AtomicBool::new(false));
        let counted = Arc::clone(&armed);
        let faults =
            Faults::none().counting(move |call| counted.load(Ordering::SeqCst) && is_swept(call));
        let connection = Connection::with_layer(ns.cluster.config()?, &faults.layer())?;
        let instance = InProcess::start(quick_settings(&ns.name)?, connection);
        Ok(Self { faults, armed, instance })
    }

    /// Waits until its watches run.
    pub async fn ready(&self) -> Result<()> {
        let watches = |resource| {
            let faults = &self.faults;
            move || {
                let is_answer = |r: &Record| r.call.is(Verb::Watch, resource) && r.answer.is_some();
                faults.records().iter().any(is_answer)
            }
        };
        let all = [watches("duckworkers"), watches("pods"), watches("secrets"), watches("leases")];
        while !all.iter().all(|is_there| is_there()) {
            ensure!(self.instance.lives(), "the controller ended before it was ready");
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    /// From now on calls are counted, and one of them suffers this.
    pub fn arm(&self, fault: Option<(Point, Fault)>) {
        self.faults.choose(Strike::at(fault));
        self.armed.store(true, Ordering::SeqCst);
    }

    /// No further call suffers a fault.
    pub fn disarm(&self) -> Doom {
        self.faults.choose(Strike::at(None));
        let stops = |record: &Record| record.fault.as_ref().is_some_and(Fault::stops);
        if self.faults.records().iter().any(stops) { Doom::Sealed } else { Doom::None }
    }

    /// Returns when a fault has stopped it.
    pub async fn stopped(&self) {
        self.faults.stopped().cancelled().await;
    }

    /// The counted calls so far.
    pub fn calls(&self) -> Vec<Record> {
        let records = self.faults.records();
        records.into_iter().filter(|record| record.number.is_some()).collect()
    }

    /// Ends it as SIGKILL does.
    pub async fn kill(self) {
        self.faults.stop();
        self.instance.kill().await;
    }
}

/// The calls that make up the life of workers, pools and claims. Watches and the lists that begin
/// them come and go as they like, heartbeats and events concern nobody here.
fn is_swept(call: &Call) -> bool {
    const RESOURCES: [&str; 7] = [
        "duckworkers",
        "duckworkerpools",
        "duckworkerclaims",
        "ducktenants",
        "pods",
        "secrets",
        "poddisruptionbudgets",
    ];
    RESOURCES.contains(&call.resource.as_str()) && !matches!(call.verb, Verb::Watch | Verb::List)
}
