//! The kinds whose specs are tried, a good object of each, and how deep its schema is walked.

use anyhow::{Context as _, Result};
use duckworker_api::{GROUP, VERSION, crd};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use strum::{Display, EnumIter};

use super::field::Path;
use crate::TestNamespace;
use crate::claim::claim;
use crate::pool::pool;
use crate::tenant::tenant;
use crate::worker::plain;

/// The pool that claims get their workers of.
pub const QUARRY: &str = "quarry";

/// How many names deep the pod template of a worker is walked. The rest of a template is the same
/// few dozen schemas again: selectors, sources of volumes, probes.
const WORKER_TEMPLATE: usize = 4;
/// The same for a pool, whose pod template has the schema of a worker's.
const POOL_TEMPLATE: usize = 2;

/// One of our kinds.
#[allow(clippy::enum_variant_names, reason = "what the kinds are called")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumIter)]
pub enum Kind {
    /// A worker of its own.
    DuckWorker,
    /// A pool.
    DuckWorkerPool,
    /// A claim on a worker of the pool [`QUARRY`].
    DuckWorkerClaim,
    /// A tenant.
    DuckTenant,
}

impl Kind {
    /// What the CRD says of its spec.
    pub fn spec_schema(self) -> Result<Value> {
        let crd = match self {
            Self::DuckWorker => crd::duckworker()?,
            Self::DuckWorkerPool => crd::duckworkerpool()?,
            Self::DuckWorkerClaim => crd::duckworkerclaim()?,
            Self::DuckTenant => crd::ducktenant()?,
        };
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        crd.pointer(spec).cloned().with_context(|| format!("the CRD of {self} has no {spec}"))
    }

    /// Whether a field of the spec is tried. Everything is, but for what lies deep in a pod template.
    pub fn wants(self, path: &Path) -> bool {
        let most = match self {
            Self::DuckWorker => WORKER_TEMPLATE,
            Self::DuckWorkerPool => POOL_TEMPLATE,
            Self::DuckWorkerClaim | Self::DuckTenant => return true,
        };
        path.below("template").is_none_or(|path| path.depth() <= most)
    }

    /// A good object, which takes a moment to be carried out.
    pub fn good(self, name: &str) -> Value {
        match self {
            Self::DuckWorker => plain(name),
            Self::DuckWorkerPool => pool(name, 1, 3),
            Self::DuckWorkerClaim => claim(name, QUARRY, name),
            Self::DuckTenant => tenant(name, &json!({ "maxWorkers": 2 })),
        }
    }

    /// Somebody who uses what the object offers.
    pub fn user(self, name: &str) -> Option<Value> {
        match self {
            Self::DuckWorkerPool => Some(claim(name, name, "visitor")),
            Self::DuckTenant => Some(claim(name, QUARRY, name)),
            Self::DuckWorker | Self::DuckWorkerClaim => None,
        }
    }

    /// Its objects in a namespace.
    pub fn api(self, ns: &TestNamespace<'_>) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(GROUP, VERSION, &self.to_string());
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(ns.client.clone(), &ns.name, &resource)
    }
}
