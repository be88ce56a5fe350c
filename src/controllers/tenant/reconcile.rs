//! The loop: ask the plan, carry its step out, ask again, until there is nothing to do but wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use duckworker_api::DuckTenant;
use duckworker_client::status::Written;
use duckworker_client::{Error, TenantSnapshot, WorkerSnapshot};
use duckworker_core::plan::tenant::{Remains, Step, View, WorkerSeen, next};
use duckworker_core::plan::worker::Turn;
use duckworker_core::tenant::DeclaredTenant;
use duckworker_core::{Owner, Uid, WorkerKey};
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::context::Context;

/// More steps in one go than a ledger needs. What is left is done at the next look.
const STEPS: usize = 16;
/// What a consistent read found is looked at again after this.
const RECHECK: Duration = Duration::from_secs(1);

/// One look at a tenant.
struct Look {
    /// The tenant, as new as this process knows it.
    tenant: TenantSnapshot,
    /// For how long its generation is known.
    known_for: Duration,
    /// What consistent reads said.
    remains: BTreeMap<Uid, Remains>,
}

/// One reconcile of one tenant.
///
/// # Errors
/// Whatever a step failed with; [`after_error`] says when to look again.
pub async fn reconcile(object: Arc<DuckTenant>, context: Arc<Context>) -> Result<Action, Error> {
    // What is missing in a cache that is not filled yet is not gone.
    let filled = context.tenants.wait_until_filled().await
        && context.caches.workers.wait_until_filled().await;
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let tenant = context.tenants.named(&namespace, &name).filter(|_| filled);
    let Some(tenant) = tenant else {
        if let Some(uid) = object.uid().and_then(|uid| Uid::new(uid).ok()) {
            context.memory.forget(&uid);
        }
        return Ok(Action::await_change());
    };
    // The binder of its claims keeps its ledger too: so there is one usual writer.
    let mine = context.peers.turn_for(&format!("{namespace}/{name}")) == Turn::Mine;
    let (tenant, known_for) = context.memory.newest(tenant);
    if !mine {
        return Ok(Action::await_change());
    }
    let timer = context.observer.reconcile("tenant");
    let uid = tenant.tenant().key.uid.clone();
    let look = Look { tenant, known_for, remains: BTreeMap::new() };
    let result = Box::pin(drive(&context, look)).await;
    timer.finish(result.as_ref().map_or_else(|error| error.class().into(), |_| "ok"));
    let wait = result?;
    context.requeue.succeeded(&uid);
    Ok(wait.map_or_else(Action::await_change, Action::requeue))
}

async fn drive(context: &Context, mut look: Look) -> Result<Option<Duration>, Error> {
    for _ in 0..STEPS {
        let tenant = look.tenant.tenant();
        let step = next(&View {
            tenant,
            workers: &workers(context, tenant),
            remains: &look.remains,
            dead: &dead(context, tenant),
            known_for: look.known_for,
            now: context.clock.now(),
        });
        tracing::debug!(tenant = %tenant.key, ?step, "next step");
        match step {
            Step::Rest => return Ok(None),
            Step::Wait(time) => return Ok(Some(time)),
            Step::Write(status) => match context.store.write(&look.tenant, &status).await? {
                Written::Landed(now) | Written::Moved(Some(now)) => {
                    (look.tenant, look.known_for) = context.memory.newest(now);
                }
                Written::Moved(None) => return Ok(None),
            },
            Step::LookFor(workers) => look_for(context, &mut look, workers).await?,
            Step::Move(workers) => {
                for (uid, name) in workers {
                    let namespace = tenant.key.namespace.clone();
                    let worker = WorkerKey { namespace, name, uid };
                    tracing::info!(tenant = %tenant.key, %worker, "its claimer died: closing its entry");
                    context.store.move_on(&worker).await?;
                }
                return Ok(Some(RECHECK));
            }
        }
    }
    Ok(Some(RECHECK))
}

/// What is left of workers that are over or not to be seen.
async fn look_for(
    context: &Context,
    look: &mut Look,
    workers: Vec<(Uid, String)>,
) -> Result<(), Error> {
    let namespace = &look.tenant.tenant().key.namespace;
    for (uid, name) in workers {
        let worker = context.workers.observe(namespace, &name).await?;
        let worker = worker.filter(|worker| worker.key().uid == uid);
        let remains = match worker {
            // Its finalizer went when its pod was gone.
            None => Remains::Nothing,
            Some(worker) if !worker.state().is_terminal() => Remains::Something,
            Some(worker) => {
                let own = worker.worker().status.pod.as_ref().map(|pod| pod.uid.as_str());
                let pod = context.children.read_pod(namespace, &name).await?;
                let there = pod.is_some_and(|pod| {
                    pod.metadata.uid.as_deref().is_some_and(|uid| own.is_none_or(|own| own == uid))
                });
                if there { Remains::Something } else { Remains::Nothing }
            }
        };
        look.remains.insert(uid, remains);
    }
    Ok(())
}

/// The workers of the ledger, and those that are assigned to the tenant.
fn workers(context: &Context, tenant: &DeclaredTenant) -> BTreeMap<Uid, WorkerSeen> {
    if tenant.cap().is_none() {
        return BTreeMap::new();
    }
    let (namespace, name) = (&tenant.key.namespace, tenant.key.name.as_str());
    let ledger = &tenant.status.ledger;
    let held = context.holdings.of(namespace, name).into_iter();
    let entered = ledger.entries().map(|(_, entry)| entry.worker.clone());
    let names: BTreeSet<String> = held.chain(entered).collect();
    let cached = names.iter().filter_map(|name| context.caches.workers.named(namespace, name));
    cached.map(|seen| (seen.key().uid.clone(), worker_seen(&seen))).collect()
}

fn worker_seen(seen: &WorkerSnapshot) -> WorkerSeen {
    let status = &seen.worker().status;
    WorkerSeen {
        name: seen.key().name.clone(),
        version: seen.version().clone(),
        state: status.state,
        tenant: status.tenant.clone(),
        owner: status.owner().cloned(),
    }
}

fn dead(context: &Context, tenant: &DeclaredTenant) -> BTreeSet<Owner> {
    let authors = tenant.status.ledger.entries().map(|(_, entry)| &entry.by);
    authors.filter(|by| context.peers.standing(by.as_str()).is_dead()).cloned().collect()
}

/// When to look at a tenant again after an error.
#[allow(clippy::needless_pass_by_value, reason = "the library's signature")]
pub fn after_error(object: Arc<DuckTenant>, error: &Error, context: Arc<Context>) -> Action {
    context.requeue.after(&object.metadata, error)
}
