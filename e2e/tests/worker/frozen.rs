//! A replica stands still for longer than its Lease lasts (SIGSTOP, or its whole machine), its workers
//! are adopted meanwhile, and it goes on. None of its writes lands any more, and none of its deletions
//! hits what somebody uses.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_e2e::scenario::{bring, scenario, status};
use duckworker_e2e::worker::{dedicated, is, plain, state, with_annotation};
use duckworker_e2e::{
    AuditEvent, ControllerProcess, PATIENCE, TestNamespace, annotation, await_gone, await_list,
};
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::watcher;
use serde_json::json;

/// Who the replica is that stands still: the audit log knows its requests by that.
const FROZEN: &str = "alice";
const OTHER: &str = "admin";

/// Until when a replica believes that it may write.
#[derive(Debug, Clone, Copy)]
enum Belief {
    /// It sees how long it stood still, and writes nothing before it has renewed its Lease.
    Sound,
    /// Its own clock stood still with it, as that of a suspended machine does: nothing but the
    /// fences stops it.
    ForHours,
}

async fn start(ns: &TestNamespace<'_>, user: &str, belief: Belief) -> Result<ControllerProcess> {
    let (pause, expire) = match belief {
        Belief::Sound => ("2s", "3s"),
        Belief::ForHours => ("1h", "2h"),
    };
    let flags = [
        "controller",
        "--namespace",
        &ns.name,
        "--lease-namespace",
        &ns.name,
        "--admin-address",
        "127.0.0.1:0",
        "--lease-renew",
        "300ms",
        "--lease-pause",
        pause,
        "--lease-expire",
        expire,
        "--janitor-interval",
        "500ms",
        "--stranded-grace",
        "2s",
    ];
    let identity = ns.cluster.user(user)?;
    ControllerProcess::start(ns.cluster, user, identity, &flags, &[]).await
}

async fn await_replicas(ns: &TestNamespace<'_>, count: usize) -> Result<()> {
    let instances = watcher::Config::default().labels("duckworker.dev/component=control-plane");
    let all = |leases: &[Lease]| leases.len() == count;
    await_list(&ns.api::<Lease>(), &instances, "registered", all).await.map(drop)
}

fn is_owned_by(user: &'static str) -> impl Fn(&DuckWorker) -> bool {
    let prefix = format!("user:{user}:");
    move |worker| {
        let owner = worker.status.as_ref().and_then(|status| status.owner.as_deref());
        owner.is_some_and(|owner| owner.starts_with(&prefix))
    }
}

/// The uid of each worker's pod, as the status records it.
async fn pods_of(ns: &TestNamespace<'_>) -> Result<BTreeMap<String, String>> {
    let workers = ns.api::<DuckWorker>().list(&ListParams::default()).await?;
    let pod = |worker: &DuckWorker| {
        let pod = worker.status.as_ref()?.pod.as_ref()?;
        Some((worker.name_any(), pod.uid.clone()))
    };
    Ok(workers.items.iter().filter_map(pod).collect())
}

/// Everything that a controller has under way at once: workers that rest and serve, some that end,
/// and many that start. Returns when the first of those that start is begun.
async fn busy(ns: &TestNamespace<'_>) -> Result<Vec<DuckWorker>> {
    let ending = ["end-0", "end-1"].map(|n| with_annotation(n, annotation::STOP_DELAY, "1s"));
    let ending = try_join_all(ending.map(|worker| bring(ns, worker, "Idle"))).await?;
    let names: Vec<String> = (0..4).map(|number| format!("rest-{number}")).collect();
    try_join_all(names.iter().map(|name| bring(ns, plain(name), "Idle"))).await?;
    bring(ns, dedicated("serves", "acme"), "Hot").await?;
    let starting: Vec<String> = (0..16).map(|number| format!("start-{number}")).collect();
    for worker in &ending {
        ns.api::<DuckWorker>().delete(&worker.name_any(), &DeleteParams::default()).await?;
    }
    try_join_all(starting.iter().map(|name| ns.create::<DuckWorker>(plain(name)))).await?;
    let begun = |all: &[DuckWorker]| {
        let of_frozen = is_owned_by(FROZEN);
        all.iter().any(|w| w.name_any().starts_with("start-") && of_frozen(w))
    };
    await_list(&ns.api::<DuckWorker>(), &watcher::Config::default(), "begun", begun).await?;
    Ok(ending)
}

/// The other replica has everything, and everything is as people wanted it.
async fn await_adopted(ns: &TestNamespace<'_>, ending: &[DuckWorker]) -> Result<()> {
    for worker in ending {
        await_gone(&ns.api(), worker).await?;
    }
    let settled = |all: &[DuckWorker]| {
        let of_other = is_owned_by(OTHER);
        all.len() == 21 && all.iter().all(|w| matches!(state(w), "Idle" | "Hot") && of_other(w))
    };
    let all = watcher::Config::default();
    await_list(&ns.api::<DuckWorker>(), &all, "the other's", settled).await.map(drop)
}

/// What the replica that had stood still wrote, or tried to, since it went on.
async fn writes_after(
    ns: &TestNamespace<'_>,
    replica: &ControllerProcess,
) -> Result<Vec<AuditEvent>> {
    let audit = ns.cluster.audit();
    let mark = audit.mark()?;
    replica.component().resume()?;
    // Its Lease is expired: it ends by itself.
    tokio::time::timeout(PATIENCE, replica.component().exited()).await.context("it lives on")?;
    ns.create::<ConfigMap>(json!({ "metadata": { "name": "over" } })).await?;
    let is_over = |event: &AuditEvent| event.name() == "over" && event.namespace() == ns.name;
    let events = audit.await_events(mark, "the end", |all| all.iter().any(is_over)).await?;
    let its = |event: &AuditEvent| {
        event.user.username == FROZEN && event.namespace() == ns.name && event.is_write()
    };
    Ok(events.into_iter().filter(its).collect())
}

/// A pod or secret that may be deleted: its worker ends, has ended, or is gone.
async fn is_condemned(ns: &TestNamespace<'_>, child: &str) -> Result<bool> {
    let name = child.strip_suffix("-rpc").unwrap_or(child);
    let worker = ns.api::<DuckWorker>().get_opt(name).await?;
    Ok(worker.is_none_or(|w| matches!(state(&w), "Draining" | "Retired" | "Lost")))
}

/// No write landed, as far as it was answered; each deletion missed or hit what was condemned. Returns
/// how many writes there were to workers, and what was made too late.
async fn harmless(ns: &TestNamespace<'_>, writes: &[AuditEvent]) -> Result<(usize, usize)> {
    let (mut to_workers, mut late) = (0, 0);
    for event in writes {
        // One that was cut in half is answered 504 after a while: the statuses show what it did.
        let missed = !matches!(event.code(), Some(200..300));
        let what =
            format!("{} {} {}: {:?}", event.verb, event.resource(), event.name(), event.code());
        match (event.verb.as_str(), event.resource().as_str()) {
            ("update", "duckworkers/status") => {
                ensure!(missed, "a status write landed: {what}");
                to_workers += 1;
            }
            ("delete", "pods" | "secrets") => {
                ensure!(missed || is_condemned(ns, event.name()).await?, "{what}");
            }
            ("create", "pods" | "secrets") => late += usize::from(event.code() == Some(201)),
            ("update", "leases") => ensure!(missed, "a dead instance renewed: {what}"),
            _ => {}
        }
    }
    Ok((to_workers, late))
}

/// No pod and no secret is left that is not the one of a worker that lives.
async fn await_no_strays(ns: &TestNamespace<'_>) -> Result<()> {
    let all = watcher::Config::default();
    let own: BTreeSet<String> = pods_of(ns).await?.into_values().collect();
    let only_own =
        |pods: &[Pod]| pods.iter().all(|pod| own.contains(&pod.uid().unwrap_or_default()));
    await_list(&ns.api::<Pod>(), &all, "swept", only_own).await?;
    let count = ns.api::<DuckWorker>().list(&ListParams::default()).await?.items.len();
    let one_each = |secrets: &[Secret]| secrets.len() == count;
    await_list(&ns.api::<Secret>(), &all, "swept", one_each).await.map(drop)
}

async fn stands_still(name: &str, belief: Belief) -> Result<()> {
    scenario(name, async |ns| {
        let admin = "--clusterrole=cluster-admin";
        let user = format!("--user={FROZEN}");
        let bind = ["create", "clusterrolebinding", &ns.name, admin, &user];
        ns.cluster.kubectl(&bind).await?.ok()?;
        let frozen = start(ns, FROZEN, belief).await?;
        await_replicas(ns, 1).await?;
        // All that is there before the other comes is its own.
        let ending = busy(ns).await?;
        let before = pods_of(ns).await?;
        frozen.component().pause()?;
        let other = start(ns, OTHER, Belief::Sound).await?;
        await_adopted(ns, &ending).await?;
        let adopted = ns.api::<DuckWorker>().list(&ListParams::default()).await?.items;

        let writes = writes_after(ns, &frozen).await?;
        let (to_workers, late) = harmless(ns, &writes).await?;
        eprintln!(
            "{belief:?}: {} writes after it, {to_workers} to workers, {late} late",
            writes.len()
        );
        ensure!(writes.iter().any(|event| event.code() == Some(409)), "it tried nothing");
        await_no_strays(ns).await?;
        for worker in &adopted {
            let now = ns.api::<DuckWorker>().get(&worker.name_any()).await?;
            let (after, before_it) = (status(&now)?, status(worker)?);
            ensure!(after.pod == before_it.pod, "{}", now.name_any());
            ensure!(after.transitions == before_it.transitions, "{}", now.name_any());
            ensure!(is_owned_by(OTHER)(&now) && state(&now) == state(worker), "{}", now.name_any());
            let pod = ns.api::<Pod>().get(&worker.name_any()).await?;
            ensure!(pod.metadata.deletion_timestamp.is_none(), "{}", now.name_any());
            let same =
                before.get(&now.name_any()).is_none_or(|uid| pod.uid().as_ref() == Some(uid));
            ensure!(same, "{} got another pod", now.name_any());
        }
        ensure!(adopted.iter().any(|worker| is("Hot")(worker)), "nobody served");
        other.stop().await
    })
    .await
}

#[tokio::test]
async fn a_replica_that_stood_still_beyond_its_lease_does_no_harm() -> Result<()> {
    stands_still("replica-frozen", Belief::Sound).await
}

#[tokio::test]
async fn a_replica_whose_clock_stood_still_as_well_is_stopped_by_the_fences() -> Result<()> {
    stands_still("replica-suspended", Belief::ForHours).await
}
