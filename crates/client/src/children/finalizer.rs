//! The finalizer: put on before anything is created, taken off when nothing is left.

use duckworker_api::{DuckWorker, labels::FINALIZER};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::Children;
use super::create::failed;
use crate::answer::{self, Answer};
use crate::error::Error;
use crate::store::Stored;
use crate::token::{Swept, WorkerSnapshot};

/// What became of a change of the finalizers.
#[derive(Debug)]
pub enum Finalized {
    /// They are as wanted; this is the worker now, unless it is gone.
    Done(Option<Box<WorkerSnapshot>>),
    /// The object moved meanwhile: look again.
    Moved,
}

impl Children {
    /// Puts the finalizer on.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn add_finalizer(&self, seen: &WorkerSnapshot) -> Result<Finalized, Error> {
        let mut finalizers = seen.stored().finalizers().to_vec();
        if finalizers.iter().any(|f| f == FINALIZER) {
            return Ok(Finalized::Done(Some(Box::new(seen.clone()))));
        }
        finalizers.push(FINALIZER.to_owned());
        self.set_finalizers(seen, &finalizers).await
    }

    /// Takes the finalizer off a worker of which nothing is left.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn remove_finalizer(
        &self,
        seen: &WorkerSnapshot,
        swept: Swept,
    ) -> Result<Finalized, Error> {
        if swept.key() != seen.key() || !seen.has_finalizer() {
            return Ok(Finalized::Moved);
        }
        let mut finalizers = seen.stored().finalizers().to_vec();
        finalizers.retain(|f| f != FINALIZER);
        self.set_finalizers(seen, &finalizers).await
    }

    async fn set_finalizers(
        &self,
        seen: &WorkerSnapshot,
        finalizers: &[String],
    ) -> Result<Finalized, Error> {
        let key = seen.key();
        let what = format!("changing the finalizers of DuckWorker {key}");
        let client = self.lifecycle.store().connection().client.clone();
        let api: Api<DuckWorker> = Api::namespaced(client, &key.namespace);
        let patch = Patch::Merge(json!({ "metadata": {
            "uid": key.uid.as_str(),
            "resourceVersion": seen.stored().version.as_str(),
            "finalizers": finalizers,
        }}));
        let params = PatchParams::default();
        let request = api.patch(&key.name, &params, &patch);
        match answer::ask(self.deadline(), request).await {
            Answer::Applied(object) => {
                let stored = Stored::answered(object)
                    .map_err(|source| Error::Unreadable { what, source })?;
                let now = WorkerSnapshot::new(stored.into());
                // Whoever looks next, before the watch has told, does not do it again.
                self.lifecycle.learn(&now).await;
                Ok(Finalized::Done(Some(Box::new(now))))
            }
            Answer::Conflict(_) => Ok(Finalized::Moved),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 => {
                Ok(Finalized::Done(None))
            }
            other => Err(failed(what, other)),
        }
    }
}
