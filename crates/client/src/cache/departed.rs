//! The objects that a watch has lately told the end of.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use duckworker_core::Uid;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};

/// So many are remembered: those of a minute or more of a busy cluster. One that is forgotten costs
/// a read.
const MOST: usize = 4096;

/// The last of them.
#[derive(Debug, Default)]
pub(super) struct Departed(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashSet<Uid>,
    /// In the order in which they went.
    order: VecDeque<Uid>,
}

impl Departed {
    /// Takes in what the watch tells.
    pub(super) fn follow<K: Resource>(&self, event: &watcher::Result<Event<K>>) {
        let Ok(Event::Delete(gone)) = event else { return };
        if let Some(uid) = gone.uid().and_then(|uid| Uid::new(uid).ok()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).enter(uid);
        }
    }

    /// Whether this one is among them.
    pub(super) fn has(&self, uid: &Uid) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.contains(uid)
    }
}

impl Inner {
    fn enter(&mut self, uid: Uid) {
        if !self.known.insert(uid.clone()) {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use kube::core::ObjectMeta;

    use super::*;

    fn told(departed: &Departed, event: fn(Secret) -> Event<Secret>, uid: usize) {
        let metadata = ObjectMeta { uid: Some(format!("u-{uid}")), ..ObjectMeta::default() };
        departed.follow(&Ok(event(Secret { metadata, ..Secret::default() })));
    }

    fn has(departed: &Departed, uid: usize) -> bool {
        departed.has(&Uid::new(format!("u-{uid}")).unwrap())
    }

    #[test]
    fn only_an_end_is_an_end() {
        let departed = Departed::default();
        told(&departed, Event::Apply, 1);
        departed.follow(&Ok(Event::<Secret>::Init));
        assert!(!has(&departed, 1));
        told(&departed, Event::Delete, 1);
        assert!(has(&departed, 1) && !has(&departed, 2));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let departed = Departed::default();
        (0..=MOST).for_each(|uid| told(&departed, Event::Delete, uid));
        assert!(!has(&departed, 0) && has(&departed, 1) && has(&departed, MOST));
        let inner = departed.0.lock().unwrap();
        assert_eq!((inner.known.len(), inner.order.len()), (MOST, MOST));
    }
}
