//! Playing the cases, many at once, in batches with a namespace each.

use std::fs;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream};

use super::bystanders::{Bystanders, children};
use super::calm::{await_calm, calls, too_many};
use super::cases::Case;
use super::play::{Played, delete, gone, play};
use super::tally::Tally;
use crate::install::replica;
use crate::{Cluster, ControllerProcess, TestNamespace};

/// How many cases share a namespace, and how many of them are under way at once.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// So many cases share a namespace and its bystanders.
    pub batch: usize,
    /// So many are under way at once.
    pub at_once: usize,
}

/// Plays these cases on a cluster, with the product installed as a user does.
pub async fn fuzz(cluster: &Cluster, cases: Vec<Case>, pace: Pace) -> Result<Tally> {
    cluster.install_crds().await?;
    cluster.install_config().await?;
    // By itself it learns of new kinds only within half a minute.
    cluster.controller_manager()?.restart()?;
    let (controller, _) = replica(cluster, "fuzzed", &[]).await?;
    let total = cases.len();
    let (mut tally, mut done) = (Tally::default(), 0);
    let mut cases = cases.into_iter();
    loop {
        let batch: Vec<Case> = cases.by_ref().take(pace.batch).collect();
        if batch.is_empty() {
            break;
        }
        let numbered = batch.into_iter().zip(done..).collect::<Vec<_>>();
        done += numbered.len();
        let played = cluster.with_namespace("fuzz", async |ns| {
            Box::pin(play_batch(ns, numbered, pace.at_once, &mut tally)).await
        });
        let played = played.await;
        tally.crashes += crashes(&controller)?;
        played?;
        println!("{done} of {total}; {tally}");
        if tally.crashes > 0 {
            tally.violate(format!("the controller died:\n{}", controller.component().log_tail(40)));
            return Ok(tally);
        }
    }
    controller.stop().await?;
    Ok(tally)
}

/// How often a controller panicked, or whether it died.
fn crashes(controller: &ControllerProcess) -> Result<usize> {
    let component = controller.component();
    let log = fs::read_to_string(component.log()).context("no log of the controller")?;
    let panics = log.lines().filter(|line| line.contains("panicked at")).count();
    Ok(panics.max(usize::from(component.pid().is_none())))
}

async fn play_batch(
    ns: &TestNamespace<'_>,
    cases: Vec<(Case, usize)>,
    at_once: usize,
    tally: &mut Tally,
) -> Result<()> {
    let bystanders = Bystanders::bring(ns).await?;
    let mark = ns.cluster.audit().mark()?;
    let all = cases.into_iter().map(|(case, number)| {
        let bystanders = &bystanders;
        async move { play(ns, bystanders, case, &format!("f{number:05}")).await }
    });
    let played: Vec<Played> = stream::iter(all).buffer_unordered(at_once).collect().await;
    for played in &played {
        tally.enter(played);
    }
    if let Err(unrest) = await_calm(ns).await {
        tally.violate(format!("after a batch: {unrest:#}"));
    }
    count_calls(ns, mark, &played, tally)?;
    if let Some(disturbed) = bystanders.disturbed(ns).await? {
        tally.violate(format!("{disturbed}; beside {}", names(&played)));
    }
    clear(ns, &bystanders, &played, tally).await
}

fn names(played: &[Played]) -> String {
    let created = played.iter().filter(|played| !played.left.is_empty());
    created.map(|played| played.case.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn count_calls(
    ns: &TestNamespace<'_>,
    mark: crate::AuditMark,
    played: &[Played],
    tally: &mut Tally,
) -> Result<()> {
    let created: Vec<&Played> = played.iter().filter(|played| !played.left.is_empty()).collect();
    let names: Vec<String> = created.iter().map(|played| played.left[0].1.clone()).collect();
    for (played, count) in created.iter().zip(calls(ns, mark, &names)?) {
        if let Some(what) = too_many(count) {
            tally.violate(format!("{}: {what}", played.case.name));
        }
        if count > tally.busiest.0 {
            tally.busiest = (count, played.case.name.clone());
        }
    }
    Ok(())
}

/// Deletes all that was created, and demands that nothing of it is left.
async fn clear(
    ns: &TestNamespace<'_>,
    bystanders: &Bystanders,
    played: &[Played],
    tally: &mut Tally,
) -> Result<()> {
    let users_first = played.iter().flat_map(|played| {
        played.left.iter().rev().map(move |(kind, name)| (&played.case.name, *kind, name))
    });
    let ended = users_first.map(async |(case, kind, name)| {
        delete(ns, kind, name).await?;
        anyhow::Ok(
            gone(ns, kind, name).await.err().map(|why| format!("{case}: {kind} {name}: {why:#}")),
        )
    });
    let ended: Vec<_> = stream::iter(ended).buffer_unordered(16).collect().await;
    for stuck in ended {
        if let Some(stuck) = stuck? {
            tally.violate(stuck);
        }
    }
    Bystanders::close_quarry(ns).await?;
    if let Err(unrest) = await_calm(ns).await {
        tally.violate(format!("after the deletions: {unrest:#}"));
    }
    let theirs = bystanders.children();
    let left = children(ns, |_| true).await?;
    let left: Vec<&String> = left.iter().filter(|child| !theirs.contains(child)).collect();
    if !left.is_empty() {
        tally.violate(format!("left behind: {left:?}"));
    }
    if let Some(disturbed) = bystanders.disturbed(ns).await? {
        tally.violate(format!("{disturbed} after the others were deleted"));
    }
    Ok(())
}
