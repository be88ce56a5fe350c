//! For tests only: a process that asks the kernel for randomness and always gets the same.
//!
//! A simulation draws its own chance from a seed. What is left are the libraries: the order of a
//! `HashMap` decides which of two futures is polled first, and tokio tosses a coin in each `select!`.
//! Their seeds come from the C function `getrandom`, which the standard library calls through a
//! weak symbol; a program that defines that function is asked instead of the kernel.
//!
//! One library asks for more: ahash, under kube's stores, mixes in where the kernel has put the program
//! and its heap, which is another place each time. It takes another source, once.
//!
//! This is the one unsafe function of the project. It is linked into simulations and into nothing
//! that is shipped, and without [`hold`] it hands every request on to the kernel.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ahash::random_state::{RandomSource, set_random_source};

static HELD: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The seed that this thread began with, and where it is: another thread's draws move nothing.
    static NEXT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// From now on this process's randomness is a function of the seed. Threads that were started
/// before may have drawn already: begin a new one.
pub fn hold(seed: u64) {
    SEED.store(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15), Ordering::SeqCst);
    HELD.store(true, Ordering::SeqCst);
    // Taken the first time only; it is the same whatever the seed, and what it is mixed with is not.
    let _ = set_random_source(Count(AtomicUsize::new(1)));
}

/// Each map's number, in the place of an address.
struct Count(AtomicUsize);

impl RandomSource for Count {
    fn gen_hasher_seed(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// The next number (splitmix64).
fn next() -> u64 {
    let step = 0x9E37_79B9_7F4A_7C15;
    let seed = SEED.load(Ordering::SeqCst);
    let (begun, at) = NEXT.get();
    let mut z = if begun == seed { at } else { seed }.wrapping_add(step);
    NEXT.set((seed, z));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What the C library's function of this name does.
///
/// # Safety
/// As in C: `buffer` must be valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, flags: u32) -> isize {
    // SAFETY: the caller promises that `length` bytes can be written there, and nobody else reads
    // them before this returns.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    if !HELD.load(Ordering::SeqCst) {
        let flags = rustix::rand::GetRandomFlags::from_bits_retain(flags);
        return rustix::rand::getrandom(bytes, flags)
            .map_or(-1, |count| isize::try_from(count).unwrap_or(-1));
    }
    for chunk in bytes.chunks_mut(8) {
        let number = next().to_le_bytes();
        chunk.copy_from_slice(&number[..chunk.len()]);
    }
    isize::try_from(length).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn order() -> Vec<u32> {
        let in_thread = || (0..100_u32).collect::<HashSet<_>>().into_iter().collect();
        std::thread::spawn(in_thread).join().unwrap()
    }

    #[test]
    fn hash_maps_of_new_threads_repeat_themselves() {
        assert_ne!(order(), order(), "the kernel's randomness before");
        hold(7);
        let first = order();
        hold(8);
        let other = order();
        hold(7);
        assert_eq!(first, order());
        assert_ne!(first, other);
    }
}
