//! Two API servers on one etcd, a controller at each. One server stands still for longer than a
//! Lease. What it answers when it goes on may be old: whether it was is printed, since it is a race
//! within that server. What its controllers do must be right either way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::recorder::Recorder;
use duckworker_e2e::scenario::{bring, nothing_is_left, status};
use duckworker_e2e::worker::plain;
use duckworker_e2e::{Cluster, ClusterOptions, Identity, TestNamespace, await_list};
use futures::future::try_join_all;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};

use crate::ground::{TIMES, become_idle, remove, standings};

/// How many workers there are at a time: enough for each of two controllers to have some.
const WORKERS: usize = 8;

#[tokio::test]
async fn one_of_two_api_servers_stands_still_and_comes_back() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    cluster.install_crds().await?;
    let second = cluster.start_second_api_server().await?;
    let elsewhere = second.identity(cluster.user("admin")?)?;
    cluster
        .with_namespace("two-servers", async |ns| {
            let recorder = Recorder::start(&ns.client, &ns.name).await?;
            let mut settings = quick_settings(&ns.name)?;
            settings.lease = TIMES;
            let here = InProcess::start(settings.clone(), Connection::new(cluster.config()?)?);
            let there = InProcess::start(settings.clone(), Connection::new(elsewhere.config()?)?);
            let early = all_idle(ns, "early").await?;
            await_owners(ns, 2).await?;
            let before = pods(ns, &early).await?;
            let cached = Cached::ask(&elsewhere, ns).await?;

            second.component().pause()?;
            // Its controller counts as dead now; the other one takes over what it had.
            await_owners(ns, 1).await?;
            // What the still server does not know: a worker goes, and another one takes its name.
            remove(ns, &early[0]).await?;
            let new = bring(ns, plain(&early[0]), "Idle").await?;

            // A controller that starts in this very moment may see the old state first.
            let late = InProcess::start(settings, Connection::new(elsewhere.config()?)?);
            let first_answer = cached.ask_again();
            second.component().resume()?;
            let back = Instant::now();
            let seen = first_answer.await??;
            let age = if new.uid().is_some_and(|uid| seen.contains(&uid)) { "new" } else { "old" };
            println!("two-servers: the first answer out of the cache showed the {age} state");
            there.ended().await.err().context("an instance that was expired goes on")?;
            let after = all_idle(ns, "late").await?;
            // It has caught up and does its share; what it saw before has done no harm.
            await_owners(ns, 2).await?;
            println!(
                "two-servers: {:?} after it went on its controller had its share",
                back.elapsed()
            );
            let mut expected = before;
            let pod = status(&new)?.pod.as_ref().map(|pod| pod.uid.clone());
            expected.insert(early[0].clone(), pod);
            ensure!(pods(ns, &early).await? == expected, "not the same pods as before");
            ensure!(here.lives() && late.lives(), "a controller has ended");
            try_join_all(early.iter().chain(&after).map(|name| remove(ns, name))).await?;
            nothing_is_left(ns).await?;
            recorder.check().await?;
            Ok(())
        })
        .await
}

/// Asks an API server for what it has in its cache, over a connection that is there already: so a
/// server that stands still finds the question before it when it goes on.
struct Cached(Api<DuckWorker>);

impl Cached {
    async fn ask(server: &Identity, ns: &TestNamespace<'_>) -> Result<Self> {
        let cached = Self(Api::namespaced(server.client()?, &ns.name));
        cached.0.list(&any_version()).await?;
        Ok(cached)
    }

    /// The uids of the workers that it shows.
    fn ask_again(self) -> tokio::task::JoinHandle<Result<Vec<String>>> {
        tokio::spawn(async move {
            let workers = self.0.list(&any_version()).await?;
            Ok(workers.iter().filter_map(DuckWorker::uid).collect())
        })
    }
}

/// Whatever the server has, however old.
fn any_version() -> ListParams {
    ListParams::default().match_any()
}

async fn all_idle(ns: &TestNamespace<'_>, prefix: &str) -> Result<Vec<String>> {
    let names: Vec<String> = (0..WORKERS).map(|number| format!("{prefix}{number}")).collect();
    try_join_all(names.iter().map(|name| become_idle(ns, name))).await?;
    Ok(names)
}

/// Waits until this many live instances own all workers.
async fn await_owners(ns: &TestNamespace<'_>, wanted: usize) -> Result<()> {
    let owners = |workers: &[DuckWorker]| {
        let owner = |w: &DuckWorker| w.status.as_ref().and_then(|s| s.owner.clone());
        workers.iter().map(owner).collect::<BTreeSet<_>>().len()
    };
    let all = watcher::Config::default();
    let what = format!("owned by {wanted}");
    await_list(&ns.api(), &all, &what, |workers| owners(workers) == wanted).await?;
    Ok(())
}

/// The uids of the pods of these workers, as the API server has them.
async fn pods(
    ns: &TestNamespace<'_>,
    names: &[String],
) -> Result<BTreeMap<String, Option<String>>> {
    let recorded: BTreeMap<_, _> =
        standings(ns).await?.into_iter().map(|(name, standing)| (name, standing.pod)).collect();
    let pods = ns.api::<k8s_openapi::api::core::v1::Pod>().list(&ListParams::default()).await?;
    let there: BTreeMap<_, _> = pods.into_iter().map(|pod| (pod.name_any(), pod.uid())).collect();
    let pod = |name: &String| Some((name.clone(), there.get(name)?.clone()));
    let found: BTreeMap<_, _> = names.iter().filter_map(pod).collect();
    for (name, uid) in &found {
        ensure!(recorded.get(name) == Some(uid), "the pod of {name} is not the recorded one");
    }
    Ok(found)
}
