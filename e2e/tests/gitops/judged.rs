//! Every version of the objects of a kind, and what the tools say of it.

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::TestNamespace;
use duckworker_e2e::recorder::Recorder;
use duckworker_history::{Change, line::name_of};
use serde_json::Value;

/// The tools' words for the same.
pub const CURRENT: &str = "Current";
pub const IN_PROGRESS: &str = "InProgress";
pub const FAILED: &str = "Failed";
pub const TERMINATING: &str = "Terminating";

/// A version of an object, and what kstatus says of it.
pub struct Judged {
    pub object: Value,
    pub verdict: String,
}

/// The health script, as the documentation has it.
///
/// # Errors
/// When there is none.
pub fn health_script() -> Result<String> {
    let mut lines = include_str!("../../../docs/gitops.md").lines();
    lines.find(|line| line.trim() == "health.lua: |").context("no health script")?;
    let script: Vec<&str> = lines.take_while(|line| !line.starts_with("```")).collect();
    ensure!(!script.is_empty(), "the health script is empty");
    Ok(script.join("\n"))
}

/// All versions of the objects of a collection that were recorded, judged. That the two tools agree
/// on each of them is checked at once.
///
/// # Errors
/// When they do not, or the recording has a gap.
pub async fn judged(
    ns: &TestNamespace<'_>,
    recorder: Recorder,
    collection: &str,
) -> Result<Vec<Judged>> {
    let versions = recorder.finish().await.context("the recording has a gap")?;
    let versions = versions
        .into_iter()
        .filter(|version| version.collection == collection && version.change != Change::Deleted);
    let objects: Vec<Value> = versions.map(|version| version.object).collect();
    let by_kstatus = ns.cluster.kstatus(&objects).await?;
    let by_argo = ns.cluster.argocd_health(&health_script()?, &objects).await?;
    let mut all = Vec::new();
    for ((object, kstatus), argo) in objects.into_iter().zip(by_kstatus).zip(by_argo) {
        let health = match kstatus.verdict.as_str() {
            CURRENT => "Healthy",
            IN_PROGRESS | TERMINATING => "Progressing",
            FAILED => "Degraded",
            _ => "",
        };
        ensure!(argo.verdict == health, "{kstatus:?} but {argo:?}: {object:#}");
        all.push(Judged { object, verdict: kstatus.verdict });
    }
    Ok(all)
}

/// What was said of the object of this name, each change of it once.
pub fn course<'a>(all: &'a [Judged], name: &str) -> Vec<&'a str> {
    let its = all.iter().filter(|judged| name_of(&judged.object).ends_with(&format!("/{name}")));
    let mut course: Vec<&str> = its.map(|judged| judged.verdict.as_str()).collect();
    course.dedup();
    course
}

/// Checks that each version was judged as an independent look at it judges.
///
/// # Errors
/// The first that was not.
pub fn check(all: &[Judged], truth: impl Fn(&Value) -> &'static str) -> Result<()> {
    for Judged { object, verdict } in all {
        let true_verdict = truth(object);
        ensure!(verdict == true_verdict, "said {verdict}, is {true_verdict}: {object:#}");
    }
    Ok(())
}

/// What is true of an object of any kind, whatever its status says.
pub fn of_any_kind(object: &Value) -> Option<&'static str> {
    if object["metadata"].get("deletionTimestamp").is_some() {
        return Some(TERMINATING);
    }
    let seen = &object["status"]["observedGeneration"];
    (*seen != object["metadata"]["generation"]).then_some(IN_PROGRESS)
}
