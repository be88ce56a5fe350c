//! The mark on a pod, busy or idle. It is for those who would evict it: nothing of ours hangs on it,
//! so it needs no right but the one to change pods.

use duckworker_api::labels::{BUSY, SAFE_TO_EVICT};
use duckworker_api::{WorkerPod, marks, owned};
use duckworker_core::WorkerKey;
use duckworker_core::plan::observed::Mark;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::Children;
use super::create::failed;
use crate::answer::{self, Answer};
use crate::error::Error;

impl Children {
    /// Marks a worker's pod. `None`: that pod is gone.
    ///
    /// # Errors
    /// When the pod is not this worker's ([`Error::Foreign`]), or the server refuses or does not
    /// answer. It is safe to try again.
    pub async fn mark_pod(
        &self,
        worker: &WorkerKey,
        pod: &WorkerPod,
        mark: Mark,
    ) -> Result<Option<WorkerPod>, Error> {
        let name = pod.name_any();
        let what = format!("marking Pod {}/{name}", worker.namespace);
        if owned::pod_worker_uid(pod) != Some(worker.uid.as_str()) {
            return Err(Error::Foreign { what, kind: "Pod", name });
        }
        // The uid keeps it off a namesake.
        let patch = Patch::Merge(json!({ "metadata": {
            "uid": pod.metadata.uid,
            "labels": { BUSY: marks::label(mark) },
            "annotations": { SAFE_TO_EVICT: marks::annotation(mark) },
        }}));
        let (api, params) = (self.pods(&worker.namespace), PatchParams::default());
        match answer::ask(self.deadline(), api.patch(&name, &params, &patch)).await {
            Answer::Applied(pod) => Ok(Some(pod)),
            Answer::Conflict(_) => Ok(None),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            other => Err(failed(what, other)),
        }
    }
}
