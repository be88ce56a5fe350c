//! Whose a pod or a secret is, by what cannot be changed after its creation. Labels and owner
//! references can be forged or stripped; they are an index only.

use k8s_openapi::api::core::v1::Secret;

use crate::labels::{SECRET_UID_ENV, UID_ENV, UID_KEY};
use crate::pod::WorkerPod;

/// The uid of the worker that this pod was made for.
pub fn pod_worker_uid(pod: &WorkerPod) -> Option<&str> {
    pod.variable(UID_ENV)
}

/// The uid of the secret that this pod was made with.
pub fn pod_secret_uid(pod: &WorkerPod) -> Option<&str> {
    pod.variable(SECRET_UID_ENV)
}

/// The uid of the worker that this secret was made for.
pub fn secret_worker_uid(secret: &Secret) -> Option<&str> {
    let immutable = secret.immutable.unwrap_or_default();
    let bytes = &secret.data.as_ref()?.get(UID_KEY)?.0;
    std::str::from_utf8(bytes).ok().filter(|_| immutable)
}
