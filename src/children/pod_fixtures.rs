//! Workers and pods for the tests of this room.

use duckworker_api::{DuckWorker, DuckWorkerSpec, PodTemplate};
use serde_json::Value;

use super::pod;

/// The uid of every worker here.
pub const UID: &str = "11111111-2222-3333-4444-555555555555";

/// A stored worker of this template, all else at its default.
pub fn worker_of(template: Value) -> DuckWorker {
    let mut worker = DuckWorker::new("w1", DuckWorkerSpec::new(PodTemplate::new(template)));
    worker.metadata.namespace = Some("data".to_owned());
    worker.metadata.uid = Some(UID.to_owned());
    worker
}

/// Its pod as it goes over the wire.
pub fn pod_of(worker: &DuckWorker) -> Value {
    serde_json::to_value(pod::build(worker).unwrap()).unwrap()
}
