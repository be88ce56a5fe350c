//! Who chooses the faults.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::call::Call;
use crate::fault::Fault;

/// Chooses what happens to a call.
pub trait Choose: Send {
    /// The fault for this call, the `number`-th counted one (from 1); none lets it through.
    fn choose(&mut self, number: u64, call: &Call) -> Option<Fault>;
}

impl<F: FnMut(u64, &Call) -> Option<Fault> + Send> Choose for F {
    fn choose(&mut self, number: u64, call: &Call) -> Option<Fault> {
        self(number, call)
    }
}

/// Faults at given numbers.
#[derive(Debug, Clone, Default)]
pub struct Script(BTreeMap<u64, Fault>);

impl Script {
    /// The fault for each number, from 1.
    pub fn new(faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self(faults.into_iter().collect())
    }
}

impl Choose for Script {
    fn choose(&mut self, number: u64, _call: &Call) -> Option<Fault> {
        self.0.get(&number).cloned()
    }
}

/// Faults by chance: the same seed and the same calls give the same faults.
#[derive(Debug)]
pub struct Chance {
    rng: StdRng,
    probability: f64,
    menu: Vec<Fault>,
}

impl Chance {
    /// With this probability, one of these.
    pub fn new(seed: u64, probability: f64, menu: Vec<Fault>) -> Self {
        let probability = probability.clamp(0.0, 1.0);
        Self { rng: StdRng::seed_from_u64(seed), probability, menu }
    }
}

impl Choose for Chance {
    fn choose(&mut self, _number: u64, _call: &Call) -> Option<Fault> {
        // Both draws are made each time, so that one call's luck does not shift the next one's.
        let strikes = self.rng.random_bool(self.probability);
        let fault = self.menu.choose(&mut self.rng).cloned();
        fault.filter(|_| strikes)
    }
}
