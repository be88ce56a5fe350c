//! Samples for `config/samples`, made from the Rust types so that they cannot grow stale.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

use crate::claim::{DuckWorkerClaim, DuckWorkerClaimSpec};
use crate::pool::{DuckWorkerPool, DuckWorkerPoolSpec, WorkerTemplate};
use crate::template::PodTemplate;
use crate::tenant::{DuckTenant, DuckTenantSpec, HotIdleOverrides, SecretReference};
use crate::worker::{DuckWorker, DuckWorkerSpec, Protocol};

/// The image in the samples.
pub const IMAGE: &str = "ghcr.io/duckworker/worker:0.1.0";

/// The tenant in the samples.
pub const TENANT: &str = "acme";

/// The secret that its workers are activated with.
const ACTIVATION: &str = "acme-activation";
/// What they run then. A tenant's own would attach its catalog and create its DuckDB secrets.
const STATEMENTS: &str = "\
CREATE OR REPLACE TABLE orders AS
  FROM (VALUES (1, 'espresso', 2.80), (2, 'croissant', 1.90), (3, 'espresso', 2.80))
  AS rows(id, item, price);
";

const PART_OF: &str = "app.kubernetes.io/part-of";

/// A worker that waits for a tenant.
pub fn worker() -> DuckWorker {
    sample("sample", DuckWorkerSpec::new(template()))
}

/// A worker for one tenant: it goes on to Hot by itself.
pub fn dedicated_worker() -> DuckWorker {
    let mut spec = DuckWorkerSpec::new(template());
    spec.tenant = Some(TENANT.to_owned());
    spec.ttl_seconds_after_finished = Some(3600);
    sample("sample-dedicated", spec)
}

/// The tenant of the dedicated worker.
pub fn tenant() -> DuckTenant {
    let hot_idle = HotIdleOverrides { ttl_seconds: Some(300), ..HotIdleOverrides::default() };
    let spec = DuckTenantSpec {
        activation_secret_ref: Some(SecretReference { name: ACTIVATION.to_owned() }),
        max_workers: Some(4),
        hot_idle: Some(hot_idle),
        image: None,
    };
    let mut tenant = DuckTenant::new(TENANT, spec);
    tenant.labels_mut().insert(PART_OF.to_owned(), "duckworker".to_owned());
    tenant
}

/// What the workers of the tenant are told when they are activated.
pub fn activation() -> Secret {
    let mut secret = Secret {
        string_data: Some(BTreeMap::from([("statements".to_owned(), STATEMENTS.to_owned())])),
        ..Secret::default()
    };
    secret.metadata.name = Some(ACTIVATION.to_owned());
    secret.labels_mut().insert(PART_OF.to_owned(), "duckworker".to_owned());
    secret
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
    pool.labels_mut().insert(PART_OF.to_owned(), "duckworker".to_owned());
    pool
}

/// A claim for a worker of the pool `sample`.
pub fn claim() -> DuckWorkerClaim {
    let spec = DuckWorkerClaimSpec {
        pool_name: "sample".to_owned(),
        tenant: TENANT.to_owned(),
        timeout_seconds: Some(300),
        ..DuckWorkerClaimSpec::default()
    };
    let mut claim = DuckWorkerClaim::new("sample", spec);
    claim.labels_mut().insert(PART_OF.to_owned(), "duckworker".to_owned());
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
                    "requests": { "cpu": "250m", "memory": "512Mi" },
                    "limits": { "memory": "512Mi" },
                },
                "securityContext": { "readOnlyRootFilesystem": true },
                // For what does not fit into memory.
                "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
            }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        },
    }))
}
