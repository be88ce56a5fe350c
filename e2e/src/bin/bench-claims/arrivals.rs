//! When claims arrive: a Poisson process, the same for the same seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Arrivals at this rate for this long, as times since the beginning. Nothing that happens
/// meanwhile delays them.
pub fn poisson(seed: u64, rate: f64, time: Duration) -> Vec<Duration> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut at = 0.0;
    let next = || {
        let part: f64 = chance.random();
        at -= (1.0 - part).ln() / rate;
        (at < time.as_secs_f64()).then(|| Duration::from_secs_f64(at))
    };
    std::iter::from_fn(next).collect()
}

/// So many at the same moment.
pub fn burst(count: usize) -> Vec<Duration> {
    vec![Duration::ZERO; count]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_the_rate_says_in_order_and_again_the_same() {
        let time = Duration::from_secs(1000);
        let arrivals = poisson(7, 20.0, time);
        assert!(arrivals.len().abs_diff(20_000) < 500, "{}", arrivals.len());
        assert!(arrivals.is_sorted() && arrivals.last() < Some(&time));
        assert_eq!(arrivals, poisson(7, 20.0, time));
    }
}
