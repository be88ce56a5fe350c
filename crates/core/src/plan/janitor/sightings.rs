//! Since when something is so, for what bears no stamp, or one that cannot be right.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// Remembers when each thing was first seen, round by round. What was not seen in a round is
/// forgotten at its end: the next sighting of it is a first one again.
#[derive(Debug, Clone)]
pub struct Sightings<K, T> {
    before: HashMap<K, T>,
    now: HashMap<K, T>,
}

impl<K, T> Default for Sightings<K, T> {
    fn default() -> Self {
        Self { before: HashMap::new(), now: HashMap::new() }
    }
}

impl<K: Eq + Hash, T: Copy> Sightings<K, T> {
    /// Sees it, and tells when it was first seen.
    pub fn see(&mut self, key: K, now: T) -> T {
        let first = self.before.get(&key).copied().unwrap_or(now);
        *self.now.entry(key).or_insert(first)
    }

    /// The stamp that a thing bears, unless that stands in the future: then its first sighting.
    pub fn stamp_or_sight(&mut self, key: K, stamp: Option<T>, now: T) -> T
    where
        T: PartialOrd,
    {
        match stamp {
            Some(stamp) if stamp <= now => stamp,
            _ => self.see(key, now),
        }
    }

    /// Ends a round.
    pub fn end_round(&mut self) {
        self.before = mem::take(&mut self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sighting_counts_while_it_goes_on() {
        let mut seen = Sightings::default();
        for now in 1..4 {
            assert_eq!(seen.see("a", now), 1);
            seen.end_round();
        }
        seen.end_round();
        assert_eq!(seen.see("a", 9), 9, "it was away for a round");
    }

    #[test]
    fn a_stamp_in_the_future_counts_from_first_sight() {
        let mut seen = Sightings::default();
        assert_eq!(seen.stamp_or_sight("past", Some(3), 5), 3);
        assert_eq!(seen.stamp_or_sight("future", Some(1000), 5), 5);
        seen.end_round();
        assert_eq!(seen.stamp_or_sight("future", Some(1000), 8), 5);
        assert_eq!(seen.stamp_or_sight("none", None, 8), 8);
    }
}
