//! One controller instance, from its registration to its hand-over.

mod contexts;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use duckworker_client::cache::{self, Filled};
use duckworker_client::instance::{Expiry, Heartbeat, Office};
use duckworker_client::{
    Activator, Children, ClaimCache, Connection, Instance, InstanceSettings, PoolCache, Role,
    TenantSecrets, TransitionObserver, WorkerLifecycle, WorkerProtocol, WorkerStore,
};
use duckworker_flight::Flight;
use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::reflector::Store;
use kube::runtime::{PredicateConfig, WatchStreamExt, predicates};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::controllers::claim;
use crate::controllers::pool::{self, Links};
use crate::controllers::watches::{self, Scope};
use crate::controllers::worker;
use crate::controllers::worker::context::Caches;
use crate::janitor::{self, Elector, Leadership};
use crate::observe::Observer;
use crate::observe::events::Events;
use crate::observe::metrics::Metrics;
use crate::observe::observer::CountTransitions;
use crate::observe::readiness::{Readiness, ReadyPart};
use crate::own_workers;
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

/// A container that was started anew need not wait for the Lease of the process before it.
async fn expire_predecessors(instance: &Instance, connection: &Connection) {
    match instance.expire_predecessors(connection, Role::Controller).await {
        Ok(expired) => expired.iter().for_each(|owner| {
            tracing::info!(%owner, "an earlier incarnation of this pod: marked expired");
        }),
        Err(error) => tracing::warn!(%error, "earlier incarnations are left to expire"),
    }
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

/// A renewal concerns nobody; a mark, a newcomer or a departure does.
async fn follow_leases(
    changes: impl Stream<Item = watches::Touched<Lease>> + Send,
    mark: watch::Sender<()>,
) {
    let marks = changes.predicate_filter(predicates::labels, PredicateConfig::default());
    let mut marks = std::pin::pin!(marks);
    while let Some(change) = marks.next().await {
        match change {
            Ok(_) => mark.send_replace(()),
            Err(error) => {
                tracing::warn!(
                    error = crate::text::chain(&error),
                    "the watch on Leases failed; it is tried again"
                );
            }
        }
    }
}

async fn run_scope(parts: Arc<Parts>, scope: Scope, ready: ReadyPart) {
    // Who is alive decides whose turn it is: begin when that is known.
    if !parts.leases_filled.clone().await {
        return;
    }
    let (filled, caches) = oneshot::channel();
    let (for_pools, caches_for_pools) = oneshot::channel();
    let make_context = |caches: Caches| {
        // Who waits for them waits below, unless this scope has ended.
        let _ = filled.send(caches.clone());
        let _ = for_pools.send(caches.clone());
        Arc::new(parts.context(caches))
    };
    let announce = async {
        if let Ok(caches) = caches.await
            && caches.wait_until_ready().await
        {
            ready.ready();
            parts.caches.send_modify(|filled| filled.push(caches));
        }
        // It is ready for as long as it runs.
        std::future::pending::<()>().await;
    };
    let marks = watches::changes(parts.marks.clone());
    let connection = &parts.ground.connection;
    let stop = || parts.stop.clone();
    let (pools, pool_changes) = PoolCache::watch(connection, scope.namespace());
    let (links, ends) = Links::new();
    let links = Arc::new(links);
    let followed = Arc::clone(&links);
    let (claims, claim_changes) = ClaimCache::follow(connection, scope.namespace(), move |event| {
        followed.claim_followed(event);
    });
    let mine = (pools.clone(), claims.clone(), Arc::clone(&links));
    let workers =
        worker::run(connection, &scope, marks, mine, ends.seated_workers, make_context, stop());
    let look_after_claims = async {
        if let Ok(caches) = caches_for_pools.await {
            let bind = Arc::new(parts.claim_context(caches.clone(), &links));
            let fill = Arc::new(parts.pool_context(&caches, &links));
            let marks = watches::changes(parts.marks.clone());
            tokio::join!(
                claim::run(claims, claim_changes, ends.changed_claims, marks, bind, stop()),
                pool::run(pools, pool_changes, links, ends.changed_pools, fill, stop()),
            );
        }
    };
    tokio::select! {
        () = async { tokio::join!(workers, look_after_claims); } => {}
        () = announce => {}
    }
}

impl Parts {
    fn peers(&self) -> Peers {
        let namespace = self.settings.lease_namespace.clone();
        Peers::new(self.instance.owner().clone(), namespace, self.leases.clone())
    }

    fn janitor_tools(&self, caches: Vec<Caches>) -> janitor::Tools {
        janitor::Tools {
            caches,
            leases: self.leases.clone(),
            peers: self.peers(),
            lifecycle: self.lifecycle.clone(),
            children: Children::new(self.lifecycle.clone()),
            clock: self.ground.connection.clock.clone(),
            observer: self.observer.clone(),
            metrics: self.ground.metrics.janitor.clone(),
            times: self.settings.janitor,
            concurrency: self.settings.concurrency.get(),
        }
    }
}

/// Looks after the health and the credentials of our own workers.
fn look_after(parts: &Parts) -> impl Future<Output = ()> + use<> {
    let (observer, metrics) = (parts.observer.clone(), parts.ground.metrics.loops.clone());
    own_workers::look_after(parts.activator.clone(), observer, metrics, parts.settings.refresh)
}

/// Tells, whenever that changes, which controllers share our Leases and not our scope. During a
/// rolling update that changes the scope it passes; otherwise one of them is set up wrongly.
async fn check_scopes(parts: Arc<Parts>) {
    let (mut marks, mine) = (parts.marks.clone(), parts.settings.scope.to_string());
    let peers = parts.peers();
    let mut told = Vec::new();
    loop {
        let strangers = peers.strangers(&mine);
        for (owner, theirs) in strangers.iter().filter(|stranger| !told.contains(*stranger)) {
            tracing::error!(%owner, theirs, mine, "a controller with the same --lease-namespace watches other namespaces: workers may wait for nobody; give it a lease namespace of its own");
        }
        parts.ground.metrics.strangers.set(i64::try_from(strangers.len()).unwrap_or(i64::MAX));
        told = strangers;
        if marks.changed().await.is_err() {
            return;
        }
    }
}

/// Marks dead instances, a few looks a lease time.
async fn expire(parts: Arc<Parts>) {
    let limit = parts.settings.janitor.draining_limit;
    let (connection, me) = (parts.ground.connection.clone(), Arc::clone(&parts.instance));
    let expiry = Expiry::new(connection, me, limit);
    // A look costs no call, and its lag counts twice: to notice the last renewal, and to be due.
    let (leases, period) = (parts.leases.clone(), parts.settings.lease.renew / 20);
    let (observer, metrics) = (parts.observer.clone(), parts.ground.metrics.janitor.clone());
    janitor::instances::expire(expiry, leases, period, observer, metrics).await;
}

/// Contends for the leader's Lease, and cleans up while we hold it.
async fn clean(parts: Arc<Parts>, elector: Option<Elector>) {
    let stop = parts.leave.clone();
    let scopes = Vec::<Scope>::from(&parts.settings.scope).len();
    let mut filled = parts.caches.subscribe();
    let all_filled = filled.wait_for(|filled| filled.len() == scopes);
    let caches = match stop.run_until_cancelled(all_filled).await {
        Some(Ok(caches)) => caches.clone(),
        _ => return,
    };
    let tools = parts.janitor_tools(caches);
    let work = janitor::run(tools, parts.leadership.clone(), stop.clone());
    match elector {
        None => work.await,
        Some(elector) => drop(tokio::join!(elector.run(stop), work)),
    }
}

/// Announces that we leave, and waits until the others have adopted what we hold.
async fn hand_over(parts: &Parts) {
    parts.leave.cancel();
    parts.instance.start_draining();
    let peers = parts.peers();
    if !peers.has_successor() {
        tracing::info!("no other controller lives: the next one adopts what this one held");
        return;
    }
    let mut office = parts.instance.office();
    let handed_over = async {
        let mut left = parts.lifecycle.holds();
        while *left.borrow_and_update() > 0 {
            if left.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = handed_over => tracing::info!("everything is handed over"),
        () = tokio::time::sleep(parts.settings.shutdown_grace) => {
            tracing::warn!("the time to hand over is up; the others adopt the rest");
        }
        _ = office.wait_for(|office| *office == Office::Over) => {}
    }
}

impl From<LeaseTimes> for InstanceSettings {
    fn from(times: LeaseTimes) -> Self {
        Self { renew: times.renew, pause: times.pause, expire: times.expire }
    }
}
