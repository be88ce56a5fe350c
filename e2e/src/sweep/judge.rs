//! What a disturbed run must have in common with the undisturbed one.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use duckworker_faults::{Fault, Record, Verb};

use super::case::Run;
use super::census::SECRETS;
use super::plan::{Case, Kind, Model};

/// It must end as that one did, with as many objects of each kind made and deleted. A crash may cost
/// secrets: a successor that finds one and no pod replaces it, since it cannot know who else has seen
/// the token.
///
/// # Errors
/// What differs.
pub fn judge(model: &Model, case: &Case, run: &Run) -> Result<()> {
    if run.ending != model.clean.ending {
        bail!("it ends with {} and not {}", run.ending, model.clean.ending);
    }
    let spare = if case.kind == Kind::Answer { 0 } else { stranded_secrets(run) };
    for (kind, clean) in &model.clean.counts {
        let now = run.counts.get(kind).copied().unwrap_or_default();
        let more = now.made.saturating_sub(clean.made);
        let allowed = if *kind == SECRETS { spare } else { 0 };
        let fits =
            more <= allowed && now.made == clean.made + more && now.gone == clean.gone + more;
        ensure!(fits, "{kind}: {now:?} and not {clean:?}");
    }
    Ok(())
}

/// How many secrets of workers were left without a pod, by all instances but the last.
fn stranded_secrets(run: &Run) -> usize {
    let stopped = run.calls.split_last().map_or(&[][..], |(_, stopped)| stopped);
    stopped.iter().map(|calls| stranded(calls)).sum()
}

fn stranded(calls: &[Record]) -> usize {
    let made = |resource: &'static str, is_done: fn(&Record) -> bool| {
        let all = calls.iter().filter(move |r| r.call.is(Verb::Create, resource) && is_done(r));
        all.filter_map(|record| record.call.name.clone()).collect::<BTreeSet<_>>()
    };
    let sent = |record: &Record| record.fault != Some(Fault::StopBefore);
    // A pod whose creation was under way when the process died may not be there.
    let sure = |record: &Record| record.answer.is_some() || record.fault == Some(Fault::StopAfter);
    let pods = made("pods", sure);
    let secrets = made("secrets", sent);
    let worker = |secret: &String| secret.strip_suffix("-rpc").map(str::to_owned);
    secrets.iter().filter_map(worker).filter(|worker| !pods.contains(worker)).count()
}
