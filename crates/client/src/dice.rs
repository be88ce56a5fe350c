//! Where all chance of an instance comes from: the ids of its writes, its incarnation, the jitter of
//! its pauses. A process has the kernel's; a simulation gives each of its processes a seed, and what
//! happened once happens again.
//!
//! Keys and tokens of workers never come from here: no seed may tell a secret.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// A source of random numbers. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Dice(Option<Arc<Mutex<StdRng>>>);

impl Dice {
    /// The kernel's: nobody can tell the next number.
    pub const fn of_the_system() -> Self {
        Self(None)
    }

    /// The same seed gives the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// The next number.
    pub fn roll(&self) -> u64 {
        match &self.0 {
            None => rand::random(),
            Some(stream) => stream.lock().unwrap_or_else(PoisonError::into_inner).next_u64(),
        }
    }

    /// A factor between these two, evenly spread.
    pub fn between(&self, least: f64, most: f64) -> f64 {
        // 53 bits are what an f64 holds exactly.
        #[allow(clippy::cast_precision_loss, reason = "both numbers have at most 53 bits")]
        let part = (self.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        least + (most - least) * part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_the_system_does_not() {
        let rolls = |dice: &Dice| [dice.roll(), dice.roll(), dice.roll()];
        assert_eq!(rolls(&Dice::seeded(7)), rolls(&Dice::seeded(7)));
        assert_ne!(rolls(&Dice::seeded(7)), rolls(&Dice::seeded(8)));
        assert_ne!(rolls(&Dice::of_the_system()), rolls(&Dice::of_the_system()));
    }

    #[test]
    fn factors_keep_their_bounds() {
        let dice = Dice::seeded(1);
        assert!((0..1000).all(|_| (0.75..1.25).contains(&dice.between(0.75, 1.25))));
    }
}
