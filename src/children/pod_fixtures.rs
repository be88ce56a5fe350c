//! Workers and pods for the tests of this room.

use duckworker_api::{DuckWorker, DuckWorkerSpec, PodTemplate};
use duckworker_core::Uid;
use kube::api::DynamicObject;
use serde_json::Value;

use super::{BuildError, pod};

/// The uid of every worker here.
pub const UID: &str = "11111111-2222-3333-4444-555555555555";

/// The uid of every secret here.
pub const SECRET: &str = "99999999-2222-3333-4444-555555555555";

/// A stored worker of this template, all else at its default.
pub fn worker_of(template: Value) -> DuckWorker {
    let mut worker = DuckWorker::new("w1", DuckWorkerSpec::new(PodTemplate::new(template)));
    worker.metadata.namespace = Some("data".to_owned());
    worker.metadata.uid = Some(UID.to_owned());
    worker
}

/// Its pod as it goes over the wire.
pub fn pod_of(worker: &DuckWorker) -> Value {
    serde_json::to_value(build(worker).unwrap()).unwrap()
}

fn secret() -> Uid {
    Uid::new(SECRET).unwrap()
}

/// Its pod, if it can be built.
pub fn build(worker: &DuckWorker) -> Result<DynamicObject, BuildError> {
    pod::build(worker, &secret())
}
