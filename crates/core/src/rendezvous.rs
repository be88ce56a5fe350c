//! Rendezvous hashing: which of the live instances looks after an object that has no live owner.
//! When an instance comes or goes, only the objects that it wins or held change hands.

use crate::names::Owner;

/// The instance with the highest score for this key; `None` when there is none.
pub fn winner<'a>(key: &str, live: impl IntoIterator<Item = &'a Owner>) -> Option<&'a Owner> {
    live.into_iter().max_by_key(|owner| (score(key, owner.as_str()), *owner))
}

/// FNV-1a over both, then a finaliser (Murmur3's) that spreads the low bits. Stable across
/// versions and machines, which `std`'s hasher is not: two versions must agree.
pub(crate) fn score(key: &str, owner: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = OFFSET;
    for byte in owner.bytes().chain([0]).chain(key.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(n: usize) -> Vec<Owner> {
        (0..n).map(|i| Owner::new(format!("controller-{i}.abcd1234.x{i}")).unwrap()).collect()
    }

    #[test]
    fn shares_are_even() {
        let live = owners(3);
        let mut counts = [0_u32; 3];
        for i in 0..3000 {
            let won = winner(&format!("uid-{i}"), &live).unwrap();
            counts[live.iter().position(|o| o == won).unwrap()] += 1;
        }
        assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
    }

    #[test]
    fn a_death_moves_only_the_dead_ones_share() {
        let live = owners(3);
        for i in 0..300 {
            let key = format!("uid-{i}");
            let before = winner(&key, &live).unwrap();
            if before != &live[2] {
                assert_eq!(winner(&key, &live[..2]), Some(before));
            }
        }
    }
}
