//! Which parts of the process are ready.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A name, and whether it is ready.
type Part = (&'static str, Arc<AtomicBool>);

/// The parts that must be ready before the process is. It answers before the first is named: until
/// then it is not.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    parts: Arc<Mutex<Vec<Part>>>,
}

impl Readiness {
    /// Names a part; several may have the same name. It is not ready until its handle says so, and no longer when that is dropped:
    /// a part whose task has ended does not serve.
    pub fn part(&self, name: &'static str) -> ReadyPart {
        let ready = Arc::new(AtomicBool::new(false));
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push((name, Arc::clone(&ready)));
        ReadyPart { ready }
    }

    /// The parts that are not ready, by name.
    pub fn waiting_for(&self) -> Vec<&'static str> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.is_empty() {
            return vec!["start"];
        }
        let waiting = parts.iter().filter(|(_, ready)| !ready.load(Ordering::Acquire));
        let mut names: Vec<_> = waiting.map(|&(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The handle of one part.
#[derive(Debug)]
pub struct ReadyPart {
    ready: Arc<AtomicBool>,
}

impl ReadyPart {
    /// It can do its work.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// It cannot, for now.
    pub fn not_ready(&self) {
        self.ready.store(false, Ordering::Release);
    }
}

impl Drop for ReadyPart {
    fn drop(&mut self) {
        self.not_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn every_part_counts() {
        let readiness = Readiness::default();
        assert_eq!(readiness.waiting_for(), ["start"]);
        let instance = readiness.part("instance");
        let caches = readiness.part("caches");
        assert_eq!(readiness.waiting_for(), ["caches", "instance"]);
        caches.ready();
        assert_eq!(readiness.waiting_for(), ["instance"]);
        instance.ready();
        assert!(readiness.waiting_for().is_empty());
        instance.not_ready();
        assert_eq!(readiness.waiting_for(), ["instance"]);
    }

    #[test]
    fn a_part_that_ended_is_not_ready() {
        let readiness = Readiness::default();
        let caches = readiness.part("caches");
        caches.ready();
        drop(caches);
        assert_eq!(readiness.waiting_for(), ["caches"]);
    }
}
