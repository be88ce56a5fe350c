//! etcd stands still during status writes until the API server gives up on them, and then goes on:
//! some of the writes are there although their answer was 504.
//!
//! The client library re-sends after a 504 without a word, so its caller sees a conflict with its
//! own write and takes it for somebody else's. Ours is told the truth: won, once.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::store::CALL_DEADLINE;
use duckworker_core::WriteId;
use duckworker_e2e::plane::{Plane, won};
use duckworker_e2e::{AuditEvent, Cluster, ClusterOptions, TestNamespace};
use duckworker_faults::Record;
use futures::future::{join_all, try_join_all};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};

use crate::claimed_once;

/// So many writes are under way when etcd stops: which of them it has taken by then is chance.
const WRITES: usize = 60;
/// When the API server gives up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often that chance is taken.
const ROUNDS: usize = 12;

#[tokio::test]
async fn the_library_takes_its_own_write_for_a_conflict_and_we_do_not() -> Result<()> {
    let options = ClusterOptions {
        api_server_flags: vec![format!("--request-timeout={}s", REQUEST_TIMEOUT.as_secs())],
        ..ClusterOptions::api_only()
    };
    let cluster = Cluster::start(options).await?;
    cluster.install_crds().await?;
    cluster
        .with_namespace("etcd-stands-still", async |ns| {
            let fooled = until_it_happens(async |round| library_round(ns, round).await).await?;
            println!(
                "the library's default: {fooled} of {WRITES} took their own write for a conflict"
            );
            let told = until_it_happens(async |round| our_round(ns, round).await).await?;
            println!("ours: {told} of {WRITES} were known by their id alone; all won, each once");
            Ok(())
        })
        .await
}

/// Repeats a round until it shows what it is about at least once.
async fn until_it_happens(round: impl AsyncFn(usize) -> Result<usize>) -> Result<usize> {
    for number in 0..ROUNDS {
        let happened = round(number).await?;
        if happened > 0 {
            return Ok(happened);
        }
    }
    anyhow::bail!("no write was applied and answered 504 in {ROUNDS} rounds")
}

/// Writes with the library's defaults; counts who saw a conflict with a write that is there.
async fn library_round(ns: &TestNamespace<'_>, round: usize) -> Result<usize> {
    let (plane, workers) = idle_workers(ns, &format!("library-{round}")).await?;
    let config = ns.cluster.config()?;
    ensure!(config.default_retry, "the library has changed its default");
    let api: Api<DuckWorker> = Api::namespaced(Client::try_from(config)?, &ns.name);
    let seen = try_join_all(workers.iter().map(|name| api.get(name))).await?;
    let writes = seen.into_iter().map(|worker| fooled(&api, &plane, worker));
    let (fooled, ()) = tokio::try_join!(try_join_all(writes), stand_still(ns))?;
    Ok(fooled.into_iter().filter(|fooled| *fooled).count())
}

/// Whether a plain status write was answered with a conflict although it was applied.
#[allow(clippy::disallowed_methods, reason = "this is what we do not do")]
async fn fooled(api: &Api<DuckWorker>, plane: &Plane, mut worker: DuckWorker) -> Result<bool> {
    let (name, id) = (worker.name_any(), WriteId::from_bits(rand::random()));
    let writes = worker.status.as_mut().and_then(|status| status.writes.as_mut());
    let writes = writes.context("writes")?;
    writes.seq += 1;
    writes.ids.insert(0, id.to_string());
    writes.ids.truncate(5);
    let answer = api.replace_status(&name, &PostParams::default(), &worker).await;
    let conflict = matches!(&answer, Err(kube::Error::Api(status)) if status.code == 409);
    let applied = plane.see(&name).await?.worker().status.writes.ids.first() == Some(&id);
    Ok(conflict && applied)
}

/// Claims with our library; all must win, each once. Counts whose write was never answered well.
async fn our_round(ns: &TestNamespace<'_>, round: usize) -> Result<usize> {
    let (plane, workers) = idle_workers(ns, &format!("ours-{round}")).await?;
    let before = try_join_all(workers.iter().map(|name| plane.see(name))).await?;
    let first = plane.faults.records().len();
    let claims = join_all(before.iter().map(|idle| plane.claim(idle)));
    let (claims, still) = tokio::join!(claims, stand_still(ns));
    still?;
    for (claim, idle) in claims.into_iter().zip(&before) {
        let lease = won(claim).with_context(|| idle.key().to_string())?;
        ensure!(lease.epoch().get() == 2, "{lease:?}");
        claimed_once(idle, &plane.see(&idle.key().name).await?)?;
    }
    let calls = &plane.faults.records()[first..];
    let told = |name: &String| {
        let of_it = |c: &&Record| c.number.is_some() && c.call.name.as_ref() == Some(name);
        calls.iter().filter(of_it).any(|call| call.answer == Some(200))
    };
    Ok(workers.iter().filter(|name| !told(name)).count())
}

/// A plane with idle workers of its own. Few at once: the API server gives up early here.
async fn idle_workers(ns: &TestNamespace<'_>, prefix: &str) -> Result<(Plane, Vec<String>)> {
    let plane = Plane::register(ns, CALL_DEADLINE).await?;
    let names: Vec<String> = (0..WRITES).map(|number| format!("{prefix}-{number}")).collect();
    let made = stream::iter(&names).map(|name| plane.idle(name)).buffer_unordered(4);
    made.try_for_each(async |_| Ok(())).await?;
    Ok((plane, names))
}

/// Stops etcd in the middle of the writes that begin now, until the API server has given up on
/// those that it had not answered.
async fn stand_still(ns: &TestNamespace<'_>) -> Result<()> {
    let audit = ns.cluster.audit();
    let mark = audit.mark()?;
    let written = |event: &&AuditEvent| event.resource() == "duckworkers/status";
    audit
        .await_events(mark, "writes", |events| events.iter().filter(written).count() > WRITES / 10)
        .await?;
    ns.cluster.etcd().pause()?;
    let given_up = |event: &AuditEvent| event.code() == Some(504) && written(&event);
    let shown = audit.await_events(mark, "a write given up", |e| e.iter().any(given_up));
    // If etcd had taken them all before it stopped, there is none, and another round must do.
    let _ = tokio::time::timeout(REQUEST_TIMEOUT * 2, shown).await;
    // All of those writes began within a moment of each other; let the others be given up, too.
    tokio::time::sleep(REQUEST_TIMEOUT / 8).await;
    ns.cluster.etcd().resume()
}
