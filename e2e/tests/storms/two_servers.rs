//! Two API servers on one etcd, a controller at each. One server stands still for longer than a
//! Lease, and then tells its clients late what the world has long seen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::scenario::{bring, nothing_is_left, status};
use duckworker_e2e::worker::plain;
use duckworker_e2e::{Cluster, ClusterOptions, TestNamespace, await_gone, await_list};
use futures::future::try_join_all;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::watcher;

use crate::ground::{TIMES, become_idle, standings};

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
            let mut settings = quick_settings(&ns.name)?;
            settings.lease = TIMES;
            let here = InProcess::start(settings.clone(), Connection::new(cluster.config()?)?);
            let there = InProcess::start(settings.clone(), Connection::new(elsewhere.config()?)?);
            let early = all_idle(ns, "early").await?;
            await_owners(ns, 2).await?;
            let before = pods(ns, &early).await?;

            second.component().pause()?;
            // Its controller counts as dead now; the other one takes over what it had.
            await_owners(ns, 1).await?;
            // What the still server does not know: a worker goes, and another one takes its name.
            delete(ns, &early[0]).await?;
            let new = bring(ns, plain(&early[0]), "Idle").await?;

            // A controller that starts in this very moment sees the old state first.
            let late = InProcess::start(settings, Connection::new(elsewhere.config()?)?);
            second.component().resume()?;
            there.ended().await.err().context("an instance that was expired goes on")?;
            let after = all_idle(ns, "late").await?;
            // It has caught up and does its share; what it saw before has done no harm.
            await_owners(ns, 2).await?;
            let mut expected = before;
            let pod = status(&new)?.pod.as_ref().map(|pod| pod.uid.clone());
            expected.insert(early[0].clone(), pod);
            ensure!(pods(ns, &early).await? == expected, "not the same pods as before");
            ensure!(here.lives() && late.lives(), "a controller has ended");
            try_join_all(early.iter().chain(&after).map(|name| delete(ns, name))).await?;
            nothing_is_left(ns).await
        })
        .await
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

async fn delete(ns: &TestNamespace<'_>, name: &str) -> Result<()> {
    let api = ns.api::<DuckWorker>();
    let worker = api.get(name).await?;
    api.delete(name, &DeleteParams::default()).await?;
    await_gone(&api, &worker).await
}
