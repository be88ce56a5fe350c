//! Samples for `config/samples`, made from the Rust types so that they cannot grow stale.

use kube::ResourceExt;
use serde_json::json;

use crate::claim::{DuckWorkerClaim, DuckWorkerClaimSpec};
use crate::pool::{DuckWorkerPool, DuckWorkerPoolSpec, WorkerTemplate};
use crate::template::PodTemplate;
use crate::tenant::{DuckTenant, DuckTenantSpec, HotIdleOverrides, SecretReference};
use crate::worker::{DuckWorker, DuckWorkerSpec, Protocol};

/// The image in the samples.
pub const IMAGE: &str = "ghcr.io/duckworker/worker:0.1.0";

const PART_OF: &str = "app.kubernetes.io/part-of";

/// A worker that waits for a tenant.
pub fn worker() -> DuckWorker {
    sample("sample", DuckWorkerSpec::new(template()))
}

/// A worker for one tenant: it goes on to Hot by itself.
pub fn dedicated_worker() -> DuckWorker {
    let mut spec = DuckWorkerSpec::new(template());
    spec.tenant = Some("acme".to_owned());
    spec.ttl_seconds_after_finished = Some(3600);
    sample("sample-dedicated", spec)
}

/// The tenant of the dedicated worker.
pub fn tenant() -> DuckTenant {
    let hot_idle = HotIdleOverrides { ttl_seconds: Some(300), ..HotIdleOverrides::default() };
    let spec = DuckTenantSpec {
        activation_secret_ref: Some(SecretReference { name: "acme-activation".to_owned() }),
        max_workers: Some(4),
        hot_idle: Some(hot_idle),
        image: None,
    };
    let mut tenant = DuckTenant::new("acme", spec);
    tenant.labels_mut().insert(PART_OF.to_owned(), "duckworker".to_owned());
    tenant
}

/// A worker of any image: its health is its pod's readiness.
pub fn plain_worker() -> DuckWorker {
    let mut spec = DuckWorkerSpec::new(template());
    spec.connection.protocol = Protocol::None;
    spec.drain_timeout_seconds = 60;
    sample("sample-plain", spec)
}

/// A pool that keeps two workers warm.
pub fn pool() -> DuckWorkerPool {
    let template = json!({ "spec": { "template": template() } });
    let mut spec = DuckWorkerPoolSpec::new(WorkerTemplate::new(template));
    spec.replicas = 2;
    spec.max_workers = 10;
    let mut pool = DuckWorkerPool::new("sample", spec);
    pool.labels_mut().insert("app.kubernetes.io/part-of".to_owned(), "duckworker".to_owned());
    pool
}

/// A claim for a worker of the pool `sample`.
pub fn claim() -> DuckWorkerClaim {
    let spec = DuckWorkerClaimSpec {
        pool_name: "sample".to_owned(),
        tenant: "acme".to_owned(),
        timeout_seconds: Some(300),
        ..DuckWorkerClaimSpec::default()
    };
    let mut claim = DuckWorkerClaim::new("sample", spec);
    claim.labels_mut().insert("app.kubernetes.io/part-of".to_owned(), "duckworker".to_owned());
    claim
}

fn sample(name: &str, spec: DuckWorkerSpec) -> DuckWorker {
    let mut worker = DuckWorker::new(name, spec);
    worker.labels_mut().insert(PART_OF.to_owned(), "duckworker".to_owned());
    worker
}

fn template() -> PodTemplate {
    PodTemplate::new(json!({
        "spec": {
            "containers": [{
                "name": crate::labels::DUCKDB_CONTAINER,
                "image": IMAGE,
                "resources": {
                    "requests": { "cpu": "500m", "memory": "1Gi" },
                    "limits": { "memory": "1Gi" },
                },
            }],
        },
    }))
}
