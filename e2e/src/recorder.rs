//! Records what happens in the namespace of a test, and checks it at the end.
//!
//! One watch for each kind, from the namespace's beginning on and without a gap. When the test is
//! over, the watches are followed until they are quiet. A gap (the server forgot where a watch was)
//! makes the recording worthless, and the test fails: nobody shall believe that it was checked.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_history::{Change, Checker, Line, Settings, Version, line};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::WatchParams;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent};
use kube::core::Status;
use kube::{Client, ResourceExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A watch that has nothing for so long after the end has delivered everything before it.
const QUIET: Duration = Duration::from_millis(300);
/// From a watch that broke to the next one.
const PAUSE: Duration = Duration::from_millis(100);
/// The field manager of a test that forges an object of ours: no rule of ours binds it.
pub const FORGER: &str = "forger";
/// How long the server keeps a watch open, in seconds.
const LIFE: u32 = 290;

/// Records one namespace.
pub struct Recorder {
    /// Each ends with nothing if it had a gap.
    watches: JoinSet<Option<()>>,
    over: CancellationToken,
    versions: UnboundedReceiver<Version>,
}

impl Recorder {
    /// Begins. The namespace is new, and the kinds are installed.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn start(client: &Client, namespace: &str) -> Result<Self> {
        let kinds = [
            (line::WORKERS, GroupVersionKind::gvk("duckworker.dev", "v1alpha1", "DuckWorker")),
            (line::POOLS, GroupVersionKind::gvk("duckworker.dev", "v1alpha1", "DuckWorkerPool")),
            (line::CLAIMS, GroupVersionKind::gvk("duckworker.dev", "v1alpha1", "DuckWorkerClaim")),
            (line::TENANTS, GroupVersionKind::gvk("duckworker.dev", "v1alpha1", "DuckTenant")),
            (line::PODS, GroupVersionKind::gvk("", "v1", "Pod")),
            (line::SECRETS, GroupVersionKind::gvk("", "v1", "Secret")),
            (line::LEASES, GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease")),
        ];
        let (mut watches, over) = (JoinSet::new(), CancellationToken::new());
        let (tell, versions) = unbounded_channel();
        for (collection, kind) in kinds {
            let resource = ApiResource::from_gvk(&kind);
            let api: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), namespace, &resource);
            let list = api.list(&ListParams::default()).await?;
            let from = list.metadata.resource_version.clone().unwrap_or_default();
            let (tell, over) = (tell.clone(), over.clone());
            let mut follower = Follower { api, collection, from, tell, over };
            for object in &list.items {
                follower.tell(Change::Created, object);
            }
            watches.spawn(follower.follow());
        }
        Ok(Self { watches, over, versions })
    }

    /// The next version, for whoever looks on. Those of one kind come in order. None: all watches
    /// have ended, so there was a gap.
    pub async fn next(&mut self) -> Option<Version> {
        self.versions.recv().await
    }

    /// Ends, and returns the versions that nobody has looked at, in order; none if there was a gap.
    pub async fn finish(mut self) -> Option<Vec<Version>> {
        self.over.cancel();
        while let Some(recorded) = self.watches.join_next().await {
            recorded.ok().flatten()?;
        }
        let mut all = Vec::new();
        while let Some(version) = self.versions.recv().await {
            all.push(version);
        }
        all.sort_by_key(|version| version.revision);
        Some(all)
    }

    /// Lets something happen in a namespace, and checks what did.
    ///
    /// # Errors
    /// Whatever it fails with, the rules that broke, or that the recording has a gap.
    pub async fn over<T>(
        client: &Client,
        namespace: &str,
        body: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        let recorder = Self::start(client, namespace).await?;
        let value = body().await?;
        recorder.check().await?;
        Ok(value)
    }

    /// Ends, and checks what happened.
    ///
    /// # Errors
    /// The rules that broke, or that the recording has a gap.
    pub async fn check(self) -> Result<()> {
        let gap = "the recording has a gap: the history was not checked";
        let versions = self.finish().await.context(gap)?;
        let lines: Vec<Line> = versions.into_iter().map(Line::Version).collect();
        let violations = Checker::check(settings(), &lines);
        let text: Vec<String> = violations.iter().map(ToString::to_string).collect();
        ensure!(text.is_empty(), "the history breaks rules:\n{}", text.join("\n"));
        Ok(())
    }
}

/// Tests have Leases of seconds and margins of their own; times are those at which they were seen.
pub(crate) fn settings() -> Settings {
    Settings {
        expire: Duration::from_secs(1),
        renew: Duration::from_mins(1),
        margin: Duration::ZERO,
        late: Duration::from_mins(1),
        calm: None,
    }
}

struct Follower {
    api: Api<DynamicObject>,
    collection: &'static str,
    from: String,
    tell: UnboundedSender<Version>,
    over: CancellationToken,
}

impl Follower {
    async fn follow(mut self) -> Option<()> {
        let params = WatchParams::default().timeout(LIFE);
        loop {
            let Ok(stream) = self.api.watch(&params, &self.from).await else {
                if self.over.is_cancelled() {
                    return None;
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let mut events = std::pin::pin!(stream);
            loop {
                let event = tokio::select! {
                    biased;
                    event = events.next() => event,
                    () = self.quiet() => return Some(()),
                };
                match event {
                    Some(Ok(WatchEvent::Error(error))) if !is_forgotten(&error) => break,
                    Some(Ok(event)) => self.take(event)?,
                    Some(Err(_)) | None => break,
                }
            }
        }
    }

    /// The test is over, and nothing came for a while.
    async fn quiet(&self) {
        self.over.cancelled().await;
        tokio::time::sleep(QUIET).await;
    }

    /// Takes in an event. None: the server forgot where we were.
    fn take(&mut self, event: WatchEvent<DynamicObject>) -> Option<()> {
        let (change, object) = match event {
            WatchEvent::Added(object) => (Change::Created, object),
            WatchEvent::Modified(object) => (Change::Updated, object),
            WatchEvent::Deleted(object) => (Change::Deleted, object),
            WatchEvent::Bookmark(mark) => {
                self.from = mark.metadata.resource_version;
                return Some(());
            }
            WatchEvent::Error(_) => return None,
        };
        self.from = object.resource_version()?;
        self.tell(change, &object);
        Some(())
    }

    fn tell(&mut self, change: Change, object: &DynamicObject) {
        if let Some(version) = version(self.collection, change, object) {
            // Nobody listens any more only when the recording is thrown away.
            let _ = self.tell.send(version);
        }
    }
}

/// `410 Gone`: the server does not know the versions since then. Whatever else it complains of, such
/// as a store that does not answer, it tells everything the next time.
fn is_forgotten(error: &Status) -> bool {
    error.code == 410
}

#[allow(clippy::disallowed_methods, reason = "when it was seen, for a person who reads it")]
fn version(collection: &str, change: Change, object: &DynamicObject) -> Option<Version> {
    let mut object = object.clone();
    let by_forger = |manager: &Option<String>| manager.as_deref() == Some(FORGER);
    let is_forged = object.managed_fields().iter().any(|fields| by_forger(&fields.manager));
    object.managed_fields_mut().clear();
    Some(Version {
        revision: object.resource_version()?.parse().ok()?,
        at: Timestamp::now(),
        change,
        collection: collection.to_owned(),
        by: is_forged.then(|| FORGER.to_owned()),
        object: serde_json::to_value(&object).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use duckworker_api::{DuckWorker, samples};
    use duckworker_sim::{SimCluster, simulate};
    use kube::api::PostParams;

    use super::*;

    async fn create(client: &Client, name: &str) -> Result<()> {
        let mut worker = samples::plain_worker();
        worker.metadata.name = Some(name.to_owned());
        Api::<DuckWorker>::namespaced(client.clone(), "default")
            .create(&PostParams::default(), &worker)
            .await?;
        Ok(())
    }

    #[test]
    fn a_recording_without_a_gap_holds_every_version() -> Result<()> {
        simulate(1, async |cluster: SimCluster| {
            let client = cluster.admin();
            create(&client, "before").await?;
            let recorder = Recorder::start(&client, "default").await?;
            create(&client, "after").await?;
            let versions = recorder.finish().await.context("a gap")?;
            let names: Vec<_> =
                versions.iter().map(|version| version.object["metadata"]["name"].clone()).collect();
            ensure!(names == ["before", "after"], "{names:?}");
            Ok(())
        })?
    }

    #[test]
    fn a_recording_with_a_gap_is_no_success() -> Result<()> {
        simulate(1, async |cluster: SimCluster| {
            let client = cluster.admin();
            let recorder = Recorder::start(&client, "default").await?;
            cluster.hold_watches(line::WORKERS);
            create(&client, "unseen").await?;
            cluster.compact();
            cluster.free_watches();
            let checked = tokio::time::timeout(Duration::from_mins(1), recorder.check());
            let told = checked.await.context("it never ends")?.err().map(|error| error.to_string());
            ensure!(told.is_some_and(|told| told.contains("has a gap")), "nothing is told");
            Ok(())
        })?
    }
}
