//! What a user writes.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use super::status::DuckWorkerStatus;
use crate::template::PodTemplate;

/// One worker: a pod with DuckDB in it and a secret, like a bare Pod. It is never restarted in
/// place; its state and its owner stand in its status.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "duckworker.dev",
    version = "v1alpha1",
    kind = "DuckWorker",
    plural = "duckworkers",
    singular = "duckworker",
    shortname = "dw",
    category = "duck",
    namespaced,
    status = "DuckWorkerStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state","description":"where the worker stands in its life"}"#,
    printcolumn = r#"{"name":"Tenant","type":"string","jsonPath":".status.tenant","description":"the tenant that it serves"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status","description":"whether it can be used"}"#,
    printcolumn = r#"{"name":"Epoch","type":"integer","jsonPath":".status.ownerEpoch","description":"how often its ownership was handed out"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Owner","type":"string","jsonPath":".status.owner","priority":1,"description":"the control-plane instance that looks after it"}"#,
    printcolumn = r#"{"name":"Endpoint","type":"string","jsonPath":".status.endpoint","priority":1,"description":"where clients connect to"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.transitions[0].reason","priority":1,"description":"why it last changed"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DuckWorkerSpec {
    /// The pod: a whole pod template. A container named `duckdb` is required; its image is the
    /// worker's version. Cannot be changed: create another worker.
    pub template: PodTemplate,

    /// Makes it a dedicated worker: it goes on to Hot for this tenant by itself. A DNS label.
    /// Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub tenant: Option<String>,

    /// How the worker is reached. Cannot be changed: the running pod was made for it.
    #[serde(default)]
    pub connection: Connection,

    /// How its health is judged once it runs.
    #[serde(default)]
    pub health_check: HealthCheck,

    /// How long it may take from its first owner until it is healthy, in seconds.
    #[serde(default = "DuckWorkerSpec::default_startup")]
    #[schemars(range(min = 1, max = 86400))]
    pub startup_timeout_seconds: i64,

    /// How long the activation for its tenant may take, in seconds.
    #[serde(default = "DuckWorkerSpec::default_activation")]
    #[schemars(range(min = 1, max = 86400))]
    pub activation_timeout_seconds: i64,

    /// How long it may take to finish its sessions when it is drained, in seconds. Also the pod's
    /// grace period, unless the template names one.
    #[serde(default = "DuckWorkerSpec::default_drain")]
    #[schemars(range(min = 1, max = 86400))]
    pub drain_timeout_seconds: i64,

    /// How long a finished worker (Retired or Lost) stays readable, in seconds. For ever if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<i64>,
}

impl Default for DuckWorkerSpec {
    fn default() -> Self {
        Self::new(PodTemplate::default())
    }
}

impl DuckWorkerSpec {
    /// A worker of this template with every other field at its default.
    pub fn new(template: PodTemplate) -> Self {
        Self {
            template,
            tenant: None,
            connection: Connection::default(),
            health_check: HealthCheck::default(),
            startup_timeout_seconds: Self::default_startup(),
            activation_timeout_seconds: Self::default_activation(),
            drain_timeout_seconds: Self::default_drain(),
            ttl_seconds_after_finished: None,
        }
    }

    const fn default_startup() -> i64 {
        300
    }

    const fn default_activation() -> i64 {
        300
    }

    const fn default_drain() -> i64 {
        900
    }
}

/// How a worker is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// Flight: Arrow Flight SQL over TLS with a bearer token, health and activation by its
    /// actions. None: health is the pod's readiness, activation does nothing.
    pub protocol: Protocol,

    /// The port that the worker serves on.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The environment variable in which the container `duckdb` finds its bearer token.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub token_env: String,

    /// The folder in which the container `duckdb` finds tls.crt and tls.key.
    #[schemars(length(min = 2, max = 256), regex(pattern = r"^/[^:]+$"))]
    pub tls_dir: String,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            protocol: Protocol::Flight,
            port: 8816,
            token_env: "DUCKWORKER_TOKEN".to_owned(),
            tls_dir: "/etc/duckworker/tls".to_owned(),
        }
    }
}

/// What a worker speaks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Display, Serialize, Deserialize, JsonSchema,
)]
pub enum Protocol {
    /// Arrow Flight SQL over TLS.
    #[default]
    Flight,
    /// Nothing that we know of: only the pod's readiness counts.
    None,
}

/// How the health of a running worker is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// Seconds from one check to the next.
    #[schemars(range(min = 1, max = 3600))]
    pub period_seconds: i64,
    /// Seconds that one check may take.
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: i64,
    /// How many failures in a row make a worker lost.
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: i64,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { period_seconds: 5, timeout_seconds: 3, failure_threshold: 3 }
    }
}
