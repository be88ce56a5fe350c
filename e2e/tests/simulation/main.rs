//! Controllers, unchanged, on the simulated cluster: they are killed, cut off, told lies and held
//! back, pods fail, workers come and go. Whatever happens, the history keeps the rules, and when
//! the faults stop, everything is as it should be.
//!
//! `DUCKWORKER_SIM_SEEDS` says how many simulations (5 unless told), `DUCKWORKER_SIM_FIRST` the
//! seed of the first. With `DUCKWORKER_SIM_STORY` a run that fails tells every change of a worker,
//! and what the scene did. With `DUCKWORKER_SIM_HANGING_READS` lists and the beginnings of watches
//! may hang for ever, which is only got over if the client gives up on them.

mod process;
mod rules;
mod scene;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use duckworker_sim::simulate;

#[test]
fn simulated_controllers_keep_the_rules_and_converge() -> Result<()> {
    let seeds = number("DUCKWORKER_SIM_SEEDS", 5)?;
    let first = number("DUCKWORKER_SIM_FIRST", 1)?;
    let mut hours = 0.0;
    let mut transitions: BTreeMap<String, usize> = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in first..first + seeds {
        let outcome = simulate(seed, |cluster| scene::play(cluster, seed))??;
        hours += outcome.time.as_secs_f64() / 3600.0;
        for (name, count) in outcome.transitions {
            *transitions.entry(name).or_default() += count;
        }
        if !outcome.violations.is_empty() && std::env::var_os("DUCKWORKER_SIM_STORY").is_some() {
            outcome.story.iter().for_each(|line| println!("{line}"));
        }
        for violation in outcome.violations {
            println!("seed {seed}: {violation}");
            failed.push(seed);
        }
    }
    failed.dedup();
    println!(
        "seeds: {seeds}, simulated hours: {hours:.1}, transitions seen: {}, violations in: {}",
        transitions.len(),
        failed.len()
    );
    println!("{transitions:?}");
    if let Some(seed) = failed.first() {
        bail!("replay with DUCKWORKER_SIM_SEEDS=1 DUCKWORKER_SIM_FIRST={seed}");
    }
    Ok(())
}

fn number(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is no number: {text:?}")),
        Err(_) => Ok(default),
    }
}
