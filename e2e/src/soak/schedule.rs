//! Which faults come, in which order: a function of the seed alone.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use strum::{EnumCount, EnumIter, IntoEnumIterator as _};

/// Who or what of several is hit: the strike takes it modulo those that are there then.
pub type Pick = usize;

/// One thing that goes wrong, or that people do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL of a replica; it is started again.
    Kill(Pick),
    /// SIGSTOP of a replica until its Lease is long over, then SIGCONT.
    Freeze(Pick),
    /// SIGTERM of a replica; when it has left it is started again.
    Restart(Pick),
    /// The API server is killed, and comes back after so long.
    KillApiServer(Duration),
    /// The store stands still for so long.
    FreezeStore(Duration),
    /// A worker's pod is deleted by hand, without grace.
    DeletePod(Pick),
    /// A worker's secret is deleted by hand.
    DeleteSecret(Pick),
    /// A worker is deleted, of a pool or not.
    DeleteWorker(Pick),
    /// A pool is deleted with all that is in it, and applied again once it is gone.
    DeletePool(Pick),
    /// A pool gets another size.
    Scale(Pick, i64),
    /// The foreign control plane dies, and comes back as another incarnation.
    KillPlane,
}

/// The kinds of faults: each is dealt once before any is dealt again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumCount, EnumIter)]
enum Kind {
    Kill,
    Freeze,
    Restart,
    KillApiServer,
    FreezeStore,
    DeletePod,
    DeleteSecret,
    DeleteWorker,
    DeletePool,
    Scale,
    KillPlane,
}

/// So many rounds bring every kind of fault.
pub const ROUNDS_FOR_ALL: usize = Kind::COUNT;

/// What comes next: a while of everyday work, then one fault or two in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// How long the everyday work goes on before.
    pub breath: Duration,
    /// What goes wrong, one right after the other.
    pub faults: Vec<Fault>,
}

/// All rounds of a seed, without an end.
#[derive(Debug)]
pub struct Schedule {
    rng: StdRng,
    deck: VecDeque<Kind>,
}

/// The everyday work between two rounds, in milliseconds.
const BREATH: std::ops::Range<u64> = 500..2500;
/// How long servers are away, in milliseconds: shorter and longer than a short Lease.
const OUTAGE: std::ops::Range<u64> = 200..5000;
/// No server is away for longer.
pub const LONGEST_OUTAGE: Duration = Duration::from_millis(OUTAGE.end);
/// How probable it is that the next fault does not wait until all is well again.
const PAIRED: f64 = 0.25;
/// The sizes that pools get.
const SIZES: std::ops::Range<i64> = 0..5;

impl Schedule {
    /// That of this seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), deck: VecDeque::new() }
    }

    fn fault(&mut self) -> Fault {
        let kind = self.deal();
        let pick = usize::from(self.rng.random::<u16>());
        let outage = Duration::from_millis(self.rng.random_range(OUTAGE));
        match kind {
            Kind::Kill => Fault::Kill(pick),
            Kind::Freeze => Fault::Freeze(pick),
            Kind::Restart => Fault::Restart(pick),
            Kind::KillApiServer => Fault::KillApiServer(outage),
            Kind::FreezeStore => Fault::FreezeStore(outage),
            Kind::DeletePod => Fault::DeletePod(pick),
            Kind::DeleteSecret => Fault::DeleteSecret(pick),
            Kind::DeleteWorker => Fault::DeleteWorker(pick),
            Kind::DeletePool => Fault::DeletePool(pick),
            Kind::Scale => Fault::Scale(pick, self.rng.random_range(SIZES)),
            Kind::KillPlane => Fault::KillPlane,
        }
    }

    fn deal(&mut self) -> Kind {
        loop {
            if let Some(kind) = self.deck.pop_front() {
                return kind;
            }
            let mut deck: Vec<Kind> = Kind::iter().collect();
            deck.shuffle(&mut self.rng);
            self.deck = deck.into();
        }
    }
}

impl Iterator for Schedule {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        let breath = Duration::from_millis(self.rng.random_range(BREATH));
        let count = if self.rng.random_bool(PAIRED) { 2 } else { 1 };
        let faults = (0..count).map(|_| self.fault()).collect();
        Some(Round { breath, faults })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(_) => f.write_str("SIGKILL"),
            Self::Freeze(_) => f.write_str("SIGSTOP beyond its Lease"),
            Self::Restart(_) => f.write_str("SIGTERM"),
            Self::KillApiServer(away) => write!(f, "API server away for {away:?}"),
            Self::FreezeStore(still) => write!(f, "etcd stands still for {still:?}"),
            Self::DeletePod(_) => f.write_str("pod deleted by hand"),
            Self::DeleteSecret(_) => f.write_str("secret deleted by hand"),
            Self::DeleteWorker(_) => f.write_str("worker deleted"),
            Self::DeletePool(_) => f.write_str("pool deleted and applied again"),
            Self::Scale(_, to) => write!(f, "pool scaled to {to}"),
            Self::KillPlane => f.write_str("control plane killed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::*;
    use crate::soak::Plan;

    fn rounds(seed: u64, count: usize) -> Vec<Round> {
        Schedule::new(seed).take(count).collect()
    }

    #[test]
    fn a_seed_says_everything() {
        assert_eq!(rounds(7, 100), rounds(7, 100));
        assert_ne!(rounds(7, 100), rounds(8, 100));
    }

    #[test]
    fn the_short_plan_deals_every_kind() {
        for seed in 0..100 {
            let plan = Plan::short(seed);
            let rounds = rounds(plan.seed, plan.rounds);
            let faults: HashSet<_> =
                rounds.iter().flat_map(|r| &r.faults).map(discriminant).collect();
            assert_eq!(faults.len(), Kind::COUNT, "seed {seed}: {rounds:?}");
        }
    }

    #[test]
    fn every_kind_comes_before_any_comes_again() {
        let all: Vec<Fault> = rounds(3, 100).into_iter().flat_map(|round| round.faults).collect();
        let kinds = Kind::iter().count();
        for deck in all.chunks_exact(kinds) {
            let dealt: HashSet<_> = deck.iter().map(discriminant).collect();
            assert_eq!(dealt.len(), kinds, "{deck:?}");
        }
    }

    #[test]
    fn some_faults_come_in_pairs_and_most_do_not() {
        let pairs = rounds(5, 400).iter().filter(|round| round.faults.len() == 2).count();
        assert!((60..140).contains(&pairs), "{pairs}");
        assert!(rounds(5, 400).iter().all(|round| (1..=2).contains(&round.faults.len())));
    }
}
