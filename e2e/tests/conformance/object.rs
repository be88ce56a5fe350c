//! The objects that are played with.

use serde_json::{Value, json};

use crate::script::{Form, Oddity, What};

/// The finalizer that objects are kept with.
pub const FINALIZER: &str = "test.dev/keep";

impl What {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ConfigMap, Self::Secret, Self::Lease, Self::Pod, Self::Worker];

    /// Version, kind and plural.
    pub const fn api(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ConfigMap => ("v1", "ConfigMap", "configmaps"),
            Self::Secret => ("v1", "Secret", "secrets"),
            Self::Lease => ("coordination.k8s.io/v1", "Lease", "leases"),
            Self::Pod => ("v1", "Pod", "pods"),
            Self::Worker => ("duckworker.dev/v1alpha1", "DuckWorker", "duckworkers"),
        }
    }
}

/// What an object of a kind holds.
pub fn content(what: What, number: u8) -> Value {
    let (api_version, kind, _) = what.api();
    let mut object = match what {
        What::ConfigMap => json!({ "data": { "k": number.to_string() } }),
        What::Secret => json!({ "stringData": { "k": number.to_string() }, "type": "Opaque" }),
        What::Lease => {
            json!({ "spec": { "holderIdentity": number.to_string(), "leaseDurationSeconds": 20 } })
        }
        What::Pod => json!({ "spec": {
            "containers": [{ "name": "c", "image": "i" }],
            "terminationGracePeriodSeconds": number
        } }),
        What::Worker => json!({ "spec": {
            "template": { "spec": { "containers": [{ "name": "duckdb", "image": "duck:1" }] } },
            "drainTimeoutSeconds": i64::from(number) + 1
        } }),
    };
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    object
}

/// Labels and finalizers.
pub fn dress(object: &mut Value, form: Form) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    match form.label {
        Some(x) => metadata.insert("labels".into(), json!({ "l": if x { "x" } else { "y" } })),
        None => metadata.remove("labels"),
    };
    if form.finalizer {
        metadata.insert("finalizers".into(), json!([FINALIZER]));
    } else {
        metadata.remove("finalizers");
    }
}

/// Makes an object odd.
pub fn odd(what: What, object: &mut Value, oddity: Oddity) {
    match oddity {
        Oddity::UnknownField if what == What::Worker => object["spec"]["unheardOf"] = 1.into(),
        Oddity::UnknownField => object["unheardOf"] = 1.into(),
        Oddity::Status if what == What::Worker => object["status"] = json!({ "state": "Hot" }),
        Oddity::OwnVersion => object["metadata"]["resourceVersion"] = "7".into(),
        Oddity::OtherNamespace => object["metadata"]["namespace"] = "elsewhere".into(),
        Oddity::OtherName => object["metadata"]["name"] = "n9".into(),
        Oddity::BadName => object["metadata"]["name"] = "Bad_Name".into(),
        Oddity::NoKind => {
            if let Some(fields) = object.as_object_mut() {
                fields.remove("kind");
            }
        }
        Oddity::BadValue if what == What::Worker => {
            object["spec"]["connection"] = json!({ "port": 70000 });
        }
        Oddity::BadValue => object["metadata"]["labels"] = json!({ "l": "-" }),
        Oddity::Immutable if what == What::Secret => object["immutable"] = true.into(),
        Oddity::FixedPart if what == What::Worker => {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = "duck:2".into();
        }
        // Nothing is odd, or the kind has nothing that could be.
        Oddity::Nothing | Oddity::Status | Oddity::Immutable | Oddity::FixedPart => {}
    }
}

/// A JSON patch of each sort.
pub fn json_patch(what: What, variant: u8) -> Value {
    let path = match what {
        What::ConfigMap => "/data/k",
        What::Secret => "/type",
        What::Lease => "/spec/holderIdentity",
        What::Pod => "/spec/restartPolicy",
        What::Worker => "/spec/drainTimeoutSeconds",
    };
    match variant {
        0 => json!([{ "op": "test", "path": "/metadata/name", "value": "n0" },
                    { "op": "add", "path": "/metadata/labels", "value": { "l": "y" } }]),
        1 => json!([{ "op": "remove", "path": "/metadata/finalizers" }]),
        2 => json!([{ "op": "test", "path": path, "value": "nothing like it" }]),
        3 => json!([{ "op": "add", "path": "/metadata/finalizers", "value": [FINALIZER] }]),
        4 => json!([{ "op": "replace", "path": "/metadata/labels/l", "value": "x" }]),
        _ => json!({ "op": "no list" }),
    }
}

/// Puts the fields of one object over those of another.
pub fn merge(object: &mut Value, over: &Value) {
    match (object, over) {
        (Value::Object(object), Value::Object(over)) => {
            for (name, value) in over {
                merge(object.entry(name).or_insert(Value::Null), value);
            }
        }
        (object, over) => *object = over.clone(),
    }
}
