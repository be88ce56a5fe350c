//! The built-in kinds, as far as Duckworker meets them.

use k8s_openapi::api::{
    coordination::v1 as coordination, core::v1 as core, events::v1 as events, policy::v1 as policy,
};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Kind, Rules};

const PLAIN: Rules = Rules {
    create_on_update: false,
    unconditional_update: true,
    status: false,
    generation: false,
    graceful: false,
    returns_deleted: false,
};
const WITH_STATUS: Rules = Rules { status: true, ..PLAIN };
const COUNTED: Rules = Rules { generation: true, ..WITH_STATUS };
const NOTED: Rules = Rules { create_on_update: true, ..PLAIN };

/// All of them.
pub fn all() -> Vec<Kind> {
    let pod = Rules { graceful: true, returns_deleted: true, ..COUNTED };
    let lease = Rules { create_on_update: true, unconditional_update: false, ..PLAIN };
    vec![
        cluster::<core::Namespace>(Rules { returns_deleted: true, ..WITH_STATUS }),
        cluster::<core::Node>(WITH_STATUS),
        namespaced::<core::Pod>(pod),
        namespaced::<core::Secret>(PLAIN),
        namespaced::<core::ConfigMap>(PLAIN),
        namespaced::<core::Service>(Rules { returns_deleted: true, ..WITH_STATUS }),
        namespaced::<core::ServiceAccount>(Rules { returns_deleted: true, ..PLAIN }),
        namespaced::<core::Event>(NOTED),
        namespaced::<events::Event>(NOTED),
        namespaced::<coordination::Lease>(lease),
        namespaced::<policy::PodDisruptionBudget>(Rules { unconditional_update: false, ..COUNTED }),
    ]
}

fn namespaced<K>(rules: Rules) -> Kind
where
    K: Resource<Scope = NamespaceResourceScope> + DeserializeOwned + Serialize,
{
    kind::<K>(rules, true)
}

fn cluster<K>(rules: Rules) -> Kind
where
    K: Resource<Scope = ClusterResourceScope> + DeserializeOwned + Serialize,
{
    kind::<K>(rules, false)
}

fn kind<K: Resource + DeserializeOwned + Serialize>(rules: Rules, namespaced: bool) -> Kind {
    Kind {
        group: K::GROUP.to_owned(),
        version: K::VERSION.to_owned(),
        plural: K::URL_PATH_SEGMENT.to_owned(),
        kind: K::KIND.to_owned(),
        namespaced,
        rules,
        retype: Some(retype::<K>),
        selectable: Vec::new(),
        schema: None,
    }
}

fn retype<K: DeserializeOwned + Serialize>(object: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<K>(object)?)
}
