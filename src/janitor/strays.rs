//! Pods and secrets that outlived their worker.
//!
//! Each is asked for whom it was made: by its own name and by the worker's uid in a place that
//! cannot be changed after creation. Labels only brought it into the cache. Then a consistent
//! read says whether that worker is finished or not there, and that alone permits a deletion.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use duckworker_api::{DuckWorker, WorkerPod, labels, owned};
use duckworker_client::children::{Grace, PodStanding};
use duckworker_client::{DeletePermit, Error};
use duckworker_core::plan::janitor::strays::{Child, MadeFor, is_stranded};
use duckworker_core::planted::{Bug, planted};
use duckworker_core::{Uid, WorkerKey};
use kube::ResourceExt;

use super::round::{Act, Round, state_of};
use crate::controllers::secrets::SecretSeen;
use crate::controllers::watches::OfWorker;

/// Nobody waits for what a stray still does.
const GRACE: Duration = Duration::from_secs(30);

/// A stray, and for whom it was made.
struct Stray<K> {
    object: Arc<K>,
    key: WorkerKey,
    made_for: MadeFor,
}

impl Round<'_> {
    /// Stops pods whose worker is finished or gone.
    pub(super) async fn pods(&mut self) {
        let caches = self.tools.caches.iter();
        let pods = caches.flat_map(|caches| caches.pods.state());
        let found = self.strays(pods, pod_key);
        let found = if planted(Bug::PeersSecretSwept) { Vec::new() } else { found };
        self.each(found, |stray| self.stop_pod(stray)).await;
    }

    /// Deletes secrets whose worker is finished or gone, and whose pod is gone too.
    pub(super) async fn secrets(&mut self) {
        let caches = self.tools.caches.iter();
        let secrets = caches.flat_map(|caches| caches.secrets.state());
        let mut found = self.strays(secrets, secret_key);
        self.memory.foreign_secrets.retain_new(&mut found);
        self.each(found, |stray| self.sweep_secret(stray)).await;
    }

    fn strays<K: OfWorker>(
        &self,
        objects: impl Iterator<Item = Arc<K>>,
        key_of: impl Fn(&K) -> Option<WorkerKey>,
    ) -> Vec<Stray<K>> {
        let (limits, now) = (self.limits(), self.tools.clock.now());
        let census = self.census();
        let stray = |object: Arc<K>| {
            let key = key_of(&object)?;
            let made_for =
                census.get(key.uid.as_str()).map_or(MadeFor::Missing, |worker| known(worker, &key));
            let child =
                Child { made_for, created: object.created()?, leaving: object.is_leaving() };
            is_stranded(&child, now, &limits).then_some(Stray { object, key, made_for })
        };
        objects.filter_map(stray).collect()
    }

    /// Every worker in the caches, by uid.
    fn census(&self) -> HashMap<String, Arc<DuckWorker>> {
        let caches = self.tools.caches.iter();
        let workers = caches.flat_map(|caches| caches.workers.store().state());
        workers.filter_map(|worker| Some((worker.metadata.uid.clone()?, worker))).collect()
    }

    /// What a consistent read permits; none if the worker lives after all.
    async fn permit<K>(&self, stray: &Stray<K>) -> Result<Option<DeletePermit>, Error> {
        let (store, key) = (self.tools.lifecycle.store(), &stray.key);
        match stray.made_for {
            MadeFor::Missing => store.absent(key).await,
            MadeFor::Worker(_) => {
                let seen = store.observe(&key.namespace, &key.name).await?;
                #[cfg(feature = "planted")]
                if planted(Bug::PeersSecretSwept) || planted(Bug::PeersPodSwept) {
                    return Ok(seen.map(|seen| seen.planted_permit()));
                }
                let seen = seen.filter(|seen| seen.key() == key && seen.state().is_terminal());
                Ok(seen.and_then(|seen| seen.condemned()))
            }
            MadeFor::Unknown => Ok(None),
        }
    }

    async fn stop_pod(&self, stray: Stray<WorkerPod>) -> Result<Act, Error> {
        let Some(permit) = self.permit(&stray).await? else { return Ok(Act::Missed) };
        let grace = Grace::Within(GRACE);
        let permit = self.tools.children.delete_pod(permit, &stray.object, grace).await?;
        tracing::info!(pod = %permit.key(), made_for = ?stray.made_for, "stray pod told to stop");
        Ok(Act::Acted)
    }

    async fn sweep_secret(&self, stray: Stray<SecretSeen>) -> Result<Act, Error> {
        let Some(permit) = self.permit(&stray).await? else { return Ok(Act::Missed) };
        #[cfg(feature = "planted")]
        if planted(Bug::PeersSecretSwept) {
            let SecretSeen { namespace, name, .. } = &*stray.object;
            return self.tools.children.planted_delete(namespace, name).await.map(|()| Act::Acted);
        }
        let PodStanding::Gone(gone) = self.tools.children.pod_standing(permit).await? else {
            return Ok(Act::Missed);
        };
        if self.tools.children.sweep_secret(gone, &stray.object.name).await? {
            tracing::info!(secret = %stray.object.name, worker = %stray.key, made_for = ?stray.made_for, "stray secret deleted");
            return Ok(Act::Acted);
        }
        self.memory.foreign_secrets.remember(&stray.object);
        Ok(Act::Missed)
    }
}

/// For whom something was made that names the uid of this worker. What bears another name than
/// the worker's own is a forgery of whoever made it, or a copy: it is left to them.
fn known(worker: &DuckWorker, key: &WorkerKey) -> MadeFor {
    let meta = &worker.metadata;
    let is_own = meta.name.as_deref() == Some(key.name.as_str())
        && meta.namespace.as_deref() == Some(key.namespace.as_str());
    state_of(worker).filter(|_| is_own).map_or(MadeFor::Unknown, MadeFor::Worker)
}

/// Secrets that bear our label and turned out to be none of ours, by uid and version: looked at
/// once and not at every tick.
#[derive(Default)]
pub struct ForeignSecrets(Mutex<HashSet<(String, String)>>);

impl ForeignSecrets {
    fn remember(&self, secret: &SecretSeen) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(identity(secret));
    }

    /// Drops the known ones, and forgets those that are not found any more.
    fn retain_new(&mut self, found: &mut Vec<Stray<SecretSeen>>) {
        let known = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut met = HashSet::new();
        found.retain(|stray| {
            let identity = identity(&stray.object);
            let is_new = !known.contains(&identity);
            if !is_new {
                met.insert(identity);
            }
            is_new
        });
        *known = met;
    }
}

fn identity(secret: &SecretSeen) -> (String, String) {
    (secret.uid.clone(), secret.version.clone())
}

/// For whom a pod was made: it bears its worker's name, and the uid in its environment.
fn pod_key(pod: &WorkerPod) -> Option<WorkerKey> {
    let uid = Uid::new(owned::pod_worker_uid(pod)?).ok()?;
    Some(WorkerKey { namespace: pod.metadata.namespace.clone()?, name: pod.name_any(), uid })
}

/// For whom a secret says it was made: its name is made of its worker's. The uid is the label's,
/// which proves nothing; so the secret's data are asked before it is deleted.
fn secret_key(secret: &SecretSeen) -> Option<WorkerKey> {
    let uid = Uid::new(secret.worker_uid()?).ok()?;
    let name = secret.name.strip_suffix(labels::SECRET_SUFFIX)?;
    Some(WorkerKey { namespace: secret.namespace.clone(), name: name.to_owned(), uid })
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;
    use serde_json::json;

    use super::*;

    fn pod(uid: &str) -> WorkerPod {
        let pod = json!({
            "metadata": {
                "name": "w1", "namespace": "data",
                "labels": { labels::WORKER_UID: "forged", labels::WORKER_NAME: "forged" },
            },
            "spec": { "containers": [
                { "name": "duckdb", "env": [{ "name": labels::UID_ENV, "value": uid }] },
            ] },
        });
        serde_json::from_value(pod).unwrap()
    }

    fn secret(name: &str, uid: &str) -> SecretSeen {
        let metadata = json!({
            "name": name, "namespace": "data", "labels": { labels::WORKER_UID: uid },
        });
        serde_json::from_value::<ObjectMeta>(metadata).unwrap().into()
    }

    #[test]
    fn a_pod_is_known_by_what_cannot_be_changed() {
        let key = pod_key(&pod("u-1")).unwrap();
        assert_eq!((key.to_string().as_str(), key.uid.as_str()), ("data/w1", "u-1"));
        assert_eq!(pod_key(&pod("")), None, "no proof");
    }

    #[test]
    fn a_secret_is_known_by_its_name_and_a_label_that_is_not_empty() {
        let key = secret_key(&secret("w1-rpc", "u-1")).unwrap();
        assert_eq!((key.to_string().as_str(), key.uid.as_str()), ("data/w1", "u-1"));
        assert_eq!(secret_key(&secret("w1-rpc", "")), None);
        assert_eq!(secret_key(&secret("other", "u-1")), None);
    }

    #[test]
    fn a_foreign_secret_is_looked_at_once_a_version() {
        let mut foreign = ForeignSecrets::default();
        let stray = || {
            let object = Arc::new(secret("w1-rpc", "u-1"));
            let key = secret_key(&object).unwrap();
            Stray { object, key, made_for: MadeFor::Missing }
        };
        let mut found = vec![stray()];
        foreign.retain_new(&mut found);
        assert_eq!(found.len(), 1);
        foreign.remember(&found[0].object);
        foreign.retain_new(&mut found);
        assert!(found.is_empty());
        foreign.retain_new(&mut found);
        let mut back = vec![stray()];
        foreign.retain_new(&mut back);
        assert_eq!(back.len(), 1, "it was away: forgotten");
    }
}
