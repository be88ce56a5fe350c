//! Bugs on purpose: the simulator and the checker must find each, within so many seeds.

use std::collections::BTreeSet;
use std::sync::{Mutex, mpsc};
use std::thread;

use anyhow::{Result, ensure};
use duckworker_core::planted::Bug;
use strum::IntoEnumIterator as _;

use crate::child::Order;
use crate::trials::number;

/// So many seeds may a bug live through.
const SEEDS: u64 = 100;
/// What `cargo test` tries: a few that show early.
const SHORT: [Bug; 5] = [
    Bug::LeaseEpochIgnored,
    Bug::ClaimedTwice,
    Bug::TakeOverAnyEpoch,
    Bug::OwnWriteNotRecognised,
    Bug::SeatIgnored,
];
/// So many seeds may each of these live through.
const EARLY: u64 = 12;

/// How a bug was caught.
struct Catch {
    bug: Bug,
    seeds: u64,
    rules: BTreeSet<String>,
}

#[test]
fn planted_bugs_are_caught() -> Result<()> {
    let plan: Vec<(Bug, u64, u64)> = match std::env::var("DUCKWORKER_PLANTED_BUGS") {
        Err(_) => SHORT.into_iter().map(|bug| (bug, 1, EARLY)).collect(),
        Ok(wanted) => {
            let seeds = number("DUCKWORKER_PLANTED_SEEDS", SEEDS)?;
            let wanted: Vec<&str> = wanted.split(',').collect();
            let is_wanted = |bug: &Bug| wanted == ["all"] || wanted.contains(&bug.into());
            Bug::iter().filter(is_wanted).map(|bug| (bug, 1, seeds)).collect()
        }
    };
    let all = plan.len();
    let (mut caught, mut most) = (0, 0);
    let mut missed = Vec::new();
    hunt(plan, |Catch { bug, seeds, rules }| {
        let name: &str = bug.into();
        if rules.is_empty() {
            println!("{name}: not in {seeds} seeds");
            missed.push(name);
        } else {
            let rules: Vec<String> = rules.into_iter().collect();
            println!("{name}: by {} after {seeds} seeds", rules.join(" "));
            caught += 1;
            most = most.max(seeds);
        }
    })?;
    println!("planted bugs caught: {caught} of {all}, the hardest after {most} seeds");
    ensure!(missed.is_empty(), "not caught: {}", missed.join(", "));
    Ok(())
}

/// Hunts as many bugs at once as there are cores, each seed by seed.
fn hunt(plan: Vec<(Bug, u64, u64)>, mut tell: impl FnMut(Catch)) -> Result<()> {
    let plan = Mutex::new(plan.into_iter());
    let (done, results) = mpsc::channel();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            let (done, plan) = (done.clone(), &plan);
            scope.spawn(move || {
                let next = || plan.lock().ok().and_then(|mut plan| plan.next());
                while let Some((bug, first, seeds)) = next() {
                    if done.send(seek(bug, first, seeds)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        for result in results {
            tell(result?);
        }
        Ok(())
    })
}

fn seek(bug: Bug, first: u64, seeds: u64) -> Result<Catch> {
    let name: &str = bug.into();
    for seed in first..first + seeds {
        let mut order = Order::new(seed);
        order.planted = Some(name.to_owned());
        let outcome = order.run()?;
        if !outcome.violations.is_empty() {
            let rule = |text: &String| text.split(':').next().unwrap_or_default().to_owned();
            let rules = outcome.violations.iter().map(rule).collect();
            return Ok(Catch { bug, seeds: seed + 1 - first, rules });
        }
    }
    Ok(Catch { bug, seeds, rules: BTreeSet::new() })
}
