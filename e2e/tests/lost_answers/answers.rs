//! Every doubtful answer of a status write, one by one.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::TestNamespace;
use duckworker_e2e::plane::{Plane, won};
use duckworker_e2e::scenario::scenario;
use duckworker_faults::{Fault, Meanwhile, Refusal, Which};
use futures::future::try_join_all;

use crate::{DEADLINE, claimed_once};

/// Shorter than the deadline of a call.
const LATE: Duration = Duration::from_millis(300);

/// What happens to the write and, where there are more, to its next sendings.
fn cases() -> Vec<Vec<Fault>> {
    use Fault as F;
    let busy = Refusal::TooManyRequests { retry_after: 1 };
    let mut cases: Vec<Vec<Fault>> = [
        F::LoseRequest,
        F::LoseAnswer,
        F::CutAnswer,
        F::Late(LATE, Meanwhile::Breaks),
        F::Late(LATE, Meanwhile::Silent),
        F::Late(DEADLINE * 2, Meanwhile::Silent),
        F::Twice(Which::First),
        F::Twice(Which::Second),
        F::Slow(LATE),
        F::Hang,
        F::HangAfter,
        F::Refuse(Refusal::Conflict),
        F::RefuseAfter(Refusal::Conflict),
    ]
    .map(|fault| vec![fault])
    .into();
    for refusal in Refusal::ERRORS {
        cases.push(vec![F::Refuse(refusal)]);
        cases.push(vec![F::RefuseAfter(refusal)]);
    }
    cases.extend([
        vec![F::LoseAnswer, F::Refuse(Refusal::Conflict)],
        vec![F::LoseRequest, F::Refuse(busy), F::LoseAnswer],
        vec![F::Hang, F::Refuse(Refusal::Forbidden), F::RefuseAfter(Refusal::Timeout)],
        vec![F::Late(LATE, Meanwhile::Breaks), F::Refuse(Refusal::Unavailable), F::LoseRequest],
    ]);
    cases
}

#[tokio::test]
async fn every_doubtful_answer_is_decided_and_the_write_happens_once() -> Result<()> {
    scenario("doubtful-answers", async |ns| {
        let cases = cases();
        let runs = cases.iter().enumerate().map(async |(number, faults)| {
            let verdict = claim_under(ns, &format!("w{number}"), faults).await;
            verdict.with_context(|| format!("{faults:?}"))
        });
        try_join_all(runs).await?;
        println!("lost answers: {} of {}", cases.len(), cases.len());
        Ok(())
    })
    .await
}

async fn claim_under(ns: &TestNamespace<'_>, name: &str, faults: &[Fault]) -> Result<()> {
    let plane = Plane::register(ns, DEADLINE).await?;
    let idle = plane.idle(name).await?;
    plane.suffers(faults.iter().cloned());
    let lease = won(plane.claim(&idle).await)?;
    let after = plane.see(name).await?;
    claimed_once(&idle, &after)?;
    ensure!(lease.epoch() == after.worker().status.epoch(), "the lease is of another epoch");
    // Memory says the same as the API server.
    let held = plane.lifecycle.lease(&idle.key().uid).await?;
    ensure!(held.as_ref() == Some(&lease), "{held:?} is held");
    Ok(())
}

#[tokio::test]
async fn a_write_that_is_refused_for_patience_is_not_sent_again_behind_the_caller() -> Result<()> {
    scenario("throttled", async |ns| {
        let plane = Plane::register(ns, DEADLINE).await?;
        let idle = plane.idle("w1").await?;
        let sent = plane.faults.counted();
        plane.suffers([Fault::Refuse(Refusal::TooManyRequests { retry_after: 7 })]);
        let error = plane.claim(&idle).await.err().context("it was claimed")?;
        let class = error.class();
        let asked = duckworker_client::ErrorClass::Throttled(Duration::from_secs(7));
        ensure!(class == asked, "{class:?}");
        ensure!(plane.faults.counted() == sent + 1, "it was sent again");
        drop(won(plane.claim(&idle).await)?);
        claimed_once(&idle, &plane.see("w1").await?)
    })
    .await
}
