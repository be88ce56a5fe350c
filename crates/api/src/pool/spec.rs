//! What a user writes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::status::DuckWorkerPoolStatus;
use crate::template::PodTemplate;
use crate::worker::DuckWorkerSpec;

/// A warm pool: it keeps idle workers ready, so that a claim need not wait for a start.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "duckworker.dev",
    version = "v1alpha1",
    kind = "DuckWorkerPool",
    plural = "duckworkerpools",
    singular = "duckworkerpool",
    shortname = "dwp",
    category = "duck",
    namespaced,
    status = "DuckWorkerPoolStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn = r#"{"name":"Desired","type":"integer","jsonPath":".spec.replicas","description":"how many idle workers are wanted"}"#,
    printcolumn = r#"{"name":"Idle","type":"integer","jsonPath":".status.workers.idle","description":"how many are"}"#,
    printcolumn = r#"{"name":"Starting","type":"integer","jsonPath":".status.workers.starting","description":"how many are on the way there"}"#,
    printcolumn = r#"{"name":"Claimed","type":"integer","jsonPath":".status.workers.claimed","description":"how many serve a tenant"}"#,
    printcolumn = r#"{"name":"HotIdle","type":"integer","jsonPath":".status.workers.hotIdle","description":"how many are parked for their tenant"}"#,
    printcolumn = r#"{"name":"Updated","type":"integer","jsonPath":".status.updatedReplicas","description":"how many idle ones are of the present template"}"#,
    printcolumn = r#"{"name":"Max","type":"integer","jsonPath":".spec.maxWorkers","description":"how many workers there may be"}"#,
    printcolumn = r#"{"name":"Available","type":"string","jsonPath":".status.conditions[?(@.type=='Available')].status","description":"whether enough idle workers stand ready"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Trouble","type":"string","jsonPath":".status.conditions[?(@.type=='Degraded')].reason","priority":1,"description":"why workers cannot be started"}"#,
    printcolumn = r#"{"name":"Draining","type":"integer","jsonPath":".status.workers.draining","priority":1,"description":"how many finish their sessions"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DuckWorkerPoolSpec {
    /// What its workers are made of. A change replaces idle and parked workers little by little,
    /// and never one that serves somebody.
    pub template: WorkerTemplate,

    /// How many idle workers are kept warm, beside those that serve tenants. `kubectl scale` and
    /// autoscalers change it; leave it out of manifests that they shall not fight with.
    #[serde(default = "DuckWorkerPoolSpec::default_replicas")]
    #[schemars(range(min = 0, max = 5000))]
    pub replicas: i64,

    /// How many workers there may be in all, in whatever state they are. Never exceeded.
    #[serde(default = "DuckWorkerPoolSpec::default_max")]
    #[schemars(range(min = 1, max = 5000))]
    pub max_workers: i64,

    /// What becomes of workers that their tenant has left.
    #[serde(default)]
    pub hot_idle: HotIdle,

    /// Whether a worker serves its tenant a second time.
    #[serde(default)]
    pub reuse: Reuse,

    /// Whether a tenant that no DuckTenant declares may have workers of this pool.
    #[serde(default)]
    pub undeclared_tenants: UndeclaredTenants,

    /// How a change of the template is carried out.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,

    /// How long a change of the template may stand still, in seconds, before the condition
    /// Stalled says that it failed.
    #[serde(default = "DuckWorkerPoolSpec::default_progress_deadline")]
    #[schemars(range(min = 1, max = 86400))]
    pub progress_deadline_seconds: i64,

    /// Whether pods may be evicted: none of them, or idle ones.
    #[serde(default)]
    pub disruption: Disruption,

    /// How fast workers are started.
    #[serde(default)]
    pub spawn: Spawn,

    /// How claims that found no idle worker raise the number that is kept warm.
    #[serde(default)]
    pub demand: Demand,

    /// While true, a change of the template is not carried out: workers of an older one are left
    /// alone, new ones are of the new one.
    #[serde(default)]
    pub paused: bool,
}

impl Default for DuckWorkerPoolSpec {
    fn default() -> Self {
        Self::new(WorkerTemplate::default())
    }
}

impl DuckWorkerPoolSpec {
    /// A pool of this template with every other field at its default.
    pub fn new(template: WorkerTemplate) -> Self {
        Self {
            template,
            replicas: Self::default_replicas(),
            max_workers: Self::default_max(),
            hot_idle: HotIdle::default(),
            reuse: Reuse::default(),
            undeclared_tenants: UndeclaredTenants::default(),
            update_strategy: UpdateStrategy::default(),
            progress_deadline_seconds: Self::default_progress_deadline(),
            disruption: Disruption::default(),
            spawn: Spawn::default(),
            demand: Demand::default(),
            paused: false,
        }
    }

    const fn default_replicas() -> i64 {
        1
    }

    const fn default_max() -> i64 {
        100
    }

    const fn default_progress_deadline() -> i64 {
        600
    }
}

/// What the workers of a pool are made of. The API server validates its shape; we keep it as
/// JSON, so that a field newer than our types reaches the worker.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerTemplate(Value);

impl WorkerTemplate {
    /// Wraps a template.
    pub const fn new(template: Value) -> Self {
        Self(template)
    }

    /// The JSON.
    pub const fn as_json(&self) -> &Value {
        &self.0
    }

    /// The image of the container `duckdb`: the version of its workers.
    pub fn image(&self) -> Option<String> {
        let pod = self.0.pointer("/spec/template")?;
        PodTemplate::new(pod.clone()).image().map(str::to_owned)
    }

    /// The same with workers of another version.
    #[must_use]
    pub fn with_image(&self, image: &str) -> Self {
        let mut template = self.0.clone();
        if let Some(pod) = template.pointer_mut("/spec/template") {
            *pod = PodTemplate::new(pod.take()).with_image(image).as_json().clone();
        }
        Self(template)
    }
}

impl JsonSchema for WorkerTemplate {
    fn schema_name() -> Cow<'static, str> {
        Shape::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Shape::json_schema(generator)
    }
}

/// The shape of a worker's template.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WorkerTemplate")]
#[allow(dead_code, reason = "a schema is made of it, and nothing else")]
struct Shape {
    /// Labels and annotations of each worker.
    metadata: Option<ShapeMeta>,
    /// The spec of each worker: as that of a DuckWorker, without a tenant.
    spec: DuckWorkerSpec,
}

/// Labels and annotations of each worker.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WorkerTemplateMeta")]
#[allow(dead_code, reason = "a schema is made of it, and nothing else")]
struct ShapeMeta {
    /// Labels of each worker.
    labels: Option<BTreeMap<String, String>>,
    /// Annotations of each worker.
    annotations: Option<BTreeMap<String, String>>,
}

/// What becomes of workers that their tenant has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HotIdle {
    /// How long one is kept for its tenant, in seconds.
    #[schemars(range(min = 0, max = 86400))]
    pub ttl_seconds: i64,
    /// How many of each tenant are kept beyond that.
    #[schemars(range(min = 0, max = 5000))]
    pub min_per_tenant: i64,
    /// How many of each tenant there may be; the oldest goes first. Any number if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5000))]
    pub max_per_tenant: Option<i64>,
}

impl Default for HotIdle {
    fn default() -> Self {
        Self { ttl_seconds: 60, min_per_tenant: 0, max_per_tenant: None }
    }
}

/// Whether a worker serves its tenant a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Reuse {
    /// It is parked for the same tenant.
    #[default]
    SameTenant,
    /// It is drained.
    Never,
}

/// Whether a tenant that no DuckTenant declares may have workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum UndeclaredTenants {
    /// It may, without a cap.
    #[default]
    Allow,
    /// It may not: its claims wait.
    Refuse,
}

/// How a change of the template is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy {
    /// By how many the number of idle workers may fall below `replicas` meanwhile.
    #[schemars(range(min = 0, max = 5000))]
    pub max_unavailable: i64,
    /// By how many the number of warm workers may rise above `replicas` meanwhile.
    #[schemars(range(min = 0, max = 5000))]
    pub max_surge: i64,
}

impl Default for UpdateStrategy {
    fn default() -> Self {
        Self { max_unavailable: 1, max_surge: 0 }
    }
}

/// Whether pods may be evicted. A cordoned node is emptied by the controller in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Disruption {
    /// None may: a PodDisruptionBudget keeps them all.
    #[default]
    Protect,
    /// Idle ones may: pods are marked busy or idle, which costs a write with each claim and each
    /// release, and the PodDisruptionBudget keeps those that are not marked idle.
    AllowIdle,
}

/// How fast workers are started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Spawn {
    /// How many may start at once.
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: i64,
    /// The pause after a start that failed, in seconds. It doubles with each failure in a row; a
    /// change of the template ends it.
    #[schemars(range(min = 1, max = 3600))]
    pub backoff_seconds: i64,
    /// The longest pause, in seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub max_backoff_seconds: i64,
}

impl Default for Spawn {
    fn default() -> Self {
        Self { max_concurrent: 50, backoff_seconds: 10, max_backoff_seconds: 120 }
    }
}

/// How claims that found no idle worker raise the number that is kept warm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Demand {
    /// How many more than `replicas` are kept warm at most: one for each claim that lately found
    /// none. 0 turns it off.
    #[schemars(range(min = 0, max = 5000))]
    pub max_extra: i64,
    /// How long such a claim counts, in seconds: for less from tenth to tenth.
    #[schemars(range(min = 1, max = 3600))]
    pub window_seconds: i64,
}

impl Default for Demand {
    fn default() -> Self {
        Self { max_extra: 0, window_seconds: 600 }
    }
}
