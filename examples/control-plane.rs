//! A small control plane: it registers as an instance, claims workers for its tenants, holds each
//! for a while and gives it back, over and over.
//!
//! ```sh
//! kubectl apply -f config/samples/worker-plain.yaml
//! cargo run --example control-plane -- --tenant acme --tenant umbrella --hold 5
//! ```
//!
//! Start it twice: no worker is ever held by both. Kill one with SIGKILL while it holds a worker:
//! its Lease stands still, some controller marks it expired, and the worker, whose sessions died
//! with this process, is ended after a grace with the reason Orphaned. Start it again in time with
//! the same `--sessions` file, and it takes the worker over instead, its pod untouched. Stop it
//! with an interrupt: it gives back what it holds and deletes its Lease, and the controllers adopt
//! what it parked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use duckworker_client::{
    ClaimError, Connection, ControlPlane, ControlPlaneSettings, HeldWorker, Idlers,
    InstanceSettings, NoCredentials, Outcome, Silent,
};
use duckworker_core::{Epoch, Tenant};
use futures::future::try_join_all;
use kube::Config;
use tokio::signal::unix::{SignalKind, signal};

/// Claims workers for tenants, through KUBECONFIG
#[derive(Parser)]
struct Args {
    /// Where the workers are
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Where the Leases of instances are: the controller's own namespace
    #[arg(long, default_value = "duckworker-system")]
    lease_namespace: String,
    /// A tenant that wants a worker; may be given several times
    #[arg(long, default_value = "acme")]
    tenant: Vec<String>,
    /// For how many seconds a tenant holds its worker
    #[arg(long, default_value = "10")]
    hold: u64,
    /// Where the sessions are written down that can come back after a crash, one folder for all
    #[arg(long)]
    sessions: Option<PathBuf>,
    /// After how many seconds of silence the controllers take an instance for dead: as they do
    #[arg(long, default_value = "20")]
    lease_expire: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let connection = Connection::new(Config::infer().await.context("set KUBECONFIG")?)?;
    let expire = Duration::from_secs(args.lease_expire);
    let times = InstanceSettings { renew: expire / 4, pause: expire * 3 / 4, expire };
    let settings = ControlPlaneSettings {
        instance: times,
        ..ControlPlaneSettings::new(&args.namespace, &args.lease_namespace)
    };
    // How workers are talked to, and where their tenants' credentials come from: here they are
    // told nothing. From here on the Lease is renewed, workers are watched, and those that are
    // held are checked.
    let (protocol, source) = (Arc::new(Silent), Arc::new(NoCredentials));
    let plane = ControlPlane::register(&connection, settings, protocol, source).await?;
    println!("registered as {}", plane.owner());

    let mut told_to_stop = signal(SignalKind::terminate())?;
    let hold = Duration::from_secs(args.hold);
    let tenants = args.tenant.iter().map(|name| serve(&plane, &args, name, hold));
    tokio::select! {
        ended = try_join_all(tenants) => {
            ended?;
            bail!("no tenant is left to serve");
        }
        // An incarnation that is over never writes again: end, and be started anew.
        () = plane.over() => bail!("our Lease is expired or gone"),
        _ = told_to_stop.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let report = plane.shut_down(Idlers::Park, hold).await;
    println!("left: {} parked, {} kept", report.parked.len(), report.kept.len());
    Ok(())
}

/// One tenant: claim, hold, give back.
async fn serve(plane: &ControlPlane, args: &Args, name: &str, hold: Duration) -> Result<()> {
    let tenant = Tenant::new(name)?;
    let record = args.sessions.as_ref().map(|folder| folder.join(name));
    let mut next = match &record {
        Some(record) => come_back(plane, &tenant, record).await?,
        None => None,
    };
    loop {
        let worker = match next.take() {
            Some(worker) => worker,
            None => match plane.claim(&tenant, None).await {
                Ok(worker) => worker,
                // That worker is ended: another one, then.
                Err(ClaimError::Activation(error)) => {
                    println!("{tenant}: {error}");
                    continue;
                }
                Err(error) => return Err(error.into()),
            },
        };
        let epoch = worker.lease().await?.map(|lease| lease.epoch().get()).unwrap_or_default();
        println!("{tenant}: {} is mine at epoch {epoch}", worker.key());
        if let Some(record) = &record {
            std::fs::write(record, format!("{} {epoch}", worker.key().name))?;
        }
        hold_for(&worker, hold).await;
        match worker.release().await? {
            Outcome::Transitioned(()) => println!("{tenant}: {} is parked", worker.key()),
            // Deleted, lost, drained: whatever it was, it is not ours to touch any more.
            Outcome::Missed(miss) => println!("{tenant}: {} went: {miss}", worker.key()),
        }
    }
}

/// Here a real control plane would hand its clients' sessions to the worker.
async fn hold_for(worker: &HeldWorker, hold: Duration) {
    let _session = worker.open_session();
    tokio::select! {
        () = tokio::time::sleep(hold) => {}
        why = worker.gone() => println!("{}: {} is gone: {why:?}", worker.tenant(), worker.key()),
    }
}

/// A session that was open when this program was killed: its worker is taken over, by the epoch
/// that the record names.
async fn come_back(
    plane: &ControlPlane,
    tenant: &Tenant,
    record: &Path,
) -> Result<Option<HeldWorker>> {
    let Ok(text) = std::fs::read_to_string(record) else { return Ok(None) };
    let (name, epoch) = text.split_once(' ').context("a record is a worker and an epoch")?;
    let epoch = Epoch::new(epoch.trim().parse()?).context("an epoch is not negative")?;
    match plane.take_over(name, tenant, epoch).await? {
        Outcome::Transitioned(worker) => {
            println!("{tenant}: {name} is taken over");
            Ok(Some(worker))
        }
        Outcome::Missed(miss) => {
            println!("{tenant}: {name} does not come back: {miss}");
            Ok(None)
        }
    }
}
