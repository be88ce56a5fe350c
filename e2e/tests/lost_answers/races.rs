//! Others write while an answer is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::{Origin, Outcome};
use duckworker_core::{Miss, Note, WriteId};
use duckworker_e2e::plane::{Plane, won};
use duckworker_e2e::scenario::{scenario, scenario_unchecked};
use duckworker_e2e::{AuditMark, TestNamespace};
use duckworker_faults::{Fault, Meanwhile, Refusal};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::{DEADLINE, claimed_once};

/// Long enough for five writes of others while one answer is waited for.
const PATIENT: Duration = Duration::from_secs(3);

/// Waits until the API server has refused a status write of this worker for its version.
pub async fn await_conflict(ns: &TestNamespace<'_>, mark: AuditMark, name: &str) -> Result<()> {
    let refused = |event: &duckworker_e2e::AuditEvent| {
        event.resource() == "duckworkers/status"
            && event.namespace() == ns.name
            && event.name() == name
            && event.code() == Some(409)
    };
    let audit = ns.cluster.audit();
    let shown = |events: &[duckworker_e2e::AuditEvent]| events.iter().any(refused);
    audit.await_events(mark, "the refused late write", shown).await.map(drop)
}

#[tokio::test]
async fn a_request_held_until_another_has_moved_the_worker_never_lands() -> Result<()> {
    scenario("held", async |ns| {
        let (slow, quick) =
            (Plane::register(ns, DEADLINE).await?, Plane::register(ns, DEADLINE).await?);
        let idle = slow.idle("w1").await?;
        // The first sending is stuck, and no further one gets through before the other has won.
        let moved = Arc::new(AtomicBool::new(false));
        let (first, done) = (slow.faults.counted() + 1, Arc::clone(&moved));
        slow.faults.choose(move |number, _: &_| match number {
            n if n == first => Some(Fault::Held(Meanwhile::Breaks)),
            _ if done.load(Ordering::SeqCst) => None,
            _ => Some(Fault::Refuse(Refusal::Unavailable)),
        });
        let other = async {
            let lease = won(quick.claim(&idle).await);
            moved.store(true, Ordering::SeqCst);
            lease
        };
        let (mine, other) = tokio::join!(slow.claim(&idle), other);
        drop(other?);
        ensure!(matches!(mine?, Outcome::Missed(Miss::State)), "both claimed it");
        let before = slow.see("w1").await?;
        claimed_once(&idle, &before)?;
        let mark = ns.cluster.audit().mark()?;
        slow.faults.release();
        await_conflict(ns, mark, "w1").await?;
        ensure!(slow.see("w1").await?.worker() == before.worker(), "the late request landed");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_won_write_that_others_followed_is_recognised_and_hands_out_no_foreign_lease()
-> Result<()> {
    scenario_unchecked("followed", async |ns| {
        let plane = Plane::register(ns, PATIENT).await?;
        let idle = plane.idle("w1").await?;
        plane.suffers([Fault::HangAfter]);
        let meanwhile = async {
            await_epoch(ns, "w1", 2).await?;
            take(ns, "w1").await
        };
        let (lease, taken) = tokio::join!(plane.claim(&idle), meanwhile);
        taken?;
        let lease = won(lease)?;
        ensure!(lease.owner() == plane.lifecycle.instance().owner(), "{lease:?} is another's");
        ensure!(lease.epoch().get() == 2, "{lease:?} is not what was won");
        // It was stale the moment it was handed out, and memory knows.
        ensure!(plane.lifecycle.lease(&idle.key().uid).await?.is_none(), "it is still held");
        let outcome = plane.lifecycle.activate(&lease).await?;
        ensure!(matches!(outcome, Outcome::Missed(Miss::Owner)), "{outcome:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn four_foreign_writes_leave_a_lost_answer_decidable_and_five_make_it_a_miss() -> Result<()> {
    scenario("foreign-writes", async |ns| {
        for (writes, recognised) in [(1, true), (4, true), (5, false), (9, false)] {
            let name = format!("w{writes}");
            let plane = Plane::register(ns, PATIENT).await?;
            let idle = plane.idle(&name).await?;
            plane.suffers([Fault::HangAfter]);
            let others = async {
                await_epoch(ns, &name, 2).await?;
                for _ in 0..writes {
                    write_as_another(ns, &name).await?;
                }
                anyhow::Ok(())
            };
            let (claim, others) = tokio::join!(plane.claim(&idle), others);
            others?;
            match claim? {
                Outcome::Transitioned(lease) => {
                    ensure!(recognised, "{writes} writes later it was said to be known");
                    ensure!(lease.epoch().get() == 2);
                }
                Outcome::Missed(miss) => {
                    ensure!(!recognised && miss == Miss::Moved, "{writes} writes later: {miss}");
                }
            }
            // Either way memory holds what the API server says is ours.
            let held = plane.lifecycle.lease(&idle.key().uid).await?.context("nothing is held")?;
            ensure!(held.epoch().get() == 2, "{held:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_change_of_a_label_never_makes_a_miss() -> Result<()> {
    scenario("labels", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        let idle = plane.idle("w1").await?;
        let lease = plane.lifecycle.lease(&idle.key().uid).await?.context("nothing is held")?;
        for number in 0..3 {
            let label = json!({ "metadata": { "labels": { "touched": number.to_string() } } });
            let params = PatchParams::default();
            ns.api::<DuckWorker>().patch("w1", &params, &Patch::Merge(label)).await?;
            won(plane.lifecycle.note(&lease, Note::default(), Origin::Library).await)?;
        }
        let claimed = won(plane.claim(&idle).await)?;
        ensure!(claimed.epoch().get() == 2);
        Ok(())
    })
    .await
}

async fn await_epoch(ns: &TestNamespace<'_>, name: &str, epoch: i64) -> Result<()> {
    let reached = |worker: &DuckWorker| {
        worker.status.as_ref().is_some_and(|status| status.owner_epoch == Some(epoch))
    };
    ns.await_object::<DuckWorker>(name, "at the next epoch", reached).await.map(drop)
}

/// A write of the same state by a program in another language: a new id, and one more in `seq`.
async fn write_as_another(ns: &TestNamespace<'_>, name: &str) -> Result<()> {
    change_as_another(ns, name, |_| {}).await
}

/// Somebody else takes the worker.
async fn take(ns: &TestNamespace<'_>, name: &str) -> Result<()> {
    change_as_another(ns, name, |status| {
        status.owner = Some("user:another:abcdefgh".to_owned());
        status.owner_epoch = status.owner_epoch.map(|epoch| epoch + 1);
        if let Some(newest) = status.transitions.first().cloned() {
            let entry = duckworker_api::worker::TransitionEntry {
                name: "adopt".to_owned(),
                epoch: newest.epoch + 1,
                by: "user:another:abcdefgh".to_owned(),
                ..newest
            };
            status.transitions.insert(0, entry);
            status.transitions.truncate(5);
        }
    })
    .await
}

#[allow(clippy::disallowed_methods, reason = "a program in another language writes as it likes")]
async fn change_as_another(
    ns: &TestNamespace<'_>,
    name: &str,
    change: impl FnOnce(&mut duckworker_api::DuckWorkerStatus),
) -> Result<()> {
    let api = ns.api::<DuckWorker>();
    let mut worker = api.get(name).await?;
    let status = worker.status.as_mut().context("a status")?;
    change(status);
    let writes = status.writes.as_mut().context("writes")?;
    writes.seq += 1;
    writes.ids.insert(0, WriteId::from_bits(rand::random()).to_string());
    writes.ids.truncate(5);
    api.replace_status(name, &PostParams::default(), &worker).await?;
    Ok(())
}
