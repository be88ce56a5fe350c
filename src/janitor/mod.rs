//! The janitor: every few seconds it looks at the caches for what stands about that should not,
//! and ends it.
//!
//! It looks cheaply and acts carefully. Looking is a pass over watch caches, which may be old;
//! acting goes through the client crate, whose fences hold against everybody, so that a janitor
//! that is too slow, too early or not the only one costs misses and no more. Steps run in order,
//! each with a deadline of its own, so that a slow one starves no other.
//!
//! | file | holds |
//! |---|---|
//! | [`elector`] | who of several instances is the janitor |
//! | [`leadership`] | whether this instance is |
//! | [`round`] | what the steps share: tools, a look at all workers, the way to act on many things |
//! | [`workers`] | the steps `orphans` and `stuck` |
//! | [`parked`] | the step `parked` |
//! | [`strays`] | the steps `pods` and `secrets` |
//! | [`instances`] | the step `leases`, and the expiry of instances, which every instance does |
//!
//! What is judged stands in [`duckworker_core::plan::janitor`].

pub mod elector;
pub mod instances;
pub mod leadership;
pub mod parked;
pub mod round;
pub mod strays;
pub mod workers;

use std::pin::Pin;

use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use self::elector::Elector;
pub use self::leadership::Leadership;
pub use self::round::Tools;
use self::round::{Memory, Round};

/// The steps, in the order in which they run. Their names are labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Step {
    /// Ends workers whose sessions died with their owner.
    Orphans,
    /// Ends workers that stand too long in a state that should pass.
    Stuck,
    /// Ends parked workers that wait for too long, or are too many.
    Parked,
    /// Stops pods whose worker is finished or gone.
    Pods,
    /// Deletes secrets whose worker is finished or gone.
    Secrets,
    /// Deletes the Leases of instances that are dead for long.
    Leases,
}

/// Runs the janitor whenever this instance leads, until it is told to stop.
pub async fn run(tools: Tools, leadership: Leadership, stop: CancellationToken) {
    let mut memory = Memory::default();
    let mut ticks = interval(tools.times.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if leadership.is_held() {
            let tick = tick(&tools, &leadership, &mut memory);
            let _ = stop.run_until_cancelled(tick).await;
        } else {
            // What was seen in an earlier term says nothing about the time since.
            memory = Memory::default();
        }
    }
}

/// All steps, once.
async fn tick(tools: &Tools, leadership: &Leadership, memory: &mut Memory) {
    for step in Step::iter().take_while(|_| leadership.is_held()) {
        let metrics = tools.metrics.step(step.into());
        let mut round = Round { tools, leadership, memory, metrics: metrics.clone() };
        let work: Pin<Box<dyn Future<Output = ()> + Send + '_>> = match step {
            Step::Orphans => Box::pin(round.orphans()),
            Step::Stuck => Box::pin(round.stuck()),
            Step::Parked => Box::pin(round.parked()),
            Step::Pods => Box::pin(round.pods()),
            Step::Secrets => Box::pin(round.secrets()),
            Step::Leases => Box::pin(round.leases()),
        };
        metrics.run(tools.times.step_deadline, &tools.clock, work).await;
    }
    memory.end_round();
}
