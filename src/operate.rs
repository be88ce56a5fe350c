//! One controller instance, from its registration to its hand-over.

mod contexts;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use duckworker_client::cache::{self, Filled};
use duckworker_client::instance::Heartbeat;
use duckworker_client::{
    Activator, ClaimCache, Connection, Instance, InstanceSettings, PoolCache, Role, TenantCache,
    TenantSecrets, TransitionObserver, WorkerLifecycle, WorkerProtocol, WorkerStore,
};
use duckworker_flight::Flight;
use futures::FutureExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::reflector::Store;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::tasks::{
    check_scopes, clean, expire, expire_predecessors, follow_leases, hand_over, look_after,
};
use crate::controllers::claim;
use crate::controllers::links::Links;
use crate::controllers::pool;
use crate::controllers::pool::budgets::Budgets;
use crate::controllers::tenant;
use crate::controllers::watches::{self, Scope};
use crate::controllers::worker;
use crate::controllers::worker::context::Caches;
use crate::janitor::{Elector, Leadership};
use crate::observe::Observer;
use crate::observe::events::Events;
use crate::observe::metrics::Metrics;
use crate::observe::observer::CountTransitions;
use crate::observe::readiness::{Readiness, ReadyPart};
use crate::peers::Peers;
use crate::protocol::{PodReadiness, Spoken};
use crate::settings::{Election, LeaseTimes, Settings};

/// What an instance runs on: given by the process, or by a test that runs several.
#[derive(Clone)]
pub struct Ground {
    /// The API server.
    pub connection: Connection,
    /// Where calls, transitions and reconciles are counted.
    pub metrics: Arc<Metrics>,
    /// What `/readyz` shows.
    pub readiness: Readiness,
    /// How workers are talked to, if not by their pods' readiness: a test's stand-in.
    pub protocol: Option<Arc<dyn WorkerProtocol>>,
    /// Who else is told of every try of a transition: a test's recorder.
    pub listener: Arc<dyn TransitionObserver>,
}

/// What each of the instance's tasks shares.
struct Parts {
    settings: Settings,
    ground: Ground,
    instance: Arc<Instance>,
    lifecycle: WorkerLifecycle,
    activator: Activator,
    observer: Observer,
    leases: Store<Lease>,
    leases_filled: Filled,
    leadership: Leadership,
    marks: watch::Receiver<()>,
    /// The caches of the scopes that are filled.
    caches: watch::Sender<Vec<Caches>>,
    stop: CancellationToken,
    /// Cancelled before `stop`: we are leaving, and clean up no more.
    leave: CancellationToken,
}

/// Runs one instance until `stop`, then hands over and leaves.
///
/// # Errors
/// When it cannot register, when its Lease is lost, or when one of its tasks dies: the process
/// must end then, and a new incarnation begin.
pub async fn operate(
    settings: Settings,
    ground: Ground,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let registered = ground.readiness.part("instance");
    let (instance, heartbeat) = Instance::register_watching(
        &ground.connection,
        &settings.lease_namespace,
        Role::Controller,
        settings.lease.into(),
        Some(&settings.scope.to_string()),
    )
    .await
    .context("this instance could not register itself; see config/ for the rights that it needs")?;
    tracing::info!(owner = %instance.owner(), "registered");
    expire_predecessors(&instance, &ground.connection).await;
    let inner = CancellationToken::new();
    // However this ends, so do the tasks.
    let _guard = inner.clone().drop_guard();
    let mut tasks = JoinSet::new();
    tasks.spawn(named("heartbeat", heartbeat.run()));
    let (parts, elector) = prepare(settings, ground, instance, &inner, &mut tasks);
    let parts = Arc::new(parts);
    for scope in Vec::<Scope>::from(&parts.settings.scope) {
        let ready = parts.ground.readiness.part("caches");
        tasks.spawn(named("controller", run_scope(Arc::clone(&parts), scope, ready)));
    }
    registered.ready();
    tasks.spawn(named("scope check", until(inner.clone(), check_scopes(Arc::clone(&parts)))));
    tasks.spawn(named("expiry", until(inner.clone(), expire(Arc::clone(&parts)))));
    tasks.spawn(named("janitor", clean(Arc::clone(&parts), elector)));
    tasks.spawn(named("own workers", until(inner.clone(), look_after(&parts))));

    tokio::select! {
        Some(ended) = tasks.join_next() => {
            let name = ended.unwrap_or("a task that panicked");
            // The controllers end before the runtime does: one that is polled when its reconciles
            // were cancelled panics in kube-runtime.
            tasks.shutdown().await;
            anyhow::bail!("{name} ended: this instance ends with it");
        }
        () = stop.cancelled() => {}
    }
    hand_over(&parts).await;
    inner.cancel();
    // The controllers finish what is under way; the heartbeat goes on meanwhile.
    let finish = async { while tasks.len() > 1 && tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(5), finish).await;
    tasks.shutdown().await;
    Heartbeat::leave(&parts.ground.connection, &parts.instance).await;
    Ok(())
}

/// Runs a task that would go on for ever, until it is told to stop.
async fn until(stop: CancellationToken, task: impl Future<Output = ()>) {
    let _ = stop.run_until_cancelled(task).await;
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

fn prepare(
    settings: Settings,
    ground: Ground,
    instance: Arc<Instance>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<&'static str>,
) -> (Parts, Option<Elector>) {
    let (events, writer) = Events::new(ground.connection.client.clone(), instance.owner().as_str());
    tasks.spawn(named("events", writer.run(stop.clone())));
    let (mark, marks) = watch::channel(());
    let gone = mark.clone();
    let (leases, changes) =
        watches::leases(&ground.connection, &settings.lease_namespace, move || {
            gone.send_replace(());
        });
    tasks.spawn(named("lease watch", until(stop.clone(), follow_leases(changes, mark))));
    let counter = Arc::new(CountTransitions {
        metrics: ground.metrics.transitions.clone(),
        listener: Arc::clone(&ground.listener),
    });
    let store = WorkerStore::new(ground.connection.clone());
    let lifecycle = WorkerLifecycle::new(store, Arc::clone(&instance)).observed_by(counter);
    let observer = Observer::new(Arc::clone(&ground.metrics), events);
    let (elector, leadership) = elect(&settings, &ground, &instance);
    let caches = watch::Sender::default();
    let spoken = || {
        let flight = Flight::new(ground.connection.clone());
        Arc::new(Spoken::new(flight, PodReadiness::new(caches.subscribe())))
    };
    let protocol: Arc<dyn WorkerProtocol> = ground.protocol.clone().unwrap_or_else(|| spoken());
    let (secrets, watches) =
        TenantSecrets::watch(ground.connection.clone(), settings.scope.namespaces());
    tasks.spawn(named("tenant watch", until(stop.clone(), watches)));
    let activator = Activator::new(lifecycle.clone(), Arc::new(secrets), protocol);
    let parts = Parts {
        leadership,
        settings,
        ground,
        instance,
        lifecycle,
        activator,
        observer,
        leases_filled: cache::filled(leases.clone()),
        leases,
        marks,
        caches,
        stop: stop.clone(),
        leave: stop.child_token(),
    };
    (parts, elector)
}

/// Who of several instances leads: runs the janitor and looks after pools.
fn elect(
    settings: &Settings,
    ground: &Ground,
    instance: &Instance,
) -> (Option<Elector>, Leadership) {
    if settings.janitor.election == Election::Off {
        return (None, Leadership::always());
    }
    let (elector, leadership) = Elector::new(
        ground.connection.clone(),
        &settings.lease_namespace,
        instance.owner().clone(),
        settings.lease,
        ground.metrics.janitor.clone(),
    );
    (Some(elector), leadership)
}

async fn run_scope(parts: Arc<Parts>, scope: Scope, ready: ReadyPart) {
    // Who is alive decides whose turn it is: begin when that is known.
    if !parts.leases_filled.clone().await {
        return;
    }
    let (made, caches) = oneshot::channel();
    let caches = caches.shared();
    let (links, ends) = Links::new(parts.ground.connection.clock.clone());
    let links = Arc::new(links);
    let make_context = |caches: Caches| {
        // Who waits for them waits below, unless this scope has ended.
        let _ = made.send(caches.clone());
        Arc::new(parts.context(caches, &links))
    };
    let marks = watches::changes(parts.marks.clone());
    let connection = &parts.ground.connection;
    let stop = || parts.stop.clone();
    let followed = Arc::clone(&links);
    let (pools, pool_changes) = PoolCache::follow(connection, scope.namespace(), move |event| {
        followed.pool_followed(event);
    });
    let followed = Arc::clone(&links);
    let (claims, claim_changes) = ClaimCache::follow(connection, scope.namespace(), move |event| {
        followed.claim_followed(event);
    });
    let followed = Arc::clone(&links);
    let (tenants, tenant_changes) = TenantCache::follow(connection, scope.namespace(), move |e| {
        followed.tenant_followed(e);
    });
    let mine = (pools.clone(), claims.clone(), tenants.clone(), Arc::clone(&links));
    let workers =
        worker::run(connection, &scope, marks, mine, ends.seated_workers, make_context, stop());
    let look_after_claims = async {
        if let Ok(caches) = caches.clone().await {
            let bind = Arc::new(parts.claim_context(caches.clone(), &links));
            let (budgets, budget_changes) = Budgets::watch(connection, &scope);
            let fill = Arc::new(parts.pool_context(&caches, &links, budgets));
            let keep = Arc::new(parts.tenant_context(caches, &links));
            let marks = || watches::changes(parts.marks.clone());
            let held = ends.changed_tenants;
            tokio::join!(
                claim::run(claims, claim_changes, ends.changed_claims, marks(), bind, stop()),
                tenant::run(tenants, tenant_changes, held, marks(), keep, stop()),
                pool::run((pools, pool_changes), ends.changed_pools, budget_changes, fill, stop()),
            );
        }
    };
    tokio::select! {
        () = async { tokio::join!(workers, look_after_claims); } => {}
        () = announce(&parts, caches.clone(), ready) => {}
    }
}

/// Tells that the caches of a scope are filled, and stays ready for as long as it runs.
async fn announce(
    parts: &Parts,
    caches: impl Future<Output = Result<Caches, oneshot::error::RecvError>>,
    ready: ReadyPart,
) {
    if let Ok(caches) = caches.await
        && caches.wait_until_ready().await
    {
        ready.ready();
        parts.caches.send_modify(|filled| filled.push(caches));
    }
    std::future::pending::<()>().await;
}

impl Parts {
    fn peers(&self) -> Peers {
        let namespace = self.settings.lease_namespace.clone();
        Peers::new(self.instance.owner().clone(), namespace, self.leases.clone())
    }
}

impl From<LeaseTimes> for InstanceSettings {
    fn from(times: LeaseTimes) -> Self {
        Self { renew: times.renew, pause: times.pause, expire: times.expire }
    }
}
