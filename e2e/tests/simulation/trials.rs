//! Many simulations, on all cores, and the smallest one that still fails.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc;
use std::{env, thread};

use anyhow::{Context as _, Result};

use crate::child::{Order, Outcome};

/// What many simulations showed.
#[derive(Debug, Default)]
pub struct Tally {
    /// Simulated hours.
    pub hours: f64,
    /// How often each transition happened.
    pub transitions: BTreeMap<String, usize>,
    /// How many claims got a worker.
    pub served: usize,
    /// How many numbers pools gave to workers.
    pub seats: usize,
    pub entered: usize,
    /// How often a rule broke.
    pub violations: usize,
}

impl Tally {
    /// One more.
    pub fn add(&mut self, outcome: &Outcome) {
        self.hours += outcome.seconds / 3600.0;
        self.served += outcome.served;
        self.seats += outcome.seats;
        self.entered += outcome.entered;
        self.violations += outcome.violations.len();
        for (name, count) in &outcome.transitions {
            *self.transitions.entry(name.clone()).or_default() += count;
        }
    }
}

/// Plays all, as many at once as there are cores. Returns those of which `look` says that they
/// failed, lowest seed first.
pub fn run_all(
    orders: impl Iterator<Item = Order> + Send,
    mut look: impl FnMut(&Order, Outcome) -> bool,
) -> Result<Vec<Order>> {
    let orders = Mutex::new(orders);
    let (done, results) = mpsc::channel();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut failed = Vec::new();
    thread::scope(|scope| {
        for _ in 0..cores {
            let (done, orders) = (done.clone(), &orders);
            scope.spawn(move || {
                let next = || orders.lock().ok().and_then(|mut orders| orders.next());
                while let Some(order) = next() {
                    let outcome = order.run();
                    if done.send((order, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        for (order, outcome) in results {
            let outcome = outcome?;
            if !outcome.violations.is_empty() && env::var_os("DUCKWORKER_SIM_STORY").is_some() {
                outcome.story.iter().for_each(|line| println!("{line}"));
            }
            if look(&order, outcome) {
                failed.push(order);
            }
        }
        anyhow::Ok(())
    })?;
    failed.sort_by_key(|order| order.seed);
    Ok(failed)
}

/// Cuts a failing schedule down to the fewest events after which it still fails, and returns the
/// command that replays it.
pub fn shrink(order: &Order) -> Result<String> {
    let (mut passes, mut fails) = (0, order.events);
    while fails - passes > 1 {
        let middle = passes + (fails - passes) / 2;
        let shorter = Order { events: middle, ..order.clone() };
        if shorter.run()?.violations.is_empty() {
            passes = middle;
        } else {
            fails = middle;
        }
    }
    let hanging = env::var_os("DUCKWORKER_SIM_HANGING_READS");
    let hanging = hanging.map_or("", |_| " DUCKWORKER_SIM_HANGING_READS=1");
    Ok(format!(
        "DUCKWORKER_SIM_STORY=1{hanging} DUCKWORKER_SIM_SEEDS=1 DUCKWORKER_SIM_FIRST={} \
         DUCKWORKER_SIM_EVENTS={fails} cargo test --package duckworker-e2e --test simulation \
         simulated -- --nocapture",
        order.seed
    ))
}

/// A number in the environment.
pub fn number(variable: &str, default: u64) -> Result<u64> {
    match env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is no number: {text:?}")),
        Err(_) => Ok(default),
    }
}
