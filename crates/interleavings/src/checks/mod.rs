//! What must hold in every order. Each check is one run: it panics where something does not hold.

mod book;
mod holding;
mod leadership;

use std::panic::{self, AssertUnwindSafe};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner};

/// One thing that must hold.
pub struct Check {
    /// In words.
    pub name: &'static str,
    /// Of which structure.
    pub structure: &'static str,
    run: fn(),
}

/// Half of the schedules are drawn at random; the others change the order in a few places only, where
/// rare orders are found sooner.
const PLACES: usize = 3;

impl Check {
    /// Runs it in so many orders. What did not hold is told, with the schedule that replays it.
    ///
    /// # Errors
    /// Where something did not hold.
    pub fn explore(&self, schedules: usize) -> Result<usize, String> {
        let run = self.run;
        let half = schedules.div_ceil(2);
        let explored = panic::catch_unwind(AssertUnwindSafe(|| {
            let random = Runner::new(RandomScheduler::new(half), config()).run(run);
            random + Runner::new(PctScheduler::new(PLACES, half), config()).run(run)
        }));
        explored.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
                .unwrap_or_default()
        })
    }
}

/// A run that goes on and on is a loop that nobody leaves.
fn config() -> Config {
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(100_000);
    config.stack_size = 1 << 20;
    config
}

/// All of them.
pub fn all() -> Vec<Check> {
    let of = |structure, checks: &[(&'static str, fn())]| {
        let checks = checks.iter().map(move |&(name, run)| Check { name, structure, run });
        checks.collect::<Vec<_>>()
    };
    [of("book", book::CHECKS), of("holding", holding::CHECKS), of("leadership", leadership::CHECKS)]
        .concat()
}

impl Clone for Check {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}
