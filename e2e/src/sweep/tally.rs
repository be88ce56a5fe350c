//! Running the cases, many at once, and the last line.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream};

use super::case::{Disturbance, Leaked, Run, run};
use super::flow::Flow;
use super::judge::judge;
use super::plan::{Case, Depth, Kind, Model};
use super::point::Point;
use crate::Cluster;

/// After so many cases a line is printed.
const PROGRESS: usize = 25;
/// How often a case is run for its faults to come to pass.
const TRIES: usize = 12;

/// What came of a sweep.
#[derive(Debug, Default)]
pub struct Tally {
    good: BTreeMap<&'static str, usize>,
    all: BTreeMap<&'static str, usize>,
    leaked: usize,
    /// The cases that were left out: their call is one that comes only now and then, such as a
    /// second look at a worker that is gone already, and did not come when it was to fail.
    pub unreached: Vec<String>,
    /// Each case that went wrong, with the reason.
    pub failures: Vec<String>,
}

impl Tally {
    /// Nothing went wrong, and nothing was left out.
    pub fn is_good(&self) -> bool {
        let cases: usize = self.all.values().sum();
        self.failures.is_empty() && self.unreached.is_empty() && cases > 0
    }

    /// A case whose faults did not come to pass: not good, but no failure of the product either.
    /// It stays in what there was to try, so that the last line does not claim it.
    fn leave_out(&mut self, case: &Case) {
        *self.all.entry(label(case.kind)).or_default() += 1;
        self.unreached.push(case.to_string());
    }

    fn enter(&mut self, case: &Case, verdict: &Result<()>) {
        *self.all.entry(label(case.kind)).or_default() += 1;
        match verdict {
            Ok(()) => *self.good.entry(label(case.kind)).or_default() += 1,
            Err(error) => {
                let text = format!("{case}: {error:#}");
                self.leaked += usize::from(error.is::<Leaked>());
                eprintln!("FAILED {text}");
                self.failures.push(text);
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in [Kind::Crash, Kind::Pair, Kind::Answer] {
            let of = |counts: &BTreeMap<_, usize>| counts.get(label(kind)).copied().unwrap_or(0);
            write!(f, "{}: {} of {}, ", label(kind), of(&self.good), of(&self.all))?;
        }
        write!(f, "leaked: {}", self.leaked)
    }
}

const fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Crash => "crash points",
        Kind::Pair => "pairs",
        Kind::Answer => "lost answers",
    }
}

/// Sweeps these flows, so many cases at once, each in a namespace of its own.
pub async fn sweep(
    cluster: &Cluster,
    flows: &[Flow],
    depth: Depth,
    at_once: usize,
) -> Result<Tally> {
    cluster.install_crds().await?;
    let models: Vec<Model> = stream::iter(flows)
        .map(|flow| model(cluster, *flow))
        .buffer_unordered(at_once)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_>>()?;
    let mut tally = Tally::default();
    let singles = cases(&models, |model| model.single_cases(depth));
    let runs = run_all(cluster, singles, at_once, &mut tally).await;
    let mut pairs = Vec::new();
    for (model, case, run) in &runs {
        if depth.has_pairs(model.flow) && case.kind == Kind::Crash {
            pairs.extend(model.pair_cases(case, run).into_iter().map(|pair| (*model, pair)));
        }
    }
    run_all(cluster, pairs, at_once, &mut tally).await;
    Ok(tally)
}

/// Runs a flow twice without a fault.
async fn model(cluster: &Cluster, flow: Flow) -> Result<Model> {
    let clean = Disturbance::default();
    let (one, other) = tokio::join!(run(cluster, flow, &clean), run(cluster, flow, &clean));
    let what = || format!("{flow}, undisturbed");
    let model = Model::of(flow, one.with_context(what)?, &other.with_context(what)?)?;
    println!("{flow}: {} calls: {}", model.calls.len(), listed(&model.calls));
    if !model.rare.is_empty() {
        println!("{flow}: in one of two runs only: {}", listed(&model.rare));
    }
    Ok(model)
}

fn listed(calls: &[Point]) -> String {
    calls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn cases(models: &[Model], of: impl Fn(&Model) -> Vec<Case>) -> Vec<(&Model, Case)> {
    models.iter().flat_map(|model| of(model).into_iter().map(move |case| (model, case))).collect()
}

async fn run_all<'a>(
    cluster: &Cluster,
    cases: Vec<(&'a Model, Case)>,
    at_once: usize,
    tally: &mut Tally,
) -> Vec<(&'a Model, Case, Run)> {
    let total = cases.len();
    let mut runs = Vec::new();
    let results = stream::iter(cases).map(async |(model, case)| {
        let result = run_until_struck(cluster, &case).await;
        (model, case, result)
    });
    let mut results = std::pin::pin!(results.buffer_unordered(at_once));
    let mut done = 0;
    while let Some((model, case, result)) = results.next().await {
        done += 1;
        match result {
            Ok(run) if !is_struck(&case, &run) => tally.leave_out(&case),
            Ok(run) => {
                tally.enter(&case, &judge(model, &case, &run));
                runs.push((model, case, run));
            }
            Err(error) => tally.enter(&case, &Err(error)),
        }
        if done % PROGRESS == 0 || done == total {
            println!("{done} of {total}; {tally}");
        }
    }
    runs
}

/// Tries again when a fault did not come to pass.
async fn run_until_struck(cluster: &Cluster, case: &Case) -> Result<Run> {
    for _ in 1..TRIES {
        let run = run(cluster, case.flow, &case.disturbance).await?;
        if is_struck(case, &run) {
            return Ok(run);
        }
    }
    run(cluster, case.flow, &case.disturbance).await
}

/// Whether all its faults came to pass.
fn is_struck(case: &Case, run: &Run) -> bool {
    let struck = run.calls.iter().flatten().filter(|record| record.fault.is_some()).count();
    struck == case.disturbance.0.len()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_leak_is_known_by_its_type_and_not_by_its_words() {
        let case = Case {
            flow: Flow::ApplyToIdle,
            kind: Kind::Crash,
            disturbance: Disturbance::default(),
        };
        let mut tally = Tally::default();
        tally.enter(&case, &Err(anyhow!("a bucket leaked")));
        assert_eq!(tally.leaked, 0);
        tally.enter(&case, &Err(anyhow!("a pod is left").context(Leaked)));
        assert_eq!(tally.leaked, 1);
        assert!(!tally.is_good());
    }
}
