//! Whose a pod or a secret is, by what cannot be changed after its creation. Labels and owner
//! references can be forged or stripped; they are an index only.

use k8s_openapi::api::core::v1::{Pod, Secret};

use crate::labels::{DUCKDB_CONTAINER, SECRET_UID_ENV, UID_ENV, UID_KEY};

/// The uid of the worker that this pod was made for.
pub fn pod_worker_uid(pod: &Pod) -> Option<&str> {
    variable(pod, UID_ENV)
}

/// The uid of the secret that this pod was made with.
pub fn pod_secret_uid(pod: &Pod) -> Option<&str> {
    variable(pod, SECRET_UID_ENV)
}

fn variable<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let containers = &pod.spec.as_ref()?.containers;
    let duckdb = containers.iter().find(|c| c.name == DUCKDB_CONTAINER)?;
    duckdb.env.as_ref()?.iter().find(|e| e.name == name)?.value.as_deref()
}

/// The uid of the worker that this secret was made for.
pub fn secret_worker_uid(secret: &Secret) -> Option<&str> {
    let immutable = secret.immutable.unwrap_or_default();
    let bytes = &secret.data.as_ref()?.get(UID_KEY)?.0;
    std::str::from_utf8(bytes).ok().filter(|_| immutable)
}
