//! What came of a soak.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use duckworker_history::Calm;

use super::Plan;
use super::sight::Tape;
use crate::bench::figures::{median, percentile};

/// What came of it. Its text is the last line.
#[derive(Debug, Default)]
pub struct Report {
    /// How many things went wrong on purpose.
    pub faults: usize,
    /// How many transitions workers made.
    pub transitions: usize,
    /// How many versions of objects there were.
    pub versions: usize,
    /// What was left in the end.
    pub leaked: Vec<String>,
    /// What broke.
    pub violations: Vec<String>,
    /// After each round: the time until all was well.
    pub times: Vec<Duration>,
    /// How often a controller ended by itself, and was started again.
    pub ended: usize,
    stuck: bool,
}

impl Report {
    /// All is well again. A person who waits is told.
    pub fn converged(&mut self, number: usize, seed: u64, what: &str, took: Duration) {
        self.times.push(took);
        println!("{number:>4} seed {seed}: {what}: all is well after {:.1} s", took.as_secs_f64());
    }

    /// It does not come right.
    pub fn not_converged(&mut self, number: usize, seed: u64, what: &str, why: &anyhow::Error) {
        println!("{number:>4} seed {seed}: {what}: it does not come right {why:#}");
        self.violations.push(format!("after round {number} ({what}): {why:#}"));
        self.stuck = true;
    }

    /// Whether it did not come right once.
    pub const fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Nothing broke and nothing was left.
    pub const fn is_good(&self) -> bool {
        self.leaked.is_empty() && self.violations.is_empty()
    }

    /// What the last line leaves out.
    pub fn details(&self) -> String {
        format!(
            "rounds: {}, versions: {}, ended by themselves: {}, converge p50: {:.1} s",
            self.times.len(),
            self.versions,
            self.ended,
            median(&self.times).as_secs_f64(),
        )
    }

    /// Holds the history against the rules, and puts it where it is wanted.
    pub(super) fn judge(&mut self, tape: &Tape, plan: &Plan, calm: Option<Calm>) -> Result<()> {
        if let Some(to) = &plan.record {
            std::fs::write(to, tape.text())
                .with_context(|| format!("cannot write {}", to.display()))?;
        }
        self.violations
            .extend(tape.check(calm, plan.times.late())?.iter().map(ToString::to_string));
        (self.transitions, self.versions) = (tape.transitions()?, tape.len());
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "faults: {}, transitions: {}, leaked: {}, violations: {}, converge p99: {:.1} s",
            self.faults,
            self.transitions,
            self.leaked.len(),
            self.violations.len(),
            percentile(&self.times, 0.99).as_secs_f64(),
        )
    }
}
