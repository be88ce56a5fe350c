//! The server as its clients reach it: over a network with delays that is sometimes down.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::chance::Chance;
use crate::kinds::Kinds;
use crate::verbs::Server;

/// How long things take, each chosen between two durations. Whole milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// From a client to the server, and from the server back.
    pub request: (Duration, Duration),
    /// From a write until a watch delivers it.
    pub watch: (Duration, Duration),
}

impl Default for Latency {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self { request: (millis(0), millis(2)), watch: (millis(0), millis(20)) }
    }
}

impl Latency {
    /// Everything happens at once.
    pub const NONE: Self =
        Self { request: (Duration::ZERO, Duration::ZERO), watch: (Duration::ZERO, Duration::ZERO) };
}

/// The watches of a collection that are stuck: those of one pod, or all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stuck {
    /// The collection.
    pub collection: String,
    /// Whose. None: everybody's.
    pub pod: Option<String>,
}

/// The server and the network before it.
#[derive(Debug)]
pub struct Core {
    server: Mutex<Server>,
    chance: Mutex<Chance>,
    latency: Mutex<Latency>,
    /// Says the newest revision whenever it moves.
    pub moved: watch::Sender<u64>,
    /// Whether nobody reaches the server.
    pub down: watch::Sender<bool>,
    /// The watches that are stuck.
    pub stuck: watch::Sender<BTreeSet<Stuck>>,
}

impl Core {
    /// A server without objects.
    pub fn new(kinds: Arc<Kinds>, seed: u64, latency: Latency) -> Self {
        let server = Server::new(kinds, seed);
        let moved = watch::Sender::new(server.store.revision());
        Self {
            server: Mutex::new(server),
            chance: Mutex::new(Chance::new(seed, "network")),
            latency: Mutex::new(latency),
            moved,
            down: watch::Sender::new(false),
            stuck: watch::Sender::new(BTreeSet::new()),
        }
    }

    /// Does something with the server, at once and as a whole, and tells the watches.
    pub fn step<T>(&self, act: impl FnOnce(&mut Server) -> T) -> T {
        let mut server = lock(&self.server);
        let result = act(&mut server);
        let revision = server.store.revision();
        drop(server);
        self.moved.send_if_modified(|known| {
            let moved = *known != revision;
            *known = revision;
            moved
        });
        result
    }

    /// Changes how long things take from now on.
    pub fn set_latency(&self, latency: Latency) {
        *lock(&self.latency) = latency;
    }

    /// How long one way between a client and the server takes this time.
    pub fn request_delay(&self) -> Duration {
        let range = lock(&self.latency).request;
        lock(&self.chance).between(range)
    }

    /// How long a watch takes this time.
    pub fn watch_delay(&self) -> Duration {
        let range = lock(&self.latency).watch;
        lock(&self.chance).between(range)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
