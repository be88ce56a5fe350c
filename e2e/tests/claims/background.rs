//! Ends of workers that take long hold up no claim.

use std::time::Instant;

use anyhow::{Result, ensure};
use duckworker_api::{DuckWorker, DuckWorkerPool};
use duckworker_client::Connection;
use duckworker_client::store::CALL_DEADLINE;
use duckworker_e2e::await_list;
use duckworker_e2e::claim::{bind, claim};
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::pool::{await_count, pool};
use duckworker_e2e::scenario::scenario;
use duckworker_e2e::worker::{plain, state};
use duckworker_faults::{Call, Fault, Faults, Verb};
use kube::Resource as _;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::watcher;
use tokio::sync::watch;

/// More than the controller works on at once.
const MANY: usize = 40;
/// All of them take less time than one call that hangs.
const CLAIMS: usize = 8;

#[tokio::test]
async fn a_claim_is_served_while_the_ends_of_many_workers_hang() -> Result<()> {
    scenario("claim-background", async |ns| {
        let (hanging, mut hung) = watch::channel(0_usize);
        let faults = Faults::none();
        faults.choose(move |_, call: &Call| {
            call.is(Verb::Delete, "pods").then(|| {
                hanging.send_modify(|count| *count += 1);
                Fault::Hang
            })
        });
        let connection = Connection::with_layer(ns.cluster.config()?, &faults.layer())?;
        let controller = InProcess::start(quick_settings(&ns.name)?, connection);
        ns.create::<DuckWorkerPool>(pool("p", CLAIMS.try_into()?, 20)).await?;
        await_count(ns, "p", "Idle", CLAIMS).await?;
        for number in 0..MANY {
            ns.create::<DuckWorker>(plain(&format!("w{number}"))).await?;
        }
        let (workers, all) = (ns.api::<DuckWorker>(), watcher::Config::default());
        let idle = |all: &[DuckWorker]| all.iter().filter(|w| state(w) == "Idle").count() > MANY;
        await_list(&workers, &all, "idle", idle).await?;
        let own = ListParams::default().labels("!duckworker.dev/pool");
        workers.delete_collection(&DeleteParams::default(), &own).await?;
        hung.wait_for(|hung| *hung > 0).await?;
        let draining = |all: &[DuckWorker]| {
            all.iter().filter(|w| w.meta().deletion_timestamp.is_some()).count() == MANY
        };
        await_list(&workers, &all, "told to go", draining).await?;
        let begin = Instant::now();
        for number in 0..CLAIMS {
            bind(ns, claim(&format!("c{number}"), "p", &format!("t{number}"))).await?;
        }
        // Before any of the hanging calls was given up.
        ensure!(begin.elapsed() < CALL_DEADLINE, "{:?}", begin.elapsed());
        controller.kill().await;
        Ok(())
    })
    .await
}
