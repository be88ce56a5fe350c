//! A small control plane: it registers as an instance, claims idle workers for its tenants, holds
//! each for a while and gives it back, over and over.
//!
//! ```sh
//! kubectl apply -f config/samples/worker-plain.yaml
//! cargo run --example control-plane -- --tenant acme --tenant umbrella --hold 5
//! ```
//!
//! Start it twice: no worker is ever held by both. Kill one with SIGKILL while it holds a worker:
//! its Lease stands still, some controller marks it expired, and the worker, whose sessions died
//! with this process, is ended with the reason Orphaned. Stop it with an interrupt: it gives back
//! what it holds and deletes its Lease, and the controllers adopt what it parked.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use duckworker_client::instance::Heartbeat;
use duckworker_client::{
    Connection, Instance, InstanceSettings, Origin, Outcome, Role, WorkerCache, WorkerLease,
    WorkerLifecycle, WorkerSnapshot, WorkerStore,
};
use duckworker_core::{Tenant, WorkerState};
use futures::StreamExt as _;
use futures::future::try_join_all;
use kube::Config;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Claims workers for tenants, through KUBECONFIG
#[derive(Parser)]
struct Args {
    /// Where the workers are
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Where the Leases of instances are
    #[arg(long, default_value = "duckworker-system")]
    lease_namespace: String,
    /// A tenant that wants a worker; may be given several times
    #[arg(long, default_value = "acme")]
    tenant: Vec<String>,
    /// For how many seconds a tenant holds its worker
    #[arg(long, default_value = "10")]
    hold: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let connection = Connection::new(Config::infer().await.context("set KUBECONFIG")?)?;

    // An identity that the API server vouches for, and a Lease that says that it is alive. There
    // is no transition before that.
    let registered = Instance::register(
        &connection,
        &args.lease_namespace,
        Role::ControlPlane,
        InstanceSettings::default(),
    );
    let (instance, heartbeat) = registered.await?;
    println!("registered as {}", instance.owner());
    let heartbeat = tokio::spawn(heartbeat.run());

    // What there is to claim, by a watch.
    let (workers, changes) = WorkerCache::watch(&connection.client, Some(&args.namespace), |_| {});
    let (tell, news) = watch::channel(());
    let watching = tokio::spawn(changes.for_each(move |_| {
        tell.send_replace(());
        std::future::ready(())
    }));

    let lifecycle = WorkerLifecycle::new(WorkerStore::new(connection.clone()), instance.clone());
    let stop = CancellationToken::new();
    let tenants = try_join_all(args.tenant.into_iter().map(|name| {
        let hold = Duration::from_secs(args.hold);
        serve(lifecycle.clone(), workers.clone(), news.clone(), name, hold, stop.clone())
    }));
    let mut tenants = Box::pin(tenants);
    tokio::select! {
        ended = &mut tenants => {
            ended?;
            bail!("no tenant is left to serve");
        }
        // An incarnation that is over never writes again: end, and be started anew.
        _ = heartbeat => bail!("our Lease is expired or gone"),
        _ = watching => bail!("the watch on workers ended"),
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    stop.cancel();
    tenants.await?;
    Heartbeat::leave(&connection, &instance).await;
    println!("left");
    Ok(())
}

/// One tenant: claim, hold, give back, until it is told to stop.
async fn serve(
    lifecycle: WorkerLifecycle,
    workers: WorkerCache,
    mut news: watch::Receiver<()>,
    name: String,
    hold: Duration,
    stop: CancellationToken,
) -> Result<()> {
    let tenant = Tenant::new(name)?;
    while !stop.is_cancelled() {
        let Some(lease) = claim(&lifecycle, &workers, &tenant).await? else {
            // None is to be had: the watch tells when that changes.
            let _ = stop.run_until_cancelled(news.changed()).await;
            continue;
        };
        println!("{tenant}: {} is mine at epoch {}", lease.key(), lease.epoch());
        if activate(&lifecycle, &lease).await? {
            let _ = stop.run_until_cancelled(tokio::time::sleep(hold)).await;
            match lifecycle.release(&lease, Origin::Library).await? {
                Outcome::Transitioned(_) => println!("{tenant}: {} is parked", lease.key()),
                // Deleted, lost, drained: whatever it was, it is not ours to touch any more.
                Outcome::Missed(miss) => println!("{tenant}: {} went: {miss}", lease.key()),
            }
        }
    }
    Ok(())
}

/// A worker that this tenant had before, or else an idle one. A miss means that somebody else was
/// quicker: try the next.
async fn claim(
    lifecycle: &WorkerLifecycle,
    workers: &WorkerCache,
    tenant: &Tenant,
) -> Result<Option<WorkerLease>> {
    let mut candidates: Vec<_> =
        workers.all().into_iter().filter(|seen| is_for(seen, tenant)).collect();
    candidates.sort_by_key(|seen| seen.state() != WorkerState::HotIdle);
    for seen in candidates {
        let tenant = tenant.clone();
        let outcome = match seen.state() {
            WorkerState::HotIdle => {
                lifecycle.claim_hot_idle(&seen, tenant, None, None, Origin::Library).await?
            }
            _ => lifecycle.claim_idle(&seen, tenant, None, Origin::Library).await?,
        };
        if let Outcome::Transitioned(lease) = outcome {
            return Ok(Some(lease));
        }
    }
    Ok(None)
}

fn is_for(seen: &WorkerSnapshot, tenant: &Tenant) -> bool {
    let worker = seen.worker();
    match seen.state() {
        _ if worker.is_deleting() || worker.spec.dedicated_to.is_some() => false,
        WorkerState::Idle => true,
        WorkerState::HotIdle => worker.status.tenant.as_ref() == Some(tenant),
        _ => false,
    }
}

/// Here a real control plane would send the tenant's credentials to the worker.
async fn activate(lifecycle: &WorkerLifecycle, lease: &WorkerLease) -> Result<bool> {
    if let Outcome::Missed(miss) = lifecycle.activate(lease).await? {
        println!("{} went: {miss}", lease.key());
        return Ok(false);
    }
    Ok(matches!(lifecycle.activated(lease, None).await?, Outcome::Transitioned(_)))
}
