//! Controllers and control planes, unchanged, on the simulated cluster: they are killed, cut off,
//! told lies and held back, pods fail, workers come and go. Whatever happens, the history keeps the
//! rules, and when the faults stop, everything is as it should be.
//!
//! Each simulation has a process of its own, whose randomness is a function of the seed: what
//! happened once happens again.
//!
//! | variable | says |
//! |---|---|
//! | `DUCKWORKER_SIM_SEEDS` | how many simulations; 5 unless told |
//! | `DUCKWORKER_SIM_FIRST` | the seed of the first |
//! | `DUCKWORKER_SIM_EVENTS` | how many things happen in each; a failing seed is tried with fewer |
//! | `DUCKWORKER_SIM_STORY` | a run that fails tells every change, and what the scene did |
//! | `DUCKWORKER_SIM_HANGING_READS` | lists and the beginnings of watches may hang for ever, too |
//! | `DUCKWORKER_PLANTED_BUGS` | which bugs are planted one after the other: `all`, or names with commas |
//! | `DUCKWORKER_PLANTED_SEEDS` | how many seeds each of them may live through |
//! | `DUCKWORKER_SIM_LOG` | a file: the log of the last run that failed is put there |
//! | `DUCKWORKER_SIM_RECORD` | a folder: the history of each run is put there, as the checker reads it |

mod child;
mod operations;
mod plane;
mod planted;
mod process;
mod scene;
mod tale;
mod trials;

use anyhow::{Result, bail, ensure};
use duckworker_core::TABLE;

use crate::child::Order;
use crate::trials::{Tally, number, run_all};

#[test]
fn simulated_controllers_keep_the_rules_and_converge() -> Result<()> {
    let seeds = number("DUCKWORKER_SIM_SEEDS", 5)?;
    let first = number("DUCKWORKER_SIM_FIRST", 1)?;
    let mut tally = Tally::default();
    let failed = run_all((first..first + seeds).map(Order::new), |order, outcome| {
        for violation in &outcome.violations {
            println!("seed {}: {violation}", order.seed);
        }
        tally.add(&outcome);
        !outcome.violations.is_empty()
    })?;
    println!("{:?}", tally.transitions);
    println!(
        "pools gave {} numbers, claims got {} workers, ledgers held {}",
        tally.seats, tally.served, tally.entered
    );
    let (seen, all) = (tally.transitions.len(), TABLE.len());
    println!(
        "seeds: {seeds}, simulated hours: {:.1}, transitions seen: {seen} of {all}, violations: {}",
        tally.hours, tally.violations
    );
    match failed.first() {
        None => Ok(()),
        Some(order) => bail!("replay with {}", trials::shrink(order)?),
    }
}

/// Two processes, since what differs between them is where the kernel puts things.
#[test]
fn a_seed_repeats_itself_to_the_last_version() -> Result<()> {
    let runs = || Order { events: 40, ..Order::new(1) }.run();
    let first = runs()?;
    for _ in 0..2 {
        let again = runs()?;
        let differs = first.story.iter().zip(&again.story).find(|(one, other)| one != other);
        ensure!(again.digest == first.digest, "two runs of one seed differ: {differs:#?}");
    }
    Ok(())
}

/// What the other tests start in a process of its own.
#[test]
#[ignore = "one simulation, started by the other tests"]
fn child() -> Result<()> {
    child::play_as_told()
}
