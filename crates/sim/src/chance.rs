//! All chance of a simulation: streams of random numbers, each from the seed and a name.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// One stream. Streams of different names do not shift each other, so that one more consumer of
/// chance leaves the others' choices as they were.
#[derive(Debug)]
pub struct Chance {
    rng: StdRng,
}

impl Chance {
    /// The stream of this name.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a: stable for ever, unlike the hashers of the standard library.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { rng: StdRng::seed_from_u64(seed ^ hash) }
    }

    /// A number out of a range; its start if it is empty.
    pub fn below(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() { range.start } else { self.rng.random_range(range) }
    }

    /// True with this probability.
    pub fn strikes(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability.clamp(0.0, 1.0))
    }

    /// A duration between two, in whole milliseconds, which is what tokio's clock can do.
    pub fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(millis(least)..millis(most).saturating_add(1)))
    }

    /// An index below a length; zero for none.
    pub fn index(&mut self, length: usize) -> usize {
        let below = self.below(0..u64::try_from(length).unwrap_or(u64::MAX));
        usize::try_from(below).unwrap_or(0)
    }

    /// A uid like the API server's.
    pub fn uid(&mut self) -> String {
        let mut bytes = [0_u8; 16];
        self.rng.fill_bytes(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |range: Range<usize>| hex[range].concat();
        [part(0..4), part(4..6), part(6..8), part(8..10), part(10..16)].join("-")
    }

    /// A suffix like those that the API server makes for `generateName`.
    pub fn suffix(&mut self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(ALPHABET[self.index(ALPHABET.len())])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let uids = |seed, name| {
            let mut chance = Chance::new(seed, name);
            [chance.uid(), chance.uid()]
        };
        assert_eq!(uids(1, "a"), uids(1, "a"));
        assert_ne!(uids(1, "a"), uids(1, "b"));
        assert_ne!(uids(1, "a"), uids(2, "a"));
        let [uid, _] = uids(1, "a");
        assert_eq!(uid.len(), 36);
        assert_eq!(uid.as_bytes()[14], b'4');
    }
}
