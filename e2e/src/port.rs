//! A free port for an API server.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, bail};

/// Below the ports that the kernel gives to outgoing connections: one of those could take the port
/// before the server does, or while it restarts.
const PORTS: Range<u16> = 20_000..32_000;

/// The ports given out by this process: their servers may not listen yet.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Finds a port on which nothing listens.
pub(crate) fn free_port() -> Result<u16> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1000 {
        let port = rand::random_range(PORTS);
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port between {} and {}", PORTS.start, PORTS.end)
}
